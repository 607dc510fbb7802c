"""`indexer dashboard`: serve web pages about the queues until Ctrl-C or SIGTERM."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.cli.arguments import examples, json_option
from indexer.cli.login import host_option, login_of, login_options, port_option
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import escaped

_VARIABLES = "INDEXER_DASHBOARD"


@click.command(
    epilog=examples(
        "indexer dashboard",
        "indexer dashboard --host 0.0.0.0 --user me --password-file pw.txt",
    )
)
@port_option(9181)
@host_option
@login_options(_VARIABLES)
@json_option
@click.pass_obj
def dashboard(
    session: Session, port: int, host: str, user: str | None, password_file: Path | None
) -> int:
    """Show the queues in a browser, until Ctrl-C.

    It is rq-dashboard, for the Redis in the settings.
    """
    login = login_of(user, password_file, _VARIABLES)
    settings = session.working_settings()
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
