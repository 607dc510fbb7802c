"""The rows of `artwork_choices`, `artwork_due` and `artwork_due_folders`, and which are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from indexer.paths import folder_key, join
from indexer.settings import Settings
from indexer.store.sidecars import playlists
from indexer.store.sidecars.pictures import split
from indexer.store.statements import (
    Connection,
    Row,
    select,
    select_one,
    select_value,
    write_transaction,
)

if TYPE_CHECKING:  # `status` only counts what is due
    from indexer.artwork.model import PictureKey, PictureSource  # noqa: TC004 - never decoded


_DUE: Final = "INSERT OR IGNORE INTO artwork_due (kind, owner_id) VALUES (?, ?)"
_DUE_FOLDER: Final = "INSERT OR IGNORE INTO artwork_due_folders (root_id, folder) VALUES (?, ?)"
_ABOVE_ALL: Final = "z"
_NEXT: Final = """
SELECT kind, owner_id FROM artwork_due WHERE (kind, owner_id) > (?, ?) AND kind <= ?
ORDER BY kind, owner_id LIMIT ?
"""
_NEXT_FOLDERS: Final = """
SELECT root_id, folder FROM artwork_due_folders ORDER BY root_id, folder LIMIT ?
"""
_END_DUE: Final = "DELETE FROM artwork_due WHERE kind = ? AND owner_id = ?"
_END_DUE_FOLDER: Final = "DELETE FROM artwork_due_folders WHERE root_id = ? AND folder IN (?, ?)"
_END_DUE_FOLDERS: Final = "DELETE FROM artwork_due_folders"
_IS_ANY_NOT_DUE: Final = """
SELECT EXISTS (SELECT 1 FROM catalog_albums
    WHERE NOT EXISTS (SELECT 1 FROM artwork_due WHERE kind = 'album' AND owner_id = id))
OR EXISTS (SELECT 1 FROM catalog_artists
    WHERE NOT EXISTS (SELECT 1 FROM artwork_due WHERE kind = 'artist' AND owner_id = id))
"""
_COUNT: Final = """
SELECT (SELECT count(*) FROM artwork_due WHERE kind = 'album'),
    (SELECT count(*) FROM artwork_due WHERE kind = 'artist'),
    (SELECT count(*) FROM artwork_due_folders)
"""
_HAS_DUE: Final = """
SELECT EXISTS (SELECT 1 FROM artwork_due) OR EXISTS (SELECT 1 FROM artwork_due_folders)
"""
_HAS_DUE_OF: Final = """
SELECT EXISTS (SELECT 1 FROM artwork_due WHERE kind = ?)
    OR EXISTS (SELECT 1 FROM artwork_due_folders)
"""
_CHOSEN: Final = """
SELECT source, root_id, folder, name, track_id FROM artwork_choices WHERE kind = ? AND owner_id = ?
"""
_CHOOSE: Final = "INSERT OR REPLACE INTO artwork_choices VALUES (?, ?, ?, ?, ?, ?, ?)"
_UNCHOOSE: Final = "DELETE FROM artwork_choices WHERE kind = ? AND owner_id = ?"
_UNCHOOSE_ALL: Final = "DELETE FROM artwork_choices"
_UNCHOOSE_FILE: Final = """
DELETE FROM artwork_choices WHERE source = 'file' AND root_id = ? AND folder = ? AND name = ?
RETURNING kind, owner_id
"""
_UNCHOOSE_TRACK: Final = """
DELETE FROM artwork_choices WHERE source = 'track' AND track_id = ? RETURNING kind, owner_id
"""
_OWNERS_IN: Final = """
SELECT kind, owner_id FROM artwork_choices WHERE source = 'file' AND root_id = ? AND folder = ?
"""
_ALL_DUE: Final = """
INSERT OR IGNORE INTO artwork_due
SELECT 'album', id FROM catalog_albums UNION ALL SELECT 'artist', id FROM catalog_artists
UNION ALL SELECT kind, owner_id FROM artwork_choices
"""
_NOT_DUE: Final = """
SELECT 'album' AS kind, id FROM catalog_albums
UNION ALL SELECT 'artist', id FROM catalog_artists
EXCEPT SELECT kind, owner_id FROM artwork_due ORDER BY kind, id
"""
_ANYTHING: Final = """
SELECT EXISTS (SELECT 1 FROM pictures) OR EXISTS (SELECT 1 FROM track_pictures)
    OR EXISTS (SELECT 1 FROM artwork_choices)
"""
_DELETE_ALL: Final = (
    "DELETE FROM artwork_choices",
    "DELETE FROM track_pictures",
    "DELETE FROM pictures",
    "DELETE FROM problems WHERE kind = 'picture'",
)
_DELETE_OF_ROOT: Final = (
    "DELETE FROM artwork_due_folders WHERE root_id = ?1",
    "DELETE FROM artwork_choices WHERE source = 'file' AND root_id = ?1",
)
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
_NAMES_OF_PICTURES: Final = "SELECT artwork_names FROM identity"
_SET_NAMES: Final = "UPDATE identity SET artwork_names = ?"
_IS_DUE: Final = "SELECT 1 FROM artwork_due WHERE kind = ? AND owner_id = ?"
_FILES_WITH: Final = "SELECT root_id, folder, name FROM pictures WHERE hash = ?"
_TRACKS_WITH: Final = """
SELECT tracks.root_id, tracks.path FROM track_pictures JOIN tracks ON tracks.id = track_id
WHERE track_pictures.hash = ? AND tracks.place = 0
"""


class OwnerKind(StrEnum):
    """What waits for the deferred stage."""

    ALBUM = "album"
    ARTIST = "artist"
    PLAYLIST = "playlist"
    """It has no artwork; it waits in the same line to be read."""


class Owner(Struct, frozen=True, order=True):
    """An album or an artist, by its id in the catalog; or a playlist, by its id."""

    kind: str
    """As `OwnerKind`."""
    id: int


class Choice(Struct, frozen=True):
    """The source of an owner's artwork: a file by its root and path, or a track."""

    source: PictureSource
    root_id: int | None = None
    path: bytes | None = None
    track_id: int | None = None


class Due:
    """What one write transaction makes due, each once; written at its end."""

    def __init__(self) -> None:
        self.albums: set[int] = set()
        self.artists: set[int] = set()
        self.playlists: set[int] = set()
        self.folders: set[tuple[int, bytes]] = set()
        """Root id, and folder (without a slash at its end)."""

    def clear(self) -> None:
        self.albums.clear()
        self.artists.clear()
        self.playlists.clear()
        self.folders.clear()

    def write(self, connection: Connection) -> None:
        """Write what is due, and forget it; in the caller's transaction."""
        albums = ((OwnerKind.ALBUM.value, one) for one in sorted(self.albums))
        artists = ((OwnerKind.ARTIST.value, one) for one in sorted(self.artists))
        if self.albums:
            connection.executemany(_DUE, albums)
        if self.artists:
            connection.executemany(_DUE, artists)
        if self.playlists:
            playlists.mark_due(connection, sorted(self.playlists))
        if self.folders:
            keys = sorted((root_id, folder_key(folder)) for root_id, folder in self.folders)
            connection.executemany(_DUE_FOLDER, keys)
        self.clear()


def mark_due(connection: Connection, owners: Iterable[Owner]) -> None:
    connection.executemany(_DUE, [(one.kind, one.id) for one in owners])


def mark_all_due(connection: Connection) -> None:
    """Have everything chosen again, with what is known of the pictures."""
    connection.execute(_ALL_DUE)


def choose_anew(connection: Connection) -> None:
    """Drop all choices, and have everything chosen again: the ids of owners may have changed."""
    connection.execute(_UNCHOOSE_ALL)
    mark_all_due(connection)


def next_due(
    connection: Connection, after: Owner | None, most: int, kind: str | None = None
) -> list[Owner]:
    """Owners whose artwork is to be chosen, in the order of kind and id, after the given one.

    Of one kind only, if it is given.
    """
    low = (kind or "", 0) if after is None else (after.kind, after.id)
    high = kind or _ABOVE_ALL
    return [Owner(*row) for row in select(connection, _NEXT, (*low, high, most))]


def next_folders(connection: Connection, most: int) -> list[tuple[int, bytes]]:
    """(root id, folder) of folders that are due; the folder has no slash at its end."""
    rows = list(select(connection, _NEXT_FOLDERS, (most,)))
    return [(root_id, folder.removesuffix(b"/")) for root_id, folder in rows]


def not_due(connection: Connection) -> list[Owner]:
    """All albums and artists that are not due."""
    return [Owner(*row) for row in select(connection, _NOT_DUE)]


def end_due(connection: Connection, owner: Owner) -> None:
    """The artwork of an owner is chosen."""
    connection.execute(_END_DUE, (owner.kind, owner.id))


def end_due_folder(connection: Connection, root_id: int, folder: bytes) -> None:
    """The owners that a folder concerns are due.

    Of a damaged index it may stand there without its slash, and would be asked for without end.
    """
    connection.execute(_END_DUE_FOLDER, (root_id, folder_key(folder), folder))


def is_any_not_due(connection: Connection) -> bool:
    """Whether an album or artist is not due. Takes long where all are due."""
    return bool(select_value(connection, _IS_ANY_NOT_DUE))


def end_due_folders(connection: Connection) -> None:
    """No folder concerns an owner that is not due."""
    connection.execute(_END_DUE_FOLDERS)


def count_due(connection: Connection) -> tuple[int, int, int]:
    """How many (albums, artists, folders) are due."""
    albums, artists, folders = next(select(connection, _COUNT))
    return int(albums), int(artists), int(folders)


def has_due(connection: Connection, kind: str | None = None) -> bool:
    """Whether an owner, of this kind if one is given, is due, or a folder."""
    if kind is None:
        return bool(select_value(connection, _HAS_DUE))
    return bool(select_value(connection, _HAS_DUE_OF, (kind,)))


def chosen(connection: Connection, owner: Owner) -> Choice | None:
    from indexer.artwork.model import PictureSource

    row = select_one(connection, _CHOSEN, (owner.kind, owner.id))
    if row is None:
        return None
    source, root_id, folder, name, track_id = row
    path = None if folder is None else folder + name
    return Choice(PictureSource(source), root_id, path, track_id)


def choose(connection: Connection, owner: Owner, choice: Choice | None) -> None:
    """Write the choice for an owner; None: it has no artwork."""
    if choice is None:
        connection.execute(_UNCHOOSE, (owner.kind, owner.id))
        return
    place = (None, None) if choice.path is None else split(choice.path)
    values = (owner.kind, owner.id, choice.source.value, choice.root_id, *place, choice.track_id)
    connection.execute(_CHOOSE, values)


def unchoose_file(connection: Connection, root_id: int, path: bytes) -> None:
    """A picture file changed or went: those that have it are due, and have none until then."""
    rows = list(select(connection, _UNCHOOSE_FILE, (root_id, *split(path))))
    mark_due(connection, [Owner(*row) for row in rows])


def unchoose_track(connection: Connection, track_id: int) -> None:
    """The same for a track that has left the view."""
    rows = list(select(connection, _UNCHOOSE_TRACK, (track_id,)))
    mark_due(connection, [Owner(*row) for row in rows])


def owners_in(connection: Connection, root_id: int, folder: bytes) -> list[Owner]:
    """The owners whose artwork is a picture directly in this folder."""
    return [Owner(*row) for row in select(connection, _OWNERS_IN, (root_id, folder_key(folder)))]


def delete_all(connection: Connection) -> bool:
    """Drop everything of pictures, and make all due; whether there was anything.

    In the caller's transaction, for an index whose settings want no artwork any more.
    """
    if not has_any(connection):
        return False
    mark_all_due(connection)
    for statement in _DELETE_ALL:
        connection.execute(statement)
    return True


def has_any(connection: Connection) -> bool:
    """Whether anything is known of pictures."""
    return bool(select_value(connection, _ANYTHING))


def delete_of_root(connection: Connection, root_id: int) -> None:
    """Drop what concerns the pictures of a root that is no longer watched."""
    for statement in _DELETE_OF_ROOT:
        connection.execute(statement, (root_id,))


def albums(connection: Connection) -> list[Row]:
    """(id, title, album artist, year) of all present albums, by artist and year."""
    return list(select(connection, _ALBUMS))


def album(connection: Connection, album_id: int) -> Row | None:
    return select_one(connection, _ALBUM, (album_id,))


def artists_with_image(connection: Connection) -> list[Row]:
    """(id, name) of the artists that have an image, by name."""
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
    from indexer.artwork.model import PictureKey

    for root_id, folder, name in list(select(connection, _FILES_WITH, (digest,))):
        yield PictureKey(root_id, join(folder[:-1], name))
    for root_id, path in list(select(connection, _TRACKS_WITH, (digest,))):
        yield PictureKey(root_id, path)


def kinds_wanted(settings: Settings) -> tuple[OwnerKind, ...]:
    """The kinds of owners that the settings want to be worked for.

    Always that of playlists: where they are not wanted none is due, and lyrics need no owner.
    """
    return tuple(OwnerKind) if settings.artwork else (OwnerKind.PLAYLIST,)


def has_wanted_due(connection: Connection, settings: Settings) -> bool:
    """Whether anything is due that the settings want."""
    return has_due(connection, None if settings.artwork else OwnerKind.PLAYLIST)


def count_wanted_due(connection: Connection, settings: Settings) -> int:
    """How many owners and folders are due that the settings want."""
    albums, artists, folders = count_due(connection)
    number = folders + playlists.count_due(connection)
    return number + albums + artists if settings.artwork else number


def follow_names(connection: Connection, settings: Settings) -> None:
    """Have all artwork chosen again where the settings have other names of pictures than before."""
    if not settings.artwork:
        return
    names = _names(settings)
    if names == (
        select_value(connection, _NAMES_OF_PICTURES) or _names(type(settings)(db=settings.db))
    ):
        return
    with write_transaction(connection):
        connection.execute(_ALL_DUE)
        connection.execute(_SET_NAMES, (names,))


def _names(settings: Settings) -> str:
    names = (settings.album_cover_files, settings.artist_image_files)
    return str(msgspec.json.encode(names), "utf-8")


def delete_unwanted(connection: Connection, settings: Settings) -> None:
    """Drop all that is known of pictures, or of playlists, where the settings want none."""
    no_artwork = not settings.artwork and has_any(connection)
    no_playlists = not settings.playlists and playlists.has_any(connection)
    if no_artwork or no_playlists:
        with write_transaction(connection):
            if no_artwork:
                delete_all(connection)
            if no_playlists:
                playlists.delete_all(connection)
