"""The header of a frame of MPEG audio (4 bytes) -> what it tells.

Sources: ISO 11172-3, 2.4.1.3 and 2.4.2.3; ISO 13818-3, 2.4.2.3 (lower rates).
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

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
