"""The file of the database that a daemon keeps open: whether it is still there, and its upkeep."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from indexer import errors
from indexer.process import free_memory, give_back
from indexer.runs.lock import what_became
from indexer.settings import Settings
from indexer.store.connection import IndexConnection, empty_log, leave_log, token_of
from indexer.store.left_log import set_aside
from indexer.store.open_log import born_ns, inode_of
from indexer.store.sqlite_errors import explained

_LOCK_PAUSE_S: Final = 0.02
"""The longest pause between two tries at a lock that another program holds. A guess."""
_LONGEST_LEAVING_MS: Final = 2_000
"""How long a reader of a database that is gone is waited for. A guess."""
_LOG_MUCH: Final = 20_000_000
"""Above what SQLite lets stand (`journal_size_limit`, 16 MiB): something kept it from shrinking."""


class DatabaseFile:
    """Checks and tends the file, through the daemon's writing connection.

    `stop` is asked while SQLite waits for a lock; then it waits no longer.
    """

    def __init__(
        self, connection: IndexConnection, settings: Settings, stop: Callable[[], bool]
    ) -> None:
        self.log_is_held = False
        """Whether a long read of another program keeps the WAL from shrinking."""
        self.inode = os.stat(settings.db).st_ino
        self.born_ns = born_ns(settings.db)
        self._connection = connection
        self._settings = settings
        self._stop = stop
        self._token = token_of(connection)
        self.log_inodes = connection.log.inodes
        self._waits_until = 0.0
        connection.set_busy_handler(self._goes_on_waiting)

    def _goes_on_waiting(self, tries: int) -> bool:
        """Whether SQLite is to try again for a lock: as its own handler, but for `stop`."""
        now = time.monotonic()
        if tries == 0:
            self._waits_until = now + self._settings.busy_timeout
        if self._stop() or now >= self._waits_until:
            return False
        time.sleep(min(0.001 * 2 ** min(tries, 10), _LOCK_PAUSE_S))
        return True

    def check_file(self) -> None:
        """Raise DatabaseMissing where the file is not the one that this process has opened."""
        self._check_became(what_became(self._settings.db, self.inode))

    @property
    def log_is_lost(self) -> bool:
        """Whether SQLite's files beside the database were deleted, or replaced."""
        return self._connection.has_lost_log

    def check_database(self) -> None:
        """The same, also where another index was written into the file.

        Raises LogLost where SQLite's files beside it were deleted.
        """
        what = what_became(self._settings.db, self.inode)
        if what is None and token_of(self._connection) != self._token:
            what = "was overwritten with another index"
        self._check_became(what)
        if self.log_is_lost:
            raise errors.LogLost(
                f"{self._settings.db}: its files -wal or -shm were deleted or replaced; nothing is "
                "lost, but no other program would see what this one writes"
            )

    def _check_became(self, what: str | None) -> None:
        if what is not None:
            raise errors.DatabaseMissing(
                f"{self._settings.db}: {what} while this process kept it; put the file back, or run"
                " `indexer rebuild --from COPY` with a copy of it (`indexer backup`), and start"
                " `watcher run` again"
            )

    def leave(self) -> None:
        """Keep the log from the file that has this name now, or will: SQLite would take it for its.

        A file that was only moved gets what stands in the log. One that was written over must not:
        nor what is written when SQLite closes it.
        """
        is_elsewhere = inode_of(self._settings.db) != self.inode
        self._connection.set_busy_timeout(_LONGEST_LEAVING_MS)
        with suppress(errors.DatabaseError), explained(self._settings.db):
            if is_elsewhere and empty_log(self._connection):
                return
        leave_log(self._connection)
        with suppress(OSError):
            set_aside(self._settings.db, self.log_inodes)

    def was_repaired(self) -> None:
        """Take the index as it is now. Raises DatabaseMissing where it stands in a new file."""
        if what_became(self._settings.db, self.inode) is not None:
            raise errors.DatabaseMissing(
                f"{self._settings.db}: was repaired into a new file; start `watcher run` again"
            )
        self._token = token_of(self._connection)

    def tend_log(self) -> None:
        """Move a WAL that has grown into the database, and see whether a reader forbids it.

        SQLite does so by itself when it commits, but not past what the oldest reader looks at, and
        it gives the file's space back only when it begins anew.
        """
        log = self._settings.db.with_name(self._settings.db.name + "-wal")
        if not log.exists() or log.stat().st_size <= _LOG_MUCH:
            self.log_is_held = False
            return
        self._connection.set_busy_handler(lambda _tries: False)
        try:
            self.log_is_held = not empty_log(self._connection)
        finally:
            self._connection.set_busy_handler(self._goes_on_waiting)

    def rest(self) -> None:
        """After much work: do what the next change would have to wait for, and free memory."""
        give_back(self._connection)

    def free_memory(self) -> None:
        """After a little work: give back what it took, and write nothing."""
        free_memory(self._connection)
