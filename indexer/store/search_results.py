"""A question -> the matching tracks, albums or artists, in the requested order."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from indexer.errors import UsageError
from indexer.store import search
from indexer.store.connection import Connection, Row, select
from indexer.store.folding import fold
from indexer.store.query import Question

RELEVANCE: Final = "relevance"
ALBUM_COLUMNS: Final = ("album", "albumartist", "year", "tracks", "id")
ARTIST_COLUMNS: Final = ("artist", "tracks", "id")
_PAGE: Final = 500
_NO_LIMIT: Final = -1

_TRACKS: Final = "SELECT tracks.id FROM tracks WHERE tracks.place = 0"
_TRACK_ORDERS: Final = {
    "artist": """fold(tracks.artist) {way} NULLS LAST,
        fold(tracks.album), tracks.disc, tracks.track""",
    "album": """fold(tracks.album) {way} NULLS LAST,
        fold(tracks.albumartist), tracks.album_id, tracks.disc, tracks.track""",
    "year": """tracks.year {way} NULLS LAST,
        fold(tracks.artist), fold(tracks.album), tracks.disc, tracks.track""",
    "title": "fold(tracks.title) {way} NULLS LAST, fold(tracks.artist)",
    "added": "tracks.added_at {way}",
    "path": "tracks.root_id {way}, tracks.path {way}",
    "duration": "tracks.duration {way} NULLS LAST",
}
_ROWS: Final = """
SELECT library.* FROM json_each(?) AS asked CROSS JOIN library ON library.id = asked.value
ORDER BY asked.key
"""

_ALBUMS: Final = """
SELECT album, albumartist, year, found, id FROM (
    SELECT
        albums.id AS id,
        albums.title AS album,
        coalesce(albums.albumartist, CASE WHEN min(tracks.artist) = max(tracks.artist)
            THEN min(tracks.artist) END) AS albumartist,
        min(tracks.year) AS year,
        count(*) AS found,
        max(tracks.added_at) AS added_at,
        min(tracks.root_id) AS root_id,
        min(tracks.path) AS path,
        sum(tracks.duration) AS duration
    FROM tracks JOIN albums ON albums.id = tracks.album_id WHERE tracks.place = 0
"""
_END_ALBUMS: Final = "GROUP BY albums.id)"
_ALBUM_ORDERS: Final = {
    RELEVANCE: "found DESC, fold(albumartist), year",
    "artist": "fold(albumartist) {way} NULLS LAST, year",
    "album": "fold(album) {way} NULLS LAST",
    "year": "year {way} NULLS LAST, fold(albumartist)",
    "title": "fold(album) {way} NULLS LAST",
    "added": "added_at {way}",
    "path": "root_id {way}, path {way}",
    "duration": "duration {way} NULLS LAST",
}

_ARTISTS: Final = """
SELECT artists.name AS artist, count(DISTINCT tracks.id) AS found, artists.id
FROM tracks JOIN track_artists ON track_artists.track_id = tracks.id
    JOIN artists ON artists.id = track_artists.artist_id
WHERE tracks.place = 0
"""
_END_ARTISTS: Final = "GROUP BY artists.id"
_ARTIST_ORDERS: Final = {
    RELEVANCE: "found DESC, fold(artists.name)",
    "artist": "fold(artists.name) {way}",
    "added": "max(tracks.added_at) {way}",
    "duration": "sum(tracks.duration) {way} NULLS LAST",
}


def track_ids(
    connection: Connection, question: Question, sort: str, limit: int | None
) -> Sequence[int]:
    """The ids of the matching tracks of the view. `limit` None: all of them.

    The most relevant is first, unless another order is requested; without words they are in the
    order of their paths. Raises UsageError for an unknown order.
    """
    if sort == RELEVANCE and question.wanted:
        return search.best(connection, question, limit)
    order = _order(_TRACK_ORDERS, "path" if sort == RELEVANCE else sort, "tracks")
    rows = _ask(connection, question, (_TRACKS,), (order, "tracks.id"), limit)
    return array("q", (track_id for (track_id,) in rows))


def rows(connection: Connection, track_ids: Sequence[int]) -> Iterator[Row]:
    """Rows of the view `library`, in this order, read page by page.

    So a slow reader holds no snapshot, which would make the WAL grow. Tracks that have left the
    view in the meantime are left out.
    """
    for start in range(0, len(track_ids), _PAGE):
        page = msgspec.json.encode(list(track_ids[start : start + _PAGE])).decode()
        yield from list(select(connection, _ROWS, (page,)))


def albums(connection: Connection, question: Question, sort: str, limit: int | None) -> list[Row]:
    """The albums of the matching tracks, as `ALBUM_COLUMNS`; those with most of them first.

    An album's year is that of its oldest track. An album without an album artist gets the artist of
    its tracks, if they all have the same.
    """
    order = _order(_ALBUM_ORDERS, sort, "albums")
    return list(_ask(connection, question, (_ALBUMS, _END_ALBUMS), (order, "id"), limit))


def artists(connection: Connection, question: Question, sort: str, limit: int | None) -> list[Row]:
    """The artists and album artists of the matching tracks, as `ARTIST_COLUMNS`."""
    order = _order(_ARTIST_ORDERS, sort, "artists")
    return list(_ask(connection, question, (_ARTISTS, _END_ARTISTS), (order, "artists.id"), limit))


def _ask(
    connection: Connection,
    question: Question,
    statement: tuple[str, ...],
    order: tuple[str, str],
    limit: int | None,
) -> Iterator[Row]:
    """Run a statement (head, tail) with the conditions of the question between its parts."""
    connection.create_scalar_function("fold", _fold, 1, deterministic=True)
    asked = search.conditions(question)
    begin, *end = statement
    parts = (
        begin,
        *("AND " + condition.sql for condition in asked),
        *end,
        "ORDER BY " + ", ".join(order),
        "LIMIT ?",
    )
    values = [value for condition in asked for value in condition.values]
    return select(connection, " ".join(parts), (*values, _NO_LIMIT if limit is None else limit))


def _fold(*texts: Any) -> str | None:  # noqa: ANN401 - what SQLite calls it with
    (text,) = texts
    return None if text is None else fold(text)


def _order(orders: Mapping[str, str], sort: str, of: str) -> str:
    name = sort.removeprefix("-")
    if name not in orders or sort == f"-{RELEVANCE}":
        known = ", ".join(dict.fromkeys((RELEVANCE, *orders)))
        raise UsageError(
            f"{of} cannot be sorted by {sort}; choose one of {known} "
            "(with a - before it for the reverse order)"
        )
    return orders[name].format(way="DESC" if sort.startswith("-") else "ASC")
