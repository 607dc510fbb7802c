"""A folder to write in -> the types of file systems whose ctimes differ within a tick (rule R2).

From Linux 6.13 on some file systems give a file that was looked at (stat) a ctime of the fine clock
with its next change, so that it is another one although the coarse clock shows the same time
(Documentation/filesystems/multigrain-ts.rst). No call tells where that is so: it is tried.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from indexer.disk.filesystem import disk_at

_TYPES: Final = frozenset({"ext4", "xfs", "btrfs", "tmpfs"})
"""A flag of the type says so (`FS_MGTIME`), not one of a disk. What is stacked on others (overlay)
is not among them: its files may lie on several types."""
_WRITES: Final = 8
"""All of them must differ. One alone may do so where another program moves the floor of all ctimes
at that moment."""
_TRIES: Final = 20
"""Eight writes take 0.03 ms, and a tick 1 ms at least; so hardly any try is cut by one."""
_COARSE: Final = 5
"""CLOCK_REALTIME_COARSE of `<linux/time.h>`."""


def distinct_types(folder: Path) -> frozenset[str]:
    """The type of the file system of this folder, if changes of a file within a tick differ there.

    Writes to a file without a name, which is gone when it is closed. Empty also where that cannot
    be tried: then nothing is known.
    """
    try:
        fs_type = disk_at(os.fsencode(os.path.realpath(folder))).fs_type
        is_tried = fs_type in _TYPES and _differ_within_a_tick(folder)
    except OSError:
        return frozenset()
    return frozenset({fs_type}) if is_tried else frozenset()


def _differ_within_a_tick(folder: Path) -> bool:
    """Whether writes to one file, each after a look at it, had other ctimes in the same tick."""
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(_TRIES):
            began_ns = time.clock_gettime_ns(_COARSE)
            ctimes = [_written(file) for _ in range(_WRITES)]
            if time.clock_gettime_ns(_COARSE) == began_ns:
                return len(set(ctimes)) == _WRITES
    finally:
        os.close(file)
    return False


def _written(file: int) -> int:
    os.pwrite(file, b"x", 0)
    return os.fstat(file).st_ctime_ns
