"""The rows of `lyrics_files` and `track_lyrics`: files of lyrics, and the tracks that have one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from indexer.paths import folder_key
from indexer.sidecars import folded, stem_of
from indexer.store.sidecars import artwork_tracks
from indexer.store.sidecars.pictures import split
from indexer.store.statements import Connection, select, select_value

_HAS: Final = "SELECT 1 FROM lyrics_files WHERE root_id = ? AND folder = ? AND name = ?"
_PUT: Final = "INSERT OR IGNORE INTO lyrics_files VALUES (?, ?, ?)"
_DELETE: Final = "DELETE FROM lyrics_files WHERE root_id = ? AND folder = ? AND name = ?"
_IN_FOLDER: Final = "SELECT name FROM lyrics_files WHERE root_id = ? AND folder = ?"
_FOLDERS: Final = "SELECT DISTINCT root_id, folder FROM lyrics_files"
_ANY: Final = """
SELECT EXISTS (SELECT 1 FROM lyrics_files) OR EXISTS (SELECT 1 FROM track_lyrics)
"""
_HOLDS: Final = "SELECT 1 FROM track_lyrics WHERE track_id = ?"
_ADD: Final = "INSERT OR IGNORE INTO track_lyrics VALUES (?)"
_DROP: Final = "DELETE FROM track_lyrics WHERE track_id = ?"
_DELETE_OF_ROOT: Final = (
    "DELETE FROM lyrics_files WHERE root_id = ?1",
    "DELETE FROM track_lyrics WHERE track_id IN (SELECT id FROM tracks WHERE root_id = ?1)",
)
_MATCH_ANEW: Final = (
    "DELETE FROM track_lyrics",
    """
INSERT OR IGNORE INTO artwork_due_folders SELECT DISTINCT root_id, folder FROM lyrics_files
""",
)
_TRACKS: Final = "SELECT track_id FROM track_lyrics"


def has(connection: Connection, root_id: int, path: bytes) -> bool:
    return select_value(connection, _HAS, (root_id, *split(path))) is not None


def put(connection: Connection, root_id: int, path: bytes) -> None:
    connection.execute(_PUT, (root_id, *split(path)))


def delete(connection: Connection, root_id: int, path: bytes) -> None:
    connection.execute(_DELETE, (root_id, *split(path)))


def in_folder(connection: Connection, root_id: int, folder: bytes) -> list[bytes]:
    """The names of the files of lyrics directly in a folder."""
    return [name for (name,) in select(connection, _IN_FOLDER, (root_id, folder_key(folder)))]


def folders(connection: Connection) -> list[tuple[int, bytes]]:
    """(root id, folder without a slash at its end) of each folder with a file of lyrics."""
    return [(root_id, folder[:-1]) for root_id, folder in list(select(connection, _FOLDERS))]


def has_any(connection: Connection) -> bool:
    """Whether anything is known of lyrics in files."""
    return bool(select_value(connection, _ANY))


def of_tracks(connection: Connection) -> set[int]:
    """The ids of the tracks that have a file of lyrics."""
    return {track_id for (track_id,) in select(connection, _TRACKS)}


def write(connection: Connection, have: Iterable[int], lack: Iterable[int]) -> None:
    """Write which of some tracks have a file of lyrics; nothing where that is known (rule R14)."""
    for track_id in have:
        if select_value(connection, _HOLDS, (track_id,)) is None:
            connection.execute(_ADD, (track_id,))
    for track_id in lack:
        if select_value(connection, _HOLDS, (track_id,)) is not None:
            connection.execute(_DROP, (track_id,))


def match_anew(connection: Connection) -> None:
    """Have all files of lyrics matched with tracks again."""
    for statement in _MATCH_ANEW:
        connection.execute(statement)


def drop(connection: Connection, track_id: int) -> None:
    """A track has left the view."""
    connection.execute(_DROP, (track_id,))


def delete_of_root(connection: Connection, root_id: int) -> None:
    """Drop the lyrics of a root that is no longer watched."""
    for statement in _DELETE_OF_ROOT:
        connection.execute(statement, (root_id,))


def match_lyrics(connection: Connection, folders: Iterable[tuple[int, bytes]]) -> None:
    """Write which tracks of these folders have lyrics, where files or tracks came or went."""
    if not has_any(connection):
        return
    for root_id, folder in folders:
        have, lack = split_tracks(connection, root_id, folder)
        write(connection, have, lack)


def split_tracks(
    connection: Connection, root_id: int, folder: bytes
) -> tuple[list[int], list[int]]:
    """The ids of the present tracks directly in a folder: (with a file of lyrics, without)."""
    stems = {folded(stem_of(name)) for name in in_folder(connection, root_id, folder)}
    have: list[int] = []
    lack: list[int] = []
    for track in artwork_tracks.below(connection, root_id, folder, recursive=False):
        (have if stems and folded(stem_of(track.path)) in stems else lack).append(track.id)
    return have, lack
