"""The end of a file -> where its sound ends: before ID3v1, Lyrics3 and APEv2.

Sources: ID3v1; Lyrics3 v2.00 (`LYRICS200` behind six digits of size); APEv2, footer of 32 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.tags.window import Window

ID3V1: Final = 128
APE_FOOTER: Final = 32
HAS_HEADER: Final = 0x8000_0000
LYRICS_END: Final = 15


def end_of_sound(window: Window) -> int:
    """The offset behind the sound."""
    tail = window.tail
    end = window.size
    if tail[-ID3V1:].startswith(b"TAG"):
        tail, end = tail[:-ID3V1], end - ID3V1
    if tail.endswith(b"LYRICS200") and tail[-LYRICS_END:-9].isdigit():
        end -= LYRICS_END + int(tail[-LYRICS_END:-9])
        tail = window.glance(max(end - APE_FOOTER, 0), min(APE_FOOTER, max(end, 0)))
    footer = tail[-APE_FOOTER:]
    if footer[:8] == b"APETAGEX" and len(footer) == APE_FOOTER:
        header = APE_FOOTER if int.from_bytes(footer[20:24], "little") & HAS_HEADER else 0
        end -= int.from_bytes(footer[12:16], "little") + header
    return end if 0 <= end <= window.size else window.size
