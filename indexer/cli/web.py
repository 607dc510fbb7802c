"""`indexer web`: serve pages about the index until Ctrl-C or SIGTERM."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.cli.arguments import examples, json_option
from indexer.cli.login import host_option, login_of, login_options, port_option
from indexer.cli.session import Session
from indexer.cli.terminal import escaped

_VARIABLES = "INDEXER_WEB"


@click.command(
    epilog=examples("indexer web", "indexer web --host 0.0.0.0 --user music --password-file pw.txt")
)
@port_option(8787)
@host_option
@login_options(_VARIABLES)
@json_option
@click.pass_obj
def web(
    session: Session, port: int, host: str, user: str | None, password_file: Path | None
) -> int:
    """Show the index in a browser, until Ctrl-C.

    Search, albums with covers, what is new, and whether the index equals the disk. It only reads.
    """
    login = login_of(user, password_file, _VARIABLES)
    settings = session.working_settings()
    from indexer.web.program import opened

    with opened(settings, host, port, login) as served:
        session.answer({"url": served.url}, [f"Page: {escaped(served.url)}"])
        session.output.flush()
        served.serve()
    return 0
