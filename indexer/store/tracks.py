"""The rows of `tracks`: one of a path or an id, and every statement that writes a row.

Those of a folder are in `tracks_below`, those that look like given files in `track_matches`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from indexer import paths
from indexer.model import Entry, IndexedFile, RowState, Stamp
from indexer.store import tag_sets
from indexer.store.changes import shown_path
from indexer.store.schema import TAG_COLUMNS, musicbrainz_ids
from indexer.store.schema.musicbrainz_ids import stored_ids
from indexer.store.schema.views import SHOWN_PATH
from indexer.store.statements import Connection, Row, select, select_one, select_value

Columns = tuple[object, ...]
"""The tag columns of one row, in the order of `COLUMNS`."""

_STORED: Final = (*TAG_COLUMNS, "guessed", "several", "suspect_encoding")
COLUMNS: Final = (*_STORED, "has_lyrics", "short", "tags")
"""The last is JSON (see `tag_sets`), and in the table the id of a set."""
COLUMNS_OF_TABLE: Final = (*_STORED, "has_lyrics", "short", "tag_set")
SHOWN_COLUMNS: Final = ", ".join(
    musicbrainz_ids.shown(name) if name in musicbrainz_ids.COLUMNS else name
    for name in COLUMNS_OF_TABLE
)
"""What to select for them; of each id its text, as `in_table` takes it."""
_FIRST_ID: Final = COLUMNS.index(musicbrainz_ids.COLUMNS[0])
_PAST_IDS: Final = COLUMNS.index(musicbrainz_ids.COLUMNS[-1]) + 1
_IDS: Final = slice(_FIRST_ID, _PAST_IDS)
_STAMPED: Final = (
    "root_id", "path", "gone", "place", "path_is_text", "disk_id",
    "size", "mtime_ns", "ctime_ns", "inode", "scan_id", "reader_version",
    "added_at", "indexed_at", "missing_at", "album_id",
)  # fmt: skip
_WRITTEN: Final = (*_STAMPED, *COLUMNS_OF_TABLE, "birth_ns", "essence")
ALL_COLUMNS: Final = (
    "id", *_STAMPED[:-1], "missing_days", _STAMPED[-1], *_STORED, "birth_ns", "has_lyrics",
    "tag_set", "short", "essence",
)  # fmt: skip
"""All columns of the table, in its order."""

KNOWN: Final = """
SELECT id, root_id, path, size, mtime_ns, ctime_ns, inode, place, disk_id, scan_id,
       reader_version, added_at, missing_at, birth_ns, essence
FROM tracks
"""


_IN_PLACE: Final = f"{KNOWN} WHERE root_id = ? AND {SHOWN_PATH} = ? AND gone = 0"
_GONE_FROM: Final = f"""
{KNOWN} WHERE root_id = ? AND {SHOWN_PATH} = ? AND gone <> 0 ORDER BY gone DESC LIMIT 1
"""
_BY_ID: Final = KNOWN + "WHERE id = ?"
UNANNOUNCED: Final = KNOWN + "WHERE place = 1 AND missing_at IS NULL"
_COLUMNS_OF: Final = f"SELECT {SHOWN_COLUMNS} FROM tracks WHERE id = ?"  # noqa: S608 - our own names
_ANY: Final = "SELECT 1 FROM tracks LIMIT 1"
_ALBUM_OF: Final = "SELECT album_id FROM tracks WHERE id = ?"
_VIEW_ROW: Final = "SELECT * FROM library WHERE id = ?"
_OF_ROOT: Final = "SELECT id FROM tracks WHERE root_id = ? AND gone = 0"
_ADD: Final = (
    f"INSERT INTO tracks ({', '.join(_WRITTEN)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * len(_WRITTEN))})"
)
_ADD_ALL: Final = f"INSERT INTO tracks VALUES({','.join('?' * len(ALL_COLUMNS))})"
"""As short as possible: for each row apsw hashes the text to look up the prepared statement."""
_NEXT_ID: Final = """
SELECT 1 + max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tracks'), 0),
               coalesce((SELECT max(id) FROM tracks), 0))
"""
_KEEPING_INDEXED_AT: Final = {"indexed_at": "indexed_at = coalesce(?, indexed_at)"}
_ASSIGNED: Final = ", ".join(_KEEPING_INDEXED_AT.get(name, f"{name} = ?") for name in _WRITTEN)
_WRITE: Final = f"UPDATE tracks SET {_ASSIGNED} WHERE id = ?"  # noqa: S608 - our own names
_RESTAMP: Final = """
UPDATE tracks SET disk_id = ?, size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?,
    scan_id = ?, reader_version = ?, birth_ns = ?, essence = ?,
    indexed_at = coalesce(?, indexed_at)
WHERE id = ?
"""
_FREE_PATH: Final = "UPDATE tracks SET gone = id WHERE id = ?"
_LEAVE: Final = """
UPDATE tracks SET gone = id, place = 1, missing_at = ?, album_id = NULL,
    missing_days = (SELECT present_days FROM roots WHERE roots.id = root_id),
    reader_version = CASE WHEN place >= 2 THEN 0 ELSE reader_version END
WHERE id = ?
"""
_DROP: Final = "DELETE FROM tracks WHERE id = ?"
_TELL: Final = "UPDATE tracks SET missing_at = ? WHERE id = ?"
_IN_VIEW: Final = (
    "(SELECT count(*) FROM tracks) - (SELECT count(*) FROM tracks WHERE album_id IS NULL)"
)
"""How many tracks the view has: each has an album, and no other track has one.

SQLite counts all rows page by page, and those that meet a condition one by one. Measured with
1 000 000 tracks: 6 ms in place of 15.
"""
_COUNTS: Final = f"""
SELECT {_IN_VIEW},
    (SELECT count(*) FROM tracks WHERE place = 1 AND added_at IS NOT NULL
        AND +root_id IN (SELECT id FROM roots WHERE removed_at IS NULL))
"""  # noqa: S608 - our own texts
_MISSING_BY_ROOT: Final = """
SELECT root_id, count(*) FROM tracks WHERE place = 1 AND added_at IS NOT NULL
    AND +root_id IN (SELECT id FROM roots WHERE removed_at IS NULL) GROUP BY +root_id
"""
"""With a `+`, for `tracks_missing`; else SQLite takes the order of `tracks_place`, and reads all
rows. Measured with 100 000 tracks: 50 ms, half of `indexer status`."""
_COUNT: Final = "SELECT count(*) FROM tracks"
_COUNT_BY_ROOT: Final = f"""
WITH watched (id) AS (SELECT id FROM roots WHERE removed_at IS NULL),
    others (id, tracks) AS MATERIALIZED (
        SELECT id,
            (SELECT count(*) FROM tracks WHERE album_id IS NOT NULL AND +root_id = watched.id)
        FROM watched WHERE id > (SELECT min(id) FROM watched))
SELECT min(id), {_IN_VIEW} - coalesce((SELECT sum(tracks) FROM others), 0)
    FROM watched HAVING count(*) > 0
UNION ALL SELECT id, tracks FROM others
"""  # noqa: S608 - our own texts
"""The first root has what the others have not: to count all takes a fifth of the time in which
those of one root are counted. Measured with 1 000 000 tracks: 6 ms, and 30."""
_FEW: Final = 5
"""With more roots one pass over all tracks takes less time than a count for each."""
_HAS_OTHERS: Final = f"""
WITH RECURSIVE met (id) AS (
    SELECT min(root_id) FROM tracks
    UNION ALL SELECT (SELECT min(root_id) FROM tracks WHERE root_id > met.id)
        FROM met WHERE id IS NOT NULL)
SELECT (SELECT count(*) FROM roots WHERE removed_at IS NULL) > {_FEW}
    OR EXISTS (SELECT 1 FROM met WHERE id NOT IN (SELECT id FROM roots))
"""  # noqa: S608 - our own number
"""Whether there are more roots, or tracks of one whose row is lost: the view shows none of them."""
_COUNT_EACH: Final = """
SELECT roots.id, coalesce(counted.tracks, 0) FROM roots LEFT JOIN (
    SELECT root_id, count(*) AS tracks FROM tracks WHERE album_id IS NOT NULL GROUP BY +root_id
) AS counted ON counted.root_id = roots.id
WHERE removed_at IS NULL ORDER BY roots.id
"""


def in_place(connection: Connection, root_id: int, path: bytes) -> IndexedFile | None:
    """The row in place at this path, present or refused."""
    row = select_one(connection, _IN_PLACE, (root_id, shown_path(path)))
    return None if row is None else known_of(row)


def gone_from(connection: Connection, root_id: int, path: bytes) -> IndexedFile | None:
    """The last row that left this path."""
    row = select_one(connection, _GONE_FROM, (root_id, shown_path(path)))
    return None if row is None else known_of(row)


def by_id(connection: Connection, track_id: int) -> IndexedFile | None:
    row = select_one(connection, _BY_ID, (track_id,))
    return None if row is None else known_of(row)


def unannounced(connection: Connection) -> list[IndexedFile]:
    """Rows that lost their path to a moved file, without an entry in `changes` yet."""
    return [known_of(row) for row in select(connection, UNANNOUNCED)]


def columns_of(connection: Connection, track_id: int) -> Columns:
    """The tag columns of one row."""
    *columns, set_id = next(select(connection, _COLUMNS_OF, (track_id,)))
    return (*columns, tag_sets.encoded(tag_sets.values_of(connection, set_id)))


def in_table(columns: Columns) -> Columns:
    """The same columns with each id in its stored form."""
    return (*columns[:_FIRST_ID], *stored_ids(columns[_IDS]), *columns[_PAST_IDS:])


def album_of(connection: Connection, track_id: int) -> int | None:
    album_id: int | None = select_value(connection, _ALBUM_OF, (track_id,))
    return album_id


def view_row(connection: Connection, track_id: int) -> tuple[object, ...] | None:
    """A row of the view `library`; None if the track is not in it."""
    row: tuple[object, ...] | None = select_one(connection, _VIEW_ROW, (track_id,))
    return row


def of_root(connection: Connection, root_id: int) -> list[int]:
    """The ids of all rows in place in a root."""
    return [track_id for (track_id,) in select(connection, _OF_ROOT, (root_id,))]


def add(
    connection: Connection,
    known: IndexedFile,
    album_id: int | None,
    at: int | None,
    row: Columns,
    tag_set: int | None = None,
) -> int:
    """Insert a row and return its id, which was never used before; `known.id` is ignored.

    `tag_set` is the set of the tags in `row`.
    """
    connection.execute(
        _ADD,
        (
            *_stamped(known, album_id, at),
            *in_table(row)[:-1],
            tag_set,
            known.birth_ns,
            known.essence,
        ),
    )
    return connection.last_insert_rowid()


def next_id(connection: Connection) -> int:
    """The id of the next new row; within one write transaction, later ids follow it."""
    return int(select_value(connection, _NEXT_ID))


NewRow = tuple[int, Entry, bool, int, Columns, int | None, int | None, bytes | None]
"""(id, file, whether the path is text, album id, tag columns, set of further tags, time of birth of
the inode, essence of the sound)."""


def add_all(
    connection: Connection,
    rows: Iterable[NewRow],
    *,
    root_id: int,
    scan_id: int,
    reader_version: int,
    now_ms: int,
) -> None:
    """Insert rows of one root that enter the view, in the order of their ids.

    The first id must be `next_id`, and the others consecutive: ids are never used twice.
    """
    connection.executemany(
        _ADD_ALL,
        (
            (
                track_id, root_id, entry.path, 0, 0, is_text,
                entry.disk_id, (stamp := entry.stamp).size, stamp.mtime_ns, stamp.ctime_ns,
                stamp.inode, scan_id, reader_version, now_ms, now_ms, None, None, album_id,
                *columns[:_FIRST_ID], *stored_ids(columns[_IDS]), *columns[_PAST_IDS:-3],
                birth_ns, columns[-3], tag_set, columns[-2], essence,
            )
            for track_id, entry, is_text, album_id, columns, tag_set, birth_ns, essence in rows
        ),
    )  # fmt: skip


def write(
    connection: Connection,
    known: IndexedFile,
    album_id: int | None,
    at: int | None,
    row: Columns,
    tag_set: int | None = None,
) -> None:
    """Update every column of a row; `at` is when its tags were read, None: unchanged.

    `tag_set` is the set of the tags in `row`.
    """
    stamped = _stamped(known, album_id, at)
    connection.execute(
        _WRITE, (*stamped, *in_table(row)[:-1], tag_set, known.birth_ns, known.essence, known.id)
    )


def restamp(connection: Connection, known: IndexedFile, at: int | None) -> None:
    """Update a row with the same tags and a new stamp, or one read by a rebuild at `at`."""
    stamp = known.stamp
    connection.execute(
        _RESTAMP,
        (known.disk_id, stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode,
         known.scan_id, known.reader_version, known.birth_ns, known.essence,
         at, known.id),
    )  # fmt: skip


def free_path(connection: Connection, track_id: int) -> None:
    """Free a row's path, so that movers can swap paths within one transaction."""
    connection.execute(_FREE_PATH, (track_id,))


def mark_missing(connection: Connection, track_id: int, missing_at: int | None) -> None:
    """Mark a row missing; `missing_at` None means that `changes` has no entry yet."""
    connection.execute(_LEAVE, (missing_at, track_id))


def drop(connection: Connection, track_id: int) -> None:
    """Delete a row that nothing refers to any more; its id is not used again."""
    connection.execute(_DROP, (track_id,))


def tell_missing(connection: Connection, track_id: int, missing_at: int) -> None:
    """Record that `changes` has an entry for this missing track."""
    connection.execute(_TELL, (missing_at, track_id))


def is_empty(connection: Connection) -> bool:
    """Whether there is no row."""
    return select_value(connection, _ANY) is None


def counts(connection: Connection) -> tuple[int, int]:
    """(tracks in the view, tracks missing)."""
    present, missing = next(select(connection, _COUNTS))
    return int(present), int(missing)


def count(connection: Connection) -> int:
    """The number of rows, including missing and refused ones."""
    return int(select_value(connection, _COUNT))


def count_by_root(connection: Connection) -> dict[int, int]:
    """Tracks in the view, by root id."""
    has_others = bool(select_value(connection, _HAS_OTHERS))
    return dict(select(connection, _COUNT_EACH if has_others else _COUNT_BY_ROOT))


def count_missing_by_root(connection: Connection) -> dict[int, int]:
    """Missing tracks, by root id; roots without one are left out."""
    return dict(select(connection, _MISSING_BY_ROOT))


NOTHING_READ: Final[Columns] = (None,) * len(COLUMNS)
"""The columns of a row whose file was never readable."""


def _stamped(
    known: IndexedFile, album_id: int | None, indexed_at: int | None
) -> tuple[object, ...]:
    stamp = known.stamp
    return (
        known.root_id, known.path, 0, int(known.place), paths.fits_utf8(known.path),
        known.disk_id, stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode,
        known.scan_id, known.reader_version, known.added_at, indexed_at, None, album_id,
    )  # fmt: skip


def known_of(row: Row) -> IndexedFile:
    """Convert a raw row of `rows_below`."""
    return IndexedFile(
        row[0],
        row[1],
        row[2],
        Stamp(row[3], row[4], row[5], row[6]),
        _PLACES[row[7]],
        *row[8:],
    )


_PLACES: Final = tuple(RowState)
