"""An MP4 file -> its stream info and iTunes atoms, if its atoms are regular.

mutagen makes an object of each atom, seeks for each of their headers, and reads the sample entry
bit by bit: 300 us a file where this takes 30 (mutagen 1.48). So properly nested atoms are read
here, and covers and sample tables are skipped. For anything else (an atom longer than its parent,
two `moov`, fragments, an unknown length, text that is not UTF-8, metadata that is not in an `ilst`)
the result is None, and the file is read box by box (`indexer.tags.mp4.mp4_file`). A result equals
mutagen's and that one's; property tests compare them.

Sources: ISO 14496-12, 4.2 (boxes) and 8 (`moov` and what is in it); QuickTime File Format,
"Metadata item list"; for `----` and the types of data what mutagen does.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, error
from typing import TYPE_CHECKING, Any

import msgspec

from indexer.model import Track
from indexer.remembered import forget_by
from indexer.tags import columns
from indexer.tags.fast.mp4_sample_entry import read_entry
from indexer.tags.mp4.item_columns import (
    ATOMS,
    COVER_PARTS,
    EMPTY_COVER,
    FREEFORM,
    OTHER_FREEFORM,
    PAIRS,
    USER_DATA,
    known_name,
)

if TYPE_CHECKING:
    from indexer.tags.window import Part, Window

TEXTS = {name.encode("latin-1"): column for name, column in ATOMS.items() if name != "tmpo"}
NUMBERS = {name.encode("latin-1"): both for name, both in PAIRS.items()}
"""`PAIRS` with the names as bytes."""

FREEFORM_TEXTS = FREEFORM | OTHER_FREEFORM

HEADER_SIZE = 8
LONG_HEADER_SIZE = 16
COVER_REACH = 16
"""Bytes of a `covr` up to the end of the name of its first atom."""
IN_MOVIE = frozenset({b"udta", b"trak", b"mdia", b"meta", b"ilst", b"stbl", b"minf"})
"""Container atoms that mutagen parses."""
UNUSUAL = frozenset({b"moov", b"moof", b"traf", b"chpl"})
NO_ITEM = IN_MOVIE | UNUSUAL
ITEMS = frozenset({*TEXTS, *NUMBERS, b"----", b"cpil", b"tmpo", b"gnre"})
"""Names of the items whose content is read."""
DEEPEST = 8
"""Maximum nesting of atoms. A guess: `stsd` is at 5."""
ATOMS_LIMIT = 5000
"""Maximum atoms beside `moov`. A guess: there are five."""
MOVIE_LIMIT = 20_000
"""Maximum atoms in `moov`, and items in an `ilst`. A guess: a file has 60."""
ITEM_LIMIT = 64 * 1024
"""Maximum bytes of one item. A guess: 4 KB of a comment are kept."""
SHORT = 192
"""Maximum bytes of an item that is cached, since short items repeat. A guess."""
OF_ONE_FILE = frozenset({"title", "titlesort", "isrc", "mb_trackid"})
"""Fields of items that differ in each file: the cache is left to those that repeat."""
KEPT_LIMIT = 4096
"""Cache size; a full cache is cleared. A guess: two or three items of a file are unique to it."""
KEPT: dict[bytes, columns.Fields] = {}
"""Cache of the fields of short items, keyed by the whole item with its header: files of an album
share most of them. Not `lru_cache`, whose look-up takes twice as long."""
forget_by(KEPT.clear)
ENTRY_LIMIT = 512
"""Maximum bytes of sample entries that are cached. A guess: those of AAC have 100."""
HEADS = {b"hdlr": 12, b"mdhd": 4 + 28, b"stsd": ENTRY_LIMIT + 1}
"""Bytes read of the atoms that describe the stream."""
ELSEWHERE = frozenset({*TEXTS, *(name.encode() for name in USER_DATA), b"keys", b"mvex"})
"""Atoms beside an `ilst` that hold metadata, or announce fragments."""
LOOKED_AT = IN_MOVIE.union(UNUSUAL, HEADS, ELSEWHERE)
"""Atoms in `moov` that are used, or that make it unusual."""

UNKNOWN = frozenset({0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF})
"""Durations that mean "unknown", as 0 does (ISO 14496-12, 8.4.2)."""

NOTHING_READ = Track(codec="")
"""A track without any tag."""

IMPLICIT, UTF_8, UTF_16, INTEGER = 0, 1, 2, 21
"""Types of a `data` atom (QuickTime File Format, "Well-known types")."""
TEXT_TYPES = frozenset({IMPLICIT, UTF_8})

_header = Struct(">I4s").unpack_from
_data_header = Struct(">I4sI").unpack_from
_pair = Struct(">2H").unpack_from
_long_size = Struct(">Q").unpack_from
_media_header = Struct(">2I").unpack_from
_long_media_header = Struct(">IQ").unpack_from


class NotPlain(Exception):
    """The file is unusual, and is read box by box."""


class Stream(msgspec.Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: float
    sample_rate: int
    channels: int
    bits_per_sample: int
    codec: str


class Mp4(msgspec.Struct):
    """Stream info and tags of an MP4 file."""

    stream: Stream
    fields: columns.Fields
    has_picture: bool
    tracks: int
    """Of any kind: sound, chapters, films."""


class Items(msgspec.Struct):
    """The tags in an `ilst`."""

    fields: columns.Fields | None
    """None if several items fill the same field."""
    has_picture: bool


Atom = dict[bytes, list[Any]]
"""A container atom: name -> its containers of that name (`Items` for an `ilst`), or the beginning
of the first atom of a name in `HEADS`. A plain dict, created in a tenth of an object's time; a file
has seven."""


def _only(atom: Atom, name: bytes) -> Atom:
    """The only container of this name; an empty one if there is none."""
    several = atom.get(name)
    if several is None:
        return {}
    if len(several) > 1:
        raise NotPlain
    only: Atom = several[0]
    return only


def _head(atom: Atom, name: bytes) -> bytes:
    """The beginning of the first atom of this name."""
    if name not in atom:
        raise NotPlain
    head: bytes = atom[name][0]
    return head


def plain_mp4(window: Window) -> Mp4 | None:
    """The file's stream info and tags, or None if it is unusual, or other tags are to be kept."""
    if window.keep:
        return None
    try:
        movie = _movie(window)
        tracks = movie.get(b"trak", [])
        if b"meta" in movie:
            return None
        stream = _stream(tracks)
        lists = _only(_only(movie, b"udta"), b"meta").get(b"ilst", [])
    except (NotPlain, error, UnicodeDecodeError):
        return None
    if len(lists) > 1:
        return None
    items = lists[0] if lists else Items({}, has_picture=False)
    if items.fields is None:
        return None
    return Mp4(stream, items.fields, items.has_picture, len(tracks))


def media_size(window: Window) -> int:
    """Bytes in the `mdat` atoms, which are those of the sound if there is one track."""
    return sum(end - begin for begin, end in media_parts(window))


def media_parts(window: Window) -> list[Part]:
    """The content of each `mdat` atom, as far as it is there."""
    found: list[Part] = []
    at = 0
    for _ in range(ATOMS_LIMIT):
        head = window.glance(at, LONG_HEADER_SIZE)
        if len(head) < LONG_HEADER_SIZE:
            break
        name, begin, at = _extent(head, 0, at, window.size)
        if at < begin:
            break
        if name == b"mdat":
            found.append((begin, max(begin, min(at, window.size))))
    return found


def _extent(block: bytes, first: int, at: int, file_size: int) -> tuple[bytes, int, int]:
    """Name, begin of the content, and end of an atom whose header is at an index of a block."""
    size, name = _header(block, first)
    if size == 1:
        (size,) = _long_size(block, first + HEADER_SIZE)
        return name, at + LONG_HEADER_SIZE, at + size
    return name, at + HEADER_SIZE, at + size if size else file_size


def _movie(window: Window) -> Atom:
    """Find `moov` among the top-level atoms, and read it."""
    movie = None
    media: list[Part] = []
    at = 0
    block, start = window.hold(at, LONG_HEADER_SIZE)
    for _ in range(ATOMS_LIMIT):
        if at + HEADER_SIZE > window.size:
            break
        first = at - start
        if first + LONG_HEADER_SIZE > len(block):
            block, start = window.hold(at, LONG_HEADER_SIZE)
            first = at - start
        name, begin, at = _extent(block, first, at, window.size)
        if at < begin or name in IN_MOVIE:
            raise NotPlain
        if name == b"mdat":
            media.append((begin, max(begin, min(at, window.size))))
        elif name in UNUSUAL:
            if name != b"moov" or movie is not None or at > window.size:
                raise NotPlain
            movie = _atom(window, begin, at)
    else:
        raise NotPlain
    if movie is None:
        raise NotPlain
    window.sound = media
    window.is_measured = at <= window.size  # the last atom ends in the file, as those before it
    return movie


def _atom(window: Window, at: int, end: int) -> Atom:  # noqa: C901, PLR0912 - one walk
    """The container between these offsets, with all levels below."""
    whole: Atom = {}
    found = whole
    around: list[tuple[Atom, int]] = []
    block, start = window.hold(at, HEADER_SIZE)
    reach = start + len(block)
    for _ in range(MOVIE_LIMIT):
        while at == end:
            if not around:
                return whole
            found, end = around.pop()
        begin = at + HEADER_SIZE
        if begin > reach:
            block, start = window.hold(at, HEADER_SIZE)
            reach = start + len(block)
        size, name = _header(block, at - start)
        at += size
        if size < HEADER_SIZE or at > end:
            raise NotPlain
        if name not in LOOKED_AT:  # most of them
            continue
        if name in HEADS:
            if name not in found:
                until = min(at, begin + HEADS[name])
                if until <= reach:
                    found[name] = [block[begin - start : until - start]]
                else:
                    found[name] = [window.peek(begin, until - begin)]
            continue
        if name == b"meta":
            begin += 4
        if name in UNUSUAL or name in ELSEWHERE or begin > at:
            raise NotPlain
        several = found.setdefault(name, [])
        if name == b"ilst":
            several.append(_items(window, begin, at))
        else:
            if len(around) == DEEPEST:
                raise NotPlain
            around.append((found, end))
            found, at, end = {}, begin, at
            several.append(found)
    raise NotPlain


def _items(window: Window, at: int, end: int) -> Items:
    fields: columns.Fields = {}
    filled = 0
    has_picture = False
    block, start = window.hold(at, COVER_REACH)
    for _ in range(MOVIE_LIMIT):
        if at >= end:
            return Items(fields if len(fields) == filled else None, has_picture)
        first = at - start
        if first + COVER_REACH > len(block):
            block, start = window.hold(at, COVER_REACH)
            first = at - start
        size, name = _header(block, first)
        begin = at
        at += size
        if size < HEADER_SIZE or at > end:
            raise NotPlain
        item = block[first : first + size] if size <= SHORT else b""
        more = KEPT.get(item)
        if more is None:
            if name in NO_ITEM:
                raise NotPlain
            if name == b"covr":  # mutagen drops one whose first atom is of another kind
                part = block[first + COVER_REACH - 4 : first + COVER_REACH]
                has_picture |= size > EMPTY_COVER and part in COVER_PARTS
                continue
            if name not in ITEMS:
                continue
            if size > ITEM_LIMIT:
                raise NotPlain
            more = fields_of(item if len(item) == size else window.peek(begin, size))
        fields |= more
        filled += len(more)
    raise NotPlain


def _stream(tracks: list[Atom]) -> Stream:
    """The stream of the first audio track."""
    for track in tracks:
        media = _only(track, b"mdia")
        if _head(media, b"hdlr")[8:12] == b"soun":
            break
    else:
        raise NotPlain
    if b"meta" in track or b"udta" in track:  # it may have metadata of its own
        raise NotPlain
    head = _head(media, b"mdhd")
    if head[:1] == b"\0":
        unit, length = _media_header(head, 12)
    elif head[:1] == b"\1":
        unit, length = _long_media_header(head, 20)
    else:
        raise NotPlain
    if not unit or not length or length in UNKNOWN:
        raise NotPlain
    entries = _head(_only(_only(media, b"minf"), b"stbl"), b"stsd")
    if len(entries) > ENTRY_LIMIT or entries[:1] != b"\0":
        raise NotPlain
    entry = _entry(entries[4:])
    if entry is None:
        raise NotPlain
    return Stream(float(length) / unit, *entry)


@lru_cache(maxsize=512)
def _entry(entries: bytes) -> tuple[int, int, int, int, str] | None:
    """Stream info without the length, from the first sample entry, as mutagen reads it.

    Cached: an encoder always writes the same entry.
    """
    if not any(entries[:4]):
        return None
    entry = read_entry(entries[4:])
    if entry is None:
        return None
    return entry.bitrate, entry.sample_rate, entry.channels, entry.bits_per_sample, entry.codec


forget_by(_entry.cache_clear)


def fields_of(item: bytes) -> columns.Fields:
    """The fields that an item fills, even if blank: mutagen treats some blank items as final."""
    fields: columns.Fields = {}
    for column, texts in values_of(item).items():
        field = columns.LISTS.get(column, column)
        fields[field] = getattr(NOTHING_READ, field, ())
        fields.update(columns.part_of(column, texts))
    if len(item) <= SHORT and OF_ONE_FILE.isdisjoint(fields):
        if len(KEPT) >= KEPT_LIMIT:
            KEPT.clear()
        KEPT[item] = fields
    return fields


def values_of(item: bytes) -> columns.Values:
    """An item's texts by column; an item of no column never causes a refusal."""
    name = item[4:HEADER_SIZE]
    if name == b"----":
        return _freeform(item[HEADER_SIZE:])
    parts = _data(item, HEADER_SIZE)
    if name in TEXTS:
        for kind, _ in parts:
            if kind not in TEXT_TYPES:
                raise NotPlain
        return {TEXTS[name]: [data.decode() for _, data in parts if data]}
    if name in NUMBERS:
        pairs = [_pair(data, 2) for _, data in parts]
        numbers = zip(NUMBERS[name], pairs[0] if pairs else (), strict=False)
        return {column: [str(number)] if number else [] for column, number in numbers}
    if name == b"cpil":
        if any(len(data) != 1 for _, data in parts):
            raise NotPlain
        return {"compilation": ["1"] if any(parts[-1][1]) else []} if parts else {}
    if name == b"tmpo":
        if any(
            kind not in {IMPLICIT, INTEGER} or len(data) not in {1, 2, 4} for kind, data in parts
        ):
            raise NotPlain
        rates = [int.from_bytes(data, signed=True) for _, data in parts]
        return {"bpm": [str(rate) for rate in rates if rate]}
    raise NotPlain  # `gnre`


def _data(content: bytes, at: int) -> list[tuple[int, bytes]]:
    """Type and payload of the `data` atoms from `at` on; the version is part of the type."""
    found = []
    while at < len(content):
        size, name, kind = _data_header(content, at)
        if size < 16 or name != b"data" or at + size > len(content):
            raise NotPlain
        found.append((kind, content[at + 16 : at + size]))
        at += size
    return found


def _freeform(content: bytes) -> columns.Values:
    """`mean` (the owner), `name` and `data`; the first two have 4 bytes before their text."""
    size, mean = _header(content)
    end, name = _header(content, size)
    end += size
    if mean != b"mean" or name != b"name" or size < 12 or end < size + 12 or end > len(content):
        raise NotPlain
    data = _data(content, end)
    key = f"----:{content[12:size].decode('latin-1')}:{content[size + 12 : end].decode('latin-1')}"
    column = FREEFORM_TEXTS.get(known_name(key))
    if column is None:
        return {}
    return {
        column: [
            text.decode("utf-16-be" if kind & 0xFFFFFF == UTF_16 else "utf-8", "replace")
            for kind, text in data
        ]
    }
