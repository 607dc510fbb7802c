"""Artists, albums and genres: names -> ids, links to tracks, and removal of unused ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, TypeVar

import msgspec

from indexer.store.connection import Connection, insert_all, select, select_one, select_value

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Artists, album artists and genres of one track."""

_REMEMBERED: Final = 20_000
"""Names of each kind whose ids are cached. A guess that covers a large library."""

_ARTIST_ID: Final = "SELECT id FROM artists WHERE name = ?"
_ADD_ARTIST: Final = "INSERT INTO artists (name) VALUES (?)"
_GENRE_ID: Final = "SELECT id FROM genres WHERE name = ?"
_ADD_GENRE: Final = "INSERT INTO genres (name) VALUES (?)"
_ALBUM: Final = "SELECT id, title, albumartist FROM albums WHERE key = ?"
_ADD_ALBUM: Final = "INSERT INTO albums (key, title, albumartist) VALUES (?, ?, ?)"
_NAME_ALBUM: Final = "UPDATE albums SET title = ?, albumartist = ? WHERE id = ?"
_REKEY_ALBUM: Final = "UPDATE albums SET key = ? WHERE id = ?"
_ALBUM_SIZE: Final = "SELECT count(*) FROM tracks WHERE album_id = ?"

_LINK_ARTISTS: Final = "INSERT INTO track_artists (track_id, role, position, artist_id)"
_LINK_ARTIST: Final = f"{_LINK_ARTISTS} VALUES (?, ?, ?, ?)"
_LINK_GENRES: Final = "INSERT INTO track_genres (track_id, position, genre_id)"
_LINK_GENRE: Final = f"{_LINK_GENRES} VALUES (?, ?, ?)"
_UNLINK_ARTISTS: Final = "DELETE FROM track_artists WHERE track_id = ? RETURNING artist_id"
_UNLINK_GENRES: Final = "DELETE FROM track_genres WHERE track_id = ? RETURNING genre_id"

_END_ARTIST: Final = """
DELETE FROM artists WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM track_artists WHERE artist_id = ?1)
"""
_END_GENRE: Final = """
DELETE FROM genres WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM track_genres WHERE genre_id = ?1)
"""
_END_ALBUM: Final = """
DELETE FROM albums WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM tracks WHERE album_id = ?1)
"""
_RENAME_ALBUM: Final = """
UPDATE albums SET (title, albumartist) =
    (SELECT album, albumartist FROM tracks WHERE album_id = ?1 ORDER BY id DESC LIMIT 1)
WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM tracks WHERE album_id = ?1
    AND album IS albums.title AND tracks.albumartist IS albums.albumartist)
"""
"""A release does not keep a name that came only from a track which left it."""

_TOLD_NAMES: Final = """
SELECT id, artist, albumartist, genre, several FROM tracks WHERE place = 0 ORDER BY id
"""
_LINKED_ARTISTS: Final = """
SELECT track_id, role, name FROM track_artists LEFT JOIN artists ON artists.id = artist_id
ORDER BY track_id, role, position
"""
_LINKED_GENRES: Final = """
SELECT track_id, 'genre', name FROM track_genres LEFT JOIN genres ON genres.id = genre_id
ORDER BY track_id, position
"""
_COUNTS: Final = "SELECT (SELECT count(*) FROM albums), (SELECT count(*) FROM artists)"
_NAMES_OF: Final = """
SELECT artists.name FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
WHERE track_id = ? AND role = ? ORDER BY position
"""
_GENRES_OF: Final = """
SELECT genres.name FROM track_genres JOIN genres ON genres.id = track_genres.genre_id
WHERE track_id = ? ORDER BY position
"""


class Catalog:
    """The artists, albums and genres of one connection, with a cache of their ids.

    Use it inside write transactions: call `end_orphans()` before each commit, and `forget()` after
    a rollback.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._artists: dict[str, int] = {}
        self._genres: dict[str, int] = {}
        self._albums: dict[bytes, tuple[int, str | None, str | None]] = {}
        self._left_artists: set[int] = set()
        self._left_genres: set[int] = set()
        self._left_albums: set[int] = set()

    def forget(self) -> None:
        """Clear the caches and the list of possible orphans."""
        self.forget_ids()
        for left in (self._left_artists, self._left_genres, self._left_albums):
            left.clear()

    def forget_ids(self) -> None:
        """Clear the cached ids after a part of the transaction was rolled back.

        Possible orphans are still checked before the commit.
        """
        for names in (self._artists, self._genres, self._albums):
            names.clear()

    def link(
        self,
        track_id: int,
        artists: Sequence[str],
        albumartists: Sequence[str],
        genres: Sequence[str],
    ) -> None:
        """Link a track that has no links yet."""
        for role, names in (("artist", artists), ("albumartist", albumartists)):
            for position, name in enumerate(names):
                row = (track_id, role, position, self._artist_id(name))
                self._connection.execute(_LINK_ARTIST, row)
        for position, name in enumerate(genres):
            self._connection.execute(_LINK_GENRE, (track_id, position, self._genre_id(name)))

    def link_all(self, tracks: Iterable[tuple[int, Names]]) -> None:
        """Link tracks that have no links yet, in the order of their ids."""
        artist_rows: list[object] = []
        genre_rows: list[object] = []
        artist_ids, genre_ids = self._artists, self._genres
        for track_id, (artists, albumartists, genres) in tracks:
            for position, name in enumerate(artists):
                one = artist_ids.get(name) or self._artist_id(name)
                artist_rows += (track_id, "artist", position, one)
            for position, name in enumerate(albumartists):
                one = artist_ids.get(name) or self._artist_id(name)
                artist_rows += (track_id, "albumartist", position, one)
            for position, name in enumerate(genres):
                one = genre_ids.get(name) or self._genre_id(name)
                genre_rows += (track_id, position, one)
        insert_all(self._connection, _LINK_ARTISTS, 4, artist_rows)
        insert_all(self._connection, _LINK_GENRES, 3, genre_rows)

    def unlink(self, track_id: int) -> None:
        """Delete all links of a track; unused names are deleted at the end of the transaction."""
        connection = self._connection
        self._left_artists.update(
            row[0] for row in select(connection, _UNLINK_ARTISTS, (track_id,))
        )
        self._left_genres.update(row[0] for row in select(connection, _UNLINK_GENRES, (track_id,)))

    def album_id(self, key: bytes, title: str | None, albumartist: str | None) -> int:
        """The id of the album with this key, created if missing, named by its newest track."""
        album = self._albums.get(key)
        if album is None:
            album = select_one(self._connection, _ALBUM, (key,))
            if album is None:
                self._connection.execute(_ADD_ALBUM, (key, title, albumartist))
                album = (self._connection.last_insert_rowid(), title, albumartist)
            _remember(self._albums, key, album)
        if album[1:] != (title, albumartist):
            self._connection.execute(_NAME_ALBUM, (title, albumartist, album[0]))
            self._albums[key] = (album[0], title, albumartist)
        return album[0]

    def detach_from_album(self, album_id: int | None) -> None:
        """A track has left this album; an album without tracks is deleted at the end."""
        if album_id is not None:
            self._left_albums.add(album_id)

    def rekey_album(self, album_id: int, key: bytes, movers: int) -> bool:
        """Keep an album's id when all of its tracks (`movers` of them) moved to a new key.

        False: some tracks stay, or the new key exists; then the movers join `album_id(key)`.
        """
        if select_one(self._connection, _ALBUM, (key,)) is not None:
            return False
        if select_value(self._connection, _ALBUM_SIZE, (album_id,)) != movers:
            return False
        self._connection.execute(_REKEY_ALBUM, (key, album_id))
        self._albums.clear()
        return True

    def end_orphans(self) -> None:
        """Delete the artists, albums and genres that lost their last track in this transaction."""
        if not (self._left_artists or self._left_genres or self._left_albums):
            return
        before = self._connection.total_changes()
        for statement, left in (
            (_END_ARTIST, self._left_artists),
            (_END_GENRE, self._left_genres),
            (_END_ALBUM, self._left_albums),
            (_RENAME_ALBUM, self._left_albums),
        ):
            self._end(statement, left)
        for left in (self._left_artists, self._left_genres, self._left_albums):
            left.clear()
        if self._connection.total_changes() != before:
            self.forget()

    def _end(self, statement: str, ids: Iterable[int]) -> None:
        self._connection.executemany(statement, [(one,) for one in sorted(ids)])

    def _artist_id(self, name: str) -> int:
        return self._named_id(self._artists, name, _ARTIST_ID, _ADD_ARTIST)

    def _genre_id(self, name: str) -> int:
        return self._named_id(self._genres, name, _GENRE_ID, _ADD_GENRE)

    def _named_id(self, met: dict[str, int], name: str, select: str, insert: str) -> int:
        known = met.get(name)
        if known is None:
            known = select_value(self._connection, select, (name,))
            if known is None:
                self._connection.execute(insert, (name,))
                known = self._connection.last_insert_rowid()
            _remember(met, name, known)
        return known


def _remember(met: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(met) >= _REMEMBERED:
        met.clear()
    met[key] = value


def counts(connection: Connection) -> tuple[int, int]:
    """(albums, artists): how many have a track in the view."""
    albums, artists = next(select(connection, _COUNTS))
    return int(albums), int(artists)


def names_of(connection: Connection, track_id: int, role: str) -> list[str]:
    """A track's artists or album artists as a list, in the order of its tags."""
    return [name for (name,) in select(connection, _NAMES_OF, (track_id, role))]


def genres_of(connection: Connection, track_id: int) -> list[str]:
    """A track's genres as a list, in the order of its tags."""
    return [name for (name,) in select(connection, _GENRES_OF, (track_id,))]


def apart(
    artist: str | None, albumartist: str | None, genre: str | None, several: str | None
) -> Names:
    """The names of a row of `tracks` as lists; `several` has the fields with several values."""
    more = msgspec.json.decode(several, type=dict[str, tuple[str, ...]]) if several else {}
    return (
        more.get("artist") or (() if artist is None else (artist,)),
        more.get("albumartist") or (() if albumartist is None else (albumartist,)),
        more.get("genre") or (() if genre is None else (genre,)),
    )


def told_names(connection: Connection) -> Iterator[tuple[int, Names]]:
    """The id of each track in the view and the names in its row, by id."""
    for track_id, *told in select(connection, _TOLD_NAMES):
        yield track_id, apart(*told)


def count_wrong_links(connection: Connection, without: Collection[int] = ()) -> int:
    """How many tracks have links to names that are not in their rows, or must not have links.

    Those `without` are not compared.
    """
    artists = _grouped(select(connection, _LINKED_ARTISTS))
    genres = _grouped(select(connection, _LINKED_GENRES))
    wrong = 0
    nothing: tuple[int, list[tuple[str, str]]] = (0, [])
    artist, genre = next(artists, nothing), next(genres, nothing)
    for track_id, names in told_names(connection):
        while artist is not nothing and artist[0] < track_id:
            wrong, artist = wrong + 1, next(artists, nothing)
        while genre is not nothing and genre[0] < track_id:
            wrong, genre = wrong + 1, next(genres, nothing)
        roles = zip(("albumartist", "artist", "genre"), (names[1], names[0], names[2]), strict=True)
        expected = [(role, name) for role, told in roles for name in told]
        linked: list[tuple[str, str]] = []
        if artist[0] == track_id:
            linked, artist = linked + artist[1], next(artists, nothing)
        if genre[0] == track_id:
            linked, genre = linked + genre[1], next(genres, nothing)
        wrong += linked != expected and track_id not in without
    left = chain((artist,), artists, (genre,), genres)
    return wrong + sum(1 for one in left if one is not nothing)


def _grouped(
    links: Iterable[tuple[int, str, str]],
) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Group links by track: (track id, its (role, name) in order)."""
    at: int | None = None
    names: list[tuple[str, str]] = []
    for track_id, role, name in links:
        if track_id != at:
            if at is not None:
                yield at, names
            at, names = track_id, []
        names.append((role, name))
    if at is not None:
        yield at, names
