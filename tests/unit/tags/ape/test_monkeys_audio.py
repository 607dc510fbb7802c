"""Lengths by the frames of the SDK's headers; ffmpeg and taglib agree."""

from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track


def old(version: int, level: int, flags: int = 0) -> bytes:
    """Two whole frames and one of 441 samples, 44 100 Hz, stereo."""
    head = struct.pack("<4sHHHHIII", b"MAC ", version, level, flags, 2, 44_100, 44, 0)
    return head + struct.pack("<II", 3, 441) + bytes(8)


def read(content: bytes) -> Track:
    return tags.read_track(io.BytesIO(content), b".ape")


@pytest.mark.parametrize(
    ("version", "level", "per_frame"),
    [
        (3790, 4000, 9216),
        (3800, 3000, 9216),
        (3800, 4000, 73_728),
        (3890, 4000, 73_728),
        (3900, 1000, 73_728),
        (3950, 1000, 294_912),
        (3970, 5000, 294_912),
    ],
)
def test_frames_of_old_versions_are_long_by_version_and_level(
    version: int, level: int, per_frame: int
) -> None:
    """Mutagen 1.48 takes frames of 9216 for 3.80 at its highest level, too."""
    found = read(old(version, level))
    assert found.duration == (2 * per_frame + 441) / 44_100
    assert (found.channels, found.sample_rate) == (2, 44_100)


@pytest.mark.parametrize(("flags", "depth"), [(0, 16), (1, 8), (8, 24), (32, 16)])
def test_the_depth_of_old_files_is_in_their_flags(flags: int, depth: int) -> None:
    assert read(old(3970, 2000, flags)).bit_depth == depth


def test_the_newer_header_is_behind_a_descriptor_of_any_size() -> None:
    for size, padding in ((52, 0), (60, 8), (0, 0)):
        head = struct.pack("<4sHHI", b"MAC ", 3990, 0, size) + bytes(40 + padding)
        header = struct.pack("<HHIIIHHI", 2000, 0, 73_728, 441, 2, 24, 1, 44_100)
        found = read(head + header)
        assert (found.duration, found.bit_depth) == ((73_728 + 441) / 44_100, 24)


@pytest.mark.parametrize("size", [4, 31])
def test_a_header_that_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(tags.Refused):
        read(old(3970, 2000)[:size])
    with pytest.raises(tags.Refused):
        read(struct.pack("<4sHHI", b"MAC ", 3990, 0, 52) + bytes(60))
