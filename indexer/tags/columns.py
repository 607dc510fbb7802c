"""Tag texts by column, and stream info -> a `Track`.

The readers only map tags to columns; every rule about values is here.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from string import ascii_letters
from typing import TYPE_CHECKING, Any

from indexer.model import Track
from indexer.remembered import forget_by
from indexer.tags import further
from indexer.tags.code_pages import misread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Values = dict[str, list[str]]
"""Column of the view `library` -> texts as in the tag, blank ones included."""

Fields = dict[str, Any]
"""Fields of a `Track`."""

Part = Fields
"""The fields that one entry of a tag fills, if no other entry fills them. Never mutated."""

COMMENT_LIMIT = 4096
"""Maximum bytes of UTF-8 kept of a comment: some hold whole web pages. A guess."""

WORDS = ("title", "artist", "albumartist", "album", "genre", "composer", "comment", "label")
"""Columns whose text can be in any language."""

LISTS = {"artist": "artists", "albumartist": "albumartists", "genre": "genres"}
"""Columns that can have several texts -> the field of a track with the list of them."""

NUMBERS = ("track", "disc", "track_total", "disc_total")
TOTALS = NUMBERS[2:]
FLAGS = ("compilation", "has_lyrics")
SET = frozenset({"true", "t", "yes", "y", "on"})
"""Words of a flag that is set. A guess: programs write 1."""

PLAIN = frozenset(Track.__struct_fields__) - {
    "date", "comment", "compilation", "has_lyrics", "tags", *NUMBERS
}  # fmt: skip
"""Columns whose single text is stored unchanged."""

BY_PICARDS_NAME = {
    "title": "title",
    "artist": "artist",
    "album": "album",
    "genre": "genre",
    "composer": "composer",
    "comment": "comment",
    "bpm": "bpm",
    "isrc": "isrc",
    "label": "label",
    "compilation": "compilation",
    "musicbrainz_trackid": "mb_trackid",
    "musicbrainz_albumid": "mb_albumid",
    "musicbrainz_artistid": "mb_artistid",
    "musicbrainz_albumartistid": "mb_albumartistid",
    "musicbrainz_releasegroupid": "mb_releasegroupid",
    "replaygain_track_gain": "replaygain_track_gain",
    "replaygain_track_peak": "replaygain_track_peak",
    "replaygain_album_gain": "replaygain_album_gain",
    "replaygain_album_peak": "replaygain_album_peak",
    **{name: name for name in further.NAMES if name != "movement"},
    "movementname": "movement",  # MOVEMENT is its number
    "lyrics": "has_lyrics",
}
"""Names that MusicBrainz Picard gives Vorbis comments and APEv2 tags, in lower case -> column."""

SECOND_NAMES: dict[str, tuple[str, ...]] = {
    "artistsort": ("artist-sort", "sort_artist"),
    "albumsort": ("album-sort", "sort_album"),
    "titlesort": ("title-sort", "sort_name"),
    "albumartistsort": ("tso2", "sort_album_artist"),
    "composersort": ("tsoc", "sort_composer"),
    "originaldate": ("tdor", "tory"),
    "discsubtitle": ("tsst",),
    "media": ("sourcemedia", "tmed"),
    "mood": ("tmoo",),
    "key": ("initialkey", "tkey"),
    "bpm": ("tbpm", "tmpo"),
    "isrc": ("tsrc",),
    "mb_trackid": ("musicbrainz track id",),
    "mb_albumid": ("musicbrainz album id",),
    "mb_artistid": ("musicbrainz artist id",),
    "mb_albumartistid": ("musicbrainz album artist id",),
    "mb_releasegroupid": ("musicbrainz release group id",),
    "has_lyrics": ("lyrics-",),
}
"""Column -> the names, in lower case, that are looked for where Picard's is missing. Of frames and
items that it does not know, ffmpeg (5.1) passes on the names where it converts MP3 and MP4 to other
formats. Kid3 writes SOURCEMEDIA. The last one stands for all that begin so: see `known_name`."""
COLUMNS_OF_SECOND_NAMES = {name: column for column, names in SECOND_NAMES.items() for name in names}
OF_LYRICS = "lyrics-"
"""ffmpeg puts the description of the frame, if it has one, and its language behind it."""

ALONE = LISTS | {name: name for name in further.NAMES}
"""Columns whose single text is stored as a tuple of it -> the field, or the name of another tag."""

LARGEST_NUMBER = 2**31 - 1
MOST_HZ, MOST_CHANNELS, MOST_BITS = 100_000_000, 1024, 64
"""Maximum rate, channels and depth of a sound; what states more is damaged. Guesses: the highest
rate in use is 49 152 000 Hz (DSD1024)."""
MOST_BITS_A_SECOND = 400_000_000
"""Maximum bit rate where that of the decoded sound is not known. A guess."""
USUAL_BITS_A_SECOND = 512_000
"""A bit rate up to this one is not doubted: that of one channel of 8000 Hz and 64 bits."""
SHORT = 128
"""Maximum characters of a text that is cached, since short texts repeat. A guess."""
FIRST_YEAR, LAST_YEAR = 1000, 2999

_NO_TEXT = ("", "\0", "\ufeff")
_LEADING_YEAR = re.compile(r"\s*([0-9]{4})")
_MARKED_NUMBER = re.compile(r"#?\s*([0-9]+)\s*[.-]?")
"""A number as people write it in a list: `#3`, `3.`, `03 -`."""
_OF = re.compile(r"(?<=[0-9\s])of(?=[0-9\s]|\Z)", re.IGNORECASE)
_YEAR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")


def track(
    codec: str,
    info: object,
    values: Mapping[str, Sequence[str]],
    *,
    has_picture: bool = False,
    lossless: bool = False,
    sample_rate: int | None = None,
) -> Track:
    """A track from its values; see `made` for the rest."""
    fields: Fields = {}
    for column, several in values.items():
        fields.update(fields_of(column, several))
    for number in ("track", "disc"):
        if number in values:  # a total beside the number wins
            fields.update(fields_of(number, values[number]))
    return made(
        codec,
        info,
        fields,
        has_picture=has_picture,
        lossless=lossless,
        sample_rate=sample_rate,
    )


def made(
    codec: str,
    info: object,
    fields: Fields,
    *,
    has_picture: bool = False,
    lossless: bool = False,
    sample_rate: int | None = None,
) -> Track:
    """A track from its fields and stream info (attributes as mutagen names them, all optional).

    `fields` are used up. `sample_rate` is for a format whose info lacks it. The bit depth of a
    lossy stream is chosen by the decoder, and is omitted, as is a bit rate beyond that of the
    decoded sound.
    """
    if not further.is_plain(fields):
        further.gather(fields)
    if has_picture:
        fields["has_picture"] = True
    fields["codec"] = codec
    fields["duration"] = _seconds(getattr(info, "length", None))
    fields["sample_rate"] = rate = _amount(getattr(info, "sample_rate", sample_rate), MOST_HZ)
    fields["channels"] = channels = _amount(getattr(info, "channels", None), MOST_CHANNELS)
    fields["bitrate"] = bitrate = _amount(getattr(info, "bitrate", None), LARGEST_NUMBER)
    if bitrate is not None and bitrate > USUAL_BITS_A_SECOND:
        most = MOST_BITS * rate * channels if rate and channels else MOST_BITS_A_SECOND
        fields["bitrate"] = bitrate if bitrate <= most else None
    if lossless:
        fields["bit_depth"] = _amount(getattr(info, "bits_per_sample", None), MOST_BITS)
    return Track(**fields)


def mean_bitrate(size: int, length: float) -> float:
    """Bits/s of so many bytes in so many seconds, if the format does not state it; 0 if unknown."""
    return 8 * size / length if length > 0 else 0


def added(entries: Iterable[tuple[str, object, Part]]) -> Fields | None:
    """Merge the fields of all entries of a tag (key, texts, part).

    None if two entries fill the same field, and so must be read together.
    """
    fields: Fields = {}
    filled = 0
    for _, _, part in entries:
        fields |= part
        filled += len(part)
    return fields if len(fields) == filled else None


def fields_of(column: str, several: Sequence[str]) -> Fields:
    """The fields that one column's values fill; empty if they are blank. Never mutate it."""
    if len(several) == 1 and len(several[0]) <= SHORT:
        return _known_fields(column, several[0])
    return part_of(column, several)


def part_of(column: str, several: Sequence[str]) -> Part:
    """Like `fields_of`, without its cache, for a caller that has its own."""
    if len(several) == 1:  # nearly always
        text = several[0]
        if text.isascii() and text[-1:] > " " and "\0" not in text:  # not blank, nothing to clean
            if column in PLAIN:
                return {column: text}
            if column in ALONE:
                return {ALONE[column]: (text,)}
    if column in NUMBERS:
        return _numbers(column, _first(several))
    if column in further.NAMES or column[:1] == further.MARK:
        kept = texts(several)
        return {column: kept} if kept else {}
    fields = _list(column, several) if column in LISTS else _text(column, joined(several))
    if fields and column in WORDS and _is_suspect(several):
        fields["suspect_encoding"] = True
    return fields


def blank_part_of(column: str) -> Part:
    """The empty field of a column; records that the tag has a blank entry for it."""
    if column in LISTS or column in further.NAMES:
        return {LISTS.get(column, column): ()}
    return {column: False if column in FLAGS else None}


@lru_cache(maxsize=4096)
def _known_fields(column: str, text: str) -> Fields:
    """The fields of one text, cached: files of an album share most texts."""
    return part_of(column, (text,))


forget_by(_known_fields.cache_clear)


def _list(column: str, several: Sequence[str]) -> Fields:
    kept = texts(several)
    return {LISTS[column]: kept} if kept else {}


def _text(column: str, text: str | None) -> Fields:
    match text, column:
        case None, _:
            return {}
        case _, "date":
            return {"date": text, "year": year(text)}
        case _, "comment":
            return {"comment": further.cut(text, COMMENT_LIMIT)}
        case _, "has_lyrics":
            return {"has_lyrics": True}
        case _, "compilation":
            return {"compilation": _is_set(text.strip().lower())}
    return {column: text}


def _is_set(text: str) -> bool:
    """Whether a flag is set, as `1`, `01` or `2`, or in a word."""
    return text.strip("0") != "" if text.isdecimal() else text in SET


def _numbers(column: str, text: str) -> Fields:
    """A number with an optional total (`3/12`, `3 of 12`), or a total."""
    if not text:
        return {}
    if column in TOTALS:
        return {column: _number(text)}
    number, slash, beside = text.partition("/")
    if not slash and not text.isdecimal() and (of := _OF.search(text)):
        number, beside = text[: of.start()], text[of.end() :]
    total = _number(beside)
    fields: Fields = {column: _number(number)}
    return fields if total is None else {**fields, f"{column}_total": total}


def known_name(name: str) -> str:
    """A name, in lower case; `OF_LYRICS` for those of all lyrics with a language."""
    return OF_LYRICS if name.startswith(OF_LYRICS) else name


def filled(values: Values, *others: Values) -> Values:
    """Each column's values, from the first source with a value that is not blank."""
    whole = dict(values)
    for more in others:
        for column, several in more.items():
            whole[column] = better(column, whole.get(column, []), several)
    return whole


def better(column: str, first: list[str], other: list[str]) -> list[str]:
    """The first of two sources of a column, unless it is blank.

    A date without a year also gives way to one that has it.
    """
    if not texts(first):
        return other
    if column == "date" and year(joined(first) or "") is None:
        return first if year(joined(other) or "") is None else other
    return first


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """The values that are not blank, without NULs and lone surrogates."""
    return tuple([_clean(value) for value in values if not blank(value)])


def blank(text: str) -> bool:
    """Whether a text holds nothing but white space, NULs and byte order marks."""
    text = text.strip()
    if text[:1] not in _NO_TEXT:
        return False
    return not text.replace("\0", "").replace("\ufeff", "").strip()


def joined(values: Sequence[str]) -> str | None:
    """The values that are not blank as one text, or None."""
    if len(values) == 1:  # nearly always
        return None if blank(values[0]) else _clean(values[0])
    return "; ".join(texts(values)) or None


def year(date: str) -> int | None:
    """The year at the start of a date, else the first four digits that can be a year."""
    leading = _LEADING_YEAR.match(date)
    if leading and FIRST_YEAR <= (number := int(leading[1])) <= LAST_YEAR:
        return number
    candidates = ([leading[1]] if leading else []) + _YEAR.findall(date)
    return next((int(y) for y in candidates if FIRST_YEAR <= int(y) <= LAST_YEAR), None)


def _clean(text: str) -> str:
    """Remove NULs, and replace lone surrogates by U+FFFD.

    To functions of SQLite a text ends at its first NUL. Neither SQLite nor msgspec accepts a lone
    surrogate.
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _is_suspect(several: Sequence[str]) -> bool:
    return any(not value.isascii() and misread(value) for value in several)


def _first(values: Sequence[str]) -> str:
    """The first value that is not blank, or an empty one."""
    for value in values:
        if not blank(value):
            return _clean(value)
    return ""


def _number(text: str) -> int | None:
    """The number; of `7A` (a side of a record) the digits before the letters."""
    text = text.strip()
    if text and not text.isdecimal():
        marked = _MARKED_NUMBER.fullmatch(
            text.rstrip(ascii_letters) if text[0].isdecimal() else text
        )
        text = marked[1] if marked else ""
    if not text or len(text) > len(str(LARGEST_NUMBER)):
        return None
    number = int(text)
    return number if number <= LARGEST_NUMBER else None


def _seconds(length: float | None) -> float | None:
    if length is None or not math.isfinite(length) or length <= 0:
        return None
    return float(length)


def _amount(value: float | None, most: int) -> int | None:
    """The value as an int if positive and possible, else None; mutagen gives 0 for unknown."""
    if value is None or not 0 < value <= most:
        return None
    return int(value)
