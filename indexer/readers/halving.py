"""Chunks, and the fate of the readers that had them -> the next piece to read, or a verdict.

When a reader dies or hangs, it is known which file of its chunk it was reading: that one is tried
again by itself, and the others as they were. Where it is not known (a reader program that does not
say so, or one that died between two files) the chunk is halved, down to a single file. A single
file that fails twice is to blame (rule R9).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from indexer.errors import CannotDo, RootSilent
from indexer.model import Chunk, Problem, ProblemKind, Reading, Stamp, Waiting
from indexer.shares.hanging import ask_at
from indexer.stages.extract import stamp_at

T = TypeVar("T")

FAILING_CHUNKS = 12
"""Different chunks that failed with nothing read in between: from so many on, the machine is at
fault.

A guess, and well above the eight or so halvings that lead from a chunk to its one bad file.
"""


class ChunkJob(Struct, Generic[T], eq=False):
    """One chunk as it was requested, and what has been read of it."""

    tag: T
    chunk: Chunk
    readings: dict[int, list[Reading]] = {}
    """By the index in the chunk where they begin."""
    pieces: int = 1
    """Still unread."""

    def answer(self) -> tuple[T, list[Reading]]:
        """The readings in the chunk's order, once no piece is left."""
        return self.tag, [reading for _, part in sorted(self.readings.items()) for reading in part]


class Piece(Struct, Generic[T], eq=False):
    """A part of a chunk that one reader gets at once: all of it, unless that failed before."""

    job: ChunkJob[T]
    start: int
    stop: int
    failures: int = 0
    stamp: Stamp | None = None
    """Of a single file that failed once: its stamp before the second try."""

    @property
    def chunk(self) -> Chunk:
        """The chunk that is sent to the reader."""
        whole = self.job.chunk
        return replace(whole, paths=whole.paths[self.start : self.stop])


def _stamp_of(chunk: Chunk, path: bytes) -> Stamp | None:
    """The present stamp of a file; None where it cannot be seen."""
    where = (chunk.root_path, path, chunk.follow_links)
    if not chunk.may_hang:
        return stamp_at(*where)
    with suppress(RootSilent):
        return ask_at(chunk.root_path, stamp_at, *where)
    return None


class PendingChunks(Generic[T]):
    """All that is to be read: fresh chunks, pulled one at a time, and leftovers of failed ones."""

    def __init__(
        self,
        chunks: Iterable[tuple[T, Chunk]] = (),
        stamp_at: Callable[[Chunk, bytes], Stamp | None] = _stamp_of,
        *,
        gives_up: bool = True,
    ) -> None:
        """Without `gives_up`, files of many failing chunks get a problem of the environment."""
        self._gives_up = gives_up
        self._fresh = iter(chunks)
        self._queue: deque[Piece[T]] = deque()
        self._leftovers: list[Piece[T]] = []
        self._failing: set[ChunkJob[T]] = set()
        self._took_fresh = False
        self._stamp_at = stamp_at

    def take(self) -> Piece[T] | None:
        """The next piece to read; None when there is none now (a failure may bring one back).

        Leftovers go first, the smallest before all. After a failure they take turns with fresh
        chunks: any success shows that the machine is well, and only the file is not.
        """
        if self._leftovers and not (self._failing and not self._took_fresh):
            return self._take_leftover()
        if self._queue:
            self._took_fresh = True
            return self._queue.popleft()
        fresh = next(self._fresh, None)
        if fresh is None:
            return self._take_leftover() if self._leftovers else None
        self._took_fresh = True
        tag, chunk = fresh
        return Piece(ChunkJob(tag, chunk), 0, len(chunk.paths))

    def add(
        self,
        tag: T,
        chunk: Chunk,
        alone: Collection[int] = (),
        known: Mapping[int, Reading] = MappingProxyType({}),
    ) -> ChunkJob[T] | None:
        """One more chunk, of which the files at the indexes `alone` are each read by themselves.

        `known` maps an index to a reading that is there already; the job, if that is all of them.
        """
        job = ChunkJob(tag, chunk, {place: [reading] for place, reading in known.items()}, 0)
        start = 0
        for place in range(len(chunk.paths) + 1):
            if place == len(chunk.paths) or place in alone or place in known:
                for first, stop in ((start, place), (place, place + (place in alone))):
                    if first < stop:
                        self._queue.append(Piece(job, first, stop))
                        job.pieces += 1
                start = place + 1
        return None if job.pieces else job

    @property
    def waiting(self) -> int:
        """How many pieces wait to be taken, not counting fresh chunks."""
        return len(self._queue) + len(self._leftovers)

    def put_back(self, piece: Piece[T]) -> None:
        """It was not read, through no fault of its own."""
        self._leftovers.append(piece)

    def set_aside(self, piece: Piece[T]) -> ChunkJob[T] | None:
        """Answer a piece as silent: its server does not answer, which says nothing of the files.

        Its job if that was the last piece of it.
        """
        waiting = Waiting.SILENT
        return self._complete(
            piece, [Reading(path=path, waiting=waiting) for path in piece.chunk.paths]
        )

    def succeed(self, piece: Piece[T], readings: list[Reading]) -> ChunkJob[T] | None:
        """Note the readings of a piece; its job if that was the last piece of it."""
        self._failing.clear()
        return self._complete(piece, readings)

    def fail(self, piece: Piece[T], how: str, at: int | None = None) -> ChunkJob[T] | None:
        """Note that a reader was lost on a piece; its job if that was the last piece of it.

        `how` completes 'the reader ...', `at` is the index in the piece of the file that it was
        reading, if that is known. Raises CannotDo when chunk after chunk fails.
        """
        self._failing.add(piece.job)
        is_machines = len(self._failing) >= FAILING_CHUNKS
        if is_machines and self._gives_up:
            raise CannotDo(
                f"reader processes crash or hang on every chunk (the last one {how}):"
                " check this machine's disk and memory, then scan again"
            )
        if piece.stop - piece.start > 1 and at is not None:
            self._set_apart(piece, piece.start + at)
            return None
        if piece.stop - piece.start > 1:
            middle = (piece.start + piece.stop) // 2
            self._leftovers.append(Piece(piece.job, piece.start, middle))
            self._leftovers.append(Piece(piece.job, middle, piece.stop))
            piece.job.pieces += 1
            return None
        if piece.failures == 0:
            self._record_crash(piece)
            return None
        kind = ProblemKind.ENVIRONMENT if is_machines else ProblemKind.CONTENT
        problem = Problem(kind, f"the reader {how} twice on this file")
        return self._complete(
            piece,
            [
                Reading(path=path, stamp=piece.stamp, problem=problem, opened=True)
                for path in piece.chunk.paths
            ],
        )

    def _set_apart(self, piece: Piece[T], place: int) -> None:
        """Try one file of a piece by itself, and the others as they were."""
        for start, stop in ((piece.start, place), (place + 1, piece.stop)):
            if start < stop:
                self._leftovers.append(Piece(piece.job, start, stop))
                piece.job.pieces += 1
        self._record_crash(Piece(piece.job, place, place + 1))

    def _record_crash(self, piece: Piece[T]) -> None:
        """Count the first failure of a single file, and try it again later."""
        piece.failures = 1
        chunk = piece.chunk
        for path in chunk.paths:
            piece.stamp = self._stamp_at(chunk, path)
        self._leftovers.append(piece)

    def _take_leftover(self) -> Piece[T]:
        self._took_fresh = False
        smallest = min(self._leftovers, key=lambda piece: piece.stop - piece.start)
        self._leftovers.remove(smallest)
        return smallest

    def _complete(self, piece: Piece[T], readings: list[Reading]) -> ChunkJob[T] | None:
        job = piece.job
        job.readings[piece.start] = readings
        job.pieces -= 1
        return None if job.pieces else job
