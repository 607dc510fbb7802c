"""`indexer queues ...` and `indexer worker`: what is in Redis, and the processes that serve it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from indexer.cli.arguments import InOrder, at_least, examples, json_option, text_argument
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.status_lines import queue_table
from indexer.cli.terminal import count, escaped, local_time
from indexer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from indexer.cli.session import Session
    from indexer.queue.monitoring.failed_jobs import ActedOn
    from indexer.queue.workers.profiles import WorkerRole
    from indexer.results.report import FailedJob
    from indexer.results.status_report import QueueStatus


@click.group(
    cls=InOrder,
    invoke_without_command=True,
    epilog=examples("indexer queues", "indexer queues failed --json | jq -r .traceback"),
)
@json_option
@click.pass_context
def queues(context: click.Context) -> int:
    """Show the queues in Redis; requeue or drop jobs that failed."""
    return _list_queues(context.obj) if context.invoked_subcommand is None else 0


@queues.command("list", epilog=examples("indexer queues list", "indexer queues list --json"))
@json_option
@click.pass_obj
def queues_list(session: Session) -> int:
    """List the queues: waiting jobs, their age, and workers."""
    return _list_queues(session)


def _list_queues(session: Session) -> int:
    settings = session.working_settings()
    from indexer.queue.monitoring import monitor

    with monitor.connected(settings) as client:
        found = monitor.queue_statuses(client, time.time())
    if session.as_json:
        session.output.rows(found, None)
    else:
        session.output.lines(_queue_lines(found))
    return 0


def _queue_lines(found: Sequence[QueueStatus]) -> Iterator[str]:
    yield from queue_table(found)
    if any(queue.queued and not queue.workers for queue in found):
        yield "some have no worker: start indexer worker"
    if any(queue.failed for queue in found):
        yield "some jobs failed: see indexer queues failed"


@queues.command(
    "failed",
    epilog=examples("indexer queues failed", "indexer queues failed --json | jq -r .traceback"),
)
@json_option
@click.pass_obj
def queues_failed(session: Session) -> int:
    """List the jobs that failed, the latest first, and why."""
    settings = session.working_settings()
    from indexer.queue.monitoring import failed_jobs, monitor

    with monitor.connected(settings) as client:
        found = failed_jobs.list_failed(client)
    session.answer_rows(found, _failed_line)
    if not found and not session.as_json:
        session.output.lines(["no failed jobs"])
    return 0


def _failed_line(job: FailedJob) -> str:
    when = local_time(job.failed_at) if job.failed_at else "at an unknown time"
    parts = (when, job.queue, escaped(job.id), escaped(job.description), escaped(job.error))
    return "  ".join(part for part in parts if part)


@queues.command(
    "requeue",
    epilog=examples("indexer queues requeue extract-7-87-0", "indexer queues requeue --all"),
)
@click.argument("ids", nargs=-1, type=text_argument, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All failed jobs.")
@json_option
@click.pass_obj
def queues_requeue(session: Session, ids: Sequence[str], *, everything: bool) -> int:
    """Put jobs that failed back into their queues.

    Their ids: indexer queues failed. Exit code 1: there is no such job.
    """
    wanted = _wanted(ids, everything=everything)
    from indexer.queue.monitoring import failed_jobs

    return _acted(session, "requeued", lambda client: failed_jobs.requeue(client, wanted))


@queues.command(
    "drop",
    epilog=examples("indexer queues drop extract-7-87-0", "indexer queues drop --all"),
)
@click.argument("ids", nargs=-1, type=text_argument, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All failed jobs.")
@json_option
@click.pass_obj
def queues_drop(session: Session, ids: Sequence[str], *, everything: bool) -> int:
    """Delete jobs that failed. The music and the index are not changed.

    Their ids: indexer queues failed. Exit code 1: there is no such job.
    """
    wanted = _wanted(ids, everything=everything)
    from indexer.queue.monitoring import failed_jobs

    return _acted(session, "dropped", lambda client: failed_jobs.drop(client, wanted))


def _wanted(ids: Sequence[str], *, everything: bool) -> Sequence[str] | None:
    if bool(ids) == everything:
        raise UsageError(
            "name the jobs, or give --all without names; their ids: indexer queues failed"
        )
    return None if everything else ids


def _acted(session: Session, verb: str, act: Callable[[Any], ActedOn]) -> int:
    settings = session.working_settings()
    from indexer.queue.monitoring import monitor

    with monitor.connected(settings) as client:
        outcome = act(client)
    session.answer({verb: outcome.done}, [f"{count(outcome.done, 'job')} {verb}"])
    for job_id in outcome.unknown:
        say(f"{job_id}: no failed job has this id; see indexer queues failed")
    for job_id in outcome.unreadable:
        say(f"{job_id}: it is incomplete and cannot be requeued; drop it")
    if outcome.unreadable:
        return 3
    return 1 if outcome.unknown else 0


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
@json_option
@click.pass_obj
def worker(session: Session, queues: str | None, jobs: int | None, *, burst: bool) -> int:
    """Do the work of the queues, until Ctrl-C or SIGTERM.

    Another machine helps with --queues extract: it needs access to Redis, and in its config the
    folder at which each root is mounted. All other queues are served where the database is.
    """
    from indexer.ignore_files import path_filter_of
    from indexer.queue.redis_client import connect, shown
    from indexer.queue.workers import supervisor as parent
    from indexer.queue.workers.profiles import QUEUES, worker_roles

    session.make_absolute()
    present = session.present_settings()
    settings = session.working_settings()
    connect(settings).close()  # report a wrong address at once
    served = QUEUES if queues is None else tuple(filter(None, map(str.strip, queues.split(","))))
    roles = worker_roles(settings, served, jobs)
    serving_now = serving(roles, shown(settings))
    if session.as_json:
        session.output.json(serving_now)
        session.output.flush()
    with session.nonblocking_stderr():
        if not session.as_json:
            say(serving_line(serving_now, burst=burst))
        parent.run(settings, path_filter_of(settings), roles, present, burst=burst)
    return 0


class Serving(Struct, frozen=True):
    """What a worker serves."""

    queues: tuple[str, ...]
    redis: str
    readers: int
    """Processes that read files."""


def serving(roles: Sequence[WorkerRole], address: str) -> Serving:
    queues = dict.fromkeys(queue for role in roles for queue in role.queues)
    return Serving(tuple(queues), address, sum(role.reads for role in roles))


def serving_line(serving_now: Serving, *, burst: bool) -> str:
    """The same for a person, and until when."""
    processes = count(serving_now.readers, "process", "processes")
    reading = f", {processes} reading files" if serving_now.readers else ""
    end = (
        "ends when they are empty" if burst else "Ctrl-C stops; a job that is cut off is done again"
    )
    return f"serves {', '.join(serving_now.queues)} of {serving_now.redis}{reading}; {end}"
