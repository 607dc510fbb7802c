"""The head of a FLAC file -> its stream info and comments, if its blocks are regular.

mutagen makes an object of each block and reads each number by itself, 120 us a file where this
takes 13 (mutagen 1.48). So regular blocks are read here, and pictures and padding are skipped. For
anything else (wrong sizes, a second list of comments, an ID3 tag at the head) the result is None,
and mutagen reads the file. A result equals mutagen's; a property test compares both.

Source: RFC 9639, 8 (metadata blocks).
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING

import msgspec

from indexer.tags.vorbis.comments import Comments, read_comments, together

if TYPE_CHECKING:
    from indexer.tags.window import Window

STREAM_INFO, SEEK_TABLE, COMMENTS, CUE_SHEET, PICTURE = 0, 3, 4, 5, 6
ONCE = frozenset({STREAM_INFO, SEEK_TABLE, COMMENTS, CUE_SHEET})
"""Blocks that may occur once: a second one is an error, or is not supported here."""
LAST = 0x80
"""Flag in a block's header: the last block, followed by audio."""
HEADER_SIZE = 4
STREAM_INFO_SIZE = 34
COMMENTS_LIMIT = 2**20
"""Maximum bytes of comments read here. A guess: more means that they contain a picture."""
PICTURE_HEAD = 8 + 256 + 4 + 256 + 20
"""Bytes of a picture block before its picture, with MIME type and description of usual length."""
LINK = b"-->"
"""MIME type of a picture that is elsewhere (RFC 9639, 8.8)."""
BLOCKS_LIMIT = 100
"""Maximum blocks. A guess: a file has six."""

_block_header = Struct(">I").unpack_from
_stream = Struct(">10xQ16x").unpack_from


class Stream(msgspec.Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: int
    sample_rate: int
    channels: int
    bits_per_sample: int


class Flac(msgspec.Struct):
    """The metadata of a FLAC file."""

    stream: Stream
    comments: Comments
    has_picture: bool


class NotPlain(Exception):
    """The data is unusual and must be read by mutagen."""


def plain_flac(window: Window) -> Flac | None:
    """The blocks of a FLAC file and its comments, or None if mutagen must read it."""
    try:
        return _walk(window)
    except (NotPlain, error):
        return None


def _walk(window: Window) -> Flac:  # noqa: C901, PLR0912 - one walk
    at = HEADER_SIZE + HEADER_SIZE + STREAM_INFO_SIZE
    block, _ = window.hold(0, at)
    reach = len(block)
    if reach < at or block[:4] != b"fLaC" or block[4] & ~LAST or block[5:8] != b"\0\0\x22":
        raise NotPlain
    (numbers,) = _stream(block, 8)
    seen = {STREAM_INFO}
    comments = None
    has_picture = False
    last = block[4] & LAST
    for _ in range(BLOCKS_LIMIT):
        if last:
            stream = _stream_of(numbers, window.size - at)
            return Flac(stream, comments or together(()), has_picture)
        begin = at + HEADER_SIZE
        if begin <= reach:
            (header,) = _block_header(block, at)
        else:
            (header,) = _block_header(window.glance(at, HEADER_SIZE))
        last = header >> 31
        code = header >> 24 & 0x7F
        size = header & 0xFFFFFF
        at = begin + size
        if at > window.size:
            raise NotPlain
        if code in ONCE:
            if code in seen:
                raise NotPlain
            seen.add(code)
        if code == COMMENTS:
            if size > COMMENTS_LIMIT:
                raise NotPlain
            content = block[begin:at] if at <= reach else window.peek(begin, size)
            comments, end = read_comments(content, window.keep)
            if end != size:
                raise NotPlain
        elif code == PICTURE:
            size = min(size, PICTURE_HEAD)
            head = block[begin : begin + size]
            if len(head) < size:
                head = window.peek(begin, size)
            has_picture |= picture_size(head, at - begin) > 0
    raise NotPlain


def stream_of(block: bytes) -> Stream | None:
    """The stream that this block of stream info describes, without its bit rate."""
    try:
        return _stream_of(_stream(block)[0], 0)
    except NotPlain:
        return None


def _stream_of(numbers: int, sound_size: int) -> Stream:
    """Bits: 20 sample rate, 3 channels minus one, 5 bits per sample minus one, 36 samples."""
    sample_rate = numbers >> 44
    if not sample_rate:
        raise NotPlain
    length = (numbers & 0xFFFFFFFFF) / float(sample_rate)
    bitrate = int(float(sound_size) * 8 / length) if length else 0
    channels, depth = (numbers >> 41 & 7) + 1, (numbers >> 36 & 31) + 1
    return Stream(length, bitrate, sample_rate, channels, depth)


def picture_size(head: bytes, size: int) -> int:
    """Bytes of picture in a block of `size` bytes that begins with `head`; none for a link."""
    at = 8 + int.from_bytes(head[4:8])
    is_link = head[8:at] == LINK
    at += 4 + int.from_bytes(head[at : at + 4])
    at += 16
    if at + 4 > len(head):
        raise NotPlain
    picture_size = int.from_bytes(head[at : at + 4])
    if at + 4 + picture_size != size:
        raise NotPlain
    return 0 if is_link else picture_size
