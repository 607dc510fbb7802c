"""The last blocks of a Matroska file -> how long it is, where its header does not state it.

A browser that records, and any program that writes to a pipe, cannot know it. Their clusters may
have no size either, so the last one is looked for from the end of the file.
Sources: RFC 9559, 5.1.3 (clusters) and 10 (blocks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags.matroska.ebml import Element, Elements, element_in, integer_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

CLUSTER: Final = 0x1F43B675
TIMESTAMP: Final = 0xE7
SIMPLE_BLOCK: Final = 0xA3
BLOCK_GROUP: Final = 0xA0
BLOCK: Final = 0xA1

REACHES: Final = (2**16, 2**18, 2**20)
"""How many bytes at the end are searched for a cluster, one after the other. A guess: browsers
begin a cluster every few seconds."""

TOP_LEVEL: Final = frozenset(
    {CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1254C367, 0x1941A469, 0x1C53BB6B, 0x1043A770}
)
"""IDs that end a cluster without a size."""


STEPS_LIMIT: Final = 20_000
"""Maximum elements looked at in the end of a file. A guess: it has 10 000 blocks of 100 bytes."""


def ticks(
    window: Window, elements: Elements, first: Element, track: int, frame_ticks: float
) -> float:
    """Ticks from the first cluster to the end of the last block of a track; 0 if not known.

    A block lasts `frame_ticks`, or if that is 0 as long as the one before it.
    """
    start = _timestamp(elements, first)
    for reach in REACHES:
        begin = max(window.size - reach, first.at)
        times = _Tail(window.peek(begin, window.size - begin)).last_times(track)
        if times:
            last = max(times)
            before = max((time for time in times if time < last), default=last)
            return max(last + (frame_ticks or last - before) - start, 0)
        if begin == first.at:
            break
    return 0.0


def _timestamp(elements: Elements, cluster: Element) -> int:
    """When a cluster begins; it is its first child."""
    first = next(elements.within(cluster), None)
    return elements.unsigned(first) if first is not None and first.id == TIMESTAMP else 0


class _Tail:
    """The last bytes of a file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left = STEPS_LIMIT

    def last_times(self, track: int) -> list[int]:
        """When the blocks of a track begin, in the last cluster that has one."""
        mark = CLUSTER.to_bytes(4)
        at = len(self._content)
        while (at := self._content.rfind(mark, 0, at)) >= 0 and self._left > 0:
            cluster = self._element(at, len(self._content))
            times = [] if cluster is None else self._times(cluster, track)
            if times:
                return times
        return []

    def _times(self, cluster: Element, track: int) -> list[int]:
        start: int | None = None
        times: list[int] = []
        for element in self._children(cluster):
            block: Element | None = element
            if element.id == TIMESTAMP:
                start = int.from_bytes(self._content[element.begin : element.end][:8])
            elif element.id == BLOCK_GROUP:
                block = next((one for one in self._children(element) if one.id == BLOCK), None)
            if block is None or start is None or block.id not in {SIMPLE_BLOCK, BLOCK}:
                continue
            number, width = integer_in(self._content, block.begin)
            if number == track and width:
                at = block.begin + width
                times.append(start + int.from_bytes(self._content[at : at + 2], signed=True))
        return times

    def _children(self, parent: Element) -> Iterator[Element]:
        at = parent.begin
        while at < parent.end:
            element = self._element(at, parent.end)
            if element is None or element.id in TOP_LEVEL:
                return
            yield element
            at = element.end

    def _element(self, at: int, end: int) -> Element | None:
        self._left -= 1
        if self._left < 0:
            return None
        return element_in(self._content, at, at, end)
