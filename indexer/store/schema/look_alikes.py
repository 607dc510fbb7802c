"""Rows of an older index -> one for all spellings that look alike, with its id.

A step of `migrate`, so it uses the standard library's SQLite.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from indexer.spelling import album_key, plain

_NAMES: Final = {
    "artists": (
        "SELECT id, name FROM artists ORDER BY id",
        "UPDATE track_artists SET artist_id = ?, spelling = ? WHERE artist_id = ?",
        "DELETE FROM artists WHERE id = ?",
        "UPDATE artists SET name = ?, key = ? WHERE id = ?",
        """SELECT coalesce(spelling, ?1) AS said FROM track_artists WHERE artist_id = ?2
        GROUP BY said ORDER BY count(DISTINCT track_id) DESC, said LIMIT 1""",
    ),
    "genres": (
        "SELECT id, name FROM genres ORDER BY id",
        "UPDATE track_genres SET genre_id = ?, spelling = ? WHERE genre_id = ?",
        "DELETE FROM genres WHERE id = ?",
        "UPDATE genres SET name = ?, key = ? WHERE id = ?",
        """SELECT coalesce(spelling, ?1) AS said FROM track_genres WHERE genre_id = ?2
        GROUP BY said ORDER BY count(DISTINCT track_id) DESC, said LIMIT 1""",
    ),
}
_ALBUMS: Final = """
SELECT albums.id, albums.key, tracks.mb_albumid, tracks.albumartist, tracks.compilation,
    tracks.album, tracks.root_id, tracks.path
FROM albums JOIN tracks ON tracks.id = (SELECT min(id) FROM tracks WHERE album_id = albums.id)
ORDER BY albums.id
"""
_JOIN_ALBUM: Final = "UPDATE tracks SET album_id = ? WHERE album_id = ?"
_END_ALBUM: Final = "DELETE FROM albums WHERE id = ?"
_REKEY_ALBUM: Final = "UPDATE albums SET key = ? WHERE id = ?"
_NAME_ALBUMS: Final = """
UPDATE albums SET (title, albumartist) =
    (SELECT album, tracks.albumartist FROM tracks WHERE album_id = albums.id
    GROUP BY album, tracks.albumartist ORDER BY count(*) DESC, album, tracks.albumartist LIMIT 1)
WHERE EXISTS (SELECT 1 FROM tracks WHERE album_id = albums.id
    AND (album IS NOT albums.title OR tracks.albumartist IS NOT albums.albumartist))
"""


def join_look_alikes(connection: sqlite3.Connection) -> None:
    """Join artists, genres and albums whose names look alike; the oldest id is kept."""
    for table in _NAMES:
        _join_names(connection, table)
    _join_albums(connection)
    connection.execute(_NAME_ALBUMS)


def _join_names(connection: sqlite3.Connection, table: str) -> None:
    read, move, end, name_it, most = _NAMES[table]
    alike: dict[str, list[tuple[int, str]]] = {}
    for one, name in connection.execute(read).fetchall():
        alike.setdefault(plain(name), []).append((one, name))
    for key, rows in alike.items():
        if len(rows) == 1 and rows[0][1] == key:
            continue
        kept = rows[0][0]
        for one, name in rows:
            connection.execute(move, (kept, None if name == key else name, one))
            if one != kept:
                connection.execute(end, (one,))
        said = connection.execute(most, (key, kept)).fetchone()
        name = key if said is None else said[0]
        connection.execute(name_it, (name, None if name == key else key, kept))


def _join_albums(connection: sqlite3.Connection) -> None:
    """Give albums their new keys. Each is set aside first: one may have the old key of another."""
    kept: dict[bytes, int] = {}
    changed: list[tuple[bytes, int]] = []
    for one, before, *told in connection.execute(_ALBUMS).fetchall():
        key = album_key(*told)
        if key in kept:
            connection.execute(_JOIN_ALBUM, (kept[key], one))
            connection.execute(_END_ALBUM, (one,))
            continue
        kept[key] = one
        if key != before:
            changed.append((key, one))
    connection.executemany(_REKEY_ALBUM, [(b"%d" % one, one) for _, one in changed])
    connection.executemany(_REKEY_ALBUM, changed)
