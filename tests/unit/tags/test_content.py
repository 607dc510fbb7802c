"""Sizes that files tell: ISO/IEC 14496-12, 4.2; EA IFF 85; ID3v2.4.0-structure, 3.1; ASF, 3.2."""

from __future__ import annotations

import struct

import pytest

from indexer.tags.content import content_of, plain_reason
from tests.corpus import noise, truncated


def told(data: bytes, suffix: bytes = b".mp3", size: int | None = None) -> str:
    """`size`: of a file that begins with the data."""

    def read_at(at: int, length: int) -> bytes:
        assert length <= 4096
        return data[at : at + length]

    return plain_reason(read_at, len(data) if size is None else size, suffix)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"Dear all,\r\n\tplease find", "text"),
        ("Grüße aus Łódź".encode()[:-1], "text"),
        (b"\xef\xbb\xbf<!DOCTYPE html><title>404", "a web page"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\0\0\0 ftypM4A ", "MP4"),
        (b"OggS\0", "Ogg"),
        (b"RIFF\1\2\3\4AVI LIST", "a video"),
        (b"\xff\xfb\x90", "MPEG audio"),
    ],
)
def test_a_file_that_is_something_else_is_called_by_its_content(data: bytes, found: str) -> None:
    assert content_of(data) == found
    if found not in ("MPEG audio", "MP4"):
        assert told(data) == f"not an MP3: its content is {found}"


def test_a_wave_file_that_ends_in_its_mark_is_no_video() -> None:
    assert [content_of(b"RIFF\1\2\3\4WAVE"[:size]) for size in range(8, 13)] == ["WAVE"] * 5
    assert told(b"RIFF\1\0\0\0WA", b".wav") == "damaged or cut short: 10 B are there"


def test_noise_is_nothing_that_is_known() -> None:
    assert content_of(noise(5000)) is None
    assert told(noise(5000), b".tta") == "not a True Audio file: its content is not known"
    assert told(b"\x01\x02text") == "not an MP3: its content is not known"


def test_a_file_of_zeros_is_the_rest_of_a_copy() -> None:
    assert told(bytes(9000), b".flac") == (
        "not a FLAC: its content is zeros, as of a copy that did not end"
    )


def test_an_empty_file_is_empty() -> None:
    assert told(b"") == "the file is empty"


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (
            struct.pack(">I4s", 24, b"ftyp") + bytes(16) + struct.pack(">I4s", 4_699_976, b"mdat"),
            b".m4a",
        ),
        (struct.pack(">I4sQ", 1, b"mdat", 4_700_000), b".m4a"),
        (b"RIFF" + struct.pack("<I", 4_699_992) + b"WAVE", b".wav"),
        (b"FORM" + struct.pack(">I", 4_699_992) + b"AIFF", b".aiff"),
        (b"DSD " + struct.pack("<QQQ", 28, 4_700_000, 0), b".dsf"),
        (b"ID3\4\0\0" + bytes((2, 30, 110, 86)), b".mp3"),
        (
            b"0&\xb2u\x8ef\xcf\x11" + bytes(22)
            + bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
            + struct.pack("<Q16sQ", 104, b"", 4_700_000),
            b".wma",
        ),
    ],
)  # fmt: skip
def test_a_file_that_tells_its_size_is_cut_short(data: bytes, suffix: bytes) -> None:
    assert told(data, suffix, size=1_200_000) == "cut short: 1.2 of 4.7 MB are there"


def test_sizes_of_boxes_that_lie_are_followed_only_so_far() -> None:
    boxes = struct.pack(">I4s", 8, b"free") * 1000
    assert told(boxes, b".m4a") == "damaged or cut short: 8.0 KB are there"
    assert told(struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1), b".m4a") == (
        "damaged or cut short: 16 B are there"
    )
    assert told(struct.pack(">I4s", 0, b"mdat"), b".m4a") == "damaged or cut short: 8 B are there"


def test_a_real_file_that_lost_its_end_says_how_much_is_there() -> None:
    half = truncated(".m4a", 0.2)
    assert told(half, b".m4a") == f"cut short: {len(half) / 1000:.1f} of 1.2 KB are there"
    assert told(truncated(".flac", 0.3), b".flac").startswith("damaged or cut short: ")
