"""A WavPack file -> its stream info.

mutagen 1.48 reads the first block only, of which some encoders make an empty one for the tags, and
knows no rate beyond its table.

Source: WavPack 4 & 5 Binary File / Block Format, "Block Header" and "Metadata Sub-Blocks".
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from indexer.tags.window import Window

MARK: Final = b"wvpk"
HEADER_SIZE: Final = 32
UNKNOWN: Final = 0xFFFF_FFFF
RATES: Final = (
    6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000,
    32000, 44100, 48000, 64000, 88200, 96000, 192000,
)  # fmt: skip
MONO, FINAL_BLOCK, DSD = 1 << 2, 1 << 12, 1 << 31
"""Flags of a block; the second: it is the last of those that sound at once."""
DSD_INFO, CHANNEL_INFO, SAMPLE_RATE = 0x0E, 0x0D, 0x27
"""Sub-blocks that are read."""
SUB_BLOCK_NAME, ODD_SUB_BLOCK, LONG_SUB_BLOCK = 0x3F, 0x40, 0x80
"""Bits of the first byte of a sub-block: its size is odd, and has three bytes."""
SUB_BLOCKS_LIMIT: Final = 64
"""Maximum sub-blocks looked at. A guess: a block has ten."""
CONTENT_LIMIT: Final = 16
BLOCKS_LIMIT: Final = 1000
"""Maximum empty blocks before the first with sound. A guess: there is one."""
ENDS: Final = (16 * 1024, 128 * 1024, 1024 * 1024 + 64 * 1024)
"""Bytes from the end in which the last block is searched; a block has up to 1 MB."""

_header = Struct("<4sIHBBIIII").unpack_from


class Block(NamedTuple):
    """The header of a block."""

    at: int
    end: int
    total: int
    """Samples of each channel in the file; -1 if unknown."""
    before: int
    """Samples of each channel before this block."""
    samples: int
    flags: int


class Info:
    """The stream info, with mutagen's names. Raises ValueError if there is no block."""

    bitrate: float = 0
    """Not in the header."""

    def __init__(self, window: Window) -> None:
        first = first_block(window, window.tell())
        named = dict(_sub_blocks(window, first))
        flags = first.flags
        rate_at = flags >> 23 & 15
        own_rate = int.from_bytes(named.get(SAMPLE_RATE, b""), "little")
        self.sample_rate = RATES[rate_at] if rate_at < len(RATES) else own_rate
        self.bits_per_sample = 8 * ((flags & 3) + 1) - (flags >> 13 & 31)
        self.channels = 1 if flags & MONO else 2
        if not flags & FINAL_BLOCK:
            self.channels = _channels(named.get(CHANNEL_INFO, b"")) or self.channels
        if flags & DSD:
            self.sample_rate <<= min(named.get(DSD_INFO, b"\2")[0], 15)
            self.bits_per_sample = 1
        samples = samples_of(window, first)
        self.length = samples / self.sample_rate if self.sample_rate else 0.0


def first_block(window: Window, at: int) -> Block:
    """The first block with sound, from an offset on; the first of all if none has any."""
    first = None
    for _ in range(BLOCKS_LIMIT):
        block = block_of(window.peek(at, HEADER_SIZE), at)
        if block is None:
            break
        if block.samples:
            return block
        first = first or block
        at = block.end
    if first is None:
        raise ValueError("no WavPack block")
    return first


def block_of(header: bytes, at: int) -> Block | None:
    """The block with this header; None if it is none."""
    if len(header) < HEADER_SIZE:
        return None
    mark, size, version, high_index, high_total, total, index, samples, flags = _header(header)
    if mark != MARK or not 0x402 <= version <= 0x410 or size < HEADER_SIZE - 8:
        return None
    whole = -1 if total == UNKNOWN else total + high_total * UNKNOWN
    return Block(at, at + 8 + size, whole, index + (high_index << 32), samples, flags)


def _sub_blocks(window: Window, block: Block) -> Iterator[tuple[int, bytes]]:
    """Name and the first bytes of the content of a block's sub-blocks."""
    at = block.at + HEADER_SIZE
    for _ in range(SUB_BLOCKS_LIMIT):
        head = window.peek(at, 4)
        if at >= block.end or len(head) < 4:
            return
        begin = 4 if head[0] & LONG_SUB_BLOCK else 2
        size = 2 * int.from_bytes(head[1:begin], "little")
        used = min(size - bool(head[0] & ODD_SUB_BLOCK), CONTENT_LIMIT)
        if used > 0:
            yield head[0] & SUB_BLOCK_NAME, window.peek(at + begin, used)
        at += begin + size


def _channels(content: bytes) -> int:
    """The channels of sound that has more than one block at a time; each has one or two."""
    if len(content) >= 6:  # 12 bits each of channels and streams, both less one
        return 1 + (content[0] | (content[2] & 15) << 8)
    return content[0] if content else 0


def samples_of(window: Window, first: Block) -> int:
    """Samples of each channel: the number in the header, if the file begins with the first one.

    A stream that was cut, or written to a pipe, is as long as from its first to its last block.
    """
    if first.total > 0 and not first.before:
        return first.total
    last = _last(window, first)
    if last is not None and last.before >= first.before:
        return last.before + last.samples - first.before
    return max(first.total - first.before, first.samples)


def _last(window: Window, first: Block) -> Block | None:
    """The last block with sound, if it is near the file's end."""
    for reach in ENDS:
        begin = max(window.size - reach, first.at)
        content = window.peek(begin, window.size - begin)
        at = content.rfind(MARK)
        while at >= 0:
            block = block_of(content[at : at + HEADER_SIZE], begin + at)
            if block is not None and block.samples:
                return block
            at = content.rfind(MARK, 0, at)
        if begin == first.at:
            break
    return None
