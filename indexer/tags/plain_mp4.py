"""An MP4 file -> its stream info and iTunes atoms, if every atom is where it should be.

mutagen makes an object of each atom, seeks for each of their headers, and reads the sample entry
bit by bit: 300 us a file where this takes 60 (mutagen 1.48). So atoms that lie one in another as
they should are walked here, over covers and sample tables without reading them, and at anything
else (an atom longer than the one around it, two `moov`, fragments, chapters, text that is no UTF-8)
the answer is None: then mutagen decides. Where there is an answer it is mutagen's, and a property
test holds the two against each other.

Sources: ISO 14496-12, 4.2 (boxes) and 8 (`moov` and what is in it); QuickTime File Format,
"Metadata item list"; for `----` and the types of data what mutagen does.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from struct import Struct, error
from typing import TYPE_CHECKING, NamedTuple

from mutagen.mp4._as_entry import ASEntryError, AudioSampleEntry
from mutagen.mp4._atom import Atom as MutagenAtom
from mutagen.mp4._atom import AtomError

from indexer.tags.mp4 import ATOMS, COVER_PARTS, EMPTY_COVER, FREEFORM, PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags import columns
    from indexer.tags.window import Window

TEXTS = {name.encode("latin-1"): column for name, column in ATOMS.items() if name != "tmpo"}
NUMBERS = {name.encode("latin-1"): both for name, both in PAIRS.items()}
"""The same names as bytes."""

HEADER_SIZE = 8
IN_MOVIE = frozenset({b"udta", b"trak", b"mdia", b"meta", b"ilst", b"stbl", b"minf"})
"""Atoms of atoms, as far as mutagen looks."""
UNUSUAL = frozenset({b"moov", b"moof", b"traf", b"chpl"})
DEEPEST = 8
"""How deep atoms may lie. A guess: `stsd` lies at 5."""
ATOMS_LIMIT = 5000
"""Atoms that are walked in one file. A guess: iTunes writes 80."""
STEP = 4096
"""Bytes that are read behind what was stepped over. A guess: most tags without their cover."""
ITEM_LIMIT = 64 * 1024
"""Bytes of one item that are read here. A guess: of a comment 4 KB are kept."""
ENTRY_LIMIT = 512
"""Bytes of sample entries that are worth keeping. A guess: those of AAC have 100."""

IMPLICIT, UTF_8, UTF_16, INTEGER = 0, 1, 2, 21
"""Types of a `data` atom (QuickTime File Format, "Well-known types")."""

_header = Struct(">I4s").unpack_from
_pair = Struct(">2H").unpack_from


class NotPlain(Exception):
    """Something here is for mutagen to judge."""


class Stream(NamedTuple):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: int
    sample_rate: int
    channels: int
    bits_per_sample: int
    codec: str


class Mp4(NamedTuple):
    """What an MP4 file says of itself."""

    stream: Stream
    values: columns.Values
    has_picture: bool


class Atom(NamedTuple):
    """An atom's name, where its payload begins and ends, and the atoms in it that count."""

    name: bytes
    begin: int
    end: int
    atoms: dict[bytes, list[Atom]]


def plain_mp4(window: Window) -> Mp4 | None:
    """The file's sound and tags, or None if mutagen must read it."""
    try:
        movie = _movie(window)
        stream = _stream(window, movie.get(b"trak", []))
        values: columns.Values = {}
        has_picture = False
        metadata = _only(_only(movie, b"udta"), b"meta")
        for several in _only(metadata, b"ilst").values():
            for item in several:
                if item.name == b"covr":
                    has_picture |= _is_cover(window, item)
                else:
                    _add(window, item, values)
    except (NotPlain, error, UnicodeDecodeError):
        return None
    return Mp4(stream, values, has_picture)


def _movie(window: Window) -> dict[bytes, list[Atom]]:
    """The atoms in `moov`, found by a walk over all that lies beside it."""
    movie = None
    window.hold(0, HEADER_SIZE)
    budget = iter(range(ATOMS_LIMIT))
    at = 0
    while at + HEADER_SIZE <= window.size:
        head = window.glance(at, 16)
        size, name = _header(head)
        begin = at + HEADER_SIZE
        if size == 1:
            size = int.from_bytes(head[8:])
            begin = at + 16
            if size < 16 or len(head) < 16:
                raise NotPlain
        elif size == 0:
            size = window.size - at
        if size < HEADER_SIZE or name in IN_MOVIE:
            raise NotPlain
        at += size
        if name in UNUSUAL:
            if name != b"moov" or movie is not None or at > window.size:
                raise NotPlain
            window.hold(begin, HEADER_SIZE)
            movie = _atoms(window, begin, at, DEEPEST, budget)
        if next(budget, None) is None:
            raise NotPlain
    if movie is None:
        raise NotPlain
    return movie


def _atoms(
    window: Window, at: int, end: int, depth: int, budget: Iterator[int]
) -> dict[bytes, list[Atom]]:
    """The atoms in a place, by name; those in them too."""
    found: dict[bytes, list[Atom]] = {}
    block, start = b"", 0
    if not depth:
        raise NotPlain
    while at < end:
        first = at - start
        if first < 0 or first + HEADER_SIZE > len(block):
            block, start, first = window.glance(at, STEP), at, 0
        size, name = _header(block, first)
        begin = at + HEADER_SIZE
        at += size
        if size < HEADER_SIZE or at > end or name in UNUSUAL or next(budget, None) is None:
            raise NotPlain
        atoms = {}
        if name in IN_MOVIE:
            if name == b"meta":
                begin += 4
                if begin > at:
                    raise NotPlain
            atoms = _atoms(window, begin, at, depth - 1, budget)
        atom = Atom(name, begin, at, atoms)
        if name in found:
            found[name].append(atom)
        else:
            found[name] = [atom]
    return found


def _only(atoms: dict[bytes, list[Atom]], name: bytes) -> dict[bytes, list[Atom]]:
    """The atoms in the one of this name; none if there is none."""
    several = atoms.get(name)
    if several is None:
        return {}
    if len(several) > 1:
        raise NotPlain
    return several[0].atoms


def _first(window: Window, atoms: dict[bytes, list[Atom]], name: bytes, limit: int) -> bytes:
    """The first bytes of the first atom of this name."""
    several = atoms.get(name)
    if several is None:
        raise NotPlain
    begin, end = several[0].begin, several[0].end
    return window.peek(begin, min(limit, end - begin))


def _stream(window: Window, tracks: list[Atom]) -> Stream:
    """The sound of the first track that is one."""
    for track in tracks:
        media = _only(track.atoms, b"mdia")
        if _first(window, media, b"hdlr", 12)[8:12] == b"soun":
            break
    else:
        raise NotPlain
    head = _first(window, media, b"mdhd", 4 + 28)
    if head[:1] == b"\0" and len(head) >= 4 + 16:
        unit, length = int.from_bytes(head[12:16]), int.from_bytes(head[16:20])
    elif head[:1] == b"\1" and len(head) >= 4 + 28:
        unit, length = int.from_bytes(head[20:24]), int.from_bytes(head[24:32])
    else:
        raise NotPlain
    samples = _only(_only(media, b"minf"), b"stbl")
    entries = _first(window, samples, b"stsd", ENTRY_LIMIT + 1)
    if len(entries) > ENTRY_LIMIT or entries[:1] != b"\0":
        raise NotPlain
    entry = _entry(entries[4:])
    if entry is None:
        raise NotPlain
    return entry._replace(length=float(length) / unit if unit else 0.0)


@lru_cache(maxsize=512)
def _entry(entries: bytes) -> Stream | None:
    """The first sample entry, as mutagen reads it, and kept: an encoder writes the same again."""
    if not any(entries[:4]):
        return None
    file = BytesIO(entries[4:])
    try:
        entry = AudioSampleEntry(MutagenAtom(file), file)
    except (ASEntryError, AtomError, AssertionError, ValueError, LookupError, TypeError, error):
        return None
    return Stream(
        0.0, entry.bitrate, entry.sample_rate, entry.channels, entry.sample_size, entry.codec
    )


def _is_cover(window: Window, item: Atom) -> bool:
    """Whether a `covr` holds something; its first part is one that a cover has."""
    is_empty = item.end - item.begin <= EMPTY_COVER - HEADER_SIZE
    return not is_empty and window.peek(item.begin + 4, 4) in COVER_PARTS


def _add(window: Window, item: Atom, values: columns.Values) -> None:  # noqa: C901 - a case each
    """Add an item's values to their column; what is none of ours cannot refuse the file."""
    name = item.name
    if name in TEXTS:
        texts = [data.decode() for kind, data in _data(_content(window, item)) if _is_text(kind)]
        values.setdefault(TEXTS[name], []).extend([text for text in texts if text])
    elif name == b"----":
        _add_freeform(_content(window, item), values)
    elif name in NUMBERS:
        pairs = [_pair(data, 2) for _, data in _data(_content(window, item))]
        for column, number in zip(NUMBERS[name], pairs[0] if pairs else (), strict=False):
            values.setdefault(column, [str(number)] if number else [])
    elif name == b"cpil":
        for _, data in _data(_content(window, item)):
            if len(data) != 1:
                raise NotPlain
            values["compilation"] = ["1"] if any(data) else []
    elif name == b"tmpo":
        for kind, data in _data(_content(window, item)):
            if kind not in {IMPLICIT, INTEGER} or len(data) not in {1, 2, 4}:
                raise NotPlain
            if number := int.from_bytes(data, signed=True):
                values.setdefault("bpm", []).append(str(number))
    elif name == b"gnre" or item.atoms or name in IN_MOVIE:
        raise NotPlain


def _is_text(kind: int) -> bool:
    if kind not in {IMPLICIT, UTF_8}:
        raise NotPlain
    return True


def _content(window: Window, item: Atom) -> bytes:
    size = item.end - item.begin
    if size > ITEM_LIMIT:
        raise NotPlain
    return window.peek(item.begin, size)


def _data(content: bytes, at: int = 0) -> list[tuple[int, bytes]]:
    """Type and payload of the `data` atoms that fill an item; the version is part of the type."""
    found = []
    while at < len(content):
        size, name = _header(content, at)
        if size < 16 or name != b"data" or at + size > len(content):
            raise NotPlain
        kind = int.from_bytes(content[at + 8 : at + 12])
        found.append((kind, content[at + 16 : at + size]))
        at += size
    return found


def _add_freeform(content: bytes, values: columns.Values) -> None:
    """`mean` (whose), `name` and `data`; the first two have 4 bytes before their text."""
    size, mean = _header(content)
    end, name = _header(content, size)
    end += size
    if mean != b"mean" or name != b"name" or size < 12 or end < size + 12 or end > len(content):
        raise NotPlain
    data = _data(content, end)
    key = f"----:{content[12:size].decode('latin-1')}:{content[size + 12 : end].decode('latin-1')}"
    column = FREEFORM.get(key.lower())
    if column is not None:
        if column in values:
            raise NotPlain  # again, or in other letters
        values[column] = [
            text.decode("utf-16-be" if kind & 0xFFFFFF == UTF_16 else "utf-8", "replace")
            for kind, text in data
        ]
