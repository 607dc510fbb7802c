"""An open file -> its fstat, and when its inode was made.

Disk, inode and birth time together name one file for good: an inode number alone is given to the
next file as soon as this one is deleted. Python has the birth time from 3.15 on.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from msgspec import Struct

from indexer.model import folded_ns

_AT_EMPTY_PATH: Final = 0x1000
_STATX_BTIME: Final = 0x800
_WANTED: Final = 0x7FF | _STATX_BTIME
"""STATX_BASIC_STATS, which is what fstat returns, and the birth time."""
_STATX_SIZE: Final = 256
_SECOND_NS: Final = 1_000_000_000

_FIELDS: Final = struct.Struct("=I24xH2xQQ32xqI4xqI4xqI").unpack_from
"""Of `struct statx` (statx(2), the same on each architecture): stx_mask, stx_mode, stx_ino,
stx_size, and seconds and nanoseconds of stx_btime, stx_ctime and stx_mtime."""

_STATX: Final = getattr(ctypes.CDLL(None), "statx", None)
"""Of the C library, where it has one (glibc 2.28, musl 1.2.3). Without `argtypes`, with which a
call takes 1.3 us in place of 0.5: ints, bytes and a buffer are passed as they are."""


class Status(Struct, frozen=True, gc=False):
    """The part of `os.stat_result` that a reader needs, and the birth time in Unix nanoseconds.

    The birth time is None where the file system keeps none, or where it was not asked for.
    """

    st_mode: int
    st_ino: int
    st_size: int
    st_ctime_ns: int
    st_mtime_ns: int
    birth_ns: int | None = None


class Statuses:
    """Reads the status of open files, with a buffer of its own: one for each thread.

    One system call a file, `statx`, in place of `fstat`. Where it is refused (a kernel, or the
    seccomp filter of a container, that does not know it), `fstat` is used, without a birth time.
    """

    __slots__ = ("_buffer", "_statx")

    def __init__(self, *, births: bool) -> None:
        """Without `births` only `fstat` is called."""
        self._statx = _STATX if births else None
        self._buffer = ctypes.create_string_buffer(_STATX_SIZE)

    def of(self, descriptor: int) -> Status:
        """The status of an open file. Raises OSError."""
        statx, buffer = self._statx, self._buffer
        if statx is None:
            return _plain(descriptor)
        if statx(descriptor, b"", _AT_EMPTY_PATH, _WANTED, buffer) != 0:
            status = _plain(descriptor)  # raises, if the file or the disk is at fault
            self._statx = None
            return status
        (
            mask, mode, inode, size,
            birth_s, birth_ns, ctime_s, ctime_ns, mtime_s, mtime_ns,
        ) = _FIELDS(buffer)  # fmt: skip
        birth_ns += birth_s * _SECOND_NS
        return Status(
            mode,
            inode,
            size,
            ctime_s * _SECOND_NS + ctime_ns,
            mtime_s * _SECOND_NS + mtime_ns,
            folded_ns(birth_ns) if mask & _STATX_BTIME and birth_ns else None,
        )


def _plain(descriptor: int) -> Status:
    status = os.fstat(descriptor)
    return Status(
        status.st_mode, status.st_ino, status.st_size, status.st_ctime_ns, status.st_mtime_ns
    )
