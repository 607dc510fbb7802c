"""`indexer queues ...`: list queues and failed jobs in Redis, requeue or drop jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from indexer.cli.answers import queue_table
from indexer.cli.arguments import InOrder, examples, json_option, text_argument
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import count, escaped, local_time
from indexer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from indexer.queue.failed_jobs import ActedOn
    from indexer.report import FailedJob, QueueStatus


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
    from indexer.queue import monitor

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
    from indexer.queue import failed_jobs, monitor

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
    from indexer.queue import failed_jobs

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
    from indexer.queue import failed_jobs

    return _acted(session, "dropped", lambda client: failed_jobs.drop(client, wanted))


def _wanted(ids: Sequence[str], *, everything: bool) -> Sequence[str] | None:
    if bool(ids) == everything:
        raise UsageError(
            "name the jobs, or give --all without names; their ids: indexer queues failed"
        )
    return None if everything else ids


def _acted(session: Session, verb: str, act: Callable[[Any], ActedOn]) -> int:
    settings = session.working_settings()
    from indexer.queue import monitor

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
