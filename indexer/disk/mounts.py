"""The kernel's list of mounts -> the mount of a path, and the mounts below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Final

from msgspec import Struct

from indexer.errors import CannotDo
from indexer.paths import is_ignored

_MOUNT_ID: Final = re.compile(rb"^mnt_id:\s*([0-9]+)$", re.MULTILINE)


AUTOMOUNT: Final = "autofs"
"""The type of a mount point while nothing is mounted there: opening it mounts the disk
(Documentation/filesystems/autofs.rst), reading its status (stat) does not."""


_READ_ONLY: Final = frozenset({b"ro", b"emergency_ro"})
"""Options of a file system as a whole; the second is that of ext4 after an error, since Linux 6.15.
"""
_SERVED: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "ceph", "lustre"),
        *("afs", "coda", "ncpfs", "glusterfs", "orangefs", "pvfs2", "beegfs", "gpfs"),
        *("fuse", "fuseblk"),
    }
)
"""Types for which the kernel asks a server, here or elsewhere, for what it does not know."""


def can_hang(fs_type: str) -> bool:
    """Whether a call may wait for ever on a type as mountinfo spells it: a server has to answer.

    `fuse.sshfs` is a `fuse`. Nothing ends such a wait, in most calls not even SIGKILL.
    """
    return fs_type.partition(".")[0] in _SERVED


class Mount(Struct, frozen=True, kw_only=True):
    """One line of /proc/self/mountinfo."""

    id: int
    parent: int
    device: str
    """`major:minor`; the major is 0 where there is no block device, also on btrfs."""
    fs_root: bytes
    """Which folder of the file system is mounted here: `/`, or another for a bind mount."""
    point: bytes
    fs_type: str
    source: str
    is_read_only: bool = False
    """The file system as a whole: what is mounted read-only here alone may be written elsewhere."""
    is_indirect: bool = False
    """Of an automount: whether disks are mounted on names in it, and not on itself."""


def read_mounts() -> list[Mount]:
    """All mounts that this process sees. Raises CannotDo without /proc."""
    try:
        with open("/proc/self/mountinfo", "rb", buffering=0) as file:
            return list(_parsed_last(file.read()))
    except FileNotFoundError as error:
        raise CannotDo("/proc is not mounted: mount -t proc proc /proc") from error


@lru_cache(maxsize=1)
def _parsed_last(text: bytes) -> tuple[Mount, ...]:
    """The list hardly ever changes, and a daemon asks for it several times for each change."""
    return tuple(parse_mounts(text))


def parse_mounts(text: bytes) -> list[Mount]:
    """Mounts as proc_pid_mountinfo(5) writes them, with odd characters as three octal digits."""
    mounts = []
    for line in text.split(b"\n"):  # not splitlines: a \r may stand in a name as it is
        if not line:
            continue
        fields = line.split(b" ")
        rest = fields.index(b"-", 6)  # after none or more optional fields
        mounts.append(
            Mount(
                id=int(fields[0]),
                parent=int(fields[1]),
                device=fields[2].decode("ascii"),
                fs_root=_unescaped(fields[3]),
                point=_unescaped(fields[4]),
                fs_type=_unescaped(fields[rest + 1]).decode("utf-8", "backslashreplace"),
                source=_unescaped(fields[rest + 2]).decode("utf-8", "backslashreplace"),
                is_read_only=not _READ_ONLY.isdisjoint(fields[-1].split(b",")),
                is_indirect=b"indirect" in fields[-1].split(b","),
            )
        )
    return mounts


def mount_of(path: bytes, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that a look-up of this absolute path ends in; None if it is not listed."""
    way = _way(path, mounts)
    return way[-1] if way else None


def cannot_change(path: bytes) -> bool:
    """Whether a file lies on a file system that no program of this or another machine writes to."""
    try:
        if not os.statvfs(path).f_flag & os.ST_RDONLY:
            return False
    except OSError:
        return False
    mount = mount_of(os.path.realpath(path), read_mounts())
    return mount is not None and mount.is_read_only and not can_hang(mount.fs_type)


def _way(path: bytes, mounts: Sequence[Mount]) -> list[Mount]:
    """The mounts that a look-up of this absolute path goes through.

    As the kernel walks: from a mount into the first of its children on the path. So a later mount
    hides the one below it, with all that was mounted in that one.
    """
    ids = {mount.id for mount in mounts}
    way = [mount for mount in mounts if _holds(mount.point, path)]
    # The first mount's parent is not listed, or it is its own (the kernel's first file system).
    here = [mount for mount in way if mount.parent not in ids or mount.parent == mount.id]
    found: list[Mount] = []
    while here:
        found.append(min(here, key=lambda mount: len(mount.point)))
        here = [mount for mount in way if mount.parent == found[-1].id != mount.id]
    return found


def mount_id(fd: int) -> int:
    """The number of the mount that a descriptor was opened in (`mnt_id`, proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", "rb", buffering=0) as file:
        found = _MOUNT_ID.search(file.read())
    return int(found[1]) if found else -1


def mount_at(number: int, path: bytes, mounts: Sequence[Mount]) -> Mount | None:
    """The mount of an open folder, by its number, while mounts change.

    `mounts` must be read after it was opened. A mount that is not listed was removed since (`umount
    --lazy`), and is looked up by its path; or it lies outside of a chroot: None.
    """
    return next((mount for mount in mounts if mount.id == number), None) or mount_of(path, mounts)


def has_expired(path: bytes, mounts: Sequence[Mount]) -> bool:
    """Whether the disk of an automount at a path, or above it, is not mounted now."""
    mount = mount_of(path, mounts)
    return mount is not None and mount.fs_type == AUTOMOUNT


def may_hang(
    path: bytes,
    mounts: Sequence[Mount],
    is_left_out: Callable[[bytes], bool] = lambda _folder: False,
) -> bool:
    """Whether a server has to answer for a folder, by mountinfo alone, which never waits.

    For a folder on its path, for itself, or for a mount point below it, unless that
    `is_left_out` (by its path relative to the folder). An automount counts while nothing is
    mounted there.
    """
    if not any(_waits(mount.fs_type) and _nested(mount.point, path) for mount in mounts):
        return False
    if has_expired(path, mounts) or passes_share(path, mounts):
        return True
    below = mounts_below(path, mounts).items()
    return any(_waits(mount.fs_type) and not is_left_out(folder) for folder, mount in below)


def has_waiting(mounts: Sequence[Mount]) -> bool:
    """Whether `may_hang` may be true of any path."""
    return any(_waits(mount.fs_type) for mount in mounts)


def is_share(path: bytes, mounts: Sequence[Mount] | None = None) -> bool:
    """Whether a root at `path` may hang, so that only its helper accesses it."""
    return may_hang(path, read_mounts() if mounts is None else mounts, is_ignored)


def passes_share(path: bytes, mounts: Sequence[Mount]) -> bool:
    """Whether a server has to answer when this absolute path is looked up."""
    return any(can_hang(mount.fs_type) for mount in _way(path, mounts))


@lru_cache(maxsize=256)
def _waits(fs_type: str) -> bool:
    """Whether opening it may wait: for a server, or for the program that mounts it.

    Cached, since it is asked of all mounts for each root at each look.
    """
    return fs_type == AUTOMOUNT or can_hang(fs_type)


def has_automounts(path: bytes, mounts: Sequence[Mount]) -> bool:
    """Whether an automount lies above a path, at it or below it."""
    return any(mount.fs_type == AUTOMOUNT and _nested(mount.point, path) for mount in mounts)


def automounted(
    places: Iterable[tuple[bytes, bytes]], mounts: Sequence[Mount]
) -> dict[bytes, Mount | None]:
    """Of the (name, path) pairs, those that lie behind an automount, and what is mounted there.

    None where it has expired: the next program that opens it mounts it again. No path is looked
    up, since each look-up keeps an automount mounted.
    """
    found: dict[bytes, Mount | None] = {}
    for name, path in places:
        way = _way(path, mounts)
        if any(mount.fs_type == AUTOMOUNT for mount in way):
            found[name] = None if way[-1].fs_type == AUTOMOUNT else way[-1]
    return found


def mounts_below(root: bytes, mounts: Sequence[Mount]) -> dict[bytes, Mount]:
    """Each mount point strictly below a root, as a path relative to it -> its mount."""
    return {
        mount.point[len(root.rstrip(b"/")) + 1 :]: mount
        for mount in mounts
        if mount.point != root
        and _holds(root, mount.point)
        and mount_of(mount.point, mounts) is mount
    }


def overlap(new_path: bytes, others: Mapping[str, bytes], mounts: Sequence[Mount]) -> str | None:
    """The name of a root that shares a folder with the new one, by path or by a bind mount."""
    new = _extents(new_path, mounts)
    for name, path in others.items():
        pairs = product(new, _extents(path, mounts))
        if _nested(new_path, path) or any(
            device == other_device and _nested(folder, other_folder)
            for (device, folder), (other_device, other_folder) in pairs
        ):
            return name
    return None


def _extents(root: bytes, mounts: Sequence[Mount]) -> list[tuple[str, bytes]]:
    """What a root covers of each file system, as (device, folder in it): its own, and below."""
    extents = []
    mount = mount_of(root, mounts)
    if mount:
        inside = root[len(mount.point.rstrip(b"/")) :]
        extents.append((_device(mount), mount.fs_root.rstrip(b"/") + inside))
    extents += [(_device(each), each.fs_root) for each in mounts_below(root, mounts).values()]
    return extents


def _device(mount: Mount) -> str:
    """Which file system it is, now. Two exports of one NFS server share a number and say `/`."""
    return f"{mount.device} {mount.source if mount.device.startswith('0:') else ''}"


def _nested(one: bytes, other: bytes) -> bool:
    return _holds(one, other) or _holds(other, one)


def _holds(folder: bytes, path: bytes) -> bool:
    """Whether an absolute path is this folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field)
