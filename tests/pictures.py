"""Pictures for tests: encoded by Pillow, or made by hand where it would not make them."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image

TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
}


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def picture(
    kind: str = "JPEG", width: int = 60, height: int = 40, color: str = "red", **options: Any
) -> bytes:
    """A picture of one color."""
    return encoded(Image.new("RGB", (width, height), color), kind, **options)


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def png_of(width: int, height: int, content: bytes = b"", *, kind: int = 2) -> bytes:
    """A PNG of 8 bits with any dimensions, whatever its content is."""
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def gif_of(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    """The head of a GIF whose first frame may be larger than its screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    control = b"!\xf9\x04\0\0\0\0\0"
    return head + control + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\1\x44\0;"


def jpeg_head(
    width: int,
    height: int,
    *,
    marker: int = 0xC0,
    bits: int = 8,
    components: bytes = b"\1\x22\0\2\x11\1\3\x11\1",
    in_scan: int = 3,
) -> bytes:
    """The headers of a JPEG: its frame, and the beginning of its first scan."""
    frame = struct.pack(">BHHB", bits, height, width, len(components) // 3) + components
    scan = bytes([in_scan]) + b"\1\0" * in_scan + b"\0\x3f\0"
    return b"\xff\xd8" + b"".join(
        b"\xff" + bytes([name]) + struct.pack(">H", 2 + len(data)) + data
        for name, data in ((0xE0, b"JFIF\0" + bytes(9)), (marker, frame), (0xDA, scan))
    )
