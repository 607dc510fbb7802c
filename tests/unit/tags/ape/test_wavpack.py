"""Lengths and rates by the block format; ffprobe and taglib agree, mutagen reads one block only."""

from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track

RATE_44100 = 9 << 23
STEREO_16 = 0x1801 | RATE_44100
"""Two bytes a sample; the block is the only one of those that sound at once."""
UNKNOWN = 0xFFFF_FFFF


def block(
    *sub_blocks: bytes,
    samples: int = 44_100,
    total: int = 441_000,
    index: int = 0,
    flags: int = STEREO_16,
    high: int = 0,
) -> bytes:
    body = b"".join(sub_blocks)
    head = struct.pack(
        "<4sIHBBIIIII", b"wvpk", 24 + len(body), 0x410, 0, high, total, index, samples, flags, 0
    )
    return head + body


def sub_block(name: int, content: bytes) -> bytes:
    odd = len(content) % 2
    return bytes([name | 0x40 * odd, (len(content) + odd) // 2]) + content + bytes(odd)


def read(content: bytes) -> Track:
    return tags.read_track(io.BytesIO(content), b".wv")


@pytest.mark.parametrize("empty", [0, 1, 3])
def test_empty_blocks_before_the_sound_are_passed_over(empty: int) -> None:
    found = read(block(samples=0, flags=0) * empty + block())
    assert (found.duration, found.sample_rate, found.channels) == (10, 44_100, 2)
    assert found.bit_depth == 16


def test_a_file_of_empty_blocks_has_no_length() -> None:
    assert read(block(samples=0, total=0) * 3).duration is None


def test_a_rate_beyond_the_table_is_in_a_sub_block() -> None:
    own = sub_block(0x27, (176_400).to_bytes(3, "little"))
    found = read(block(own, flags=0x1801 | 15 << 23, total=352_800))
    assert (found.sample_rate, found.duration) == (176_400, 2)
    assert read(block(flags=0x1801 | 15 << 23)).sample_rate is None


def test_an_unknown_length_is_that_up_to_the_last_block() -> None:
    after = [block(total=UNKNOWN, index=44_100 * n) for n in range(3)]
    assert read(b"".join(after) + b"APETAGEX and more").duration == 3


def test_a_stream_without_its_beginning_is_as_long_as_what_is_left() -> None:
    after = [block(index=44_100 * n) for n in range(4, 9)]
    assert read(b"".join(after)).duration == 5


def test_a_total_may_have_forty_bits() -> None:
    content = block(total=44_100 * 3, high=1) + bytes(100_000)
    assert read(content).duration == (44_100 * 3 + UNKNOWN) / 44_100


def test_a_sample_that_is_shifted_has_fewer_bits() -> None:
    assert read(block(flags=0x1802 | RATE_44100 | 4 << 13)).bit_depth == 20


def test_dsd_tells_its_rate_by_a_power_of_two() -> None:
    power = sub_block(0x0E, b"\x03\x00")
    found = read(block(power, flags=0x1800 | RATE_44100 | 1 << 31))
    assert (found.sample_rate, found.bit_depth) == (44_100 * 8, 1)


def test_a_file_of_other_bytes_is_refused() -> None:
    for content in (b"wvpk", b"RIFF" + bytes(60), b"wvpk" + bytes(60)):
        with pytest.raises(tags.Refused):
            read(content)
