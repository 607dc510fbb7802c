"""An MP4 file -> the share that is there, by where its outer boxes end (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.tags.window import Window

BOXES_LIMIT: Final = 256
"""Maximum boxes; the fragments of a longer file are not followed. A guess."""
HEADER: Final = 16
NEEDED: Final = frozenset((b"mdat", b"moov", b"moof"))
"""Boxes whose end is missed. Others may be padding."""


def share_there(window: Window, begin: int) -> float | None:
    """See `extent.share_there`."""
    at = begin
    for _ in range(BOXES_LIMIT):
        header = window.glance(at, HEADER)
        if len(header) < 8:
            return None
        size = int.from_bytes(header[:4])
        if size == 1 and len(header) == HEADER:
            size = int.from_bytes(header[8:])
        if size < 8 or not header[4:8].isalnum():
            return None
        at += size
        if at > window.size:
            return window.size / at if header[4:8] in NEEDED and at < 1 << 62 else None
    return None
