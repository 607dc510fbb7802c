"""The tags of a Matroska file, each with its target -> texts by column.

A tag of the level 30 describes the track, one of the level 50 the album, and so on (RFC 9559,
5.1.8.1.1.1; Matroska Tags, draft-ietf-cellar-tags, 3 and 4). Many programs tell no level and write
names as in Vorbis comments; ffmpeg does. Spellings differ (`ALBUM_ARTIST`, `AlbumArtist`, `album
artist`), so neither case nor what stands between words counts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer.remembered import forget_by
from indexer.tags import columns, further
from indexer.tags.vorbis import comments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALBUM: Final = 50
TRACK: Final = 30
FLAT: Final = 0
"""No level is stated. By the standard it is `ALBUM`, but programs that state none mean the file."""

ABOVE: Final = 60
"""A set of several discs."""

LEVELS: Final = {
    "COLLECTION": 70,
    **dict.fromkeys(("EDITION", "ISSUE", "VOLUME", "OPUS", "SEASON", "SEQUEL"), ABOVE),
    **dict.fromkeys(("ALBUM", "OPERA", "CONCERT"), ALBUM),
    **dict.fromkeys(("TRACK", "SONG"), TRACK),
}
"""Name of a level (`TargetType`) -> its number, for tags that state the name alone. Those of films,
and names that stand for several levels, are left out."""

OF_TRACK: Final = {
    "PART_NUMBER": "track",
    "TOTAL_PARTS": "track_total",
    "DATE_RELEASED": "date",
    "REPLAYGAIN_GAIN": "replaygain_track_gain",
    "REPLAYGAIN_PEAK": "replaygain_track_peak",
    **comments.COLUMNS,
    "DATE_RECORDED": "date",
    "YEAR": "date",
    "AUTHOR": "artist",
    "TRACK": "track",
    "TOTALTRACKS": "track_total",
    "DISC": "disc",
    "TOTALDISCS": "disc_total",
    "COMMENTS": "comment",
    "DESCRIPTION": "comment",
    "PUBLISHER": "label",
    "ORGANIZATION": "label",
    "INITIAL_KEY": "key",
    "ORIGINAL_MEDIA_TYPE": "media",
    "MOVEMENT_NAME": "movement",
    **columns.COLUMNS_OF_SECOND_NAMES,
}
"""Name -> column, at the level of the track and where none is stated. Of several names of a column
the first that is not blank wins."""
OF_ALBUM: Final = {
    "TITLE": "album",
    "ARTIST": "albumartist",
    "PART_NUMBER": "disc",
    "REPLAYGAIN_GAIN": "replaygain_album_gain",
    "REPLAYGAIN_PEAK": "replaygain_album_peak",
}
"""Names with another meaning at the level of the album. `TOTAL_PARTS` counts what is at the level
below: the tracks."""
OF_SET: Final = {"TOTAL_PARTS": "disc_total"}

RANKS: Final = {TRACK: 0, FLAT: 1, ALBUM: 3, ABOVE: 4, ABOVE + 10: 5}
UNUSED: Final = 6
"""The rank of parts of a track or an album, and of what is not known."""


class Entry(Struct, frozen=True, gc=False):
    """One text of a tag."""

    name: str
    text: str
    level: int = FLAT
    is_default: bool = True
    """Whether it is in the language to choose if there are several (`TagDefault`)."""
    is_of_track: bool = False
    """Whether the tag names the UID of the track that is read."""


@lru_cache(maxsize=256)
def normal(name: str) -> str:
    """A name without case, spaces, underscores and hyphens."""
    return columns.known_name(name.lower()).replace("_", "").replace("-", "").replace(" ", "")


forget_by(normal.cache_clear)


_OF_TRACK: Final = {normal(name): column for name, column in OF_TRACK.items()}
_OF_ALBUM: Final = _OF_TRACK | {normal(name): column for name, column in OF_ALBUM.items()}
_OF_SET: Final = {normal(name): column for name, column in OF_SET.items()}


def values_of(entries: Iterable[Entry], keep: further.Keep = further.NOTHING) -> columns.Values:
    """The texts by column; what is nearer to the track comes before that of its album."""
    by_rank: dict[int, list[Entry]] = {}
    for entry in _without_translations(entries):
        by_rank.setdefault(_rank(entry), []).append(entry)
    values: columns.Values = {}
    for rank in sorted(by_rank.keys() - {UNUSED}):
        values = columns.filled(values, _by_column(by_rank[rank], rank))
        if keep:
            values = columns.filled(values, _others(by_rank[rank], keep))
    artists = [entry.text for entry in by_rank.get(RANKS[ALBUM], ()) if is_artist(entry)]
    return columns.filled(values, {"artist": artists} if artists else {})


def is_artist(entry: Entry) -> bool:
    return normal(entry.name) == "artist"


def _rank(entry: Entry) -> int:
    """How near a tag is to the track; of the tags without a level, those of the file come first."""
    if entry.level == FLAT and entry.is_of_track:
        return RANKS[FLAT] + 1
    return RANKS.get(entry.level, UNUSED)


def _by_column(entries: Iterable[Entry], rank: int) -> columns.Values:
    """The texts of one rank by column."""
    texts: dict[str, list[str]] = {}
    for entry in entries:
        several = texts.setdefault(normal(entry.name), [])
        if entry.text not in several:  # one tag in two spellings
            several.append(entry.text)
    names = _OF_TRACK if rank < RANKS[ALBUM] else _OF_ALBUM if rank == RANKS[ALBUM] else _OF_SET
    values: columns.Values = {}
    for name, column in names.items():
        if name in texts:
            values[column] = columns.better(column, values.get(column, []), texts[name])
    return values


def _others(entries: Iterable[Entry], keep: further.Keep) -> columns.Values:
    """The texts of no column by the names of their tags."""
    values: columns.Values = {}
    for entry in entries:
        if normal(entry.name) not in _OF_ALBUM and normal(entry.name) not in _OF_SET:
            column = further.column_of(entry.name, keep)
            if column is not None:
                values.setdefault(column, []).append(entry.text)
    return values


def _without_translations(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, without those that are a translation of another one."""
    several = list(entries)
    default = {(normal(entry.name), entry.level) for entry in several if entry.is_default}
    for entry in several:
        if entry.is_default or (normal(entry.name), entry.level) not in default:
            yield entry
