"""A file of chunks -> its chunks, with sizes that the file bears out, and texts in them.

A program that writes to a pipe, or that crashed, leaves sizes that it meant to fill in at the end:
0, the largest number, or one near 2**31. The size of the whole (RIFF, FORM, FRM8) is not needed at
all: chunks are followed to the end of the file, since some taggers do not raise it either.

Sources: EBU Tech 3306 (RF64); ITU-R BS.2088 (BW64); Multimedia Programming Interface and Data
Specifications 1.0 (RIFX); DSDIFF 1.5.
"""

from __future__ import annotations

from codecs import utf_8_decode
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

CHUNKS_LIMIT = 1000
"""Maximum chunks read in one file or list: a damaged file may hold only empty chunks. A guess."""

UNFILLED: Final = 0x7FFF_F000
"""Sizes of 32 bits from here on may be placeholders. SoX writes this one, others 2**31 - 1 less
their headers, or 2**32 - 1."""

TEXT_LIMIT: Final = 64 * 1024
"""Maximum bytes read of one text. A guess; fewer are kept of a comment."""

ROW: Final = 16
"""Chunks that follow each other without a fault and are taken for real ones. A guess."""


class Layout(NamedTuple):
    """How the header of a chunk is written, and which chunk has the sound."""

    order: Literal["little", "big"]
    width: int
    """Bytes of a size."""
    sound: tuple[bytes, ...]


RIFF: Final = Layout("little", 4, (b"data",))
LAYOUTS: Final = {
    b"RIFF": RIFF,
    b"RF64": RIFF,
    b"BW64": RIFF,
    b"RIFX": RIFF._replace(order="big"),
    b"FORM": Layout("big", 4, (b"SSND",)),
    b"FRM8": Layout("big", 8, (b"DSD ", b"DST ")),
}
"""The first four bytes of a file -> its layout."""

Chunk = tuple[bytes, int, int]
"""Name, offset of the content, and its size."""


def chunks(window: Window, at: int, end: int, layout: Layout) -> Iterator[Chunk]:
    """The first chunks of a list or another chunk; `end` may truncate the last."""
    return islice(_every_chunk(window, at, end, layout._replace(sound=())), CHUNKS_LIMIT)


def chunks_of(window: Window, layout: Layout) -> list[Chunk]:
    """The chunks of the whole file; sound whose size is wrong goes on to the file's end."""
    every = _every_chunk(window, 8 + layout.width, window.size, layout)
    return list(islice(every, CHUNKS_LIMIT))


def first(found: list[Chunk], *names: bytes) -> tuple[int, int] | None:
    """Offset and size of the first chunk that has one of these names."""
    return next(((begin, size) for name, begin, size in found if name in names), None)


def _every_chunk(window: Window, at: int, end: int, layout: Layout) -> Iterator[Chunk]:
    end = min(end, window.size)
    header_size = 4 + layout.width
    long: int | None = None
    while at + header_size <= end:
        header = window.peek(at, header_size)
        name = header[:4]
        begin = at + header_size
        size = int.from_bytes(header[4:], layout.order)
        if name in layout.sound:
            size = _sound_size(window, (name, begin, size), layout, long)
            window.sound = [(begin, min(begin + size, end))]
        elif name == b"ds64":
            long = int.from_bytes(window.peek(begin + 8, 8), "little")
        yield name, begin, min(size, end - begin)
        at = behind(window, begin, size, layout)


def text_at(window: Window, at: int, size: int) -> bytes:
    """A text in a chunk, up to its NUL; its encoding is not declared (`code_pages.decoded`)."""
    content = window.peek(at, min(size, TEXT_LIMIT))
    text, nul, _ = content.partition(b"\0")
    if not nul and len(content) == TEXT_LIMIT:
        is_last = False
        with suppress(UnicodeDecodeError):
            return text[: utf_8_decode(text, "strict", is_last)[1]]  # whole characters
    return text


def behind(window: Window, begin: int, size: int, layout: Layout) -> int:
    """Where the chunk begins that follows one with `size` bytes of content from `begin` on.

    An odd size is padded with a NUL, which some writers leave out. It is taken to be there unless
    the header of a chunk that fits into the file is found in its place, and none behind it.
    """
    end = begin + size
    if size % 2 == 0:
        return end
    found = window.glance(end, 4 + layout.width + 1)
    if found[:1] == b"\0" or _is_header(window, end + 1, found[1:], layout):
        return end + 1
    return end if _is_header(window, end, found[:-1], layout) else end + 1


def _is_header(window: Window, at: int, header: bytes, layout: Layout) -> bool:
    """Whether these bytes at an offset are a name and a size that the file has room for."""
    size = int.from_bytes(header[4:], layout.order)
    is_whole = len(header) == 4 + layout.width and at + len(header) + size <= window.size
    return is_whole and is_name(header[:4])


def is_name(name: bytes) -> bool:
    """Whether all of these bytes can be printed."""
    return all(0x20 <= byte < 0x7F for byte in name)


def _sound_size(window: Window, chunk: Chunk, layout: Layout, long: int | None) -> int:
    """The size of the sound in a chunk as it is declared; `long` is its size of 64 bits.

    A size that may never have been filled in is believed if chunks follow the sound up to the
    file's end, as in a file that really holds none. (Not that of DST, which consists of chunks.)
    """
    name, begin, size = chunk
    left = window.size - begin
    if long is not None and size == 0xFFFF_FFFF:
        size = long
        may_be_unfilled = size == 0
    else:
        may_be_unfilled = size == 0 or (layout.width == 4 and size >= UNFILLED)
    if size > left:
        return left
    if may_be_unfilled and (
        name == b"DST " or not _is_row(window, behind(window, begin, size, layout), layout)
    ):
        return left
    return size


def _is_row(window: Window, at: int, layout: Layout) -> bool:
    """Whether chunks with names that can be printed follow each other up to the file's end."""
    header_size = 4 + layout.width
    for _ in range(ROW):
        if at + header_size > window.size:
            return at <= window.size + 1  # the last may lack its padding
        header = window.glance(at, header_size)
        if not is_name(header[:4]):
            return False
        at = behind(window, at + header_size, int.from_bytes(header[4:], layout.order), layout)
    return True
