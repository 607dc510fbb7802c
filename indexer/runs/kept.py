"""The file that a daemon keeps -> whether it is still the one that commands would open."""

from __future__ import annotations

import os
from pathlib import Path

from indexer import errors
from indexer.runs.lock import LockInfo, lock_info


def check_kept(database: Path, current: LockInfo | None) -> None:
    """Raise DatabaseMissing where the file was taken from under a daemon, or emptied.

    Else a command would begin a new index there, and wait for a daemon that never sees it.
    """
    if current is None or not current.inode:
        return
    what = what_became(database, current.inode)
    if what is not None:
        raise errors.DatabaseMissing(
            f"{database}: {what} while process {current.pid} (`watcher run`) keeps it; end that, "
            "put the file or a copy of it (`indexer backup`) in its place, and start it again, or "
            "remove what is there and run `indexer rebuild FOLDER`"
        )


def check_is_kept(database: Path) -> None:
    """The same, of the daemon that there is."""
    check_kept(database, lock_info(database))


def what_became(database: Path, inode: int) -> str | None:
    """What happened to the file that had this inode; None: it is there."""
    try:
        status = os.stat(database)
    except FileNotFoundError:
        return "was moved or deleted"
    if status.st_ino != inode:
        return "was replaced by another file"
    return None if status.st_size else "was emptied (0 bytes)"
