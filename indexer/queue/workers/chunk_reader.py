"""Chunks -> readings, one chunk at a time: a few files here, others in a process that is kept.

As in the engine without queues, a few files are read by bounded readers of our own only: no reader
process has to start for one change, which takes a tenth of a second and more, and none stays. A
thread reads them, which is left behind where a disk does not answer (see `OwnReading`).
It loads neither RQ nor Redis, and knows of no job: which file crashes or outlives its reader, and
what becomes of such a file, is decided by the pool, as in the engine without queues (rule R9).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec.structs import replace

from indexer.closable import Closable
from indexer.evidence import ignore_lease_signal
from indexer.model import Chunk, Reading, Waiting
from indexer.readers.halving import PendingChunks
from indexer.readers.pool import ReaderPool
from indexer.settings import Settings
from indexer.stages.extract import extract

_FIRST_WAIT_S = 0.02
"""First pause between two heartbeats; each is twice the one before it, up to a second."""


class OwnReading:
    """A chunk that is being read here, by bounded readers of our own only, in a thread.

    A disk may take minutes for a file: it spins up, or tries to read a bad sector again and again.
    The job has to show life meanwhile: else it counts as lost after a `lease`, is dispatched again
    to other workers, and its files are suspected.
    """

    def __init__(self, chunk: Chunk) -> None:
        """Begin. What our readers decline comes back as `Waiting.READER`."""
        self._chunk = replace(chunk, plain=True)
        self._readings: list[Reading] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._began_file_at = time.monotonic()
        # a daemon: one that the kernel does not let go must not keep the worker from its end
        threading.Thread(target=self._read, name="own reading", daemon=True).start()

    @property
    def file_s(self) -> float:
        """For how many seconds the present file has been read."""
        return time.monotonic() - self._began_file_at

    @property
    def has_ended(self) -> bool:
        """Whether nothing is read any more."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end for so long at the most; whether it has come."""
        return self._ended.wait(seconds)

    def readings(self) -> list[Reading]:
        """One reading for each path, in the order of the chunk; only when it has ended.

        Raises what the stage has raised.
        """
        if self._error is not None:
            raise self._error
        return self._readings

    def _read(self) -> None:
        try:
            self._readings = extract(self._chunk, beat=self._begin_file)
        except BaseException as error:  # noqa: BLE001 - the worker raises it
            self._error = error
        finally:
            self._ended.set()

    def _begin_file(self, _place: int) -> None:
        self._began_file_at = time.monotonic()


class ChunkReader(Closable):
    """One reader process; it starts when it is needed and ends with `end_reader` or `close`."""

    begins: Callable[[], None] = staticmethod(lambda: None)
    """Called before a reader gets a chunk; it must not raise."""
    beat: Callable[[], None] = staticmethod(lambda: None)
    """Called once a second or more often while a chunk is read; it must not raise."""

    def __init__(self, settings: Settings) -> None:
        """To be called on the main thread: leases are taken on files that are read here."""
        ignore_lease_signal()
        self._small = settings.small_work
        self._timeout_s = settings.reader_timeout
        self._stuck: OwnReading | None = None
        """What was left behind: no other one begins before it has ended."""
        self._pool = ReaderPool(1, settings.reader_timeout, memory_mb=settings.worker_memory)
        self._work: PendingChunks[None] = PendingChunks(gives_up=False)
        """Kept between chunks: many that fail in a row are this machine's fault."""

    @property
    def reader_pids(self) -> tuple[int, ...]:
        """The reader process, if it runs."""
        return self._pool.reader_pids

    def read(self, chunk: Chunk) -> list[Reading]:
        """One reading for each path of the chunk, in its order.

        Raises CannotDo where no reader process can be started.
        """
        if self._stuck is not None and self._stuck.has_ended:
            self._stuck = None
        if len(chunk.paths) > self._small or chunk.may_hang or self._stuck is not None:
            return self._read_apart(chunk)
        readings = self._read_here(chunk)
        if readings is None:
            return self._read_apart(chunk)
        declined = [one.path for one in readings if one.waiting is Waiting.READER]
        if not declined:
            return readings
        apart = self._read_apart(replace(chunk, paths=tuple(declined)))
        found = dict(zip(declined, apart, strict=True))
        return [found.get(one.path, one) for one in readings]

    def _read_here(self, chunk: Chunk) -> list[Reading] | None:
        """Read a chunk in this process; None: one of its files takes longer than it may.

        The pool finds out which, and what becomes of it, as for any other file.
        """
        self.begins()
        reading = OwnReading(chunk)
        wait_s = _FIRST_WAIT_S
        while not reading.wait(wait_s):
            self.beat()
            if reading.file_s > self._timeout_s:
                self._stuck = reading
                return None
            wait_s = min(wait_s * 2, self._pool.look_s)
        return reading.readings()

    def _read_apart(self, chunk: Chunk) -> list[Reading]:
        """Have a chunk read by the reader process."""
        is_done = False
        try:
            self._pool.step(self._work)  # a reader that died meanwhile counts against no file
            self.begins()
            job = self._work.add(None, chunk)
            wait_s = _FIRST_WAIT_S
            while job is None:
                job = next(iter(self._pool.step(self._work, wait_s)), None)
                if job is None:
                    self.beat()
                wait_s = min(wait_s * 2, self._pool.look_s)
            is_done = True
            return job.answer()[1]
        finally:
            if not is_done:
                self._work = PendingChunks(gives_up=False)
                self.end_reader()

    def end_reader(self) -> None:
        """End the process until there is another chunk."""
        self._pool.end_readers()

    def close(self) -> None:
        """End the process, and close the pool."""
        self._pool.close()
