"""A Matroska file -> its essence: the first frames of its blocks, without their headers.

A remuxer makes other clusters, so neither offsets nor the length are stable. Source: RFC 9559, 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags import essence
from indexer.tags.essence.unknown import UnknownSound
from indexer.tags.matroska.blocks import BLOCK, BLOCK_GROUP, CLUSTER, SIMPLE_BLOCK
from indexer.tags.matroska.ebml import Elements
from indexer.tags.matroska.ebml import integer_in as number_in

if TYPE_CHECKING:
    from indexer.tags.window import Window

REACH: Final = 16 * 1024
"""Bytes of frames. More than of other formats, since a silent beginning is among them."""
ELEMENTS_LIMIT: Final = 4000
"""Maximum elements looked at. A guess: frames of 4 bytes, which are silence."""
BLOCK_HEAD: Final = 3
"""Bytes of a block behind the number of its track: a time and flags."""


def essence_of(window: Window, codec: str) -> bytes:
    """Raises UnknownSound if no cluster was met."""
    if not window.sound:
        raise UnknownSound
    at, end = window.sound[0]
    elements = Elements(window)
    contents: list[bytes] = []
    left = REACH
    for _ in range(ELEMENTS_LIMIT):
        window.hold(at, 16)
        element = elements.at(at, end) if at < end else None
        if element is None or left <= 0:
            break
        if element.id in {CLUSTER, BLOCK_GROUP}:
            at = element.begin
            continue
        if element.id in {SIMPLE_BLOCK, BLOCK}:
            content = window.peek(element.begin, min(element.end - element.begin, left + 16))
            frame = content[number_in(content, 0)[1] + BLOCK_HEAD :][:left]
            contents.append(frame)
            left -= len(frame)
        at = element.end
    return essence.digest(codec, 0, b"".join(contents))
