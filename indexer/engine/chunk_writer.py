"""Readings of a run -> batches, several in one transaction, and what of them stays pending."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.disk.tree import Tree
from indexer.engine.read_jobs import RunReaders
from indexer.faults import FaultStreak
from indexer.model import Reading, Waiting
from indexer.readers.limited import ReadJob
from indexer.runs import run_counts
from indexer.runs.result import RunProgress
from indexer.shares.hanging import check_answers
from indexer.stages.batch import Batch, batch
from indexer.stages.hard_links import links_of_entries, links_of_replaced
from indexer.stages.insert import Inserter, Written
from indexer.stages.rows import Rows
from indexer.stages.scan import Plan
from indexer.store.connection import Connection
from indexer.store.work.pending import PendingRow

_TOGETHER: Final = 16
"""Chunks in one transaction of a full scan: a page that each of them touches is written once for
all. Measured with 100 000 files: 265 MB written by 8; 245 by 16, which hold 6 MB more."""
_TOGETHER_S: Final = 1.0
"""Maximum batching delay of the first chunk; on a slow disk each chunk comes alone."""


class _Ready(Struct, frozen=True):
    """A chunk that was read and can be written."""

    job: ReadJob
    batch: Batch
    since_s: float


class ChunkWriter:
    """Writes what the readers of a run have read. What they decline is handed to others."""

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        rows: Rows,
        readers: RunReaders,
        progress: RunProgress,
        streak: FaultStreak,
    ) -> None:
        """`streak` counts faults in a row."""
        self._result = progress.result
        self.links: set[tuple[int, bytes]] = set()
        """(root id, path) of other links to files that changed: no event tells of them at their own
        path, and their stamp is another one now. Kept for a daemon only, and not during the first
        full scan; a later one may have passed them when their file changed.
        """
        self.runs_answered: set[int] = set()
        """Other runs that waited for files which were answered here."""
        self.incomplete: list[PendingRow] = []
        """What was not whole: to be read again in this run, or later."""
        self.follows_links = False
        self.is_everything = False
        """Whether chunks are held back to share a transaction."""
        self._connection = connection
        self._trees = trees
        self._inserter = Inserter(connection, trees, rows)
        self._readers = readers
        self._streak = streak
        self._progress = progress
        self._ready: list[_Ready] = []
        self._held_rows: list[PendingRow] = []

    @property
    def left_rows(self) -> set[int]:
        """The ids of the pending rows that stay open for incomplete files."""
        return {row.id for row in (*self.incomplete, *self._held_rows)}

    @property
    def left_rereads(self) -> dict[tuple[int, bytes], int]:
        """Of the files that stay pending, those that a rebuild wants read again, and its id."""
        return {
            (row.hint.root_id, paths.join(row.hint.folder, name)): row.hint.reread
            for row in (*self.incomplete, *self._held_rows)
            if row.hint.reread
            for name in row.hint.names or ()
        }

    @property
    def left(self) -> list[tuple[int, bytes]]:
        """(root id, path) of the files that were incomplete and stay pending."""
        return [
            (row.hint.root_id, paths.join(row.hint.folder, name))
            for row in (*self.incomplete, *self._held_rows)
            for name in row.hint.names or ()
        ]

    def add(self, job: ReadJob, readings: Sequence[Reading]) -> None:
        """Batch and write what was read."""
        tree = self._trees[job.plan.root_id]
        if tree.may_hang and any(one.waiting is Waiting.SILENT for one in readings):
            check_answers(tree)
        self._streak.count_all(readings)
        ready = batch(job.plan, readings)
        self._result.files_read += ready.files_read
        self._result.bytes_read += ready.bytes_read
        self._result.damaged += ready.damaged
        if self.follows_links:
            self.links |= links_of_replaced(self._connection, ready)
        self._ready.append(_Ready(job, ready, time.monotonic()))
        waited_s = time.monotonic() - self._ready[0].since_s
        if not self.is_everything or len(self._ready) >= _TOGETHER or waited_s > _TOGETHER_S:
            self.write_ready()
        self._progress.report(self._trees[job.plan.root_id].name)

    def write_ready(self) -> None:
        """Write the chunks that were held back to share a transaction."""
        if not self._ready:
            return
        ready, self._ready = self._ready, []
        chunks = [(one.job.row, one.batch) for one in ready]

        results = self._inserter.write_all(chunks, _now_ms(), count=self._count_chunks)
        for one, written in zip(ready, results, strict=True):
            self._follow_links(one.job.plan)
            if written is None:
                continue
            self._result.tally.update(written.tally)
            if written.declined:
                self._readers.decline(one.job.plan, written.declined)
            if written.left is not None:
                self.incomplete.append(written.left)
            if written.held is not None:  # not asked for again in this run
                self._held_rows.append(written.held)

    def _count_chunks(
        self,
        chunks: Sequence[tuple[PendingRow, Batch]],
        written: Sequence[Written | None],
    ) -> None:
        answered = run_counts.count_chunks(self._connection, chunks, written)
        self.runs_answered.update(scan_id for _, scan_id in answered)

    def _follow_links(self, plan: Plan) -> None:
        """Note the other links to the files that were written.

        Not the written paths: a file that could not be read keeps its row, which stays behind.
        """
        if not self.follows_links:
            return
        own = {(plan.root_id, path) for path in plan.names}
        entries = (*plan.read, *plan.unread)
        self.links |= links_of_entries(self._connection, plan.root_id, entries) - own

    def note_links(self, links: set[tuple[int, bytes]]) -> None:
        """Keep other links of files that are gone."""
        if self.follows_links:
            self.links |= links


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
