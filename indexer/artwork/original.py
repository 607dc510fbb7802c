"""The place of a picture file or an audio file -> the bytes of the picture, as it is there now."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Final

from indexer.artwork.embedded import picture_of
from indexer.artwork.header import check_size
from indexer.artwork.model import PictureKey, PictureSource
from indexer.disk.descent import OpenFolders

HASH_BYTES: Final = 16
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK


def hash_of(data: bytes) -> bytes:
    """The hash by which a picture is known."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


def original_of(root_path: bytes, key: PictureKey, *, follow_links: bool) -> bytes | None:
    """The picture at a place of a root; None for a track that has none.

    Raises OSError if it cannot be read, and PictureError if it is too large.
    """
    with OpenFolders.at(root_path, follow_links=follow_links) as folders:
        descriptor = folders.open(key.path, _FLAGS)
    with os.fdopen(descriptor, "rb") as file:
        if key.source is PictureSource.TRACK:
            return picture_of(file)
        check_size(os.fstat(descriptor).st_size)
        return file.read()
