"""A file of chunks (WAV, AIFF, DSDIFF, Wave64, CAF) or boxes (MP4) -> the share that is there.

By their sizes, and by where the outer boxes end (ISO/IEC 14496-12, 4.2). A size that was never
filled in says nothing, nor one that the size of the whole contradicts: some writers put the size of
the file, or one near 2**31, where that of the sound belongs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from indexer.tags.chunked.chunk_sizes import LAYOUTS, behind, is_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

CHUNKS_LIMIT: Final = 200
UNFILLED: Final = 0x7000_0000
"""Sizes of 32 bits from here on may be placeholders. A guess, below those of `chunk_sizes`."""
SLACK: Final = 128
"""Bytes that may be missing: headers that were counted as sound. A guess."""
MOST: Final = 1 << 62
CAF_NAMES: Final = frozenset(
    b"desc data kuki info free midi chan mark regn inst strg uuid umid ovvw peak edct pakt".split()
)
"""Names of chunks (Apple Core Audio Format); other bytes behind the sound state no size."""
BOXES_LIMIT: Final = 256
"""Maximum boxes; the fragments of a longer file are not followed. A guess."""
BOX_HEADER: Final = 16
NEEDED: Final = frozenset((b"mdat", b"moov", b"moof"))
"""Boxes whose end is missed. Others may be padding."""


class Chunk(NamedTuple):
    """A chunk as it is declared."""

    end: int
    """Offset behind it; 0: it is not known."""
    following: int
    """Offset of the next."""


def share_of_chunks(window: Window, begin: int) -> float | None:
    """See `extent.share_there`."""
    head = window.glance(begin, 24)
    match head[:4]:
        case b"riff":
            whole, chunks = int.from_bytes(head[16:24], "little"), _of_wave64(window, begin + 40)
        case b"caff":
            whole, chunks = MOST, _of_caf(window, begin + 8)
        case mark if mark in LAYOUTS:
            layout = LAYOUTS[mark]
            header = 4 + layout.width
            whole = begin + header + int.from_bytes(head[4:header], layout.order)
            if mark in {b"RF64", b"BW64"}:
                whole = _whole_of_rf64(window, begin + header + 4)
            chunks = _of_layout(window, begin + header + 4, mark)
        case _:
            return None
    for chunk in chunks:
        if not chunk.end:
            return None
        if chunk.end > window.size + SLACK:
            return window.size / chunk.end if chunk.end <= min(whole + 1, MOST) else None
    return None


def _whole_of_rf64(window: Window, at: int) -> int:
    """The end of a file whose size is in `ds64`, its first chunk (EBU Tech 3306, 3)."""
    head = window.glance(at, 16)
    size = int.from_bytes(head[8:], "little") if head.startswith(b"ds64") else 0
    return at - 4 + size if size else MOST


def _of_layout(window: Window, at: int, mark: bytes) -> Iterator[Chunk]:
    layout = LAYOUTS[mark]
    header_size = 4 + layout.width
    long = 0
    for _ in range(CHUNKS_LIMIT):
        header = window.glance(at, header_size)
        if len(header) < header_size:
            return
        size = int.from_bytes(header[4:], layout.order)
        begin = at + header_size
        if header[:4] == b"ds64":
            long = int.from_bytes(window.glance(begin + 8, 8), "little")
        is_sound = header[:4] in layout.sound
        if is_sound and long and size == 0xFFFF_FFFF:
            size = long
        elif is_sound and (size == 0 or (layout.width == 4 and size >= UNFILLED)):
            size = -1
        if size < 0 or not is_name(header[:4]):
            yield Chunk(0, 0)
            return
        at = behind(window, begin, size, layout)
        yield Chunk(begin + size, at)


def _of_wave64(window: Window, at: int) -> Iterator[Chunk]:
    """GUIDs of 16 bytes, sizes of 64 bits with the header, at multiples of 8."""
    for _ in range(CHUNKS_LIMIT):
        header = window.glance(at, 24)
        size = int.from_bytes(header[16:], "little")
        if len(header) < 24 or size <= 24:
            return
        yield Chunk(at + size, at + size + -size % 8)
        at += size + -size % 8


def _of_caf(window: Window, at: int) -> Iterator[Chunk]:
    """Names of 4 bytes, sizes of 64 bits, of which -1 is all the rest."""
    for _ in range(CHUNKS_LIMIT):
        header = window.glance(at, 12)
        size = int.from_bytes(header[4:])
        if header[:4] not in CAF_NAMES or not size or size >= MOST:
            return
        at += 12 + size
        yield Chunk(at, at)


def share_of_boxes(window: Window, begin: int) -> float | None:
    """See `extent.share_there`."""
    at = begin
    for _ in range(BOXES_LIMIT):
        header = window.glance(at, BOX_HEADER)
        if len(header) < 8:
            return None
        size = int.from_bytes(header[:4])
        if size == 1 and len(header) == BOX_HEADER:
            size = int.from_bytes(header[8:])
        if size < 8 or not header[4:8].isalnum():
            return None
        at += size
        if at > window.size:
            return window.size / at if header[4:8] in NEEDED and at < 1 << 62 else None
    return None
