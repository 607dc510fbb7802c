"""MPEG audio whose first frame tells its bytes (Xing, Info, VBRI) -> the share that is there.

Editors cut between frames and leave the header as it was, so a file counts as cut short only where
its sound ends within a frame, too. (One that does is 99 in 100 of those cut anywhere.)

Sources: as for `fast.mpeg_frames`; VBRI as in Fraunhofer's `VbriHeader.c`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags.fast.mpeg_frames import announced_size
from indexer.tags.fast.mpeg_header import Frame, frame_of
from indexer.tags.window import end_of_sound

if TYPE_CHECKING:
    from indexer.tags.window import Window

HEAD: Final = 52
"""Bytes up to the end of the count of bytes, in either header."""
SLACK: Final = 2048
"""Bytes that may be missing: programs count differently. A guess: a frame and its header."""
REACH: Final = 12 * 1024
"""Bytes at the end in which frames are followed. A guess: eight of the largest of layer III."""
FRAME_HEADER: Final = 4
ROW: Final = 3
"""Frames one behind the other that show where frames begin."""
SYNCS_LIMIT: Final = 2048


def share_there(window: Window, begin: int) -> float | None:
    """See `extent.share_there`; `begin` is where the first frame should be."""
    head = window.glance(begin, HEAD)
    frame = frame_of(head[:4])
    if frame is None or len(head) < HEAD:
        return None
    announced = announced_size(head, frame)
    if not announced:
        return None
    end = end_of_sound(window)
    there = end - begin
    if there + SLACK >= announced or not _ends_within_a_frame(window, begin, end, frame):
        return None
    return (begin + there) / (begin + announced)


def _ends_within_a_frame(window: Window, begin: int, end: int, first: Frame) -> bool:
    """Whether the last frame before the end goes on behind it, or has but a part of its header."""
    at = max(begin, end - REACH)
    block = window.glance(at, end - at)
    place = -1
    for _ in range(SYNCS_LIMIT):
        place = block.find(b"\xff", place + 1)
        if place < 0:
            return False
        reached, count = _followed(block, place, first)
        if count >= ROW:
            return reached > len(block) or 0 < len(block) - reached < FRAME_HEADER
    return False


def _followed(block: bytes, at: int, first: Frame) -> tuple[int, int]:
    """Where the frames from here on end, and how many there are."""
    count = 0
    while True:
        frame = frame_of(block[at : at + 4])
        if frame is None or frame.layer != first.layer or frame.sample_rate != first.sample_rate:
            return at, count
        at += frame.size
        count += 1
