"""The present tracks of an album, an artist or a folder, as the choice of artwork needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from indexer import paths
from indexer.artwork.model import AlbumTrack
from indexer.store.schema.roles import Role
from indexer.store.schema.views import SHOWN_PATH
from indexer.store.statements import Connection, Row, select, select_value
from indexer.store.tracks_below import BYTES_BELOW, TEXTS_BELOW, pages

_FIRST: Final = 4
"""Rows of the first page: most questions are answered by the first other album."""
_COLUMNS: Final = "id, root_id, path, disc, track, has_picture, album_id"
_BY_ALBUM_ARTIST: Final = f"""(link.role = {Role.ALBUMARTIST:d} OR NOT EXISTS (
    SELECT 1 FROM catalog_track_artists AS other
    WHERE other.track_id = link.track_id AND other.role = {Role.ALBUMARTIST:d}))"""  # noqa: S608 - our own names
"""Of a track without an album artist, its artists count."""
_OF_ALBUM: Final = f"SELECT {_COLUMNS} FROM tracks WHERE album_id = ? ORDER BY id"  # noqa: S608 - our own names
_OF_ARTIST: Final = f"""
SELECT DISTINCT tracks.id, root_id, path, disc, track, has_picture, album_id
FROM catalog_track_artists AS link JOIN tracks ON tracks.id = link.track_id
WHERE link.artist_id = ?1 AND tracks.place = 0 AND {_BY_ALBUM_ARTIST}
ORDER BY tracks.id
"""  # noqa: S608 - our own names
_TEXTS: Final = f"""
SELECT {_COLUMNS} FROM tracks WHERE root_id = ?1 AND {TEXTS_BELOW} AND gone = 0 AND place = 0
ORDER BY {SHOWN_PATH} LIMIT ?4
"""  # noqa: S608 - our own names
_BYTES: Final = f"""
SELECT {_COLUMNS} FROM tracks WHERE root_id = ?1 AND {BYTES_BELOW} AND gone = 0 AND place = 0
ORDER BY {SHOWN_PATH} LIMIT ?4
"""  # noqa: S608 - our own names
_ALBUM_ARTISTS: Final = f"""
SELECT DISTINCT artist_id FROM catalog_track_artists AS link
WHERE track_id = ?1 AND {_BY_ALBUM_ARTIST}
"""  # noqa: S608 - our own names
_ARTISTS_BELOW: Final = tuple(
    f"""
SELECT DISTINCT catalog_artists.id, catalog_artists.name
FROM tracks CROSS JOIN catalog_track_artists AS link ON link.track_id = tracks.id
    CROSS JOIN catalog_artists ON catalog_artists.id = link.artist_id
WHERE root_id = ?1 AND {span} AND gone = 0 AND place = 0
"""  # noqa: S608 - our own names
    for span in (TEXTS_BELOW, BYTES_BELOW)
)
_ARTISTS: Final = "SELECT id, name FROM catalog_artists"
_MANY: Final = 1000
"""Tracks below a folder from which on all artists are asked: these are fewer. A guess."""
_HAS_MANY: Final = f"""
SELECT 1 FROM tracks WHERE root_id = ?1 AND {TEXTS_BELOW} AND gone = 0 AND place = 0
LIMIT 1 OFFSET ?4
"""  # noqa: S608 - our own names
_NOT_OF_ARTIST: Final = tuple(
    f"""
SELECT 1 FROM tracks
WHERE root_id = ?1 AND {span} AND gone = 0 AND place = 0 AND NOT EXISTS (
    SELECT 1 FROM catalog_track_artists AS link
    WHERE track_id = tracks.id AND artist_id = ?4 AND {_BY_ALBUM_ARTIST})
LIMIT 1
"""  # noqa: S608 - our own names
    for span in (TEXTS_BELOW, BYTES_BELOW)
)
_NOT_OF_ALBUM: Final = tuple(
    f"""
SELECT 1 FROM tracks
WHERE root_id = ?1 AND {span} AND gone = 0 AND place = 0 AND album_id IS NOT ?4 LIMIT 1
"""  # noqa: S608 - our own names
    for span in (TEXTS_BELOW, BYTES_BELOW)
)
_ALBUM_TITLE: Final = "SELECT title FROM catalog_albums WHERE id = ?"
_ARTIST_NAME: Final = "SELECT name FROM catalog_artists WHERE id = ?"


def of_album(connection: Connection, album_id: int) -> list[AlbumTrack]:
    return _told(select(connection, _OF_ALBUM, (album_id,)))


def of_artist(connection: Connection, artist_id: int) -> list[AlbumTrack]:
    """The present tracks of an album artist."""
    return _told(select(connection, _OF_ARTIST, (artist_id,)))


def name_of_artist(connection: Connection, artist_id: int) -> str | None:
    """None: there is no such artist any more."""
    name: str | None = select_value(connection, _ARTIST_NAME, (artist_id,))
    return name


def title_of_album(connection: Connection, album_id: int) -> str | None:
    title: str | None = select_value(connection, _ALBUM_TITLE, (album_id,))
    return title


def below(
    connection: Connection, root_id: int, folder: bytes, *, recursive: bool
) -> Iterator[AlbumTrack]:
    """The present tracks in a folder, and below it if `recursive`; page by page, so end it early.

    First those with paths that are UTF-8. Not recursive: it costs a step for each subfolder.
    """
    for statement in (_TEXTS, _BYTES):
        if statement is _TEXTS and not paths.fits_utf8(folder):
            continue
        rows = pages(connection, statement, root_id, folder, recursive=recursive, first=_FIRST)
        yield from map(_track, rows)


def albums_in(
    connection: Connection, root_id: int, folder: bytes, *, recursive: bool
) -> Iterator[int]:
    """The albums of the tracks in a folder, some more than once, as `below`."""
    for track in below(connection, root_id, folder, recursive=recursive):
        yield track.album_id


def artists_below(connection: Connection, root_id: int, folder: bytes) -> Iterator[tuple[int, str]]:
    """(id, name) of the artists of tracks below a folder; one may come twice.

    Below a folder with very many tracks all artists of the index are given.
    """
    where = (root_id, *paths.below_range(folder))
    if select_value(connection, _HAS_MANY, (*where, _MANY)) is not None:
        yield from select(connection, _ARTISTS)
        return
    for statement in _ARTISTS_BELOW:
        yield from select(connection, statement, where)


def has_other_artists(connection: Connection, root_id: int, folder: bytes, artist_id: int) -> bool:
    """Whether a present track below a folder has another album artist, and not this one.

    One statement: a folder of compilations has tens of thousands of tracks.
    """
    return _is_any(connection, _NOT_OF_ARTIST, root_id, folder, artist_id)


def has_other_albums(connection: Connection, root_id: int, folder: bytes, album_id: int) -> bool:
    """Whether a present track below a folder is of another album."""
    return _is_any(connection, _NOT_OF_ALBUM, root_id, folder, album_id)


def album_artists_of(connection: Connection, track_id: int) -> set[int]:
    """The album artists of a track; of one without any, its artists."""
    return {one for (one,) in select(connection, _ALBUM_ARTISTS, (track_id,))}


def _is_any(
    connection: Connection, statements: Iterable[str], root_id: int, folder: bytes, owner_id: int
) -> bool:
    low, high = paths.below_range(folder)
    return any(
        select_value(connection, statement, (root_id, low, high, owner_id)) is not None
        for statement in statements
    )


def _told(rows: Iterable[Row]) -> list[AlbumTrack]:
    return [_track(row) for row in rows]


def _track(row: Row) -> AlbumTrack:
    track_id, root_id, path, disc, track, has_picture, album_id = row
    return AlbumTrack(track_id, root_id, path, disc, track, has_picture != 0, album_id or 0)
