"""Who dispatches work: one process at a time, known by a lock file beside the database (rule R11).

The kernel drops the lock when its holder ends, however it ends, so nothing is ever left behind.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from indexer import errors

_PROBE_S: Final = 0.5
"""Somebody who only asks holds the lock for an instant; this long is waited for them. A guess."""
_PROBE_PAUSE_S: Final = 0.01
_FOLLOW_PAUSE_S: Final = 0.1


class Holder(Struct, frozen=True):
    """Who holds the lock, by its own word: `role` is `daemon`, `scan`, `rebuild` or `roots`."""

    pid: int
    role: str


class DispatchLock:
    """The lock of one database. Use `acquire`, and close it when the work is done."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def acquire(cls, database: Path, role: str, *, group_may: bool = False) -> DispatchLock | None:
        """Take the lock; None when another process holds it."""
        path = lock_path(database)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise errors.DatabaseError(
                f"{path}: cannot be opened ({error.strerror}); "
                "the database's folder must be one that this user can write to"
            ) from error
        deadline = time.monotonic() + _PROBE_S
        while not _try_flock(fd, fcntl.LOCK_EX):
            if _read(fd) is not None or time.monotonic() > deadline:
                os.close(fd)
                return None
            time.sleep(_PROBE_PAUSE_S)
        if group_may:
            os.fchmod(fd, 0o660)
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(Holder(os.getpid(), role)), 0)
        return cls(fd)

    def close(self) -> None:
        """Give the lock back."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def holder(database: Path) -> Holder | None:
    """Who dispatches work for this database now, if anybody does."""
    try:
        fd = os.open(lock_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise errors.DatabaseError(
            f"{lock_path(database)}: this user may not read it; ask for the database's group"
        ) from error
    try:
        if _try_flock(fd, fcntl.LOCK_SH):
            return None
        return _read(fd)
    finally:
        os.close(fd)


def wait_for_lock(
    database: Path,
    role: str,
    *,
    stop: Callable[[], bool],
    group_may: bool,
    busy: Callable[[Holder], bool],
) -> DispatchLock | None:
    """Take the lock as soon as it is free; None when `busy` (asked at each look) or `stop` end it.

    `busy` gets who holds it and answers whether to go on waiting.
    """
    while True:
        lock = DispatchLock.acquire(database, role, group_may=group_may)
        if lock is not None:
            return lock
        current = holder(database)
        if stop() or (current is not None and not busy(current)):
            return None
        time.sleep(_FOLLOW_PAUSE_S)


def lock_path(database: Path) -> Path:
    """The lock file of a database."""
    return database.with_name(database.name + ".lock")


def _try_flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(fd: int) -> Holder | None:
    """What the holder wrote; None in the instant before it has, or when nobody holds it."""
    text = os.pread(fd, 4096, 0)
    return msgspec.json.decode(text, type=Holder) if text else None
