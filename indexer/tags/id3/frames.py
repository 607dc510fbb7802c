"""A frame of an ID3 tag -> its texts, and the fields of a track that they fill.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"). Unusual frames are left to mutagen;
for all others the texts are the same as mutagen's.

Sources: ID3v2.3.0 and ID3v2.4.0-structure, 4; ID3v2.4.0-frames, 4.2, 4.10, 4.11, 4.14.
"""

from __future__ import annotations

import re
from struct import Struct

from indexer.remembered import forget_by
from indexer.tags import columns
from indexer.tags.id3 import id3_dates
from indexer.tags.id3.id3v1 import GENRES

FRAMES = {
    "TIT2": "title",
    "TPE1": "artist",
    "TPE2": "albumartist",
    "TALB": "album",
    "TCON": "genre",
    "TRCK": "track",
    "TPOS": "disc",
    "TCOM": "composer",
    "TBPM": "bpm",
    "TSRC": "isrc",
    "TPUB": "label",
    "TCMP": "compilation",
    "TSO2": "albumartistsort",
    "TSOP": "artistsort",
    "TSOA": "albumsort",
    "TSOT": "titlesort",
    "TSOC": "composersort",
    "TSST": "discsubtitle",
    "TMED": "media",
    "MVNM": "movement",
    "TPE3": "conductor",
    "TMOO": "mood",
    "GRP1": "grouping",
    "TIT1": "grouping",
    "TKEY": "key",
    "USLT": "has_lyrics",
    "UFID:http://musicbrainz.org": "mb_trackid",
}
LYRICS = "USLT"
"""The key of all lyrics, those of SYLT too."""
GROUPS = ("GRP1", "TIT1")
"""Frames of the grouping: where iTunes writes the first, the other one has the work."""
ARTISTS = "artists"
"""Description of a TXXX frame with the artists one by one: Picard's, beside TPE1."""
QUOD_LIBET = "quodlibet::"
"""Quod Libet's prefix of the names of tags for which it knows no frame."""
OWN_NAMES = {**columns.BY_PICARDS_NAME, "albumartist": "albumartist"}
del OWN_NAMES["artist"]  # where it stands, TPE1 does, too
USER_TEXTS = {
    **columns.COLUMNS_OF_SECOND_NAMES,
    **OWN_NAMES,
    **{QUOD_LIBET + name: column for name, column in OWN_NAMES.items()},
    "album artist": "albumartist",
    ARTISTS: "artist",
    "discnumber": "disc",
    "disctotal": "disc_total",
    "totaldiscs": "disc_total",
    "totaltracks": "track_total",
    "tracktotal": "track_total",
    "movement": "movement",
    "unsyncedlyrics": "has_lyrics",
    "tcmp": "compilation",
    "uslt": "has_lyrics",
}
"""Descriptions of TXXX frames in lower case: taggers do not agree on the case. A frame of its own
comes first. ffmpeg (5.1) writes all texts in TXXX that have no frame of a plain text, with the
names that they had in FLAC, which are Picard's."""

GAINS = {
    "track": ("replaygain_track_gain", "replaygain_track_peak"),
    "album": ("replaygain_album_gain", "replaygain_album_peak"),
}
"""Descriptions of RVA2 frames in lower case -> the columns of gain and peak."""
MASTER = 1
"""The channel of RVA2 that stands for all (ID3v2.4.0-frames, 4.11)."""

WANTED = {
    name.encode(): name
    for name in (*FRAMES, *id3_dates.NAMES, "TXXX", "COMM", "UFID", "APIC", "RVA2", "SYLT")
    if ":" not in name
}
"""Name in the file -> mutagen's key."""
SKIMMED = frozenset({"APIC", LYRICS, "SYLT"})
"""Frames of which only the beginning is read, to know whether they hold anything."""

V23, V24 = 3, 4
HEADER_SIZE = 10
SEVEN_BITS = 0x7F
SKIMMED_HEAD = 1024
"""Bytes read of a frame that is skimmed: of a picture, encoding, MIME type and description."""
TEXT_LIMIT = 2 * 1024 * 1024
"""Maximum bytes of a text frame. A guess: 4 KB of a comment are kept; mutagen goes byte by byte."""
VALUES_LIMIT = 1000
"""Maximum texts in one frame. A guess: mutagen copies the rest of the frame for each of them, so a
frame of 4 MB of NULs takes hours."""

_CODED_GENRE = re.compile(r"\(|[^\n]*\n|\d+\Z|CR\Z|RX\Z")
_CODES = re.compile(r"((?:\((?:[0-9]+|RX|CR)\))*)(.+)?")
_GENRE_WORDS = {"CR": "Cover", "RX": "Remix"}
_LONGEST_CODE = 9
"""Maximum digits of a genre's number; Python refuses to convert thousands of them."""

_volume_of = Struct(">BhB")
"""Channel, gain in 1/512 dB, and bits of the peak."""
_PEAK_BITS = (0, 8, 16, 24, 32)
_FULL_SCALE = 2**31 - 1

header_of = Struct(">4sIH").unpack_from
"""Name, size and flags of a frame."""


class NotPlain(Exception):
    """The data is unusual and must be read by mutagen."""


Frame = tuple[str, list[str], columns.Part]
"""A frame's key, its texts, and the fields that they fill if no other frame fills them.

Without texts if all of them are blank."""

ARTISTS_BESIDE = "TXXX"
"""Not a field of a track. Marks a frame of `ARTISTS`, whose use depends on TPE1."""

FOREIGN: Frame = ("", [], {})
"""A frame that belongs to no column."""

OTHER_IDS = ("MusicBrainz Release Track Id", "MusicBrainz Work Id", "Acoustid Id")
"""Descriptions of TXXX frames of no column that differ in each file."""
OF_ONE_FILE = frozenset({
    "TIT2", "TSOT", "TSRC", "UFID:http://musicbrainz.org", *(f"TXXX:{one}" for one in OTHER_IDS)
})  # fmt: skip
"""Keys of frames that differ in each file: the cache is left to those that repeat."""
UTF_16 = b"\xff\xfe"
"""The mark of its byte order, as it is nearly always."""
OF_NO_COLUMN: dict[bytes, Frame] = {
    head: (f"TXXX:{one}", [], {})
    for one in OTHER_IDS
    for head in (
        b"\0" + one.encode() + b"\0",
        b"\3" + one.encode() + b"\0",
        b"\1" + UTF_16 + one.encode("utf-16-le") + b"\0\0",
    )
}
"""Payload of a frame of `OTHER_IDS` up to its text -> the frame, told without decoding the text."""
KEPT_LIMIT = 4096
"""Cache size; a full cache is cleared. A guess: two or three frames of a file are unique to it."""
KEPT: dict[int, dict[bytes, Frame]] = {V23: {}, V24: {}}
"""Caches of short frames by the x in ID3v2.x, keyed by the whole frame with its header: files of an
album share most of them. Not `lru_cache`, whose look-up takes twice as long."""
forget_by(KEPT[V23].clear)
forget_by(KEPT[V24].clear)


def short_frame(content: bytes, version: int) -> Frame | None:
    """Parse and cache a whole frame whose size is in the last byte of its header; None otherwise.

    That byte has seven bits of the size in ID3v2.4, eight in ID3v2.3, where the ids of MusicBrainz
    in UTF-16 are longer than seven tell.
    """
    name, size, flags = header_of(content)
    key = WANTED.get(name)
    if size != len(content) - HEADER_SIZE or (size > SEVEN_BITS and version == V24):
        return None
    if key is None:
        if not is_name(name):
            return None
        frame = FOREIGN
    elif flags or key in SKIMMED or not size:
        return None
    else:
        other = _other_id(content[HEADER_SIZE:]) if key == "TXXX" else None
        frame = other or frame_of(key, content[HEADER_SIZE:])
    if frame[0] in OF_ONE_FILE:
        return frame
    kept = KEPT[version]
    if len(kept) >= KEPT_LIMIT:
        kept.clear()
    kept[content] = frame
    return frame


def _other_id(payload: bytes) -> Frame | None:
    """The TXXX frame, if it is one of `OTHER_IDS`, and its text can be decoded for sure."""
    is_wide = payload[0] == 1
    end = payload.find(b"\0\0\0") + 3 if is_wide else payload.find(b"\0", 1) + 1
    frame = OF_NO_COLUMN.get(payload[:end])
    if frame is None:
        return None
    text = payload[end:]
    if is_wide:
        is_plain = text[:2] == UTF_16 and not len(text) % 2 and not any(text[3::2])
    else:
        is_plain = text.isascii()
    return frame if is_plain else None


def is_name(name: bytes) -> bool:
    """Whether this is a valid frame name."""
    return name.isalnum() and name.isupper()


def frame_of(name: str, payload: bytes) -> Frame:
    column = FRAMES.get(name)
    if name == "UFID":
        owner, _, identifier = payload.partition(b"\0")
        key, texts = f"UFID:{owner.decode('latin-1')}", [identifier.decode("utf-8", "replace")]
        column = FRAMES.get(key)
    elif len(payload) == 1:  # only the encoding byte
        return FOREIGN
    elif column is not None:
        key, texts = name, decode(payload[0], payload[1:])
        if name == "TCON":
            texts = genres(texts)
    elif name == "TXXX":
        description, *texts = decode(payload[0], payload[1:])
        key = f"TXXX:{description}"
        column = USER_TEXTS.get(columns.known_name(description.lower()))
    elif name == "COMM":
        language = payload[1:4].decode("ascii")
        description, *texts = decode(payload[0], payload[4:])
        key = f"COMM:{description}:{language}"
        column = None if is_by_program(description) else "comment"
    else:
        return _volume(payload) if name == "RVA2" else _date(name, payload)
    if column is None:
        return key, texts, {}
    part = columns.part_of(column, texts)
    if not part:
        texts, part = [], columns.blank_part_of(column)
    if column == "artist" and name == "TXXX":
        part = {ARTISTS_BESIDE: texts}
    return key, texts, part


def _date(name: str, payload: bytes) -> Frame:
    texts = decode(payload[0], payload[1:])
    return name, texts, _date_part(name, texts)


def _date_part(name: str, texts: list[str]) -> columns.Part:
    """The date if it is a TDRC with a year; else the texts, to be joined with other frames'."""
    if name != "TDRC":
        return {name: texts}
    part = columns.part_of("date", id3_dates.date_of({name: texts}))
    if part.get("year") is not None:
        return part
    return {**columns.blank_part_of("date"), **part, name: texts}


def _volume(payload: bytes) -> Frame:
    """The gain and peak in an RVA2 frame of one channel."""
    description, _, content = payload.partition(b"\0")
    name = description.decode("latin-1")
    if name.lower() not in GAINS:
        return FOREIGN
    if len(content) < _volume_of.size:
        raise NotPlain
    channel, gain, bits = _volume_of.unpack_from(content)
    if bits not in _PEAK_BITS or len(content) != _volume_of.size + bits // 8:
        raise NotPlain
    peak = int.from_bytes(content[_volume_of.size :]) << (32 - bits)
    texts = volume_texts(channel, gain / 512, peak / _FULL_SCALE)
    part: columns.Part = dict.fromkeys(GAINS[name.lower()])
    return f"RVA2:{name}", texts, part | dict(zip(GAINS[name.lower()], texts, strict=False))


def volume_texts(channel: int, gain: float, peak: float) -> list[str]:
    """The texts of ReplayGain for a gain in dB and a peak, if it is known."""
    if channel != MASTER:
        return []
    return [f"{gain:.2f} dB", *([f"{peak:.6f}"] if peak > 0 else [])]


def holds_lyrics(name: str, head: bytes, size: int) -> bool:
    """Whether a frame USLT or SYLT of `size` bytes that begins with `head` holds any text.

    Before it are the encoding, a language, in SYLT two bytes of format, and a description
    (ID3v2.4.0-frames, 4.8 and 4.9).
    """
    begin = 4 if name == LYRICS else 6
    if head[:1] in {b"\x01", b"\x02"}:
        while any(head[begin : begin + 2]):
            begin += 2
        begin += 2
    else:
        begin = head.find(b"\0", begin) + 1
        if not begin:
            return size > SKIMMED_HEAD
    return size > SKIMMED_HEAD or bool(head[begin:].strip(b"\0\xff\xfe \t\r\n"))


def column_of(key: str) -> str | None:
    """The column of a frame by mutagen's key, except for dates and comments."""
    column = FRAMES.get(key)
    if column is None and key.startswith("TXXX:"):
        return USER_TEXTS.get(columns.known_name(key[5:].rstrip("\0").lower()))
    return column


def is_by_program(description: str) -> bool:
    """Whether the comment holds iTunes' own data (iTunNORM, iTunSMPB, iTunPGAP ...)."""
    return description.lower().startswith("itun")


def description_of(key: str) -> str:
    """The description in a comment's key."""
    return key[5:].rpartition(":")[0].rstrip("\0")


def genres(texts: list[str]) -> list[str]:
    """Replace genre numbers by names, as mutagen does."""
    if any(map(is_coded, texts)):
        return [name for text in texts for name in _names_of(text)]
    return texts


def is_coded(text: str) -> bool:
    """Whether a genre may be a code for another text."""
    return _CODED_GENRE.match(text) is not None


def _names_of(text: str) -> list[str]:
    """The genres in one text: `17`, `(9)`, `(4)Eurodisco`, `CR`, or a name."""
    if text.isdecimal() and _is_below(text, 256):
        return [_genre(text)]
    if text in _GENRE_WORDS:
        return [_GENRE_WORDS[text]]
    codes, name = _CODES.match(text).groups()  # type: ignore[union-attr]  # it matches anything
    found = (
        [_GENRE_WORDS.get(one) or _genre(one) for one in codes[1:-1].split(")(")] if codes else []
    )
    if name:
        name = name[1:] if name.startswith("((") else name
        if name not in found:
            found.append(name)
    return found


def _genre(number: str) -> str:
    return GENRES[int(number)] if _is_below(number, len(GENRES)) else "Unknown"


def _is_below(number: str, limit: int) -> bool:
    return len(number.lstrip("0")) <= _LONGEST_CODE and int(number[-_LONGEST_CODE:]) < limit


def decode(encoding: int, data: bytes) -> list[str]:
    """The texts in `data`, terminated or separated by NULs; at least one."""
    if not data:
        raise NotPlain
    if encoding == 3:
        text = data.decode()
    elif encoding == 1 and data.startswith(UTF_16):
        text = data.decode("utf-16")  # not utf-16-le, for which Python has no fast path
    elif encoding == 0:
        text = data.decode("latin-1")
    else:
        raise NotPlain
    end = text.find("\0")
    if end < 0:
        return [text]
    if end == len(text) - 1:
        return [text[:end]]
    return _apart(encoding, text)


def _apart(encoding: int, text: str) -> list[str]:
    """The texts between NULs."""
    if text.count("\0") > VALUES_LIMIT:
        text = text.rstrip("\0")  # padding
    values = text.split("\0", VALUES_LIMIT + 2)
    other_order = encoding == 1 and any(text.startswith("\ufffe") for text in values[1:])
    if other_order or len(values) > VALUES_LIMIT:
        raise NotPlain
    if not values[-1] and len(values) > 1:
        values.pop()  # what follows the last terminator is no text
    if encoding == 1:
        first, *more = values
        return [first, *(text.removeprefix("\ufeff") for text in more)]
    return values
