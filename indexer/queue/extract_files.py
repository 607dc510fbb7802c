"""An extract order -> readings of its files, below a root of this machine (rule R15)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from indexer import errors
from indexer.disk import filesystem
from indexer.model import Chunk, Evidence, Reading, Waiting, is_folded

if TYPE_CHECKING:
    from indexer.queue.orders.messages import ExtractOrder, FileText

ReadChunk = Callable[[Chunk], list[Reading]]
"""A chunk -> one reading for each of its paths, in their order."""

_ADVICE: Final = (
    "mount the share there, or say where it is: [roots.NAME] path = ... in the config of this"
    " machine"
)
_CLOCKS_NS: Final = (1_000_000_000, 1_000_000, 1_000, 100)
"""How coarse the times of a share may be: NFS 2, some servers, SMB."""


def read(
    order: ExtractOrder,
    place: bytes,
    evidence: Evidence,
    read_chunk: ReadChunk,
    *,
    may_hang: bool = False,
) -> list[Reading]:
    """The readings of an order, in its order, from files below `place` on this machine.

    `may_hang`: a server has to answer for them.
    """
    paths = tuple(file.raw for file in order.files)
    closed = frozenset(path.raw for path in order.closed)
    chunk = Chunk(
        place,
        paths,
        evidence,
        order.follow_links,
        closed,
        may_hang=may_hang,
        keep_tags=frozenset(order.keep_tags),
    )
    readings = read_chunk(chunk)
    return [_as_scanned(reading, file) for reading, file in zip(readings, order.files, strict=True)]


def same_time(one_ns: int, other_ns: int) -> bool:
    """Whether two times of one file are equal, seen through file systems with different clocks.

    Two times that were folded (`is_folded`) count as equal: a share may have clamped them in its
    own way.
    """
    if one_ns == other_ns or (is_folded(one_ns) and is_folded(other_ns)):
        return True
    for clock_ns in _CLOCKS_NS:
        if one_ns % clock_ns == 0 or other_ns % clock_ns == 0:
            return one_ns // clock_ns == other_ns // clock_ns
    return False


def _as_scanned(reading: Reading, file: FileText) -> Reading:
    """Put the stamp of the scan on a reading, if the same file was read.

    The inode and ctime of a share are not those of the disk behind it; size and mtime are. So the
    birth time is kept only where all four are equal.
    """
    stamp = reading.stamp
    if stamp is None:
        return reading
    if stamp.size != file.size or not same_time(stamp.mtime_ns, file.mtime_ns):
        return Reading(
            path=reading.path,
            waiting=Waiting.CHANGING,
            opened=reading.opened,
            bytes_read=reading.bytes_read,
        )
    scanned = file.stamp
    birth_ns = reading.birth_ns if stamp == scanned else None
    return replace(reading, stamp=scanned, birth_ns=birth_ns)


def evidence_at(evidence: Evidence, place: bytes) -> Evidence:
    """The evidence that is valid here that a file is complete. Raises RootOffline if not mounted.

    A lease on a server's file says nothing of writers elsewhere, whatever the disk behind it says.

    Nor does a server tell the inode's birth time: Samba has a time of its own.
    """
    check_mounted(place)
    if not (evidence.leases or evidence.births):
        return evidence
    try:
        fs_type = filesystem.disk_at(place).fs_type
    except OSError as error:
        raise errors.RootOffline(f"{os.fsdecode(place)}: {error.strerror}; {_ADVICE}") from error
    local = filesystem.traits_of(fs_type).holds_wal
    return replace(evidence, leases=evidence.leases and local, births=evidence.births and local)


def check_mounted(place: bytes) -> None:
    """Raise RootOffline where there is no folder, or it is empty."""
    shown = os.fsdecode(place)
    try:
        with os.scandir(place) as listing:
            if next(listing, None) is not None:
                return
    except OSError as error:
        raise errors.RootOffline(f"{shown}: {error.strerror}; {_ADVICE}") from error
    raise errors.RootOffline(f"{shown}: is empty; {_ADVICE}")
