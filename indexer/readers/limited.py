"""Files that our own readers declined -> readings by mutagen, in processes that may die of them.

mutagen has no bounds: a file can make it take all memory, or hours. So it reads in processes of its
own, with a limit to their memory and their time. What one is given stands in `trials` before, and a
file that has often enough been given by itself and never answered for is not given again (rule R9).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from indexer import errors
from indexer.model import Chunk, Problem, ProblemKind, Reading, Stamp
from indexer.readers.halving import PendingChunks, Piece
from indexer.readers.pool import ReaderPool
from indexer.settings import Settings
from indexer.shares.hanging import PATIENCE_S
from indexer.stages.scan import Plan
from indexer.store import trials
from indexer.store.connection import Connection
from indexer.store.pending import PendingRow
from indexer.store.sqlite_errors import explained

IDLE_S: Final = 30.0
"""For so long the readers stay when there is nothing to read: one takes 0.2 s to start, and 20 MB.
A guess: an album that is tagged file by file finds them warm."""

File = tuple[int, int]
"""Which file it is, by whatever name: its disk and inode."""


class ReadJob(Struct, frozen=True):
    """A plan, and the pending row that stands for it until it is inserted."""

    plan: Plan
    row: PendingRow


class LimitedReaders:
    """A few readers for what may kill them; they start when there is work, and end when idle.

    `offer` and `step` are called by the one thread that has the connection, and never wait long.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        workers: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`patience_s` is how long a server may leave a reader alone."""
        self._clock = clock
        self.workers = workers
        """How many readers there may be at once."""
        self._connection = connection
        self._settings = settings
        self._pool = ReaderPool(
            workers,
            settings.reader_timeout,
            memory_mb=settings.worker_memory,
            witness=self,
            patience_s=patience_s,
        )
        self._work: PendingChunks[ReadJob] = PendingChunks(gives_up=False)
        self._answered: list[tuple[ReadJob, list[Reading]]] = []
        self._stamps: dict[int, dict[bytes, Stamp]] = {}
        """By the id of a job's row: the stamps that its files had when they were declined."""
        self._files: Counter[File] = Counter()
        self._jobs: dict[int, ReadJob] = {}
        self._places: dict[tuple[int, bytes], ReadJob] = {}
        """The newest job of each file, by root id and path."""
        self._idle_since: float | None = None
        self._has_news = False
        """Whether something was offered since the last `step`."""

    def __len__(self) -> int:
        """How many files are in work."""
        return self._files.total()

    @property
    def files(self) -> Mapping[File, int]:
        """The files in work."""
        return self._files

    def row_of(self, root_id: int, path: bytes, stamp: Stamp, reread: int) -> PendingRow | None:
        """The pending row that stands for a file which is in work just as it is now."""
        job = self._places.get((root_id, path))
        if job is None or job.plan.reread < reread:
            return None
        entry = next(one for one in job.plan.read if one.path == path)
        return job.row if entry.stamp == stamp else None

    @property
    def row_ids(self) -> set[int]:
        """The pending rows that stand for them."""
        return set(self._jobs)

    def fileno(self) -> int:
        """A descriptor that can be read when there is something to do."""
        return self._pool.fileno()

    def next_turn(self) -> float | None:
        """When `step` is due, if nothing happens before."""
        if self._answered or self._has_news:
            return -math.inf
        if self._jobs:
            return self._clock() + self._pool.look_s
        return None if self._idle_since is None else self._idle_since + IDLE_S

    def offer(self, job: ReadJob, chunk: Chunk) -> None:
        """Have these files read; their pending row is durable, and stands until they are inserted.

        `chunk` has the files of the plan, which has the stamps that they had when it was made.
        """
        stamps = {entry.path: entry.stamp for entry in job.plan.read}
        alone: list[int] = []
        known: dict[int, Reading] = {}
        for place, path in enumerate(chunk.paths):
            stamp = stamps[path]
            tries = trials.tries_of(self._connection, job.plan.root_id, path, stamp)
            if tries is not None and tries >= trials.MOST_TRIES:
                known[place] = _at_fault(path, stamp, tries)
            elif tries is not None:
                alone.append(place)
        self._jobs[job.row.id] = job
        self._stamps[job.row.id] = stamps
        self._files.update(files_of(job.plan))
        self._places.update(((job.plan.root_id, entry.path), job) for entry in job.plan.read)
        self._has_news = True
        done = self._work.add(job, chunk, alone, known)
        if done is not None:
            self._finish(*done.answer())

    def step(self, wait_s: float = 0.0) -> list[tuple[ReadJob, list[Reading]]]:
        """Hand out, take in, and give what is done; wait so long for it where nothing is.

        Raises CannotDo when no reader can be started, or none survives whatever it is given.
        """
        self._has_news = False
        if self._jobs:
            self._idle_since = None
        if self._jobs or self._pool.reader_count:  # an idle one may have died, too
            wait_s = 0.0 if self._answered else wait_s
            for done in self._pool.step(self._work, wait_s):
                self._finish(*done.answer())
        answered, self._answered = self._answered, []
        for job, _ in answered:
            del self._jobs[job.row.id]
            self._files.subtract(files_of(job.plan))
            for entry in job.plan.read:
                place = (job.plan.root_id, entry.path)
                if self._places.get(place) is job:
                    del self._places[place]
        self._files += Counter()  # drop those of which there is none now
        if not self._jobs and self._pool.reader_count:
            now = self._clock()
            if self._idle_since is None:
                self._idle_since = now
            elif now >= self._idle_since + IDLE_S:
                self._pool.end_readers()
                self._idle_since = None
        return answered

    def given(self, piece: Piece[Any]) -> None:
        """Make durable what a reader gets now."""
        root_id, paths = _place_of(piece)
        stamps = self._stamps[piece.job.tag.row.id]
        files = [(path, stamps[path]) for path in paths]
        trials.begin(self._connection, root_id, files, alone=len(files) == 1)

    def answered(self, piece: Piece[Any]) -> None:
        """Forget it: the reader has not died of it."""
        root_id, paths = _place_of(piece)
        trials.end(self._connection, root_id, paths)

    def left(self, piece: Piece[Any]) -> None:
        """It was given in vain: its server did not answer."""
        root_id, paths = _place_of(piece)
        trials.take_back(self._connection, root_id, paths, alone=len(paths) == 1)

    def drop(self) -> None:
        """Forget all work; its rows stay pending. What a living reader had is held against no file.

        A reader that has died of one by itself leaves its mark; so do all where the database takes
        nothing now.
        """
        ended = self._pool.end_readers()
        with suppress(errors.CannotDo), explained(self._settings.db):
            for piece in ended:
                root_id, paths = _place_of(piece)
                trials.take_back(self._connection, root_id, paths, alone=len(paths) == 1)
        self._work = PendingChunks(gives_up=False)
        self._answered.clear()
        self._stamps.clear()
        self._jobs.clear()
        self._places.clear()
        self._files.clear()
        self._idle_since = None
        self._has_news = False

    def close(self) -> None:
        """The same, for good."""
        self.drop()
        self._pool.close()

    def _finish(self, job: ReadJob, readings: list[Reading]) -> None:
        at_fault = [one.path for one in readings if one.problem is not None]
        if at_fault:  # of the others it was told when they were answered
            trials.end(self._connection, job.plan.root_id, at_fault)
        del self._stamps[job.row.id]
        self._answered.append((job, readings))


def files_of(plan: Plan) -> Iterable[File]:
    """Which files a plan reads."""
    return [(entry.disk_id, entry.stamp.inode) for entry in plan.read]


def _place_of(piece: Piece[Any]) -> tuple[int, tuple[bytes, ...]]:
    return piece.job.tag.plan.root_id, piece.chunk.paths


def _at_fault(path: bytes, stamp: Stamp, tries: int) -> Reading:
    reason = f"it was given to a reader {tries} times, and each time that reader, or all, was ended"
    return Reading(path=path, stamp=stamp, problem=Problem(ProblemKind.CONTENT, reason))
