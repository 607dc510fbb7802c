from __future__ import annotations

import io

import pytest

from indexer import tags
from indexer.tags.fast import mpeg_header

FRAME_S = 1152 / 44_100
SIZES = {5: 208, 9: 417, 14: 1044}
"""Number of the bit rate (64, 128 and 320 kbit/s) -> bytes of a frame (ISO 11172-3, 2.4.3.1)."""


def frame(bitrate: int) -> bytes:
    """A frame of layer III at 44 100 Hz, stereo."""
    return (b"\xff\xfb" + bytes([bitrate << 4]) + b"\0").ljust(SIZES[bitrate], b"\0")


def seconds(content: bytes, suffix: bytes = b".mp3") -> float:
    found = tags.read_track(io.BytesIO(content), suffix)
    assert found.duration is not None
    return found.duration


def test_frames_of_a_variable_bit_rate_are_counted() -> None:
    """Ffmpeg counts them, too; mutagen takes the first frame's bit rate for that of all."""
    content = frame(5) * 6 + frame(14) * 94
    assert seconds(content) == pytest.approx(100 * FRAME_S)
    found = tags.read_track(io.BytesIO(content), b".mp3")
    assert found.bitrate == pytest.approx(8 * len(content) / (100 * FRAME_S), rel=1e-4)


def test_what_lies_between_and_behind_the_frames_does_not_count() -> None:
    junk = b"\xff\x00junk\xff\xfb" * 9
    between = frame(5) * 9 + frame(9) + junk + frame(14) * 90 + b"TAG" + bytes(125)
    assert seconds(between) == pytest.approx(100 * FRAME_S)


def test_a_large_file_is_measured_in_pieces_from_everywhere() -> None:
    content = frame(5) * 100 + (frame(14) * 3 + frame(5) * 2 + frame(9)) * 2000
    assert len(content) > 10 * mpeg_header.PIECES * mpeg_header.PIECE_SIZE // 2
    file = Counted(content)
    found = tags.read_track(file, b".mp3")
    assert found.duration == pytest.approx(12_100 * FRAME_S, rel=0.02)
    assert file.bytes_read < mpeg_header.PIECES * mpeg_header.PIECE_SIZE + 50_000


def test_a_constant_bit_rate_is_believed_without_reading_more() -> None:
    content = frame(9) * 4000
    file = Counted(content)
    found = tags.read_track(file, b".mp3")
    assert found.duration == pytest.approx(8 * len(content) / 128_000)
    assert file.bytes_read < 20_000


@pytest.mark.parametrize("tail", [b"", b"TAG" + bytes(125), b"\xff\xfb" + bytes(90)])
def test_a_long_silence_at_the_beginning_is_not_taken_for_the_bit_rate_of_all(tail: bytes) -> None:
    content = frame(5) * 400 + (frame(14) * 3 + frame(9)) * 25 + tail
    assert seconds(content) == pytest.approx(500 * FRAME_S)


def test_bytes_that_look_like_frames_all_over_end() -> None:
    assert tags.read_track(io.BytesIO(frame(5) * 4 + frame(14) + b"\xff" * 400_000), b".mp3").codec


class Counted(io.BytesIO):
    """A file that counts the bytes read."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data
