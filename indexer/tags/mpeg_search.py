"""MPEG audio that does not begin where its tag ends, or of a free bit rate -> its stream info.

A single header proves little: in arbitrary bytes two bytes in 4000 look like one. So a row of
frames is asked for, each of which begins where the one before ends, and agrees with it in
version, layer and sample rate, which do not change within a stream (ISO 11172-3, 2.4.2.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from indexer.tags.fast import mpeg_frames
from indexer.tags.fast.mpeg_frames import Stream
from indexer.tags.fast.mpeg_header import frame_of
from indexer.tags.window import end_of_sound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.fast.mpeg_header import Frame
    from indexer.tags.window import Window

REACH = 2**20
"""Bytes in which the first frame is searched, as in mutagen."""
BLOCK = 2**16
CANDIDATES_LIMIT = 5000
"""Maximum headers that are followed. A guess: random bytes hold 1300 in `REACH`."""
FREE_CANDIDATES_LIMIT = 300
"""Maximum headers of free bit rate; for each, 32 KB are read."""

ENOUGH_AT_ONCE, ENOUGH_BEHIND = 2, 3
"""Consecutive frames that are asked for where the tag ends, and behind other bytes."""
ENOUGH_FREE = 3
"""Frames behind one of a free bit rate that are as long: its header does not state the length."""

SAME = 0xFFFE_0C00
"""Bits of a header that are the same in a whole stream: sync, version, layer and sample rate."""
SAME_FREE = SAME | 0xF000
"""With the index of the bit rate, which is 0 in each frame of a free one."""
PADDED = 0x200
FREE_SHORTEST, FREE_LONGEST = 24, 8192
"""Bytes of a frame of free bit rate. A guess: 640 kbit/s, LAME's limit, take 5760 at 8000 Hz."""
FREE_TRIES = 100
"""Maximum distances that are tried as the length of a frame. A guess."""

TAGS_BEHIND = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")
"""Beginnings of what follows the last frame."""

_RATES = bytes(byte for byte in range(256) if byte >> 4 != 15 and byte >> 2 & 3 != 3)
_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][" + re.escape(_RATES) + rb"].", re.DOTALL)
"""Eleven bits, a version and a layer that exist, and rates that do."""


def find(window: Window, begin: int) -> int | None:
    """The offset of the first frame at `begin` or up to `REACH` bytes behind it."""
    for at in _syncs(window, begin):
        first = _first_in_row(window, at, ENOUGH_AT_ONCE if at == begin else ENOUGH_BEHIND)
        if first is not None:
            return first
    return None


def is_mpeg(window: Window, begin: int) -> bool:
    """Whether frames of MPEG audio begin at this very place."""
    return _first_in_row(window, begin, ENOUGH_BEHIND) is not None


def stream_at(window: Window, at: int) -> Stream | None:
    """The stream whose first frame is at `at`; None if its VBRI header must be read by mutagen."""
    header = window.peek(at, 4)
    frame = frame_of(header) or _free_frame(window, at)
    if frame is None:
        return None
    mark = window.peek(at + frame.xing_at, 4) if frame.xing_at else b""
    if mark in mpeg_frames.XING_MARKS:
        head = window.peek(at, mpeg_frames.XING_REACH)
        return mpeg_frames.counted(window, at, head.ljust(mpeg_frames.XING_REACH, b"\0"), frame)
    if _has_vbri(window, at):
        return None
    plain = mpeg_frames.stream(window, at)  # of several bit rates, too
    if plain is not None:
        return plain
    length = 8 * (end_of_sound(window) - at) / frame.bitrate
    return Stream(length, frame.bitrate, frame.sample_rate, frame.channels, frame.layer)


def _syncs(window: Window, begin: int) -> Iterator[int]:
    """Offsets at which a frame header may begin."""
    end = min(window.size, begin + REACH)
    left, free_left = CANDIDATES_LIMIT, FREE_CANDIDATES_LIMIT
    for start in range(begin, end, BLOCK):
        block = window.peek(start, min(BLOCK + 3, window.size - start))
        at = 0
        while (sync := _SYNC.search(block, at)) is not None:
            at = sync.start() + 1
            if frame_of(sync[0]) is None:
                if not free_left:
                    continue
                free_left -= 1
            yield start + sync.start()
            left -= 1
            if not left:
                return


def _first_in_row(window: Window, at: int, enough: int) -> int | None:
    """The first frame of a row that begins at `at`; None if no such row does.

    It is a later one of them if that has a Xing or VBRI header. A row that reaches the tags
    behind the sound, or the end, may have two frames only.
    """
    header = window.peek(at, 4)
    frame = frame_of(header)
    if frame is None:
        return at if _free_frame(window, at) is not None else None
    same, place = int.from_bytes(header) & SAME, at
    for count in range(1, enough + 1):
        if _has_count(window, place, frame):
            return place
        if count == enough:
            break
        place += frame.size
        header = window.peek(place, 4)
        if count > 1 and (len(header) < 4 or header.startswith(TAGS_BEHIND)):
            break
        frame = frame_of(header)
        if frame is None or int.from_bytes(header) & SAME != same:
            return None
    return at


def _has_count(window: Window, at: int, frame: Frame) -> bool:
    """Whether the frame holds no sound but the count of all frames."""
    if not frame.xing_at:
        return False
    return window.peek(at + frame.xing_at, 4) in mpeg_frames.XING_MARKS or _has_vbri(window, at)


def _has_vbri(window: Window, at: int) -> bool:
    return window.peek(at + mpeg_frames.VBRI_AT, 4) == b"VBRI"


def _is_free(header: bytes) -> bool:
    """Whether the header is valid but for the index of its bit rate, which is 0."""
    return not header[2] & 0xF0 and frame_of(_with_rate(header)) is not None


def _with_rate(header: bytes) -> bytes:
    return bytes([*header[:2], header[2] | 0x10, header[3]])


def _free_frame(window: Window, at: int) -> Frame | None:
    """The frame of a free bit rate at `at`, as long as the distances of the next ones agree.

    All frames are of this length, but for the padding of some (ISO 11172-3, 2.4.2.3: "fixed").
    """
    block = window.peek(at, (ENOUGH_FREE + 1) * FREE_LONGEST)
    header = block[:4]
    if len(header) < 4 or not _is_free(header):
        return None
    model = frame_of(_with_rate(header))
    if model is None:
        return None
    slot = 4 if model.layer == 1 else 1
    tries = 0
    following = block.find(header[:2], FREE_SHORTEST)
    while 0 < following <= FREE_LONGEST and tries < FREE_TRIES:
        tries += 1
        size = following - _padding(header, slot)
        if _are_alike(block, following, size, slot):
            bitrate = round(8 * size * model.sample_rate / model.samples)
            return replace(model, bitrate=bitrate, size=following)
        following = block.find(header[:2], following + 1)
    return None


def _are_alike(block: bytes, at: int, size: int, slot: int) -> bool:
    """Whether the frame at `at`, and those behind it, are like the first of the block."""
    same = int.from_bytes(block[:4]) & SAME_FREE
    for _ in range(ENOUGH_FREE):
        header = block[at : at + 4]
        if int.from_bytes(header) & SAME_FREE != same:
            return False
        at += size + _padding(header, slot)
    return True


def _padding(header: bytes, slot: int) -> int:
    return slot if int.from_bytes(header) & PADDED else 0
