"""The read jobs of a run -> readings: by this process, by a pool, or by readers with limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from itertools import chain

from indexer.disk.rotational import reader_count
from indexer.disk.tree import Tree
from indexer.engine.background import BackgroundReads
from indexer.evidence import chunk_of
from indexer.model import Chunk, Reading
from indexer.readers.limited import LimitedReaders, ReadJob
from indexer.readers.pool import ReaderPool
from indexer.runs.result import EventFacts
from indexer.settings import Settings
from indexer.stages.extract import extract, extract_in
from indexer.stages.fresh_files import FreshFiles
from indexer.stages.scan import Plan
from indexer.store.connection import Connection
from indexer.store.work.pending import PendingRow


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
