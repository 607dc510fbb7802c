"""Chunks, and what became of the readers that had them -> the next piece to read, or a verdict.

When a reader dies or hangs, nobody knows on which file of its chunk. So the chunk is halved and the
halves are tried again, down to a single file; a single file that fails twice is to blame (rule R9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from msgspec.structs import replace

from indexer.errors import CannotDo
from indexer.model import Chunk, Problem, ProblemKind, Reading, Stamp
from indexer.stages.extract import stamp_at

T = TypeVar("T")

FAILING_CHUNKS = 12
"""So many different chunks failed and nothing was read in between: the machine is at fault.

A guess, and well above the eight or so halvings that lead from a chunk to its one bad file.
"""


@dataclass(eq=False, slots=True)
class Job(Generic[T]):
    """One chunk as it was asked for, and what has been read of it."""

    tag: T
    chunk: Chunk
    readings: dict[int, list[Reading]] = field(default_factory=dict)
    """By the place in the chunk where they begin."""
    pieces: int = 1
    """Still unread."""

    def answer(self) -> tuple[T, list[Reading]]:
        """The readings in the chunk's order, once no piece is left."""
        return self.tag, [reading for _, part in sorted(self.readings.items()) for reading in part]


@dataclass(eq=False, slots=True)
class Piece(Generic[T]):
    """A part of a chunk that one reader gets at once: all of it, unless that failed before."""

    job: Job[T]
    start: int
    stop: int
    failures: int = 0
    stamp: Stamp | None = None
    """Of a single file that failed once, taken before it is tried again."""

    @property
    def chunk(self) -> Chunk:
        """What the reader is told."""
        whole = self.job.chunk
        return replace(whole, paths=whole.paths[self.start : self.stop])


class Work(Generic[T]):
    """All that is to be read: fresh chunks, pulled one at a time, and leftovers of failed ones."""

    def __init__(
        self,
        chunks: Iterable[tuple[T, Chunk]],
        stamp_at: Callable[..., Stamp | None] = stamp_at,
    ) -> None:
        self._fresh = iter(chunks)
        self._leftovers: list[Piece[T]] = []
        self._failing: set[Job[T]] = set()
        self._took_fresh = False
        self._stamp_at = stamp_at

    def take(self) -> Piece[T] | None:
        """The next piece to read; None when there is none now (a failure may bring one back).

        Leftovers go first, the smallest before all. After a failure they take turns with fresh
        chunks: whichever succeeds shows that the machine is well, and only the file is not.
        """
        if self._leftovers and not (self._failing and not self._took_fresh):
            return self._take_leftover()
        fresh = next(self._fresh, None)
        if fresh is None:
            return self._take_leftover() if self._leftovers else None
        self._took_fresh = True
        tag, chunk = fresh
        return Piece(Job(tag, chunk), 0, len(chunk.paths))

    def put_back(self, piece: Piece[T]) -> None:
        """It was not read, through no fault of its own."""
        self._leftovers.append(piece)

    def succeed(self, piece: Piece[T], readings: list[Reading]) -> Job[T] | None:
        """Note what a piece brought; its job if that was the last piece of it."""
        self._failing.clear()
        return self._settle(piece, readings)

    def fail(self, piece: Piece[T], how: str) -> Job[T] | None:
        """Note that a reader was lost on a piece; its job if that was the last piece of it.

        `how` completes 'the reader ...'. Raises CannotDo when chunk after chunk fails.
        """
        self._failing.add(piece.job)
        if len(self._failing) >= FAILING_CHUNKS:
            raise CannotDo(
                f"reader processes are lost on everything they are given (the last one {how}):"
                " look whether this machine's disk and memory are well, then scan again"
            )
        if piece.stop - piece.start > 1:
            middle = (piece.start + piece.stop) // 2
            self._leftovers.append(Piece(piece.job, piece.start, middle))
            self._leftovers.append(Piece(piece.job, middle, piece.stop))
            piece.job.pieces += 1
            return None
        if piece.failures == 0:
            piece.failures = 1
            chunk = piece.chunk
            for path in chunk.paths:
                piece.stamp = self._stamp_at(chunk.root_path, path, follow_links=chunk.follow_links)
            self._leftovers.append(piece)
            return None
        problem = Problem(ProblemKind.CONTENT, f"the reader {how} twice on this file")
        return self._settle(
            piece,
            [
                Reading(path=path, stamp=piece.stamp, problem=problem, opened=True)
                for path in piece.chunk.paths
            ],
        )

    def _take_leftover(self) -> Piece[T]:
        self._took_fresh = False
        smallest = min(self._leftovers, key=lambda piece: piece.stop - piece.start)
        self._leftovers.remove(smallest)
        return smallest

    def _settle(self, piece: Piece[T], readings: list[Reading]) -> Job[T] | None:
        job = piece.job
        job.readings[piece.start] = readings
        job.pieces -= 1
        return None if job.pieces else job
