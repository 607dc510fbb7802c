"""Elements -> the bytes of Matroska files: a fifth of a second of Opus, headers without sound.

Sources: RFC 8794 (EBML) 4 to 7; RFC 9559 (Matroska) 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

SEGMENT = 0x18538067
SEEK_HEAD, INFO, TRACKS, TAGS = 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1254C367
ATTACHMENTS, CLUSTER, CUES = 0x1941A469, 0x1F43B675, 0x1C53BB6B
VOID, CRC_32 = 0xEC, 0xBF

UNKNOWN = b"\x01" + b"\xff" * 7
"""A size that is not told (RFC 8794, 6.2)."""

Text = tuple[int | None, str, str]
"""The level of a tag (None: not told), a name, and its text."""


def element(number: int, content: bytes | Sequence[bytes] = b"", size: bytes = b"") -> bytes:
    """An element; `size` replaces what its size says."""
    if not isinstance(content, bytes):
        content = b"".join(content)
    return number_of(number) + (size or vint(len(content))) + content


def vint(value: int, width: int = 0) -> bytes:
    """A variable-size integer, the shortest unless a width is asked for."""
    width = width or next(n for n in range(1, 9) if value < (1 << 7 * n) - 1)
    return (value | 1 << 7 * width).to_bytes(width)


def number_of(value: int) -> bytes:
    """An unsigned integer, or an ID, in as few bytes as it takes."""
    return value.to_bytes((value.bit_length() + 7) // 8 or 1)


def unsigned(number: int, value: int) -> bytes:
    return element(number, number_of(value))


def float_(number: int, value: float) -> bytes:
    return element(number, struct.pack(">d", value))


def header(doc_type: bytes = b"matroska") -> bytes:
    return element(0x1A45DFA3, element(0x4282, doc_type))


def info(ticks: float | None = 200.0, *more: bytes) -> bytes:
    """Ticks of a millisecond."""
    length = b"" if ticks is None else float_(0x4489, ticks)
    return element(INFO, [unsigned(0x2AD7B1, 1_000_000), length, *more])


def audio(rate: float = 48_000.0, channels: int = 1, *more: bytes) -> bytes:
    return element(0xE1, [float_(0xB5, rate), unsigned(0x9F, channels), *more])


def entry(codec: str = "A_OPUS", *more: bytes, kind: int = 2, number: int = 1) -> bytes:
    """A track entry; its UID is a hundred times its number."""
    ids = [unsigned(0xD7, number), unsigned(0x73C5, 100 * number), unsigned(0x83, kind)]
    return element(0xAE, [*ids, element(0x86, codec.encode()), *(more or [audio()])])


def tracks(*entries: bytes) -> bytes:
    return element(TRACKS, entries or [entry()])


def simple(name: str, text: str, *more: bytes) -> bytes:
    return element(0x67C8, [element(0x45A3, name.encode()), element(0x4487, text.encode()), *more])


def tag(level: int | None, *simples: bytes, uid: int | None = None, uid_id: int = 0x63C5) -> bytes:
    targets = b"" if level is None else unsigned(0x68CA, level)
    targets += b"" if uid is None else unsigned(uid_id, uid)
    return element(0x7373, [element(0x63C0, targets), *simples])


def tags(texts: Iterable[Text]) -> bytes:
    """One tag for each level."""
    by_level: dict[int | None, list[bytes]] = {}
    for level, name, text in texts:
        by_level.setdefault(level, []).append(simple(name, text))
    return element(TAGS, [tag(level, *simples) for level, simples in by_level.items()])


def attachment(data: bytes, media_type: str = "image/jpeg") -> bytes:
    name = element(0x466E, b"cover.jpg")
    return element(0x61A7, [name, element(0x4660, media_type.encode()), element(0x465C, data)])


def attachments(*files: bytes) -> bytes:
    return element(ATTACHMENTS, files)


def block(ticks: int, sound: bytes = bytes(40), track: int = 1) -> bytes:
    """A block that begins so many ticks behind its cluster."""
    return element(0xA3, vint(track) + struct.pack(">hB", ticks, 0x80) + sound)


def cluster(start: int = 0, *blocks: bytes, size: bytes = b"") -> bytes:
    return element(CLUSTER, [unsigned(0xE7, start), *blocks], size)


def seek_head(*places: tuple[int, int]) -> bytes:
    """Of IDs and offsets in the segment. Each entry takes the same number of bytes."""
    return element(
        SEEK_HEAD,
        [
            element(0x4DBB, [element(0x53AB, number_of(kind)), element(0x53AC, at.to_bytes(8))])
            for kind, at in places
        ],
    )


def segment(*parts: bytes, size: bytes = b"") -> bytes:
    """A whole file; the size of its segment takes eight bytes."""
    content = b"".join(parts)
    return header() + element(SEGMENT, content, size or vint(len(content), 8))


def matroska() -> bytes:
    """Ten blocks of 20 ms."""
    return segment(info(), tracks(), cluster(0, *(block(20 * n) for n in range(10))))


def with_parts(content: bytes, *parts: bytes) -> bytes:
    """A file of `segment` with more at its end."""
    at = content.index(number_of(SEGMENT)) + 4
    return segment(content[at + 8 :], *parts)
