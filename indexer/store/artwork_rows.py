"""What is chosen for albums and artists, and where a picture is, for those that read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.artwork.model import PictureKey
from indexer.paths import join
from indexer.store.artwork import Owner, OwnerKind
from indexer.store.connection import Connection, Row, select, select_one, select_value

_ALBUMS: Final = """
SELECT id, title, albumartist, year FROM albums
ORDER BY albumartist IS NULL, albumartist COLLATE NOCASE, year, title COLLATE NOCASE, id
"""
_ALBUM: Final = "SELECT id, title, albumartist, year FROM albums WHERE id = ?"
_ARTISTS: Final = """
SELECT DISTINCT catalog_artists.id, catalog_artists.name
FROM artwork_choices AS chosen JOIN catalog_artists ON catalog_artists.id = chosen.owner_id
WHERE chosen.kind = 'artist' ORDER BY catalog_artists.name COLLATE NOCASE, catalog_artists.id
"""
_OF_ALBUM: Final = "SELECT * FROM artwork WHERE kind = 'album' AND album_id = ?"
_OF_ARTIST: Final = "SELECT * FROM artwork WHERE kind = 'artist' AND artist_id = ?"
_IS_DUE: Final = "SELECT 1 FROM artwork_due WHERE kind = ? AND owner_id = ?"
_FILES_WITH: Final = "SELECT root_id, folder, name FROM pictures WHERE hash = ?"
_TRACKS_WITH: Final = """
SELECT tracks.root_id, tracks.path FROM track_pictures JOIN tracks ON tracks.id = track_id
WHERE track_pictures.hash = ? AND tracks.place = 0
"""


def albums(connection: Connection) -> list[Row]:
    """(id, title, album artist, year) of all present albums, by artist and year."""
    return list(select(connection, _ALBUMS))


def album(connection: Connection, album_id: int) -> Row | None:
    return select_one(connection, _ALBUM, (album_id,))


def artists_with_image(connection: Connection) -> list[Row]:
    """(id, name) of the artists for whom an image is chosen, by name."""
    return list(select(connection, _ARTISTS))


def of_owner(connection: Connection, owner: Owner) -> Row | None:
    """The row of the view `artwork` for an album or artist; None: it has none."""
    statement = _OF_ALBUM if owner.kind == OwnerKind.ALBUM else _OF_ARTIST
    return select_one(connection, statement, (owner.id,))


def is_due(connection: Connection, owner: Owner) -> bool:
    """Whether its artwork is to be chosen again."""
    return select_value(connection, _IS_DUE, (owner.kind, owner.id)) is not None


def places_of(connection: Connection, digest: bytes) -> Iterator[PictureKey]:
    """Where a picture with this hash was found: files first, then tracks."""
    for root_id, folder, name in list(select(connection, _FILES_WITH, (digest,))):
        yield PictureKey(root_id, join(folder[:-1], name))
    for root_id, path in list(select(connection, _TRACKS_WITH, (digest,))):
        yield PictureKey(root_id, path)
