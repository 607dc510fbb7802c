"""Thumbnails: of each format and mode, upright, on white, never enlarged or cropped."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from indexer.artwork.model import PictureError
from indexer.artwork.thumbnail import thumbnail
from tests.pictures import TYPES, encoded, gif_of, opened, picture, png_of
from tests.programs import ENVIRONMENT

RED, WHITE = (254, 0, 0), (255, 255, 255)


def color_at(data: bytes, x: int, y: int) -> tuple[int, int, int]:
    pixel = opened(data).convert("RGB").getpixel((x, y))
    assert isinstance(pixel, tuple)
    red, green, blue = map(int, pixel)
    return red, green, blue


def is_near(color: tuple[int, int, int], expected: tuple[int, int, int]) -> bool:
    return max(abs(one - other) for one, other in zip(color, expected, strict=True)) < 12


@pytest.mark.parametrize("kind", TYPES)
def test_each_format_becomes_a_jpeg_with_its_shape(kind: str) -> None:
    small = thumbnail(picture(kind, 1000, 500), 256)
    image = opened(small)
    assert (image.format, image.size, image.mode) == ("JPEG", (256, 128), "RGB")
    assert is_near(color_at(small, 100, 60), RED)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1400, 1400), (256, 256)),
        ((100, 50), (100, 50)),
        ((256, 2), (256, 2)),
        ((5000, 3), (256, 1)),
    ],
)
def test_a_picture_is_neither_cropped_nor_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert opened(thumbnail(picture("PNG", *size), 256)).size == expected
    assert opened(thumbnail(picture("JPEG", *size), 256)).size == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("side", [100, 3000])
def test_each_mode_of_a_png_is_shown_right(mode: str, side: int) -> None:
    white: object = {"I;16": 65535, "P": 255, "RGB": WHITE, "LA": (255, 255)}.get(mode, 255)
    color = (*WHITE, 255) if mode == "RGBA" else white
    image = Image.new(mode, (side, side), color)  # type: ignore[arg-type] # of each its own
    if mode == "P":
        image.putpalette([*bytes(765), *WHITE])
    small = thumbnail(encoded(image, "PNG"), 64)
    assert is_near(color_at(small, 30, 30), WHITE)


@pytest.mark.parametrize("side", [100, 3000])
def test_sixteen_bits_become_eight(side: int) -> None:
    small = thumbnail(encoded(Image.new("I;16", (side, side), 0x8000), "PNG"), 64)
    assert is_near(color_at(small, 30, 30), (128, 128, 128))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("side", [60, 1000])
def test_what_is_transparent_is_white(kind: str, side: int) -> None:
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, side // 2, side))
    small = thumbnail(encoded(image, kind), 60)
    assert is_near(color_at(small, 10, 30), RED)
    assert is_near(color_at(small, 50, 30), WHITE)


@pytest.mark.parametrize("side", [60, 1000])
def test_one_color_may_be_transparent(side: int) -> None:
    image = Image.new("RGB", (side, side), (10, 20, 30))
    small = thumbnail(encoded(image, "PNG", transparency=(10, 20, 30)), 60)
    assert is_near(color_at(small, 30, 30), WHITE)


def test_four_colors_of_print_become_three() -> None:
    small = thumbnail(encoded(Image.new("CMYK", (400, 400), (0, 255, 255, 0))), 256)
    assert opened(small).mode == "RGB"
    assert is_near(color_at(small, 100, 100), RED)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_exif_says(orientation: int) -> None:
    """The red corner is at the top left when the picture is upright."""
    upright = Image.new("RGB", (600, 400), "blue")
    upright.paste("red", (0, 0, 100, 100))
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = thumbnail(encoded(stored, exif=exif.tobytes(), quality=95), 256)
    assert opened(small).size == (256, 171)
    assert is_near(color_at(small, 15, 15), RED)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (300, 300), color) for color in ("red", "green", "blue")]
    moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert is_near(color_at(thumbnail(moving, 256), 100, 100), RED)


def test_the_first_of_several_pictures_in_a_jpeg_is_taken() -> None:
    pair = [Image.new("RGB", (300, 300), color) for color in ("red", "blue")]
    both = encoded(pair[0], "MPO", save_all=True, append_images=pair[1:])
    assert is_near(color_at(thumbnail(both, 256), 100, 100), RED)


def test_only_the_readers_of_five_formats_are_loaded() -> None:
    ask = (
        "import sys; from indexer.artwork.thumbnail import thumbnail; from tests import pictures;"
        "[thumbnail(pictures.picture(one), 9) for one in ('JPEG', 'PNG', 'GIF')];"
        "print(len([one for one in sys.modules if one.endswith('ImagePlugin')]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert int(told.stdout) <= 9


def test_bands_of_a_large_picture_join_without_a_seam() -> None:
    image = Image.linear_gradient("L").resize((1999, 3001))
    small = opened(thumbnail(encoded(image, "PNG"), 200))
    column = [color_at(encoded(small, "PNG"), 50, y)[0] for y in range(small.height)]
    steps = [after - before for before, after in pairwise(column)]
    assert max(steps) <= 4
    assert min(steps) >= -2
    assert column[0] < 6
    assert column[-1] > 249


def test_the_same_bytes_give_the_same_thumbnail() -> None:
    assert thumbnail(picture(), 256) == thumbnail(picture(), 256)


@pytest.mark.parametrize("kind", TYPES)
def test_a_picture_that_is_cut_short_is_refused(kind: str) -> None:
    noise = Image.effect_noise((200, 200), 90).convert("RGB")
    whole = encoded(noise, kind)
    with pytest.raises(PictureError, match=r"broken|cut short"):
        thumbnail(whole[: len(whole) // 2], 256)


def test_a_picture_with_the_headers_of_a_small_one_is_refused_by_its_own() -> None:
    with pytest.raises(PictureError, match="megapixels"):
        thumbnail(gif_of((1, 1), (60_000, 60_000)), 256)
    with pytest.raises(PictureError, match="memory"):
        thumbnail(png_of(6000, 6000), 256)


def test_a_bomb_in_the_text_of_a_png_is_refused() -> None:
    bomb = b"k\0\0" + zlib.compress(bytes(100 * 2**20))
    chunk = (
        struct.pack(">I", len(bomb))
        + b"zTXt"
        + bomb
        + struct.pack(">I", zlib.crc32(b"zTXt" + bomb))
    )
    whole = picture("PNG")
    with pytest.raises(PictureError, match="broken"):
        thumbnail(whole[:33] + chunk + whole[33:], 256)


@given(st.sampled_from(list(TYPES)), st.data())
@settings(deadline=None, max_examples=150)
def test_a_damaged_picture_gives_a_thumbnail_or_is_refused(kind: str, data: st.DataObject) -> None:
    whole = bytearray(picture(kind))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=5)):
        whole[at] = data.draw(st.integers(0, 255))
    try:
        small = thumbnail(bytes(whole), 32)
    except PictureError:
        return
    assert max(opened(small).size) <= 32
