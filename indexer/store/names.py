"""Names of artists or genres -> their ids; one row for all spellings that look alike."""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import Struct

from indexer.spelling import plain
from indexer.store.statements import Connection, select_one, select_value

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_REMEMBERED: Final = 20_000
"""Names of each kind whose ids are cached. A guess that covers a large library."""

_ARTIST: Final = """
SELECT id, key FROM catalog_artists WHERE name = ?1
UNION ALL SELECT id, key FROM catalog_artists WHERE key = ?1
"""
_ADD_ARTIST: Final = "INSERT INTO catalog_artists (name, key) VALUES (?, ?)"
_NAME_ARTIST: Final = "UPDATE catalog_artists SET name = ?, key = ? WHERE id = ?"
_SPELLED_ARTIST: Final = """
SELECT coalesce(spelling, artists.key, name) AS said, coalesce(artists.key, name), name
FROM catalog_track_artists JOIN catalog_artists AS artists ON artists.id = artist_id
WHERE artist_id = ?
GROUP BY said ORDER BY count(DISTINCT track_id) DESC, said LIMIT 1
"""
_ODD_ARTIST: Final = """
SELECT 1 FROM catalog_artists WHERE id = ?1 AND (key IS NOT NULL
    OR EXISTS (SELECT 1 FROM catalog_track_artists WHERE artist_id = ?1 AND spelling IS NOT NULL))
"""
_GENRE: Final = """
SELECT id, key FROM genres WHERE name = ?1 UNION ALL SELECT id, key FROM genres WHERE key = ?1
"""
_ADD_GENRE: Final = "INSERT INTO genres (name, key) VALUES (?, ?)"
_NAME_GENRE: Final = "UPDATE genres SET name = ?, key = ? WHERE id = ?"
_SPELLED_GENRE: Final = """
SELECT coalesce(spelling, genres.key, name) AS said, coalesce(genres.key, name), name
FROM track_genres JOIN genres ON genres.id = genre_id WHERE genre_id = ?
GROUP BY said ORDER BY count(DISTINCT track_id) DESC, said LIMIT 1
"""
_ODD_GENRE: Final = """
SELECT 1 FROM genres WHERE id = ?1 AND (key IS NOT NULL
    OR EXISTS (SELECT 1 FROM track_genres WHERE genre_id = ?1 AND spelling IS NOT NULL))
"""
_END_ARTIST: Final = """
DELETE FROM catalog_artists WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM catalog_track_artists WHERE artist_id = ?1)
"""
_END_GENRE: Final = """
DELETE FROM genres WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM track_genres WHERE genre_id = ?1)
"""


class Kind(Struct, frozen=True):
    """The statements for names of one kind."""

    find: str
    add: str
    name: str
    spelled: str
    odd: str
    end: str


ARTISTS: Final = Kind(_ARTIST, _ADD_ARTIST, _NAME_ARTIST, _SPELLED_ARTIST, _ODD_ARTIST, _END_ARTIST)
GENRES: Final = Kind(_GENRE, _ADD_GENRE, _NAME_GENRE, _SPELLED_GENRE, _ODD_GENRE, _END_GENRE)


class NameTable:
    """The names of one kind, whose spellings that look alike are one name (`spelling.plain`)."""

    def __init__(self, connection: Connection, kind: Kind) -> None:
        self._connection = connection
        self._kind = kind
        self.ids: dict[str, int] = {}
        """The cached ids of names in their plain spelling, in which they are shown."""
        self.left: set[int] = set()
        """Those that a track left in this transaction."""
        self.contested: set[int] = set()
        """Those that a track spells in another way, or that are shown so."""

    def find(self, name: str) -> tuple[int, str | None]:
        """(id, spelling of a link) of a name, created if missing; None: the plain spelling."""
        known = self.ids.get(name)
        if known is not None:
            return known, None
        key = plain(name)
        spelling = None if name == key else name
        row = select_one(self._connection, self._kind.find, (key,))
        if row is None:
            self._connection.execute(self._kind.add, (name, None if spelling is None else key))
            name_id, is_odd = self._connection.last_insert_rowid(), spelling is not None
        else:
            name_id, is_odd = row[0], spelling is not None or row[1] is not None
        if is_odd:
            self.contested.add(name_id)
        else:
            remember(self.ids, name, name_id)
        return name_id, spelling

    def end(self) -> None:
        """Delete names without a track, and name the others as most of their tracks do."""
        if self.left:
            self._connection.executemany(self._kind.end, [(one,) for one in sorted(self.left)])
        for one in sorted(self.left - self.contested):
            if select_value(self._connection, self._kind.odd, (one,)) is not None:
                self.contested.add(one)
        for one in sorted(self.contested):
            spelled = select_one(self._connection, self._kind.spelled, (one,))
            if spelled is not None and spelled[0] != spelled[2]:
                name, key, _ = spelled
                self._connection.execute(self._kind.name, (name, None if name == key else key, one))
        self.left.clear()
        self.contested.clear()


def remember(met: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(met) >= _REMEMBERED:
        met.clear()
    met[key] = value
