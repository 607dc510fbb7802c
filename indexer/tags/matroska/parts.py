"""A Matroska file -> the elements that describe it, wherever they are.

Clusters, which hold the sound, are passed over by their sizes, and only where nothing tells what is
behind them. Sources: RFC 9559 (Matroska), 5.1.1 and 6.3 (SeekHead); RFC 8794 (EBML).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from indexer.tags.matroska.blocks import CLUSTER, TOP_LEVEL
from indexer.tags.matroska.ebml import EBML, FILLERS, SEGMENT, Element, Elements

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEK_HEAD: Final = 0x114D9B74
INFO: Final = 0x1549A966
TRACKS: Final = 0x1654AE6B
TAGS: Final = 0x1254C367
ATTACHMENTS: Final = 0x1941A469
DESCRIBING: Final = frozenset({SEEK_HEAD, INFO, TRACKS, TAGS, ATTACHMENTS})

AT_END: Final = (TOP_LEVEL | FILLERS) - {CLUSTER}
END_REACH: Final = 2**16
"""Bytes at the end that are searched for tags behind clusters that tell no size. A guess."""
MARKS_LIMIT: Final = 16
"""Maximum places there at which they may begin. A guess."""

PARTS_LIMIT: Final = 100
"""Maximum elements of one file that describe it. A guess: there are five."""

CLUSTERS_LIMIT: Final = 10_000
"""Maximum clusters passed over. A guess: they last 5 s, so this is 13 hours."""


class Parts(Struct):
    """The elements of a segment that describe it, in the order of reading."""

    found: dict[int, Element] = field(default_factory=dict)
    """By their offset."""
    cluster: Element | None = None
    """The first one."""
    is_open: bool = False
    """Whether a cluster does not tell where it ends, so that what follows it is not known."""

    def of(self, kind: int) -> list[Element]:
        """The elements with this ID."""
        return [element for element in self.found.values() if element.id == kind]


def segment_of(elements: Elements, size: int) -> Element:
    """The segment, which follows the header (RFC 8794, 4.4)."""
    header = elements.at(0, size)
    if header is None or header.id != EBML:
        raise ValueError("no EBML header")
    whole = header._replace(begin=header.end, end=size)
    segment = next((one for one in elements.within(whole) if one.id == SEGMENT), None)
    if segment is None:
        raise ValueError("no segment")
    return segment


def parts_of(elements: Elements, segment: Element) -> Parts:
    """What describes the segment: before its clusters, and where a SeekHead says it is.

    Without a SeekHead that is right, the clusters are passed over one by one.
    """
    parts = Parts()
    rest = _walk(elements, segment, segment.begin, parts)
    if _follow(elements, segment, parts):
        return parts
    for _ in range(CLUSTERS_LIMIT):
        if rest is None:
            break
        rest = _walk(elements, segment, rest, parts)
    if parts.is_open and not parts.of(TAGS):
        _search_end(elements, segment, parts)
    return parts


def _walk(elements: Elements, segment: Element, at: int, parts: Parts) -> int | None:
    """Keep what is met from an offset on; the offset behind the next cluster, if one is met.

    The end of a cluster without a size is not known, so the walk ends there.
    """
    while at < segment.end:
        element = elements.at(at, segment.end)
        if element is None:
            return None
        at = element.end
        if element.id == CLUSTER:
            parts.cluster = parts.cluster or element
            parts.is_open = not element.is_sized
            return at if element.is_sized else None
        if element.id in DESCRIBING and len(parts.found) < PARTS_LIMIT:
            parts.found[element.at] = element
    return None


def _search_end(elements: Elements, segment: Element, parts: Parts) -> None:
    """Keep what describes the segment at its very end: whole elements, one behind the other."""
    begin = max(segment.begin, segment.end - END_REACH)
    end = elements.bytes_at(begin, segment.end - begin)
    mark = TAGS.to_bytes(4)
    at = end.find(mark)
    for _ in range(MARKS_LIMIT):
        if at < 0:
            return
        row = _row(elements, segment, begin + at)
        if row:
            parts.found |= {one.at: one for one in row if one.id in DESCRIBING}
            return
        at = end.find(mark, at + 1)


def _row(elements: Elements, segment: Element, at: int) -> list[Element]:
    """The elements from an offset to the end of the segment; none if they are no such row."""
    row: list[Element] = []
    while at < segment.end and len(row) < PARTS_LIMIT:
        element = elements.at(at, segment.end)
        if element is None or not element.is_whole or element.id not in AT_END:
            return []
        row.append(element)
        at = element.end
    return row if at == segment.end else []


def _follow(elements: Elements, segment: Element, parts: Parts) -> bool:
    """Keep what the SeekHeads name, further SeekHeads too; whether there are any and all is there.

    What a SeekHead does not name is not there: a file without tags has none behind its sound.
    """
    heads = parts.of(SEEK_HEAD)
    is_right = bool(heads)
    for head in heads:  # grows meanwhile
        for kind, at in _seeks(elements, head, segment):
            if kind not in DESCRIBING or at in parts.found:
                continue
            element = elements.at(at, segment.end) if at < segment.end else None
            if element is None or element.id != kind:
                is_right = False
            elif len(parts.found) < PARTS_LIMIT:
                parts.found[at] = element
                if kind == SEEK_HEAD:
                    heads.append(element)
    return is_right


def _seeks(elements: Elements, head: Element, segment: Element) -> Iterator[tuple[int, int]]:
    """(ID, offset) of each element that a SeekHead names (RFC 9559, 5.1.1)."""
    for seek in elements.within(head):
        if seek.id == 0x4DBB:
            pair = {one.id: elements.unsigned(one) for one in elements.within(seek)}
            if 0x53AB in pair and 0x53AC in pair:
                yield pair[0x53AB], segment.begin + pair[0x53AC]
