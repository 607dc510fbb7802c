"""Orders to scan -> chunks for the readers, slice by slice, so that nothing else waits for long."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from indexer import errors, paths
from indexer.disk.tree import Tree
from indexer.evidence import chunk_of
from indexer.queue.generations import GenerationTracker
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import (
    BatchOrder,
    ExtractOrder,
    Origin,
    PathText,
    ScanOrder,
    files_of,
)
from indexer.queue.orders.queues import chunk_job
from indexer.queue.scan_passes import Pass, Planned, enqueue_links_now
from indexer.queue.workers.index_context import IndexContext, files_text, now_ms
from indexer.runs import run_counts
from indexer.runs.result import EventFacts
from indexer.runs.throughput import Step
from indexer.runs.wakeup import wake
from indexer.stages.finish import MissingMarker, finish
from indexer.stages.rows import Rows
from indexer.stages.scan import Plan, Scan, ScanOptions, joined
from indexer.store.connection import write_transaction
from indexer.store.work import pending
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    from indexer.store.work.pending import PendingRow

_SLICE_S: Final = 0.2
"""How long a scan goes on before it lets other jobs have their turn: what is inserted meanwhile
waits for so long at the most. A slice costs RQ's 5 ms."""


class _Running(Struct):
    """A scan between two slices."""

    scan: Pass
    steps: Iterator[Planned | None]
    order: ScanOrder
    """The one that it began with, which has the facts."""


def run(scanner: Scanner, raw: msgspec.Raw) -> None:
    """Do one slice of a scan. `raw` is a `ScanOrder` as JSON."""
    scanner.scan(raw)


class Scanner:
    """Does the scan jobs of one index, and keeps in memory how far each scan is."""

    def __init__(self, context: IndexContext, tracker: GenerationTracker) -> None:
        self._context = context
        self._tracker = tracker
        self._running: dict[int, _Running] = {}
        """Scans that wait for their next slice, by generation. Redis knows only that they do."""

    def close(self) -> None:
        """Let the disks go of all scans that wait."""
        for running in self._running.values():
            running.scan.close()

    def scan(self, raw: msgspec.Raw) -> None:
        """One slice of a scan; what is left of it is enqueued behind whatever waits."""
        order: ScanOrder = read_order(raw, ScanOrder)
        self._context.check(order.index)
        if order.row:
            row = pending.get(self._context.connection, order.row)
            if row is not None and row.generation == order.generation:
                self._ask_again(row, order)
            return
        running = self._running.pop(order.generation, None)
        if running is not None and order.slice == 0:
            running.scan.close()  # it was dispatched again, since it showed no sign of life
            running = None
        if running is None:
            begun = self._begin(order)
            if begun is None:
                return
            running = _Running(begun, begun.steps(), order)
        self._go_on(order, running)

    def _begin(self, order: ScanOrder) -> Pass | None:
        rows = pending.of_generation(self._context.connection, order.generation)
        if all(row.is_chunk for row in rows):
            return None
        if any(row.is_chunk and not row.attempts for row in rows) and any(
            row.passes for row in rows if not row.is_chunk
        ):
            return None  # the last of these chunks asks for the next pass
        open_trees = self._context.look_at_roots((row.hint for row in rows), mounts_too=True)
        facts = EventFacts(_files(order.closed), _files(order.unfinished))
        return Pass(
            self._context.connection,
            self._context.settings,
            self._context.path_filter,
            rows,
            open_trees,
            facts,
        )

    def _go_on(self, order: ScanOrder, running: _Running) -> None:
        scan, seen = running.scan, running.scan.seen
        try:
            ended = self._slice(running)
            if ended:
                scan.end()
        except errors.RootSilent:
            scan.close()
            begun = self._begin(running.order)  # without the root that does not answer
            if begun is not None:
                self._go_on(order, _Running(begun, begun.steps(), running.order))
            return
        except BaseException:
            scan.close()
            raise
        self._context.rates.count(Step.DISCOVERY, scan.seen - seen)
        if scan.is_everything:
            self._context.queues.note_scan(order.generation, scan.seen, scan.planned)
        if not ended:
            self._put_off(order, running)
            return
        self._context.rates.add_totals(cache_hits=max(0, scan.seen - scan.planned))
        scan.close()
        for generation, scan_id in {(order.generation, scan.scan_id), *scan.answered_too}:
            self._tracker.advance(generation, scan_id)

    def _slice(self, running: _Running) -> bool:
        """Go on for a while, as long as the queues have room; whether it came to the end."""
        until = time.monotonic() + _SLICE_S
        for planned in running.steps:
            if planned is not None:
                self._hand_out(running, planned)
                if self._context.queues.files_held() >= self._context.settings.queue_files:
                    return False
            if time.monotonic() > until:
                return False
        return True

    def _put_off(self, order: ScanOrder, running: _Running) -> None:
        """Keep a scan for its next slice: at once, or when the queues hold fewer files."""
        self._running[order.generation] = running
        following = ScanOrder(
            index=self._context.token,
            generation=order.generation,
            turn=order.turn,
            slice=order.slice + 1,
        )
        if self._context.queues.files_held() >= self._context.settings.queue_files:
            self._context.queues.park(order.generation, order.turn, order.slice + 1)
            self._tracker.unpark()  # readers may have emptied the queues meanwhile
        else:
            self._tracker.put_scan(following, running.scan.seen)

    def _hand_out(self, running: _Running, planned: Planned) -> None:
        order = running.order
        tree = running.scan.trees[planned.plan.root_id]
        closed = frozenset(path.raw for root_id, path in order.closed if root_id == tree.root_id)
        self._put_plan(
            planned.plan,
            planned.row,
            tree,
            0,
            closed,
            everything=planned.everything,
        )

    def _ask_again(self, row: PendingRow, order: ScanOrder) -> None:
        """Scan the names of one row again, of which the answer was lost, or not whole."""
        with suppress(errors.RootSilent):  # it waits until its root is back
            self._ask_again_now(row, order)

    def _ask_again_now(self, row: PendingRow, order: ScanOrder) -> None:
        open_trees = self._context.look_at_roots([row.hint])
        try:
            tree = open_trees.trees.get(row.hint.root_id)
            if tree is None:
                return
            most = len(row.hint.names or ()) + 1
            scan = Scan(
                self._context.connection,
                open_trees.trees,
                row.hint,
                self._context.path_filter,
                ScanOptions(most),
            )
            plans = [*scan.plans(), *scan.late_plans()]
            rows = Rows(self._context.connection, {tree.root_id: tree.name})
            absence = MissingMarker(
                self._context.connection,
                open_trees.trees,
                self._context.path_filter,
                rows,
                copy_window=self._context.settings.copy_window,
            )
            done = finish(
                self._context.connection,
                absence,
                [scan],
                scan.vanished,
                now_ms(),
                note_links=partial(enqueue_links_now, self._context.connection, now_ms()),
                announces=False,
            )
            if done.missing or done.moved:
                with write_transaction(self._context.connection):
                    run_counts.count_missing(self._context.connection, done.missing, row.scan_id)
                    run_counts.count_moved(self._context.connection, done.moved, row.scan_id)
            if not plans:
                with write_transaction(self._context.connection):
                    if pending.complete(self._context.connection, row):
                        run_counts.count_unplanned(self._context.connection, row, scan.unchanged)
                self._tracker.advance(row.generation, row.scan_id)
                wake(self._context.settings.db)
                return
            whole = joined(row.hint, plans)
            self._put_plan(whole, row, tree, order.turn, frozenset(), everything=False)
        finally:
            open_trees.close()

    def _put_plan(
        self,
        plan: Plan,
        row: PendingRow,
        tree: Tree,
        turn: int,
        closed: frozenset[bytes],
        *,
        everything: bool,
    ) -> None:
        """Hand a chunk to the readers; to the next stage where nothing in it is to be read."""
        origin = Origin(
            index=self._context.token,
            row=row.id,
            generation=row.generation,
            root=tree.name,
            root_id=tree.root_id,
            files=len(row.hint.names or ()),
            turn=turn,
            reread=plan.reread,
            scan=row.scan_id,
            everything=everything,
        )
        unread = files_of(plan.unread)
        if not plan.read:
            self._context.queues.put_batch(BatchOrder(origin=origin, unread=unread))
            return
        chunk = chunk_of(tree, plan.read, self._context.settings, closed)
        in_order = {entry.path: entry for entry in plan.read}
        order = ExtractOrder(
            origin=origin,
            root_path=PathText.of(tree.path),
            files=files_of(in_order[path] for path in chunk.paths),
            unread=unread,
            evidence=chunk.evidence,
            follow_links=chunk.follow_links,
            closed=tuple(map(PathText.of, sorted(chunk.closed))),
            keep_tags=tuple(sorted(chunk.keep_tags)),
            reader=READER_VERSION,
        )
        where = PathText.of(paths.parent_of(plan.read[0].path)).path or tree.name
        self._context.queues.put(
            "extract",
            order,
            job_id=chunk_job("extract", row.id, origin.files, turn),
            description=f"extract {files_text(len(plan.read))} in {where}",
            timeout_s=None,  # the pool of the worker has a limit for each file
        )


def _files(files: Iterable[tuple[int, PathText]]) -> frozenset[tuple[int, bytes]]:
    return frozenset((root_id, path.raw) for root_id, path in files)
