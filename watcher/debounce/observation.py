"""A file that may be incomplete -> one observation of it, without reading its tags (rule R2).

Whether the container of an audio file ends where it says is a cheap check of the structure that
holds the sound, not a judgement of its contents: a file that fails it may still be copied, be
damaged for good, or have a wrong suffix. So a caller waits a little, and then lets the reader
decide.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.disk.descent import OpenFolders
from indexer.disk.mounts import can_hang
from indexer.evidence import FileLease, coarse_now_ns, tick_left_ns, try_lease
from indexer.shares.hanging import ask_share
from indexer.tags.matroska.ebml import EBML, HEADER, SEGMENT, element_in
from watcher.debounce.folder_buffer import Observation

if TYPE_CHECKING:  # a helper of a share loads neither
    from indexer.settings import Settings
    from watcher.roots.root import Root

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK
_EXTRACT_WAITS_NS: Final = 10_000_000


def observe(
    root_path: bytes, path: bytes, *, follow_links: bool, leases: bool, granularity_ns: int
) -> Observation | None:
    """Observe one file of a root; None where no regular file has the path, or none opens."""
    try:
        with OpenFolders.at(root_path, follow_links=follow_links) as folders:
            fd = _open(folders, path)
    except BlockingIOError:  # a process holds a write lease, as Samba does for its clients
        return Observation(FileLease.REFUSED, 0, 0)
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):  # a folder has the name now, which `open` refuses
        os.close(fd)
        return None
    with open(fd, "rb", buffering=0) as file:
        lease = try_lease(fd) if leases else FileLease.UNAVAILABLE
        complete = lease is FileLease.REFUSED or _is_complete(file, path, status.st_size)
        left_ns = tick_left_ns(status.st_ctime_ns, coarse_now_ns(), granularity_ns)
        return Observation(
            lease,
            status.st_size,
            status.st_ctime_ns,
            complete,
            left_ns / 1e9 if left_ns > _EXTRACT_WAITS_NS else 0.0,
        )


def observe_in(root: Root, path: bytes, settings: Settings) -> Observation | None:
    """The same for a path of a root, whose server may hang; None also where it does not answer."""
    fs_type = root.fs_type_of(path)
    traits = filesystem.traits_of(fs_type)
    look = partial(
        observe,
        root.row.path,
        path,
        follow_links=settings.follow_links,
        leases=settings.leases and traits.holds_wal,
        granularity_ns=traits.granularity_ns,
    )
    if not can_hang(fs_type):
        return look()
    with suppress(errors.RootSilent):
        return ask_share(root.row.path, look)
    return None


def _open(folders: OpenFolders, path: bytes) -> int:
    try:
        return folders.open(path, _FLAGS | os.O_NOATIME)
    except PermissionError:
        return folders.open(path, _FLAGS)


def _is_complete(file: object, path: bytes, size: int) -> bool:
    """An unreadable file counts as complete: there is nothing to wait for, extract decides."""
    try:
        return is_complete(file, paths.suffix_of(paths.name_of(path)), size)  # type: ignore[arg-type]  # a raw file has what is used of BinaryIO
    except OSError:
        return True


MOST_HEADERS: Final = 64
"""Atoms or metadata blocks that are walked over: 1 KB at the most. Complete files have about six;
only fragmented MP4 has more, and a fragment is complete as soon as its `moov` is."""

OGG_HEADER: Final = 27 + 255
"""The longest header of an Ogg page with its segment table (RFC 3533, section 6)."""

OGG_PAGE: Final = OGG_HEADER + 255 * 255
"""The longest Ogg page: as many segments as the table can hold, all of them full."""

OGG_STEP: Final = 4096
"""Bytes read at once on the way back to the last Ogg page; encoders make pages of 4 to 16 KB."""


_ANYWHERE: Final = 2**60
"""Beyond the end that any element can state."""


class Readable(Protocol):
    """The methods that are needed of an open file: a raw one will do."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Move to an offset."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to `size` bytes from there on."""


def is_complete(file: Readable, suffix: bytes, size: int) -> bool:
    """Whether the container of a file of this size is complete; True for suffixes without one.

    `suffix` is in lower case, with its dot. The file should be unbuffered: a few headers of some
    bytes each are read of it, and of Ogg the end. Whatever the bytes are, the result is True or
    False; an `OSError` is the machine's and is raised.
    """
    if size == 0:
        return False
    check = _CHECKS.get(suffix)
    return check is None or check(file, size)


def _is_complete_mp4(file: Readable, size: int) -> bool:
    """Atoms that follow each other to exactly the end, and a `moov` (ISO 14496-12, 4.2 and 8.2).

    Without it there is no index to the sound. Many writers put it last, when all else is there.
    """
    has_moov = False
    at = 0
    for _ in range(MOST_HEADERS):
        if at == size:
            return has_moov
        header = _read(file, at, 16)
        if len(header) < 8:
            return False
        length, kind = int.from_bytes(header[:4]), header[4:8]
        has_moov = has_moov or kind == b"moov"
        if length == 0:  # to the end of the file, wherever that is; but zeros are no atom
            return has_moov and any(kind)
        shortest = 8
        if length == 1:  # it did not fit, and stands behind the kind
            length, shortest = int.from_bytes(header[8:]), 16
        at += length
        if length < shortest or at > size:
            return False
    return has_moov


def _is_complete_flac(file: Readable, size: int) -> bool:
    """Metadata blocks that end within the file, and a frame after them (RFC 9639, 8.1 and 9.1)."""
    at = _id3_size(_read(file, 0, 10))
    if _read(file, at, 4) != b"fLaC":
        return False
    at += 4
    for _ in range(MOST_HEADERS):
        header = _read(file, at, 4)
        if len(header) < 4:
            return False
        at += 4 + int.from_bytes(header[1:])
        if header[0] & 0x80:  # the last block
            return at < size and int.from_bytes(_read(file, at, 2)) & 0xFFFE == 0xFFF8
    return False


def _is_complete_riff(file: Readable, size: int) -> bool:
    """A size that the file has reached. A writer that cannot know it yet says 0 or 2**32 - 1."""
    header = _read(file, 0, 28)
    match header[:4]:
        case b"RF64" | b"BW64" if header[12:16] == b"ds64":  # EBU Tech 3306, for more than 4 GB
            claimed = int.from_bytes(header[20:28], "little")
        case b"RIFF":
            claimed = int.from_bytes(header[4:8], "little")
        case b"RIFX":  # most significant byte first
            claimed = int.from_bytes(header[4:8])
        case _:
            return False
    return 0 < claimed <= size - 8


def _is_complete_ogg(file: Readable, size: int) -> bool:
    """A last page that ends the stream, or at least ends with the file (RFC 3533, section 6).

    Players need no end-of-stream mark and some writers leave none; a copy that was cut short
    hardly ever ends between two pages.
    """
    if _read(file, 0, 4) != b"OggS":  # a hole that will be filled later, or no Ogg at all
        return False
    for at, page in _pages_from_the_end(file, size):
        segments = page[27 : 27 + page[26]]
        end = at + 27 + len(segments) + sum(segments)
        if end <= size and len(segments) == page[26]:
            ends_stream = bool(page[5] & 4)
            return ends_stream or end == size
    return False


def _is_complete_matroska(file: Readable, size: int) -> bool:
    """A segment that ends within the file, or tells no size, as in a recording (RFC 8794, 6.2).

    Most writers leave the size unknown until all else is there.
    """
    header = element_in(_read(file, 0, HEADER), 0, 0, _ANYWHERE)
    if header is None or header.id != EBML:
        return False
    segment = element_in(_read(file, header.end, HEADER), 0, header.end, _ANYWHERE)
    if segment is None or segment.id != SEGMENT:
        return False
    return segment.end <= size if segment.is_sized else True


def _pages_from_the_end(file: Readable, size: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of what looks like a page's header and segment table, the last first."""
    tail = b""
    while (start := size - len(tail)) > max(size - OGG_PAGE, 0):
        step = min(OGG_STEP, start)
        before = _read(file, start - step, step)
        if len(before) < step:
            return  # it became shorter meanwhile
        tail = before + tail
        at = tail.rfind(b"OggS\0", 0, step + 4)
        while at >= 0:
            if at + 27 <= len(tail):
                yield size - len(tail) + at, tail[at : at + OGG_HEADER]
            at = tail.rfind(b"OggS\0", 0, at)


def _id3_size(header: bytes) -> int:
    """How long the ID3v2 tag is that some programs put before a FLAC stream (ID3v2.4.0, 3.1)."""
    if len(header) < 10 or header[:3] != b"ID3":
        return 0
    size = 0
    for byte in header[6:10]:
        size = size << 7 | byte & 0x7F
    has_footer = bool(header[5] & 0x10)
    return 10 + size + (10 if has_footer else 0)


def _read(file: Readable, at: int, length: int) -> bytes:
    """The bytes at an offset; fewer, or none, where the file ends before."""
    file.seek(at, os.SEEK_SET)
    return file.read(length)


_CHECKS: Final[dict[bytes, Callable[[Readable, int], bool]]] = {
    b".m4a": _is_complete_mp4,
    b".m4b": _is_complete_mp4,
    b".mp4": _is_complete_mp4,
    b".f4a": _is_complete_mp4,
    b".3ga": _is_complete_mp4,
    b".flac": _is_complete_flac,
    b".wav": _is_complete_riff,
    b".bwf": _is_complete_riff,
    b".ogg": _is_complete_ogg,
    b".oga": _is_complete_ogg,
    b".ogx": _is_complete_ogg,
    b".opus": _is_complete_ogg,
    b".mka": _is_complete_matroska,
    b".webm": _is_complete_matroska,
    b".weba": _is_complete_matroska,
}
"""The suffixes with a container. MP3 is a row of frames that may end after any of them."""
