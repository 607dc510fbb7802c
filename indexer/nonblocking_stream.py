"""What a long-running process writes to stderr -> what is behind it, by a thread of its own.

A terminal after Ctrl-S, an ssh session whose other end sleeps or a stuck reader of a pipe takes
nothing, for hours. A daemon that waited for it would follow no change meanwhile, a worker would do
no job, and a scan would keep its lock.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Final, TextIO

_MOST_TEXTS: Final = 1000
"""How many texts wait at the most; later ones are lost, and counted. A guess: some 200 KB."""
_END_S: Final = 1.0
"""How long the end of a process waits for what is not written yet. A guess."""


class NonblockingStream(io.TextIOBase):
    """A text stream whose `write` never waits; the order of the texts is kept.

    `lost` gives the text for a number of texts that were lost. It is written before the next one,
    or at the end. A process that is forked has a thread of its own from its first text on.
    """

    def __init__(
        self, stream: TextIO, lost: Callable[[int], str], *, most: int = _MOST_TEXTS
    ) -> None:
        self._stream = stream
        self._lost_text = lost
        self._most = most
        self._lost = 0
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._texts: SimpleQueue[str | threading.Event] = SimpleQueue()  # signal handlers log, too
        thread = threading.Thread(target=self._write_all, name="stderr", daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            thread.start()  # it takes no signal, for which another thread may wait
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute there
        """Of the stream behind it."""
        return self._stream.encoding

    def fileno(self) -> int:
        """The descriptor of the stream behind it."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether the stream behind it is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Have a text written as soon as it is taken."""
        if self._pid != os.getpid():
            self._begin()
        if self._texts.qsize() >= self._most:
            self._lost += 1
            return len(text)
        self._tell_lost()
        self._texts.put(text)
        return len(text)

    @property
    def is_behind(self) -> bool:
        """Whether texts wait that are not written yet."""
        return not self._texts.empty()

    def drain(self, most_s: float) -> bool:
        """Wait until all is written, for so many seconds at the most; whether it is."""
        if self._pid != os.getpid():  # nothing was written here
            return True
        self._tell_lost()
        written = threading.Event()
        self._texts.put(written)
        return written.wait(most_s)

    def _tell_lost(self) -> None:
        if self._lost:
            self._texts.put(self._lost_text(self._lost))
            self._lost = 0

    def _write_all(self) -> None:
        while True:
            text = self._texts.get()
            if isinstance(text, threading.Event):
                text.set()
                continue
            data = text.encode(self.encoding, "backslashreplace")
            with suppress(OSError):  # a full disk, nothing reads it: no reason to stop
                _write_whole(self.fileno(), data)


def _write_whole(fd: int, data: bytes) -> None:
    """Write all of it, and wait where another process has made the terminal or pipe nonblocking."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            poll.poll()


@contextmanager
def nonblocking_stderr(lost: Callable[[int], str]) -> Iterator[TextIO | NonblockingStream]:
    """Let nothing wait for stderr. At the end what is not written yet gets a second.

    The stream is that of now where that is in memory, or waits for nothing already.
    """
    before = sys.stderr
    if isinstance(before, NonblockingStream) or not _has_descriptor(before):
        yield before
        return
    before.flush()
    stream = NonblockingStream(before, lost)
    sys.stderr = stream
    try:
        yield stream
    finally:
        try:
            stream.drain(_END_S)
        finally:  # a signal may end the waiting
            sys.stderr = before


def drain_stderr() -> None:
    """Write out what a process has written to stderr that ends at once."""
    if isinstance(sys.stderr, NonblockingStream):
        sys.stderr.drain(_END_S)
    else:
        sys.stderr.flush()


def _has_descriptor(stream: TextIO) -> bool:
    try:
        stream.fileno()
    except OSError:
        return False
    return True
