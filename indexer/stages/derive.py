"""The rows of `tracks` -> all derived data: full text, artists, albums, genres, indexes, the view.

Ids are kept: those in the tables, else those that links and tracks still refer to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from msgspec import Struct

from indexer.stages.batch import Shaped, album_key
from indexer.store import catalog, search
from indexer.store.connection import Connection, select
from indexer.store.damage import Part
from indexer.store.health import objects_made, objects_of
from indexer.store.salvage import Salvage, columns_of
from indexer.store.tracks import COLUMNS

_Key = TypeVar("_Key")

_DROP_FULL_TEXT: Final = "DROP TABLE IF EXISTS track_search"
_DROP_VIEW: Final = "DROP VIEW IF EXISTS library"
_TRACKS: Final = (
    f"SELECT id, root_id, path, album_id, {', '.join(COLUMNS)}"  # noqa: S608 - our own names
    " FROM tracks WHERE place = 0 ORDER BY id"
)
_CLEAR: Final = (
    "DELETE FROM track_artists",
    "DELETE FROM track_genres",
    "DELETE FROM artists",
    "DELETE FROM genres",
    "DELETE FROM albums",
)
_LEAVE_ALBUMS: Final = """
UPDATE tracks SET album_id = NULL WHERE place <> 0 AND album_id IS NOT NULL
"""
_JOIN_ALBUM: Final = "UPDATE tracks SET album_id = ? WHERE id = ?"
_ADD_NAME: Final[Mapping[str, str]] = {
    "artists": "INSERT INTO artists (id, name) VALUES (?, ?)",
    "genres": "INSERT INTO genres (id, name) VALUES (?, ?)",
}
_ADD_ALBUM: Final = "INSERT INTO albums (id, key, title, albumartist) VALUES (?, ?, ?, ?)"
_LINK_ARTIST: Final = """
INSERT INTO track_artists (track_id, role, position, artist_id) VALUES (?, ?, ?, ?)
"""
_LINK_GENRE: Final = "INSERT INTO track_genres (track_id, position, genre_id) VALUES (?, ?, ?)"
_LAST_GIVEN: Final = "SELECT name, seq FROM sqlite_sequence"
_KEEP_LAST: Final = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
_LINKED_ARTIST: Final = """
SELECT artist_id FROM track_artists WHERE track_id = ? AND role = ? AND position = ?
"""
_LINKED_GENRE: Final = "SELECT genre_id FROM track_genres WHERE track_id = ? AND position = ?"


class Known(Struct, frozen=True):
    """The previous ids of names and albums."""

    artists: dict[str, int]
    genres: dict[str, int]
    albums: dict[bytes, tuple[int, str | None, str | None]]

    @classmethod
    def of(cls, salvage: Salvage, expected: Connection) -> Known:
        """Read the ids that are still readable; `expected` has the original columns."""
        names: dict[str, dict[str, int]] = {}
        albums: dict[bytes, tuple[int, str | None, str | None]] = {}
        for table in ("artists", "genres", "albums"):
            names[table] = {}
            columns = columns_of(expected, table)
            for row in salvage.rows(table, columns, "id"):
                if row.is_doubtful or row.values[1] is None:
                    continue
                if table == "albums":
                    albums[row.values[1]] = (row.values[0], *row.values[2:])
                else:
                    names[table][row.values[1]] = row.values[0]
        return cls(names["artists"], names["genres"], albums)


def full_text(connection: Connection) -> None:
    connection.execute(_DROP_FULL_TEXT)
    _create(connection, Part.FULL_TEXT)
    search.add_all(connection, search.told(connection))


def view(connection: Connection) -> None:
    connection.execute(_DROP_VIEW)
    _create(connection, Part.VIEW)


def indexes(connection: Connection) -> None:
    """Recreate every index. Raises ConstraintError if two rows have the same path."""
    _create(connection, Part.INDEX)
    connection.execute("REINDEX")


def _create(connection: Connection, part: Part) -> None:
    """Create the objects of one part that are missing or have another definition."""
    there = objects_of(connection)
    for name, made in objects_made().items():
        if made.part is not part or made.is_shadow or made.equals(there.get(name)):
            continue
        if name in there:
            connection.execute(f"DROP {made.kind} {name}")
        connection.execute(made.sql)


def catalogue(connection: Connection, known: Known, links: Salvage) -> None:
    """Recreate artists, albums, genres and their links, with the ids that are `known`.

    `links` reads the damaged index: its links have the ids of names that no row has.
    """
    last: dict[str, int] = dict(select(connection, _LAST_GIVEN))
    again = _Catalogue(connection, known, links)
    again.number(last)
    _create(connection, Part.CATALOG)
    for statement in _CLEAR:
        connection.execute(statement)
    again.write()
    for table in ("artists", "genres", "albums"):
        connection.execute(_KEEP_LAST, (last.get(table, 0), table))


class _Album(Struct):
    """One album, while its tracks are iterated."""

    id: int | None
    title: str | None
    albumartist: str | None
    is_named: bool = False
    """Whether a track confirms its name; else the last track names it."""


class _Catalogue:
    """The names and albums of all tracks in the view, each with its id."""

    def __init__(self, connection: Connection, known: Known, links: Salvage) -> None:
        self._connection = connection
        self._known = known
        self._links = links
        self._artists: dict[str, int | None] = {}
        self._genres: dict[str, int | None] = {}
        self._albums: dict[bytes, _Album] = {}

    def number(self, last: Mapping[str, int]) -> None:
        """Give each name and album an id, the previous one if links and tracks still have it."""
        for track_id, names in catalog.told_names(self._connection):
            for role, told in (("artist", names[0]), ("albumartist", names[1])):
                for position, name in enumerate(told):
                    if name not in self._artists:
                        self._artists[name] = self._known.artists.get(
                            name
                        ) or self._links.linked_id(_LINKED_ARTIST, (track_id, role, position))
            for position, name in enumerate(names[2]):
                if name not in self._genres:
                    self._genres[name] = self._known.genres.get(name) or self._links.linked_id(
                        _LINKED_GENRE, (track_id, position)
                    )
        for _, album_id, key, title, albumartist in self._tracks():
            self._meet_album(key, album_id, title, albumartist)
        _give_ids(self._artists, self._known.artists, last.get("artists", 0))
        _give_ids(self._genres, self._known.genres, last.get("genres", 0))
        ids = {key: album.id for key, album in self._albums.items()}
        known = {key: album_id for key, (album_id, *_) in self._known.albums.items()}
        _give_ids(ids, known, last.get("albums", 0))
        for key, album in self._albums.items():
            album.id = ids[key]

    def _meet_album(
        self, key: bytes, album_id: int | None, title: str | None, albumartist: str | None
    ) -> None:
        album = self._albums.get(key)
        if album is None:
            known = self._known.albums.get(key)
            album = self._albums[key] = _Album(*(known or (album_id, None, None)))
        if (album.title, album.albumartist) == (title, albumartist):
            album.is_named = True
        elif not album.is_named:
            album.title, album.albumartist = title, albumartist

    def _tracks(self) -> Iterator[tuple[int, int | None, bytes, str | None, str | None]]:
        """(track id, album id, key, title and album artist of its album)."""
        for track_id, root_id, path, album_id, *columns in select(self._connection, _TRACKS):
            shaped = Shaped(tuple(columns), (), (), ())
            words = shaped.words
            yield track_id, album_id, album_key(shaped, root_id, path), words[3], words[2]

    def write(self) -> None:
        """Write everything into the tables, which are empty."""
        connection = self._connection
        for table, ids in (("artists", self._artists), ("genres", self._genres)):
            rows = sorted((one, name) for name, one in ids.items() if one is not None)
            connection.executemany(_ADD_NAME[table], rows)
        connection.executemany(
            _ADD_ALBUM,
            ((one.id, key, one.title, one.albumartist) for key, one in self._albums.items()),
        )
        connection.execute(_LEAVE_ALBUMS)
        joining = [
            (self._albums[key].id, track_id)
            for track_id, album_id, key, *_ in self._tracks()
            if album_id != self._albums[key].id
        ]
        connection.executemany(_JOIN_ALBUM, joining)
        for track_id, names in catalog.told_names(connection):
            for role, told in (("artist", names[0]), ("albumartist", names[1])):
                for position, name in enumerate(told):
                    connection.execute(
                        _LINK_ARTIST, (track_id, role, position, self._artists[name])
                    )
            for position, name in enumerate(names[2]):
                connection.execute(_LINK_GENRE, (track_id, position, self._genres[name]))


def _give_ids(ids: dict[_Key, int | None], known: Mapping[_Key, int], last: int) -> None:
    """Give new ids, above the last, to entries without an id, or with one that is taken."""
    used = {one for key, one in ids.items() if one is not None and known.get(key) == one}
    last = max((last, *known.values()))
    for key, one in ids.items():
        if known.get(key) == one and one is not None:
            continue
        given = one
        if given is None or given in used or not 0 < given <= last:
            last += 1
            given = ids[key] = last
        used.add(given)
