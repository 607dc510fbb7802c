"""What the kernel reports of mounts and file systems -> which disk it is, and its traits (R8)."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from indexer.disk.mounts import Mount, has_expired, mount_at, mount_id, read_mounts
from indexer.errors import RootOffline, UsageError
from indexer.model import StampFields

_BY_UUID = b"/dev/disk/by-uuid"
_CLASS_BLOCK = b"/sys/class/block"

_FS_IOC_GETFSUUID = 0x80111500
"""_IOR(0x15, 0, struct fsuuid2), of include/uapi/linux/fs.h: a length byte, then 16 bytes."""

_MAGIC_TYPES = {
    0xEF53: "ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xF2F52010: "f2fs",
    0x01021994: "tmpfs",
    0x2FC12FC1: "zfs",
    0x794C7630: "overlay",
    0x4D44: "vfat",
    0x2011BAB0: "exfat",
    0x6969: "nfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb3",
    0x01021997: "9p",
    0x65735546: "fuse",
}
"""statfs(2) f_type -> type, for a folder whose mount is not listed."""


class Traits(Struct, frozen=True):
    """What one type of file system can be relied on for (rules R1, R2, R12)."""

    stamp_fields: StampFields
    granularity_ns: int
    """How far apart two changes must be to show in the times; 0 is the kernel's own tick."""
    holds_wal: bool
    """Whether a SQLite database in WAL mode is safe there."""


_MS = 1_000_000
_S = 1_000_000_000

_LOCAL = Traits(StampFields.ALL, 0, holds_wal=True)
_WHOLE_SECONDS = Traits(StampFields.ALL, _S, holds_wal=True)
"""Times are stored as whole seconds (ext3 and ext2: with inodes of 128 bytes, the old default)."""
_FAT = Traits(StampFields.SIZE_MTIME, 2 * _S, holds_wal=True)
"""No inode is stored, the kernel assigns them as files are met; times are in steps of 2 s."""
_NFS = Traits(StampFields.ALL, _S, holds_wal=False)
"""The server's own inodes and times; its clock may be coarse, and 1 s is a guess."""
_REMOTE = Traits(StampFields.SIZE_MTIME, _S, holds_wal=False)
"""Inodes are made up on this side, and perhaps the ctime too; 1 s is a guess."""
_UNKNOWN = Traits(StampFields.NO_INODE, _S, holds_wal=True)
"""Not examined: moves are given up, not correctness. 1 s is a guess."""

_TRAITS = {
    **dict.fromkeys(("ext4", "xfs", "btrfs", "f2fs", "tmpfs", "ramfs", "zfs", "bcachefs"), _LOCAL),
    **dict.fromkeys(("jfs", "nilfs2", "ntfs3"), _LOCAL),
    # Persistent where all layers lie on one disk, as containers have them, or with xino
    # (Documentation/filesystems/overlayfs.rst, "Inode properties"); else files are read again.
    "overlay": _LOCAL,
    **dict.fromkeys(("ext2", "ext3", "reiserfs", "hfs", "hfsplus"), _WHOLE_SECONDS),
    **dict.fromkeys(("vfat", "msdos"), _FAT),
    "exfat": Traits(StampFields.SIZE_MTIME, 10 * _MS, holds_wal=True),
    **dict.fromkeys(("nfs", "nfs4"), _NFS),
    **dict.fromkeys(("cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf"), _REMOTE),
    **dict.fromkeys(("fuse", "fuseblk", "ceph", "lustre", "afs", "coda"), _REMOTE),
    **dict.fromkeys(("ncpfs", "glusterfs", "orangefs", "pvfs2", "beegfs", "gpfs"), _REMOTE),
}


def traits_of(fs_type: str) -> Traits:
    """The traits of a type as mountinfo spells it; `fuse.sshfs` is a `fuse`."""
    return _TRAITS.get(fs_type.partition(".")[0], _UNKNOWN)


def stamp_fields(fs_type: str) -> StampFields:
    """Which fields of a stamp to compare on this type of file system (rule R1)."""
    return traits_of(fs_type).stamp_fields


def granularity_ns(fs_type: str) -> int:
    """The least granularity of its times, in nanoseconds; 0 is the kernel's own tick (rule R2).

    What the type cannot tell, a stamp does: `evidence.granularity_of`.
    """
    return traits_of(fs_type).granularity_ns


def reports_changes(fs_type: str) -> bool:
    """Whether inotify reports every change: not those that a server or a daemon makes."""
    return traits_of(fs_type).holds_wal


def holds_wal(fs_type: str) -> bool:
    """Whether the database may lie there: WAL needs shared memory and real locks (rule R12)."""
    return traits_of(fs_type).holds_wal


class Disk(Struct, frozen=True, kw_only=True):
    """The marks that distinguish file systems, before and after a restart."""

    uuid: str = ""
    """As in /dev/disk/by-uuid; empty if it has none or it is unknown."""
    fsid: str = ""
    """statvfs f_fsid in hexadecimal; empty if it is 0, as on NFS and FUSE."""
    fs_type: str = ""
    source: str = ""

    @property
    def identity(self) -> str:
        """The strongest of its marks, as users see it: `uuid:...`, `fsid:...`, `source:...`."""
        if self.uuid:
            return f"uuid:{self.uuid}"
        return f"fsid:{self.fsid}" if self.fsid else f"source:{self.source}"


_MULTIGRAIN_TYPES: Final = frozenset({"ext4", "xfs", "btrfs", "tmpfs"})
"""A flag of the type says so (`FS_MGTIME`), not one of a disk. What is stacked on others (overlay)
is not among them: its files may lie on several types."""
_MULTIGRAIN_WRITES: Final = 8
"""All of them must differ. One alone may do so where another program moves the floor of all ctimes
at that moment."""
_MULTIGRAIN_TRIES: Final = 20
"""Eight writes take 0.03 ms, and a tick 1 ms at least; so hardly any try is cut by one."""
_CLOCK_REALTIME_COARSE: Final = 5
"""Of `<linux/time.h>`."""
_SUBVOLUMES: Final = frozenset({"btrfs", "bcachefs", "zfs"})
"""File systems that are several under one UUID, each with inodes of its own."""


_UNIONS: Final = frozenset({"fuse.mergerfs"})
"""File systems whose source is a list of folders that they show as one."""


def has_subvolumes(fs_type: str) -> bool:
    """Whether a UUID may stand for several subvolumes or data sets, which the fsid tells apart."""
    return fs_type in _SUBVOLUMES


def same_disk(known: Disk, seen: Disk) -> bool:
    """Whether the disk that is seen is the one that is known (rule R8).

    The UUID decides where both have one, since the fsid of xfs and FAT is the number of the
    device, which changes when the disk is plugged in again. Where the fsid tells subvolumes apart,
    it must be equal as well (statfs of fs/btrfs/super.c: the UUID, xor the number of the
    subvolume). The folder that mountinfo shows does not count: it depends on how a subvolume is
    mounted. Without UUID and fsid the source decides: `host:/music`.
    """
    if known.fs_type != seen.fs_type:
        return False
    if known.uuid and seen.uuid:
        return known.uuid == seen.uuid and not _other_subvolume(known, seen)
    if known.fsid or seen.fsid:
        return known.fsid == seen.fsid
    return _parts(known) == _parts(seen)


def _parts(disk: Disk) -> list[str]:
    """The source; of a union its branches, in any order: that decides where new files go."""
    return sorted(disk.source.split(":")) if disk.fs_type in _UNIONS else [disk.source]


def _other_subvolume(known: Disk, seen: Disk) -> bool:
    has_ids = bool(known.fsid and seen.fsid) and has_subvolumes(seen.fs_type)
    return has_ids and known.fsid != seen.fsid


def same_inodes(one: Disk, other: Disk) -> bool:
    """Whether an inode number means the same file on both: the same disk, as far as is known.

    Stricter than `same_disk`: a subvolume whose fsid is not known equals no other.
    """
    if has_subvolumes(one.fs_type) and one.fsid != other.fsid:
        return False
    return same_disk(one, other)


def how_it_differs(known: Disk, seen: Disk) -> str:
    """How the disk that is there differs from a known one, in words."""
    if known.uuid and known.uuid == seen.uuid and _other_subvolume(known, seen):
        return (
            f"another subvolume of the same disk stands there ({seen.fs_type}, fsid:{seen.fsid}; "
            f"accepted was fsid:{known.fsid})"
        )
    return (
        f"another disk stands there ({seen.fs_type}, {seen.identity}; "
        f"accepted was {known.fs_type}, {known.identity})"
    )


def disk_at(path: bytes) -> Disk:
    """Which disk holds this folder (a real path). Raises OSError when it cannot be opened."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # opened first, since that may mount something
        return disk_of(folder, mount_at(mount_id(folder), path, read_mounts()))
    finally:
        os.close(folder)


def disk_of(folder: int, mount: Mount | None) -> Disk:
    """Which disk holds an open folder, which lies in this mount; None: the mount is not listed.

    Raises OSError where it does not answer.
    """
    fsid = os.fstatvfs(folder).f_fsid
    return Disk(
        uuid=_uuid_from_kernel(folder) or (_uuid_by_device(mount, _BY_UUID) if mount else ""),
        fsid=f"{fsid:016x}" if fsid else "",
        fs_type=mount.fs_type if mount else _type_by_magic(folder),
        source=mount.source if mount else "",
    )


def _uuid_from_kernel(folder: int) -> str:
    """The UUID by ioctl (Linux 6.9 and later), which needs no udev; empty if there is none.

    Any error of an older kernel or a FUSE daemon here means "no UUID": a disk that is gone has
    failed before, at statvfs.
    """
    answer = bytearray(17)
    try:
        fcntl.ioctl(folder, _FS_IOC_GETFSUUID, answer)
    except OSError:
        return ""
    if answer[0] != 16 or not any(answer[1:]):
        return ""
    digits = answer[1:].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _uuid_by_device(mount: Mount, by_uuid: bytes) -> str:
    """The UUID that udev has for the block device of this mount; empty if there is none."""
    if mount.device.startswith("0:"):
        device = _block_device(os.fsencode(mount.source)) if mount.source.startswith("/") else None
    else:
        major, minor = map(int, mount.device.split(":"))
        device = os.makedev(major, minor)
    if device is None:
        return ""
    try:
        names = sorted(os.listdir(by_uuid))
    except FileNotFoundError:
        return ""
    for name in names:
        if _block_device(os.path.join(by_uuid, name)) == device:
            return os.fsdecode(name)
    return ""


def _block_device(path: bytes) -> int | None:
    """The number of the block device behind a path; None if there is none (any more).

    In a container /dev/disk may be mounted while the devices that its links lead to are not there:
    then the kernel is asked for the device of that name.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return _number_of_device(path)
    return status.st_rdev if stat.S_ISBLK(status.st_mode) else None


def _number_of_device(link: bytes) -> int | None:
    """The number of the block device that a link names, by sysfs (sysfs-class-block, `dev`)."""
    try:
        name = os.path.basename(os.readlink(link))
        with open(os.path.join(_CLASS_BLOCK, name, b"dev"), "rb", buffering=0) as file:
            major, minor = map(int, file.read().split(b":"))
    except (OSError, ValueError):
        return None
    return os.makedev(major, minor)


def _type_by_magic(folder: int) -> str:
    """The type by statfs(2), which Python lacks; its first word is f_type. Empty if unknown."""
    import ctypes

    answer = (ctypes.c_long * 32)()  # struct statfs has 120 bytes on 64-bit Linux
    if ctypes.CDLL(None, use_errno=True).fstatfs(folder, answer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return _MAGIC_TYPES.get(answer[0], "")


def real_root(path: bytes) -> bytes:
    """The real path of a folder that is to be a root. Raises UsageError or RootOffline."""
    shown = path.decode("utf-8", "backslashreplace")
    real = path
    try:
        real = os.path.realpath(path, strict=True)
        with os.scandir(real) as listing:
            next(listing, None)
    except OSError as error:
        if has_expired(real, read_mounts()):
            raise RootOffline(f"{shown} {not_mounted(error)}") from error
        raise _no_root(path, shown, error) from error
    return real


def not_mounted(error: OSError | None = None) -> str:
    """The message for an automount that was opened and mounted nothing."""
    said = f" ({error.strerror})" if error is not None else ""
    return (
        f"is an automount, and nothing was mounted when it was opened{said}; "
        "see why in the system's log (journalctl -b), and try again"
    )


def _no_root(path: bytes, shown: str, error: OSError) -> UsageError | RootOffline:
    from indexer.disk.obstacle import obstacle  # late: only for errors

    found = obstacle(os.path.abspath(path))
    if found is not None:
        what, remedy = found
        if not what.startswith(f"{shown} "):
            what = f"{shown}: {what}"
        elif isinstance(error, NotADirectoryError):
            remedy = "name the folder that it is in"
        return UsageError(f"{what}: {remedy}")
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{shown} does not exist: name a folder that does")
    if isinstance(error, PermissionError):
        return UsageError(f"{shown} may not be read by this user: chmod it, or run as one that may")
    message = f"{shown} cannot be read ({error.strerror}): check its disk and mount it again"
    return RootOffline(message)


def distinct_types(folder: Path) -> frozenset[str]:
    """The type of the file system of this folder, if ctimes within a tick differ there (rule R2).

    From Linux 6.13 on some file systems give a file that was looked at (stat) a ctime of the fine
    clock with its next change, so that it is another one although the coarse clock shows the same
    time (Documentation/filesystems/multigrain-ts.rst). No call tells where that is so: it is tried.

    Writes to a file without a name, which is gone when it is closed. Empty also where that cannot
    be tried: then nothing is known.
    """
    try:
        fs_type = disk_at(os.fsencode(os.path.realpath(folder))).fs_type
        is_tried = fs_type in _MULTIGRAIN_TYPES and _differ_within_a_tick(folder)
    except OSError:
        return frozenset()
    return frozenset({fs_type}) if is_tried else frozenset()


def _differ_within_a_tick(folder: Path) -> bool:
    """Whether writes to one file, each after a look at it, had other ctimes in the same tick."""
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(_MULTIGRAIN_TRIES):
            began_ns = time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
            ctimes = [_written(file) for _ in range(_MULTIGRAIN_WRITES)]
            if time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) == began_ns:
                return len(set(ctimes)) == _MULTIGRAIN_WRITES
    finally:
        os.close(file)
    return False


def _written(file: int) -> int:
    os.pwrite(file, b"x", 0)
    return os.fstat(file).st_ctime_ns
