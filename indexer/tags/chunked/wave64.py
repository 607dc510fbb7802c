"""A Sony Wave64 file -> its track: the format of WAV, and the texts of a summary list.

It is RIFF with GUIDs for names and sizes of 64 bits, which count the header (24 bytes) too; chunks
begin at multiples of 8. Sources: Sony Pictures Digital, "Wave64 file format" (2003); for the list
of texts ffmpeg's demuxer, since that paper gives its GUID alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags import columns
from indexer.tags.chunked import broadcast
from indexer.tags.chunked.chunk_sizes import RIFF as RIFF_LAYOUT
from indexer.tags.chunked.chunk_sizes import TEXT_LIMIT
from indexer.tags.chunked.wave_aiff import INFO, OTHER_INFO, column_of_other
from indexer.tags.chunked.wave_format import wave_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.model import Track
    from indexer.tags.chunked.chunk_sizes import Chunk
    from indexer.tags.window import Window

OF_WAVE: Final = bytes.fromhex("f3acd3118cd100c04f8edb8a")
RIFF: Final = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
WAVE: Final = b"wave" + OF_WAVE
DATA: Final = b"data" + OF_WAVE
SUMMARY: Final = bytes.fromhex("bc945f925a52d21186dc00c04f8edb8a")

HEADER: Final = 24
"""Bytes of a chunk's GUID and its size."""
FIRST: Final = HEADER + 16
"""Offset of the first chunk, behind the GUID of the type."""
CHUNKS_LIMIT: Final = 1000
"""Maximum chunks, and maximum texts, read in one file. A guess."""


def read(window: Window, _suffix: bytes) -> Track:
    """Raises ValueError for any other file, and for one without a format."""
    if window.peek(0, 16) != RIFF or window.peek(HEADER, 16) != WAVE:
        raise ValueError("no Wave64 file")
    found: list[Chunk] = []
    values: columns.Values = {}
    others: columns.Values = {}
    for name, begin, size in _chunks(window):
        if name == SUMMARY:
            _read_summary(window, begin, begin + size, (values, others))
        elif name.endswith(OF_WAVE):
            found.append((name[:4], begin, size))
    codec, stream = wave_stream(window, RIFF_LAYOUT, found)
    whole = columns.filled(values, others, broadcast.texts_of(window, found))
    return columns.track(codec, stream, whole, lossless=codec == "pcm")


def _chunks(window: Window) -> Iterator[tuple[bytes, int, int]]:
    """GUID, offset and size of each content; sound whose size was not filled in is all the rest."""
    at = FIRST
    for _ in range(CHUNKS_LIMIT):
        header = window.glance(at, HEADER)
        if len(header) < HEADER:
            return
        name = header[:16]
        size = int.from_bytes(header[16:], "little")
        begin = at + HEADER
        if name == DATA and size <= HEADER:
            size = window.size - at
        if size < HEADER:
            return
        if name == DATA:
            window.sound = [(begin, min(at + size, window.size))]
        yield name, begin, min(size - HEADER, window.size - begin)
        at += size + -size % 8


def _read_summary(
    window: Window, at: int, end: int, columns_: tuple[columns.Values, columns.Values]
) -> None:
    """A number of texts: each with a key of RIFF INFO, its size in bytes, and UTF-16."""
    count = int.from_bytes(window.peek(at, 4), "little")
    at += 4
    for _ in range(min(count, CHUNKS_LIMIT)):
        head = window.peek(at, 8)
        size = int.from_bytes(head[4:], "little")
        at += 8
        if len(head) < 8 or at + size > end:
            return
        for names, values in zip((INFO, OTHER_INFO), columns_, strict=True):
            if head[:4] in names:
                text = window.peek(at, min(size, TEXT_LIMIT)).decode("utf-16-le", "replace")
                values.setdefault(names[head[:4]], []).append(text.partition("\0")[0])
        column = column_of_other(head[:4], window.keep)
        if column is not None:
            text = window.peek(at, min(size, TEXT_LIMIT)).decode("utf-16-le", "replace")
            columns_[0].setdefault(column, []).append(text.partition("\0")[0])
        at += size
