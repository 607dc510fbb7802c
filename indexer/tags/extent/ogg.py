"""An Ogg file -> the largest share that can be there, where it ends within a page.

How long it should be is told nowhere. A stream that was recorded, or joined to another, may lack
the flag of its end, but its pages are whole; one that was cut ends within a page (RFC 3533, 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.tags.window import Window

HEADER: Final = 27
REACHES: Final = (4 * 1024, 66 * 1024)
"""Bytes at the end in which the last page is searched. The largest page has 65 307."""


def share_there(window: Window, begin: int) -> float | None:
    """See `extent.share_there`: what it gives is never too small."""
    for reach in REACHES:
        size = min(reach, window.size - begin)
        tail = window.glance(window.size - size, size)
        at = tail.rfind(b"OggS\0")
        if at >= 0:
            return _share(window.size, tail[at:])
    return None


def _share(size: int, page: bytes) -> float | None:
    """`page` is from the beginning of the last page to the end of the file."""
    lacing = page[HEADER : HEADER + page[HEADER - 1]] if len(page) >= HEADER else b""
    if len(page) < HEADER or len(lacing) < page[HEADER - 1]:
        return size / (size + 1)
    missing = HEADER + len(lacing) + sum(lacing) - len(page)
    return size / (size + missing) if missing > 0 else None
