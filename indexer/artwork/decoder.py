"""An open picture file, or an audio file with a picture -> its facts, and its thumbnail in a cache.

Only reader processes import this module (see `thumbnail`).
"""

from __future__ import annotations

import os
from typing import BinaryIO

from indexer.artwork.cache import ThumbnailCache
from indexer.artwork.embedded import picture_of
from indexer.artwork.header import check_budget, check_size, header_of
from indexer.artwork.model import PICTURE_SUFFIXES, PictureError
from indexer.artwork.original import hash_of
from indexer.artwork.thumbnail import thumbnail
from indexer.errors import CannotDo
from indexer.model import PictureFacts


def read_picture(
    file: BinaryIO, suffix: bytes, cache: ThumbnailCache, size: int
) -> PictureFacts | None:
    """The facts of a picture; None for an audio file that has none.

    Its thumbnail of at most `size` pixels is in the cache then; equal pictures are decoded once. If
    it cannot be written, the facts say why. Raises PictureError if the picture is broken or too
    large, and OSError if reading fails. The file is neither opened nor closed here.
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
        made = thumbnail(data, size, header)
        try:
            cache.put(digest, size, made)
        except CannotDo as error:
            unsaved = str(error)
    return PictureFacts(digest, header.mime, header.width, header.height, len(data), unsaved)


def _whole(file: BinaryIO) -> bytes:
    size = file.seek(0, os.SEEK_END)
    check_size(size)
    file.seek(0)
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data
