"""Chunks -> readings, in a few reader processes that may die or hang without harm to the rest."""

from __future__ import annotations

import fcntl
import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar, cast

import msgspec

from indexer.engine.pieces import Job, Piece, Work
from indexer.engine.reader import HEADER
from indexer.errors import CannotDo
from indexer.model import Chunk, Reading

T = TypeVar("T")

READER = (sys.executable, "-P", "-m", "indexer.engine.reader")
"""`-P`: never import from the folder that somebody happens to stand in."""

IN_FLIGHT = 4
"""Chunks a reader has at once: one that it reads, and three so that it never waits while we write
four in one transaction, or the disk. Measured with 100 000 files: 8.0 s in place of 8.6 with 2."""

STILLBORN = 3
"""So many readers in a row that end before their first frame will never start. A guess."""

START_S = 60.0
"""How long a reader may take to start; on a small machine Python comes from a slow card."""

_LOOK_EVERY_S = 1.0
_PIPE_BYTES = 1024 * 1024
"""What a reader can answer while nobody listens; more is not allowed to all. Linux gives 64 KB."""


class ReaderPool:
    """A few processes that read tags; they start when there is work and end with `close`.

    One thread, the caller's, does everything, and must outlive the pool: the kernel kills readers
    when the thread that started them ends. A closed pool may be used again.
    """

    def __init__(
        self, workers: int, timeout_s: float = 60.0, *, command: Sequence[str] = READER
    ) -> None:
        """`timeout_s` is how long a reader may be silent over one file before it is killed.

        `command` starts a reader, which must do as `indexer.engine.reader` does.
        """
        self.restarts = 0
        """Readers that died or were killed in the middle of their work."""
        self._workers = workers
        self._timeout_s = timeout_s
        self._command = command
        self._readers: list[_Reader] = []
        self._selector = selectors.PollSelector()
        self._stillborn = 0
        self._waited_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def map_unordered(
        self, chunks: Iterable[tuple[T, Chunk]]
    ) -> Generator[tuple[T, list[Reading]], None, None]:
        """Read chunks as they come; yield each tag with its readings as soon as all are there.

        Pulls the next chunk only when a reader has room for it, at most `IN_FLIGHT` a reader. A
        file that twice kills or outlives its reader alone is a problem of its own (rule R9).
        Raises CannotDo when no reader can be started, or none survives whatever it is given.
        """
        work = Work(chunks)
        finished = False
        try:
            while self._hand_out(work):
                for job in self._await_frames(work):
                    yield job.answer()
            finished = True
        finally:
            if not finished:  # what readers still hold belongs to nobody now
                self.close()

    def close(self) -> None:
        """End all readers at once. They only read, so there is nothing to wait for."""
        readers, self._readers = self._readers, []
        self._selector = selectors.PollSelector()
        for reader in readers:
            reader.process.kill()
        for reader in readers:
            reader.bury()

    def _hand_out(self, work: Work[T]) -> bool:
        """Give every reader as much as it may hold; False when nothing is left to wait for."""
        for depth in range(IN_FLIGHT):
            for place in range(self._workers):
                if place < len(self._readers) and len(self._readers[place].pieces) > depth:
                    continue
                piece = work.take()
                if piece is None:
                    return any(reader.pieces for reader in self._readers)
                if place == len(self._readers):
                    self._readers.append(self._start())
                self._send(self._readers[place], piece)
        return True

    def _start(self) -> _Reader:
        try:
            reader = _Reader(self._command, heard_s=self._waited_s)
        except OSError as error:
            raise CannotDo(
                f"cannot start a reader process ({error}): free memory or processes, or give"
                " the indexer fewer workers"
            ) from error
        self._selector.register(reader.answers, selectors.EVENT_READ, reader)
        return reader

    def _send(self, reader: _Reader, piece: Piece[Any]) -> None:
        if not reader.outbox:
            self._selector.register(reader.chunks, selectors.EVENT_WRITE, reader)
        reader.pieces.append(piece)
        reader.outbox += _frame(_encode(piece.chunk))

    def _await_frames(self, work: Work[T]) -> Iterator[Job[T]]:
        """Wait until something happens, and yield the jobs that it completes.

        The clock that condemns a silent reader runs only while we listen: our caller may spend
        minutes between two calls, and a stopped process (Ctrl-Z) any time in one.
        """
        look_s = min(_LOOK_EVERY_S, self._timeout_s / 4)
        before_s = time.monotonic()
        events = self._selector.select(look_s)
        self._waited_s += min(time.monotonic() - before_s, look_s)
        for key, _ in events:
            reader: _Reader = key.data
            if reader not in self._readers:
                continue  # lost a moment ago, in this very loop
            if key.fd == reader.chunks:
                if reader.write_on():
                    self._selector.unregister(reader.chunks)
                reader.heard_s = self._waited_s
                continue
            frames = reader.read_on()
            for frame in frames or ():
                yield from self._take_frame(reader, frame, work)
            if frames is None:
                yield from self._lose(reader, work, None)
        for reader in list(self._readers):
            limit_s = self._timeout_s if reader.born else max(self._timeout_s, START_S)
            silent_s = self._waited_s - reader.heard_s
            if reader.pieces and not reader.outbox and silent_s > limit_s:
                yield from self._lose(reader, work, f"took longer than {limit_s:g} s")

    def _take_frame(self, reader: _Reader, frame: bytes, work: Work[T]) -> Iterator[Job[T]]:
        reader.heard_s = self._waited_s
        reader.born = True
        self._stillborn = 0
        if frame:
            job = work.succeed(reader.pieces.popleft(), _decode(frame))
            if job is not None:
                yield job

    def _lose(self, reader: _Reader, work: Work[T], how: str | None) -> Iterator[Job[T]]:
        """Take a reader out that has ended, or (told `how`) that has to be ended."""
        self.restarts += 1
        self._readers.remove(reader)
        self._selector.unregister(reader.answers)
        if reader.outbox:
            self._selector.unregister(reader.chunks)
        if how is not None:
            reader.process.kill()
        ended = reader.bury()
        if how is None:
            how = f"died ({ended})"
        if not reader.born:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise CannotDo(
                    f"cannot start a reader process (it {how}): run"
                    f" `{shlex.join(self._command)} {os.getpid()} < /dev/null` to see why"
                )
        elif reader.pieces:
            job = work.fail(reader.pieces.popleft(), how)
            if job is not None:
                yield job
        for piece in reader.pieces:
            work.put_back(piece)


class _Reader:
    """One reader process, the two pipes to it, and the pieces that it has not answered yet."""

    def __init__(self, command: Sequence[str], heard_s: float) -> None:
        environment = dict(os.environ)
        beside = [str(Path(__file__).parents[2]), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(beside)
        # Ctrl-C in the first moments must not hit a reader that does not ignore it yet.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*command, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                bufsize=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        pipes = (self.process.stdin, self.process.stdout)
        self._pipes = cast("tuple[IO[bytes], IO[bytes]]", pipes)
        self.chunks, self.answers = (pipe.fileno() for pipe in self._pipes)
        for pipe in (self.chunks, self.answers):
            os.set_blocking(pipe, False)
            with suppress(OSError):  # the user has too many large pipes: smaller ones do as well
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.pieces: deque[Piece[Any]] = deque()
        self.born = False
        self.heard_s = heard_s
        self.outbox = bytearray()
        self._inbox = bytearray()

    def write_on(self) -> bool:
        """Write as much as the pipe takes; True when all is written, or nobody reads it."""
        try:
            del self.outbox[: os.write(self.chunks, self.outbox)]
        except BrokenPipeError:
            self.outbox.clear()  # it has ended: its other pipe will say so
        return not self.outbox

    def read_on(self) -> list[bytes] | None:
        """The frames that have come in whole; None when the reader has closed its end."""
        came = os.read(self.answers, _PIPE_BYTES)
        if not came:
            return None
        self._inbox += came
        frames = []
        while len(self._inbox) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._inbox)
            end = HEADER.size + length
            if len(self._inbox) < end:
                break
            frames.append(bytes(self._inbox[HEADER.size : end]))
            del self._inbox[:end]
        return frames

    def bury(self) -> str:
        """Close the pipes, reap the process, and tell how it ended."""
        for pipe in self._pipes:
            pipe.close()
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            try:
                status = self.process.wait(1)
            except subprocess.TimeoutExpired:
                return "stuck in the kernel"  # waits for a disk; subprocess reaps it some day
        return f"signal {-status}" if status < 0 else f"exit status {status}"


def _frame(block: bytes) -> bytes:
    return HEADER.pack(len(block)) + block


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Reading]).decode
