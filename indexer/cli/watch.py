"""A series of statuses -> a live view: progress, a bar for each queue, rates."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from indexer.cli.output import can_redraw
from indexer.cli.status_lines import rate_text
from indexer.cli.terminal import byte_size, count, escaped, number, time_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from indexer.cli.session import Session
    from indexer.results.status_report import QueueStatus, Status

_EVERY_S: Final = 1.0
_BAR_WIDTH: Final = 32
_FULL_AT: Final = 25
"""Jobs of a full bar: about as many as a scan keeps in a queue. A guess."""


def follow(session: Session, ask: Callable[[], Status]) -> int:
    """Show the status that `ask` returns, repeatedly, until Ctrl-C or until stdout is closed."""
    if session.as_json or not (can_redraw() and sys.stdout.isatty()):
        session.answer_rows(_moments(ask, session.output.reader_gone), plain_line, at_once=True)
        return 0
    from rich.live import Live

    from indexer.cli.progress import visible_cursor

    with Live(view(ask()), console=visible_cursor(sys.stdout), auto_refresh=False) as live:
        while True:
            time.sleep(_EVERY_S)
            live.update(view(ask()), refresh=True)


def _moments(ask: Callable[[], Status], stop: Callable[[], bool]) -> Iterator[Status]:
    while not stop():
        yield ask()
        time.sleep(_EVERY_S)


def plain_line(status: Status) -> str:
    waiting = sum(queue.queued + queue.started for queue in status.queues.values())
    failed = sum(queue.failed for queue in status.queues.values())
    return (
        f"{count(status.tracks, 'track')}, {number(status.pending)} pending, {rate_text(status)}; "
        f"{count(waiting, 'job')} in the queues, {number(failed)} failed"
    )


def view(status: Status) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Text(
        f"{count(status.tracks, 'track')}, {number(status.pending)} pending"
        + ("" if status.daemon.running else ", no daemon")
    )
    parts: list[RenderableType] = [
        head,
        *(
            Text(f"{escaped(root.name)}  {root.state}  {count(root.tracks, 'track')}")
            for root in status.roots
        ),
    ]
    if status.redis is not None and not status.redis.answers:
        parts.append(Text(escaped(status.redis.detail or ""), style="red"))
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=8)
    table.add_column(width=_BAR_WIDTH)
    table.add_column()
    for queue in status.queues.values():
        jobs = queue.queued + queue.started
        bar = ProgressBar(total=_FULL_AT, completed=min(jobs, _FULL_AT), width=_BAR_WIDTH)
        table.add_row(queue.name, bar, Text(_queue_text(queue)))
    if status.queues:
        parts.append(table)
    parts.append(Text(f"last minute  {rate_text(status)}"))
    memory = sum(one.memory for one in status.processes)
    if status.processes:
        held = f"{byte_size(memory)} in {count(len(status.processes), 'process', 'processes')}"
        if status.redis is not None and status.redis.memory is not None:
            held += f", Redis {byte_size(status.redis.memory)}"
        parts.append(Text(held))
    return Group(*parts)


def _queue_text(queue: QueueStatus) -> str:
    text = f"{number(queue.queued)} queued, {number(queue.started)} in work"
    if queue.oldest_seconds is not None:
        text += f", oldest {time_span(queue.oldest_seconds)}"
    if queue.failed:
        text += f", {number(queue.failed)} failed"
    if not queue.workers:
        text += ", no worker serves it"
    return text
