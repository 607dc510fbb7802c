"""Artists, albums and genres: names -> ids, links to tracks, and removal of unused ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import msgspec
from msgspec import Struct

from indexer.store.names import ARTISTS, GENRES, NameTable, remember
from indexer.store.schema.roles import Role
from indexer.store.statements import Connection, insert_all, select, select_one, select_value

Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Artists, album artists and genres of one track."""

_ALBUM: Final = "SELECT id, title, albumartist FROM catalog_albums WHERE key = ?"
_ADD_ALBUM: Final = "INSERT INTO catalog_albums (key, title, albumartist) VALUES (?, ?, ?)"
_REKEY_ALBUM: Final = "UPDATE catalog_albums SET key = ? WHERE id = ?"
_ALBUM_SIZE: Final = "SELECT count(*) FROM tracks WHERE album_id = ?"

_LINK_ARTISTS: Final = """
INSERT OR FAIL INTO catalog_track_artists (track_id, role, position, artist_id)
"""
_LINK_SPELLED_ARTIST: Final = """
INSERT INTO catalog_track_artists (track_id, role, position, artist_id, spelling)
VALUES (?, ?, ?, ?, ?)
"""
_LINK_GENRES: Final = "INSERT OR FAIL INTO track_genres (track_id, position, genre_id)"
_LINK_SPELLED_GENRE: Final = """
INSERT INTO track_genres (track_id, position, genre_id, spelling) VALUES (?, ?, ?, ?)
"""
_UNLINK_ARTISTS: Final = """
DELETE FROM catalog_track_artists WHERE track_id = ? RETURNING artist_id
"""
_UNLINK_GENRES: Final = "DELETE FROM track_genres WHERE track_id = ? RETURNING genre_id"

_END_ALBUM: Final = """
DELETE FROM catalog_albums WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM tracks WHERE album_id = ?1)
"""
_NAME_ALBUM: Final = """
UPDATE catalog_albums SET (title, albumartist) =
    (SELECT album, tracks.albumartist FROM tracks WHERE album_id = ?1
    GROUP BY album, tracks.albumartist ORDER BY count(*) DESC, album, tracks.albumartist LIMIT 1)
WHERE id = ?1 AND EXISTS (SELECT 1 FROM tracks WHERE album_id = ?1
    AND (album IS NOT catalog_albums.title OR tracks.albumartist IS NOT catalog_albums.albumartist))
"""
"""An album has the title and artist of most of its tracks, then the first in the order of bytes, so
that a new index has the same."""

_NAMES_IN_ROWS: Final = """
SELECT id, artist, albumartist, genre, several FROM tracks WHERE place = 0 ORDER BY id
"""
_LINKED_ARTISTS: Final = """
SELECT track_id, role, coalesce(spelling, key, name)
FROM catalog_track_artists LEFT JOIN catalog_artists ON catalog_artists.id = artist_id
ORDER BY track_id, role, position
"""
_LINKED_GENRES: Final = """
SELECT track_id, NULL, coalesce(spelling, key, name)
FROM track_genres LEFT JOIN genres ON genres.id = genre_id
ORDER BY track_id, position
"""
_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM catalog_albums), (SELECT count(*) FROM catalog_artists)"
)
_ARTISTS_OF: Final = "SELECT artist_id FROM catalog_track_artists WHERE track_id = ?"
_NAMES_OF: Final = """
SELECT coalesce(spelling, key, name)
FROM catalog_track_artists AS link JOIN catalog_artists ON catalog_artists.id = link.artist_id
WHERE track_id = ? AND role = ? ORDER BY position
"""
_GENRES_OF: Final = """
SELECT coalesce(spelling, key, name)
FROM track_genres JOIN genres ON genres.id = track_genres.genre_id
WHERE track_id = ? ORDER BY position
"""


class _Links(Struct):
    """What links a track to its names: rows of the tables without the id of the track."""

    artists: list[tuple[Role, int, int]] = []
    genres: list[tuple[int, int]] = []
    odd: list[tuple[str, tuple[object, ...]]] = []
    """(statement, values) for names in another spelling than the plain one."""


class Catalog:
    """The artists, albums and genres of one connection, with a cache of their ids.

    Use it inside write transactions: call `end_orphans()` before each commit, and `forget()` after
    a rollback.
    """

    def __init__(self, connection: Connection) -> None:
        from indexer.store.sidecars.artwork import Due  # late: what only asks makes nothing due

        self.due = Due()
        """What changed tracks make due for artwork; written by `end_orphans`."""
        self._connection = connection
        self._artists = NameTable(connection, ARTISTS)
        self._genres = NameTable(connection, GENRES)
        self._albums: dict[bytes, tuple[int, str | None, str | None]] = {}
        self._left_albums: set[int] = set()
        self._contested: set[int] = set()
        """Albums of which a track in this transaction has another title or artist."""

    def forget(self) -> None:
        """Clear the caches and the list of possible orphans."""
        self.forget_ids()
        self.due.clear()
        for left in (self._artists.left, self._genres.left, self._left_albums, self._contested):
            left.clear()
        self._artists.contested.clear()
        self._genres.contested.clear()

    def forget_ids(self) -> None:
        """Clear the cached ids after a part of the transaction was rolled back.

        Possible orphans are still checked before the commit.
        """
        for names in (self._artists.ids, self._genres.ids, self._albums):
            names.clear()

    def link(
        self,
        track_id: int,
        artists: Sequence[str],
        albumartists: Sequence[str],
        genres: Sequence[str],
    ) -> None:
        """Link a track that has no links yet."""
        for role, names in ((Role.ARTIST, artists), (Role.ALBUMARTIST, albumartists)):
            for position, name in enumerate(names):
                row = (track_id, role, position, *self._artists.find(name))
                self.due.artists.add(row[3])
                self._connection.execute(_LINK_SPELLED_ARTIST, row)
        for position, name in enumerate(genres):
            self._connection.execute(
                _LINK_SPELLED_GENRE, (track_id, position, *self._genres.find(name))
            )

    def link_all(self, tracks: Iterable[tuple[int, Names]]) -> None:
        """Link tracks that have no links yet, in the order of their ids."""
        artist_rows: list[object] = []
        genre_rows: list[object] = []
        odd: list[tuple[str, tuple[object, ...]]] = []
        before, links = None, _Links()
        for track_id, names in tracks:
            if names != before:  # those of an album mostly have the same
                before, links = names, self._links_of(names)
            for role, position, one in links.artists:
                artist_rows += (track_id, role, position, one)
            for position, one in links.genres:
                genre_rows += (track_id, position, one)
            odd += [(statement, (track_id, *link)) for statement, link in links.odd]
        insert_all(self._connection, _LINK_ARTISTS, 4, artist_rows)
        insert_all(self._connection, _LINK_GENRES, 3, genre_rows)
        for statement, link in odd:
            self._connection.execute(statement, link)

    def _links_of(self, names: Names) -> _Links:
        """The links of a track with these names, in the order of the tables."""
        artists, albumartists, genres = names
        links = _Links()
        for role, several in ((Role.ARTIST, artists), (Role.ALBUMARTIST, albumartists)):
            plain: list[tuple[Role, int, int]] = []
            for position, name in enumerate(several):
                one, spelling = self._artists.find(name)
                self.due.artists.add(one)
                if spelling is None:
                    plain.append((role, position, one))
                else:
                    links.odd.append((_LINK_SPELLED_ARTIST, (role, position, one, spelling)))
            links.artists[:0] = plain
        for position, name in enumerate(genres):
            one, spelling = self._genres.find(name)
            if spelling is None:
                links.genres.append((position, one))
            else:
                links.odd.append((_LINK_SPELLED_GENRE, (position, one, spelling)))
        return links

    def unlink(self, track_id: int) -> None:
        """Delete all links of a track; unused names are deleted at the end of the transaction."""
        connection = self._connection
        left = [row[0] for row in select(connection, _UNLINK_ARTISTS, (track_id,))]
        self._artists.left.update(left)
        self.due.artists.update(left)
        self._genres.left.update(row[0] for row in select(connection, _UNLINK_GENRES, (track_id,)))

    def album_id(self, key: bytes, title: str | None, albumartist: str | None) -> int:
        """The id of the album with this key of a track so named, created if missing."""
        album = self._albums.get(key)
        if album is None:
            album = select_one(self._connection, _ALBUM, (key,))
            if album is None:
                self._connection.execute(_ADD_ALBUM, (key, title, albumartist))
                album = (self._connection.last_insert_rowid(), title, albumartist)
            remember(self._albums, key, album)
        if album[1:] != (title, albumartist):
            self._contested.add(album[0])
        self.due.albums.add(album[0])
        return album[0]

    def detach_from_album(self, album_id: int | None) -> None:
        """A track has left this album; an album without tracks is deleted at the end."""
        if album_id is not None:
            self._left_albums.add(album_id)
            self.due.albums.add(album_id)

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
        """Delete the artists, albums and genres that lost their last track in this transaction.

        Name the others as most of their tracks do, and write what is due for artwork.
        """
        self.due.write(self._connection)
        before = self._connection.total_changes()
        named = self._left_albums | self._contested
        for statement, left in ((_END_ALBUM, self._left_albums), (_NAME_ALBUM, named)):
            if left:
                self._connection.executemany(statement, [(one,) for one in sorted(left)])
        self._artists.end()
        self._genres.end()
        self._left_albums.clear()
        self._contested.clear()
        if self._connection.total_changes() != before:
            self.forget()


def counts(connection: Connection) -> tuple[int, int]:
    """(albums, artists): how many have a track in the view."""
    albums, artists = next(select(connection, _COUNTS))
    return int(albums), int(artists)


def names_of(connection: Connection, track_id: int, role: Role) -> list[str]:
    """A track's artists or album artists as a list, in the order of its tags."""
    return [name for (name,) in select(connection, _NAMES_OF, (track_id, role))]


def artists_of(connection: Connection, track_id: int) -> set[int]:
    """The ids of a track's artists, in any role."""
    return {one for (one,) in select(connection, _ARTISTS_OF, (track_id,))}


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


def names_in_rows(connection: Connection) -> Iterator[tuple[int, Names]]:
    """The id of each track in the view and the names in its row, by id."""
    for track_id, *told in select(connection, _NAMES_IN_ROWS):
        yield track_id, apart(*told)


def count_wrong_links(connection: Connection, without: Collection[int] = ()) -> int:
    """How many tracks have links to names that are not in their rows, or must not have links.

    Those `without` are not compared.
    """
    artists = _grouped(select(connection, _LINKED_ARTISTS))
    genres = _grouped(select(connection, _LINKED_GENRES))
    wrong = 0
    nothing: tuple[int, list[tuple[int | None, str]]] = (0, [])
    artist, genre = next(artists, nothing), next(genres, nothing)
    for track_id, names in names_in_rows(connection):
        while artist is not nothing and artist[0] < track_id:
            wrong, artist = wrong + 1, next(artists, nothing)
        while genre is not nothing and genre[0] < track_id:
            wrong, genre = wrong + 1, next(genres, nothing)
        roles = zip(
            (Role.ALBUMARTIST, Role.ARTIST, None), (names[1], names[0], names[2]), strict=True
        )
        expected = [(role, name) for role, told in roles for name in told]
        linked: list[tuple[int | None, str]] = []
        if artist[0] == track_id:
            linked, artist = linked + artist[1], next(artists, nothing)
        if genre[0] == track_id:
            linked, genre = linked + genre[1], next(genres, nothing)
        wrong += linked != expected and track_id not in without
    left = chain((artist,), artists, (genre,), genres)
    return wrong + sum(1 for one in left if one is not nothing)


def _grouped(
    links: Iterable[tuple[int, int | None, str]],
) -> Iterator[tuple[int, list[tuple[int | None, str]]]]:
    """Group links by track: (track id, its (role, name) in order); None is the role of a genre."""
    at: int | None = None
    names: list[tuple[int | None, str]] = []
    for track_id, role, name in links:
        if track_id != at:
            if at is not None:
                yield at, names
            at, names = track_id, []
        names.append((role, name))
    if at is not None:
        yield at, names
