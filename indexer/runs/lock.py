"""The dispatcher's lock: one process at a time, by a lock file beside the database (rule R11).

The kernel drops the lock when its holder ends, however it ends, so nothing is ever left behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from indexer import errors
from indexer.process import pid_here, pid_namespace
from indexer.runs.throughput import Bucket, Totals
from indexer.store.beside import check_is_file, open_beside
from indexer.store.open_log import LogInodes, born_ns, inode_of, is_log_lost, log_inodes

_GROUP_MODE: Final = 0o660
_PROBE_S: Final = 0.5
"""A process that only checks holds the lock for an instant; it is waited for. A guess."""
_PROBE_PAUSE_S: Final = 0.01
_FOLLOW_PAUSE_S: Final = 0.1
_REOPENED_S: Final = 10.0
"""How long a daemon may take to open its database again. A guess."""
_TORN_READS: Final = 20
_MOST_BYTES: Final = 1 << 26
"""Far more than a thousand roots need, each with a long path in its reason."""


class ReloadInfo(Struct, frozen=True):
    """What came of the last time that a daemon was asked to read its settings again."""

    number: int = 0
    """How often it was asked."""
    changed: tuple[str, ...] = ()
    """Settings that it has now."""
    restart: tuple[str, ...] = ()
    """Settings that differ, and that it takes only when it starts."""
    refused: str = ""
    """Why all of them stayed as they were."""


class LockInfo(Struct, frozen=True):
    """The holder of the lock, as it wrote it: `role` is `daemon`, `scan`, `rebuild` or `roots`.

    The rest is a daemon's: what `status` shows of it, without a row being written for it.
    """

    pid: int
    role: str
    watched_folders: int = 0
    unwatched_folders: int = 0
    states: dict[str, str] = {}
    """Root name -> scanning, watching, polling or offline."""
    reasons: dict[str, str] = {}
    """Root name -> why it is offline, and what to do."""
    recoveries: dict[str, int] = {}
    """Reason -> how often changes may have been missed and everything was scanned again."""
    engine: str = "local"
    """What does its work: `local` itself, `rq` workers through the queues."""
    queue_trouble: str = ""
    """Why nothing can be dispatched to the queues now."""
    pace: tuple[Bucket, ...] = ()
    """Its throughput in the last minute."""
    log_is_held: bool = False
    """Whether a long read transaction of another program keeps SQLite's WAL from shrinking."""
    inode: int = 0
    """The inode of the database that a daemon has open; 0: not written yet."""
    reload: ReloadInfo = ReloadInfo()
    away_since_ms: dict[str, int] = {}
    """Root name -> since when it, or a disk below it, is not there (Unix milliseconds)."""
    unwatched_since_ms: int = 0
    """Since when there are `unwatched_folders`; 0: there are none."""
    totals: Totals = Totals()
    """What it has done since it was started."""
    looked_at_ms: dict[str, int] = {}
    """Root name -> when all of it was last looked at (Unix milliseconds)."""
    log_inodes: LogInodes = (0, 0)
    """Of SQLite's files beside the database that a daemon has open."""
    pid_namespace: int = 0
    """To which `pid` belongs: another container has its own. 0: unknown."""
    trouble: str = ""
    """Why changes wait: what keeps it from reading or writing the index; empty: nothing."""
    trouble_since_ms: int = 0
    """Since when (Unix milliseconds)."""
    born_ns: int = 0
    """When the inode of that database was made; 0: unknown."""

    def pid_here(self) -> int | None:
        """The id of the holder among the processes that this one sees; None: it does not see it."""
        return pid_here(self.pid, self.pid_namespace) if self.pid_namespace else self.pid

    def knows(self, root: str) -> bool:
        """Whether a daemon has written the state of a root."""
        return self.role == "daemon" and root in self.states

    def why_offline(self, root: str) -> str | None:
        """Why a root is offline according to the daemon; None where it does not say so."""
        if not self.knows(root) or self.states[root] != "offline":
            return None
        return self.reasons.get(root, f"{root}: is not there")


class DispatchLock:
    """The lock of one database. Use `acquire`, and close it when the work is done."""

    def __init__(self, fd: int, text: bytes) -> None:
        """`text` is what the file says."""
        self._fd = fd
        self._text = text

    @classmethod
    def acquire(cls, database: Path, role: str, *, group_may: bool = False) -> DispatchLock | None:
        """Take the lock; None when another process holds it."""
        path = lock_path(database)
        while True:
            fd = _flocked(path, database)
            if fd is None:
                return None
            if os.fstat(fd).st_nlink:
                break
            os.close(fd)  # its holder has removed it meanwhile (`discard`)
        try:
            if group_may and stat.S_IMODE(os.fstat(fd).st_mode) != _GROUP_MODE:
                os.fchmod(fd, _GROUP_MODE)  # compared first: only the owner may change it
            _part_from_left_log(fd, database)
            os.ftruncate(fd, 0)
            held = LockInfo(os.getpid(), role, pid_namespace=pid_namespace())
            text = msgspec.json.encode(held)
            os.pwrite(fd, text, 0)
        except OSError as error:
            os.close(fd)
            raise _unwritten(path, error) from error
        return cls(fd, text)

    def publish(self, info: LockInfo) -> None:
        """Write what `lock_info` returns while this lock is held.

        Raises OSError where the disk does not take it; then the file says what it said before.
        """
        text = msgspec.json.encode(info)
        try:
            self._write(text)
        except OSError:
            with suppress(OSError):  # the room that it had is still its own
                self._write(self._text)
            raise
        self._text = text

    def _write(self, text: bytes) -> None:
        if os.pwrite(self._fd, text, 0) < len(text):  # as much of it as had room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(self._fd, len(text))

    def discard(self, database: Path) -> None:
        """Remove the lock file, and release the lock: what it stands beside is no index."""
        with suppress(OSError):
            lock_path(database).unlink()
        os.close(self._fd)

    def close(self) -> None:
        """Release the lock. Where the disk became read-only, the file says still what it said."""
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)


def lock_info(database: Path) -> LockInfo | None:
    """The process that dispatches work for this database now; None if there is none."""
    try:
        fd = open_beside(lock_path(database), database, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise errors.DatabaseError(
            f"{lock_path(database)}: this user may not read it; ask for the database's group"
        ) from error
    try:
        if _try_flock(fd, fcntl.LOCK_SH):
            _part_from_left_log(fd, database)
            return None
        return _read(fd)
    finally:
        os.close(fd)


def _part_from_left_log(fd: int, database: Path) -> None:
    """Set the log aside that a killed daemon left, where another file has its database's name.

    `fd` is that of the lock file, which is held; what a killed holder wrote stands in it still.
    A log that is another one than that daemon's may belong to any file.
    """
    if not os.fstat(fd).st_size:  # nearly always: the holder has ended by itself
        return
    try:
        left = _read(fd)
    except errors.DatabaseError:  # it was killed as it wrote
        return
    if left is None or not left.born_ns or not all(left.log_inodes):
        return
    if log_inodes(database) == left.log_inodes and born_ns(database) not in {0, left.born_ns}:
        from indexer.store.left_log import set_aside  # late: only after a kill

        with suppress(OSError):  # a user that may only read
            set_aside(database, left.log_inodes)


def wait_for_lock(
    database: Path,
    role: str,
    *,
    stop: Callable[[], bool],
    group_may: bool,
    busy: Callable[[LockInfo], bool],
) -> DispatchLock | None:
    """Take the lock as soon as it is free; None when `busy` (called at each try) or `stop` end it.

    `busy` gets the holder and returns whether to go on waiting.
    """
    check_is_file(database)
    while True:
        lock = DispatchLock.acquire(database, role, group_may=group_may)
        if lock is not None:
            return lock
        current = lock_info(database)
        if stop() or (current is not None and not busy(current)):
            return None
        time.sleep(_FOLLOW_PAUSE_S)


def lock_path(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


def _flocked(path: Path, database: Path) -> int | None:
    """The descriptor of the lock file, locked; None when another process holds the lock."""
    try:
        fd = open_beside(path, database, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise _unwritten(path, error) from error
    deadline = time.monotonic() + _PROBE_S
    while not _try_flock(fd, fcntl.LOCK_EX):
        if _read(fd) is not None or time.monotonic() > deadline:
            os.close(fd)
            return None
        time.sleep(_PROBE_PAUSE_S)
    return fd


def _unwritten(path: Path, error: OSError) -> errors.DatabaseError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.DatabaseFull(
            f"{path}: its disk is full; make room and run the same command again"
        )
    return errors.DatabaseError(
        f"{path}: cannot be written ({error.strerror}); "
        "the database's folder must be one that this user can write to"
    )


def _try_flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(fd: int) -> LockInfo | None:
    """What the holder wrote; None in the instant before it has, or when the lock is free."""
    for _ in range(_TORN_READS):
        text = os.pread(fd, min(os.fstat(fd).st_size + 1, _MOST_BYTES), 0)
        if not text:
            return None
        try:
            return msgspec.json.decode(text, type=LockInfo)
        except msgspec.DecodeError:
            time.sleep(_PROBE_PAUSE_S)  # it is being written anew
    raise errors.DatabaseError("the lock file cannot be read; check its disk")


def check_kept(database: Path, current: LockInfo | None) -> None:
    """Raise DatabaseMissing where the file was removed or emptied while a daemon uses it.

    Else a command would begin a new index there, and wait for a daemon that never sees it.
    """
    if current is None or not current.inode:
        return
    what = what_became(database, current.inode)
    if what is not None:
        raise errors.DatabaseMissing(
            f"{database}: {what} while process {current.pid} (`watcher run`) uses it; stop that, "
            "put the file back, or run `indexer rebuild --from COPY` with a copy of it (`indexer "
            "backup`), and start it again, or remove what is there and run `indexer rebuild FOLDER`"
        )


def check_is_kept(database: Path) -> None:
    """`check_kept` for the daemon that runs now, if any.

    If SQLite's files were deleted under it, it is awaited until it has opened the database again.
    Raises LogLost if it does not.
    """
    current = lock_info(database)
    check_kept(database, current)
    if current is not None and is_log_lost(database, current.log_inodes):
        _await_log(database, current.pid)


def _await_log(database: Path, pid: int) -> None:
    from indexer.runs.wakeup import wake  # late: rarely needed

    with suppress(OSError, errors.DatabaseError):
        wake(database)
    deadline = time.monotonic() + _REOPENED_S
    while time.monotonic() < deadline:
        time.sleep(_FOLLOW_PAUSE_S)
        current = lock_info(database)
        if current is None or not is_log_lost(database, current.log_inodes):
            return
    raise errors.LogLost(
        f"{database}: {database.name}-wal or {database.name}-shm was deleted while process {pid} "
        "(`watcher run`) uses it; stop that process, which writes all of it into the database, and "
        "start it again"
    )


def is_replaced(database: Path, inode: int) -> bool:
    """Whether another file has the name of the one with this inode; not where none has."""
    return inode_of(database) not in {0, inode}


def what_became(database: Path, inode: int) -> str | None:
    """What happened to the file that had this inode; None: it is unchanged."""
    try:
        status = os.stat(database)
    except FileNotFoundError:
        return "was moved or deleted"
    if status.st_ino != inode:
        return "was replaced by another file"
    return None if status.st_size else "was emptied (0 bytes)"
