"""When the index was last compared with the disk, and with what result: a small file beside it.

Not a row: `verify` must be able to tell of an index that cannot be written.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from indexer.store.beside import open_beside

_SHARED: Final = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP
_MOST_BYTES: Final = 4096


class Verified(Struct, frozen=True):
    """The last `verify` that came to its end."""

    at_ms: int = 0
    """Unix milliseconds; 0: there was none."""
    differences: int = 0
    """Files that differ from their row."""
    damage: int = 0
    """Differences in the index itself."""


def note(database: Path, verified: Verified) -> bool:
    """Write it, with the rights of the database; False: this user may not, or the disk is full.

    In place, since a member of the database's group may not replace another user's file. What
    was compared is told in any case.
    """
    path = _path(database)
    try:
        fd = open_beside(path, database, os.O_RDWR | os.O_CREAT)
    except OSError:
        return False
    try:
        mode = os.stat(database).st_mode & _SHARED
        if os.fstat(fd).st_uid == os.geteuid() and stat.S_IMODE(os.fstat(fd).st_mode) != mode:
            os.fchmod(fd, mode)
        text = msgspec.json.encode(verified)
        os.pwrite(fd, text, 0)
        os.ftruncate(fd, len(text))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def last(database: Path) -> Verified:
    """What was noted last."""
    try:
        fd = open_beside(_path(database), database, os.O_RDONLY)
    except OSError:
        return Verified()
    try:
        return msgspec.json.decode(os.pread(fd, _MOST_BYTES, 0), type=Verified)
    except msgspec.DecodeError:  # it is being written
        return Verified()
    finally:
        os.close(fd)


def _path(database: Path) -> Path:
    return database.with_name(database.name + ".verified")
