"""Orders to batch and insert -> the stages' own work, in the process that owns the database.

Each handler does one job of RQ: it takes the order out of the job, calls the stage, and hands the
next stage its order. What a job leaves undone stands in `pending`, so none of them has to be told
that another one failed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from indexer import errors, paths
from indexer.faults import FaultStreak
from indexer.ignore.path_filter import PathFilter
from indexer.process import give_back
from indexer.queue.batch_messages import InsertOrder, plan_of, readings_of
from indexer.queue.generations import JOB_S, GenerationTracker
from indexer.queue.index_context import IndexContext, files_text, now_ms
from indexer.queue.jobs import read_order
from indexer.queue.messages import BatchOrder, Origin
from indexer.queue.queues import chunk_job
from indexer.queue.scan import Scanner
from indexer.queue.scan_passes import enqueue_links
from indexer.roots.open_roots import OpenRoots
from indexer.runs import run_counts
from indexer.runs.repair_process import mend
from indexer.runs.throughput import Step
from indexer.runs.wakeup import wake
from indexer.stages.batch import Batch, batch
from indexer.stages.hard_links import links_of_batch, links_of_replaced
from indexer.stages.insert import Inserter, Written
from indexer.stages.outcome import Outcome
from indexer.stages.rows import Rows
from indexer.store import pending, tracks
from indexer.store.connection import size_cache, write_transaction
from indexer.store.sqlite_errors import explained

if TYPE_CHECKING:
    import redis

    from indexer.queue.jobs import Handler
    from indexer.settings import Settings
    from indexer.store.pending import PendingRow


_log = logging.getLogger("indexer")


class IndexWorker:
    """Does the work of the queues that need the database."""

    def __init__(self, settings: Settings, path_filter: PathFilter, client: redis.Redis) -> None:
        self._context = IndexContext(settings, path_filter, client)
        self._tracker = GenerationTracker(self._context)
        self._scanner = Scanner(self._context, self._tracker)
        self._streak = FaultStreak()

    def close(self) -> None:
        """Close the database."""
        self._scanner.close()
        self._context.close()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Queue -> what does its work. What SQLite raises in one comes out as our own error."""
        return {
            "scan": self._explaining(self._scanner.scan),
            "batch": self.batch,
            "insert": self._explaining(self.insert),
            "deferred": self._explaining(self.tidy),
        }

    def _explaining(self, handler: Handler) -> Handler:
        database = self._context.settings.db

        def explaining(raw: msgspec.Raw) -> object:
            with explained(database):
                return handler(raw)

        def mending(raw: msgspec.Raw) -> object:
            try:
                return explaining(raw)
            except errors.DatabaseDamaged as error:
                done = mend(database, lambda: False)
                parts = ", ".join(done.made_again) or "nothing"
                _log.warning("repaired made_again=%s detail=%s", parts, error)
                return explaining(raw)

        return mending

    # Batch

    def batch(self, raw: msgspec.Raw) -> None:
        """Put what was read to what was planned, and hand it on to be inserted."""
        order: BatchOrder = read_order(raw, BatchOrder)
        self._context.check(order.origin.index)
        plan = plan_of(order)
        readings = readings_of(order, plan)
        self._streak.count_all(readings)
        ready = batch(plan, readings)
        origin, files = order.origin, len(plan.names)
        self._context.queues.put(
            "insert",
            InsertOrder.of(origin, ready),
            job_id=chunk_job("insert", origin.row, origin.files or files, origin.turn),
            description=f"insert {files_text(files)} of {origin.root}",
            timeout_s=JOB_S,
        )

    # Insert

    def insert(self, raw: msgspec.Raw) -> None:
        """Write one batch, and see to what follows from it."""
        order: InsertOrder = read_order(raw, InsertOrder)
        self._context.check(order.origin.index)
        self._insert(order)
        self._tracker.unpark()

    def _insert(self, order: InsertOrder) -> None:
        origin = order.origin
        row = pending.get(self._context.connection, origin.row)
        if row is None or row.generation != origin.generation:
            return  # it was settled by somebody newer
        ready = _named(row, order.batch())
        open_trees = self._context.look_at_roots([row.hint])
        try:
            tree = open_trees.trees.get(origin.root_id)
            if tree is None:
                self._leave_be(row)
                return
            written, answered_too = self._write(row, ready, open_trees, origin)
        except errors.RootSilent:
            self._leave_be(row)
            return
        finally:
            open_trees.close()
        if written is None:
            return
        self._tracker.inserted += len(ready.findings)
        self._context.rates.count(Step.INSERTION, len(ready.findings))
        self._context.rates.count(Step.EXTRACTION, ready.files_read, written.tally[Outcome.PROBLEM])
        for generation, scan_id in {(row.generation, row.scan_id), *answered_too}:
            self._tracker.advance(generation, scan_id)
        if written.left is not None or written.held is not None or not row.scan_id:
            wake(self._context.settings.db)

    def _write(
        self, row: PendingRow, ready: Batch, open_trees: OpenRoots, origin: Origin
    ) -> tuple[Written | None, set[tuple[int, int]]]:
        """What was written, and (generation, run) of what else it has answered."""
        answered_too: set[tuple[int, int]] = set()

        def follow(written: Written) -> None:
            answered_too.update(run_counts.count_chunks(connection, [(row, ready)], [written]))
            links = links_of_batch(connection, ready, met, everything=origin.everything)
            enqueue_links(connection, links | replaced, now_ms())

        connection = self._context.connection
        met = tracks.inodes_met(connection, [one.entry.stamp.inode for one in ready.findings])
        replaced = links_of_replaced(connection, ready, everything=origin.everything)
        rows = Rows(connection, {tree.root_id: tree.name for tree in open_trees.trees.values()})
        size_cache(connection, seeding=origin.everything)
        inserter = Inserter(connection, open_trees.trees, rows)
        return inserter.write(row, ready, now_ms(), count=follow), answered_too

    def _leave_be(self, row: PendingRow) -> None:
        with write_transaction(self._context.connection):
            if not row.attempts:
                files = len(row.hint.names or ())
                run_counts.count_waiting(self._context.connection, row, files)
            pending.retry_later(self._context.connection, row)
        wake(self._context.settings.db)

    # Deferred

    def tidy(self, raw: msgspec.Raw) -> None:
        """Do what the next change would have to wait for, and give memory back."""
        self._context.check(read_order(raw, dict[str, str])["index"])
        size_cache(self._context.connection, seeding=False)
        give_back(self._context.connection)


def _named(row: PendingRow, ready: Batch) -> Batch:
    """What a batch says of the files that its row names.

    A row that was answered in part (by itself or others) names only what was left over, while
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
    if row.attempts == 0 and row.passes == 0:
        raise errors.QueueError(
            f"refused: row {row.id} of `pending` does not name {len(told - named)} of these files;"
            " drop this job"
        )
    return replace(
        ready,
        findings=tuple(one for one in ready.findings if one.entry.path in named),
        waiting=tuple(path for path in ready.waiting if path in named),
    )
