"""One picture in the tags of a track, as its container tells of it, before its bytes are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

FRONT: Final = 3
BACK: Final = 4
"""Types of a picture (ID3v2.4.0-frames, 4.14), which FLAC, Ogg and ASF use as well."""

Take = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there, fewer at the end: of a file, or of a tag in memory."""


class Embedded(NamedTuple):
    """A picture, which is not read yet."""

    kind: int | None
    """Its type; None where the container knows none."""
    name: str
    """Its description, or its file name."""
    size: int
    """In bytes."""
    load: Callable[[], bytes]
    """Its bytes."""

    @property
    def rank(self) -> int:
        """Front covers first, then what is named a cover, then the others."""
        if self.kind == FRONT:
            return 0
        return 1 if self.kind != BACK and "cover" in self.name.casefold() else 2


def reading(take: Take, at: int, size: int) -> Callable[[], bytes]:
    """What loads these bytes later."""
    return lambda: take(at, size)


def in_memory(data: bytes) -> Take:
    return lambda at, size: data[at : at + size]
