"""A FLAC or Ogg file -> the share that is there, by its last frame or page.

FLAC: the share of its samples, by the number of its last frame. How many bytes it should have is
told nowhere, since compression varies. Each frame has its number, or that of its first sample, with
a checksum (RFC 9639, 9.1). One frame at the end that reaches the announced total shows that the
file is whole; two with consecutive numbers, that it is not.

Ogg: the largest share that can be there, where the file ends within a page. How long it should be
is told nowhere. A stream that was recorded, or joined to another, may lack the flag of its end, but
its pages are whole; one that was cut ends within a page (RFC 3533, 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from indexer.tags.plausible import MOST_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

STREAM_INFO: Final = 42
LEAST = 2 * 1024
USUAL = 16 * 1024
MOST = 192 * 1024
"""Bytes at the end that are searched: fewest, without a largest frame, and where it is not proved
to be whole. The last is a guess: two frames of eight channels."""
HEADER: Final = 16
"""Bytes of the longest frame header, with its checksum."""
MARKS: Final = (b"\xff\xf8", b"\xff\xf9")
"""Beginnings of frames with their own numbers, and with those of samples."""
MOST_WHOLE: Final = 1 << 36
"""Maximum bytes of a whole FLAC file; if it would be larger, its number of samples is wrong. A
guess: a week of a compact disc's sound."""
CANDIDATES: Final = 1000
BITS: Final = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
"""Code -> bits of a sample; 0 is the stream's own (RFC 9639, 9.1.4)."""
PAGE_HEADER: Final = 27
PAGE_REACHES: Final = (4 * 1024, 66 * 1024)
"""Bytes at the end in which the last page is searched. The largest page has 65 307."""


class Frame(NamedTuple):
    """A frame whose header has the right checksum."""

    first: int
    """Samples before it."""
    end: int
    """Samples up to its end."""


class _Stream(NamedTuple):
    block: int
    """Samples of each frame; 0: they vary."""
    total: int
    bits: int
    channels: int
    rate: int


def share_of_flac(window: Window, begin: int) -> float | None:
    """See `extent.share_there`."""
    info = window.glance(begin, STREAM_INFO)
    if len(info) < STREAM_INFO or info[4] & 0x7F:
        return None
    stream = _stream_of(info)
    if not 0 < stream.total <= MOST_S * stream.rate:
        return None
    longest = int.from_bytes(info[15:18])
    reach = min(max(longest + HEADER, LEAST), MOST) if longest else USUAL
    if any(frame.end >= stream.total for frame in _frames(_tail(window, reach), stream)):
        return None  # nearly always by the first frame that is looked at
    found = list(_frames(_tail(window, MOST), stream))
    if any(frame.end >= stream.total for frame in found):
        return None
    last = _last_of(found, is_whole=window.size - begin <= MOST)
    if last is None:
        return _before_sound(window, begin)
    would_have = window.size * stream.total // max(last.end, 1)
    return None if would_have > MOST_WHOLE else last.first / stream.total


def sound_without_count(window: Window) -> tuple[float, int]:
    """Seconds of a FLAC file that does not count its samples, and bytes of sound; zeros if unknown.

    A program that writes to a pipe cannot count them.
    """
    info = window.glance(0, STREAM_INFO)
    if len(info) < STREAM_INFO or info[:4] != b"fLaC" or info[4] & 0x7F:
        return 0.0, 0
    stream = _stream_of(info)
    if stream.total or not stream.rate:
        return 0.0, 0
    found = list(_frames(_tail(window, MOST), stream._replace(total=MOST_S * stream.rate)))
    last = _last_of(found, is_whole=window.size <= MOST)
    begin = _first_frame(window, 0)
    return (last.end / stream.rate, window.size - begin) if last and begin else (0.0, 0)


def _stream_of(info: bytes) -> _Stream:
    """What the beginning of a file with its STREAMINFO tells (RFC 9639, 8.2)."""
    least, largest = int.from_bytes(info[8:10]), int.from_bytes(info[10:12])
    numbers = int.from_bytes(info[18:26])
    return _Stream(
        block=largest if least == largest else 0,
        total=numbers & 0xF_FFFF_FFFF,
        bits=(numbers >> 36 & 31) + 1,
        channels=(numbers >> 41 & 7) + 1,
        rate=numbers >> 44,
    )


def _last_of(found: list[Frame], *, is_whole: bool) -> Frame | None:
    """The last frame that begins where another one ends; `is_whole`: or where the sound begins."""
    ends = {frame.end for frame in found}
    if is_whole:
        ends.add(0)  # of what is before the first frame
    return max((frame for frame in found if frame.first in ends), default=None)


def _before_sound(window: Window, begin: int) -> float | None:
    """0 where the file ends in its metadata, whose sizes are stated."""
    first = _first_frame(window, begin)
    return 0.0 if first is not None and first >= window.size else None


def _first_frame(window: Window, begin: int) -> int | None:
    """Where the metadata ends, by its sizes; beyond the end of the file if that is cut off."""
    at = begin + 4
    for _ in range(100):
        header = window.glance(at, 4)
        if len(header) < 4:
            return at + 4
        at += 4 + int.from_bytes(header[1:])
        if header[0] & 0x80:
            return at
    return None


def _tail(window: Window, reach: int) -> bytes:
    size = min(reach, window.size)
    return window.glance(window.size - size, size)


def _frames(block: bytes, stream: _Stream) -> Iterator[Frame]:
    """The frames that begin in a block, the last ones first."""
    for mark in MARKS:
        at = len(block)
        for _ in range(CANDIDATES):
            at = block.rfind(mark, 0, at + 1)
            if at < 0:
                break
            frame = _frame(block[at : at + HEADER], stream)
            if frame is not None:
                yield frame


def _frame(header: bytes, stream: _Stream) -> Frame | None:
    """The frame with this header; None if it is none of the stream's."""
    if len(header) < 6:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    channel_code, bits_code = header[3] >> 4, header[3] >> 1 & 7
    channels = channel_code + 1 if channel_code < 8 else 2
    if not size_code or rate_code == 15 or channel_code > 10 or header[3] & 1:
        return None
    if channels != stream.channels or BITS.get(bits_code, stream.bits) != stream.bits:
        return None
    number, at = _number(header)
    if at == 0:
        return None
    at += 1 if size_code == 6 else 2 if size_code == 7 else 0
    size = _block_size(size_code, header[at - 2 : at])
    at += 1 if rate_code == 12 else 2 if rate_code in {13, 14} else 0
    if at >= len(header) or _crc8(header[:at]) != header[at]:
        return None
    first = number if header[1] & 1 else number * (stream.block or size)
    return Frame(first, first + size) if first <= stream.total else None


def _number(header: bytes) -> tuple[int, int]:
    """The coded number, and the offset behind it, which is 0 if it is none (RFC 9639, 9.1.5)."""
    lead = header[4]
    if lead < 0x80:
        return lead, 5
    ones = 8 - (lead ^ 0xFF).bit_length()
    if ones in {1, 8} or len(header) < 4 + ones:
        return 0, 0
    number = lead & (0x7F >> ones)
    for byte in header[5 : 4 + ones]:
        if byte & 0xC0 != 0x80:
            return 0, 0
        number = number << 6 | byte & 0x3F
    return number, 4 + ones


def _block_size(code: int, code_bytes: bytes) -> int:
    """Samples of a frame (RFC 9639, 9.1.1); `code_bytes` are the two bytes before what follows."""
    if code == 1:
        return 192
    if code <= 5:
        return 144 << code
    if code == 6:
        return code_bytes[1] + 1
    if code == 7:
        return int.from_bytes(code_bytes) + 1
    return 1 << code


def _crc8(content: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1 (RFC 9639, 9.1.8)."""
    value = 0
    for byte in content:
        value = CRC_8[value ^ byte]
    return value


def _crc_8_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1 ^ 0x07 if byte & 0x80 else byte << 1) & 0xFF
    return byte


CRC_8: Final = bytes(map(_crc_8_of, range(256)))


def share_of_ogg(window: Window, begin: int) -> float | None:
    """See `extent.share_there`: what it gives is never too small."""
    for reach in PAGE_REACHES:
        size = min(reach, window.size - begin)
        tail = window.glance(window.size - size, size)
        at = tail.rfind(b"OggS\0")
        if at >= 0:
            return _of_last_page(window.size, tail[at:])
    return None


def _of_last_page(size: int, page: bytes) -> float | None:
    """`page` is from the beginning of the last page to the end of the file."""
    if len(page) < PAGE_HEADER:
        return size / (size + 1)
    lacing = page[PAGE_HEADER : PAGE_HEADER + page[PAGE_HEADER - 1]]
    if len(lacing) < page[PAGE_HEADER - 1]:
        return size / (size + 1)
    missing = PAGE_HEADER + len(lacing) + sum(lacing) - len(page)
    return size / (size + missing) if missing > 0 else None
