"""Plans of a run -> read jobs, each with a row of `pending` before work on it begins -> readings.

A job is read by this process, by a pool, or by readers with limits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from itertools import chain, islice

import msgspec

from indexer.disk.rotational import reader_count
from indexer.disk.tree import Tree
from indexer.engine.background import BackgroundReads
from indexer.evidence import chunk_of
from indexer.model import Chunk, Entry, Hint, Reading
from indexer.readers.limited import LimitedReaders, ReadJob
from indexer.readers.pool import ReaderPool
from indexer.runs.result import EventFacts
from indexer.settings import Settings
from indexer.stages.extract import extract, extract_in
from indexer.stages.fresh_files import FreshFiles
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
        *,
        newest_before: int = 0,
    ) -> None:
        """`hint_rows` are the hints' own rows; those that are needed, too, are added.

        So are rows of files that are being read in the `background` already, to `declined`.
        `newest_before` is the id of the newest row when the run began.
        """
        self.hint_rows = hint_rows
        self._connection = connection
        self._run_id = run_id
        self._declined = declined
        self._background = background
        self._newest_before = newest_before

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
        """The hint's own row, which is written when there is something to do for it.

        That of a daemon's look at everything stands for all that earlier looks have left undone: a
        disk that takes some writes and refuses others would have each of them leave more rows.
        """
        if hint not in self.hint_rows:
            limited = None if self._background is None else self._background.limited
            is_everything = hint.recursive and not hint.folder and not hint.reread
            if limited is not None and is_everything and not self._run_id:
                pending.drop_unanswered(
                    self._connection, hint.root_id, self._newest_before, limited.row_ids
                )
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


class RunReaders:
    """Reads files for one run. A pool exists only while there is much to read."""

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        settings: Settings,
        facts: EventFacts,
        background: BackgroundReads | None,
        *,
        fresh: FreshFiles | None = None,
    ) -> None:
        """With `background`, its readers get what is declined, and outlive the run.

        Without `fresh`, files of the current tick are waited for.
        """
        self.declined: set[int] = set()
        """Pending rows of files that this run left to mutagen."""
        self._connection = connection
        self._trees = trees
        self._settings = settings
        self._facts = facts
        self._background = background
        self._fresh = fresh
        self._scanned: list[Tree] = []
        self._own_limited: LimitedReaders | None = None

    def begin(self, root_ids: Collection[int]) -> None:
        """These roots will be scanned; their disks decide how many readers there are."""
        self._scanned = [self._trees[root_id] for root_id in root_ids]

    def close(self) -> None:
        """End the readers, but for those in the background."""
        if self._own_limited is not None:
            self._own_limited.close()

    def readings(
        self, jobs: Iterator[ReadJob], *, isolated: bool
    ) -> Generator[tuple[ReadJob, list[Reading]], None, None]:
        """Read a small amount here, and a large one in a pool that ends with it."""
        little: deque[ReadJob] = deque()
        files = 0
        for job in jobs:
            little.append(job)
            files += len(job.plan.read)
            if files > self._settings.small_work or (isolated and files):
                break
        else:
            for job in little:
                yield job, self.read_here(job.plan)
            return
        count = reader_count(self._settings, self._scanned)
        timeout_s, memory_mb = self._settings.reader_timeout, self._settings.worker_memory
        with ReaderPool(count, timeout_s, memory_mb=memory_mb) as pool:
            work = ((job, self._chunk(job.plan)) for job in chain(little, jobs))
            yield from pool.map_unordered(work)

    def read_here(self, plan: Plan) -> list[Reading]:
        """Read the files of a plan in this process."""
        tree, chunk = self._trees[plan.root_id], self._chunk(plan)
        hold = None if self._fresh is None else self._fresh.holder(tree)
        return tree.ask(extract_in, chunk) if hold is None else extract(chunk, hold=hold)

    def _chunk(self, plan: Plan, *, plain: bool = True) -> Chunk:
        """The chunk for a reader; without `plain` it may be read by mutagen."""
        closed = self._facts.of_root(self._facts.closed, plan.root_id)
        return chunk_of(self._trees[plan.root_id], plan.read, self._settings, closed, plain=plain)

    @property
    def limited(self) -> LimitedReaders:
        """Readers for files that may crash them."""
        if self._background is not None:
            return self._background.limited
        if self._own_limited is None:
            count = reader_count(self._settings, self._scanned)
            self._own_limited = LimitedReaders(self._connection, self._settings, count)
        return self._own_limited

    def decline(self, plan: Plan, rows: Iterable[PendingRow]) -> None:
        """Hand over what our own readers declined of a plan; `rows` stand for it."""
        entries = {entry.path: entry for entry in plan.read}
        for row in rows:
            read = tuple(entries[path] for path in row.hint.names or ())
            part = Plan(plan.root_id, read, (), plan.reread)
            self.limited.offer(ReadJob(part, row), self._chunk(part, plain=False))
            self.declined.add(row.id)
