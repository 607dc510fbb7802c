"""A file that may not be whole -> what one look at it tells, without reading its tags (rule R2)."""

from __future__ import annotations

import os
import stat
from typing import Final

from indexer import paths
from indexer.disk.descent import OpenFolders
from indexer.evidence import FileLease, coarse_now_ns, tick_left_ns, try_lease
from watcher.container_check import is_complete
from watcher.folder_buffer import Observation

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK
_EXTRACT_WAITS_NS: Final = 10_000_000


def observe(
    root_path: bytes, path: bytes, *, follow_links: bool, leases: bool, granularity_ns: int
) -> Observation | None:
    """Look at one file of a root; None where no regular file bears the path, or none opens."""
    try:
        with OpenFolders.at(root_path, follow_links=follow_links) as folders:
            fd = _open(folders, path)
    except BlockingIOError:  # somebody holds a write lease, as Samba does for its clients
        return Observation(FileLease.REFUSED, 0, 0)
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):  # a folder took the name, which `open` refuses
        os.close(fd)
        return None
    with open(fd, "rb", buffering=0) as file:
        lease = try_lease(fd) if leases else FileLease.UNAVAILABLE
        complete = lease is FileLease.REFUSED or _is_complete(file, path, status.st_size)
        left_ns = tick_left_ns(status.st_ctime_ns, coarse_now_ns(), granularity_ns)
        return Observation(
            lease,
            status.st_size,
            status.st_ctime_ns,
            complete,
            left_ns / 1e9 if left_ns > _EXTRACT_WAITS_NS else 0.0,
        )


def _open(folders: OpenFolders, path: bytes) -> int:
    try:
        return folders.open(path, _FLAGS | os.O_NOATIME)
    except PermissionError:
        return folders.open(path, _FLAGS)


def _is_complete(file: object, path: bytes, size: int) -> bool:
    """An unreadable one is complete: there is nothing to wait for, extract has the word."""
    try:
        return is_complete(file, paths.suffix_of(paths.name_of(path)), size)  # type: ignore[arg-type]  # a raw file has what is used of BinaryIO
    except OSError:
        return True
