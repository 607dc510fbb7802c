"""The first frames of MPEG audio -> stream info (length, bit rate ...), in the common cases.

mutagen's `MPEGInfo` reads each header bit by bit, 60 us a file where this takes 3 (mutagen 1.48).
So the common case is read here: a frame directly after the tag that holds a Xing or Info header, or
is followed by three more. In all other cases the result is None, and mutagen reads the file. A
result equals mutagen's; a property test compares both.

Sources: ISO 11172-3, 2.4.1.3 and 2.4.2.3 (frame header); ISO 13818-3, 2.4.2.3 (lower rates);
the Xing header as in Xing's `dxhead.c`, the LAME tag as in gabriel.mp3-tech.org/mp3infotag.html.
"""

from __future__ import annotations

import re
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from indexer.tags.window import Window

BITRATES_KBPS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By version (2 includes 2.5) and layer."""
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By the two bits of the version: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5."""
MONO = 3

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

_xing_header = Struct(">3I").unpack_from
"""Flags, frames and bytes; each of the last two is present only if its flag is set."""


class Stream(msgspec.Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: int
    sample_rate: int
    channels: int
    layer: int


class Frame(msgspec.Struct, gc=False):
    """The contents of a frame header (4 bytes)."""

    layer: int
    bitrate: int
    sample_rate: int
    channels: int
    samples: int
    size: int
    """Bytes to the next frame."""
    xing_at: int
    """Offset of a Xing header, after the side information. 0: this layer has none."""


def stream(window: Window, begin: int) -> Stream | None:
    """The stream that begins at `begin`, or None if mutagen must search for it."""
    head = window.glance(begin, XING_REACH)
    if len(head) < XING_REACH:
        return None
    frame = frame_of(head[:4])
    if frame is None:
        return None
    if frame.xing_at:
        if head[frame.xing_at : frame.xing_at + 4] in (b"Xing", b"Info"):
            return _xing(head, frame, window.size - begin)
        if head[VBRI_AT : VBRI_AT + 4] == b"VBRI":
            return None
    block, start = window.hold(begin, FRAMES_REACH)
    return _constant(block, begin - start, frame, window.size - begin)


def _constant(block: bytes, at: int, first: Frame, sound_size: int) -> Stream | None:
    """A stream of constant bit rate, if as many frames follow as mutagen requires."""
    frame = first
    for _ in range(ENOUGH_FRAMES - 1):
        at += frame.size
        header = block[at : at + 40]
        following = frame_of(header[:4]) if len(header) == 40 else None
        if following is None:
            return None
        if following.xing_at and (
            header[following.xing_at : following.xing_at + 4] in (b"Xing", b"Info")
            or header[VBRI_AT:] == b"VBRI"
        ):
            return None
        frame = following
    length = 8 * sound_size / first.bitrate
    return Stream(length, first.bitrate, first.sample_rate, first.channels, first.layer)


def _xing(head: bytes, frame: Frame, sound_size: int) -> Stream:
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
    told = LAME_VERSION.match(version)
    if told is None or len(version) < 20:
        return False
    number = int(told[1]), int(told[2])
    rest = version[told.end() :]
    if number < (3, 90) or (number == (3, 90) and rest[-11:-10] == b"("):
        return False
    return len(rest) >= 11


@lru_cache(maxsize=1024)
def frame_of(header: bytes) -> Frame | None:
    """Parse a frame header; None if it is invalid, or has a free bit rate."""
    bits = int.from_bytes(header)
    version = bits >> 19 & 3
    layer = 4 - (bits >> 17 & 3)
    bitrate_at = bits >> 12 & 15
    rate_at = bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or layer == 4 or rate_at == 3:
        return None
    if bitrate_at in (0, 15):
        return None
    is_first = version == 3
    bitrate = 1000 * BITRATES_KBPS[1 if is_first else 2, layer][bitrate_at]
    sample_rate = RATES_HZ[version][rate_at]
    channels = 1 if bits >> 6 & 3 == MONO else 2
    samples, slot = (384, 4) if layer == 1 else (1152, 1)
    if layer == 3 and not is_first:
        samples = 576
    size = (samples // 8 * bitrate // sample_rate + (bits >> 9 & 1)) * slot
    xing_at = 0
    if layer == 3:
        wide, narrow = (36, 21) if is_first else (21, 13)
        xing_at = narrow if channels == 1 else wide
    return Frame(layer, bitrate, sample_rate, channels, samples, size, xing_at)
