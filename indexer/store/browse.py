"""Albums, artists and their tracks, as one looks through them: facts of all, and rows of a few."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from indexer.store.schema.views import ADDED_AT, COVER, MOMENT
from indexer.store.statements import Connection, Row, select, select_one, select_value

_ALBUMS: Final = """
SELECT tracks.album_id, catalog_albums.title, coalesce(catalog_albums.albumartist,
        CASE WHEN min(tracks.artist) = max(tracks.artist) THEN min(tracks.artist) END),
    min(tracks.year), min(tracks.codec), max(tracks.codec), avg(tracks.bitrate),
    max(tracks.added_at), EXISTS (SELECT 1 FROM artwork_choices
        WHERE kind = 'album' AND owner_id = tracks.album_id)
FROM tracks JOIN catalog_albums ON catalog_albums.id = tracks.album_id
WHERE tracks.place = 0 GROUP BY tracks.album_id ORDER BY tracks.album_id
"""
_GENRES: Final = """
SELECT genres.name, tracks.album_id
FROM genres CROSS JOIN track_genres ON track_genres.genre_id = genres.id
    JOIN tracks ON tracks.id = track_genres.track_id
WHERE tracks.place = 0
"""
_ARTISTS: Final = """
SELECT catalog_artists.id, catalog_artists.name, counted.tracks
FROM (SELECT artist_id, count(DISTINCT track_id) AS tracks
        FROM catalog_track_artists GROUP BY artist_id) AS counted
    JOIN catalog_artists ON catalog_artists.id = counted.artist_id
"""
_SOME_ALBUMS: Final = """
SELECT catalog_albums.id, catalog_albums.title, coalesce(catalog_albums.albumartist,
        CASE WHEN min(tracks.artist) = max(tracks.artist) THEN min(tracks.artist) END)
        AS albumartist,
    count(*) AS tracks, count(DISTINCT coalesce(tracks.disc, 1)) AS discs,
    min(tracks.year) AS year, sum(tracks.duration) AS duration, sum(tracks.size) AS size,
    min(tracks.codec) AS codec, max(tracks.added_at) AS added_at
FROM json_each(?) AS asked CROSS JOIN catalog_albums ON catalog_albums.id = asked.value
    CROSS JOIN tracks ON tracks.album_id = catalog_albums.id
WHERE tracks.place = 0 GROUP BY asked.key ORDER BY asked.key
"""
ALBUM_COLUMNS: Final = (
    "id", "title", "albumartist", "tracks", "discs", "year", "duration", "size", "codec",
    "added_at",
)  # fmt: skip
_NEWEST: Final = f"""
SELECT album_id, added_at FROM tracks WHERE place = 0 AND {ADDED_AT} >= ?
ORDER BY {ADDED_AT} DESC
"""  # noqa: S608 - our own texts
_COUNT_NEW: Final = f"SELECT count(*) FROM tracks WHERE place = 0 AND {ADDED_AT} >= ?"  # noqa: S608 - our own texts
_TRACKS_OF_ALBUM: Final = """
SELECT id FROM tracks WHERE album_id = ? AND place = 0 ORDER BY coalesce(disc, 1), track, path
"""
_ARTIST: Final = "SELECT id, name FROM catalog_artists WHERE id = ?"
_NAMES_OF_ARTISTS: Final = """
SELECT id, name FROM catalog_artists WHERE id IN (SELECT value FROM json_each(?))
"""
_OF_ARTIST: Final = """
SELECT DISTINCT tracks.album_id, track_artists.role
FROM track_artists JOIN tracks ON tracks.id = track_artists.track_id
WHERE track_artists.artist_id = ? AND tracks.place = 0
"""
_COUNT_OF_ARTIST: Final = """
SELECT count(DISTINCT track_id) FROM catalog_track_artists WHERE artist_id = ?
"""
_ARTISTS_OF_TRACKS: Final = """
SELECT catalog_artists.id, catalog_artists.name, track_artists.role, count(*)
FROM json_each(?) AS asked CROSS JOIN track_artists ON track_artists.track_id = asked.value
    JOIN catalog_artists ON catalog_artists.id = track_artists.artist_id
GROUP BY catalog_artists.id, track_artists.role ORDER BY count(*) DESC
"""
_PROBLEMS: Final = """
SELECT kind, count(*)
FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL GROUP BY 1 ORDER BY 2 DESC
"""
_PENDING_SINCE: Final = "SELECT at FROM pending ORDER BY at"
_CHANGES_BY_DAY: Final = """
SELECT at / 86400000, count(*) FROM changes WHERE seq > ? AND at >= ? GROUP BY 1
"""
_IDS_OF_ARTIST: Final = "SELECT DISTINCT track_id FROM catalog_track_artists WHERE artist_id = ?"
_LAST_GONE: Final = """
SELECT id, root_id, path, artist, albumartist FROM tracks WHERE place = 1
ORDER BY missing_at DESC LIMIT ?
"""
_LAST_CHANGE: Final = "SELECT at FROM changes ORDER BY seq DESC LIMIT 1"
NEW_ALBUM_COLUMNS: Final = ("album", "albumartist", "year", "tracks", "id", "added_at")
_IS_NEW: Final = f"place = 0 AND {ADDED_AT} >= {MOMENT}"
_NEW_TRACKS: Final = f"""
SELECT id FROM tracks WHERE {_IS_NEW} ORDER BY {ADDED_AT} DESC, root_id, path LIMIT ?
"""  # noqa: S608 - our own texts
_NEW_ALBUMS: Final = f"""
SELECT catalog_albums.title,
    coalesce(catalog_albums.albumartist, CASE WHEN min(tracks.artist) = max(tracks.artist)
        THEN min(tracks.artist) END),
    min(tracks.year), count(*), catalog_albums.id,
    strftime('%Y-%m-%dT%H:%M:%fZ', max(tracks.added_at) / 1000.0, 'unixepoch')
FROM tracks JOIN catalog_albums ON catalog_albums.id = tracks.album_id
WHERE {_IS_NEW}
GROUP BY catalog_albums.id ORDER BY max(tracks.added_at) DESC, min(tracks.root_id), min(tracks.path)
LIMIT ?
"""  # noqa: S608 - our own texts
_COUNT_NEW_TRACKS: Final = f"SELECT count(*) FROM tracks WHERE {_IS_NEW}"  # noqa: S608 - our own texts
_COUNT_NEW_ALBUMS: Final = f"SELECT count(DISTINCT album_id) FROM tracks WHERE {_IS_NEW}"  # noqa: S608 - our own texts
_LAST_ADDED: Final = "SELECT max(added_at) FROM tracks WHERE place = 0"
_NO_LIMIT: Final = -1


def all_albums(connection: Connection) -> Iterator[Row]:
    """(id, title, artist, year, two codecs, bits/s, when added, whether it has a cover) of each.

    Their ids go up.
    """
    return select(connection, _ALBUMS)


def genres_of_tracks(connection: Connection) -> Iterator[tuple[str, int]]:
    """(name, album id) of each genre of each track, genre by genre."""
    yield from select(connection, _GENRES)


def all_artists(connection: Connection) -> Iterator[tuple[int, str, int]]:
    """(id, name, number of tracks) of each artist and album artist."""
    yield from select(connection, _ARTISTS)


def albums(connection: Connection, ids: Sequence[int]) -> list[dict[str, object]]:
    """`ALBUM_COLUMNS` and `cover` (a hash or None) of these albums, in this order.

    `added_at` is in Unix milliseconds. Albums without a present track are left out.
    """
    found = []
    for row in list(select(connection, _SOME_ALBUMS, (_json(ids),))):
        named: dict[str, object] = dict(zip(ALBUM_COLUMNS, row, strict=True))
        named["cover"] = cover(connection, "album", row[0])
        found.append(named)
    return found


def cover(connection: Connection, kind: str, owner_id: int) -> str | None:
    """The hash of the picture of an album or an artist."""
    found: str | None = select_value(connection, COVER, (kind, owner_id))
    return found or None


def newest_albums(connection: Connection, since: str, limit: int, rows: int) -> list[int]:
    """The albums of the tracks that were added last, since a time as the view has it.

    After `rows` tracks no further one is looked at.
    """
    met: dict[int, None] = {}
    for number, (album_id, _) in enumerate(select(connection, _NEWEST, (since,))):
        met.setdefault(album_id)
        if len(met) >= limit or number >= rows:
            break
    return list(met)


def count_new(connection: Connection, since: str) -> int:
    """How many tracks were added since a time as the view has it."""
    return int(select_value(connection, _COUNT_NEW, (since,)))


def tracks_of_album(connection: Connection, album_id: int) -> list[int]:
    """The ids of the present tracks of an album, in their order."""
    return [track_id for (track_id,) in select(connection, _TRACKS_OF_ALBUM, (album_id,))]


def artist(connection: Connection, artist_id: int) -> tuple[int, str] | None:
    """(id, name) of an artist."""
    row: tuple[int, str] | None = select_one(connection, _ARTIST, (artist_id,))
    return row


def artist_names(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    """Id -> name of these artists."""
    return dict(select(connection, _NAMES_OF_ARTISTS, (_json(ids),)))


def albums_of_artist(connection: Connection, artist_id: int) -> dict[int, set[str]]:
    """Album id -> the roles in which an artist stands on it: `artist`, `albumartist`."""
    found: dict[int, set[str]] = {}
    for album_id, role in select(connection, _OF_ARTIST, (artist_id,)):
        found.setdefault(album_id, set()).add(role)
    return found


def count_of_artist(connection: Connection, artist_id: int) -> int:
    """How many tracks an artist has."""
    return int(select_value(connection, _COUNT_OF_ARTIST, (artist_id,)))


def artists_of(connection: Connection, track_ids: Sequence[int]) -> list[tuple[int, str, str, int]]:
    """(id, name, role, number of these tracks) of their artists, the most frequent first."""
    return list(select(connection, _ARTISTS_OF_TRACKS, (_json(track_ids),)))


def problem_counts(connection: Connection) -> dict[str, int]:
    """Kind -> how many problems, with files that are damaged; the most frequent first."""
    from indexer.model import ProblemKind  # late: lists of albums and tracks need none of it
    from indexer.store import damaged

    counts: dict[str, int] = dict(select(connection, _PROBLEMS))
    if broken := damaged.count(connection):
        counts[ProblemKind.DAMAGE] = broken
    return counts


def pending_since(connection: Connection) -> list[int]:
    """When each open row of `pending` was made (Unix milliseconds), the oldest first."""
    return [at for (at,) in select(connection, _PENDING_SINCE)]


def changes_by_day(connection: Connection, after: int, since_ms: int) -> dict[int, int]:
    """Days since 1970 in UTC -> how many changes, after a sequence number and a time."""
    return dict(select(connection, _CHANGES_BY_DAY, (after, since_ms)))


def tracks_of_artist(connection: Connection, artist_id: int) -> list[int]:
    """The ids of the present tracks of an artist or album artist."""
    return [track_id for (track_id,) in select(connection, _IDS_OF_ARTIST, (artist_id,))]


def last_gone(
    connection: Connection, count: int
) -> Iterator[tuple[int, int, bytes, str | None, str | None]]:
    """(id, root id, path, artist, album artist) of the tracks that went missing last.

    Nothing links them to an album or an artist any more: these texts tell it.
    """
    yield from select(connection, _LAST_GONE, (count,))


def last_change_ms(connection: Connection) -> int | None:
    """When the last change was made."""
    at: int | None = select_value(connection, _LAST_CHANGE)
    return at


def _json(ids: Iterable[int]) -> str:
    return msgspec.json.encode(list(ids)).decode()


def new_tracks(connection: Connection, since_ms: int, limit: int | None) -> Sequence[int]:
    """The ids of the tracks that were added since (Unix milliseconds). `limit` None: all."""
    asked = (since_ms, _NO_LIMIT if limit is None else limit)
    return array("q", (track_id for (track_id,) in select(connection, _NEW_TRACKS, asked)))


def new_albums(connection: Connection, since_ms: int, limit: int | None) -> list[Row]:
    """The albums with tracks that were added since, as `NEW_ALBUM_COLUMNS`.

    `tracks` counts the new ones, and `added_at` is the time of the newest.
    """
    asked = (since_ms, _NO_LIMIT if limit is None else limit)
    return list(select(connection, _NEW_ALBUMS, asked))


def count_of_new(connection: Connection, since_ms: int, *, of_albums: bool) -> int:
    """How many there are without a limit."""
    statement = _COUNT_NEW_ALBUMS if of_albums else _COUNT_NEW_TRACKS
    return int(select_value(connection, statement, (since_ms,)))


def last_added(connection: Connection) -> int | None:
    """When the last track was added (Unix milliseconds); None in an empty index."""
    at: int | None = select_value(connection, _LAST_ADDED)
    return at
