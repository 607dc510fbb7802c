"""Tags other than ID3 -> the pictures in them: FLAC, Ogg, MP4, APEv2, ASF, Matroska.

Only what leads to a picture is read, and the walks are bounded. Sources: RFC 9639, 8.8 (FLAC);
RFC 3533, 6 (Ogg); Vorbis I specification, 5; VorbisComment at wiki.xiph.org (pictures, and the old
COVERART); APEv2 at wiki.hydrogenaud.io; ASF specification, 3.10, 4.7 and 4.8; RFC 9559, 5.1.6 and
17.1 (attachments of Matroska).
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from struct import unpack, unpack_from
from typing import Final

from indexer.artwork.header import MOST_BYTES
from indexer.artwork.model import BACK, FRONT, Embedded, Take, in_memory, reading
from indexer.tags.id3 import id3v1
from indexer.tags.matroska.ebml import Elements
from indexer.tags.matroska.parts import ATTACHMENTS, parts_of, segment_of
from indexer.tags.mp4 import boxes
from indexer.tags.window import Window

BLOCKS_LIMIT: Final = 1_000
"""Maximum blocks, items, attributes or pictures looked at in one file. A guess: it has 20."""
HEAD: Final = 4096
"""Maximum bytes before a picture: MIME type and description. A guess."""
TEXT_LIMIT: Final = MOST_BYTES * 4 // 3 + 2**20
"""Maximum bytes of the comments in an Ogg file, where a picture is in base64."""
PAGES_LIMIT: Final = 50_000
"""Maximum pages looked at in an Ogg file; old encoders make them as small as 4 KB."""

_PICTURE, _COMMENTS = 6, 4
_BLOCK_PICTURE: Final = b"metadata_block_picture"
_COVERART: Final = b"coverart"
_APE: Final = b"APETAGEX"
_FOOTER: Final = 32
_COVER_ART: Final = b"cover art"
_KINDS: Final = {b"cover art (front)": FRONT, b"cover art (back)": BACK}
_EXTENDED_CONTENT: Final = bytes.fromhex("40a4d0d2 07e3 d211 97f0 00a0c95ea850")
_HEADER_EXTENSION: Final = bytes.fromhex("b503bf5f 2ea9 cf11 8ee3 00c00c205365")
_METADATA: Final = bytes.fromhex("eacbf8c5 af5b 7748 8467 aa8c44fa4cca")
_METADATA_LIBRARY: Final = bytes.fromhex("941c2344 9894 d149 a141 1d134e457054")
"""GUIDs of the objects of ASF that hold attributes, and of one that holds further objects."""
_WM_PICTURE: Final = "wm/picture"


def flac_pictures(window: Window) -> Iterator[Embedded]:
    """Those in the blocks of a FLAC stream, and in its comments."""
    at = 4
    for _ in range(BLOCKS_LIMIT):
        header = window.peek(at, 4)
        if len(header) < 4:
            return
        kind, size = header[0] & 0x7F, int.from_bytes(header[1:])
        yield from _of_block(window.peek, kind, at + 4, min(size, window.size - at - 4))
        at += 4 + size
        if header[0] & 0x80:
            return


def _of_block(take: Take, kind: int, at: int, size: int) -> Iterator[Embedded]:
    if kind == _PICTURE:
        found = _block_picture(take, at, size)
        if found is not None:
            yield found
    elif kind == _COMMENTS:
        yield from _in_comments(take(at, min(size, TEXT_LIMIT)))


def _block_picture(take: Take, at: int, size: int) -> Embedded | None:
    """Type, MIME type, description, four numbers, and the picture, each text with its length."""
    head = take(at, min(size, HEAD))
    if len(head) < 32:
        return None
    kind, length = unpack_from(">II", head)
    first = 8 + length
    if first + 4 > len(head) or head[8:first] == b"-->":
        return None
    (length,) = unpack_from(">I", head, first)
    text = head[first + 4 : first + 4 + length]
    first += 4 + length + 16
    if first + 4 > len(head):
        return None
    (length,) = unpack_from(">I", head, first)
    first += 4
    length = min(length, size - first)
    if length <= 0:
        return None
    name = text.decode("utf-8", "replace")
    return Embedded(kind, name, length, reading(take, at + first, length))


def _in_comments(data: bytes) -> Iterator[Embedded]:
    """The pictures in Vorbis comments; those of the old kind last, since they have no type."""
    old: list[Embedded] = []
    view = memoryview(data)
    at = 4 + int.from_bytes(view[:4], "little")
    count = int.from_bytes(view[at : at + 4], "little")
    at += 4
    for _ in range(min(count, 10 * BLOCKS_LIMIT)):
        size = int.from_bytes(view[at : at + 4], "little")
        if at + 4 + size > len(view):
            break
        item = view[at + 4 : at + 4 + size]
        at += 4 + size
        key, separator, _ = bytes(item[:32]).partition(b"=")
        key = key.lower()
        if not separator or key not in {_BLOCK_PICTURE, _COVERART}:
            continue
        content = _decoded(item[len(key) + 1 :])
        if content and key == _COVERART:
            old.append(Embedded(None, "", len(content), reading(in_memory(content), 0, 2**62)))
        elif content:
            found = _block_picture(in_memory(content), 0, len(content))
            if found is not None:
                yield found
    yield from old


def _decoded(text: memoryview) -> bytes:
    """Base64; nothing if it is broken."""
    try:
        return binascii.a2b_base64(text)
    except (binascii.Error, ValueError):
        return b""


def ogg_pictures(window: Window) -> Iterator[Embedded]:
    """Those in the comments of the first stream of sound in an Ogg file, or in its FLAC blocks."""
    is_flac = False
    for place, packet in enumerate(_packets(window)):
        if place == 0:
            is_flac = packet.startswith(b"\x7fFLAC")
        elif is_flac:
            size = min(int.from_bytes(packet[1:4]), len(packet) - 4)
            yield from _of_block(in_memory(packet), packet[0] & 0x7F, 4, size)
            if packet[0] & 0x80 or place > BLOCKS_LIMIT:
                return
        else:
            for mark in (b"\x03vorbis", b"OpusTags", b""):  # Speex has no mark
                if packet.startswith(mark):
                    yield from _in_comments(packet[len(mark) :])
                    return


_SOUND: Final = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")


def _packets(window: Window) -> Iterator[bytes]:
    """The packets at the head of the first stream whose first packet is one of sound.

    Pages of other streams, and those that are lost, are passed over. A packet above `TEXT_LIMIT` is
    cut off.
    """
    own: bytes | None = None
    at = 0
    packet = bytearray()
    for _ in range(PAGES_LIMIT):
        header = window.glance(at, 27)
        if len(header) < 27 or header[:4] != b"OggS":
            return
        lacing = window.glance(at + 27, header[26])
        at += 27 + len(lacing)
        size = sum(lacing)
        serial = header[14:18]
        if own is None and window.glance(at, 8).startswith(_SOUND):
            own = serial
        if serial == own:
            content = window.fetch(at, min(size, max(window.size - at, 0)))
            first = 0
            for length in lacing:
                packet += content[first : first + length]
                first += length
                if length < 255 or len(packet) > TEXT_LIMIT:
                    yield bytes(packet)
                    packet.clear()
        at += size


def mp4_pictures(window: Window) -> Iterator[Embedded]:
    """The items `covr` of iTunes; the first is the front."""
    whole = boxes.Box(b"", 0, window.size)
    holders = [boxes.movie_of(window)[0], whole]
    for holder in holders:
        own = list(boxes.boxes(window, holder))
        data = [box for box in own if box.name == b"udta"][: boxes.ALIKE_LIMIT]
        places = [box for one in data for box in boxes.boxes(window, one)] + own
        for meta in [box for box in places if box.name == b"meta"][: boxes.ALIKE_LIMIT]:
            for part in boxes.boxes(window, boxes.unversioned(window, meta)):
                if part.name == b"ilst":
                    yield from _covers(window, part)


def _covers(window: Window, items: boxes.Box) -> Iterator[Embedded]:
    for item in boxes.boxes(window, items):
        if item.name != b"covr":
            continue
        for part in boxes.boxes(window, item):
            begin, size = part.begin + 8, part.end - part.begin - 8  # type, and language
            if part.name == b"data" and size > 0:
                yield Embedded(FRONT, "", size, reading(window.peek, begin, size))


def ape_pictures(window: Window) -> Iterator[Embedded]:
    """Those in an APEv2 tag at the end of a file; an ID3v1 tag may follow it."""
    tail = window.tail
    end = window.size - (id3v1.SIZE if tail[-id3v1.SIZE :].startswith(id3v1.MARK) else 0)
    footer = window.peek(end - _FOOTER, _FOOTER) if end >= _FOOTER else b""
    if not footer.startswith(_APE):
        return
    size, count = unpack("<II", footer[12:20])
    at = end - size
    if at < 0:
        return
    for _ in range(min(count, BLOCKS_LIMIT)):
        head = window.peek(at, 8 + 256)
        nul = head.find(b"\0", 8)
        if nul < 0:
            return
        (size,) = unpack_from("<I", head)
        key = head[8:nul].lower()
        at += nul + 1
        if at + size > end:
            return
        if key.startswith(_COVER_ART):
            name, separator, _ = window.peek(at, min(size, HEAD)).partition(b"\0")
            begin = len(name) + 1
            if separator and size > begin:
                load = reading(window.peek, at + begin, size - begin)
                kind = _KINDS.get(key)
                yield Embedded(kind, name.decode("utf-8", "replace"), size - begin, load)
        at += size


def asf_pictures(window: Window) -> Iterator[Embedded]:
    """The attributes WM/Picture in any of the objects that hold some."""
    (size,) = unpack("<Q", window.peek(16, 8))
    objects = list(_objects(window, 30, min(size, window.size)))
    for name, begin, end in list(objects):
        if name == _HEADER_EXTENSION:
            objects.extend(_objects(window, begin + 22, end))
    for name, begin, end in objects:
        if name == _EXTENDED_CONTENT:
            yield from _content_pictures(window, begin, end)
        elif name in {_METADATA, _METADATA_LIBRARY}:
            yield from _metadata_pictures(window, begin, end)


def _objects(window: Window, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """GUID, begin and end of the content of each object."""
    for _ in range(BLOCKS_LIMIT):
        header = window.peek(at, 24)
        if at + 24 > end or len(header) < 24:
            return
        (size,) = unpack_from("<Q", header, 16)
        if size < 24:
            return
        yield header[:16], at + 24, min(at + size, end)
        at += size


def _content_pictures(window: Window, at: int, end: int) -> Iterator[Embedded]:
    """Attributes as length and name, type, length and value, with lengths of 16 bits."""
    (count,) = unpack("<H", window.peek(at, 2))
    at += 2
    for _ in range(min(count, BLOCKS_LIMIT)):
        (length,) = unpack("<H", window.peek(at, 2))
        name = window.peek(at + 2, length)
        at += 2 + length
        (size,) = unpack("<2xH", window.peek(at, 4))
        at += 4
        if at + size > end:
            return
        yield from _wm_picture(window, name, at, size)
        at += size


def _metadata_pictures(window: Window, at: int, end: int) -> Iterator[Embedded]:
    """Attributes with a language, a stream, and lengths of 16 and 32 bits."""
    (count,) = unpack("<H", window.peek(at, 2))
    at += 2
    for _ in range(min(count, BLOCKS_LIMIT)):
        length, size = unpack("<4xH2xI", window.peek(at, 12))
        name = window.peek(at + 12, length)
        at += 12 + length
        if at + size > end:
            return
        yield from _wm_picture(window, name, at, size)
        at += size


def _wm_picture(window: Window, name: bytes, at: int, size: int) -> Iterator[Embedded]:
    """Type, length, MIME type and description (UTF-16 with a NUL each), and the picture."""
    if name.decode("utf-16-le", "replace").rstrip("\0").lower() != _WM_PICTURE or size < 9:
        return
    head = window.peek(at, min(size, HEAD))
    first = 5
    texts: list[str] = []
    for _ in range(2):
        end = head.find(b"\0\0", first)
        while end >= 0 and (end - first) % 2:
            end = head.find(b"\0\0", end + 1)
        if end < 0:
            return
        texts.append(head[first:end].decode("utf-16-le", "replace"))
        first = end + 2
    length = min(int.from_bytes(head[1:5], "little"), size - first)
    if length > 0:
        yield Embedded(head[0], texts[1], length, reading(window.peek, at + first, length))


def matroska_pictures(window: Window) -> Iterator[Embedded]:
    """The attached files that are images; one named `cover` is the front."""
    elements = Elements(window)
    parts = parts_of(elements, segment_of(elements, window.size))
    for attachments in parts.of(ATTACHMENTS):
        for attached in elements.within(attachments):
            name = kind = ""
            begin = size = 0
            for one in elements.within(attached):
                match one.id:
                    case 0x466E:
                        name = elements.text(one, HEAD)
                    case 0x4660:
                        kind = elements.text(one, HEAD)
                    case 0x465C:
                        begin, size = one.begin, one.end - one.begin
            if kind.lower().startswith("image/") and size:
                front = FRONT if name.rpartition(".")[0].casefold() == "cover" else None
                yield Embedded(front, name, size, reading(window.peek, begin, size))
