"""Playlists and their items, for those that read them."""

from __future__ import annotations

from typing import Final

from indexer.store.connection import Connection, Row, select

_LISTED: Final = """
SELECT files.id, roots.name, CAST(files.folder || files.name AS BLOB),
    coalesce(files.title, files.stem), count(entries.position), count(tracks.id),
    coalesce(sum(entries.is_stream), 0),
    EXISTS (SELECT 1 FROM artwork_due WHERE kind = 'playlist' AND owner_id = files.id),
    (SELECT reason FROM problems WHERE root_id = files.root_id AND is_picture = 1
        AND path = CAST(files.folder || files.name AS BLOB))
FROM playlist_files AS files JOIN roots ON roots.id = files.root_id
    LEFT JOIN playlist_entries AS entries ON entries.playlist_id = files.id
    LEFT JOIN tracks ON tracks.id = entries.track_id AND tracks.place = 0
GROUP BY files.id ORDER BY roots.name, files.folder, files.name
"""
_BROKEN: Final = """
SELECT files.id, roots.name, CAST(files.folder || files.name AS BLOB), entries.position,
    entries.path
FROM playlist_files AS files JOIN roots ON roots.id = files.root_id
    JOIN playlist_entries AS entries ON entries.playlist_id = files.id
    LEFT JOIN tracks ON tracks.id = entries.track_id AND tracks.place = 0
WHERE tracks.id IS NULL AND entries.is_stream = 0
ORDER BY roots.name, files.folder, files.name, entries.position
"""


def listed(connection: Connection) -> list[Row]:
    """(id, root, path, name, items, items with a track, streams, whether due, problem) of each."""
    return list(select(connection, _LISTED))


def broken(connection: Connection) -> list[Row]:
    """(playlist id, root, its path, position, path as written) of items that lead nowhere."""
    return list(select(connection, _BROKEN))
