"""The state of the index at one moment -> one line: whether it equals the disk, and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final

from msgspec import Struct

from indexer import errors
from indexer.reports.status import Counts, root_statuses, trouble_of
from indexer.results import status_report
from indexer.runs.lock import LockInfo, lock_info
from indexer.store import browse
from indexer.store.work import pending
from indexer.web.pool import Pool
from indexer.web.words import counted, span

_KEPT_S: Final = 1.0
"""How long one look at the roots is enough."""
_BUSY: Final = "scanning"


class Line(Struct, frozen=True):
    """What is shown. A colour never stands alone: the words say the same."""

    colour: str
    """green, amber or red."""
    text: str
    details: tuple[str, ...] = ()
    step: str = ""
    """What to do next."""
    changed_ms: int | None = None
    """When the last change was made; only where the index equals the disk."""


class Facts(Struct, frozen=True):
    """What the line is made from."""

    roots: Sequence[status_report.RootStatus] = ()
    daemon: LockInfo | None = None
    tracks: int = 0
    pending: int = 0
    pending_since_ms: int | None = None
    changed_ms: int | None = None
    now_ms: int = 0
    trouble: str = ""
    """Why changes wait that a daemon has seen."""


def line_of(facts: Facts) -> Line:
    """The worst that is true: a root is away, work waits, nothing follows the disk, or none."""
    counts = counted(facts.tracks, "track")
    if not facts.roots:
        step = "indexer rebuild FOLDER, or deploy/quickstart FOLDER"
        return Line("amber", "no folder is indexed yet", step=step)
    away = [root for root in facts.roots if root.state == "offline"]
    if away:
        why = str(away[0].reason) if isinstance(away[0].reason, str) else "is not there"
        names = ", ".join(root.name for root in away)
        note = "; not one of its tracks was dropped" if len(away) == 1 else ""
        return Line("red", f"{names} is offline{note}", (counts,), step=why)
    if facts.trouble:
        return Line("red", f"{facts.trouble}: changes wait", (counts,), "indexer doctor")
    return _working(facts, counts) or _resting(facts, counts)


def _working(facts: Facts, counts: str) -> Line | None:
    """The line while something is to be looked at; None if nothing is."""
    if facts.daemon is not None and facts.daemon.queue_trouble:
        return Line("amber", "the queues do not work", (counts,), facts.daemon.queue_trouble)
    states = {} if facts.daemon is None else facts.daemon.states
    busy = sorted(name for name, state in states.items() if state == _BUSY)
    is_running = facts.daemon is not None and facts.daemon.role in {"scan", "rebuild"}
    if not facts.pending:
        if busy or is_running:
            what = f"looking at all of {', '.join(busy)}" if busy else "a scan is running"
            return Line("amber", what, (counts,))
        return None
    waits = [counted(facts.pending, "place") + " still to be looked at"]
    if facts.pending_since_ms is not None:
        waits.append(f"for {span((facts.now_ms - facts.pending_since_ms) / 1000)}")
    step = "" if facts.daemon is not None else "nothing works on it: start watcher run"
    return Line("amber", " ".join(waits), (counts,), step)


def _resting(facts: Facts, counts: str) -> Line:
    if facts.daemon is None or facts.daemon.role != "daemon":
        step = "watcher run follows the disk; indexer scan looks once"
        return Line("amber", "nothing follows the disk", (counts,), step, facts.changed_ms)
    details = [counts]
    polled = sorted(name for name, state in facts.daemon.states.items() if state == "polling")
    if polled:
        details.append(f"{', '.join(polled)}: looked at every few minutes")
    step = ""
    if facts.daemon.unwatched_folders:
        folders = counted(facts.daemon.unwatched_folders, "folder")
        details.append(f"{folders} without a watch: looked at every few minutes")
        step = "indexer doctor"
    return Line("green", "equal to the disk", tuple(details), step, facts.changed_ms)


class Standing:
    """The line as it is now; one look for all that ask within a second."""

    def __init__(
        self,
        pool: Pool,
        disks: ThreadPoolExecutor,
        counts: Callable[[], Counts],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`disks` is the one thread that has helpers for roots whose server may hang."""
        self._pool = pool
        self._disks = disks
        self._counts = counts
        self._clock = clock
        self._lock = Lock()
        """Guards `_line`; others wait for the one that looks."""
        self._line: Line | None = None
        self._until = 0.0

    def line(self) -> Line:
        with self._lock:
            if self._line is None or self._clock() >= self._until:
                self._line = self._disks.submit(self._look).result()
                self._until = self._clock() + _KEPT_S
            return self._line

    def _look(self) -> Line:
        database = self._pool.settings.db
        try:
            counts = self._counts()
            with self._pool.reader() as lookup:
                connection = lookup.connection
                daemon = lock_info(database)
                waiting, since_ms = pending.count(connection)
                trouble = trouble_of(database, daemon)
                return line_of(
                    Facts(
                        roots=list(root_statuses(connection, daemon, counts.by_root)),
                        daemon=daemon,
                        tracks=counts.tracks,
                        pending=waiting,
                        pending_since_ms=since_ms,
                        changed_ms=browse.last_change_ms(connection),
                        now_ms=time.time_ns() // 1_000_000,
                        trouble=trouble[0] if trouble else "",
                    )
                )
        except errors.DatabaseMissing:
            return Line("amber", "nothing is indexed yet", step="indexer rebuild FOLDER")
        except errors.IndexerError as error:
            return Line("red", "the index cannot be read", step=str(error))
