"""The headers of frames of MPEG audio (4 bytes each) -> what one tells; how long many of them last.

A small file of a variable bit rate that no header counts is counted frame by frame. Of a large one
pieces from everywhere are counted, and the mean of their bit rates is taken for that of the whole.

Sources: ISO 11172-3, 2.4.1.3 and 2.4.2.3; ISO 13818-3, 2.4.2.3 (lower rates).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from indexer.remembered import forget_by

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
WHOLE_LIMIT: Final = 512 * 1024
"""Maximum bytes of sound that are counted whole. A guess: 20 s at the highest bit rate."""
PIECES: Final = 32
PIECE_SIZE: Final = 16 * 1024
"""Of a larger file, this many pieces of this many bytes. A guess: 20 to 40 frames each, of which
the mean is within a few hundredths for music."""
SYNCS_LIMIT: Final = 4096
"""Maximum places in one piece at which a frame is looked for. A guess."""
HEADER_SIZE: Final = 4

Sum = tuple[int, float]
"""Bytes and seconds of frames."""


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


forget_by(frame_of.cache_clear)


def measured(window: Window, begin: int, end: int, like: Frame) -> tuple[float, float]:
    """Seconds and mean bit rate of the frames between two offsets; zeros if none is found.

    `like` is a frame of the stream: all others have its layer and sample rate.
    """
    size = end - begin
    if size <= WHOLE_LIMIT:
        counted, seconds = _counted(window.peek(begin, size), like)
        return seconds, 8 * counted / seconds if seconds else 0.0
    counted, seconds = 0, 0.0
    for piece in range(PIECES):
        at = begin + (2 * piece + 1) * size // (2 * PIECES) - PIECE_SIZE // 2
        more = _counted(window.peek(at, PIECE_SIZE), like)
        counted += more[0]
        seconds += more[1]
    if not counted:
        return 0.0, 0.0
    return size * seconds / counted, 8 * counted / seconds


def first_frame(window: Window, begin: int, end: int) -> Frame | None:
    """The first frame between two offsets that another one of its stream follows."""
    block = window.peek(begin, min(end - begin, PIECE_SIZE))
    at = -1
    for _ in range(SYNCS_LIMIT):
        at = block.find(b"\xff", at + 1)
        if at < 0:
            break
        frame = frame_of(block[at : at + HEADER_SIZE])
        if frame is not None and _follows(block, at + frame.size, frame):
            return frame
    return None


def _counted(block: bytes, like: Frame) -> Sum:
    """The frames in a block that may begin within one."""
    counted = 0
    samples = 0
    at = 0
    for _ in range(SYNCS_LIMIT):
        at = block.find(b"\xff", at)
        if at < 0:
            break
        frame = _frame(block, at, like)
        if frame is None or not _follows(block, at + frame.size, like):
            at += 1
            continue
        while frame is not None:
            counted += frame.size
            samples += frame.samples
            at += frame.size
            frame = _frame(block, at, like)
    return counted, samples / like.sample_rate


def _frame(block: bytes, at: int, like: Frame) -> Frame | None:
    """The frame that begins at this offset, if it belongs to the stream."""
    frame = frame_of(block[at : at + HEADER_SIZE])
    if frame is None or frame.layer != like.layer or frame.sample_rate != like.sample_rate:
        return None
    return frame


def _follows(block: bytes, at: int, like: Frame) -> bool:
    """Whether a frame begins here, or the block ends before."""
    return at + HEADER_SIZE > len(block) or _frame(block, at, like) is not None
