"""The rows of `playlist_files` and `playlist_entries`: playlists, and their items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.model import Stamp
from indexer.store.sidecars.pictures import split
from indexer.store.statements import Connection, Row, select, select_one, select_value

_KNOWN: Final = """
SELECT id, root_id, CAST(folder || name AS BLOB), size, mtime_ns, ctime_ns, inode, is_read,
    is_placed
FROM playlist_files
"""
_GET: Final = _KNOWN + "WHERE root_id = ? AND folder = ? AND name = ?"
_BY_ID: Final = _KNOWN + "WHERE id = ?"
_ALIKE: Final = _KNOWN + "WHERE size = ? AND mtime_ns = ? AND inode = ? ORDER BY id"
_NOT_DUE: Final = (
    f"{_KNOWN} WHERE is_read = 1 AND is_placed = 1"  # noqa: S608 - our own names
    " AND id NOT IN (SELECT owner_id FROM artwork_due WHERE kind = 'playlist') ORDER BY id"
)
_ADD: Final = """
INSERT INTO playlist_files (root_id, folder, name, path_is_text, stem, size, mtime_ns, ctime_ns,
    inode, is_read, is_placed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0) RETURNING id
"""
_RESTAMP: Final = """
UPDATE playlist_files SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, is_read = 0 WHERE id = ?
"""
_MOVE: Final = """
UPDATE playlist_files SET root_id = ?, folder = ?, name = ?, path_is_text = ?, stem = ?,
    is_placed = 0 WHERE id = ?
"""
_DELETE: Final = (
    "DELETE FROM playlist_entries WHERE playlist_id = ?1",
    "DELETE FROM artwork_due WHERE kind = 'playlist' AND owner_id = ?1",
    "DELETE FROM playlist_files WHERE id = ?1",
)
_DUE: Final = "INSERT OR IGNORE INTO artwork_due (kind, owner_id) VALUES ('playlist', ?)"
_DUE_ANEW: Final = (
    "UPDATE playlist_files SET is_placed = 0 WHERE is_placed <> 0",
    "INSERT OR IGNORE INTO artwork_due (kind, owner_id) SELECT 'playlist', id FROM playlist_files",
)
_READ_ANEW: Final = "UPDATE playlist_files SET is_read = 0 WHERE is_read <> 0"
_REOPEN: Final = "UPDATE playlist_files SET is_read = 0 WHERE id = ?"
_IS_READ: Final = "UPDATE playlist_files SET title = ?, is_read = 1, is_placed = ? WHERE id = ?"
_IS_PLACED: Final = "UPDATE playlist_files SET is_placed = ? WHERE id = ?"
_ENTRIES: Final = """
SELECT playlist_id, position, path, line, track_id, is_stream FROM playlist_entries
WHERE playlist_id = ? AND position > ? ORDER BY position LIMIT ?
"""
_LEADING_TO: Final = """
SELECT playlist_id, position, path, line, track_id, is_stream FROM playlist_entries
WHERE parent_key = ?1
UNION SELECT playlist_id, position, path, line, track_id, is_stream FROM playlist_entries
WHERE other_key = ?1
ORDER BY playlist_id, position
"""
_HAS_ENTRIES: Final = "SELECT EXISTS (SELECT 1 FROM playlist_entries)"
_CLEAR: Final = "DELETE FROM playlist_entries WHERE playlist_id = ? AND position > ?"
_ADD_ENTRY: Final = "INSERT INTO playlist_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PLACE: Final = """
UPDATE playlist_entries SET is_stream = ?3, parent_key = ?4, other_key = ?5, track_id = ?6
WHERE playlist_id = ?1 AND position = ?2
"""
_LEAD: Final = """
UPDATE playlist_entries SET track_id = ?3 WHERE playlist_id = ?1 AND position = ?2
"""
_ANYTHING: Final = "SELECT EXISTS (SELECT 1 FROM playlist_files)"
_DELETE_ALL: Final = (
    "DELETE FROM playlist_entries",
    "DELETE FROM artwork_due WHERE kind = 'playlist'",
    "DELETE FROM playlist_files",
    "DELETE FROM problems WHERE kind = 'playlist'",
)
_IN_ROOT: Final = "SELECT id FROM playlist_files WHERE root_id = ?"
_COUNT_DUE: Final = "SELECT count(*) FROM artwork_due WHERE kind = 'playlist'"
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
_PLACED: Final = 1


class KnownPlaylist(Struct, frozen=True):
    """A row of `playlist_files`."""

    id: int
    root_id: int
    path: bytes
    stamp: Stamp
    is_read: bool
    """Whether its items are those of this stamp."""
    placed_to: int | None
    """It is known of the items up to this position where they lead from where it lies; None: of
    all. In the column `is_placed` 1 is all, 0 is none, and below is the last of some."""

    @property
    def is_placed(self) -> bool:
        return self.placed_to is None


class EntryRow(Struct, frozen=True):
    """A row of `playlist_entries`."""

    playlist_id: int
    position: int
    line: bytes
    """As it is written."""
    track_id: int | None
    is_stream: bool


class NewEntry(Struct, frozen=True):
    """An item as it is to be written: its line, and where that leads."""

    line: bytes
    is_stream: bool
    parents: frozenset[bytes]
    track_id: int | None


def get(connection: Connection, root_id: int, path: bytes) -> KnownPlaylist | None:
    row = select_one(connection, _GET, (root_id, *split(path)))
    return None if row is None else _known(row)


def by_id(connection: Connection, playlist_id: int) -> KnownPlaylist | None:
    row = select_one(connection, _BY_ID, (playlist_id,))
    return None if row is None else _known(row)


def alike(connection: Connection, stamp: Stamp) -> list[KnownPlaylist]:
    """The playlists with this stamp but for the ctime, which a rename changes; on any disk."""
    numbers = (stamp.size, stamp.mtime_ns, stamp.inode)
    return [_known(row) for row in select(connection, _ALIKE, numbers)]


def not_due(connection: Connection) -> list[KnownPlaylist]:
    """All playlists that are not due."""
    return [_known(row) for row in select(connection, _NOT_DUE)]


def put(connection: Connection, root_id: int, path: bytes, stamp: Stamp) -> int:
    """Write a playlist with another stamp, which is to be read; its id."""
    numbers = (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
    known = get(connection, root_id, path)
    if known is not None:
        connection.execute(_RESTAMP, (*numbers, known.id))
        return known.id
    return int(select_value(connection, _ADD, (root_id, *_place(path), *numbers)))


def move(connection: Connection, playlist_id: int, root_id: int, path: bytes) -> None:
    """Write the new place of a playlist, from where its items lead elsewhere."""
    connection.execute(_MOVE, (root_id, *_place(path), playlist_id))


def delete(connection: Connection, playlist_id: int) -> None:
    """Delete a playlist that is gone, and its items."""
    for statement in _DELETE:
        connection.execute(statement, (playlist_id,))


def mark_due(connection: Connection, playlist_ids: Iterable[int]) -> None:
    connection.executemany(_DUE, [(one,) for one in playlist_ids])


def place_anew(connection: Connection) -> None:
    """Have it found out again where all items lead: a root came or went."""
    for statement in _DUE_ANEW:
        connection.execute(statement)


def read_anew(connection: Connection) -> None:
    """Have all playlists read again, of which items were lost."""
    connection.execute(_READ_ANEW)
    place_anew(connection)


def reopen(connection: Connection, playlist_id: int) -> None:
    """Have a playlist read again that the machine could not read."""
    connection.execute(_REOPEN, (playlist_id,))
    mark_due(connection, (playlist_id,))


def entries(
    connection: Connection, playlist_id: int, after: int = 0, most: int = -1
) -> list[EntryRow]:
    """The items after a position, `most` at the most (-1: all)."""
    return [_entry(row) for row in select(connection, _ENTRIES, (playlist_id, after, most))]


def leading_to(connection: Connection, key: bytes) -> list[EntryRow]:
    """The items that may lead into a folder whose folded name is this."""
    return [_entry(row) for row in select(connection, _LEADING_TO, (key,))]


def has_entries(connection: Connection) -> bool:
    return bool(select_value(connection, _HAS_ENTRIES))


def write_all(
    connection: Connection,
    playlist: KnownPlaylist,
    title: str | None,
    items: Iterable[NewEntry],
    *,
    after: int = 0,
    placed_to: int | None = None,
) -> None:
    """Write what was read in a playlist: `items` follow those up to the position `after`.

    Of the items after `placed_to`, `place` writes later where they lead; None: `items` tell it.
    """
    from indexer.sidecars.playlist import line_text  # late: only what writes playlists needs it

    suffix = paths.suffix_of(paths.name_of(playlist.path))
    connection.execute(_CLEAR, (playlist.id, after))
    connection.executemany(
        _ADD_ENTRY,
        (
            (
                playlist.id, position, text := line_text(item.line, suffix),
                None if text.encode() == item.line else item.line,
                *_placed(item),
            )
            for position, item in enumerate(items, after + 1)
        ),
    )  # fmt: skip
    connection.execute(_IS_READ, (title, _column(placed_to), playlist.id))


def place(connection: Connection, playlist_id: int, items: Iterable[tuple[int, NewEntry]]) -> None:
    """Write where items lead now; each comes with its position."""
    connection.executemany(
        _PLACE, ((playlist_id, position, *_placed(item)) for position, item in items)
    )


def note_placed(connection: Connection, playlist_id: int, position: int | None) -> None:
    """Note that it is known where the items up to a position lead; None: it is of all of them."""
    connection.execute(_IS_PLACED, (_column(position), playlist_id))


def lead(connection: Connection, entry: EntryRow, track_id: int | None) -> None:
    """Write to which track one item leads."""
    connection.execute(_LEAD, (entry.playlist_id, entry.position, track_id))


def has_any(connection: Connection) -> bool:
    return bool(select_value(connection, _ANYTHING))


def count_due(connection: Connection) -> int:
    """How many playlists are to be read, or placed."""
    return int(select_value(connection, _COUNT_DUE))


def delete_all(connection: Connection) -> None:
    """Drop all playlists, in the caller's transaction: the settings want none."""
    for statement in _DELETE_ALL:
        connection.execute(statement)


def delete_of_root(connection: Connection, root_id: int) -> None:
    """Drop the playlists of a root that is no longer watched."""
    for (playlist_id,) in list(select(connection, _IN_ROOT, (root_id,))):
        delete(connection, playlist_id)


def _place(path: bytes) -> tuple[bytes, bytes, bool, str]:
    from indexer.sidecars import stem_of  # late: only what writes playlists needs it

    return (*split(path), paths.fits_utf8(path), stem_of(path).decode("utf-8", "replace"))


def _placed(item: NewEntry) -> tuple[bool, bytes | None, bytes | None, int | None]:
    parent, other, *_ = (*sorted(item.parents), None, None)
    return item.is_stream, parent, other, item.track_id


def _column(placed_to: int | None) -> int:
    return _PLACED if placed_to is None else -placed_to


def _known(row: Row) -> KnownPlaylist:
    playlist_id, root_id, path, size, mtime_ns, ctime_ns, inode, is_read, is_placed = row
    stamp = Stamp(size, mtime_ns, ctime_ns, inode)
    placed_to = None if is_placed == _PLACED else -int(is_placed)
    return KnownPlaylist(playlist_id, root_id, path, stamp, bool(is_read), placed_to)


def _entry(row: Row) -> EntryRow:
    playlist_id, position, path, line, track_id, is_stream = row
    return EntryRow(
        playlist_id, position, path.encode() if line is None else line, track_id, bool(is_stream)
    )


def listed(connection: Connection) -> list[Row]:
    """(id, root, path, name, items, items with a track, streams, whether due, problem) of each."""
    return list(select(connection, _LISTED))


def broken(connection: Connection) -> list[Row]:
    """(playlist id, root, its path, position, path as written) of items that lead nowhere."""
    return list(select(connection, _BROKEN))
