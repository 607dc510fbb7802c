"""A window on a file -> a window on pieces of it, as if they were a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

from indexer.tags.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

Piece = tuple[int, int]
"""Begin and end in the file."""


class _Pieces:
    """The part of a file that a `Window` needs, made of pieces; all bounds are the first window's.

    An error of a read is also that window's `fault`.
    """

    def __init__(self, window: Window, pieces: Sequence[Piece]) -> None:
        self._window = window
        self._pieces = pieces
        self.keep_tags = window.keep

    def seek(self, _offset: int, _whence: int) -> int:
        """The size of all pieces: a `Window` seeks to the end only."""
        return sum(end - begin for begin, end in self._pieces)

    def read_at(self, at: int, size: int) -> bytes:
        """The bytes there; fewer at the end of a piece."""
        for begin, end in self._pieces:
            if at < end - begin:
                return self._window.fetch(begin + at, min(size, end - begin - at))
            at -= end - begin
        return b""


def window_on(window: Window, *pieces: Piece) -> Window:
    """A window on these pieces, one behind the other; each is within the file."""
    return Window(cast("BinaryIO", _Pieces(window, pieces)), ours_only=window.ours_only)
