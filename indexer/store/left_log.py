"""The log that a database left which is gone -> another name, so that no other file gets it.

SQLite takes any log beside a file for that of this file. A database that was deleted, moved or
replaced while a program used it leaves one, which would be written into the next file of its name,
and damage it (sqlite.org/howtocorrupt, 1.4).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from indexer.store.open_log import LogInodes, inode_of, log_inodes


def set_aside_orphan(database: Path) -> Path | None:
    """Set the log aside where there is no database; as `set_aside`.

    The log is looked at first: one that was there while no database was is of none that another
    program makes now.
    """
    left = log_inodes(database)
    if not any(left) or os.path.lexists(database):
        return None
    return set_aside(database, left)


def set_aside(database: Path, left: LogInodes) -> Path | None:
    """Give a log with these inodes another name, where it holds anything; that name.

    It is kept, since the database to which it belongs may only have been moved. SQLite makes its
    -shm again.
    """
    real = Path(os.path.realpath(database))
    wal, shm = (real.with_name(real.name + suffix) for suffix in ("-wal", "-shm"))
    kept = None
    with suppress(FileNotFoundError):  # another program does the same
        if left[0] and inode_of(wal) == left[0]:
            if wal.stat().st_size:
                kept = _free_name(wal)
                wal.rename(kept)
            else:
                wal.unlink()
    with suppress(FileNotFoundError):
        if left[1] and inode_of(shm) == left[1]:
            shm.unlink()
    return kept


def _free_name(wal: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    first = f"{wal.name}.left-{stamp}"
    names = (wal.with_name(first + end) for end in ("", *(f"-{n}" for n in range(2, 100))))
    return next(path for path in names if not os.path.lexists(path))
