"""A private folder beside a file, for what is not complete yet; it does not outlast its process."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".music-indexer-"
_SUFFIX: Final = ".part"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder of mode 0700 in `parent`, removed with its content at the end.

    A killed process cannot remove its own, which may hold a copy of a whole index. The kernel
    drops a killed process's locks, so folders that nothing holds are removed first.
    """
    remove_left(parent)
    folder, fd = _made(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


def remove_left(parent: Path) -> int:
    """Remove the folders of this user that killed processes have left; how many."""
    removed = 0
    try:
        names = os.listdir(parent)
    except PermissionError:  # it can be written, but not listed
        return 0
    for name in names:
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            with suppress(OSError):  # of another user, or in use, or its file system has no locks
                removed += _removed(parent / name)
    return removed


def _removed(folder: Path) -> bool:
    fd = os.open(folder, _FOLDER)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
        return True
    finally:
        os.close(fd)


def _made(parent: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX, parent))
        with suppress(FileNotFoundError):  # another process took it for one that was left
            fd = os.open(folder, _FOLDER)
            with suppress(OSError):  # no locks there: then no process removes it
                fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_at(folder, fd):
                return folder, fd
            os.close(fd)


def _is_at(folder: Path, fd: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.lstat(folder), os.fstat(fd))
    return False
