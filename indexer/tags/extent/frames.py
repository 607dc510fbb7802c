"""A file that tells where its frames end (True Audio, WavPack, Musepack) -> the share there is.

Sources: True Audio, "TTA1 format description" (header and seek table); WavPack 4 & 5 Binary File /
Block Format; Musepack SV8, "Seek table offset packet".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags.ape import wavpack

if TYPE_CHECKING:
    from indexer.tags.window import Window

TTA_HEADER: Final = 22
TTA_FRAMES: Final = 64 * 1024
"""Maximum frames of a seek table that is read: 18 hours."""
WAVPACK_REACH: Final = 128 * 1024
PACKETS_LIMIT: Final = 8
"""Maximum packets before the sound of Musepack that are looked at."""


def share_there(window: Window, begin: int) -> float | None:
    """See `extent.share_there`."""
    match window.glance(begin, 4):
        case b"TTA1":
            return _of_true_audio(window, begin)
        case b"wvpk":
            return _of_wavpack(window, begin)
        case b"MPCK":
            return _of_musepack(window, begin)
        case _:
            return None


def _of_true_audio(window: Window, begin: int) -> float | None:
    header = window.glance(begin, TTA_HEADER)
    rate = int.from_bytes(header[10:14], "little")
    samples = int.from_bytes(header[14:18], "little")
    per_frame = 256 * rate // 245
    if len(header) < TTA_HEADER or not per_frame or not samples:
        return None
    frames = -(-samples // per_frame)
    if frames > TTA_FRAMES:
        return None
    table = window.peek(begin + TTA_HEADER, 4 * frames)
    if len(table) < 4 * frames:
        return 0.0
    sizes = memoryview(table).cast("I")
    end = begin + TTA_HEADER + 4 * frames + 4 + sum(sizes)
    return window.size / end if end > window.size else None


def _of_wavpack(window: Window, begin: int) -> float | None:
    """By the last block, if the file ends within it: what cuts between blocks is an editor."""
    first = wavpack.block_of(window.glance(begin, wavpack.HEADER_SIZE), begin)
    if first is None or first.total <= 0 or first.before:
        return None
    at = max(window.size - WAVPACK_REACH, begin)
    tail = window.glance(at, window.size - at)
    place = tail.rfind(wavpack.MARK)
    while place >= 0:
        last = wavpack.block_of(tail[place : place + wavpack.HEADER_SIZE], at + place)
        if last is not None and last.samples:
            if last.end <= window.size or last.before > first.total:
                return None
            within = last.samples * (window.size - last.at) / (last.end - last.at)
            return (last.before + within) / first.total
        place = tail.rfind(wavpack.MARK, 0, place)
    return None


def _of_musepack(window: Window, begin: int) -> float | None:
    """By where SV8 has its seek table, behind the sound."""
    at = begin + 4
    for _ in range(PACKETS_LIMIT):
        head = window.glance(at, 24)
        size, width = _number(head[2:])
        if not width or size < 3 or head[:2] == b"AP":
            return None
        if head[:2] == b"SO":
            offset, used = _number(head[2 + width :])
            end = at + offset
            return window.size / end if used and window.size < end < 1 << 62 else None
        at += size
    return None


def _number(content: bytes) -> tuple[int, int]:
    """A number of seven bits a byte, and its width; 0 if it does not end."""
    value = 0
    for width, byte in enumerate(content[:10], 1):
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, width
    return 0, 0
