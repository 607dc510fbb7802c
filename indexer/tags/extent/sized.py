"""A file whose head tells its size (DSF, ASF, Monkey's Audio, Matroska) -> the share that is there.

Sources: DSF 1.01, "data chunk"; ASF 01.20.05, 3.2 and 5; Monkey's Audio SDK, `APE_DESCRIPTOR`;
RFC 9559, 5.1 (a segment).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.tags.window import Window

ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
MONKEY_NEWER: Final = 3980
SEGMENT: Final = b"\x18\x53\x80\x67"
MOST: Final = 1 << 62

_descriptor = Struct("<4sHHIIIIIII").unpack_from


def share_there(window: Window, begin: int) -> float | None:
    """See `extent.share_there`."""
    head = window.glance(begin, 96)
    if len(head) < 96:
        return None
    match head[:4]:
        case b"DSD ":
            end = _end_of_dsf(head)
        case b"MAC ":
            end = _end_of_monkeys_audio(head)
        case b"\x30\x26\xb2\x75":
            end = _end_of_asf(window, head, begin)
        case _:
            end = _end_of_matroska(window, begin)
    end += begin if end else 0
    return window.size / end if window.size < end < MOST else None


def _end_of_dsf(head: bytes) -> int:
    """Where the sound ends, if the size of the whole bears it out; else 0."""
    whole = int.from_bytes(head[12:20], "little")
    if head[80:84] != b"data":
        return 0
    end = 80 + int.from_bytes(head[84:92], "little")
    return end if 92 < end <= whole else 0


def _end_of_monkeys_audio(head: bytes) -> int:
    _, version, _, *sizes, high, last = _descriptor(head)
    if version < MONKEY_NEWER or not sizes[-1]:
        return 0
    return int(sum(sizes) + (high << 32) + last)


def _end_of_asf(window: Window, head: bytes, begin: int) -> int:
    """Where the data ends, behind the header; a stream that is sent has no such end."""
    at = int.from_bytes(head[16:24], "little")
    if head[:16] != ASF_HEADER or at > window.size:
        return 0
    data = window.glance(begin + at, 24)
    size = int.from_bytes(data[16:], "little")
    return at + size if data[:16] == ASF_DATA and size > 50 else 0


def _end_of_matroska(window: Window, begin: int) -> int:
    """Where the segment ends, behind the EBML header; 0 if its size is unknown."""
    size, width = _size(window.glance(begin + 4, 8))
    at = 4 + width + size
    if not width or window.glance(begin + at, 4) != SEGMENT:
        return 0
    size, width = _size(window.glance(begin + at + 4, 8))
    return at + 4 + width + size if width and size != (1 << 7 * width) - 1 else 0


def _size(content: bytes) -> tuple[int, int]:
    """A size of EBML and its width; its width is 0 if it is none (RFC 8794, 4)."""
    width = 9 - content[0].bit_length() if content else 9
    if width > len(content):
        return 0, 0
    return int.from_bytes(content[:width]) & (1 << 7 * width) - 1, width
