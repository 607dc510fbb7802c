"""A few files -> readings, by a thread of this process, for which its worker need not wait.

A disk may take minutes for a file: it spins up, or tries to read a bad sector again and again. The
job has to show life meanwhile: else it counts as lost after a `lease`, is dispatched again to other
workers, and its files are suspected.
"""

from __future__ import annotations

import threading
import time

from msgspec.structs import replace

from indexer.model import Chunk, Reading
from indexer.stages.extract import extract


class OwnReading:
    """A chunk that is being read here, by bounded readers of our own only."""

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
