"""The metadata of an MP4 file, in all the ways that are in use -> texts by column.

Beside the items of iTunes these are the items of QuickTime, whose names stand in a table (`keys`),
the texts of QuickTime's user data, and the user data of 3GPP. An item that is broken is left out;
it never costs another.

Sources: QuickTime File Format, "Metadata" and "User data text strings and language codes";
3GPP TS 26.244, 8 (asset information); what mutagen does for iTunes, of which no standard exists.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from indexer.tags import columns, further
from indexer.tags.code_pages import legacy_text
from indexer.tags.fast.mp4 import IMPLICIT, INTEGER, ITEM_LIMIT, UTF_8, UTF_16
from indexer.tags.id3.id3v1 import GENRES
from indexer.tags.id3.other_frames import USER_NAMES
from indexer.tags.mp4.boxes import ALIKE_LIMIT, HEADER_SIZE, boxes, content, unversioned
from indexer.tags.mp4.item_columns import (
    ATOMS,
    COVER_PARTS,
    EMPTY_COVER,
    FREEFORM,
    OTHER_FREEFORM,
    OTHER_NAMES,
    PAIRS,
    USER_DATA,
    known_name,
)
from indexer.tags.vorbis import comments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.mp4.boxes import Box
    from indexer.tags.window import Window

SHIFT_JIS: Final = 3
"""Type of a text (QuickTime File Format, "Well-known types"), as are these of numbers."""
INTEGERS: Final = {INTEGER: True, 22: False, 65: True, 66: True, 67: True, 75: False, 76: False}
"""Type of a whole number -> whether it has a sign."""
KEYS_LIMIT: Final = 256 * 1024
"""Maximum bytes read of a table of names. A guess: a phone writes 300."""
KEY_PREFIXES: Final = ("com.apple.quicktime.", "com.android.", "----:com.apple.itunes:")
MORE_KEYS: Final = {
    "album_artist": "albumartist",
    "performer": "artist",
    "track": "track",
    "publisher": "label",
    "description": "comment",
    "disc": "disc",
    "year": "date",
    "author": "artist",
    **columns.COLUMNS_OF_SECOND_NAMES,
}
"""Names of QuickTime and ffmpeg where a column is looked for when Vorbis' name is silent."""
LANGUAGE_LIMIT: Final = 0x400
"""A language below is one of Macintosh, whose text is not UTF-8."""

Part = tuple[int, bytes]
"""Type and payload of a `data` box."""


class Found:
    """What is in one `ilst`: texts by column, and by the names of QuickTime and others."""

    def __init__(self, keep: further.Keep) -> None:
        self.keep = keep
        self.values: columns.Values = {}
        self.named: columns.Values = {}
        self.others: columns.Values = {}
        self.has_picture = False


def sources_of(window: Window, holder: Box) -> Iterator[Found]:
    """The metadata in a file, a movie, a track or user data, the most usual first."""
    own = list(boxes(window, holder))
    data = [box for box in own if box.name == b"udta"][:ALIKE_LIMIT]
    places = [box for user_data in data for box in boxes(window, user_data)] + own
    for box in [box for box in places if box.name == b"meta"][:ALIKE_LIMIT]:
        yield _meta(window, box)
    for user_data in data:
        yield _user_data(window, user_data)


def _meta(window: Window, box: Box) -> Found:
    """The items of the lists in a `meta`."""
    found = Found(window.keep)
    names: list[str] = []
    for part in boxes(window, unversioned(window, box)):
        if part.name == b"keys":
            names = _names(content(window, part, KEYS_LIMIT))
        elif part.name == b"ilst":
            for item in boxes(window, part):
                number = int.from_bytes(item.name)
                if 0 < number <= len(names):
                    _add_named(found, names[number - 1], _parts(_head(window, item)))
                else:
                    _add(found, window, item)
    found.values = columns.filled(found.values, found.named)
    return found


def _head(window: Window, item: Box) -> bytes:
    return content(window, item, ITEM_LIMIT)


def _names(table: bytes) -> list[str]:
    """The names in a `keys`, each with its size and namespace; an item is called by its place."""
    names = []
    at = 8
    for _ in range(int.from_bytes(table[4:8])):
        size = int.from_bytes(table[at : at + 4])
        if size < HEADER_SIZE or at + size > len(table):
            break
        name = table[at + HEADER_SIZE : at + size].decode("utf-8", "replace").lower()
        for prefix in KEY_PREFIXES:
            name = name.removeprefix(prefix)
        names.append(name)
        at += size
    return names


def _add_named(found: Found, name: str, parts: list[Part]) -> None:
    """Add an item that is called by its name, which is Vorbis' or one of `MORE_KEYS`."""
    if name == "artwork":
        found.has_picture |= any(data for _, data in parts)
    elif name in comments.COLUMNS:
        found.named.setdefault(comments.COLUMNS[name], []).extend(_texts(parts))
    elif (name := columns.known_name(name)) in MORE_KEYS:
        found.others.setdefault(MORE_KEYS[name], []).extend(_texts(parts))
    else:
        _add_other(found, name, _texts(parts))


def _add_other(found: Found, name: str, texts: list[str]) -> None:
    """Add the texts of a further tag, if it is to be kept; data with NULs is no text."""
    column = further.column_of(name, found.keep)
    texts = [text for text in texts if "\0" not in text]
    if column is not None and texts:
        found.others.setdefault(column, []).extend(texts)


def _add(found: Found, window: Window, item: Box) -> None:
    """Add an item of iTunes."""
    name = item.name.decode("latin-1")
    if name == "covr":
        size = item.end - item.begin
        part = window.peek(item.begin, HEADER_SIZE)
        is_whole = int.from_bytes(part[:4]) <= size and size > EMPTY_COVER - HEADER_SIZE
        found.has_picture |= is_whole and part[4:] in COVER_PARTS
    elif name == "----":
        _add_freeform(found, _head(window, item))
    elif name in PAIRS:
        for column, texts in zip(PAIRS[name], _pair(_parts(_head(window, item))), strict=True):
            found.values[column] = texts
    elif name == "tmpo":
        rates = [_number(part) for part in _parts(_head(window, item))]
        found.values.setdefault("bpm", []).extend(rate for rate in rates if rate != "0")
    elif name == "cpil":
        flags = [any(data) for _, data in _parts(_head(window, item))]
        found.values["compilation"] = ["1"] if flags[-1:] == [True] else []
    elif name == "gnre":
        numbers = [int.from_bytes(data[:2]) for _, data in _parts(_head(window, item))]
        names = [GENRES[one - 1] for one in numbers if 0 < one <= len(GENRES)]
        found.values.setdefault("genre", []).extend(names)
    elif name in ATOMS:
        found.values.setdefault(ATOMS[name], []).extend(_texts(_parts(_head(window, item))))
    elif found.keep:
        texts = _texts(_parts(_head(window, item)))
        _add_other(found, OTHER_NAMES.get(name, name.replace("\xa9", "")), texts)


def _add_freeform(found: Found, item: bytes) -> None:
    """Add a `----`: `mean` (the owner) and `name`, with 4 bytes before their text, and `data`.

    The first two are known by their order, as in mutagen.
    """
    size = int.from_bytes(item[:4])
    end = size + int.from_bytes(item[size : size + 4])
    if size < 12 or end < size + 12:
        return
    key = f"----:{item[12:size].decode('latin-1')}:{item[size + 12 : end].decode('latin-1')}"
    key = known_name(key)
    if found.keep and key not in FREEFORM and key not in OTHER_FREEFORM:
        name = key.rpartition(":")[2]
        _add_other(found, USER_NAMES.get(name, name), _texts(_parts(item[end:])))
    for names, values in ((FREEFORM, found.values), (OTHER_FREEFORM, found.others)):
        column = names.get(key)
        if column is not None:
            texts = [
                data.decode("utf-16-be" if kind & 0xFFFFFF == UTF_16 else "utf-8", "replace")
                for kind, data in _parts(item[end:])
            ]
            values.setdefault(column, texts)


def _parts(item: bytes) -> list[Part]:
    """The `data` boxes of an item; one that is cut off counts only if it is very long."""
    found = []
    at = 0
    while at + 2 * HEADER_SIZE <= len(item):
        size = int.from_bytes(item[at : at + 4])
        if size < HEADER_SIZE or (at + size > len(item) and len(item) < ITEM_LIMIT):
            break
        if item[at + 4 : at + 8] == b"data" and size >= 2 * HEADER_SIZE:
            kind = int.from_bytes(item[at + 8 : at + 12])
            found.append((kind, item[at + 16 : at + size]))
        at += size
    return found


def _texts(parts: list[Part]) -> list[str]:
    """The parts that are texts or whole numbers, without those of no bytes."""
    texts = []
    for kind, data in parts:
        if kind in INTEGERS:
            texts.append(_number((kind, data)))
        elif kind in {IMPLICIT, UTF_8}:
            texts.append(_decode(data))
        elif kind == UTF_16:
            texts.append(data.decode("utf-16-be", "replace"))
        elif kind == SHIFT_JIS:
            texts.append(data.decode("shift_jis", "replace"))
    return [text for text in texts if text]


def _number(part: Part) -> str:
    kind, data = part
    return str(int.from_bytes(data[:8], signed=INTEGERS.get(kind, True)))


def _pair(parts: list[Part]) -> tuple[list[str], list[str]]:
    """A number and a total: 16 bits each behind 16 others, and cut short in some files."""
    if not parts:
        return [], []
    kind, data = parts[0]
    if kind == UTF_8 and data[:1].isdigit():
        return [_decode(data)], []
    numbers = [int.from_bytes(data[at : at + 2]) for at in (2, 4)]
    number, total = [[str(one)] if one else [] for one in numbers]
    return number, total


def _decode(data: bytes) -> str:
    """A text: UTF-8, or UTF-16 where it begins with a byte order mark, else of a code page."""
    if data[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        return data.decode("utf-16", "replace")
    with suppress(UnicodeDecodeError):
        return data.decode()
    return legacy_text(data)


def _user_data(window: Window, holder: Box) -> Found:
    """The texts of 3GPP and of QuickTime that are right in user data."""
    found = Found(window.keep)
    for box in boxes(window, holder):
        name = box.name.decode("latin-1")
        if name in USER_DATA:
            _add_asset(found, name, _head(window, box))
        elif name in ATOMS:
            texts = _user_texts(_head(window, box))
            found.values.setdefault(ATOMS[name], []).extend(texts)
    return found


def _add_asset(found: Found, name: str, asset: bytes) -> None:
    """Add an asset of 3GPP: version and flags, a language (both not in `yrrc`), then its value."""
    if name == "yrrc":
        found.values["date"] = [str(int.from_bytes(asset[4:6]))] if any(asset[4:6]) else []
        return
    text = asset[6:]
    if text[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        value, _, _ = text.decode("utf-16", "replace").partition("\0")
        rest = text[2 + len(value.encode("utf-16-be", "surrogatepass")) + 2 :]
    else:
        start, _, rest = text.partition(b"\0")
        value = _decode(start)
    places = found.others if name == "auth" else found.values
    places.setdefault(USER_DATA[name], []).append(value)
    if name == "albm" and len(rest) == 1 and rest[0]:
        found.values["track"] = [str(rest[0])]


def _user_texts(texts: bytes) -> list[str]:
    """QuickTime's texts: a size and a language of 16 bits each before each; one language is kept.

    ffmpeg's older versions and some phones write a `data` box here, as in a list.
    """
    if texts[4:8] == b"data":
        return _texts(_parts(texts))
    size = int.from_bytes(texts[:2])
    language = int.from_bytes(texts[2:4])
    text = texts[4 : 4 + size]
    if not text:
        return []
    return [text.decode("mac-roman") if _is_macintosh(language, text) else _decode(text)]


def _is_macintosh(language: int, text: bytes) -> bool:
    """Whether a text is of Mac OS Roman: its language is one of Macintosh, and it is no UTF-8."""
    if language >= LANGUAGE_LIMIT:
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False
