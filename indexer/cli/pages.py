"""`indexer web` and `indexer dashboard`: serve pages until Ctrl-C or SIGTERM.

Their user and password come from a file and the environment: other users could read a command
line.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer.cli.arguments import examples, file_argument, files, json_option, text_argument
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import escaped
from indexer.errors import UsageError

if TYPE_CHECKING:
    from indexer.serving.guards import Login


_WEB_VARIABLES = "INDEXER_WEB"
_DASHBOARD_VARIABLES = "INDEXER_DASHBOARD"


def host_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--host NAME`."""
    return click.option(
        "--host",
        type=text_argument,
        default="127.0.0.1",
        show_default=True,
        metavar="NAME",
        help="Any other needs a user and a password.",
    )(command)


def port_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--port NUMBER`."""
    return click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=True,
        metavar="NUMBER",
        help="0: any free port.",
    )


def login_options(variables: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--user` and `--password-file`, or `VARIABLES_USER` and `VARIABLES_PASSWORD`."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        password = click.option(
            "--password-file",
            type=file_argument,
            shell_complete=files,
            metavar="FILE",
            help=f"Its first line is used. Or ${variables}_PASSWORD.",
        )
        user = click.option(
            "--user",
            type=text_argument,
            envvar=f"{variables}_USER",
            metavar="NAME",
            help=f"Or ${variables}_USER.",
        )
        return user(password(command))

    return decorated


def login_of(user: str | None, password_file: Path | None, variables: str) -> Login | None:
    """Both or neither. Raises UsageError where one is missing."""
    password = os.environ.get(f"{variables}_PASSWORD")
    if password_file is not None:
        text = password_file.read_text("utf-8", "surrogateescape")
        password = text.partition("\n")[0].removesuffix("\r")
    if not user and not password:
        if password_file is None:
            return None
        raise UsageError(f"{password_file}: the first line is empty; write the password there")
    if not user:
        raise UsageError(f"a password, but no user: give --user or set {variables}_USER")
    if not password:
        raise UsageError(
            f"a user, but no password: give --password-file or set {variables}_PASSWORD"
        )
    from indexer.serving.guards import Login

    return Login(user, password)


@click.command(
    epilog=examples("indexer web", "indexer web --host 0.0.0.0 --user music --password-file pw.txt")
)
@port_option(8787)
@host_option
@login_options(_WEB_VARIABLES)
@json_option
@click.pass_obj
def web(
    session: Session, port: int, host: str, user: str | None, password_file: Path | None
) -> int:
    """Show the index in a browser, until Ctrl-C.

    Search, albums with covers, what is new, and whether the index equals the disk. It only reads.
    """
    login = login_of(user, password_file, _WEB_VARIABLES)
    settings = session.working_settings()
    from indexer.web import opened

    with opened(settings, host, port, login) as served:
        session.answer({"url": served.url}, [f"Page: {escaped(served.url)}"])
        session.output.flush()
        with session.nonblocking_stderr():
            served.serve()
    return 0


@click.command(
    epilog=examples(
        "indexer dashboard",
        "indexer dashboard --host 0.0.0.0 --user me --password-file pw.txt",
    )
)
@port_option(9181)
@host_option
@login_options(_DASHBOARD_VARIABLES)
@json_option
@click.pass_obj
def dashboard(
    session: Session, port: int, host: str, user: str | None, password_file: Path | None
) -> int:
    """Show the queues in a browser, until Ctrl-C.

    It is rq-dashboard, for the Redis in the settings.
    """
    login = login_of(user, password_file, _DASHBOARD_VARIABLES)
    settings = session.working_settings()
    from indexer.queue import redis_client
    from indexer.queue.monitoring.dashboard import opened

    with opened(settings, host, port, login) as pages:
        redis = redis_client.shown(settings)
        session.answer(
            {"url": pages.url, "redis": redis},
            [f"dashboard at {escaped(pages.url)} (Redis {escaped(redis)})"],
        )
        session.output.flush()
        with session.nonblocking_stderr():
            if pages.warning:
                say(pages.warning)
            pages.serve()
    return 0
