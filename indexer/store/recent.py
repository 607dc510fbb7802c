"""A moment -> the tracks and albums that have come into the view since, the newest first."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from indexer.store.connection import Connection, Row, select, select_value
from indexer.store.views import ADDED_AT, MOMENT

ALBUM_COLUMNS: Final = ("album", "albumartist", "year", "tracks", "id", "added_at")
_SINCE: Final = f"place = 0 AND {ADDED_AT} >= {MOMENT}"
_TRACKS: Final = f"""
SELECT id FROM tracks WHERE {_SINCE} ORDER BY {ADDED_AT} DESC, root_id, path LIMIT ?
"""  # noqa: S608 - our own texts
_ALBUMS: Final = f"""
SELECT catalog_albums.title,
    coalesce(catalog_albums.albumartist, CASE WHEN min(tracks.artist) = max(tracks.artist)
        THEN min(tracks.artist) END),
    min(tracks.year), count(*), catalog_albums.id,
    strftime('%Y-%m-%dT%H:%M:%fZ', max(tracks.added_at) / 1000.0, 'unixepoch')
FROM tracks JOIN catalog_albums ON catalog_albums.id = tracks.album_id
WHERE {_SINCE}
GROUP BY catalog_albums.id ORDER BY max(tracks.added_at) DESC, min(tracks.root_id), min(tracks.path)
LIMIT ?
"""  # noqa: S608 - our own texts
_COUNT: Final = f"SELECT count(*) FROM tracks WHERE {_SINCE}"  # noqa: S608 - our own texts
_COUNT_ALBUMS: Final = f"SELECT count(DISTINCT album_id) FROM tracks WHERE {_SINCE}"  # noqa: S608 - our own texts
_NEWEST: Final = "SELECT max(added_at) FROM tracks WHERE place = 0"
_NO_LIMIT: Final = -1


def track_ids(connection: Connection, since_ms: int, limit: int | None) -> Sequence[int]:
    """The ids of the tracks that were added since (Unix milliseconds). `limit` None: all."""
    asked = (since_ms, _NO_LIMIT if limit is None else limit)
    return array("q", (track_id for (track_id,) in select(connection, _TRACKS, asked)))


def albums(connection: Connection, since_ms: int, limit: int | None) -> list[Row]:
    """The albums with tracks that were added since, as `ALBUM_COLUMNS`.

    `tracks` counts the new ones, and `added_at` is the time of the newest.
    """
    asked = (since_ms, _NO_LIMIT if limit is None else limit)
    return list(select(connection, _ALBUMS, asked))


def count(connection: Connection, since_ms: int, *, of_albums: bool) -> int:
    """How many there are without a limit."""
    statement = _COUNT_ALBUMS if of_albums else _COUNT
    return int(select_value(connection, statement, (since_ms,)))


def newest(connection: Connection) -> int | None:
    """When the last track was added (Unix milliseconds); None in an empty index."""
    at: int | None = select_value(connection, _NEWEST)
    return at
