"""An Ogg file of several streams, one behind the other -> the samples of each.

Recordings of broadcasts are such chains: each title begins a new stream, with a serial number and
headers of its own. Where a stream ends is found by halving, so that few pages are read.

Source: RFC 3533, 4 (chaining) and 6.
"""

from __future__ import annotations

from struct import error
from typing import TYPE_CHECKING, Final, NamedTuple

from indexer.tags.fast.ogg_pages import (
    FIRST,
    HEADER_SIZE,
    LACING_LIMIT,
    NotPlain,
    longest_packet,
    page_header,
    start_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

LINKS_LIMIT: Final = 100
"""Maximum streams. A guess: an hour of broadcast has twenty titles."""
REACH: Final = 8 * 1024
"""Bytes that are read to find the next page; most pages have 4 KB."""
LONGEST_PAGE: Final = HEADER_SIZE + LACING_LIMIT + LACING_LIMIT * 255
MARK: Final = b"OggS"


class Page(NamedTuple):
    """A page that begins at `at`, and ends within the file."""

    at: int
    end: int
    flags: int
    position: int
    serial: int


class Link(NamedTuple):
    """One of the streams."""

    identity: bytes
    """Its first packet."""
    samples: int


def links_of(window: Window) -> list[Link]:
    """Two streams or more. Raises NotPlain if they are not one behind the other, or too many."""
    found: list[Link] = []
    at = 0
    while at < window.size:
        first = _page_at(window, at)
        if first is None or not first.flags & FIRST or len(found) == LINKS_LIMIT:
            raise NotPlain
        second = _page_at(window, first.end)
        if second is None or second.serial != first.serial:
            raise NotPlain  # streams side by side
        end, last = _end_of(window, second)
        identity = window.glance(at + HEADER_SIZE + 1, first.end - at - HEADER_SIZE - 1)
        start = start_of(window, at, first.serial, longest_packet(identity))
        found.append(Link(identity, last - start))
        at = end
    if len(found) < 2:  # it is damaged, or has no last page
        raise NotPlain
    return found


def _end_of(window: Window, page: Page) -> tuple[int, int]:
    """Where the stream of a page ends, and its last position.

    What follows the last whole page of a recording belongs to it. Raises NotPlain if more does, or
    the stream has no position.
    """
    serial = page.serial
    end = window.size
    while end - page.end > LONGEST_PAGE:
        middle = (page.end + end) // 2
        found = next(_pages(window, middle, min(middle + LONGEST_PAGE, end)), None)
        if found is not None and found.serial == serial:
            page = found
        else:
            end = middle
    position = page.position
    following: Page | None = page
    while following is not None and following.serial == serial:
        page = following
        position = max(position, page.position)
        following = _page_at(window, page.end)
    if position <= 0 or (following is None and window.size - page.end > LONGEST_PAGE):
        raise NotPlain
    return (page.end if following else window.size), position


def _pages(window: Window, at: int, end: int) -> Iterator[Page]:
    """The pages that begin between two offsets."""
    while at < end:
        data = window.glance(at, REACH)
        place = data.find(MARK)
        while place >= 0 and at + place < end:
            page = _page_at(window, at + place)
            if page is not None:
                yield page
            place = data.find(MARK, place + 1)
        at += max(len(data) - len(MARK) + 1, 1)


def _page_at(window: Window, at: int) -> Page | None:
    """The whole page that begins there, and with another one behind it, or the end of the file."""
    block = window.glance(at, HEADER_SIZE + LACING_LIMIT)
    try:
        flags, position, serial, _, lacing = page_header(block, 0)
    except (NotPlain, error):
        return None
    end = at + HEADER_SIZE + len(lacing) + sum(lacing)
    if end > window.size or (end < window.size and window.glance(end, len(MARK)) != MARK):
        return None
    return Page(at, end, flags, position, serial)
