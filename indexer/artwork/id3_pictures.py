"""An ID3v2 tag of any version -> the pictures in it (APIC, PIC).

Our own walk: mutagen copies the rest of a tag for each frame and reads each picture whole. A frame
that is encrypted or broken costs no other. Sources: ID3v2.2.0, 3 and 4.15; ID3v2.3.0, 3 and 4.15;
ID3v2.4.0-structure, 3 to 6, and -frames, 4.14.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from indexer.artwork.header import MOST_BYTES
from indexer.artwork.model import Embedded, Take, in_memory, reading
from indexer.tags import leading
from indexer.tags.window import Window

FRAMES_LIMIT: Final = 5_000
"""Maximum frames looked at in one tag. A guess: a file has 20."""
TAG_LIMIT: Final = MOST_BYTES + 2**20
"""Maximum bytes of a tag that is unsynchronised as a whole: it has to be read at once."""
HEAD: Final = 4096
"""Maximum bytes of a frame before its picture: type, MIME type and description. A guess."""

_UNSYNCHRONISED: Final = 0x80
_EXTENDED: Final = 0x40
_FOOTER: Final = 0x10
_WIDE: Final = (1, 2)
"""Encodings of two bytes a character."""
_LINK: Final = "-->"
"""MIME type of a picture that is only a URL."""


class _Flags:
    """What the flags of a frame say; the bits differ by version."""

    def __init__(self, version: int, flags: int) -> None:
        bits = (0x80, 0x40, 0x20, 0, 0) if version == 3 else (0x08, 0x04, 0x40, 0x02, 0x01)
        values = [bool(flags & bit) for bit in bits]
        if version == 2:
            values = [False] * 5
        self.compressed, self.encrypted, self.grouped, self.unsynchronised, self.sized = values

    @property
    def any(self) -> bool:
        return self.compressed or self.grouped or self.unsynchronised or self.sized


def id3_pictures(window: Window, begin: int = 0) -> Iterator[Embedded]:
    """The pictures in the tag that begins at an offset; none if no tag does."""
    header = window.peek(begin, leading.HEADER_SIZE)
    size = leading.size_of(header)
    version, flags = (header[3], header[5]) if size else (0, 0)
    if version not in leading.VERSIONS:
        return
    at = begin + leading.HEADER_SIZE
    end = min(begin + size - (leading.HEADER_SIZE if flags & _FOOTER else 0), window.size)
    take: Take = window.peek
    is_whole = bool(flags & _UNSYNCHRONISED)
    if is_whole and version < 4:
        body = _synchronised(window.peek(at, min(end - at, TAG_LIMIT)))
        take, at, end = in_memory(body), 0, len(body)
    if flags & _EXTENDED and version > 2:
        at += _extended_size(version, take(at, 4))
    for name, flags_of_frame, first, length in _frames(take, at, end, version):
        if name in {b"APIC", b"PIC"}:
            state = _Flags(version, flags_of_frame)
            state.unsynchronised |= is_whole and version == 4
            found = _picture(take, first, length, version, state)
            if found is not None:
                yield found


def _frames(take: Take, at: int, end: int, version: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Name, flags, begin and size of each frame up to the padding."""
    width = 3 if version == 2 else 4
    header_size = 6 if version == 2 else 10
    for _ in range(FRAMES_LIMIT):
        header = take(at, header_size)
        name = header[:width]
        if len(header) < header_size or not _is_name(name):
            return
        begin = at + header_size
        size = int.from_bytes(header[width : 2 * width])
        if version == 4:
            size = _size_v24(take, header[4:8], begin, end)
        size = min(size, end - begin)
        if size < 0:
            return
        yield name, int.from_bytes(header[8:10]), begin, size
        at = begin + size


def _size_v24(take: Take, field: bytes, begin: int, end: int) -> int:
    """A size of seven bits a byte; of eight, as old versions of iTunes wrote, if that fits."""
    plain = int.from_bytes(field)
    if max(field) < 0x80:
        size = _synchsafe(field)
        if size == plain or _is_frame_at(take, begin + size, end):
            return size
        return plain if _is_frame_at(take, begin + plain, end) else size
    return plain


def _is_frame_at(take: Take, at: int, end: int) -> bool:
    """Whether a frame, padding, or the end of the tag is there."""
    name = take(at, 4) if at + 4 <= end else b""
    return at == end or _is_name(name) or (at < end and not name.strip(b"\0"))


def _is_name(name: bytes) -> bool:
    return name.isalnum() and name.isupper() and name.isascii()


def _synchsafe(field: bytes) -> int:
    size = 0
    for byte in field:
        size = size << 7 | byte & 0x7F
    return size


def _extended_size(version: int, field: bytes) -> int:
    """Bytes of the extended header; none if a frame is there in spite of the flag."""
    if len(field) < 4 or _is_name(field):
        return 0
    if version == 3:
        return 4 + int.from_bytes(field)
    return _synchsafe(field)


def _synchronised(data: bytes) -> bytes:
    """Without the zero that was put behind each 0xff."""
    return data.replace(b"\xff\x00", b"\xff")


def _picture(take: Take, at: int, size: int, version: int, flags: _Flags) -> Embedded | None:
    """The picture in a frame; None if it has none, or none that can be read."""
    if flags.encrypted:
        return None
    if flags.any:
        if size > TAG_LIMIT:
            return None
        content = _content(take(at, size), version, flags)
        if content is None:
            return None
        take, at, size = in_memory(content), 0, len(content)
    return _parts(take, at, size, version)


def _content(data: bytes, version: int, flags: _Flags) -> bytes | None:
    """The content of a frame with flags; None if it cannot be inflated within `TAG_LIMIT`."""
    skipped = (4 if flags.compressed and version == 3 else 0) + flags.grouped + 4 * flags.sized
    if flags.unsynchronised:
        data = _synchronised(data)
    data = data[skipped:]
    if not flags.compressed:
        return data
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, TAG_LIMIT)
    except zlib.error:
        return None
    return inflated if inflater.eof else None


def _parts(take: Take, at: int, size: int, version: int) -> Embedded | None:
    """Encoding, MIME type (three letters in ID3v2.2), type, description, and the picture."""
    head = take(at, min(size, HEAD))
    if version == 2:
        mime, first = head[1:4], 4
    else:
        first = head.find(b"\0", 1) + 1
        mime = head[1 : first - 1] if first else b""
    if not first or first >= len(head) or mime.decode("latin-1") == _LINK:
        return None
    kind, first = head[first], first + 1
    text, begin = _text(head, first)
    if begin is None or begin >= size:
        return None
    length = size - begin
    return Embedded(kind, text, length, reading(take, at + begin, length))


def _text(head: bytes, first: int) -> tuple[str, int | None]:
    """The description, and where the picture begins; None if the text has no end."""
    if head[0] not in _WIDE:
        end = head.find(b"\0", first)
        coding = "utf-8" if head[0] == 3 else "latin-1"
        return head[first:end].decode(coding, "replace"), end + 1 if end >= 0 else None
    end = head.find(b"\0\0", first)
    while end >= 0 and (end - first) % 2:
        end = head.find(b"\0\0", end + 1)
    if end < 0:
        return "", None
    coding = "utf-16-be" if head[0] == 2 else "utf-16"
    return head[first:end].decode(coding, "replace"), end + 2
