"""The rows of `tracks` -> all derived data: full text, artists, albums, genres, indexes, the view.

Ids are kept: those in the tables, else those that links and tracks still refer to.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from msgspec import Struct

from indexer.spelling import plain
from indexer.stages.batch import Shaped, album_key
from indexer.store import catalog
from indexer.store.connection import Connection, select
from indexer.store.recovery.damage import Part
from indexer.store.recovery.health import objects_made, objects_of
from indexer.store.recovery.salvage import Salvage
from indexer.store.recovery.values import columns_of
from indexer.store.schema.roles import Role
from indexer.store.search import index_rows
from indexer.store.tracks import SHOWN_COLUMNS

_Key = TypeVar("_Key")

_DROP_FULL_TEXT: Final = "DROP TABLE IF EXISTS track_search"
_DROP_VIEW: Final = "DROP VIEW IF EXISTS library"
_TRACKS: Final = (
    f"SELECT id, root_id, path, album_id, {SHOWN_COLUMNS}"  # noqa: S608 - our own names
    " FROM tracks WHERE place = 0 ORDER BY id"
)
_CLEAR: Final = (
    "DELETE FROM catalog_track_artists",
    "DELETE FROM track_genres",
    "DELETE FROM catalog_artists",
    "DELETE FROM genres",
    "DELETE FROM catalog_albums",
)
_LEAVE_ALBUMS: Final = """
UPDATE tracks SET album_id = NULL WHERE place <> 0 AND album_id IS NOT NULL
"""
_JOIN_ALBUM: Final = "UPDATE tracks SET album_id = ? WHERE id = ?"
_ADD_NAME: Final[Mapping[str, str]] = {
    "catalog_artists": "INSERT INTO catalog_artists (id, name, key) VALUES (?, ?, ?)",
    "genres": "INSERT INTO genres (id, name, key) VALUES (?, ?, ?)",
}
_ADD_ALBUM: Final = "INSERT INTO catalog_albums (id, key, title, albumartist) VALUES (?, ?, ?, ?)"
_LINK_ARTIST: Final = """
INSERT INTO catalog_track_artists (track_id, role, position, artist_id, spelling)
VALUES (?, ?, ?, ?, ?)
"""
_LINK_GENRE: Final = """
INSERT INTO track_genres (track_id, position, genre_id, spelling) VALUES (?, ?, ?, ?)
"""
_LAST_GIVEN: Final = "SELECT name, seq FROM sqlite_sequence"
_KEEP_LAST: Final = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
_LINKED_ARTIST: Final = """
SELECT artist_id FROM catalog_track_artists WHERE track_id = ? AND role = ? AND position = ?
"""
_LINKED_ARTIST_BEFORE: Final = """
SELECT artist_id FROM track_artists WHERE track_id = ? AND role = ? AND position = ?
"""
"""Of an index before the step `roles` of the schema."""
_LINKED_GENRE: Final = "SELECT genre_id FROM track_genres WHERE track_id = ? AND position = ?"


class Known(Struct, frozen=True):
    """The previous ids of names, by their plain spelling, and of albums."""

    artists: dict[str, int]
    genres: dict[str, int]
    albums: dict[bytes, int]

    @classmethod
    def of(cls, salvage: Salvage, expected: Connection) -> Known:
        """Read the ids that are still readable; `expected` has the original columns."""
        names: dict[str, dict[str, int]] = {}
        albums: dict[bytes, int] = {}
        for table in ("catalog_artists", "genres", "catalog_albums"):
            names[table] = {}
            columns = columns_of(expected, table)
            for row in salvage.rows(table, columns, "id"):
                if row.is_doubtful or row.values[1] is None:
                    continue
                if table == "catalog_albums":
                    albums[row.values[1]] = row.values[0]
                else:
                    names[table][plain(str(row.values[1]))] = row.values[0]
        return cls(names["catalog_artists"], names["genres"], albums)


def full_text(connection: Connection) -> None:
    connection.execute(_DROP_FULL_TEXT)
    _create(connection, Part.FULL_TEXT)
    index_rows.refill(connection)


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
    index_rows.refill_tags(connection)
    for table in ("catalog_artists", "genres", "catalog_albums"):
        connection.execute(_KEEP_LAST, (last.get(table, 0), table))


class _Catalogue:
    """The names and albums of all tracks in the view, each with its id."""

    def __init__(self, connection: Connection, known: Known, links: Salvage) -> None:
        self._connection = connection
        self._known = known
        self._links = links
        self._artists: dict[str, int | None] = {}
        self._genres: dict[str, int | None] = {}
        self._albums: dict[bytes, int | None] = {}
        self._spelled: dict[tuple[str, str], Counter[str]] = {}
        """(table, plain spelling) -> how many tracks have it in each spelling, if in several."""
        self._named: defaultdict[bytes, Counter[tuple[str | None, str | None]]]
        self._named = defaultdict(Counter)
        """Key of an album -> how many of its tracks have each title and album artist."""

    def number(self, last: Mapping[str, int]) -> None:
        """Give each name and album an id, the previous one if links and tracks still have it."""
        for track_id, names in catalog.names_in_rows(self._connection):
            for role, role_names in ((Role.ARTIST, names[0]), (Role.ALBUMARTIST, names[1])):
                for position, name in enumerate(role_names):
                    key = plain(name)
                    if key not in self._artists:
                        self._artists[key] = self._known.artists.get(key) or self._linked_artist(
                            track_id, role, position
                        )
            for position, name in enumerate(names[2]):
                key = plain(name)
                if key not in self._genres:
                    self._genres[key] = self._known.genres.get(key) or self._links.linked_id(
                        _LINKED_GENRE, (track_id, position)
                    )
            for table, said in (
                ("catalog_artists", {*names[0], *names[1]}),
                ("genres", {*names[2]}),
            ):
                for name in said:
                    self._spelled.setdefault((table, plain(name)), Counter())[name] += 1
        for _, album_id, key_, title, albumartist in self._tracks():
            self._albums.setdefault(key_, self._known.albums.get(key_) or album_id)
            self._named[key_][title, albumartist] += 1
        _give_ids(self._artists, self._known.artists, last.get("catalog_artists", 0))
        _give_ids(self._genres, self._known.genres, last.get("genres", 0))
        _give_ids(self._albums, self._known.albums, last.get("catalog_albums", 0))

    def _linked_artist(self, track_id: int, role: Role, position: int) -> int | None:
        return self._links.linked_id(
            _LINKED_ARTIST, (track_id, role, position)
        ) or self._links.linked_id(_LINKED_ARTIST_BEFORE, (track_id, role.shown, position))

    def _tracks(self) -> Iterator[tuple[int, int | None, bytes, str | None, str | None]]:
        """(track id, album id, key, title and album artist of its album)."""
        for track_id, root_id, path, album_id, *columns in select(self._connection, _TRACKS):
            shaped = Shaped(tuple(columns), (), (), ())
            yield track_id, album_id, album_key(shaped, root_id, path), *shaped.album_name

    def write(self) -> None:
        """Write everything into the tables, which are empty."""
        connection = self._connection
        for table, ids in (("catalog_artists", self._artists), ("genres", self._genres)):
            rows = []
            for key, one in ids.items():
                spelled = self._spelled[table, key]
                name = min(spelled, key=lambda said: (-spelled[said], said))
                rows.append((one, name, None if name == key else key))
            connection.executemany(_ADD_NAME[table], sorted(rows))
        connection.executemany(
            _ADD_ALBUM, [(one, key, *_most(self._named[key])) for key, one in self._albums.items()]
        )
        connection.execute(_LEAVE_ALBUMS)
        joining = [
            (self._albums[key], track_id)
            for track_id, album_id, key, *_ in self._tracks()
            if album_id != self._albums[key]
        ]
        connection.executemany(_JOIN_ALBUM, joining)
        for track_id, names in catalog.names_in_rows(connection):
            for role, role_names in ((Role.ARTIST, names[0]), (Role.ALBUMARTIST, names[1])):
                for position, name in enumerate(role_names):
                    row = (track_id, role, position, *_spelled(self._artists, name))
                    connection.execute(_LINK_ARTIST, row)
            for position, name in enumerate(names[2]):
                connection.execute(_LINK_GENRE, (track_id, position, *_spelled(self._genres, name)))


def _spelled(ids: Mapping[str, int | None], name: str) -> tuple[int | None, str | None]:
    """(id, spelling of a link) of a name; None: the plain spelling."""
    key = plain(name)
    return ids[key], None if name == key else name


def _most(named: Counter[tuple[str | None, str | None]]) -> tuple[str | None, str | None]:
    """The name that most tracks of an album have; among equals the first, as SQLite orders them."""

    def place(name: tuple[str | None, str | None]) -> tuple[object, ...]:
        return (-named[name], *((part is not None, part or "") for part in name))

    return min(named, key=place)


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
