"""A process of `indexer.readers.reader`: started, sent and asked for frames, and reaped."""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from indexer.process import ProcessorWait, Standstill, end_process
from indexer.readers.halving import Piece
from indexer.readers.reader import AT_HAND, HEADER

_PIPE_BYTES: Final = 1024 * 1024
"""Pipe size for answers that are not collected yet; Linux gives 64 KB, and limits the sum of a
user's larger pipes."""

_PROGRESS_S: Final = 0.05
"""Pause between two checks of its progress."""


class ReaderProcess:
    """One reader process, the pipes to it, and the pieces that it has not answered yet.

    `born` once it has sent anything; `last_answer_s` is the pool's time when it last did, be it a
    heartbeat; `outbox` is what is still to be written to it.
    """

    def __init__(self, command: Sequence[str], memory_mb: int, last_answer_s: float) -> None:
        """Raises OSError where no process can be started."""
        environment = dict(os.environ)
        beside = [str(Path(__file__).parents[2]), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(beside)
        at_hand = os.memfd_create("at-hand")
        os.ftruncate(at_hand, AT_HAND.size)
        self._at_hand = mmap.mmap(at_hand, AT_HAND.size)
        # Ctrl-C in the first moments must not hit a reader that does not ignore it yet.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*command, str(os.getpid()), str(memory_mb), str(at_hand)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                bufsize=0,
                pass_fds=(at_hand,),
            )
        finally:
            os.close(at_hand)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        pipes = (self.process.stdin, self.process.stdout)
        self._pipes = cast("tuple[IO[bytes], IO[bytes]]", pipes)
        self.chunks, self.answers = (pipe.fileno() for pipe in self._pipes)
        for pipe in (self.chunks, self.answers):
            os.set_blocking(pipe, False)
            with suppress(OSError):  # the user has too many large pipes: smaller ones will do
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.pieces: deque[Piece[Any]] = deque()
        self.born = False
        self.last_answer_s = last_answer_s
        self._is_killed = False
        self._standstill = Standstill(self.process.pid)
        self._looked_s = last_answer_s
        self._processor_wait = ProcessorWait(self.process.pid)
        self._starved_since_s = -1.0
        self.outbox = bytearray()
        self._inbox = bytearray()
        self._answered = 0

    def send(self, block: bytes) -> None:
        """Put a frame into the outbox."""
        self.outbox += HEADER.pack(len(block)) + block

    def take_answered(self) -> Piece[Any]:
        """Remove and return the piece that was answered."""
        self._answered += 1
        return self.pieces.popleft()

    @property
    def place_at_hand(self) -> int | None:
        """The index in its first piece of the file that it is reading, if it says so."""
        answered, place = AT_HAND.unpack_from(self._at_hand)
        if answered != self._answered or not 0 < place <= len(self.pieces[0].chunk.paths):
            return None
        return int(place) - 1

    def write_on(self) -> bool:
        """Write as much as the pipe takes; True when all is written, or the reader has ended."""
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

    def reap(self) -> str:
        """Close the pipes and reap the process; how it ended."""
        self._at_hand.close()
        for pipe in self._pipes:
            pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0 if self._is_killed else 1)
        status = (
            end_process(self.process)
            if self.process.returncode is None
            else self.process.returncode
        )
        if status is None:
            return "stuck in the kernel"  # waits for a disk
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def kill(self) -> None:
        self._is_killed = True
        self.process.kill()

    def stands_still(self, now_s: float, patience_s: float) -> bool:
        """Whether it has made no progress for `patience_s`, by the pool's time: it is blocked."""
        if self.last_answer_s > self._looked_s:
            self._standstill.end()
            self._looked_s = self.last_answer_s
        elapsed_s = now_s - self._looked_s
        if elapsed_s < _PROGRESS_S:
            return False
        self._looked_s = now_s
        return self._standstill.lasts(elapsed_s, patience_s)

    def starved_s(self, now_s: float) -> float:
        """How long it waited for a processor since the first call after it was last heard.

        By the pool's time, which is `now_s`. It is this machine's fault, not that of a file.
        """
        if self._starved_since_s != self.last_answer_s:
            self._starved_since_s = self.last_answer_s
            self._processor_wait.begin(now_s)
        return self._processor_wait.waited_s(now_s)
