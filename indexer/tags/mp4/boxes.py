"""An MP4 file -> its boxes, as players find them where a box is irregular.

`fast.mp4` reads a regular file in one walk. Here each container is looked at by itself, so a box
with a wrong size costs what follows it in the same container, and no more. A size beyond the
container is cut off; one below that of a header ends the container, as the zero does that ends the
user data of QuickTime.

Sources: ISO 14496-12, 4.2 (boxes) and 8.11.1 (`meta`); QuickTime File Format, "Metadata" (a `meta`
without version and flags) and "User data atoms".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

HEADER_SIZE: Final = 8
LONG_HEADER_SIZE: Final = 16
CHILDREN_LIMIT: Final = 5000
"""Maximum boxes looked at in one container. A guess: a list of chapters may have hundreds."""
ALIKE_LIMIT: Final = 100
"""Maximum tracks of a movie, or lists of metadata in one place. A guess: a film has ten."""
TOP_LIMIT: Final = 50_000
"""Maximum boxes looked at in the file itself. A guess: a day of fragments of four seconds, each
with an index, a header and its sound."""
IN_META: Final = frozenset({b"hdlr", b"keys", b"ilst", b"mhdr", b"free", b"ctry", b"lang", b"ID32"})
"""Boxes of which one is the first in a `meta`."""


class Box(NamedTuple):
    """A box: its name, and where its content begins and ends."""

    name: bytes
    begin: int
    end: int


def top_boxes(window: Window) -> Iterator[Box]:
    """The boxes of the file, of which only the headers are read; the last may be cut short."""
    at = 0
    for _ in range(TOP_LIMIT):
        head = window.glance(at, LONG_HEADER_SIZE)
        box = _box(head, at, window.size)
        if box is None:
            return
        yield box
        at = box.end


def boxes(window: Window, within: Box) -> Iterator[Box]:
    """The boxes in a container."""
    at = within.begin
    for _ in range(CHILDREN_LIMIT):
        if at + HEADER_SIZE > within.end:
            return
        head = window.peek(at, LONG_HEADER_SIZE)
        box = _box(head, at, within.end)
        if box is None or head[:4] == bytes(4):
            return
        yield box._replace(end=min(box.end, within.end))
        at = box.end


def child(window: Window, within: Box | None, *path: bytes) -> Box | None:
    """The first box at this path of names below a container."""
    for name in path:
        if within is None:
            return None
        within = next((box for box in boxes(window, within) if box.name == name), None)
    return within


def content(window: Window, box: Box, limit: int) -> bytes:
    """The content of a box, and at most its first `limit` bytes."""
    return window.peek(box.begin, min(limit, box.end - box.begin))


def unversioned(window: Window, meta: Box) -> Box:
    """A `meta` without the version and flags that it begins with in MP4, but not in QuickTime.

    Android and others write QuickTime's in MP4, too: then the name of a box is where the second
    four bytes are, instead of the third.
    """
    head = window.peek(meta.begin, LONG_HEADER_SIZE)
    if head[4:8] in IN_META and head[8:12] not in IN_META:
        return meta
    return meta._replace(begin=min(meta.begin + 4, meta.end))


def movie_of(window: Window) -> tuple[Box, bool]:
    """The first `moov` of a file, as far as the file goes, and whether that is all of it.

    Raises ValueError if there is none.
    """
    for box in top_boxes(window):
        if box.name == b"moov":
            return box._replace(end=min(box.end, window.size)), box.end <= window.size
    raise ValueError("no moov box")


def _box(head: bytes, at: int, end: int) -> Box | None:
    """The box with this header; None if it is none. Its own end may be beyond `end`."""
    if len(head) < HEADER_SIZE:
        return None
    size, name, begin = int.from_bytes(head[:4]), head[4:8], at + HEADER_SIZE
    if size == 1:
        size = int.from_bytes(head[8:LONG_HEADER_SIZE])
        begin = at + LONG_HEADER_SIZE
    elif size == 0:
        size = end - at
    return Box(name, begin, at + size) if at + size >= begin else None
