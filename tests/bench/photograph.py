"""Pictures that cost as much to decode as photographs do, each with bytes of its own."""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO
from random import Random
from typing import Final

from PIL import Image, ImageFilter

SIDES: Final = (400, 500, 600, 700, 800, 900, 1000)
"""The sides of covers, in pixels: 25 to 150 KB."""

_LONGEST_COMMENT: Final = 60_000
_COMMENT_HEAD: Final = 4


def photograph(side: int, number: int) -> bytes:
    """A square JPEG; the number makes its bytes its own."""
    data = _photograph(side)
    return data[:2] + _comment(b"%08x" % number) + data[2:]


def cover(size: int, number: int) -> bytes:
    """A JPEG of exactly `size` bytes: the largest that fits, and comments. 30 KB at least."""
    side = max(side for side in SIDES if len(photograph(side, number)) < size - _COMMENT_HEAD)
    data = photograph(side, number)
    left = size - len(data)
    segments = left // _LONGEST_COMMENT + 1
    sizes = [left // segments] * segments
    sizes[0] += left % segments
    padding = b"".join(_comment(b" " * (one - _COMMENT_HEAD)) for one in sizes)
    return data[:2] + padding + data[2:]


def _comment(text: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text


@cache
def _photograph(side: int) -> bytes:
    random = Random(side)
    coarse = max(2, side // 8)
    small = Image.frombytes("RGB", (coarse, coarse), random.randbytes(3 * coarse * coarse))
    shapes = small.filter(ImageFilter.GaussianBlur(1.5)).resize((side, side))
    noise = Image.effect_noise((side, side), 12).convert("RGB")
    file = BytesIO()
    Image.blend(shapes, noise, 0.2).save(file, "JPEG", quality=90)
    return file.getvalue()
