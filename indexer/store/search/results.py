"""A question -> the matching tracks, albums or artists, in the requested order."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from indexer.errors import UsageError
from indexer.paths import parent_of
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.schema.views import SHOWN_PATH_OF_TRACKS
from indexer.store.search import full_text, index_rows
from indexer.store.search.folding import fold
from indexer.store.search.query import EXACT, Likeness, Question
from indexer.store.statements import Connection, Row, select, select_value
from indexer.store.view_rows import library_rows, rows

_Found = TypeVar("_Found")
_Named = dict[str, object]
RELEVANCE: Final = "relevance"
ALBUM_COLUMNS: Final = ("album", "albumartist", "year", "tracks", "id")
ARTIST_COLUMNS: Final = ("artist", "tracks", "id")
_NO_LIMIT: Final = -1

_AMONG_FIRST: Final = """
SELECT tracks.id FROM (SELECT * FROM tracks WHERE place = 0 ORDER BY {order} LIMIT ?) AS tracks
WHERE {where} LIMIT ?
"""
_PATH_ORDERS: Final = {
    "path": f"tracks.root_id, {SHOWN_PATH_OF_TRACKS}",
    "-path": f"tracks.root_id DESC, {SHOWN_PATH_OF_TRACKS} DESC",
}
"""That of paths as an index has it, which is another one only where a path is not UTF-8."""
_HAS_ODD: Final = f"""
SELECT EXISTS (SELECT 1 FROM roots CROSS JOIN tracks
    ON tracks.root_id = roots.id AND {SHOWN_PATH_OF_TRACKS} >= x'')
"""  # noqa: S608 - our own names
"""Whether any path is not UTF-8: a BLOB is more than any text."""
_LOOKED_AT: Final = 5000
_LOOKED_AT_FOR_WORDS: Final = 500
"""Maximum tracks that are looked at in the order of their paths. Measured: 7 and 13 ms."""
_TRACKS: Final = "SELECT tracks.id FROM tracks WHERE tracks.place = 0"
_SOME_TRACKS: Final = """
SELECT tracks.id FROM json_each(?) AS found CROSS JOIN tracks ON tracks.id = found.value
"""
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
_ALBUMS: Final = """
SELECT album, albumartist, year, found, id FROM (
    SELECT
        catalog_albums.id AS id,
        catalog_albums.title AS album,
        coalesce(catalog_albums.albumartist, CASE WHEN min(tracks.artist) = max(tracks.artist)
            THEN min(tracks.artist) END) AS albumartist,
        min(tracks.year) AS year,
        count(*) AS found,
        max(tracks.added_at) AS added_at,
        min(tracks.root_id) AS root_id,
        min(tracks.path) AS path,
        sum(tracks.duration) AS duration
    FROM tracks JOIN catalog_albums ON catalog_albums.id = tracks.album_id WHERE tracks.place = 0
"""
_END_ALBUMS: Final = "GROUP BY catalog_albums.id)"
_ALBUM_ORDERS: Final = {
    RELEVANCE: f"""named(album) = {EXACT} DESC, named(albumartist) = {EXACT} DESC,
        named(album) DESC, found DESC, fold(albumartist), year""",
    "artist": "fold(albumartist) {way} NULLS LAST, year",
    "album": "fold(album) {way} NULLS LAST",
    "year": "year {way} NULLS LAST, fold(albumartist)",
    "title": "fold(album) {way} NULLS LAST",
    "added": "added_at {way}",
    "path": "root_id {way}, path {way}",
    "duration": "duration {way} NULLS LAST",
}

_ARTISTS: Final = """
SELECT catalog_artists.name AS artist, count(DISTINCT tracks.id) AS found, catalog_artists.id
FROM tracks JOIN catalog_track_artists AS link ON link.track_id = tracks.id
    JOIN catalog_artists ON catalog_artists.id = link.artist_id
WHERE tracks.place = 0
"""
_END_ARTISTS: Final = "GROUP BY catalog_artists.id"
_ARTIST_ORDERS: Final = {
    RELEVANCE: "named(catalog_artists.name) DESC, found DESC, fold(catalog_artists.name)",
    "artist": "fold(catalog_artists.name) {way}",
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
    prepare(connection, question)
    if sort == RELEVANCE and question.wanted:
        return full_text.best(connection, question, limit)
    key = "path" if sort == RELEVANCE else sort
    order: tuple[str, ...] = (_order(_TRACK_ORDERS, key, "tracks"), "tracks.id")
    if key in _PATH_ORDERS and not question.wanted and not select_value(connection, _HAS_ODD):
        order = (_PATH_ORDERS[key],)
        first = [] if limit is None else _first(connection, question, order, limit)
        if len(first) == limit:
            return first
    few = _few(connection, question) if limit is not None and question.facts else None
    if few is not None:
        statement = f"{_SOME_TRACKS} ORDER BY {', '.join(order)} LIMIT ?"
        rows = select(connection, statement, (msgspec.json.encode(few).decode(), limit))
    else:
        rows = _ask(connection, question, (_TRACKS,), order, limit)
    return array("q", (track_id for (track_id,) in rows))


def _first(
    connection: Connection, question: Question, order: tuple[str, ...], limit: int
) -> list[int]:
    """The matching tracks among the first in the order of paths, which an index gives.

    Many match most questions, and so some of these do: measured with 1 000 000 tracks of which
    300 000 match, 5 ms in place of 400. Where they do not, little is lost.
    """
    asked = full_text.conditions_of_row(question)
    has_words = any("MATCH" in one.sql for one in asked)
    where = " AND ".join(("TRUE", *(one.sql for one in asked)))
    statement = _AMONG_FIRST.format(order=", ".join(order), where=where)
    values = [value for one in asked for value in one.values]
    looked_at = _LOOKED_AT_FOR_WORDS if has_words else _LOOKED_AT
    return [found for (found,) in select(connection, statement, (looked_at, *values, limit))]


def _few(connection: Connection, question: Question) -> list[int] | None:
    """All matching tracks in no order; None if there are many.

    Few are found and then sorted, many are met soon in any order: with one statement SQLite reads
    all tracks in the order of an index where few match. Measured with 100 000 tracks, of which 17
    were added this week: 85 ms, and 1 ms.
    """
    rows = _ask(connection, question, (_TRACKS,), (), full_text.COUNTED + 1)
    found = [track_id for (track_id,) in rows]
    return found if len(found) <= full_text.COUNTED else None


def albums(connection: Connection, question: Question, sort: str, limit: int | None) -> list[Row]:
    """The albums of the matching tracks, as `ALBUM_COLUMNS`.

    First are those whose name is what was asked for, then those of an artist of this name, then
    those with most of the tracks.

    An album's year is that of its oldest track. An album without an album artist gets the artist of
    its tracks, if they all have the same.
    """
    order = _order(_ALBUM_ORDERS, sort, "albums")
    return list(_ask(connection, question, (_ALBUMS, _END_ALBUMS), (order, "id"), limit))


def artists(connection: Connection, question: Question, sort: str, limit: int | None) -> list[Row]:
    """The artists and album artists of the matching tracks, as `ARTIST_COLUMNS`.

    First are those whose own name is what was asked for, then those with most of the tracks.
    """
    order = _order(_ARTIST_ORDERS, sort, "artists")
    return list(
        _ask(connection, question, (_ARTISTS, _END_ARTISTS), (order, "catalog_artists.id"), limit)
    )


def _ask(
    connection: Connection,
    question: Question,
    statement: tuple[str, ...],
    order: tuple[str, ...],
    limit: int | None,
) -> Iterator[Row]:
    """Run a statement (head, tail) with the conditions of the question between its parts."""
    prepare(connection, question)
    asked = full_text.conditions(connection, question)
    begin, *end = statement
    parts = (
        begin,
        *("AND " + condition.sql for condition in asked),
        *end,
        *(["ORDER BY " + ", ".join(order)] if order else ()),
        "LIMIT ?",
    )
    values = [value for condition in asked for value in condition.values]
    return select(connection, " ".join(parts), (*values, _NO_LIMIT if limit is None else limit))


def some_names(connection: Connection, question: Question) -> list[str | None]:
    """Title, artists and albums of the best track."""
    ids = track_ids(connection, question, RELEVANCE, 1)
    return [name for row in rows(connection, ids) for name in row[5:9]]


def _count_albums(connection: Connection, question: Question) -> int:
    return len(albums(connection, question, "album", None))


def _count_artists(connection: Connection, question: Question) -> int:
    return len(artists(connection, question, "artist", None))


def prepare(connection: Connection, question: Question) -> None:
    """Give the connection the functions that the statements call."""
    likeness = Likeness(question)

    def named(*names: Any) -> int:  # noqa: ANN401 - what SQLite calls it with
        return likeness.of_name(names[0])

    connection.create_scalar_function("fold", _fold, 1, deterministic=True)
    connection.create_scalar_function("in_folder", _in_folder, 2, deterministic=True)
    connection.create_scalar_function("named", named, 1, deterministic=True)


def _in_folder(*values: Any) -> bool:  # noqa: ANN401 - what SQLite calls it with
    path, phrase = values
    return index_rows.in_folder(parent_of(path), phrase)


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


def _named(columns: Sequence[str]) -> Callable[[Connection, Sequence[Row]], Iterator[_Named]]:
    """How to make dictionaries of rows with these columns."""
    return lambda _, found: (dict(zip(columns, row, strict=True)) for row in found)


class Kind(NamedTuple, Generic[_Found]):
    """What can be asked for."""

    columns: Sequence[str]
    find: Callable[[Connection, Question, str, int | None], Sequence[_Found]]
    """Question, order, limit -> what is found."""
    total: Callable[[Connection, Question], int]
    rows: Callable[[Connection, Sequence[_Found]], Iterator[_Named]]
    """What was found -> its columns by name."""


KINDS: Final[Mapping[str, Kind[Any]]] = {
    "tracks": Kind(LIBRARY_COLUMNS, track_ids, full_text.count, library_rows),
    "albums": Kind(ALBUM_COLUMNS, albums, _count_albums, _named(ALBUM_COLUMNS)),
    "artists": Kind(ARTIST_COLUMNS, artists, _count_artists, _named(ARTIST_COLUMNS)),
}
