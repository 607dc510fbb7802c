"""How far a generation is, by `pending` -> its next pass, its end, or the scan that may go on."""

from __future__ import annotations

from typing import Final

from indexer.engine import runs
from indexer.engine.bell import ring
from indexer.engine.queued.desk import Desk, now_ms
from indexer.engine.queued.messages import ScanOrder
from indexer.engine.queued.queues import scan_job
from indexer.stages.rows import Rows
from indexer.store import counted, pending, roots, scans, tracks
from indexer.store.connection import write_transaction

JOB_S: Final = 600
"""The longest that a job of ours may take: far more than any does on a slow card. A guess."""
_RESUME_BELOW: Final = 0.5
"""A scan that waits goes on when the queues hold less than this part of `queue_files`. A guess."""
_TURNS_A_PASS: Final = 1_000
"""So that no two passes of a generation have jobs of the same id, however often one is lost."""
_MUCH: Final = 2_000
"""Chunks' files after which memory is given back, when there is nothing else to do. A guess."""


class Course:
    """Sees to what follows when a chunk is answered, or a scan ends."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.inserted = 0
        """Files written since memory was given back."""

    def put_scan(self, order: ScanOrder, seen: int = 0) -> None:
        """Enqueue a scan, behind whatever waits; `seen` files were seen in its slices so far."""
        what = f"scan (goes on after {seen} files)" if order.slice else "scan once more"
        self._desk.queues.put(
            "scan",
            order,
            job_id=scan_job(order.generation, order.row, order.turn, order.slice),
            description=what,
            timeout_s=JOB_S,
        )

    def advance(self, generation: int, scan_id: int) -> None:
        """When all chunks of a generation are answered: its next pass, or the end of its run."""
        if pending.has_chunks_in_work(self._desk.connection, generation):
            return
        passes = pending.passes_of(self._desk.connection, generation)
        if passes:
            following = ScanOrder(
                index=self._desk.token, generation=generation, turn=passes * _TURNS_A_PASS
            )
            self.put_scan(following)
        elif passes is None:
            self._end_run(generation, scan_id)

    def _end_run(self, generation: int, scan_id: int) -> None:
        self.rest()
        if tracks.untold(
            self._desk.connection
        ):  # hints that waited for nothing are settled long ago
            names = {root.id: root.name for root in roots.watched(self._desk.connection)}
            rows = Rows(self._desk.connection, names)
            with rows.writing():
                runs.count_missing(self._desk.connection, rows.tell_untold(now_ms()), scan_id)
        if scan_id and not counted.waits_for(self._desk.connection, scan_id):
            with write_transaction(self._desk.connection):
                scans.end(self._desk.connection, scan_id, now_ms())
            self._desk.queues.forget_scan(generation)
        ring(self._desk.settings.db)

    def unpark(self) -> None:
        """Let scans go on that wait, if the queues have room for them."""
        parked = self._desk.queues.parked()
        if not parked:
            return
        if self._desk.queues.files_held() > self._desk.settings.queue_files * _RESUME_BELOW:
            return
        for generation, turn, slice_ in parked:
            if self._desk.queues.unpark(generation):
                order = ScanOrder(
                    index=self._desk.token, generation=generation, turn=turn, slice=slice_
                )
                self.put_scan(order)

    def rest(self) -> None:
        """After much work: have the database tidied when nothing else waits."""
        if self.inserted >= _MUCH:
            self.inserted = 0
            self._desk.queues.put(
                "deferred",
                {"index": self._desk.token},
                job_id=f"tidy-{now_ms()}",
                description="move the log into the database, and give memory back",
                timeout_s=JOB_S,
            )
