"""The progress of a generation in `pending` -> its next pass, its end, or a parked scan's turn."""

from __future__ import annotations

from typing import Final

from indexer.queue.orders.messages import ScanOrder
from indexer.queue.orders.queues import put_due_artwork, scan_job
from indexer.queue.workers.index_context import IndexContext, now_ms
from indexer.runs import run_counts
from indexer.runs.wakeup import wake
from indexer.stages.rows import Rows
from indexer.store import roots, tracks, upkeep
from indexer.store.connection import write_transaction
from indexer.store.sidecars.artwork import kinds_wanted
from indexer.store.work import counted, pending, scans

JOB_S: Final = 600
"""Time limit of our jobs: far more than any takes on a slow card. A guess."""
_RESUME_BELOW: Final = 0.5
"""Resume a parked scan below this fraction of `queue_files`. A guess."""
_TURNS_A_PASS: Final = 1_000
"""So that no two passes of a generation have jobs of the same id, however often one is lost."""
_MUCH: Final = 2_000
"""Chunks' files after which memory is freed, when there is nothing else to do. A guess."""


class GenerationTracker:
    """Starts what follows when a chunk is answered, or a scan ends."""

    def __init__(self, context: IndexContext) -> None:
        self._context = context
        self.inserted = 0
        """Files written since memory was freed."""

    def put_scan(self, order: ScanOrder, seen: int = 0) -> None:
        """Enqueue a scan, behind all that is queued; its slices so far saw `seen` files."""
        what = f"scan (continued after {seen} files)" if order.slice else "scan once more"
        self._context.queues.put(
            "scan",
            order,
            job_id=scan_job(order.generation, order.row, order.turn, order.slice),
            description=what,
            timeout_s=JOB_S,
        )

    def advance(self, generation: int, scan_id: int) -> None:
        """When all chunks of a generation are answered: its next pass, or the end of its run."""
        if pending.has_chunks_in_work(self._context.connection, generation):
            return
        passes = pending.passes_of(self._context.connection, generation)
        if passes:
            following = ScanOrder(
                index=self._context.token, generation=generation, turn=passes * _TURNS_A_PASS
            )
            self.put_scan(following)
        elif passes is None:
            self._end_run(generation, scan_id)

    def _end_run(self, generation: int, scan_id: int) -> None:
        self.rest()
        if tracks.unannounced(
            self._context.connection
        ):  # hints that waited for nothing are complete already
            names = {root.id: root.name for root in roots.watched(self._context.connection)}
            rows = Rows(self._context.connection, names)
            with rows.writing():
                run_counts.count_missing(
                    self._context.connection, rows.announce_missing(now_ms()), scan_id
                )
        if scan_id and not counted.waits_for(self._context.connection, scan_id):
            with write_transaction(self._context.connection):
                scans.end(self._context.connection, scan_id, now_ms())
            self._context.queues.drop_scan(generation)
        wake(self._context.settings.db)
        context, kinds = self._context, kinds_wanted(self._context.settings)
        # last, so that no trouble with it keeps a run open
        put_due_artwork(context.connection, context.queues, context.token, kinds)
        upkeep.end_first_scan(context.connection)

    def unpark(self) -> None:
        """Resume parked scans, if the queues have room for them."""
        parked = self._context.queues.parked()
        if not parked:
            return
        if self._context.queues.files_held() > self._context.settings.queue_files * _RESUME_BELOW:
            return
        for generation, turn, slice_ in parked:
            if self._context.queues.unpark(generation):
                order = ScanOrder(
                    index=self._context.token, generation=generation, turn=turn, slice=slice_
                )
                self.put_scan(order)

    def rest(self) -> None:
        """After much work: have the database tidied when nothing else waits."""
        if self.inserted >= _MUCH:
            self.inserted = 0
            self._context.queues.put(
                "deferred",
                {"index": self._context.token},
                job_id=f"tidy-{now_ms()}",
                description="move the log into the database, and free memory",
                timeout_s=JOB_S,
            )
