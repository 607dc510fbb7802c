"""A file of Monkey's Audio -> its stream info.

mutagen 1.48 takes 4 for the number of the level at which frames of 3.80 to 3.89 are long (it is
4000), the bit depth of old files from a WAV header that may be absent, and the place of the newer
header as given.

Source: Monkey's Audio SDK, `MACLib.h` (`APE_DESCRIPTOR`, `APE_HEADER`) and `APEHeader.cpp`
(`APE_HEADER_OLD`, versions up to 3.97).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.tags.window import Window

NEWER: Final = 3980
"""First version with a descriptor before the header."""
DESCRIPTOR_SIZES: Final = range(52, 4096)
"""Sizes of a descriptor. The upper one is a guess."""
OLD_SIZE, HEADER_SIZE = 32, 24
EXTRA_HIGH: Final = 4000
EIGHT_BITS, TWENTY_FOUR_BITS = 1, 8
"""Flags of the old header."""

_old = Struct("<6xHHHI8xII").unpack_from
_new = Struct("<4xIIIHHI").unpack_from


class Info:
    """The stream info, with mutagen's names. Raises ValueError for another format."""

    bitrate: float = 0
    """Not in the header."""

    def __init__(self, window: Window) -> None:
        begin = window.tell()
        head = window.peek(begin, OLD_SIZE)
        if len(head) < OLD_SIZE or head[:4] not in {b"MAC ", b"MACF"}:
            raise ValueError("no Monkey's Audio file")
        version = int.from_bytes(head[4:6], "little")
        if version >= NEWER:
            size = int.from_bytes(head[8:12], "little")
            if size not in DESCRIPTOR_SIZES:
                size = DESCRIPTOR_SIZES.start
            header = window.peek(begin + size, HEADER_SIZE)
            if len(header) < HEADER_SIZE:
                raise ValueError("the file ends in its header")
            per_frame, final, frames, depth, channels, rate = _new(header)
        else:
            level, flags, channels, rate, frames, final = _old(head)
            per_frame = _per_frame(version, level)
            depth = 24 if flags & TWENTY_FOUR_BITS else 8 if flags & EIGHT_BITS else 16
        self.sample_rate, self.channels, self.bits_per_sample = rate, channels, depth
        samples = (frames - 1) * per_frame + final if frames else 0
        self.length = samples / rate if rate else 0.0


def _per_frame(version: int, level: int) -> int:
    """Samples of each channel in a frame, by the version and the level of compression."""
    if version >= 3950:
        return 4 * 73_728
    if version >= 3900 or (version >= 3800 and level == EXTRA_HIGH):
        return 73_728
    return 9216
