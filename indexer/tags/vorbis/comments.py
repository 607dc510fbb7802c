"""Vorbis comments of FLAC and Ogg files -> their texts by column.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"), with the names that other taggers
use where they differ. Source: Vorbis I specification, 5 (comment header).
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Sequence
from struct import Struct, error
from typing import TYPE_CHECKING

import msgspec

from indexer.remembered import forget_by
from indexer.tags import columns, further

if TYPE_CHECKING:
    from collections.abc import Iterable

    from indexer.model import Track

OPUS_RATE = 48_000
"""Output rate of every Opus decoder (RFC 7845, 5.1); the header has the rate of the recording."""

COLUMNS = {
    **columns.BY_PICARDS_NAME,
    "albumartist": "albumartist",
    "date": "date",
    "tracknumber": "track",
    "tracktotal": "track_total",
    "discnumber": "disc",
    "disctotal": "disc_total",
    "unsyncedlyrics": "has_lyrics",
    "syncedlyrics": "has_lyrics",
}
OTHER_KEYS = {
    **columns.SECOND_NAMES,
    "artist": ("author",),
    "albumartist": ("album artist", "album_artist"),
    "date": ("year",),
    "track": ("track",),
    "track_total": ("totaltracks",),
    "disc": ("disc",),
    "disc_total": ("totaldiscs",),
    "comment": ("description",),
    "label": ("organization", "publisher"),
    "replaygain_track_gain": ("r128_track_gain",),
    "replaygain_album_gain": ("r128_album_gain",),
}
"""Fallback keys of a column when the key above is absent or blank: the first not blank wins."""

PICTURE_KEYS = ("metadata_block_picture", "coverart")

HEAD_OF_BLOCK = 16
"""Characters of base64 with the kind of a picture (4 bytes) and its MIME type, if that is short."""
LINK_IN_BLOCK = b"\0\0\0\x03-->"
"""MIME type of a picture that is elsewhere, with its length (RFC 9639, 8.8)."""

OTHER_NAMES = {key: f"{key}=" for keys in OTHER_KEYS.values() for key in keys}
"""Fallback key -> name used here, which is no column's: `disc` is a key and a column."""
COLUMNS_OF_OTHERS = {
    OTHER_NAMES[key]: column for column, keys in OTHER_KEYS.items() for key in keys
}
ORDER = {name: place for place, name in enumerate(COLUMNS_OF_OTHERS)}
"""Place of each of these, since the first that is not blank wins."""
OTHERS = frozenset((*OTHER_NAMES.values(), *PICTURE_KEYS))
NAMES = COLUMNS | OTHER_NAMES | {key: key for key in PICTURE_KEYS}
"""Key in lower case -> name used here: the column, or one of `OTHERS`."""
KEYS = {key.encode(): name for key, name in NAMES.items()}
"""`NAMES` with the keys as bytes."""
LYRICS = columns.OF_LYRICS.encode()

R128_GAINS = {
    OTHER_NAMES[key]: column
    for column, keys in OTHER_KEYS.items()
    for key in keys
    if key.startswith("r128_")
}
"""Name of a gain in 1/256 dB to -23 LUFS (RFC 7845, 5.2.1) -> the column of the gain to -18 LUFS
(ReplayGain 2.0)."""
_KEY = re.compile("(?!unknown[0-9]+$)[ -<>@-}]+")
"""A key as the specification allows it, without those that mutagen makes up: of a comment that has
none, and with `?` for other characters."""
_R128 = re.compile(r"[+-]?[0-9]{1,5}")

COUNT_LIMIT = 10_000
"""Maximum comments read here of one file. A guess: a file has 20."""
SHORT = 128
"""Maximum bytes of a comment that is cached, since short ones repeat. A guess."""
OF_ONE_FILE = frozenset(
    b"title titlesort isrc musicbrainz_trackid musicbrainz_releasetrackid musicbrainz_workid"
    b" acoustid_id".split()
)
"""Keys of comments that differ in each file: the cache is left to those that repeat."""
KEPT_LIMIT = 4096
"""Cache size; a full cache is cleared. A guess: three comments of a file are unique to it."""

Texts = dict[str, list[str]]
"""Texts by `NAMES`."""

Comment = tuple[str, str, columns.Fields]
"""A comment's name, its text, and the fields that it fills if no other comment fills them."""

NO_MATTER: Comment = ("", "", {})
"""A comment that belongs to no column."""
SECOND_CHOICES: dict[str, str] = {
    OTHER_NAMES[key]: "year" if column == "date" else columns.LISTS.get(column, column)
    for column, keys in OTHER_KEYS.items()
    for key in keys
    if not key.startswith("r128_")
}
"""Not a field of a track: the name of a key of `OTHER_KEYS`, whose use depends on the other
comments -> the field of a track beside which it is not used. (A date gives way to one with a
year.)"""

KEPT: dict[bytes, Comment] = {}
"""Cache of short comments: files of an album share most of them. Not `lru_cache`, whose look-up
takes twice as long."""
forget_by(KEPT.clear)

_number = Struct("<I").unpack_from


class Comments(msgspec.Struct):
    """The comments of one file."""

    found: Sequence[Comment]
    fields: columns.Fields | None
    """All fields that they fill; None if several comments fill the same field."""

    def texts(self) -> Texts:
        """Their texts by name."""
        texts: Texts = {}
        for name, text, _ in self.found:
            if name:
                texts.setdefault(name, []).append(text)
        return texts


def read_comments(content: bytes, keep: further.Keep = further.NOTHING) -> tuple[Comments, int]:
    """The comments and their end offset, which is beyond the content if a size is wrong.

    Raises struct.error if a comment begins beyond the content, or there are too many.
    """
    (size,) = _number(content, 0)
    at = 4 + size
    (count,) = _number(content, at)
    at += 4
    if count > COUNT_LIMIT:
        raise error("more comments than any file has")
    found = []
    kept = KEPT.get
    for _ in range(count):
        (size,) = _number(content, at)
        begin = at + 4
        at = begin + size
        item = content[begin:at]
        comment = kept(item) or comment_of(item)
        if keep and comment is NO_MATTER:
            comment = other_comment(item, keep)
        found.append(comment)
    return together(found), at


def comment_of(item: bytes) -> Comment:
    """One comment, `KEY=text`."""
    key, separator, value = item.partition(b"=")
    key = key.lower()
    name = KEYS.get(key) if separator else None
    if name is None and separator and key.startswith(LYRICS):
        name = KEYS[LYRICS]
    comment = NO_MATTER if name is None else named(name, value.decode("utf-8", "replace"))
    if len(item) <= SHORT and key not in OF_ONE_FILE:
        if len(KEPT) >= KEPT_LIMIT:
            KEPT.clear()
        KEPT[item] = comment
    return comment


def other_comment(item: bytes, keep: further.Keep) -> Comment:
    """One comment of no column, if it is to be kept."""
    key, separator, value = item.partition(b"=")
    column = _other_column(key.decode("ascii", "replace"), keep) if separator else None
    return NO_MATTER if column is None else named(column, value.decode("utf-8", "replace"))


def _other_column(key: str, keep: further.Keep) -> str | None:
    return further.column_of(key, keep) if keep and _KEY.fullmatch(key) else None


def named(name: str, text: str) -> Comment:
    """A comment by the name used here."""
    if name not in OTHERS:  # nearly always
        return name, text, columns.part_of(name, (text,))
    if name in SECOND_CHOICES:
        return name, text, {name: text}
    if name in R128_GAINS:
        gain = f"{int(text) / 256 + 5:.2f} dB" if _R128.fullmatch(text) else ""
        return name, gain, columns.part_of(R128_GAINS[name], (gain,))
    return name, text, {"has_picture": True} if _holds_picture(text) else {}


def _holds_picture(text: str) -> bool:
    """Whether there is one; not for a block of FLAC in base64 that links to one."""
    try:
        head = a2b_base64(text[:HEAD_OF_BLOCK])
    except ValueError:  # no base64: seen without a look at it
        return True
    return bool(text) and not head.startswith(LINK_IN_BLOCK, 4)


def together(found: Sequence[Comment]) -> Comments:
    fields = columns.added(found)
    if fields is None or SECOND_CHOICES.keys().isdisjoint(fields):
        return Comments(found, fields)
    return Comments(found, _without_second_choices(fields))


def _without_second_choices(fields: columns.Fields) -> columns.Fields | None:
    """The fields, if each second choice stands beside a first one, as Picard's totals do.

    None if one may be needed.
    """
    for name in SECOND_CHOICES.keys() & fields.keys():
        del fields[name]
        field = SECOND_CHOICES[name]
        if field not in fields or (field == "year" and fields[field] is None):
            return None
    return fields


def comments_of(pairs: Iterable[tuple[str, str]], keep: further.Keep = further.NOTHING) -> Comments:
    """The comments used here, from pairs of a key and one text."""
    names = ((_name_of(key, keep), text) for key, text in pairs)
    return together([named(name, text) for name, text in names if name is not None])


def _name_of(key: str, keep: further.Keep) -> str | None:
    """The name used here, or that of a further tag which is to be kept."""
    return NAMES.get(columns.known_name(key.lower())) or _other_column(key, keep)


def values_of(texts: Texts) -> columns.Values:
    values = {name: several for name, several in texts.items() if name not in OTHERS}
    if len(values) < len(texts):
        for name in sorted(COLUMNS_OF_OTHERS.keys() & texts.keys(), key=ORDER.__getitem__):
            column = COLUMNS_OF_OTHERS[name]
            values[column] = columns.better(column, values.get(column, []), texts[name])
    return values


def shows_picture(texts: Texts) -> bool:
    """Whether one of them is a picture."""
    return any(_holds_picture(text) for key in PICTURE_KEYS for text in texts.get(key, ()))


def track(
    codec: str,
    info: object,
    found: Comments,
    *,
    has_picture: bool = False,
    lossless: bool = False,
) -> Track:
    """The track of any file with Vorbis comments."""
    sample_rate = OPUS_RATE if codec == "opus" else None
    if found.fields is not None:
        return columns.made(
            codec,
            info,
            found.fields,
            has_picture=has_picture,
            lossless=lossless,
            sample_rate=sample_rate,
        )
    texts = found.texts()
    return columns.track(
        codec,
        info,
        values_of(texts),
        has_picture=has_picture or shows_picture(texts),
        lossless=lossless,
        sample_rate=sample_rate,
    )
