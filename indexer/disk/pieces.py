"""A path of a root -> the bytes of the file there, a piece at a time, with no file held open."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, NamedTuple

from indexer.disk.descent import NOT_THERE, OpenFolders
from indexer.disk.tree import Tree
from indexer.model import Stamp

PIECE: Final = 2**20
"""Bytes read at a time: a tenth of a second at 10 MB/s. A guess."""
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK


class Piece(NamedTuple):
    """Some bytes of a file, and its stamp after they were read."""

    stamp: Stamp
    content: bytes
    """Fewer than asked for only at the end of the file."""


def read_piece(tree: Tree, path: bytes, at: int, size: int = PIECE) -> Piece | None:
    """The bytes at an offset; None: there is no such file now. Raises OSError.

    What the kernel keeps of the file in memory is dropped first, and what was read afterwards: so
    the disk has to read it, and other programs keep their cache. Run it by `Tree.ask`.
    """
    with OpenFolders(tree.fd, follow_links=tree.follow_links) as folders:
        try:
            descriptor = _open(folders, path)
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise
        try:
            if at == 0:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            content = b""
            while len(content) < size:
                more = os.pread(descriptor, size - len(content), at + len(content))
                if not more:
                    break
                content += more
            os.posix_fadvise(descriptor, at, len(content), os.POSIX_FADV_DONTNEED)
            return Piece(Stamp.of(os.fstat(descriptor)), content)
        finally:
            os.close(descriptor)


def _open(folders: OpenFolders, path: bytes) -> int:
    """Open without changing the access time, if permitted (open(2), O_NOATIME)."""
    try:
        return folders.open(path, _FLAGS | os.O_NOATIME)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
    return folders.open(path, _FLAGS)


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
