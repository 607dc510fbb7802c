"""The first frames of MPEG audio -> stream info (length, bit rate ...), in the common cases.

mutagen's `MPEGInfo` reads each header bit by bit, 60 us a file where this takes 3 (mutagen 1.48).
So the common case is read here: a frame directly after the tag that holds a Xing or Info header, or
is followed by three more. In all other cases the result is None, and mutagen reads the file. A
result equals mutagen's, except where the bit rate varies and no header counts the frames: mutagen
takes the first frame's for that of all. A property test compares both.

Sources: the Xing header as in Xing's `dxhead.c`, the LAME tag as in
gabriel.mp3-tech.org/mp3infotag.html.
"""

from __future__ import annotations

import re
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

import msgspec

from indexer.remembered import forget_by
from indexer.tags.fast.mpeg_header import Frame, frame_of, measured
from indexer.tags.window import end_of_sound

if TYPE_CHECKING:
    from indexer.tags.window import Window


ENOUGH_FRAMES = 4
"""Consecutive frames that prove MPEG audio, as in mutagen."""
LAME_VERSION = re.compile(rb"(?=LAME|L3\.99)[EMAL]*+([0-9])\.*+([0-9]++)")
"""`LAME3.100`, or `L3.99` as in some builds."""
XING_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))
"""Flags of a Xing header and the bytes of each field: frames, bytes, seek table, quality."""
XING_LENGTH = sum(width for _, width in XING_FIELDS)
XING_REACH = 36 + 8 + XING_LENGTH + 20 + 27
"""Bytes from the frame's beginning to the end of the longest Xing header with its LAME tag."""
FRAMES_REACH = ENOUGH_FRAMES * 1730 + 40
"""Maximum bytes of four frames (layer II, 384 kbit/s, 32 000 Hz: 1728 each)."""
VBRI_AT = 36
END_REACH = 4 * 1024
"""Bytes at the file's end whose bit rates are compared with the first. A guess: four frames."""
END_SYNCS = 16
"""Places there at which a frame is looked for. A guess."""
XING_MARKS = (b"Xing", b"Info")
UNFILLED = bytes.fromhex("0000 000F 0000 0000")
"""The flags of all fields and a count of 0: ffmpeg writes them ahead, and was killed."""

_xing_header = Struct(">3I").unpack_from
"""Flags, frames and bytes; each of the last two is present only if its flag is set."""


class Stream(msgspec.Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: int
    sample_rate: int
    channels: int
    layer: int


def stream(window: Window, begin: int) -> Stream | None:
    """The stream that begins at `begin`, or None if mutagen must search for it."""
    head = window.glance(begin, XING_REACH)
    if len(head) < XING_REACH:
        return None
    frame = frame_of(head[:4])
    if frame is None:
        return None
    size = window.size - begin
    at = frame.xing_at
    if at and head[at : at + 4] in XING_MARKS:  # nearly always
        window.sound = [(begin + frame.size, window.size)]
        window.is_bare = True
        window.is_measured = announced_size(head, frame) <= size
        if head[at + 7] & 1:  # nearly always
            stated = stream_by_xing(head, frame, size)
            if stated.length:
                return stated
        return counted(window, begin, head, frame)
    window.sound = [(begin + (frame.size if is_no_sound(head, frame) else 0), window.size)]
    window.is_bare = True
    if at and head[VBRI_AT : VBRI_AT + 4] == b"VBRI":
        return None
    return _uncounted(window, begin)


def counted(window: Window, begin: int, head: bytes, frame: Frame) -> Stream:
    """The stream of a first frame with a Xing header; `head` has `XING_REACH` bytes of it."""
    has_count = head[frame.xing_at + 7] & 1
    end = window.size if has_count else end_of_sound(window)
    stated = stream_by_xing(head, frame, end - begin)
    if head[frame.xing_at + 4 : frame.xing_at + 12] != UNFILLED:
        return stated
    return _uncounted(window, begin + frame.size) or stated


def _uncounted(window: Window, begin: int) -> Stream | None:
    """The stream whose first frame has no count of all; None if too few frames follow it."""
    block, start = window.hold(begin, FRAMES_REACH)
    frame = frame_of(block[begin - start : begin - start + 4])
    if frame is None:
        return None
    window.is_measured = True
    end = end_of_sound(window)
    info = _constant(block, begin - start, frame, end - begin)
    if info is not None and not is_steady(window, block[begin - start :], frame, end):
        info.length, bitrate = measured(window, begin, end, frame)
        info.bitrate = round(bitrate)
    return info


def announced_size(head: bytes, frame: Frame) -> int:
    """Bytes of sound with the first frame, as its Xing or VBRI header says; 0 if none says it.

    `head` has at least `VBRI_AT + 16` bytes.
    """
    at = frame.xing_at
    if at and head[at : at + 4] in XING_MARKS:
        flags = head[at + 7]
        at += 8 + 4 * (flags & 1)
        return int.from_bytes(head[at : at + 4]) if flags & 2 else 0
    if head[VBRI_AT : VBRI_AT + 4] == b"VBRI":  # version, delay and quality, of two bytes each
        return int.from_bytes(head[VBRI_AT + 10 : VBRI_AT + 14])
    return 0


def is_no_sound(head: bytes, frame: Frame) -> bool:
    """Whether a frame holds the counts of all others (Xing, Info, VBRI), which remuxers renew."""
    at = frame.xing_at
    return at > 0 and (head[at : at + 4] in XING_MARKS or head[VBRI_AT : VBRI_AT + 4] == b"VBRI")


def is_steady(window: Window, block: bytes, first: Frame, sound_end: int) -> bool:
    """Whether the frames in this block have one bit rate, and those up to the end of the sound.

    Music often begins with silence, which takes a low bit rate.
    """
    if not _is_alike(block, 0, first):
        return False
    begin = max(sound_end - END_REACH, 0)
    end = window.glance(begin, sound_end - begin)
    mark = block[:2]
    at = end.find(mark)
    for _ in range(END_SYNCS):
        if at < 0:
            break
        frame = frame_of(end[at : at + 4])
        if frame is not None and frame.sample_rate == first.sample_rate:
            following = frame_of(end[at + frame.size : at + frame.size + 4])
            if following is not None and following.sample_rate == first.sample_rate:
                return _is_alike(end, at, first)
        at = end.find(mark, at + 1)
    return True


def _is_alike(block: bytes, at: int, first: Frame) -> bool:
    while (frame := frame_of(block[at : at + 4])) is not None:
        if frame.bitrate != first.bitrate:
            return False
        at += frame.size
    return True


def _constant(block: bytes, at: int, first: Frame, sound_size: int) -> Stream | None:
    """A stream of constant bit rate, if as many frames follow as mutagen requires."""
    frame = first
    for _ in range(ENOUGH_FRAMES - 1):
        at += frame.size
        header = block[at : at + 40]
        following = frame_of(header[:4]) if len(header) == 40 else None
        if (
            following is None
            or following.sample_rate != first.sample_rate
            or following.layer != first.layer
        ):
            return None
        if following.xing_at and (
            header[following.xing_at : following.xing_at + 4] in XING_MARKS
            or header[VBRI_AT:] == b"VBRI"
        ):
            return None
        frame = following
    length = 8 * sound_size / first.bitrate
    return Stream(length, first.bitrate, first.sample_rate, first.channels, first.layer)


def stream_by_xing(head: bytes, frame: Frame, sound_size: int) -> Stream:
    """The stream as counted by its Xing header, without the encoder padding that LAME declares."""
    flags, frames, size = _xing_header(head, frame.xing_at + 4)
    at = frame.xing_at + 8
    if flags & 15 == 15:  # nearly always
        at += XING_LENGTH
    else:
        if not flags & 2:
            size = -1
        elif not flags & 1:  # then the first field is the size
            size = frames
        if not flags & 1:
            frames = -1
        for flag, width in XING_FIELDS:
            if flags & flag:
                at += width
    bitrate = frame.bitrate
    if frames == -1:
        length = 8 * sound_size / bitrate
    else:
        samples = frame.samples * frames
        if size != -1 and samples > 0:
            sound = size - frame.size if size > frame.size else 0  # from the count of bytes only
            bitrate = round(sound * 8 * frame.sample_rate / float(samples))
        if has_lame_tag(head[at : at + 20]) and head[at + 9] < 0x10:  # revision 0
            delays = int.from_bytes(head[at + 21 : at + 24])
            samples -= (delays >> 12) + (delays & 0xFFF)
        length = float(samples) / frame.sample_rate if samples > 0 else 0.0
    return Stream(length, bitrate, frame.sample_rate, frame.channels, frame.layer)


@lru_cache(maxsize=256)
def has_lame_tag(version: bytes) -> bool:
    """Whether a LAME tag follows the first nine of these twenty bytes, which hold LAME's version.

    It does from version 3.90 on, except alphas of 3.90, and only if the version is short enough.
    """
    match = LAME_VERSION.match(version)
    if match is None or len(version) < 20:
        return False
    number = int(match[1]), int(match[2])
    rest = version[match.end() :]
    if number < (3, 90) or (number == (3, 90) and rest[-11:-10] == b"("):
        return False
    return len(rest) >= 11


forget_by(has_lame_tag.cache_clear)
