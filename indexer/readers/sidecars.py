"""Pictures and playlists -> their facts, by processes that may crash, hang or run out of memory.

As with tags, a picture costs no other: one on which its reader dies twice is a problem of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from indexer.artwork.cache import KEPT_SIZE, ThumbnailCache
from indexer.artwork.model import PictureKey, SidecarJob, SidecarReading
from indexer.model import Chunk, Problem, ProblemKind, Reading
from indexer.paths import name_of, suffix_of
from indexer.readers.halving import PendingChunks
from indexer.readers.limited import IDLE_S
from indexer.readers.pool import READER, ReaderPool
from indexer.readers.reader import SIDECARS
from indexer.shares.messages import PATIENCE_S
from indexer.sidecars import PLAYLIST_SUFFIXES

PROGRAM: Final = (*READER, SIDECARS)
MEMORY_MB: Final = 240
"""How much a reader may take beyond what it has at its start: `header.MOST_MEMORY`, the bytes of
the picture, and what is around them."""
_MOST_TOGETHER: Final = 8
"""Pictures that a reader is asked for at once; it answers after the last of them. A guess: 0.2 s of
covers."""


class SidecarReaders:
    """A few readers of pictures and playlists; started when there is work, ended when idle.

    Called by one thread, which must outlive them; `submit` and `step` never wait long.
    """

    def __init__(
        self,
        cache: ThumbnailCache,
        timeout_s: float,
        workers: int = 1,
        *,
        size: int = KEPT_SIZE,
        program: Sequence[str] = PROGRAM,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`timeout_s` is how long a reader may take for one picture (setting `reader_timeout`).

        `size` is that of the thumbnails in pixels, `patience_s` how long a server may leave a
        reader without an answer.
        """
        command = (*program, str(cache.folder), str(size))
        self._pool = ReaderPool(
            workers, timeout_s, memory_mb=MEMORY_MB, command=command, patience_s=patience_s
        )
        self._clock = clock
        self._work: PendingChunks[list[SidecarJob]] = PendingChunks(gives_up=False)
        self._workers = workers
        self._left = 0
        self._has_new_jobs = False
        self._idle_since: float | None = None

    def __len__(self) -> int:
        """How many jobs are not answered yet."""
        return self._left

    @property
    def reader_pids(self) -> tuple[int, ...]:
        """The process ids of the readers."""
        return self._pool.reader_pids

    def fileno(self) -> int:
        """A descriptor that can be read when there is something to do."""
        return self._pool.fileno()

    def next_turn(self) -> float | None:
        """When `step` is due, if nothing happens before."""
        if self._has_new_jobs:
            return -math.inf
        if self._left:
            return self._clock() + self._pool.look_s
        return None if self._idle_since is None else self._idle_since + IDLE_S

    def submit(self, jobs: Sequence[SidecarJob]) -> None:
        """Have these sources read. Each is answered once, by `step`, in any order.

        Several of one root are asked for together: a question and its answer cost as much as a
        small picture.
        """
        most = _MOST_TOGETHER if self._left else -(-len(jobs) // self._workers)
        together: dict[tuple[object, ...], list[SidecarJob]] = {}
        for job in jobs:
            own = together.setdefault(_manner(job), [])
            own.append(job)
            if len(own) >= min(most, _MOST_TOGETHER):
                self._add(own.copy())
                own.clear()
        for rest in together.values():
            if rest:
                self._add(rest)

    def _add(self, jobs: list[SidecarJob]) -> None:
        """Have sources read that are read in one manner."""
        first = jobs[0]
        chunk = Chunk(
            first.root_path,
            tuple(job.key.path for job in jobs),
            first.evidence,
            first.follow_links,
            frozenset(job.key.path for job in jobs if job.closed),
            may_hang=first.may_hang,
        )
        self._work.add(jobs, chunk)
        self._left += len(jobs)
        self._has_new_jobs = True

    def step(self, wait_s: float = 0.0) -> list[tuple[SidecarJob, SidecarReading]]:
        """Hand out, collect, and return what is done; wait up to `wait_s` seconds where nothing is.

        Raises CannotDo when no reader can be started.
        """
        self._has_new_jobs = False
        answered: list[tuple[SidecarJob, SidecarReading]] = []
        if self._left or self._pool.reader_count:  # an idle one may have died, too
            for done in self._pool.step(self._work, wait_s):
                jobs, readings = done.answer()
                answered += zip(jobs, map(_reading_of, jobs, readings), strict=True)
        self._left -= len(answered)
        self._end_if_idle()
        return answered

    def close(self) -> None:
        """Drop all work, and end."""
        self._pool.close()
        self._work = PendingChunks(gives_up=False)
        self._left = 0
        self._has_new_jobs = False
        self._idle_since = None

    def _end_if_idle(self) -> None:
        if self._left or not self._pool.reader_count:
            self._idle_since = None
            return
        now = self._clock()
        if self._idle_since is None:
            self._idle_since = now
        elif now >= self._idle_since + IDLE_S:
            self._pool.end_readers()
            self._idle_since = None


def _manner(job: SidecarJob) -> tuple[object, ...]:
    """What all files of a chunk have in common."""
    return job.root_path, job.evidence, job.follow_links, job.may_hang


def _reading_of(job: SidecarJob, reading: Reading) -> SidecarReading:
    return SidecarReading(
        stamp=reading.stamp,
        facts=reading.picture,
        playlist=reading.playlist,
        problem=None if reading.problem is None else _of_sidecar(job.key, reading.problem),
        waiting=reading.waiting,
        gone=reading.gone,
        opened=reading.opened,
        bytes_read=reading.bytes_read,
    )


def _of_sidecar(key: PictureKey, problem: Problem) -> Problem:
    """A picture on which a reader dies is a broken picture; the music is not."""
    if problem.kind is not ProblemKind.CONTENT:
        return problem
    is_playlist = suffix_of(name_of(key.path)) in PLAYLIST_SUFFIXES
    return replace(problem, kind=ProblemKind.PLAYLIST if is_playlist else ProblemKind.PICTURE)
