"""A stamp, the time, and what the kernel says of writers -> whether a file is whole (rule R2)."""

from __future__ import annotations

import errno
import fcntl
import signal
import time
from enum import Enum, auto

from indexer.model import Evidence, Stamp, Waiting

CLOCK_REALTIME_COARSE = 5
"""`<linux/time.h>`: the clock that file systems stamp with; the time module has no name for it."""

TICK_NS = round(time.clock_getres(CLOCK_REALTIME_COARSE) * 1e9)
"""How far that clock moves at once: 4 ms where the kernel has CONFIG_HZ=250."""

AHEAD_NS = 1_000_000_000
"""How far ahead of the coarse clock a ctime may be and still be 'just now'.

From Linux 6.13 on ext4, xfs, btrfs and tmpfs stamp finer than the coarse clock ticks
(Documentation/filesystems/multigrain-ts.rst): a ctime of a moment ago then lies ahead of that
clock, 5.4 ms measured where the tick is 4. A second is a guess that also covers a file server
whose clock is a little fast. Only what is further ahead is a wrong clock, and counts as old.
"""


_SECOND_NS = 1_000_000_000

SETTLED_NS = 15 * 60 * 1_000_000_000
"""After so long without a write nobody need be asked who has a file open.

Whatever he writes next changes the stamp. Through a mapping, too: the kernel has written its pages
back by then (30 s; 10 min at the most where disks are let sleep, `laptop_mode` in proc_sys_vm(5)),
and the next write to a page that is clean is stamped. Not asking saves two of eight system calls.
"""


class FileLease(Enum):
    """What the kernel answered when it was asked for a read lease."""

    GRANTED = auto()
    """Nobody has the file open for writing, nor mapped writable."""
    REFUSED = auto()
    """Somebody has."""
    UNAVAILABLE = auto()
    """It does not say: another's file, a file system without leases, or nobody asked."""


class Wholeness(Enum):
    """What to do with a file that is open now."""

    READ = auto()
    READ_HELD = auto()
    """Read it although a writer holds it open, and look again when the writer has gone."""
    WAIT_WRITER = auto()
    WAIT_YOUNG = auto()


WAITING = {Wholeness.WAIT_WRITER: Waiting.WRITER, Wholeness.WAIT_YOUNG: Waiting.YOUNG}
"""Why a file must not be read yet, by the verdicts that say so."""


def is_settled(stamp: Stamp, now_ns: int, granularity_ns: int) -> bool:
    """Whether the last write is so long ago that a file is whole, or its next write tells.

    Both times must say so: FAT keeps no ctime of its own. One in the future does not.
    """
    before_ns = now_ns - SETTLED_NS - granularity_ns
    return stamp.ctime_ns < before_ns and stamp.mtime_ns < before_ns


def judge(stamp: Stamp, now_ns: int, lease: FileLease, evidence: Evidence) -> Wholeness:
    """Decide whether a file is whole.

    The order of asking matters: first the stamp, then the lease, then the time (`coarse_now_ns`),
    and the contents last. A write before the reading is then either part of what is read or
    changes the stamp; a write after it always changes the stamp.
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
    """How coarse the clock may be that made a ctime, in nanoseconds; never finer than its disk's.

    `disk_ns` is what the type of the file system tells (0: the kernel's tick), and that is not all:
    ext4 with inodes of 128 bytes counts in whole seconds, as old disks that were ext3 once, and a
    server may share such a disk, or a FAT stick, which counts in steps of two. So a whole second is
    taken for what it looks like. On a fine clock one in a billion is one, and waits for no reason.
    """
    if ctime_ns % _SECOND_NS:
        return disk_ns
    may_be_fat = disk_ns >= _SECOND_NS and ctime_ns % (2 * _SECOND_NS) == 0
    return max(disk_ns, 2 * _SECOND_NS if may_be_fat else _SECOND_NS)


def tick_left_ns(ctime_ns: int, now_ns: int, disk_ns: int) -> int:
    """How long until a later write cannot carry the same ctime; 0 when that is so already.

    A file system cuts the time of a write down to the granularity of its clock. Never less than a
    tick, since the clock does not move before. `disk_ns` is as in `granularity_of`.
    """
    step_ns = max(granularity_of(ctime_ns, disk_ns), 1)
    if _in_the_future(ctime_ns, now_ns, step_ns):
        return 0
    past_ns = (ctime_ns // step_ns + 1) * step_ns
    return max(past_ns - now_ns, TICK_NS) if now_ns < past_ns else 0


def _stood_still(ctime_ns: int, now_ns: int, for_s: float, granularity_ns: int) -> bool:
    """Whether the last change, also of the size, is that long ago."""
    age_ns = max(now_ns - ctime_ns, 0)
    return age_ns >= for_s * 1e9 or _in_the_future(ctime_ns, now_ns, granularity_ns)


def _in_the_future(ctime_ns: int, now_ns: int, granularity_ns: int) -> bool:
    return ctime_ns - now_ns > max(AHEAD_NS, granularity_ns)


def coarse_now_ns() -> int:
    """The time that the kernel would stamp a write with, Unix nanoseconds."""
    return time.clock_gettime_ns(CLOCK_REALTIME_COARSE)


def try_lease(file_descriptor: int) -> FileLease:
    """Ask the kernel whether anybody has the file open for writing; about 2 us.

    Takes a read lease on a descriptor that is open for reading only, and gives it back at once. A
    process that calls this must have called `ignore_lease_signal` before.

    Only for local file systems: NFS and CIFS refuse with EAGAIN too where the server gave them no
    delegation, which says nothing of writers (`Evidence.leases` is off for them).
    """
    try:
        fcntl.fcntl(file_descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file_descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:  # also where a waiting writer's patience took it from us
            return FileLease.REFUSED
        if error.errno in _NO_LEASES_HERE:
            return FileLease.UNAVAILABLE
        raise
    return FileLease.GRANTED


_NO_LEASES_HERE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
)
"""Another's file without CAP_LEASE; a security module; a file system without; the limit reached."""


def ignore_lease_signal() -> None:
    """Survive a writer that opens a file while we hold a lease on it.

    The kernel then sends SIGIO, and its default action ends the process. Call it on the main
    thread of every process that takes leases (fcntl(2), F_SETLEASE).
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)
