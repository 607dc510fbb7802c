"""Chunks -> readings, in a few reader processes that may die or hang without harm to the rest."""

from __future__ import annotations

import selectors
import shlex
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from subprocess import Popen
from typing import Any, Final, Protocol, TypeVar

import msgspec

from indexer.closable import Closable
from indexer.errors import CannotDo
from indexer.model import Chunk, Reading
from indexer.readers.halving import ChunkJob, PendingChunks, Piece
from indexer.readers.reader_process import ReaderProcess
from indexer.shares.messages import PATIENCE_S

T = TypeVar("T")

READER = (sys.executable, "-P", "-m", "indexer.readers.reader")
"""`-P`: never import from the current folder."""

IN_FLIGHT = 6
"""Chunks a reader has at once: one that it reads, and five so that it rarely waits while we write
sixteen in one transaction, or the disk. Their answers, 125 KB each, fit into its pipe."""

STILLBORN = 3
"""After so many readers in a row that end before their first frame, none will start. A guess."""

START_S = 60.0
"""How long a reader may take to start; a small machine loads Python from a slow card."""

_LOOK_EVERY_S = 1.0
_EARLY: Final = 8
"""After this part of its time limit, a reader's waits for a processor are counted. A guess."""
_SILENT_S = 10.0
"""Pause of a root after its server left a reader without an answer. A guess."""


class Witness(Protocol):
    """An observer of each piece, called before a reader may crash on it."""

    def given(self, piece: Piece[Any], /) -> None:
        """A reader that is known to live is about to get it."""

    def answered(self, piece: Piece[Any], /) -> None:
        """The reader has read it, and still lives."""

    def left(self, piece: Piece[Any], /) -> None:
        """The reader is blocked on a server that does not answer, through no fault of the piece."""


class ReaderPool(Closable):
    """A few processes that read tags; they start when there is work and end with `close`.

    One thread, the caller's, does everything, and must outlive the pool: the kernel kills readers
    when the thread that started them ends. A closed pool may be used again.
    """

    def __init__(
        self,
        workers: int,
        timeout_s: float = 60.0,
        *,
        memory_mb: int = 0,
        command: Sequence[str] | None = None,
        witness: Witness | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`timeout_s` is how long a reader may be silent over one file before it is killed.

        Where it had to wait for a processor, that time is added. It may take `memory_mb` beyond
        what it has at its start (0: no limit). `command` starts a reader, which must speak the
        protocol of `indexer.readers.reader`. With a `witness` a reader has one piece at a time.

        Where a server has to answer (`Chunk.may_hang`), a reader that stands still for `patience_s`
        is left behind, and what it had is answered as `Waiting.SILENT`. So is everything else below
        that root for a while.
        """
        self.restarts = 0
        """Readers that died or were killed in the middle of their work."""
        self._workers = workers
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._command = READER if command is None else command
        self._witness = witness
        self._patience_s = patience_s
        self._silent: dict[bytes, tuple[float, Popen[bytes]]] = {}
        """By a root's path: until when nothing is read there, and the blocked reader."""
        self._set_aside: list[ChunkJob[Any]] = []
        self._readers: list[ReaderProcess] = []
        self._selector = selectors.EpollSelector()
        self._stillborn = 0
        self._waited_s = 0.0
        self._listened_s = 0.0
        """When we last listened, by the system's clock."""

    def map_unordered(
        self, chunks: Iterable[tuple[T, Chunk]]
    ) -> Generator[tuple[T, list[Reading]], None, None]:
        """Read chunks as they come; yield each tag with its readings as soon as all are there.

        Pulls the next chunk only when a reader has room for it, at most `IN_FLIGHT` a reader. A
        file that twice crashes or outlives its reader alone is a problem of its own (rule R9).
        Raises CannotDo when no reader can be started, or each one crashes on whatever it is given.
        """
        work = PendingChunks(chunks)
        finished = False
        try:
            self._listened_s = time.monotonic()
            while self._hand_out(work):
                for job in self._await_frames(work, self.look_s):
                    yield job.answer()
                self._listened_s = time.monotonic()
            for job in self._take_set_aside():
                yield job.answer()
            finished = True
        finally:
            if not finished:  # what readers still hold is not wanted any more
                self.close()

    def close(self) -> None:
        """End all readers at once. They only read, so there is nothing to wait for."""
        self.end_readers()
        self._selector.close()
        self._selector = selectors.EpollSelector()

    def end_readers(self) -> list[Piece[Any]]:
        """End all readers, but keep `fileno`; the pieces of those that lived and were at work."""
        readers, self._readers = self._readers, []
        lived = [reader for reader in readers if reader.process.poll() is None]
        for reader in readers:
            self._forget(reader)
            reader.kill()
        for reader in readers:
            reader.reap()
        return [piece for reader in lived for piece in reader.pieces]

    def fileno(self) -> int:
        """A descriptor that can be read when `step` has something to do (epoll(7))."""
        return self._selector.fileno()

    @property
    def look_s(self) -> float:
        """Longest pause between calls of `step` while readers are at work, in seconds."""
        return min(_LOOK_EVERY_S, self._timeout_s / 4, self._patience_s / 4)

    @property
    def reader_count(self) -> int:
        """How many readers live."""
        return len(self._readers)

    @property
    def reader_pids(self) -> tuple[int, ...]:
        """The process ids of the readers."""
        return tuple(reader.process.pid for reader in self._readers)

    def step(self, work: PendingChunks[T], wait_s: float = 0.0) -> list[ChunkJob[T]]:
        """Hand out pieces, wait up to `wait_s` for answers, and return the jobs that are done."""
        if not self._readers:
            self._listened_s = time.monotonic()
        busy = self._hand_out(work)
        done = list(self._await_frames(work, min(wait_s, self.look_s) if busy else 0.0))
        if done or self._witness is not None:
            self._hand_out(work)
        self._listened_s = time.monotonic()
        return done

    def _hand_out(self, work: PendingChunks[T]) -> bool:
        """Give every reader as much as it may hold; False when nothing is left to wait for."""
        if self._witness is not None:
            return self._hand_out_singly(work, self._witness)
        for depth in range(IN_FLIGHT):
            for place in range(self._workers):
                if place < len(self._readers) and len(self._readers[place].pieces) > depth:
                    continue
                piece = self._take(work)
                if piece is None:
                    return any(reader.pieces for reader in self._readers)
                if place == len(self._readers):
                    self._readers.append(self._start())
                self._send(self._readers[place], piece)
        return True

    def _hand_out_singly(self, work: PendingChunks[T], witness: Witness) -> bool:
        """Hand out where a witness is called before: one piece for each live reader."""
        idle = [reader for reader in self._readers if not reader.pieces]
        while work.waiting > len(idle) and len(self._readers) < self._workers:
            self._readers.append(self._start())
            idle.append(self._readers[-1])
        for reader in idle:
            piece = self._take(work) if reader.born else None
            if piece is not None:
                try:
                    witness.given(piece)
                except BaseException:
                    work.put_back(piece)
                    raise
                self._send(reader, piece)
        return work.waiting > 0 or any(reader.pieces for reader in self._readers)

    def _take(self, work: PendingChunks[T]) -> Piece[T] | None:
        """The next piece, without those of silent roots."""
        while (piece := work.take()) is not None and self._is_silent(piece.chunk.root_path):
            job = work.set_aside(piece)
            if job is not None:
                self._set_aside.append(job)
        return piece

    def _is_silent(self, root: bytes) -> bool:
        if root not in self._silent:
            return False
        until_s, reader = self._silent[root]
        if reader.poll() is not None and time.monotonic() > until_s:
            del self._silent[root]
        return root in self._silent

    def _take_set_aside(self) -> list[ChunkJob[Any]]:
        jobs, self._set_aside = self._set_aside, []
        return jobs

    def _start(self) -> ReaderProcess:
        try:
            reader = ReaderProcess(self._command, self._memory_mb, last_answer_s=self._waited_s)
        except OSError as error:
            raise CannotDo(
                f"cannot start a reader process ({error}): free memory or processes, or give"
                " the indexer fewer workers"
            ) from error
        self._selector.register(reader.answers, selectors.EVENT_READ, reader)
        return reader

    def _send(self, reader: ReaderProcess, piece: Piece[Any]) -> None:
        if not reader.outbox:
            self._selector.register(reader.chunks, selectors.EVENT_WRITE, reader)
        if not reader.pieces:
            reader.last_answer_s = self._waited_s
        reader.pieces.append(piece)
        reader.send(_encode(piece.chunk))

    def _await_frames(self, work: PendingChunks[T], wait_s: float) -> Iterator[ChunkJob[T]]:
        """Wait until something happens, and yield the jobs that it completes.

        The time limit of a silent reader runs only while we listen: the caller may spend minutes
        between two calls, and a stopped process (Ctrl-Z) any time in one.
        """
        events = self._selector.select(wait_s)
        self._waited_s += min(time.monotonic() - self._listened_s, self.look_s)
        for key, _ in events:
            reader: ReaderProcess = key.data
            if reader not in self._readers:
                continue  # lost earlier in this loop
            if key.fd == reader.chunks:
                if reader.write_on():
                    self._selector.unregister(reader.chunks)
                reader.last_answer_s = self._waited_s
                continue
            frames = reader.read_on()
            for frame in frames or ():
                yield from self._take_frame(reader, frame, work)
            if frames is None:
                yield from self._lose(reader, work, None)
        yield from self._take_set_aside()
        for reader in list(self._readers):
            if self._stands_still(reader):
                yield from self._leave(reader, work)
                continue
            limit_s = self._timeout_s if reader.born else max(self._timeout_s, START_S)
            if self._is_over(reader, limit_s):
                yield from self._lose(reader, work, f"took longer than {limit_s:g} s")

    def _is_over(self, reader: ReaderProcess, limit_s: float) -> bool:
        """Whether a reader has been silent for too long; what it waits for a processor is extra."""
        if reader.outbox or not (reader.pieces or not reader.born):
            return False
        silent_s = self._waited_s - reader.last_answer_s
        return silent_s > limit_s / _EARLY and silent_s - reader.starved_s(self._waited_s) > limit_s

    def _take_frame(
        self, reader: ReaderProcess, frame: bytes, work: PendingChunks[T]
    ) -> Iterator[ChunkJob[T]]:
        reader.last_answer_s = self._waited_s
        reader.born = True
        self._stillborn = 0
        if frame:
            piece = reader.take_answered()
            job = work.succeed(piece, _decode(frame))
            if self._witness is not None:
                self._witness.answered(piece)
            if job is not None:
                yield job

    def _forget(self, reader: ReaderProcess) -> None:
        self._selector.unregister(reader.answers)
        if reader.outbox:
            self._selector.unregister(reader.chunks)

    def _stands_still(self, reader: ReaderProcess) -> bool:
        """Whether a reader is blocked because its server does not answer."""
        return (
            bool(reader.pieces)
            and reader.pieces[0].chunk.may_hang
            and reader.born
            and not reader.outbox
            and reader.stands_still(self._waited_s, self._patience_s)
        )

    def _leave(self, reader: ReaderProcess, work: PendingChunks[T]) -> Iterator[ChunkJob[T]]:
        """Remove a reader whose server does not answer, and set aside its pieces."""
        self.restarts += 1
        self._readers.remove(reader)
        self._forget(reader)
        piece = reader.pieces.popleft()
        reader.kill()
        reader.reap()
        self._silent[piece.chunk.root_path] = (time.monotonic() + _SILENT_S, reader.process)
        if self._witness is not None:
            self._witness.left(piece)
        for other in reader.pieces:
            work.put_back(other)
        job = work.set_aside(piece)
        if job is not None:
            yield job

    def _lose(
        self, reader: ReaderProcess, work: PendingChunks[T], how: str | None
    ) -> Iterator[ChunkJob[T]]:
        """Remove a reader that has ended, or (with `how`) that must be ended."""
        self.restarts += 1
        self._readers.remove(reader)
        self._forget(reader)
        at = reader.place_at_hand if reader.pieces else None
        if how is not None:
            reader.kill()
        ended = reader.reap()
        if how is None:
            how = f"died ({ended})"
        if not reader.born:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise CannotDo(
                    f"cannot start a reader process (it {how}): run"
                    f" `{shlex.join(self._command)} 0 {self._memory_mb} -1 < /dev/null` to see why"
                )
        elif reader.pieces:
            job = work.fail(reader.pieces.popleft(), how, at)
            if job is not None:
                yield job
        for piece in reader.pieces:
            work.put_back(piece)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Reading]).decode
