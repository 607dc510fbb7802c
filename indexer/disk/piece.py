"""A place in a root -> some bytes of the file there, without holding it open."""

from __future__ import annotations

import os
import stat

from indexer.disk.descent import OpenFolders

_FLAGS = os.O_RDONLY | os.O_NONBLOCK


def piece_of(
    root_path: bytes,
    path: bytes,
    follow_links: bool,  # noqa: FBT001 - as `ask_at` passes it on
    begin: int,
    count: int,
) -> tuple[int, int, bytes] | None:
    """(size, mtime in nanoseconds, at most `count` bytes from `begin`); None for no regular file.

    A path that leads out of the root is none. Raises OSError.
    """
    with OpenFolders.at(root_path, follow_links=follow_links) as folders:
        descriptor = folders.open(path, _FLAGS)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        return status.st_size, status.st_mtime_ns, os.pread(file.fileno(), count, begin)
