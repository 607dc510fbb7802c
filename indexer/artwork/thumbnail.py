"""The bytes of a picture -> a thumbnail: JPEG, never cropped or enlarged. Only here is Pillow used.

Only reader processes import this module: a decoder in C may crash, or take all memory that it may.
"""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from math import ceil
from typing import BinaryIO, Final

from PIL import (  # by name: Pillow loads 40 others when it meets a format that it has not loaded
    AvifImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from indexer.artwork.cache import ThumbnailCache
from indexer.artwork.embedded import hash_of, picture_of
from indexer.artwork.header import GAP, PictureHeader, check_budget, check_size, header_of
from indexer.artwork.model import PICTURE_SUFFIXES, PictureError
from indexer.errors import CannotDo
from indexer.model import PictureFacts

QUALITY: Final = 80
"""Of the JPEG. With 256 pixels it has 10 KB, and no artefacts that are seen at that size."""

FILTER: Final = Image.Resampling.HAMMING
"""It averages half the pixels that BICUBIC does: a fifth less time for a whole thumbnail, and no
difference that can be seen, as pictures are only made smaller."""
REDUCED: Final = 2
"""A picture is averaged down to at least so many times the pixels that are wanted on a side."""
BAND: Final = 64
"""Rows of the result that are averaged at once."""

_FORMATS: Final = {
    "image/jpeg": JpegImagePlugin.JpegImageFile.format,  # of several pictures (MPO) the first
    "image/png": PngImagePlugin.PngImageFile.format,
    "image/webp": WebPImagePlugin.WebPImageFile.format,
    "image/gif": GifImagePlugin.GifImageFile.format,
    "image/avif": AvifImagePlugin.AvifImageFile.format,
}
"""What Pillow may take a picture for, by the type that its header shows."""
_SIXTEEN_BITS: Final = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_TURNS: Final = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
"""Value of Orientation (Exif 2.32, 4.6.4 A) -> how to turn the picture."""
_WHITE: Final = (255, 255, 255)

AvifImagePlugin.DEFAULT_MAX_THREADS = 1
"""Each thread takes address space, which is limited."""


def thumbnail(data: bytes, longest: int, header: PictureHeader | None = None) -> bytes:
    """A JPEG of the first frame, at most so many pixels on its longest side, turned as EXIF says.

    Raises PictureError if the picture is broken, or its headers show that it would take too much
    memory, and MemoryError if it does so in spite of them. `header` is that of the data, if it is
    known.
    """
    header = header_of(data) if header is None else header
    check_budget(header)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            return _made(data, longest, header.mime)
    except MemoryError:
        raise PictureError(
            "the picture takes more memory to decode than its headers tell"
        ) from None
    except UnidentifiedImageError:
        raise PictureError("the picture is broken: its headers contradict each other") from None
    except Exception as error:  # Pillow raises nearly anything on broken data
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise PictureError(f"the picture is broken or cut short [{said}]") from error


def _made(data: bytes, longest: int, mime: str) -> bytes:
    with Image.open(BytesIO(data), formats=(_FORMATS[mime],)) as image:
        wanted = _fitting(image.size, longest)
        if mime == "image/jpeg":
            image.draft(None, (ceil(GAP * wanted[0]), ceil(GAP * wanted[1])))
        turns = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1), ())
        image.load()
        small = _shown(_shrunk(image, wanted))
    for turn in turns:
        small = small.transpose(turn)
    file = BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _fitting(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The size at which a picture fits; its own if it does already."""
    width, height = size
    scale = min(1.0, longest / max(size))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrunk(image: Image.Image, wanted: tuple[int, int]) -> Image.Image:
    """The picture at this size, in a mode whose pixels can be averaged.

    A large one is first averaged by a whole factor, band by band: no second copy of it is made.
    """
    factor = max(image.size) // (REDUCED * max(wanted))
    if factor < 2:
        return _resized(_averaging(image), wanted, image.size)
    width, height = image.size
    rows = BAND * factor
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    bands = (_averaging(image.crop(box)).reduce(factor) for box in boxes)
    first = next(bands)
    reduced = Image.new(first.mode, (first.width, -(-height // factor)))
    reduced.paste(first)
    for number, band in enumerate(bands, 1):
        reduced.paste(band, (0, BAND * number))
    return _resized(reduced, wanted, (width / factor, height / factor))


def _resized(image: Image.Image, wanted: tuple[int, int], size: tuple[float, float]) -> Image.Image:
    """The picture at another size; its own may be a fraction of a pixel below that of the image."""
    if image.size == wanted:
        return image
    return image.resize(wanted, FILTER, box=(0, 0, *size))


def _averaging(image: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels can be averaged."""
    if image.mode in _SIXTEEN_BITS:
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _shown(image: Image.Image) -> Image.Image:
    """The picture in grey or RGB, on white where it is transparent."""
    if image.mode in {"L", "RGB"}:
        return image
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    shown = Image.new("RGB", image.size, _WHITE)
    shown.paste(clear, mask=clear.getchannel("A"))
    return shown


def read_picture(
    file: BinaryIO, suffix: bytes, cache: ThumbnailCache, size: int
) -> PictureFacts | None:
    """The facts of a picture; None for an audio file that has none.

    Its thumbnail of at most `size` pixels is in the cache then; equal pictures are decoded once,
    those that cannot be decoded, too. If the thumbnail cannot be written, the facts say why. Raises
    PictureError if the picture is broken or too large, and OSError if reading fails. The file is
    neither opened nor closed here.
    """
    try:
        return _read(file, suffix, cache, size)
    except MemoryError:
        raise PictureError(
            "to decode the picture takes more memory than its headers tell: save it again"
        ) from None


def _read(file: BinaryIO, suffix: bytes, cache: ThumbnailCache, size: int) -> PictureFacts | None:
    data = _whole(file) if suffix in PICTURE_SUFFIXES else picture_of(file)
    if data is None:
        return None
    header = header_of(data)
    check_budget(header)
    digest = hash_of(data)
    unsaved = None
    if not cache.has(digest, size):
        made = _decoded(data, size, header, cache, digest)
        try:
            cache.put(digest, size, made)
        except CannotDo as error:
            unsaved = str(error)
    return PictureFacts(digest, header.mime, header.width, header.height, len(data), unsaved)


def _decoded(
    data: bytes, size: int, header: PictureHeader, cache: ThumbnailCache, digest: bytes
) -> bytes:
    reason = cache.why_refused(digest, size)
    if reason is not None:
        raise PictureError(reason)
    try:
        return thumbnail(data, size, header)
    except PictureError as error:
        cache.refuse(digest, size, str(error))
        raise


def _whole(file: BinaryIO) -> bytes:
    size = file.seek(0, os.SEEK_END)
    check_size(size)
    file.seek(0)
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data
