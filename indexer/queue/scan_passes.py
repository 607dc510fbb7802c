"""The hints of one generation -> chunks, in slices; and their end, when nothing is left to do.

A scan in one process knows when all that it found was inserted. Here the inserts are done by
others, in any order. So all hints of a generation are scanned again when their chunks are done,
until a pass finds nothing to do: only then do rows go missing and are the hints settled. What was
inserted is unchanged in the next pass, so no file is read twice. `pending` alone says how far a
generation is, and a pass that is lost is begun again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.roots.open_roots import OpenRoots
from indexer.runs import run_counts
from indexer.runs.result import EventFacts
from indexer.settings import Settings
from indexer.stages.finish import MissingMarker, close_hints, finish
from indexer.stages.hard_links import links_of_sidecars
from indexer.stages.rows import Rows
from indexer.stages.scan import Plan, Scan, ScanOptions, left_open_of
from indexer.store import roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.work import counted, pending
from indexer.store.work.pending import PendingRow

_CHUNK_BYTES: Final = 512 * 1024
"""The most that the files of one job take as JSON."""
_FULL: Final = 0.85
"""A chunk ends with a folder when it is so full: a job costs the same, however little is in it."""
_FIRST: Final = 0
_LAST: Final = 2
"""The pass that ends a generation whatever it finds: new chunks in the first, files that stand in
the place of others in the second, which is the first that reads these: so both try again what the
machine could not read. What changes later has hints of its own, so a program that writes all the
time does not put the end off."""


class Planned(Struct, frozen=True):
    """One chunk, and the pending row that stands for it."""

    plan: Plan
    row: PendingRow
    everything: bool


class Pass:
    """One scan of all hints of a generation. Iterate over `steps`, then call `end`."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        path_filter: PathFilter,
        rows: Sequence[PendingRow],
        open_trees: OpenRoots,
        facts: EventFacts,
    ) -> None:
        """`rows` are all rows of the generation; hints of roots that are away are left alone."""
        self.seen = 0
        self.planned = 0
        self.chunks = 0
        self.answered_too: set[tuple[int, int]] = set()
        """(generation, run) of what its end has answered, too."""
        self._connection = connection
        self._settings = settings
        self._guarded = open_trees
        self._hints = [
            row for row in rows if not row.is_chunk and row.hint.root_id in open_trees.trees
        ]
        self._generation = rows[0].generation
        self._before = pending.newest_id(connection)
        """What stood there when this pass began; of older generations, it has been answered."""
        self.trees = open_trees.trees
        self.is_everything = any(_is_everything(row.hint) for row in self._hints)
        self.scan_id = max((row.scan_id for row in self._hints), default=0)
        self._number = min((row.passes for row in self._hints), default=_LAST)
        in_work: dict[int, set[bytes]] = {}
        for row in rows:
            if row.is_chunk:
                in_work.setdefault(row.hint.root_id, set()).update(
                    paths.join(row.hint.folder, name) for name in row.hint.names or ()
                )
        self._in_work = in_work
        self._scans = [self._scan(row, facts, path_filter) for row in self._hints]
        self._answered_before = {
            row.scan_id: run_counts.answered(connection, row.scan_id)
            for row in self._hints
            if row.scan_id and self._number == _FIRST
        }
        names = {tree.root_id: tree.name for tree in open_trees.trees.values()}
        self._absence = MissingMarker(
            connection,
            open_trees.trees,
            path_filter,
            Rows(connection, names),
            copy_window=settings.copy_window,
        )

    def close(self) -> None:
        """Let the disks go."""
        self._guarded.close()

    def steps(self) -> Iterator[Planned | None]:
        """Each chunk, once it is durable; None now and then, where nothing is found for long."""
        for row, scan in zip(self._hints, self._scans, strict=True):
            for plan in scan.plans():
                yield self._durable(row, scan, plan)
        if self._number > _FIRST:
            for row, scan in zip(self._hints, self._scans, strict=True):
                for plan in scan.late_plans():
                    yield self._durable(row, scan, plan)
        self._report()

    def end(self) -> None:
        """Settle the generation, or leave it for the next pass. Pictures are written at once.

        Hints that have nothing to wait for are settled while their chunks are still in work: from
        then on these stand for them.
        """
        now_ms = _now_ms()
        changes = [change for scan in self._scans for change in scan.sidecars.take()]
        links = links_of_sidecars(self._connection, changes, everything=self.is_everything)
        if links:
            enqueue_links_now(self._connection, now_ms, links)
        self._absence.note_sidecars(changes)
        waits = any(self._has_to_wait(scan) for scan in self._scans)
        if not (self.chunks or self._has_late()) or self._number >= _LAST:
            self._finish(now_ms)
            return
        with write_transaction(self._connection):
            self._count_seen()
            if waits:
                pending.count_pass(self._connection, self._generation)
            else:
                self._close_hints(now_ms)

    def _scan(self, row: PendingRow, facts: EventFacts, path_filter: PathFilter) -> Scan:
        root_id = row.hint.root_id
        unfinished = facts.of_root(facts.unfinished, root_id)
        is_everything = _is_everything(row.hint)
        most = self._settings.chunk_files if is_everything else self._settings.queue_live_files
        most = min(most, self._settings.chunk_files)
        return Scan(
            self._connection,
            self._guarded.trees,
            row.hint,
            path_filter,
            ScanOptions(
                most,
                _CHUNK_BYTES,
                least_files=int(most * _FULL),
                breathes=True,
                retries_trouble=self._number < _LAST,
            ),
            unfinished=unfinished | self._in_work.get(root_id, set()),
        )

    def _durable(self, row: PendingRow, scan: Scan, plan: Plan) -> Planned | None:
        self._report()
        if not plan.names:
            return None
        if self._number >= _LAST:
            scan.left_open.extend(plan.names)
            return None
        hint = Hint(plan.root_id, b"", plan.names, reread=plan.reread)
        with write_transaction(self._connection):
            if not roots.is_watched(self._connection, plan.root_id):
                return None
            scan_id = counted.run_of(self._connection, row) if row.scan_id else 0
            chunk = pending.add_chunk(
                self._connection, hint, row.generation, _now_ms(), scan_id=scan_id
            )
        self.chunks += 1
        self.planned += len(plan.read)
        return Planned(plan, chunk, _is_everything(row.hint))

    def _report(self) -> None:
        self.seen = sum(scan.seen for scan in self._scans)

    def _has_late(self) -> bool:
        return self._number == _FIRST and any(scan.has_late_plans for scan in self._scans)

    def _has_to_wait(self, scan: Scan) -> bool:
        """Whether something is to be done for a hint when all its chunks are inserted."""
        late = self._number == _FIRST and scan.has_late_plans
        return bool(late or scan.vanished or scan.unlisted or scan.resolved_problems)

    def _count_seen(self) -> None:
        """Count what was seen once, in the transaction that ends the first pass."""
        if not self._answered_before:
            return
        looked = [
            (counted.run_of(self._connection, row), scan)
            for row, scan in zip(self._hints, self._scans, strict=True)
        ]
        for scan_id, answered_before in self._answered_before.items():
            own = [scan for run, scan in looked if run == scan_id]
            if own:
                run_counts.count_listing(
                    self._connection,
                    scan_id,
                    sum(scan.seen for scan in own),
                    sum(scan.unchanged for scan in own),
                    answered_before=answered_before,
                )

    def _finish(self, now_ms: int) -> None:
        """Mark what is missing, write down what could not be listed, and settle the hints."""
        vanished = [track_id for scan in self._scans for track_id in scan.vanished]
        done = finish(
            self._connection,
            self._absence,
            self._scans,
            vanished,
            now_ms,
            note_links=partial(enqueue_links_now, self._connection, now_ms),
            everything=self.is_everything,
        )
        with write_transaction(self._connection):
            self._count_seen()
            hints = (counted.run_of(self._connection, row) for row in self._hints)
            scan_id = max(hints, default=0)
            run_counts.count_missing(self._connection, done.missing, scan_id)
            run_counts.count_moved(self._connection, done.moved, scan_id)
            run_counts.count_unlisted(self._connection, done.problems, scan_id)
            self._close_hints(now_ms)

    def _close_hints(self, now_ms: int) -> None:
        """Close the hints, and all older rows that their scan has answered."""
        closed = close_hints(
            self._connection,
            self._hints,
            [row.hint for row in self._hints],
            self._before,
            before_generation=self._generation,
            scan_id=self.scan_id,
            left_open=left_open_of(self._scans),
        )
        run_counts.count_closed(self._connection, closed)
        self.answered_too = {(one.row.generation, one.row.scan_id) for one in closed}
        for row, scan in zip(self._hints, self._scans, strict=True):
            root_id = row.hint.root_id
            left = set(scan.left_open) - self._in_work.get(root_id, set())
            if left and roots.is_watched(self._connection, root_id):
                names = Hint(root_id, b"", tuple(sorted(left)), reread=row.hint.reread)
                if row.scan_id:
                    chunk = pending.add_chunk(
                        self._connection, names, self._generation, now_ms, scan_id=row.scan_id
                    )
                    run_counts.retry_later(self._connection, chunk, now_ms)
                    continue
                pending.retry_later(
                    self._connection, pending.enqueue(self._connection, names, now_ms)
                )


def enqueue_links(connection: Connection, links: set[tuple[int, bytes]], now_ms: int) -> None:
    """Have other names of changed files looked at; in the transaction of the change."""
    by_root: dict[int, list[bytes]] = {}
    for root_id, path in sorted(links):
        by_root.setdefault(root_id, []).append(path)
    if by_root:
        hints = [Hint(root_id, b"", tuple(names)) for root_id, names in by_root.items()]
        pending.enqueue_all(connection, hints, now_ms)


def enqueue_links_now(connection: Connection, now_ms: int, links: set[tuple[int, bytes]]) -> None:
    """The same in a transaction of its own."""
    with write_transaction(connection):
        enqueue_links(connection, links, now_ms)


def _is_everything(hint: Hint) -> bool:
    return hint.recursive and not hint.folder


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
