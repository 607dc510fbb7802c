"""The bytes of a picture -> its format and size, and the memory that decoding takes; not decoded.

Bounded time for any bytes: of each format only the headers are walked. Sources: ITU-T T.81, B.2
(JPEG); PNG (Third Edition), 5.2 and 11.2.1; GIF89a, 18 to 26; RFC 9649 (WebP), 2.3 to 2.7;
ISO 23008-12, 6.5.3 and AV1 Image File Format 1.1 (AVIF).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import error, unpack_from
from typing import Final

from msgspec import Struct

from indexer.artwork.model import PictureError

MOST_BYTES: Final = 20_000_000
"""Maximum bytes of a picture, as a file or embedded."""
MOST_PIXELS: Final = 64_000_000
MOST_MEMORY: Final = 220_000_000
"""Maximum bytes that decoding may take: 256 MB, less what the process has without it."""

STEPS_LIMIT: Final = 10_000
"""Maximum segments, chunks or boxes looked at in one picture. A guess: a photo has 50."""

PNG_BYTES: Final = 8
"""Memory for each pixel of PNG and GIF, with room for what is decoded around it."""
WEBP_BYTES: Final = 17
AVIF_BYTES: Final = 13
"""Measured with 9 megapixels."""

_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GIF: Final = (b"GIF87a", b"GIF89a")
_AVIF: Final = frozenset({b"avif", b"avis"})
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Frames that are decoded: baseline, extended, progressive; in Huffman or arithmetic coding."""
_OTHER_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - _FRAMES - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xCA})
_START_OF_SCAN: Final = 0xDA
LARGEST: Final = 600
"""Pixels of the longest side of the largest thumbnail."""
GAP: Final = 1.1
"""A JPEG is decoded at a half, a quarter or an eighth of its size if each side then has at least so
many times the pixels of the thumbnail: a filter does the rest. Measured with a photo of 1 400
pixels, 600 asked for: 17 ms in place of 43 with 2, and no difference that can be seen."""
_SCALES: Final = (8, 4, 2)
_SAMPLE: Final = 4
"""Bytes in memory of a pixel of three or four colors."""


class PictureHeader(Struct, frozen=True):
    """The properties of a picture that its headers state."""

    mime: str
    width: int
    """In pixels as it is stored, not as EXIF has it turned."""
    height: int
    memory: int
    """An upper bound of the bytes that decoding it for a thumbnail takes."""


def header_of(data: bytes) -> PictureHeader:
    """The header of a picture by its bytes, whatever the suffix of its file is.

    Raises PictureError if it is no picture of a known format, or its headers are broken.
    """
    read = _reader_of(data)
    try:
        header = read(data)
    except (error, IndexError) as cut:
        raise PictureError("the picture is cut short: its headers are not all there") from cut
    if not header.width or not header.height:
        raise PictureError("the picture is broken: its width or height is 0")
    return header


def check_size(size: int) -> None:
    """Raises PictureError if a picture has too many bytes to be read."""
    if size > MOST_BYTES:
        raise PictureError(
            f"the picture has {size / 1e6:.1f} MB, and pictures above {MOST_BYTES // 10**6} MB are"
            " not read: save a smaller one"
        )


def check_budget(header: PictureHeader) -> None:
    """Raises PictureError if decoding would take too many pixels or too much memory."""
    pixels = header.width * header.height
    if pixels > MOST_PIXELS:
        raise PictureError(
            f"the picture has {header.width} x {header.height} pixels, and those above"
            f" {MOST_PIXELS // 10**6} megapixels are not decoded: save a smaller one"
        )
    needed = -(-header.memory // 10**6)
    if header.memory > MOST_MEMORY:
        raise PictureError(
            f"to decode the picture ({header.width} x {header.height} pixels, {header.mime}) would"
            f" take {needed} MB of memory, more than {MOST_MEMORY // 10**6}: save a smaller one, or"
            " an ordinary JPEG"
        )


def _reader_of(data: bytes) -> Callable[[bytes], PictureHeader]:
    if data.startswith(_JPEG):
        return _jpeg
    if data.startswith(_PNG):
        return _png
    if data.startswith(_GIF):
        return _gif
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp
    if data[4:8] == b"ftyp" and not _AVIF.isdisjoint(_brands(data)):
        return _avif
    if not data.strip(b"\0"):
        raise PictureError("the picture is empty" if not data else "the picture is all zeros")
    if data.lstrip()[:1] == b"<":
        raise PictureError("it is a text (HTML or XML) and no picture: it was not downloaded right")
    raise PictureError("it is no picture in JPEG, PNG, WebP, GIF or AVIF: convert it")


def _jpeg(data: bytes) -> PictureHeader:
    """The frame, and the first scan: one of fewer components means that more scans follow."""
    frame: tuple[int, int, int, bytes] | None = None
    for marker, begin, size in _segments(data):
        if marker in _OTHER_FRAMES:
            raise PictureError("a JPEG that is lossless or hierarchical is not decoded: convert it")
        if marker in _FRAMES:
            bits, height, width, count = unpack_from(">BHHB", data, begin)
            components = data[begin + 6 : begin + size]
            if bits != 8 or len(components) != 3 * count or count not in {1, 3, 4}:
                raise PictureError(f"a JPEG of {bits} bits and {count} colors is not decoded")
            frame = marker, width, height, components
        elif marker == _START_OF_SCAN:
            if frame is None:
                raise PictureError("the picture is broken: it has a scan before its frame")
            is_whole = frame[0] in _PROGRESSIVE or data[begin] < len(frame[3]) // 3
            memory = _jpeg_memory(*frame[1:], holds_all=is_whole)
            return PictureHeader("image/jpeg", frame[1], frame[2], memory)
    raise PictureError("the picture is cut short: it ends before its image data")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and size of the content of each segment up to the first scan."""
    at = 2
    for _ in range(STEPS_LIMIT):
        at = data.find(b"\xff", at)
        while at >= 0 and data[at] == 0xFF:
            at += 1  # any number of fill bytes
        if at < 0:
            return
        marker = data[at]
        at += 1
        if marker in {0x00, 0x01} or 0xD0 <= marker <= 0xD9:
            continue  # without a length
        (size,) = unpack_from(">H", data, at)
        yield marker, at + 2, size - 2
        at += max(size, 2)


def _jpeg_memory(width: int, height: int, components: bytes, *, holds_all: bool) -> int:
    """With several scans (`holds_all`), the decoder keeps all coefficients, two bytes for each."""
    longest = max(width, height)
    scale = next((one for one in _SCALES if longest >= one * GAP * LARGEST), 1)
    copies = 1 if len(components) < 12 else 2  # of four colors, three are made
    memory = width * height // scale**2 * _SAMPLE * copies
    if holds_all:
        shares = [(one >> 4) * (one & 15) for one in components[1::3]]
        most = max(one >> 4 for one in components[1::3]) * max(one & 15 for one in components[1::3])
        if not most or 0 in shares:
            raise PictureError("the picture is broken: a color of it has no samples")
        memory += width * height * 2 * sum(shares) // most
    return memory


def _png(data: bytes) -> PictureHeader:
    size, name, width, height = unpack_from(">I4sII", data, 8)
    if name != b"IHDR" or size != 13:
        raise PictureError("the picture is broken: a PNG does not begin with its header")
    return PictureHeader("image/png", width, height, width * height * PNG_BYTES)


def _gif(data: bytes) -> PictureHeader:
    """The screen, and the first frame, which may be larger."""
    width, height, flags = unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    for _ in range(STEPS_LIMIT):
        match data[at]:
            case 0x2C:
                left, top, wide, high = unpack_from("<HHHH", data, at + 1)
                width, height = max(width, left + wide), max(height, top + high)
                return PictureHeader("image/gif", width, height, width * height * PNG_BYTES)
            case 0x21:
                at = _behind_blocks(data, at + 2)
            case 0x3B:
                raise PictureError("the picture is broken: a GIF without a frame")
            case _:
                at += 1
    raise PictureError("the picture is broken: its first frame is not found")


def _behind_blocks(data: bytes, at: int) -> int:
    for _ in range(STEPS_LIMIT):
        if not data[at]:
            return at + 1
        at += 1 + data[at]
    raise PictureError("the picture is broken: an extension of a GIF without an end")


def _webp(data: bytes) -> PictureHeader:
    name = data[12:16]
    if name == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        if len(data) < 30:
            raise IndexError
    elif name == b"VP8L":
        mark, bits = unpack_from("<BI", data, 20)
        if mark != 0x2F:
            raise PictureError("the picture is broken: no lossless WebP where one is announced")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif name == b"VP8 ":
        mark, width, height = unpack_from("<3sHH", data, 23)
        if mark != b"\x9d\x01\x2a":
            raise PictureError("the picture is broken: a WebP does not begin with a key frame")
        width, height = width & 0x3FFF, height & 0x3FFF
    else:
        raise PictureError("the picture is broken: a WebP without an image")
    return PictureHeader("image/webp", width, height, width * height * WEBP_BYTES)


def _brands(data: bytes) -> list[bytes]:
    """The major brand of an ISO file, and those that it is compatible with."""
    (size,) = unpack_from(">I", data, 0)
    end = min(size, len(data), 4 * STEPS_LIMIT)
    return [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]


def _avif(data: bytes) -> PictureHeader:
    """The largest of the images that are described.

    The tiles of a grid are smaller, as is a thumbnail, and an alpha plane is as large.
    """
    meta = next((box for box in _boxes(data, 0, len(data)) if box[0] == b"meta"), None)
    sizes: list[tuple[int, int]] = []
    if meta is not None:
        for properties in _inside(data, (meta[0], meta[1] + 4, meta[2]), b"iprp", b"ipco"):
            for name, begin, _ in _boxes(data, *properties):
                if name == b"ispe":
                    width, height = unpack_from(">II", data, begin + 4)
                    sizes.append((width, height))
    if not sizes:
        raise PictureError("the picture is broken: an AVIF that does not tell its size")
    width, height = max(sizes, key=lambda one: one[0] * one[1])
    return PictureHeader("image/avif", width, height, width * height * AVIF_BYTES)


def _inside(data: bytes, within: tuple[bytes, int, int], *names: bytes) -> list[tuple[int, int]]:
    """Begin and end of the first box at this path of names, in a list that is empty without one."""
    begin, end = within[1:]
    for name in names:
        found = next((box for box in _boxes(data, begin, end) if box[0] == name), None)
        if found is None:
            return []
        begin, end = found[1:]
    return [(begin, end)]


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the content of each box (ISO 14496-12, 4.2)."""
    for _ in range(STEPS_LIMIT):
        if at + 8 > end:
            return
        size, name = unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            (size,) = unpack_from(">Q", data, begin)
            begin += 8
        elif size == 0:
            size = end - at
        if at + size < begin:
            return
        yield name, begin, min(at + size, end)
        at += size
