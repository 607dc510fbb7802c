"""What the headers of a picture tell, and which pictures are refused for it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.artwork.header import (
    MOST_BYTES,
    MOST_MEMORY,
    PictureHeader,
    check_budget,
    check_size,
    header_of,
)
from indexer.artwork.model import PictureError
from tests.pictures import TYPES, gif_of, jpeg_head, picture, png_of

MEGA = 10**6


@pytest.mark.parametrize("kind", TYPES)
def test_type_and_size_are_told_of_each_format(kind: str) -> None:
    header = header_of(picture(kind, 61, 37))
    assert (header.mime, header.width, header.height) == (TYPES[kind], 61, 37)
    check_budget(header)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + bytes(60_000)}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"icc_profile": bytes(200)}),
        ("GIF", {"comment": b"c" * 2000}),
    ],
)
def test_the_variants_of_a_format_are_known(kind: str, options: dict[str, object]) -> None:
    header = header_of(picture(kind, 61, 37, **options))
    assert (header.width, header.height) == (61, 37)


def test_the_bytes_decide_and_not_the_name() -> None:
    assert header_of(picture("PNG")).mime == "image/png"


def test_a_progressive_jpeg_of_64_megapixels_passes_and_a_png_of_36_does_not() -> None:
    check_budget(header_of(jpeg_head(8000, 8000, marker=0xC2)))
    with pytest.raises(PictureError, match=r"6000 x 6000.* 288 MB of memory, more than 220"):
        check_budget(header_of(png_of(6000, 6000)))


def test_a_webp_of_9_megapixels_passes_and_one_of_16_does_not() -> None:
    nine = PictureHeader("image/webp", 3000, 3000, 9 * MEGA * 17)
    check_budget(nine)
    lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (3999 | 3999 << 14).to_bytes(4, "little")
    assert (header_of(lossless).width, header_of(lossless).height) == (4000, 4000)
    with pytest.raises(PictureError, match="memory"):
        check_budget(header_of(lossless))


def test_more_than_64_megapixels_are_refused_in_any_format() -> None:
    check_budget(header_of(jpeg_head(64_000, 1000)))
    with pytest.raises(PictureError, match="64 megapixels"):
        check_budget(header_of(jpeg_head(64_001, 1000)))


@pytest.mark.parametrize(
    ("marker", "in_scan", "holds_all"),
    [(0xC0, 3, False), (0xC1, 3, False), (0xC0, 1, True), (0xC2, 3, True), (0xCA, 3, True)],
)
def test_a_jpeg_of_several_scans_is_held_whole(marker: int, in_scan: int, holds_all: bool) -> None:
    header = header_of(jpeg_head(8000, 8000, marker=marker, in_scan=in_scan))
    assert (header.memory > 190 * MEGA) is holds_all
    assert header.memory <= MOST_MEMORY


def test_colors_that_are_not_thinned_out_take_more_memory() -> None:
    full = jpeg_head(8000, 8000, marker=0xC2, components=b"\1\x11\0\2\x11\1\3\x11\1")
    with pytest.raises(PictureError, match="memory"):
        check_budget(header_of(full))


def test_the_first_frame_of_a_gif_counts_where_it_is_larger_than_the_screen() -> None:
    header = header_of(gif_of((1, 1), (60_000, 60_000)))
    assert (header.width, header.height) == (60_000, 60_000)
    with pytest.raises(PictureError, match="megapixels"):
        check_budget(header)


def test_a_picture_has_20_mb_at_most() -> None:
    check_size(MOST_BYTES)
    with pytest.raises(PictureError, match=r"21\.0 MB"):
        check_size(21 * MEGA)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (bytes(100), "all zeros"),
        (b"\n<!DOCTYPE html><html>", "HTML"),
        (b"BM" + bytes(100), "JPEG, PNG, WebP, GIF or AVIF"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
        (png_of(0, 5), "width or height is 0"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "cut short: it ends before its image data"),
        (jpeg_head(10, 10, marker=0xC3), "lossless"),
        (jpeg_head(10, 10, bits=12), "12 bits"),
        (jpeg_head(10, 10, marker=0xC2, components=b"\1\0\0"), "no samples"),
        (b"\xff\xd8\xff\xda\0\x08\1\1\0\0\x3f\0", "before its frame"),
        (b"GIF89a" + bytes(7) + b";", "without a frame"),
        (b"RIFF\0\0\0\0WEBPICCP" + bytes(20), "without an image"),
        (b"\0\0\0\x10ftypavif\0\0\0\0", "does not tell its size"),
        (b"\0\0\0\x10ftypheic\0\0\0\0", "JPEG, PNG, WebP, GIF or AVIF"),
    ],
)
def test_what_is_no_picture_is_refused_in_plain_words(data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        header_of(data)


@pytest.mark.parametrize("kind", TYPES)
def test_a_picture_that_is_cut_off_in_its_headers_is_refused(kind: str) -> None:
    with pytest.raises(PictureError):
        header_of(picture(kind)[:12])


BEGINNINGS = st.sampled_from(
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBPVP8X",
        b"\0\0\0\x18ftypavif",
    ]
)


@given(BEGINNINGS, st.binary(max_size=200))
def test_any_bytes_have_a_header_or_are_refused(beginning: bytes, rest: bytes) -> None:
    try:
        header = header_of(beginning + rest)
    except PictureError:
        return
    assert min(header.width, header.height, header.memory) > 0


@given(st.sampled_from(list(TYPES)), st.data())
def test_a_damaged_picture_has_a_header_or_is_refused(kind: str, data: st.DataObject) -> None:
    whole = bytearray(picture(kind))
    for at in data.draw(st.lists(st.integers(0, min(len(whole), 700) - 1), max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    with suppress(PictureError):
        header_of(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff" + b"\xff" * MEGA,
        b"\xff\xd8" + b"\xff\xe0\0\2" * MEGA,
        b"\xff\xd8" + b"\xff\x01" * MEGA,
        b"GIF89a" + bytes(MEGA),
        b"GIF89a" + bytes(7) + b"!\xf9\1a" + b"\1a" * MEGA,
        b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\x08free" * MEGA,
        (4 * MEGA).to_bytes(4) + b"ftyp" + b"none" * MEGA,
    ],
    ids=["fill bytes", "segments", "markers", "zeros", "blocks", "boxes", "brands"],
)
@pytest.mark.timeout(5)
def test_headers_without_an_end_are_given_up(data: bytes) -> None:
    with pytest.raises(PictureError):
        header_of(data)
