"""Plans of a run -> read jobs, each with a row of `pending` before work on it begins."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from indexer.engine.background import BackgroundReads
from indexer.model import Entry, Hint
from indexer.readers.limited import ReadJob
from indexer.stages.scan import Plan, Scan
from indexer.store import roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.work import counted, pending
from indexer.store.work.pending import PendingRow


class ReadJobs:
    """Makes the jobs of one run, which has the id `run_id`, or 0."""

    def __init__(
        self,
        connection: Connection,
        run_id: int,
        hint_rows: dict[Hint, PendingRow],
        declined: set[int],
        background: BackgroundReads | None,
    ) -> None:
        """`hint_rows` are the hints' own rows; those that are needed, too, are added.

        So are rows of files that are being read in the `background` already, to `declined`.
        """
        self.hint_rows = hint_rows
        self._connection = connection
        self._run_id = run_id
        self._declined = declined
        self._background = background

    def durable(self, hint: Hint, plans: Iterable[Plan]) -> list[ReadJob]:
        """One row for each chunk, in one transaction; the first writes the hint's own row, too.

        So a scan that finds nothing to do writes nothing (rule R14). And there is no job where the
        root was removed since the scan began.
        """
        plans = [plan for plan in plans if plan.names]
        if not plans:
            return []
        with write_transaction(self._connection):
            if not roots.is_watched(self._connection, hint.root_id):
                return []
            return [ReadJob(plan, self._add(hint, plan)) for plan in plans]

    def _add(self, hint: Hint, plan: Plan) -> PendingRow:
        now_ms = _now_ms()
        return pending.add_chunk(
            self._connection,
            Hint(hint.root_id, b"", plan.names, reread=hint.reread),
            self._own_row(hint, now_ms).generation,
            now_ms,
            scan_id=self._run_id,
        )

    def _own_row(self, hint: Hint, now_ms: int) -> PendingRow:
        """The hint's own row, which is written when there is something to do for it."""
        if hint not in self.hint_rows:
            row = pending.enqueue(self._connection, hint, now_ms, scan_id=self._run_id)
            self.hint_rows[hint] = row
        return self.hint_rows[hint]

    def without_work(self, scan: Scan, plan: Plan) -> Plan:
        """A scan's plan without files that are being read in the background in their present state.

        Their rows stand for them already. A newer row would make each answer obsolete, in scan
        after scan, as long as one answer causes another scan. Their results count for the scan that
        had them read, and for the run of a command that waits for them here; to any other scan they
        are unchanged.
        """
        limited = None if self._background is None else self._background.limited
        if limited is None or not limited.files:
            return plan
        read: list[Entry] = []
        in_work: list[bytes] = []
        for entry in plan.read:
            row = limited.row_of(plan.root_id, entry.path, entry.stamp, plan.reread)
            if row is None:
                read.append(entry)
                continue
            self._declined.add(row.id)
            if self._run_id not in (0, row.scan_id):
                in_work.append(entry.path)
            else:
                scan.unchanged += 1
        if in_work:
            now_ms = _now_ms()
            with write_transaction(self._connection):
                if roots.is_watched(self._connection, plan.root_id):
                    own = self._own_row(scan.hint, now_ms)
                    counted.add_dropped(self._connection, in_work, own, now_ms)
        return msgspec.structs.replace(plan, read=tuple(read))


def in_groups(plans: Iterable[Plan], most: int) -> Iterator[list[Plan]]:
    """Plans in groups of 1, 2, 4 and so on up to `most`, so that the first is there at once."""
    left = iter(plans)
    size = 1
    while group := list(islice(left, size)):
        yield group
        size = min(2 * size, most)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
