"""The index -> readers for the threads that answer requests, and what was asked since a change.

A connection belongs to one thread at a time. None can write: the file is opened for reading only
(SQLITE_OPEN_READONLY; `query_only` would forbid temporary tables, too, which spelling needs).
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Lock
from typing import Any, Final, Generic, TypeVar

from indexer.errors import DatabaseBusy
from indexer.lookup import Lookup
from indexer.process import free_unused
from indexer.settings import Settings
from indexer.store.connection import Connection
from indexer.store.open_log import is_log_lost
from indexer.store.sqlite_errors import explained

_MOST: Final = 3
"""Readers; a thread that finds none free waits. A guess: Python runs one thread at a time."""
_CACHE_KIB: Final = 512
"""SQLite's own cache of each; the kernel has the file in its cache, too."""
_WAIT_S: Final = 30.0
_DRAIN_S: Final = 1.0
"""How long the readers at work may take to end where all must be closed. A guess."""
_KEPT: Final = 12
"""Answers; one of a search may take 300 KB. A guess."""

T = TypeVar("T")
_SHARE: Final = 4
"""Times as long as it took to make, for which a `Kept` thing is kept."""
_LONGEST_S: Final = 10.0
"""For no longer than that, since a person who adds an album looks for it."""
Made = TypeVar("Made")


class Pool:
    """The readers of one index."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._free: list[tuple[int, Lookup]] = []
        """With the inode of the file that it has open. The last one is taken first."""
        self._lock = Lock()
        """Guards `_free` and `_closed`."""
        self._places = BoundedSemaphore(_MOST)
        self._version = _Version(settings, self._opened)
        self._log_inodes = (0, 0)
        """Those of SQLite's files beside the index, as the first connection has opened them: the
        other ones take over what this process has of them."""
        self._opening = Lock()
        """Held while a connection is opened; guards `_log_inodes`."""
        self._draining = Lock()
        self._answers: OrderedDict[Hashable, tuple[object, object]] = OrderedDict()
        self._answers_lock = Lock()
        """Guards `_answers`."""

    @contextmanager
    def reader(self) -> Iterator[Lookup]:
        """A reader for this thread. Raises DatabaseMissing and the other errors of an index.

        So it does for what SQLite says while the reader is used.
        """
        self._check_log()
        if not self._places.acquire(timeout=_WAIT_S):
            raise DatabaseBusy("too many pages are asked for at once: try again")
        try:
            inode = _inode(self.settings)
            lookup = self._taken(inode) or self._opened()
            self._note_log(lookup)
            try:
                with explained(self.settings.db):
                    yield lookup
            except BaseException:
                lookup.close()
                raise
            with self._lock:
                self._free.append((inode, lookup))
        finally:
            self._places.release()

    def _check_log(self) -> None:
        """Close all readers where SQLite's files beside the index were deleted, or replaced.

        They would never see what is written now; nor would new ones, which take over what other
        connections of the process have of the log. Raises DatabaseBusy while one is at work.
        """
        with self._draining:
            if not is_log_lost(self.settings.db, self._log_inodes):
                return
            taken = 0
            try:
                while taken < _MOST:
                    if not self._places.acquire(timeout=_DRAIN_S):
                        raise DatabaseBusy("the index is opened again: try again")
                    taken += 1
                self.close()
                self._log_inodes = (0, 0)
            finally:
                for _ in range(taken):
                    self._places.release()

    def _opened(self) -> Lookup:
        lookup = Lookup.open(self.settings)
        self._note_log(lookup)
        with explained(self.settings.db):
            lookup.connection.pragma("cache_size", -_CACHE_KIB)
        return lookup

    def _note_log(self, lookup: Lookup) -> None:
        """Open the index, and keep in mind which log the first connection has."""
        if not all(self._log_inodes):
            with self._opening, explained(self.settings.db):
                found = lookup.connection.log.inodes
                self._log_inodes = self._log_inodes if all(self._log_inodes) else found

    def _taken(self, inode: int) -> Lookup | None:
        """A free reader of this very file; those of a file that was replaced are closed."""
        with self._lock:
            while self._free:
                known, lookup = self._free.pop()
                if known == inode:
                    return lookup
                lookup.close()
        return None

    def version(self) -> object:
        """A value that differs after each change of the index."""
        self._check_log()
        return self._version.now()

    def answer(self, key: Hashable, ask: Callable[[Lookup], T]) -> T:
        """What `ask` returns, asked again after each change of the index.

        `key` names the question with all that the answer depends on.
        """
        version = self.version()
        with self._answers_lock:
            known = self._answers.get(key)
            if known is not None and known[0] == version:
                self._answers.move_to_end(key)
                found: Any = known[1]
                return found  # type: ignore[no-any-return]  # the key says which type
        with self.reader() as lookup:
            answer = ask(lookup)
        with self._answers_lock:
            self._answers[key] = (version, answer)
            self._answers.move_to_end(key)
            if len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return answer

    def close(self) -> None:
        """Close all that is not in use."""
        with self._lock:
            for _, lookup in self._free:
                lookup.close()
            self._free.clear()
        self._version.close()


class _Version:
    """SQLite's `data_version` means something within one connection only: this one."""

    def __init__(self, settings: Settings, opened: Callable[[], Lookup]) -> None:
        self._settings = settings
        self._open = opened
        self._lock = Lock()
        """Guards `_lookup`."""
        self._lookup: Lookup | None = None
        self._inode = 0
        self._connection: Connection | None = None
        self._opened = 0

    def now(self) -> object:
        with self._lock:
            inode = _inode(self._settings)
            if self._lookup is None or inode != self._inode:
                self._close()
                self._lookup = self._open()
                self._inode = inode
            try:
                with explained(self._settings.db):
                    connection = self._lookup.connection
                    if connection is not self._connection:
                        self._connection = connection
                        self._opened += 1
                    return self._opened, connection.pragma("data_version")
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None


def _inode(settings: Settings) -> int:
    with suppress(OSError):
        return os.stat(settings.db).st_ino
    return 0


class Kept(Generic[Made]):
    """What takes long to make from the index: made again after a change, but not all the time.

    While a library is indexed, each transaction is a change. So what was made is kept for a few
    times as long as it took, and never for more than a few seconds. A page that asks has it made.
    """

    def __init__(
        self,
        pool: Pool,
        make: Callable[[Connection], Made],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._make = make
        self._clock = clock
        self._lock = Lock()
        """Guards the rest; other threads wait for the one that makes it."""
        self._made: Made | None = None
        self._version: object = None
        self._until = 0.0

    def now(self) -> Made:
        """The thing after the last change, or a little before."""
        with self._lock:
            version = self._pool.version()
            began = self._clock()
            made = self._made
            if made is None or (version != self._version and began >= self._until):
                made = self._made = None  # so that two are never in memory
                with self._pool.reader() as lookup:
                    made = self._made = self._make(lookup.connection)
                free_unused()
                self._version = version
                ended = self._clock()
                self._until = ended + min(_SHARE * (ended - began), _LONGEST_S)
            return made
