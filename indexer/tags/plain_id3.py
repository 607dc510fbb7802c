"""The head of an MP3 file -> the texts of its ID3v2 tag, if that tag is a plain one.

mutagen copies the rest of the tag for every frame, builds checked objects, decodes UTF-16 a byte
at a time, and reads pictures whole: 0.4 to 1.8 ms a file where this takes 0.1 (mutagen 1.48).
So the tags that nearly every file has are walked here, and at anything out of the ordinary the
answer is None: then mutagen decides. Where there is an answer it is mutagen's, and a property test
holds the two against each other.

Sources: ID3v2.3.0 and ID3v2.4.0-structure, 3.1 to 4.1; ID3v2.4.0-frames, 4.2, 4.10, 4.14.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from mutagen.id3 import ID3TimeStamp

if TYPE_CHECKING:
    from indexer.tags.window import Window

Texts = dict[str, list[str]]
"""Texts by mutagen's key of a frame: `TIT2`, `TXXX:description`, `COMM:description:lang`."""

TEXT_FRAMES = frozenset(
    b"TIT2 TPE1 TPE2 TALB TCON TDRC TYER TDAT TIME TRCK TPOS TCOM TBPM TSRC TPUB TCMP".split()
)
"""Frames of one list of texts that become columns, or that mutagen makes TDRC of."""
WANTED = {name: name.decode() for name in TEXT_FRAMES | {b"TXXX", b"COMM", b"UFID", b"APIC"}}
"""Names as they stand in the file, and as mutagen says them."""

HEADER_SIZE = 10
PICTURE_HEAD = 1024
"""Bytes of an APIC frame that are read: encoding, type of file and description stand there."""

TEXT_LIMIT = 2 * 1024 * 1024
"""Bytes of one text frame. A guess: of a comment 4 KB are kept, and mutagen goes byte by byte."""
VALUES_LIMIT = 1000
"""Texts in one frame. A guess: mutagen copies the rest of the frame for each of them, so that a
frame of 4 MB of NULs takes hours."""

V23, V24 = 3, 4
SEVEN_BITS = 0x7F
KNOWN_STAMP = 32
"""Characters of a date that is worth keeping: `1993-06-07 10:20:30` has 19."""

_frame_header = Struct(">4sIH").unpack_from
_frame_size = Struct(">4xI").unpack_from


class Tag(NamedTuple):
    """What an ID3 tag holds, whoever parsed it."""

    texts: Texts
    has_picture: bool = False
    size: int = 0
    """Bytes that the ID3v2 tag takes at the head of the file."""
    version: int = V24
    """The x in ID3v2.x."""


class NotPlain(Exception):
    """Something here is for mutagen to judge."""


def plain_tag(window: Window) -> Tag | None:
    """The file's ID3v2 tag as it stands (nothing upgraded), or None if mutagen must read it."""
    header = window.peek(0, HEADER_SIZE)
    version = header[3] if len(header) == HEADER_SIZE else 0
    if not header.startswith(b"ID3") or version not in (V23, V24) or header[5]:
        return None
    try:
        size = HEADER_SIZE + _synchsafe(int.from_bytes(header[6:]))
        if size > window.size:
            return None
        return _read(window, version, size)
    except (NotPlain, UnicodeDecodeError):
        return None


def _read(window: Window, version: int, end: int) -> Tag:  # noqa: C901, PLR0912 - a call a frame costs
    texts: Texts = {}
    has_picture = False
    at = HEADER_SIZE
    block, start = window.hold(0, HEADER_SIZE)
    while True:
        at = start + _short_frames(block, at - start, min(len(block), end - start), texts)
        if at + HEADER_SIZE > end:
            break
        first = at - start
        if first + HEADER_SIZE > len(block):
            block, start = window.hold(at, HEADER_SIZE)
            first = at - start
            if len(block) - first < HEADER_SIZE:
                raise NotPlain
        name, size, flags = _frame_header(block, first)
        key = WANTED.get(name)
        if key is None:
            if not any(block[first : first + HEADER_SIZE]):
                return Tag(texts, has_picture, end, version)  # what follows is padding
            if not _is_name(name):
                raise NotPlain
        first += HEADER_SIZE
        if version == V24 and size > SEVEN_BITS:
            size = _synchsafe(size)
        begin = at + HEADER_SIZE
        at = begin + size
        if at > end:
            raise NotPlain
        if not size or key is None:
            continue
        if flags or (size > TEXT_LIMIT and key != "APIC"):
            raise NotPlain  # compressed, encrypted, unsynchronised, or more than any text
        if key == "APIC":
            has_picture |= _is_picture(window.peek(begin, min(size, PICTURE_HEAD)), size)
            continue
        payload = block[first : first + size]
        if len(payload) < size:
            payload = window.peek(begin, size)
        _add(texts, *_texts(key, payload))
    if any(window.peek(at, end - at)):
        raise NotPlain
    return Tag(texts, has_picture, end, version)


def _short_frames(block: bytes, at: int, end: int, texts: Texts) -> int:
    """Read the frames that nearly all are: short texts. Says where the first other one stands.

    Below 128 bytes a size is the same in both versions.
    """
    while at + HEADER_SIZE < end:
        (size,) = _frame_size(block, at)
        after = at + HEADER_SIZE + size
        if size > SEVEN_BITS or after > end:
            break
        known = _known_frame(block[at:after])
        if known is None:
            break
        key, values = known
        if key in texts:
            _add(texts, key, values)
        elif key:
            texts[key] = values
        at = after
    return at


@lru_cache(maxsize=4096)
def _known_frame(frame: bytes) -> tuple[str, list[str]] | None:
    """Key and texts of a whole frame, kept: an album's files have most of them in common.

    The key is empty where the frame is none of ours; None where it is no frame of texts.
    """
    name, size, flags = _frame_header(frame)
    key = WANTED.get(name)
    if key is None:
        return ("", []) if _is_name(name) else None
    if flags or key == "APIC" or not size:
        return None
    return _texts(key, frame[HEADER_SIZE:])


def _is_name(name: bytes) -> bool:
    return name.isalnum() and name.isupper()


def _add(texts: Texts, key: str, values: list[str]) -> None:
    """Add a frame's texts; where it comes again mutagen adds those that are new."""
    if key in texts and not key.startswith("UFID"):
        known = list(texts[key])
        known.extend(text for text in values if text not in known)
        texts[key] = known
    elif key:
        texts[key] = values


def _texts(key: str, payload: bytes) -> tuple[str, list[str]]:
    """Key and texts of a frame of texts; an empty key where it has none."""
    if key == "UFID":
        owner, _, identifier = payload.partition(b"\0")
        return f"UFID:{owner.decode('latin-1')}", [identifier.decode("utf-8", "replace")]
    if len(payload) == 1:  # only the byte that says the encoding
        return "", []
    return _text_frame(key, payload)


def _synchsafe(number: int) -> int:
    """Four bytes of seven bits each. Eight bits mean an old iTunes: mutagen knows about those."""
    if number & 0x80808080:
        raise NotPlain
    return number & 0x7F | number >> 1 & 0x3F80 | number >> 2 & 0x1FC000 | number >> 3 & 0xFE00000


def _text_frame(name: str, payload: bytes) -> tuple[str, list[str]]:
    """Key and texts of a text frame, or of one with a description before its texts."""
    if name == "TXXX":
        description, *values = _decode(payload[0], payload[1:])
        return f"TXXX:{description}", values
    if name == "COMM":
        language = payload[1:4].decode("ascii")
        description, *values = _decode(payload[0], payload[4:])
        return f"COMM:{description}:{language}", values
    values = _decode(payload[0], payload[1:])
    if name == "TDRC":
        values = [_time_stamp(value) for value in values]
    return name, values


def _time_stamp(text: str) -> str:
    """The text of a TDRC frame as mutagen gives it: without what is no time."""
    return _known_stamp(text) if len(text) <= KNOWN_STAMP else str(ID3TimeStamp(text))


@lru_cache(maxsize=1024)
def _known_stamp(text: str) -> str:
    """The same, kept: an album's files have one date."""
    return str(ID3TimeStamp(text))


def _decode(encoding: int, data: bytes) -> list[str]:
    """The texts in `data`, which are ended or separated by NULs; at least one."""
    if not data:
        raise NotPlain
    if encoding == 3:
        text = data.decode()
    elif encoding == 1 and data.startswith(b"\xff\xfe"):
        text = data.decode("utf-16")  # not utf-16-le, for which Python has no short way
    elif encoding == 0:
        text = data.decode("latin-1")
    else:
        raise NotPlain
    end = text.find("\0")
    if end < 0:
        return [text]
    if end == len(text) - 1:
        return [text[:end]]
    values = text.split("\0", VALUES_LIMIT + 2)
    other_order = encoding == 1 and any(text.startswith("\ufffe") for text in values[1:])
    if other_order or len(values) > VALUES_LIMIT:
        raise NotPlain
    if not values[-1]:
        values.pop()  # what follows the last terminator is no text
    if encoding == 1:
        first, *more = values
        return [first, *(text.removeprefix("\ufeff") for text in more)]
    return values


def _is_picture(head: bytes, size: int) -> bool:
    """Whether an APIC frame of `size` bytes that begins with `head` holds any picture data."""
    encoding = head[0]
    begin = head.find(b"\0", 1) + 2  # after the MIME type, its NUL and the kind of picture
    width, end = 1, head.find(b"\0", begin)
    if encoding in (1, 2):
        width, end = 2, begin
        while end < len(head) and any(head[end : end + 2]):
            end += 2
    elif end < 0:
        end = len(head)
    if begin == 1 or end >= len(head) or encoding > 3:
        raise NotPlain
    if end > begin:
        _decode(encoding, head[begin:end])
    return size > PICTURE_HEAD or bool(head[end + width :].strip(b"\0"))
