"""Due hints -> work for the queues; worker results -> daemon events.

With a Redis in the settings the daemon scans and reads nothing itself: it leaves hints, has them
dispatched until they are complete, and collects incomplete files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer.model import Hint
from indexer.runs import run_counts
from indexer.runs.result import EventFacts, Result
from indexer.settings import Settings
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow
from indexer.store.sidecars.artwork import has_wanted_due
from indexer.store.work import counted, scans
from indexer.store.work.pending import PendingRow
from watcher.log import EventLog, RelayLog

if TYPE_CHECKING:
    from indexer.queue.dispatch.dispatcher import Dispatcher


_KIND: Final = "reconcile"
_MOST_IN_WORK: Final = 8
"""Each scan takes four jobs, whatever it is about: some 50 ms of one process. A guess."""


class Awaited(Struct, frozen=True):
    """A full scan of a root that is being worked on."""

    generation: int
    scan_id: int
    began: float


class QueuedWork:
    """Has one index's work done by workers."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        log: EventLog,
        is_there: Callable[[int], bool],
    ) -> None:
        """`is_there` returns whether a root's disk is there, by the root's id."""
        from indexer.queue.dispatch.dispatcher import Dispatcher  # late: it imports redis and rq

        self.left: list[tuple[int, bytes]] = []
        """(root id, path) of files that were scanned and are incomplete, since the last turn."""
        self._connection = connection
        self._settings = settings
        self._dispatcher: Dispatcher = Dispatcher(connection, settings, say=log.say)
        self._dispatcher.is_there = is_there
        self._relay_log = RelayLog(log)
        self._awaited: dict[int, Awaited] = {}
        self._is_due = True
        self._artwork_at = 0.0
        """When artwork that is due, perhaps since a job was lost, is asked for again."""
        self._in_work: set[int] = set()
        """Open generations, without those of full scans."""
        self._forget_looks()

    def close(self) -> None:
        """Close the connection to Redis."""
        self._dispatcher.close()

    @property
    def trouble(self) -> str:
        """Why nothing can be dispatched now; empty: it can."""
        return self._dispatcher.trouble or ""

    def log_relays(self, names: Collection[str]) -> None:
        """Log which relays of these roots were lost, or are back, as far as Redis tells it."""
        relays = self._dispatcher.relays(names)
        if relays is not None:
            self._relay_log.update(relays)

    def note_new_rows(self) -> None:
        """Another process completed or left rows."""
        self._is_due = True

    def next_turn(self) -> float | None:
        """When something is due, if nothing happens before."""
        if self._is_due:
            return float("-inf")
        due_at = self._dispatcher.next_turn()
        if not has_wanted_due(self._connection, self._settings):
            return due_at
        return self._artwork_at if due_at is None else min(due_at, self._artwork_at)

    @property
    def is_busy(self) -> bool:
        """Whether so much is being worked on that due hints should wait and be batched."""
        return len(self._in_work) >= _MOST_IN_WORK

    @property
    def has_work(self) -> bool:
        """Whether workers have any hint at hand that this daemon has left."""
        return bool(self._in_work) or bool(self.trouble)

    def hand(self, hints: Sequence[Hint], facts: EventFacts, *, scan_id: int = 0) -> int:
        """Have these hints scanned together; their generation, or 0: their roots were removed."""
        self._is_due = True
        generation = self._dispatcher.enqueue(hints, facts, scan_id=scan_id)
        if generation:
            self._in_work.add(generation)
        return generation

    def recover(self, root: RootRow, now: float) -> None:
        """Have all of a root scanned; `turn` reports when that is committed.

        It is a run, which is counted as those of commands are. One that changes nothing leaves no
        row in `scans`.
        """
        before = self._awaited.get(root.id)
        with write_transaction(self._connection):
            if before is not None:  # its result is not valid any more
                self._forget(before.scan_id)
            now_ms = time.time_ns() // 1_000_000
            scan_id = scans.start(self._connection, _KIND, [root.name], now_ms, alone=False)
        generation = self.hand([Hint(root.id, recursive=True)], EventFacts(), scan_id=scan_id)
        self._awaited[root.id] = Awaited(generation, scan_id, now)

    def hold(self, rows: Iterable[PendingRow]) -> None:
        """Do not dispatch these rows: their files are being written, and are incomplete."""
        self._dispatcher.hold(rows)

    def turn(self, now: float) -> Iterator[tuple[int, Result]]:
        """Dispatch what is new or lost; (root id, result) of the full scans that have ended."""
        due_at = self.next_turn()
        if due_at is None or due_at > now:
            return
        self._is_due = False
        result = self._dispatcher.tick(now)
        if now >= self._artwork_at:  # after what a change waits for
            self._artwork_at = now + self._settings.lease
            self._dispatcher.put_artwork(now)
        self.left.extend(result.left)
        everything = {awaited.generation for awaited in self._awaited.values()}
        self._in_work = set(result.generations) - everything
        for root_id, awaited in list(self._awaited.items()):
            if awaited.generation not in result.generations:
                del self._awaited[root_id]
                yield root_id, self._result(awaited, now)

    def take_left(self) -> list[tuple[int, bytes]]:
        """Return the incomplete files, once."""
        left, self.left = self.left, []
        return left

    def _result(self, awaited: Awaited, now: float) -> Result:
        """The counts of a full scan; ends its run."""
        result = run_counts.result_of(self._connection, awaited.scan_id)
        result.seconds = now - awaited.began
        with write_transaction(self._connection):
            if result.has_changes:
                scans.end(self._connection, awaited.scan_id, time.time_ns() // 1_000_000)
            else:
                scans.drop(self._connection, awaited.scan_id)
        return result

    def _forget_looks(self) -> None:
        """End the runs that a killed daemon began: workers do the rest, and do not count it."""
        left = scans.unended(self._connection, _KIND)
        if left:
            with write_transaction(self._connection):
                for scan_id in left:
                    self._forget(scan_id)

    def _forget(self, scan_id: int) -> None:
        counted.release(self._connection, scan_id)
        scans.drop(self._connection, scan_id)
