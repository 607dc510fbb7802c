"""A folder of a root -> a descriptor that pins its disk, and which disk it is (rule R8)."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct

from indexer.disks import Disk, disk_of, how_it_differs, same_disk, stamp_fields
from indexer.errors import RootOffline
from indexer.model import signed_inode
from indexer.mounts import Mount, mount_at

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Seen(Struct, frozen=True):
    """The disk that stands at a folder now, and the inode of the folder."""

    disk: Disk
    inode: int
    is_mounted: bool = False
    """Whether a disk is mounted at the folder or above it, other than that of `/`."""


def wrong_disk(known: Seen, seen: Seen) -> str | None:
    """Why what stands at a folder is not what was accepted there; None when it is the same."""
    if not same_disk(known.disk, seen.disk):
        return how_it_differs(known.disk, seen.disk)
    if stamp_fields(seen.disk.fs_type).stable_inodes and known.inode != seen.inode:
        return f"it is another folder of the same disk (inode {seen.inode}, was {known.inode})"
    return None


def open_root(path: bytes) -> int:
    """A descriptor of a root folder. Raises RootOffline where it cannot be opened."""
    try:
        return os.open(path, FOLDER_FLAGS)
    except OSError as error:
        raise _offline(path, "cannot be opened", error) from error


def seen_at(fd: int, path: bytes, mounts: Sequence[Mount]) -> Seen:
    """The identity of what stands at an open folder. Raises RootOffline where it cannot be told."""
    try:
        mount = mount_at(fd, path, mounts)
        is_mounted = mount is not None and mount.point != b"/"
        return Seen(disk_of(fd, mount), signed_inode(os.fstat(fd).st_ino), is_mounted)
    except OSError as error:
        raise _offline(path, "does not answer", error) from error


def _offline(path: bytes, what: str, error: OSError) -> RootOffline:
    return RootOffline(
        f"{os.fsdecode(path)} {what} ({error.strerror}); "
        "mount its disk, or see to its rights, and try again"
    )
