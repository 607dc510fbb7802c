"""An audio file -> the bytes of the picture in its tags that counts, in bounded time and memory.

The front cover, else the first picture that is named a cover, else the first: of the tags of its
container, and of those of ID3 and APEv2 around it. What is broken in a tag costs no more than what
follows it there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from struct import error, unpack
from typing import BinaryIO, Final

from indexer.artwork import tag_pictures
from indexer.artwork.header import check_size
from indexer.artwork.id3_pictures import id3_pictures
from indexer.artwork.model import Embedded, PictureKey, PictureSource
from indexer.disk.descent import OpenFolders
from indexer.tags import leading
from indexer.tags.chunked.chunk_sizes import LAYOUTS, chunks_of, first
from indexer.tags.window import Window, window_on

_BROKEN = (ValueError, error, IndexError, OverflowError)
HASH_BYTES: Final = 16
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK


def picture_of(file: BinaryIO) -> bytes | None:
    """The picture of an open audio file; None if it has none that counts.

    Raises PictureError if that one is larger than any picture that is read, and OSError if reading
    fails.
    """
    window = Window(file)
    found = min(_found(window), key=lambda one: one.rank, default=None)
    if found is None:
        return None
    check_size(found.size)
    data = found.load()
    return data if data.strip(b"\0") else None


def _found(window: Window) -> Iterator[Embedded]:
    """All pictures of all tags up to the first front cover."""
    for source in _sources(window):
        try:
            for one in source:
                yield one
                if one.rank == 0:
                    return
        except _BROKEN:
            continue


def _sources(window: Window) -> Iterator[Iterable[Embedded]]:
    begin = leading.end_of_tags(window)
    suffix = leading.suffix_at(window, begin)
    yield _of_container(window, suffix, begin)
    at = 0
    for _ in range(leading.TAGS_LIMIT):
        size = leading.size_of(window.peek(at, leading.HEADER_SIZE))
        if not size:
            break
        yield id3_pictures(window, at)
        at += size
    if not at and not suffix:
        stray = leading.behind_junk(window, window.size)
        if stray is not None:
            yield id3_pictures(window, stray)
    yield tag_pictures.ape_pictures(window)


def _of_container(window: Window, suffix: bytes, begin: int) -> Iterable[Embedded]:
    """The pictures in the tags of the format that begins there."""
    read = _CONTAINERS.get(suffix)
    if read is None:
        return ()
    return read(window_on(window, (begin, window.size)) if begin else window)


def _in_chunk(window: Window) -> Iterator[Embedded]:
    """Those of an ID3 tag in a chunk of its own."""
    layout = LAYOUTS.get(window.peek(0, 4))
    tag = first(chunks_of(window, layout), b"ID3 ", b"id3 ") if layout else None
    if tag is not None:
        yield from id3_pictures(window, tag[0])


def _of_dsf(window: Window) -> Iterator[Embedded]:
    """Those of the ID3 tag at the offset that the head of a DSF file has."""
    (at,) = unpack("<Q", window.peek(20, 8))
    if at:
        yield from id3_pictures(window, at)


_CONTAINERS: Final[dict[bytes, Callable[[Window], Iterable[Embedded]]]] = {
    b".flac": tag_pictures.flac_pictures,
    b".ogg": tag_pictures.ogg_pictures,
    b".m4a": tag_pictures.mp4_pictures,
    b".mka": tag_pictures.matroska_pictures,
    b".wma": tag_pictures.asf_pictures,
    b".wav": _in_chunk,
    b".aiff": _in_chunk,
    b".dff": _in_chunk,
    b".dsf": _of_dsf,
}
"""Suffix of a format (`leading.BEGINNINGS`) -> what finds the pictures in its own tags."""


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
