"""What takes long to make from the index -> made again after a change, but not all the time.

While a library is indexed, each transaction is a change. So what was made is kept for twenty times
as long as it took, and is then at most a twentieth of the work of a processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

from indexer.store.connection import Connection
from indexer.web.pool import Pool

_SHARE: Final = 20

T = TypeVar("T")


class Kept(Generic[T]):
    """One thing as it is now, or was a little before."""

    def __init__(
        self,
        pool: Pool,
        make: Callable[[Connection], T],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._make = make
        self._clock = clock
        self._lock = Lock()
        """Guards the rest; other threads wait for the one that makes it."""
        self._made: T | None = None
        self._version: object = None
        self._until = 0.0

    def now(self) -> T:
        """The thing after the last change, or a little before."""
        with self._lock:
            version = self._pool.version()
            began = self._clock()
            if self._made is None or (version != self._version and began >= self._until):
                with self._pool.reader() as lookup:
                    self._made = self._make(lookup.connection)
                self._version = version
                ended = self._clock()
                self._until = ended + _SHARE * (ended - began)
            return self._made
