"""All hooks of the settings, each in a thread of its own: a slow receiver delays no other."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from indexer.errors import CannotDo, DatabaseMissing, LogLost
from indexer.hooks import events, receivers
from indexer.hooks.events import Batch
from indexer.hooks.receivers import NotReceived
from indexer.hooks.wakeup import Wakeup
from indexer.runs.lock import lock_info
from indexer.settings import Settings
from indexer.settings.hooks import Hook
from indexer.store import hooks
from indexer.store.beside import open_beside
from indexer.store.connection import Connection, open_index, read_transaction, token_of
from indexer.store.hooks import Cursor, HookRow
from indexer.store.open_log import OpenLog
from indexer.store.sqlite_errors import explained

logger = logging.getLogger(__name__)

_COALESCE_S: Final = 0.1
"""Writes within it are one wake-up. A guess."""
_LONGEST_QUIET: Final = 10
"""A batch is sent after as many times `quiet`, even if changes go on."""
_RETRY_FIRST_S: Final = 1.0
_RETRY_LONGEST_S: Final = 600.0
_STOP_S: Final = 1.0
"""Threads in the middle of an attempt are left behind then: it is repeated at the next start."""
_MOST_BYTES: Final = 1 << 20
"""Of the lock file; more than names and tokens of hooks ever take. A guess."""


def serve(settings: Settings, wakeup: Wakeup, served: Served) -> None:
    """Serve all hooks, until `stop` of the wake-up. Raises what ended one of them.

    After LogLost none has the index open any more, so that it may be served again: what one has
    open others would open as well, and may only see as errors.
    """
    threads = [HookThread(hook, settings, wakeup, served) for hook in settings.hooks]
    for thread in threads:
        thread.start()
    try:
        while wakeup.wait():
            for thread in threads:
                thread.wake()
            time.sleep(_COALESCE_S)
    finally:
        is_lost = any(thread.has_lost_log for thread in threads if thread.failure is None)
        for thread in threads:
            thread.stop()
        deadline = time.monotonic() + _STOP_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    for thread in threads:
        if thread.failure is not None:
            if is_lost or isinstance(thread.failure, LogLost):
                for other in threads:
                    other.join()
                raise _log_lost(settings.db) from thread.failure
            raise thread.failure


@contextmanager
def only_one(database: Path) -> Iterator[Served]:
    """Hold a lock: two would send all twice. Raises CannotDo while another process has it.

    What the hooks were served from stands in the lock file.
    """
    path = database.with_name(database.name + ".hooks")
    fd = open_beside(path, database, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotDo("another `indexer hooks` serves this index already") from None
        yield Served(fd)
    finally:
        os.close(fd)


def _states(database: Path) -> Mapping[str, str]:
    """Root name -> state, from a daemon; empty without one, or while it starts."""
    holder = lock_info(database)
    return {} if holder is None or holder.role != "daemon" else holder.states


def _log_lost(database: Path) -> LogLost:
    return LogLost(f"{database}: its files -wal or -shm were deleted or replaced")


def _inode(database: Path) -> int | None:
    try:
        return database.stat().st_ino
    except FileNotFoundError:
        return None


def pause_s(attempts: int) -> float:
    """The pause after this many failed attempts."""
    return float(min(_RETRY_LONGEST_S, _RETRY_FIRST_S * 2 ** min(attempts - 1, 20)))


class HookThread(threading.Thread):
    """Sends to one receiver, until `stop`."""

    def __init__(self, hook: Hook, settings: Settings, wakeup: Wakeup, served: Served) -> None:
        super().__init__(name=f"hook-{hook.name}", daemon=True)
        self.hook = hook
        self._served = served
        self._settings = settings
        self._wakeup = wakeup
        self._written = threading.Event()
        self._stopping = threading.Event()
        self._inode: int | None = None
        """Of the file that is open."""
        self._log: OpenLog | None = None
        """Of the connection that is open, or was the last one."""
        self.failure: Exception | None = None

    @property
    def has_lost_log(self) -> bool:
        """Whether SQLite's files beside the index are others than those that are open."""
        return self._log is not None and self._log.is_lost

    def wake(self) -> None:
        """The index was written."""
        self._written.set()

    def stop(self) -> None:
        """End before the next attempt."""
        self._stopping.set()
        self._written.set()

    def run(self) -> None:
        """See the class."""
        try:
            while not self._stopping.is_set():
                self._serve_file()
        except Exception as error:  # noqa: BLE001 - `serve` raises it
            self.failure = error
            self._wakeup.stop()

    def _serve_file(self) -> None:
        """Serve the index until another file is in its place."""
        database = self._settings.db
        self._inode = _inode(database)
        with explained(database):
            connection = open_index(
                database, write=True, busy_timeout_s=self._settings.busy_timeout
            )
            try:
                self._log = connection.log
                self._begin(connection)
                self._serve(connection)
            except DatabaseMissing:  # what is open is not there any more
                if not self._is_replaced():
                    raise
            finally:
                connection.close()

    def _is_replaced(self) -> bool:
        """Whether the index is another file now, and not only away.

        Raises LogLost where SQLite's files beside it are others: what is written is not seen here.
        """
        database = self._settings.db
        found = _inode(database)
        if found == self._inode and self.has_lost_log:
            raise _log_lost(database)
        return found not in (None, self._inode)

    def _serve(self, connection: Connection) -> None:
        while not self._stopping.is_set():
            self._written.clear()
            if self._is_replaced():
                return
            row = hooks.get(connection, self.hook.name) or self._begin(connection)
            batch = self._next(connection, row)
            if batch is None:
                self._written.wait()
            else:
                self._deliver(connection, row.cursor, batch)

    def _begin(self, connection: Connection) -> HookRow:
        """Give a new hook a cursor, and one that was served from another index that of a lost one.

        One that was put back from a copy, or repaired with losses, has another token; or it has
        lost how far this hook was told.
        """
        name, token = self.hook.name, token_of(connection)
        row = hooks.get(connection, name)
        served = self._served.token_of(name)
        if served is not None and (row is None or served != token):
            if row is None:
                row = HookRow(events.LOST)
                hooks.add(connection, name, row.cursor)
            else:
                hooks.move_on(connection, name, row.cursor, events.LOST)
                row = msgspec.structs.replace(row, cursor=events.LOST)
        elif row is None:
            row = HookRow(events.present(connection, _states(self._settings.db)))
            hooks.add(connection, name, row.cursor)
        self._served.note(name, token)
        return row

    def _next(self, connection: Connection, row: HookRow) -> Batch | None:
        """The next batch, once it has been quiet; None: there is none, or its receiver is gone."""
        if row.disabled_at is not None:
            return None
        began = time.monotonic()
        batch = self._look(connection, row)
        while not (batch.fresh or batch.more) and batch.events:
            left_s = began + _LONGEST_QUIET * self.hook.quiet - time.monotonic()
            if left_s <= 0 or self._stopping.wait(min(self.hook.quiet, left_s)):
                break
            later = self._look(connection, row)
            if later == batch:
                break
            batch = later
        if batch.events or batch.fresh:
            return batch
        if batch.cursor != row.cursor:
            hooks.move_on(connection, self.hook.name, row.cursor, batch.cursor)
        return None

    def _look(self, connection: Connection, row: HookRow) -> Batch:
        states = _states(self._settings.db)
        with read_transaction(connection):
            return events.after(connection, self.hook, row.cursor, states)

    def _deliver(self, connection: Connection, after: Cursor, batch: Batch) -> None:
        """Try until the receiver has what came after a cursor."""
        attempts = 0
        while not (self._stopping.is_set() or self._is_replaced()):
            try:
                receivers.send(self.hook, batch)
            except NotReceived as error:
                if error.for_good:
                    self._disable(connection)
                    return
                attempts += 1
                hooks.fail(connection, self.hook.name, attempts, str(error))
                if attempts == 1:
                    logger.warning("hook %s: %s; it is tried again", self.hook.name, error)
                self._stopping.wait(pause_s(attempts))
            else:
                now_ms = time.time_ns() // 1_000_000
                hooks.move_on(connection, self.hook.name, after, batch.cursor, now_ms)
                if attempts:
                    logger.info("hook %s: received after %d failures", self.hook.name, attempts)
                return

    def _disable(self, connection: Connection) -> None:
        hooks.disable(connection, self.hook.name, time.time_ns() // 1_000_000)
        logger.warning(
            "hook %s: its receiver wants no more (410); indexer hooks --enable %s starts it again",
            self.hook.name, self.hook.name,
        )  # fmt: skip


class Served:
    """The token of the index that each hook was served from, by its name.

    Kept in the lock file of `indexer hooks`: an index does not know that it has taken the place of
    another one, and a hook that its table lacks would count as new. Its receiver would miss all
    that the other index had told it of.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        """Guards the file and `_tokens`: each hook has a thread."""
        self._tokens: dict[str, str] = {}
        with suppress(msgspec.DecodeError, msgspec.ValidationError):  # empty, or cut by a kill
            self._tokens = msgspec.json.decode(os.pread(fd, _MOST_BYTES, 0), type=dict[str, str])

    def token_of(self, name: str) -> str | None:
        """The index that a hook was last served from; None: it never was, as far as is known."""
        with self._lock:
            return self._tokens.get(name)

    def note(self, name: str, token: str) -> None:
        """A hook is served from the index with this token now."""
        with self._lock:
            if self._tokens.get(name) != token:
                self._tokens[name] = token
                content = msgspec.json.encode(self._tokens)
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, content, 0)
