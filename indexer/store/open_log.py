"""SQLite's files beside an index, -wal and -shm -> whether a connection still has those of now.

Where they are deleted or replaced, programs that open the index use others: they neither see nor
lock what the connection writes. SQLite does not say so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LogInodes = tuple[int, int]
"""Of -wal and -shm; 0: there is none."""
FixedStamp = tuple[int, ...]
"""Of an index that cannot change: device, inode, size, mtime and ctime."""
_LOST: Final[LogInodes] = (-1, -1)
"""In place of inodes: those of no file."""


class OpenLog:
    """The log that a connection has open. Make it before the connection is opened."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._before = log_inodes(database)
        self.inodes: LogInodes = (0, 0)
        """Those of the files that are open; zeros: none is."""

    def note_opened(self) -> None:
        """The connection has the log open now, by its first reading of an index in WAL mode.

        Where they are others than before, they were deleted: by the last other program that closed
        the index, and SQLite has made new ones for this connection; or by someone else, and it has
        the old ones. So it is asked which this process has open.
        """
        now = log_inodes(self._database)
        is_same = all(old in {0, new} for old, new in zip(self._before, now, strict=True))
        is_ours = all(now) and (is_same or _are_open(self._database, now))
        self.inodes = now if is_ours else _LOST

    @property
    def is_lost(self) -> bool:
        """Whether one of the files was deleted, or replaced."""
        return is_log_lost(self._database, self.inodes)


def log_inodes(database: Path) -> LogInodes:
    """The inodes of the files that are there now.

    While a program has the database open, both stay as they are.
    """
    wal, shm = map(inode_of, _beside(database))
    return wal, shm


def _beside(database: Path) -> list[Path]:
    real = Path(os.path.realpath(database))
    return [real.with_name(real.name + suffix) for suffix in ("-wal", "-shm")]


def _are_open(database: Path, inodes: LogInodes) -> bool:
    """Whether this process has these files open.

    SQLite keeps one -shm for all connections of a process, so all of them have the same files. No
    other open file is looked at: its server may hang.
    """
    names = {os.fsencode(path) for path in _beside(database)}
    held = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(b"/proc/self/fd/" + number.encode()) in names:
                held.add(os.fstat(int(number)).st_ino)
        except OSError:  # it was closed meanwhile
            continue
    return held.issuperset(inodes)


def inode_of(path: Path) -> int:
    """The inode of a file; 0: there is none."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def born_ns(database: Path) -> int:
    """When the inode of a file was made, which with its disk names it for good; 0: unknown.

    Opened as a path only: closing the file itself would drop the locks that SQLite has on it.
    """
    from indexer.disk.birth_time import Statuses  # late: only a daemon asks, or after a kill

    try:
        fd = os.open(database, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return Statuses(births=True).of(fd).birth_ns or 0
    finally:
        os.close(fd)


def is_log_lost(database: Path, known: LogInodes) -> bool:
    """Whether one of the files that a program has open was deleted, or replaced."""
    return all(known) and log_inodes(database) != known


def fixed_stamp(database: Path) -> FixedStamp | None:
    """The stamp of an index that is whole and cannot change; None for any other.

    Its disk is read-only, and no log is beside it. A disk that can be written for a while (`mount
    -o remount,rw`) leaves another stamp, or a log.
    """
    try:
        real = os.path.realpath(database)
        if not os.statvfs(real).f_flag & os.ST_RDONLY:  # nearly always
            return None
        from indexer.disk.mounts import cannot_change  # late: rarely needed

        if not cannot_change(os.fsencode(real)) or any(map(_size, _left_by_writers(real))):
            return None
        status = os.stat(real)
    except OSError:  # it is gone; opening it says so
        return None
    return (
        *(status.st_dev, status.st_ino),
        *(status.st_size, status.st_mtime_ns, status.st_ctime_ns),
    )


def _left_by_writers(real: str) -> tuple[str, str]:
    return f"{real}-wal", f"{real}-journal"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
