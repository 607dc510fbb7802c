"""`indexer dashboard`: serve web pages about the queues until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.cli.arguments import examples, file_argument, files, json_option, text_argument
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import escaped
from indexer.errors import UsageError

if TYPE_CHECKING:
    from indexer.queue.dashboard import Login

_PASSWORD = "INDEXER_DASHBOARD_PASSWORD"  # noqa: S105 - the name of the variable


@click.command(
    epilog=examples(
        "indexer dashboard",
        "indexer dashboard --host 0.0.0.0 --user me --password-file pw.txt",
    )
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9181,
    show_default=True,
    metavar="NUMBER",
    help="0: any free port.",
)
@click.option(
    "--host",
    type=text_argument,
    default="127.0.0.1",
    show_default=True,
    metavar="NAME",
    help="Any other needs a user and a password.",
)
@click.option(
    "--user",
    type=text_argument,
    envvar="INDEXER_DASHBOARD_USER",
    metavar="NAME",
    help="Or $INDEXER_DASHBOARD_USER.",
)
@click.option(
    "--password-file",
    type=file_argument,
    shell_complete=files,
    metavar="FILE",
    help="Its first line is used. Or $INDEXER_DASHBOARD_PASSWORD.",
)
@json_option
@click.pass_obj
def dashboard(
    session: Session, port: int, host: str, user: str | None, password_file: Path | None
) -> int:
    """Show the queues in a browser, until Ctrl-C.

    It is rq-dashboard, for the Redis in the settings.
    """
    login = _login(user, password_file)
    settings = session.settings()
    from indexer.queue import redis_client
    from indexer.queue.dashboard import opened

    with opened(settings, host, port, login) as pages:
        redis = redis_client.shown(settings)
        session.answer(
            {"url": pages.url, "redis": redis},
            [f"dashboard at {escaped(pages.url)} (Redis {escaped(redis)})"],
        )
        session.output.flush()
        if pages.warning:
            say(pages.warning)
        pages.serve()
    return 0


def _login(user: str | None, password_file: Path | None) -> Login | None:
    """Both or neither; the command line has no password, since other users could read it."""
    password = os.environ.get(_PASSWORD)
    if password_file is not None:
        text = password_file.read_text("utf-8", "surrogateescape")
        password = text.partition("\n")[0].removesuffix("\r")
    if not user and not password:
        if password_file is None:
            return None
        raise UsageError(f"{password_file}: the first line is empty; write the password there")
    if not user:
        raise UsageError("a password, but no user: give --user or set INDEXER_DASHBOARD_USER")
    if not password:
        raise UsageError(f"a user, but no password: give --password-file or set {_PASSWORD}")
    from indexer.queue.dashboard import Login

    return Login(user, password)
