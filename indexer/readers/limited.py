"""Files that our own readers declined -> readings by mutagen, in processes that may crash.

mutagen has no bounds: a file can make it take all memory, or hours. So it reads in processes of its
own, with a limit to their memory and their time. Each file is recorded in `trials` before a reader
gets it; one that was often enough read by itself and never answered is not tried again (rule R9).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from indexer import errors
from indexer.model import Chunk, Problem, ProblemKind, Reading, Stamp
from indexer.readers.halving import PendingChunks, Piece
from indexer.readers.pool import ReaderPool
from indexer.settings import Settings
from indexer.shares.messages import PATIENCE_S
from indexer.stages.scan import Plan
from indexer.store.connection import Connection
from indexer.store.sqlite_errors import explained
from indexer.store.work import trials
from indexer.store.work.pending import PendingRow

IDLE_S: Final = 30.0
"""Idle time before the readers end: one takes 0.2 s to start, and 20 MB. A guess: an album that is
tagged file by file finds them running."""

File = tuple[int, int]
"""Identity of a file, whatever its path: its disk and inode."""


class ReadJob(Struct, frozen=True):
    """A plan, and the pending row that stands for it until it is inserted."""

    plan: Plan
    row: PendingRow


class LimitedReaders:
    """A few readers for files that may crash them; started when there is work, ended when idle.

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
        """`patience_s` is how long a server may leave a reader without an answer."""
        self._clock = clock
        self.workers = workers
        """The most readers at once."""
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
        self.files: Counter[File] = Counter()
        """The files that are being read or wait to be, and how often."""
        self._jobs: dict[int, ReadJob] = {}
        self._places: dict[tuple[int, bytes], ReadJob] = {}
        """The newest job of each file, by root id and path."""
        self._idle_since: float | None = None
        self._has_new_jobs = False
        """Whether something was offered since the last `step`."""

    def __len__(self) -> int:
        """How many files are being read or wait to be."""
        return self.files.total()

    def row_of(self, root_id: int, path: bytes, stamp: Stamp, reread: int) -> PendingRow | None:
        """The pending row of a file that is being read in its present state."""
        job = self._places.get((root_id, path))
        if job is None or job.plan.reread < reread:
            return None
        entry = next(one for one in job.plan.read if one.path == path)
        return job.row if entry.stamp == stamp else None

    @property
    def row_ids(self) -> set[int]:
        """The pending rows of these files."""
        return set(self._jobs)

    def fileno(self) -> int:
        """A descriptor that can be read when there is something to do."""
        return self._pool.fileno()

    def next_turn(self) -> float | None:
        """When `step` is due, if nothing happens before."""
        if self._answered or self._has_new_jobs:
            return -math.inf
        if self._jobs:
            return self._clock() + self._pool.look_s
        return None if self._idle_since is None else self._idle_since + IDLE_S

    def offer(self, job: ReadJob, chunk: Chunk) -> None:
        """Have these files read; their pending row is durable, and stays until they are inserted.

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
        self.files.update(files_of(job.plan))
        self._places.update(((job.plan.root_id, entry.path), job) for entry in job.plan.read)
        self._has_new_jobs = True
        done = self._work.add(job, chunk, alone, known)
        if done is not None:
            self._finish(*done.answer())

    def step(self, wait_s: float = 0.0) -> list[tuple[ReadJob, list[Reading]]]:
        """Hand out, collect, and return what is done; wait up to `wait_s` seconds where nothing is.

        Raises CannotDo when no reader can be started, or each one crashes on whatever it is given.
        """
        self._has_new_jobs = False
        if self._jobs:
            self._idle_since = None
        if self._jobs or self._pool.reader_count:  # an idle one may have died, too
            wait_s = 0.0 if self._answered else wait_s
            for done in self._pool.step(self._work, wait_s):
                self._finish(*done.answer())
        answered, self._answered = self._answered, []
        for job, _ in answered:
            del self._jobs[job.row.id]
            self.files.subtract(files_of(job.plan))
            for entry in job.plan.read:
                place = (job.plan.root_id, entry.path)
                if self._places.get(place) is job:
                    del self._places[place]
        self.files += Counter()  # drop zero counts
        if not self._jobs and self._pool.reader_count:
            now = self._clock()
            if self._idle_since is None:
                self._idle_since = now
            elif now >= self._idle_since + IDLE_S:
                self._pool.end_readers()
                self._idle_since = None
        return answered

    def given(self, piece: Piece[Any]) -> None:
        """Record durably what a reader is about to get."""
        root_id, paths = _place_of(piece)
        stamps = self._stamps[piece.job.tag.row.id]
        files = [(path, stamps[path]) for path in paths]
        trials.begin(self._connection, root_id, files, alone=len(files) == 1)

    def answered(self, piece: Piece[Any]) -> None:
        """Delete the record: the reader survived."""
        root_id, paths = _place_of(piece)
        trials.end(self._connection, root_id, paths)

    def left(self, piece: Piece[Any]) -> None:
        """Take the record back: the server did not answer."""
        root_id, paths = _place_of(piece)
        trials.take_back(self._connection, root_id, paths, alone=len(paths) == 1)

    def drop(self) -> None:
        """Drop all work; its rows stay pending. A living reader counts against no file.

        A reader that died while it read a single file counts against that file; if the database
        cannot be written now, every reader does.
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
        self.files.clear()
        self._idle_since = None
        self._has_new_jobs = False

    def close(self) -> None:
        """Drop all work, and end."""
        self.drop()
        self._pool.close()

    def _finish(self, job: ReadJob, readings: list[Reading]) -> None:
        at_fault = [one.path for one in readings if one.problem is not None]
        if at_fault:  # the witness was called for the others when they were answered
            trials.end(self._connection, job.plan.root_id, at_fault)
        del self._stamps[job.row.id]
        self._answered.append((job, readings))


def files_of(plan: Plan) -> Iterable[File]:
    """Which files a plan reads."""
    return [(entry.disk_id, entry.stamp.inode) for entry in plan.read]


def _place_of(piece: Piece[Any]) -> tuple[int, tuple[bytes, ...]]:
    return piece.job.tag.plan.root_id, piece.chunk.paths


def _at_fault(path: bytes, stamp: Stamp, tries: int) -> Reading:
    reason = f"it was given to a reader {tries} times, and each time that reader or all died"
    return Reading(path=path, stamp=stamp, problem=Problem(ProblemKind.CONTENT, reason))
