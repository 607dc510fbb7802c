"""`indexer worker`: serve the queues on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from indexer.cli.arguments import at_least, examples
from indexer.cli.output import say
from indexer.cli.terminal import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.cli.session import Session
    from indexer.queue.profiles import WorkerRole


@click.command(epilog=examples("indexer worker", "indexer worker --queues extract --jobs 4"))
@click.option(
    "--queues",
    metavar="A,B",
    help="Serve only these of scan, extract, batch, insert, deferred. [default: all]",
)
@click.option(
    "--jobs",
    type=at_least(1),
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
    from indexer.queue.redis_client import connect, shown

    settings = session.working_settings()
    connect(settings).close()  # report a wrong address at once
    served = QUEUES if queues is None else tuple(filter(None, map(str.strip, queues.split(","))))
    roles = worker_roles(settings, served, jobs)
    say(serving_line(roles, shown(settings), burst=burst))
    parent.run(settings, path_filter_of(settings), roles, burst=burst)
    return 0


def serving_line(roles: Sequence[WorkerRole], address: str, *, burst: bool) -> str:
    """Which queues are served, by how many processes, where, and until when."""
    queues = list(dict.fromkeys(queue for role in roles for queue in role.queues))
    readers = sum(role.reads for role in roles)
    reading = f", {count(readers, 'process', 'processes')} reading files" if readers else ""
    end = (
        "ends when they are empty" if burst else "Ctrl-C stops; a job that is cut off is done again"
    )
    return f"serves {', '.join(queues)} of {address}{reading}; {end}"
