"""Orders to scan, batch and insert -> the stages' own work, in the process that owns the database.

Each handler does one job of RQ: it takes the order out of the job, calls the stage, and hands the
next stage its order. What a job leaves undone stands in `pending`, so none of them has to be told
that another one failed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from indexer import errors, paths
from indexer.engine import guard
from indexer.engine.batches import InsertOrder, plan_of, readings_of
from indexer.engine.bell import ring
from indexer.engine.chunks import chunk_of
from indexer.engine.facts import Facts
from indexer.engine.guard import Guarded
from indexer.engine.jobs import read_order
from indexer.engine.memory import give_back
from indexer.engine.messages import (
    BatchOrder,
    ExtractOrder,
    Origin,
    PathText,
    ScanOrder,
    files_of,
)
from indexer.engine.passes import Pass, Planned, leave_twins
from indexer.engine.queues import Queues, chunk_job, scan_job
from indexer.engine.rates import Rates, Step
from indexer.engine.twins import twins_of, twins_of_replaced
from indexer.stages.absence import Absence
from indexer.stages.batch import Batch, batch
from indexer.stages.insert import Inserter, Written
from indexer.stages.outcome import Outcome
from indexer.stages.rows import Rows
from indexer.stages.scan import Plan, Scan
from indexer.store import pending, roots, scans
from indexer.store.connection import open_index, size_cache, write_transaction
from indexer.store.identity import token_of
from indexer.tree import Tree
from indexer.wanted import Wanted

if TYPE_CHECKING:
    import redis

    from indexer.engine.jobs import Handler
    from indexer.settings import Settings
    from indexer.store.pending import PendingRow

_SLICE_S: Final = 0.05
"""How long a scan goes on before it lets other jobs have their turn. A guess."""
_RESUME_BELOW: Final = 0.5
"""A scan that waits goes on when the queues hold less than this part of `queue_files`. A guess."""
_JOB_S: Final = 600
"""The longest that a job of ours may take: far more than any does on a slow card. A guess."""
_A_FILE_S: Final = 1.0
"""How much longer a job may take for each file in it."""
_TURNS_A_PASS: Final = 1_000
"""So that no two passes of a generation have jobs of the same id, however often one is lost."""
_MUCH: Final = 2_000
"""Chunks' files after which memory is given back, when there is nothing else to do. A guess."""


class _Running(Struct):
    """A scan between two slices."""

    scan: Pass
    steps: Iterator[Planned | None]
    order: ScanOrder
    """The one that it began with, which has the facts."""


class Owner:
    """Does the work of the queues that need the database."""

    def __init__(self, settings: Settings, wanted: Wanted, client: redis.Redis) -> None:
        self._settings = settings
        self._wanted = wanted
        self._queues = Queues(client)
        self._rates = Rates(client)
        self._connection = open_index(
            settings.db,
            write=True,
            group=settings.group,
            busy_timeout_s=settings.busy_timeout,
        )
        self._token = token_of(self._connection)
        self._running: dict[int, _Running] = {}
        """Scans that wait for their next slice, by generation. Redis knows only that they do."""
        self._inserted = 0

    def close(self) -> None:
        """Close the database."""
        for running in self._running.values():
            running.scan.close()
        self._connection.close()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Queue -> what does its work."""
        return {
            "scan": self.scan,
            "batch": self.batch,
            "insert": self.insert,
            "deferred": self.tidy,
        }

    # Scan

    def scan(self, raw: msgspec.Raw) -> None:
        """One slice of a scan; what is left of it is enqueued behind whatever waits."""
        order: ScanOrder = read_order(raw, ScanOrder)
        self._check(order.index)
        if order.row:
            row = pending.get(self._connection, order.row)
            if row is not None and row.generation == order.generation:
                self._ask_again(row, order)
            return
        running = self._running.pop(order.generation, None)
        if running is not None and order.slice == 0:
            running.scan.close()  # it was given out anew, since nobody heard of it any more
            running = None
        if running is None:
            begun = self._begin(order)
            if begun is None:
                return
            running = _Running(begun, begun.steps(), order)
        self._go_on(order, running)

    def _begin(self, order: ScanOrder) -> Pass | None:
        rows = pending.of_generation(self._connection, order.generation)
        if all(row.is_chunk for row in rows):
            return None
        if any(row.is_chunk and not row.attempts for row in rows) and any(
            row.passes for row in rows
        ):
            return None  # the last of these chunks asks for the next pass
        guarded = self._look_at_roots(mounts_too=True)
        facts = Facts(_files(order.closed), _files(order.unfinished))
        return Pass(self._connection, self._settings, self._wanted, rows, guarded, facts)

    def _go_on(self, order: ScanOrder, running: _Running) -> None:
        scan, seen = running.scan, running.scan.seen
        try:
            ended = self._slice(running)
            if ended:
                scan.end()
        except BaseException:
            scan.close()
            raise
        self._rates.count(Step.DISCOVERY, scan.seen - seen)
        if scan.is_everything:
            self._queues.note_scan(order.generation, scan.seen, scan.planned)
        if not ended:
            self._put_off(order, running)
            return
        scan.close()
        self._advance(order.generation, scan.scan_id)

    def _slice(self, running: _Running) -> bool:
        """Go on for a while, as long as the queues have room; whether it came to the end."""
        until = time.monotonic() + _SLICE_S
        for planned in running.steps:
            if planned is not None:
                self._hand_out(running, planned)
                if self._queues.files_held() >= self._settings.queue_files:
                    return False
            if time.monotonic() > until:
                return False
        return True

    def _put_off(self, order: ScanOrder, running: _Running) -> None:
        """Keep a scan for its next slice: at once, or when the queues hold fewer files."""
        self._running[order.generation] = running
        following = ScanOrder(
            index=self._token,
            generation=order.generation,
            turn=order.turn,
            slice=order.slice + 1,
        )
        if self._queues.files_held() >= self._settings.queue_files:
            self._queues.park(order.generation, order.turn, order.slice + 1)
            self._unpark()  # readers may have emptied the queues meanwhile
        else:
            self._put_scan(following, running.scan.seen)

    def _put_scan(self, order: ScanOrder, seen: int = 0) -> None:
        what = f"scan (goes on after {seen} files)" if order.slice else "scan once more"
        self._queues.put(
            "scan",
            order,
            job_id=scan_job(order.generation, order.row, order.turn, order.slice),
            description=what,
            timeout_s=_JOB_S,
        )

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
        guarded = self._look_at_roots()
        try:
            tree = guarded.trees.get(row.hint.root_id)
            if tree is None:
                return
            most = len(row.hint.names or ()) + 1
            scan = Scan(self._connection, guarded.trees, row.hint, self._wanted, most)
            plans = [*scan.plans(), *scan.late_plans()]
            now_ms = _now_ms()
            rows = Rows(self._connection, {tree.root_id: tree.name})
            absence = Absence(self._connection, guarded.trees, self._wanted, rows)
            absence.mark_missing(scan.vanished, now_ms)
            if not plans:
                with write_transaction(self._connection):
                    pending.settle(self._connection, row)
                self._advance(row.generation, row.scan_id)
                ring(self._settings.db)
                return
            whole = Plan(
                row.hint.root_id,
                tuple(entry for plan in plans for entry in plan.read),
                tuple(entry for plan in plans for entry in plan.unread),
                row.hint.reread,
            )
            self._put_plan(whole, row, tree, order.turn, frozenset(), everything=False)
        finally:
            guarded.close()

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
            index=self._token,
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
            self._put_batch(BatchOrder(origin=origin, unread=unread), len(plan.names))
            return
        chunk = chunk_of(tree, plan.read, self._settings, closed)
        in_order = {entry.path: entry for entry in plan.read}
        order = ExtractOrder(
            origin=origin,
            root_path=PathText.of(tree.path),
            files=files_of(in_order[path] for path in chunk.paths),
            unread=unread,
            evidence=chunk.evidence,
            follow_links=chunk.follow_links,
            closed=tuple(map(PathText.of, sorted(chunk.closed))),
        )
        where = PathText.of(paths.parent_of(plan.read[0].path)).path or tree.name
        self._queues.put(
            "extract",
            order,
            job_id=chunk_job("extract", row.id, origin.files, turn),
            description=f"extract {_files_text(len(plan.read))} in {where}",
            timeout_s=self._settings.reader_timeout + _A_FILE_S * len(plan.read),
        )

    # Batch

    def batch(self, raw: msgspec.Raw) -> None:
        """Put what was read to what was planned, and hand it on to be inserted."""
        order: BatchOrder = read_order(raw, BatchOrder)
        self._check(order.origin.index)
        plan = plan_of(order)
        ready = batch(plan, readings_of(order, plan))
        origin, files = order.origin, len(plan.names)
        self._queues.put(
            "insert",
            InsertOrder.of(origin, ready),
            job_id=chunk_job("insert", origin.row, origin.files or files, origin.turn),
            description=f"insert {_files_text(files)} of {origin.root}",
            timeout_s=_JOB_S,
        )

    def _put_batch(self, order: BatchOrder, files: int) -> None:
        origin = order.origin
        self._queues.put(
            "batch",
            order,
            job_id=chunk_job("batch", origin.row, origin.files or files, origin.turn),
            description=f"batch {_files_text(files)} of {origin.root}",
            timeout_s=_JOB_S,
        )

    # Insert

    def insert(self, raw: msgspec.Raw) -> None:
        """Write one batch, and see to what follows from it."""
        order: InsertOrder = read_order(raw, InsertOrder)
        self._check(order.origin.index)
        self._insert(order)
        self._unpark()

    def _insert(self, order: InsertOrder) -> None:
        origin = order.origin
        row = pending.get(self._connection, origin.row)
        if row is None or row.generation != origin.generation:
            return  # it was settled by somebody newer
        ready = _named(row, order.batch())
        guarded = self._look_at_roots()
        try:
            tree = guarded.trees.get(origin.root_id)
            if tree is None:
                self._leave_be(row)
                return
            written = self._write(row, ready, guarded, origin)
        finally:
            guarded.close()
        if written is None:
            return
        self._inserted += len(ready.findings)
        self._rates.count(Step.INSERTION, len(ready.findings))
        self._rates.count(Step.EXTRACTION, ready.files_read, written.tally[Outcome.PROBLEM])
        self._advance(row.generation, row.scan_id)
        if written.left is not None or not row.scan_id:
            ring(self._settings.db)

    def _write(
        self, row: PendingRow, ready: Batch, guarded: Guarded, origin: Origin
    ) -> Written | None:
        def follow(written: Written) -> None:
            if row.scan_id:
                numbers = {str(outcome): number for outcome, number in written.tally.items()}
                numbers |= {"files_read": ready.files_read, "bytes_read": ready.bytes_read}
                numbers["pending"] = (
                    0 if written.left is None else len(written.left.hint.names or ())
                )
                scans.add(self._connection, row.scan_id, numbers)
            if not origin.everything:
                leave_twins(self._connection, self._twins(ready) | replaced, _now_ms())

        replaced = set() if origin.everything else twins_of_replaced(self._connection, ready)
        rows = Rows(self._connection, {tree.root_id: tree.name for tree in guarded.trees.values()})
        size_cache(self._connection, seeding=origin.everything)
        inserter = Inserter(self._connection, guarded.trees, rows)
        return inserter.write(row, ready, _now_ms(), count=follow)

    def _twins(self, ready: Batch) -> set[tuple[int, bytes]]:
        """Other names of the files in a batch whose rows do not know yet what it says.

        Not the batch's own: a file that could not be read keeps its row, which stays behind.
        """
        own = {(ready.root_id, finding.entry.path) for finding in ready.findings}
        others = {
            twin
            for finding in ready.findings
            for twin in twins_of(
                self._connection,
                finding.entry.disk_id,
                finding.entry.stamp.inode,
                finding.entry.stamp,
            )
        }
        return others - own

    def _leave_be(self, row: PendingRow) -> None:
        with write_transaction(self._connection):
            pending.leave_be(self._connection, row)
        ring(self._settings.db)

    def _advance(self, generation: int, scan_id: int) -> None:
        """When all chunks of a generation are answered: its next pass, or the end of its run."""
        if pending.has_chunks_in_work(self._connection, generation):
            return
        passes = pending.passes_of(self._connection, generation)
        if passes:
            following = ScanOrder(
                index=self._token, generation=generation, turn=passes * _TURNS_A_PASS
            )
            self._put_scan(following)
        elif passes is None:
            self._end_run(generation, scan_id)

    def _end_run(self, generation: int, scan_id: int) -> None:
        self._rest()
        if tracks.untold(self._connection):  # hints that waited for nothing are settled long ago
            names = {root.id: root.name for root in roots.watched(self._connection)}
            rows = Rows(self._connection, names)
            with rows.writing():
                rows.tell_untold(_now_ms())
        if scan_id and not pending.waits_for(self._connection, scan_id):
            with write_transaction(self._connection):
                scans.end_counted(self._connection, scan_id, _now_ms())
            self._queues.forget_scan(generation)
        ring(self._settings.db)

    def _unpark(self) -> None:
        """Let scans go on that wait, if the queues have room for them."""
        parked = self._queues.parked()
        if not parked:
            return
        if self._queues.files_held() > self._settings.queue_files * _RESUME_BELOW:
            return
        for generation, turn, slice_ in parked:
            if self._queues.unpark(generation):
                order = ScanOrder(index=self._token, generation=generation, turn=turn, slice=slice_)
                self._put_scan(order)

    # Deferred

    def _rest(self) -> None:
        """After much work: have the database tidied when nothing else waits."""
        if self._inserted >= _MUCH:
            self._inserted = 0
            self._queues.put(
                "deferred",
                {"index": self._token},
                job_id=f"tidy-{_now_ms()}",
                description="move the log into the database, and give memory back",
                timeout_s=_JOB_S,
            )

    def tidy(self, raw: msgspec.Raw) -> None:
        """Do what the next change would have to wait for, and give memory back."""
        self._check(read_order(raw, dict[str, str])["index"])
        size_cache(self._connection, seeding=False)
        give_back(self._connection)

    # All of them

    def _check(self, token: str) -> None:
        if token != self._token:
            raise errors.QueueError(
                f"refused: this job is for another index ({token}, not {self._token}). Give each"
                " index a Redis of its own, or a number in it: redis://localhost:6379/1"
            )

    def _look_at_roots(self, *, mounts_too: bool = False) -> Guarded:
        watched = roots.watched(self._connection)
        if mounts_too:
            for root in watched:
                guard.learn_mounts(self._connection, root)
        return guard.look_at_roots(
            self._connection, watched, follow_links=self._wanted.follow_links
        )


def _named(row: PendingRow, ready: Batch) -> Batch:
    """What a batch says of the files that its row names.

    A row that was answered in part (it has been tried before) names only what was left over, while
    a second answer to the same order may come late, and tells of all: what was settled meanwhile is
    dropped. Raises QueueError for files that the row has never named.
    """
    named = {paths.join(row.hint.folder, name) for name in row.hint.names or ()}
    told = {finding.entry.path for finding in ready.findings} | set(ready.waiting)
    if ready.root_id != row.hint.root_id:
        raise errors.QueueError(
            f"refused: row {row.id} of `pending` is about another root; drop this job"
        )
    if told <= named:
        return ready
    if row.attempts == 0:
        raise errors.QueueError(
            f"refused: row {row.id} of `pending` does not name {len(told - named)} of these files;"
            " drop this job"
        )
    return replace(
        ready,
        findings=tuple(one for one in ready.findings if one.entry.path in named),
        waiting=tuple(path for path in ready.waiting if path in named),
    )


def _files(told: Iterable[tuple[int, PathText]]) -> frozenset[tuple[int, bytes]]:
    return frozenset((root_id, path.raw) for root_id, path in told)


def _files_text(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
