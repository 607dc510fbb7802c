"""Vorbis comments, as FLAC and Ogg files have them -> their texts by column.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"), with the names that other taggers
use where they differ. Source: Vorbis I specification, 5 (comment header).
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

from indexer.tags import columns

if TYPE_CHECKING:
    from collections.abc import Iterable

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

OTHERS = frozenset((*PICTURE_KEYS, *(key for keys in OTHER_KEYS.values() for key in keys)))
NAMES = COLUMNS | {key: key for key in OTHERS}
"""What a comment is called here, by its key in lower case: its column, or one of `OTHERS`."""
KEYS = {key.encode(): name for key, name in NAMES.items()}
"""The same by keys as they stand in a file but for their case."""

SHORT = 128
"""Bytes of a comment that is worth keeping, since it comes again. A guess."""

Comments = dict[str, list[str]]
"""Texts by `NAMES`."""

_number = Struct("<I").unpack_from


def read_comments(content: bytes) -> tuple[Comments, int]:
    """The comments that matter, and where they end: at most beyond the content, if sizes lie.

    Raises struct.error where one begins beyond it.
    """
    (size,) = _number(content, 0)
    at = 4 + size
    (count,) = _number(content, at)
    at += 4
    comments: Comments = {}
    for _ in range(count):
        (size,) = _number(content, at)
        begin = at + 4
        at = begin + size
        known = (_known if size <= SHORT else comment_of)(content[begin:at])
        if known is not None:
            name, text = known
            if name in comments:
                comments[name].append(text)
            else:
                comments[name] = [text]
    return comments, at


def comment_of(item: bytes) -> tuple[str, str] | None:
    """Name and text of one comment, `KEY=text`; None if it is none that matters."""
    key, separator, text = item.partition(b"=")
    name = KEYS.get(key.lower()) if separator else None
    return None if name is None else (name, text.decode("utf-8", "replace"))


_known = lru_cache(maxsize=4096)(comment_of)
"""The same, kept: an album's files have most comments in common."""


def comments_of(pairs: Iterable[tuple[str, str]]) -> Comments:
    """The comments that matter of pairs of a key and one text."""
    comments: Comments = {}
    for key, text in pairs:
        name = NAMES.get(key.lower())
        if name is not None:
            comments.setdefault(name, []).append(text)
    return comments


def values_of(comments: Comments) -> columns.Values:
    """The texts by column."""
    if OTHERS.isdisjoint(comments):
        return comments
    values = {name: texts for name, texts in comments.items() if name not in OTHERS}
    for column, keys in OTHER_KEYS.items():
        for key in keys:
            if key in comments and not columns.texts(values.get(column, ())):
                values[column] = comments[key]
    return values


def has_picture(comments: Comments) -> bool:
    """Whether one of them is a picture."""
    return any(any(comments.get(key, ())) for key in PICTURE_KEYS)
