"""The end of a file -> where its sound ends, before the tags that follow it.

Sources: ID3v1; the APEv2 specification (footer of 32 bytes); Lyrics3 v2.00 and v1; ID3v2.4.0,
3.4 (footer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.tags.window import Window


ID3V1: Final = 128
FOOTER: Final = 32
"""Bytes at the end of a tag that state its size; the longest, that of APEv2."""
HAS_HEADER: Final = 1 << 31
TAGS_LIMIT: Final = 4
"""Maximum tags one behind the other. A guess: there are three kinds."""
LYRICS_REACH: Final = 5120 + 20
"""Maximum bytes of Lyrics3 v1, which does not state its size."""


def end_of_sound(window: Window) -> int:
    """The offset of the first of the tags at the file's end; its size without any."""
    end = window.size
    tail = window.tail
    if tail[-ID3V1:].startswith(b"TAG") and len(tail) >= ID3V1:
        end -= ID3V1
        tail = tail[:-ID3V1]
    for _ in range(TAGS_LIMIT):
        size = _size_of(window, tail[-FOOTER:], end)
        if not 0 < size <= end:
            break
        end -= size
        tail = window.glance(max(end - FOOTER, 0), min(FOOTER, end))
    return end


def _size_of(window: Window, foot: bytes, end: int) -> int:
    """The size of the tag that ends with these bytes; 0 for none."""
    if foot.startswith(b"APETAGEX"):
        size = int.from_bytes(foot[12:16], "little")
        return size + (FOOTER if int.from_bytes(foot[20:24], "little") & HAS_HEADER else 0)
    if foot.endswith(b"LYRICS200") and foot[-15:-9].isdigit():
        return int(foot[-15:-9]) + 15
    if foot.endswith(b"LYRICSEND"):
        at = max(end - LYRICS_REACH, 0)
        found = window.glance(at, end - at).rfind(b"LYRICSBEGIN")
        return 0 if found < 0 else end - at - found
    if foot[-10:-7] == b"3DI" and not any(byte & 0x80 for byte in foot[-4:]):
        size = 0
        for byte in foot[-4:]:
            size = size << 7 | byte
        return size + 20
    return 0
