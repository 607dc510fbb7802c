"""A folder of a root -> a descriptor that pins its disk, and which disk it is (rule R8)."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Sequence

from msgspec import Struct

from indexer.disk.filesystem import (
    Disk,
    disk_of,
    how_it_differs,
    not_mounted,
    same_disk,
    stamp_fields,
)
from indexer.disk.mounts import AUTOMOUNT, Mount, has_expired, mount_at, mount_id, read_mounts
from indexer.errors import RootOffline
from indexer.model import signed_inode
from indexer.paths import shell_word

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class DiskIdentity(Struct, frozen=True):
    """The disk that is at a folder now, and the inode of the folder."""

    disk: Disk
    inode: int
    point: bytes = b"/"
    """Where the disk is mounted: at the folder, or above it."""


def wrong_disk(known: DiskIdentity, seen: DiskIdentity) -> str | None:
    """How a folder differs from what was accepted there; None when it is the same."""
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
        from indexer.disk.obstacle import obstacle  # late: only for errors

        found = obstacle(path)
        if found is not None:
            raise RootOffline(
                f"{os.fsdecode(path)} cannot be opened ({found.what}); {found.remedy}, and try"
                " again"
            ) from error
        if error.errno == errno.ENOTDIR and (target := os.path.realpath(path)) != path:
            raise _is_link(path, target) from error
        raise _offline(path, "cannot be opened", error) from error


class OpenedFolder(Struct, frozen=True):
    """A folder that is or may be a mount point, as it was found; the caller closes `fd`."""

    folder: bytes
    fd: int | None
    seen: DiskIdentity | None
    """None where that is unknown."""
    trouble: RootOffline | None = None
    """Why not."""


def open_folders(
    root: bytes, folders: Collection[bytes], mounts: Sequence[Mount]
) -> tuple[list[OpenedFolder], Sequence[Mount]]:
    """Open folders of a root, then identify their disks; what is no folder is left out.

    In this order, since opening mounts an automount. `mounts` were read before; they are returned
    as they are since: the kernel gives a new mount the number of one that is gone.
    """
    if not folders:
        return [], mounts
    places: list[OpenedFolder] = []
    fds: dict[bytes, int] = {}
    try:
        for folder in folders:
            path = join(root, folder)
            try:
                fds[folder] = open_root(path)
            except RootOffline as error:
                if not (folder and _is_no_folder(error)):
                    trouble = _not_mounted(path, error) if has_expired(path, mounts) else error
                    places.append(OpenedFolder(folder, None, None, trouble))
        mounts = read_mounts()
        for folder, fd in fds.items():
            path = join(root, folder)
            try:
                mount = mount_at(mount_id(fd), path, mounts)
                places.append(OpenedFolder(folder, fd, seen_at(fd, path, mount)))
            except RootOffline as error:
                places.append(OpenedFolder(folder, fd, None, error))
    except BaseException:
        for fd in fds.values():
            os.close(fd)
        raise
    return places, mounts


def _is_no_folder(error: RootOffline) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.ENOTDIR


def join(root: bytes, folder: bytes) -> bytes:
    """The absolute path of a folder of a root; of the root itself for `b""`."""
    return os.path.join(root, folder) if folder else root


def seen_at(fd: int, path: bytes, mount: Mount | None) -> DiskIdentity:
    """The identity of the disk at an open folder. Raises RootOffline where it is unknown.

    An automount is no disk: one that mounted nothing when it was opened has none.
    """
    if mount is not None and mount.fs_type == AUTOMOUNT:
        if mount.is_indirect and mount.point == path:
            raise RootOffline(
                f"{os.fsdecode(path)} is where an automounter mounts disks by their names, and "
                "holds no file itself; name a folder in it"
            )
        raise _not_mounted(path)
    try:
        point = mount.point if mount is not None else b"/"
        return DiskIdentity(disk_of(fd, mount), signed_inode(os.fstat(fd).st_ino), point)
    except OSError as error:
        raise _offline(path, "does not answer", error) from error


def _not_mounted(path: bytes, error: RootOffline | None = None) -> RootOffline:
    cause = error.__cause__ if error is not None else None
    reason = not_mounted(cause if isinstance(cause, OSError) else None)
    return RootOffline(f"{os.fsdecode(path)} {reason}")


def _offline(path: bytes, what: str, error: OSError) -> RootOffline:
    return RootOffline(
        f"{os.fsdecode(path)} {what} ({error.strerror}); "
        "mount its disk, or check its permissions, and try again"
    )


def _is_link(path: bytes, target: bytes) -> RootOffline:
    """The root is removed before the other place is added: so its tracks keep their ids."""
    old, new = shell_word(path), shell_word(target)
    return RootOffline(
        f"{os.fsdecode(path)} cannot be opened (it is a symbolic link now, to"
        f" {os.fsdecode(target)}); put the folder back, or let the index follow it:"
        f" indexer roots remove {old} && indexer rebuild {new}"
    )
