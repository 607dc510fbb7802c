"""What the index, its roots and its daemon say of one moment -> what is not well, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET

from indexer import report
from indexer.runs.lock import LockInfo
from indexer.store.problems import InIndex


def lines(
    found: InIndex, roots: Sequence[report.RootStatus], dispatcher: LockInfo | None
) -> Iterator[report.HealthLine]:
    """What is not well, the worst first. Nothing: all is well."""
    yield from _of_roots(roots, {} if dispatcher is None else dispatcher.away_since_ms)
    if dispatcher is not None and dispatcher.queue_trouble:
        yield _line("fault", "nothing can be given to the queues now; it stays pending", None)
    if found.waiting:
        yield _line(
            "fault",
            f"{_count(found.waiting, 'place')} pending for more than 15 minutes",
            found.waiting_since_ms,
        )
    if dispatcher is not None and dispatcher.unwatched_folders:
        folders = _count(dispatcher.unwatched_folders, "folder")
        yield _line(
            "warning",
            f"{folders} cannot be watched, and are looked at now and then",
            dispatcher.unwatched_since_ms or None,
        )
    if found.new_problems:
        files = _count(found.new_problems, "new problem")
        yield _line(
            "warning",
            f"{files} in the last 24 hours: see indexer problems",
            found.problems_since_ms,
        )


def _of_roots(
    roots: Sequence[report.RootStatus], since_ms: dict[str, int]
) -> Iterator[report.HealthLine]:
    for root in roots:
        at_ms = since_ms.get(root.name)
        if root.state == "offline":
            yield _line("fault", f"root {root.name} is offline", at_ms)
        elif root.reason is not UNSET and root.reason:
            yield _line("warning", f"root {root.name}: a disk of it seems to be away", at_ms)


def _line(level: str, text: str, since_ms: int | None) -> report.HealthLine:
    since = None if since_ms is None else report.iso(since_ms)
    return report.HealthLine(level=level, text=text, since=since)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
