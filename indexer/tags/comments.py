"""Vorbis comments, as FLAC and Ogg files have them -> their texts by column.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"), with the names that other taggers
use where they differ. Source: Vorbis I specification, 5 (comment header).
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from indexer.tags import columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS = {
    "title": "title",
    "artist": "artist",
    "albumartist": "albumartist",
    "album": "album",
    "genre": "genre",
    "date": "date",
    "tracknumber": "track",
    "tracktotal": "track_total",
    "discnumber": "disc",
    "disctotal": "disc_total",
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
}
OTHER_KEYS = {
    "albumartist": ("album artist",),
    "date": ("year",),
    "track_total": ("totaltracks",),
    "disc_total": ("totaldiscs",),
    "comment": ("description",),
    "label": ("organization", "publisher"),
}
"""Where a column is looked for when the key above is absent or blank: the first not blank wins."""

PICTURE_KEYS = ("metadata_block_picture", "coverart")

OTHER_NAMES = frozenset(key for keys in OTHER_KEYS.values() for key in keys)
OTHERS = OTHER_NAMES.union(PICTURE_KEYS)
NAMES = COLUMNS | {key: key for key in OTHERS}
"""What a comment is called here, by its key in lower case: its column, or one of `OTHERS`."""
KEYS = {key.encode(): name for key, name in NAMES.items()}
"""The same by keys as they stand in a file but for their case."""

SHORT = 128
"""Bytes of a comment that is worth keeping, since it comes again. A guess."""

Texts = dict[str, list[str]]
"""Texts by `NAMES`."""

Comment = tuple[str, list[str], columns.Part]
"""A comment's name, its text, and what it says of the track if no other speaks of the same."""

_number = Struct("<I").unpack_from


class Comments(NamedTuple):
    """The comments that matter."""

    texts: Texts
    fields: columns.Fields | None
    """All that they say of the track; None where several speak of the same."""


def read_comments(content: bytes) -> tuple[Comments, int]:
    """The comments, and where they end: at most beyond the content, if sizes lie.

    Raises struct.error where one begins beyond it.
    """
    (size,) = _number(content, 0)
    at = 4 + size
    (count,) = _number(content, at)
    at += 4
    found: list[Comment] = []
    for _ in range(count):
        (size,) = _number(content, at)
        begin = at + 4
        at = begin + size
        comment = (_known_comment if size <= SHORT else comment_of)(content[begin:at])
        if comment is not None:
            found.append(comment)
    return together(found), at


def comment_of(item: bytes) -> Comment | None:
    """One comment, `KEY=text`; None if it is none that matters."""
    key, separator, value = item.partition(b"=")
    name = KEYS.get(key.lower()) if separator else None
    return None if name is None else named(name, value.decode("utf-8", "replace"))


_known_comment = lru_cache(maxsize=4096)(comment_of)
"""The same, kept: an album's files have most comments in common."""


def named(name: str, text: str) -> Comment:
    """A comment of this name."""
    if name in PICTURE_KEYS:
        return name, [text], {"has_picture": True} if text else {}
    return name, [text], {} if name in OTHERS else columns.part_of(name, (text,))


def together(found: Sequence[Comment]) -> Comments:
    """The comments of one file."""
    texts = {name: several for name, several, _ in found}
    if len(texts) < len(found):  # one comes again
        texts = {name: [] for name in texts}
        for name, several, _ in found:
            texts[name] += several
    if not OTHER_NAMES.isdisjoint(texts):
        return Comments(texts, None)
    return Comments(texts, columns.added([part for _, _, part in found]))


def comments_of(pairs: Iterable[tuple[str, str]]) -> Comments:
    """The comments that matter of pairs of a key and one text."""
    names = ((NAMES.get(key.lower()), text) for key, text in pairs)
    return together([named(name, text) for name, text in names if name is not None])


def values_of(texts: Texts) -> columns.Values:
    """The texts by column."""
    values = {name: several for name, several in texts.items() if name not in OTHERS}
    for column, keys in OTHER_KEYS.items():
        for key in keys:
            if key in texts and not columns.texts(values.get(column, ())):
                values[column] = texts[key]
    return values


def has_picture(texts: Texts) -> bool:
    """Whether one of them is a picture."""
    return any(any(texts.get(key, ())) for key in PICTURE_KEYS)
