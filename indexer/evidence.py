"""A stamp, the time, and a read lease -> whether a file is whole (rule R2)."""

from __future__ import annotations

import errno
import fcntl
import signal
import time
from collections.abc import Sequence
from enum import Enum, auto
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from indexer import paths
from indexer.model import Chunk, Entry, Evidence, Stamp, Waiting

CLOCK_REALTIME_COARSE = 5
"""`<linux/time.h>`: the clock of file systems' time stamps; the time module has no name for it."""

TICK_NS = round(time.clock_getres(CLOCK_REALTIME_COARSE) * 1e9)
"""The step of that clock: 4 ms if the kernel has CONFIG_HZ=250."""

AHEAD_NS = 1_000_000_000
"""How far ahead of the coarse clock a ctime may be and still be 'just now'.

From Linux 6.13 on, ext4, xfs, btrfs and tmpfs have time stamps finer than the coarse clock's tick
(Documentation/filesystems/multigrain-ts.rst): a recent ctime is then ahead of that clock, by 5.4 ms
measured with a tick of 4. A second is a guess that also covers a file server whose clock is a
little fast. Only a ctime further ahead comes from a wrong clock, and counts as old.
"""


_SECOND_NS = 1_000_000_000

SETTLED_NS = 15 * 60 * 1_000_000_000
"""A file without a write for so long is read without a lease, even while it is open.

A later write changes the stamp and triggers another read. So does a write through a mapping: the
kernel has written its pages back by then (30 s; at most 10 min if disks may sleep, `laptop_mode` in
proc_sys_vm(5)), and the next write to a clean page changes the stamp. Two of eight system calls are
saved.
"""
if TYPE_CHECKING:  # a reader process loads neither
    from indexer.disk.tree import Tree
    from indexer.settings import Settings

_NO_LEASES_HERE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
)
"""Another user's file without CAP_LEASE; a security module; no support; the limit is reached."""
_INODE: Final = attrgetter("stamp.inode")


class FileLease(Enum):
    """The result of requesting a read lease."""

    GRANTED = auto()
    """No process has the file open for writing, or mapped writable."""
    REFUSED = auto()
    """Some process has."""
    UNAVAILABLE = auto()
    """Unknown: a file of another user, a file system without leases, or not requested."""


class Wholeness(Enum):
    """What to do with an open file."""

    READ = auto()
    READ_HELD = auto()
    """Read it although it is open for writing, and check it again when the writer has closed it."""
    WAIT_WRITER = auto()
    WAIT_YOUNG = auto()


WAITING = {Wholeness.WAIT_WRITER: Waiting.WRITER, Wholeness.WAIT_YOUNG: Waiting.YOUNG}
"""Verdicts that postpone reading -> the reason."""


def is_settled(stamp: Stamp, now_ns: int, granularity_ns: int) -> bool:
    """Whether the last write is so long ago that no lease is needed (see `SETTLED_NS`).

    Both times must be old: FAT has no real ctime. A time in the future is not old here.
    """
    before_ns = now_ns - SETTLED_NS - granularity_ns
    return stamp.ctime_ns < before_ns and stamp.mtime_ns < before_ns


def judge(stamp: Stamp, now_ns: int, lease: FileLease, evidence: Evidence) -> Wholeness:
    """Decide whether a file is whole.

    The order matters: read the stamp first, then the lease, then the time (`coarse_now_ns`), and
    the contents last. Then a write before the reading is either part of what is read or changes the
    stamp; a write after it always changes the stamp.
    """
    ctime_ns = stamp.ctime_ns
    step_ns = granularity_of(ctime_ns, evidence.granularity_ns)
    if lease is FileLease.GRANTED and now_ns - ctime_ns > max(TICK_NS, step_ns):
        return Wholeness.READ  # nearly always
    held = lease is FileLease.REFUSED
    for_s = must_stand_still_s(lease, still_s=evidence.still_s, held_s=evidence.held_s)
    if not _stood_still(ctime_ns, now_ns, for_s, step_ns):
        return Wholeness.WAIT_WRITER if held else Wholeness.WAIT_YOUNG
    if tick_left_ns(ctime_ns, now_ns, evidence.granularity_ns):
        return Wholeness.WAIT_YOUNG
    return Wholeness.READ_HELD if held else Wholeness.READ


def must_stand_still_s(
    lease: FileLease, *, still_s: float, held_s: float, was_closed: bool = False
) -> float:
    """For how many seconds a file must not have changed before it is read.

    `was_closed`: a close after its last write was seen. The lease says more, where there is one.
    """
    if lease is FileLease.REFUSED:
        return held_s
    return still_s if lease is FileLease.UNAVAILABLE and not was_closed else 0.0


def granularity_of(ctime_ns: int, disk_ns: int) -> int:
    """The possible resolution of the clock of a ctime, in nanoseconds; never finer than the disk's.

    `disk_ns` is the resolution of the file system's type (0: the kernel's tick), but it can be
    coarser: ext4 with inodes of 128 bytes (old disks that were ext3) counts whole seconds, and a
    server may share such a disk, or a FAT stick, which counts in steps of two. So a ctime of a
    whole second is treated as coarse. On a fine clock one in a billion is, and waits needlessly.
    """
    if ctime_ns % _SECOND_NS:
        return disk_ns
    may_be_fat = disk_ns >= _SECOND_NS and ctime_ns % (2 * _SECOND_NS) == 0
    return max(disk_ns, 2 * _SECOND_NS if may_be_fat else _SECOND_NS)


def tick_left_ns(ctime_ns: int, now_ns: int, disk_ns: int) -> int:
    """The time until no later write can have the same ctime; 0 if that has passed.

    A file system truncates the time of a write to the resolution of its clock. Never less than a
    tick, since the clock does not advance before. `disk_ns` is as in `granularity_of`.
    """
    step_ns = max(granularity_of(ctime_ns, disk_ns), 1)
    if _in_the_future(ctime_ns, now_ns, step_ns):
        return 0
    past_ns = (ctime_ns // step_ns + 1) * step_ns
    return max(past_ns - now_ns, TICK_NS) if now_ns < past_ns else 0


def _stood_still(ctime_ns: int, now_ns: int, for_s: float, granularity_ns: int) -> bool:
    """Whether the last change, including the size, is that long ago."""
    age_ns = max(now_ns - ctime_ns, 0)
    return age_ns >= for_s * 1e9 or _in_the_future(ctime_ns, now_ns, granularity_ns)


def _in_the_future(ctime_ns: int, now_ns: int, granularity_ns: int) -> bool:
    return ctime_ns - now_ns > max(AHEAD_NS, granularity_ns)


def coarse_now_ns() -> int:
    """The time stamp that the kernel would give a write now, in Unix nanoseconds."""
    return time.clock_gettime_ns(CLOCK_REALTIME_COARSE)


def try_lease(file_descriptor: int) -> FileLease:
    """Find out from the kernel whether the file is open for writing; about 2 us.

    Takes a read lease on a descriptor that is open for reading only, and releases it at once. The
    process must have called `ignore_lease_signal` before.

    Only for local file systems: NFS and CIFS also refuse with EAGAIN if the server gave them no
    delegation, which does not depend on writers (`Evidence.leases` is off for them).
    """
    try:
        fcntl.fcntl(file_descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file_descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:  # also if the kernel broke it for a waiting writer
            return FileLease.REFUSED
        if error.errno in _NO_LEASES_HERE:
            return FileLease.UNAVAILABLE
        raise
    return FileLease.GRANTED


def ignore_lease_signal() -> None:
    """Do not die when a writer opens a file while this process has a lease on it.

    The kernel then sends SIGIO, and its default action ends the process. Call it on the main
    thread of every process that takes leases (fcntl(2), F_SETLEASE).
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def chunk_of(
    tree: Tree,
    entries: Sequence[Entry],
    settings: Settings,
    closed: frozenset[bytes] = frozenset(),
    *,
    plain: bool = False,
) -> Chunk:
    """The chunk for a reader: paths in the order that the disk has the files, and their evidence.

    `plain`: mutagen reads none of them.
    """
    if len(tree.mount_points) == 1:
        mount_points = set(tree.mount_points)
    else:
        folders = {paths.parent_of(entry.path) for entry in entries}  # a mount point is a folder
        mount_points = {tree.mount_point_of(folder) for folder in folders}
    coarsest = max((spot.granularity_ns for spot in mount_points), default=0)
    evidence = Evidence(
        settings.still,
        settings.held,
        max(coarsest, int(settings.clock_granularity * 1e9)),
        settings.leases and all(spot.leases for spot in mount_points),
        all(spot.fields.stable_inodes for spot in mount_points),
    )
    in_disk_order = sorted(entries, key=_INODE)
    named = tuple([entry.path for entry in in_disk_order])
    known = closed.intersection(named) if closed else closed
    return Chunk(
        tree.path,
        named,
        evidence,
        tree.follow_links,
        known,
        plain,
        tree.may_hang,
        frozenset(name.lower() for name in settings.keep_tags),
    )
