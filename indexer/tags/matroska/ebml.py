"""A file in EBML -> its elements, one level at a time, with bounded reads.

Source: RFC 8794 (EBML), 4 (variable-size integers), 5 (IDs), 6 (sizes) and 7 (types). Nothing is
read but the headers of elements, and of a value no more than its reader asks for.
"""

from __future__ import annotations

from struct import unpack
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

EBML: Final = 0x1A45DFA3
"""The header, with which each file begins (RFC 8794, 11.2.1)."""
SEGMENT: Final = 0x18538067
"""All the rest of a Matroska file (RFC 9559, 5.1)."""
VOID: Final = 0xEC
CRC_32: Final = 0xBF
FILLERS: Final = frozenset({VOID, CRC_32})
"""Elements that may stand on any level (RFC 8794, 11.3)."""

LONGEST: Final = 8
"""Maximum bytes of an ID or a size that are understood. Matroska has IDs of up to four (RFC 9559,
5.1), but a header may announce longer ones (`EBMLMaxIDLength`), which are then skipped."""

HEADER: Final = 2 * LONGEST
"""Maximum bytes of an element's header."""

ELEMENTS_LIMIT: Final = 20_000
"""Maximum elements looked at in one file. A guess: a file has 100, and one for each cluster."""


class Element(NamedTuple):
    """One element; its content may be cut short by the end of its parent."""

    id: int
    at: int
    """Offset of its header."""
    begin: int
    """Offset of its content."""
    end: int
    """Offset behind its content; that of the parent if the size is unknown."""
    is_sized: bool
    """Whether it tells its size (RFC 8794, 6.2)."""
    is_whole: bool
    """Whether it ends where it says, and not at the end of its parent."""


class Elements:
    """The elements of one file, of which `ELEMENTS_LIMIT` can be met."""

    __slots__ = ("_left", "_window")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._left = ELEMENTS_LIMIT

    def at(self, at: int, end: int) -> Element | None:
        """The element that begins at this offset; None if none can begin there.

        Raises ValueError after `ELEMENTS_LIMIT` elements.
        """
        self._count()
        return element_in(self._window.glance(at, HEADER), 0, at, end)

    def within(self, parent: Element) -> Iterator[Element]:
        """The children of an element, up to the first that is none; without Void and CRC-32.

        Raises ValueError after `ELEMENTS_LIMIT` elements.
        """
        at, end = parent.begin, parent.end
        while at < end:
            self._count()
            block, start = self._window.hold(at, HEADER)  # children are close together
            element = element_in(block, at - start, at, end)
            if element is None:
                return
            if element.id not in FILLERS:
                yield element
            at = element.end

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError("more elements than any file has")

    def content(self, element: Element, limit: int) -> bytes:
        """The first `limit` bytes of an element."""
        return self._window.peek(element.begin, min(element.end - element.begin, limit))

    def bytes_at(self, at: int, size: int) -> bytes:
        """Bytes of the file, whatever they are."""
        return self._window.peek(at, size)

    def unsigned(self, element: Element) -> int:
        """An unsigned integer (RFC 8794, 7.2)."""
        return int.from_bytes(self.content(element, 8))

    def number(self, element: Element) -> float:
        """A float of 4 or 8 bytes (RFC 8794, 7.3); 0 for any other size."""
        content = self.content(element, 9)
        match len(content):
            case 4:
                return float(unpack(">f", content)[0])
            case 8:
                return float(unpack(">d", content)[0])
            case _:
                return 0.0

    def text(self, element: Element, limit: int) -> str:
        """A text in UTF-8, up to its first NUL (RFC 8794, 7.4 and 7.5)."""
        return self.content(element, limit).partition(b"\0")[0].decode("utf-8", "replace")


def element_in(data: bytes, first: int, at: int, end: int) -> Element | None:
    """The element whose header begins at an index of these bytes, which is the offset `at`.

    None if that is no header, or one that is longer than the bytes or reaches beyond `end`.
    """
    width = width_of(data, first)
    size, size_width = integer_in(data, first + width)
    begin = at + width + size_width
    if not width or not size_width or begin > end:
        return None
    is_sized = size != (1 << 7 * size_width) - 1
    is_whole = is_sized and begin + size <= end
    until = begin + size if is_whole else end
    number = int.from_bytes(data[first : first + width])
    return Element(number, at, begin, until, is_sized, is_whole)


def integer_in(data: bytes, at: int) -> tuple[int, int]:
    """Value and width of the variable-size integer at an index; the width is 0 if none is there.

    All bits set is a value as well: of a size it means that it is unknown.
    """
    width = width_of(data, at)
    if not width or at + width > len(data):
        return 0, 0
    return int.from_bytes(data[at : at + width]) & (1 << 7 * width) - 1, width


def width_of(data: bytes, at: int) -> int:
    """Bytes of the variable-size integer at an index: one, and one for each leading zero bit."""
    return _WIDTHS[data[at]] if at < len(data) else 0


_WIDTHS: Final = bytes([0, *(LONGEST + 1 - first.bit_length() for first in range(1, 256))])
"""First byte of a variable-size integer -> its width; 0 for none of up to eight bytes."""
