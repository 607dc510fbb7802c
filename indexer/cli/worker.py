"""`indexer worker`: serve the queues on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from indexer.cli.arguments import examples

if TYPE_CHECKING:
    from indexer.cli.session import Session


@click.command(epilog=examples("indexer worker", "indexer worker --queues extract --jobs 4"))
@click.option(
    "--queues",
    metavar="A,B",
    help="Serve only these of scan, extract, batch, insert, deferred. [default: all]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes read files. [default: from the profile]",
)
@click.option("--burst", is_flag=True, help="End when the queues are empty.")
@click.pass_obj
def worker(session: Session, queues: str | None, jobs: int | None, *, burst: bool) -> int:
    """Do the work of the queues, until Ctrl-C or SIGTERM.

    Another machine helps with --queues extract: it needs access to Redis, and in its config the
    folder at which each root is mounted. All other queues are served where the database is.
    """
    from indexer.ignore_files import path_filter_of
    from indexer.queue import supervisor as parent
    from indexer.queue.profiles import QUEUES, worker_roles
    from indexer.queue.redis_client import connect

    settings = session.settings()
    connect(settings).close()  # report a wrong address at once
    served = QUEUES if queues is None else tuple(filter(None, map(str.strip, queues.split(","))))
    parent.run(
        settings, path_filter_of(settings), worker_roles(settings, served, jobs), burst=burst
    )
    return 0
