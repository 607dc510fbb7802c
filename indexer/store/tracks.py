"""The rows of `tracks`: queries by path, inode and id, and every statement that writes a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

from indexer import errors, paths
from indexer.model import Entry, IndexedFile, RowState, Stamp
from indexer.store import tag_sets
from indexer.store.changes import as_bytes, shown_path
from indexer.store.schema import TAG_COLUMNS, musicbrainz_ids
from indexer.store.schema.musicbrainz_ids import stored_ids
from indexer.store.schema.views import ADDED_AT, MOMENT, SHOWN_PATH
from indexer.store.statements import Connection, Row, select, select_one, select_value

_V = TypeVar("_V")

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
_PAGE: Final = 2000
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

_KNOWN: Final = """
SELECT id, root_id, path, size, mtime_ns, ctime_ns, inode, place, disk_id, scan_id,
       reader_version, added_at, missing_at, birth_ns, essence
FROM tracks
"""
_PATH: Final = 2


class StampColumns(NamedTuple):
    """Positions in a row of `rows_below` of the columns that show whether a file changed.

    `seen` are size, mtime_ns, ctime_ns, inode, place and disk_id, which are adjacent.
    """

    path: int = _PATH
    seen: slice = slice(3, 9)
    scan_id: int = 9
    reader_version: int = 10


STAMP_COLUMNS: Final = StampColumns()
_LOW_TEXT: Final = f"{SHOWN_PATH} >= +CAST(?2 AS TEXT)"
"""The plus takes the affinity off, with which SQLite would not use the index."""
TEXTS_BELOW: Final = f"{_LOW_TEXT} AND {SHOWN_PATH} < +CAST(?3 AS TEXT)"
BYTES_BELOW: Final = f"{SHOWN_PATH} >= ?2 AND {SHOWN_PATH} < ?3"
_TEXTS: Final = f"""
{_KNOWN} WHERE root_id = ?1 AND {TEXTS_BELOW} AND gone = 0 ORDER BY {SHOWN_PATH} LIMIT ?4
"""
_BYTES: Final = f"""
{_KNOWN} WHERE root_id = ?1 AND {BYTES_BELOW} AND gone = 0 ORDER BY {SHOWN_PATH} LIMIT ?4
"""
_IN_PLACE: Final = f"{_KNOWN} WHERE root_id = ? AND {SHOWN_PATH} = ? AND gone = 0"
_GONE_FROM: Final = f"""
{_KNOWN} WHERE root_id = ? AND {SHOWN_PATH} = ? AND gone <> 0 ORDER BY gone DESC LIMIT 1
"""
_WITH_INODE: Final = _KNOWN + "WHERE inode = ? AND disk_id = ?"
_WITH_ESSENCE: Final = _KNOWN + "WHERE essence = ? LIMIT ?"
_HAS_ESSENCES: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'tracks_essence'"
_ANY_GONE: Final = "SELECT 1 FROM tracks WHERE gone <> 0 AND size >= 0 LIMIT 1"
"""With the size, for `tracks_gone_size`; without it SQLite reads all of `tracks_place`. Measured
with 100 000 rows: 6 % of the time in which a seed writes, and most of that of a live change."""
_GONE_LIKE: Final = _KNOWN + "WHERE gone <> 0 AND size = ? AND mtime_ns BETWEEN ? AND ? LIMIT ?"
_ADDED_SINCE: Final = f"{_KNOWN} WHERE place = 0 AND {ADDED_AT} >= {MOMENT} AND +size = ? LIMIT ?"
_BY_ID: Final = _KNOWN + "WHERE id = ?"
UNANNOUNCED: Final = _KNOWN + "WHERE place = 1 AND missing_at IS NULL"
_COLUMNS_OF: Final = f"SELECT {SHOWN_COLUMNS} FROM tracks WHERE id = ?"  # noqa: S608 - our own names
_ANY: Final = "SELECT 1 FROM tracks LIMIT 1"
_HOLDS: Final = f"""
SELECT 1 WHERE EXISTS (SELECT 1 FROM tracks WHERE root_id = ?1 AND {TEXTS_BELOW})
    OR EXISTS (SELECT 1 FROM tracks WHERE root_id = ?1 AND {BYTES_BELOW})
"""  # noqa: S608 - our own names
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
_ASKED: Final = 400
"""Values in one query; fewer are padded with NULL, so that it is prepared only once."""
_NEAR: Final = 200
"""Maximum rows between the first and the last value that are read as a range; with more, each value
is looked up. In a seed there are none: chunks follow one another."""
_HEARD_OF_NEAR: Final = f"""
SELECT CAST({SHOWN_PATH} AS BLOB) FROM tracks
WHERE root_id = ?1 AND {_LOW_TEXT} AND {SHOWN_PATH} <= +CAST(?3 AS TEXT)
UNION ALL SELECT path FROM tracks WHERE root_id = ?1 AND {SHOWN_PATH} BETWEEN ?2 AND ?3
UNION ALL SELECT path FROM problems WHERE root_id = ?1 AND path BETWEEN ?2 AND ?3
    AND is_picture = 0 LIMIT ?4
"""  # noqa: S608 - our own names
_INODES_NEAR: Final = """
SELECT inode FROM tracks WHERE ?1 AND inode BETWEEN ?2 AND ?3 LIMIT ?4
"""
_ANY_OF: Final = ", ".join(f"?{number}" for number in range(2, _ASKED + 2))
_PLACES_HEARD_OF: Final = f"""
SELECT {SHOWN_PATH} FROM tracks WHERE root_id = ?1 AND {SHOWN_PATH} IN ({_ANY_OF})
"""  # noqa: S608 - our own names
_PROBLEMS_HEARD_OF: Final = f"""
SELECT path FROM problems WHERE root_id = ?1 AND path IN ({_ANY_OF}) AND is_picture = 0
"""  # noqa: S608 - question marks
_INODES_MET: Final = f"""
SELECT inode FROM tracks WHERE ?1 AND inode IN ({_ANY_OF})
"""  # noqa: S608 - question marks
_ASKED_FOR: Final = ", ".join(f"(?{number})" for number in range(2, _ASKED + 2))
_ESSENCES_MET: Final = f"""
WITH asked(value) AS (VALUES {_ASKED_FOR})
SELECT value FROM asked WHERE ?1 AND EXISTS (SELECT 1 FROM tracks WHERE essence = value)
"""  # noqa: S608 - question marks
"""One hit for each value: many rows may have the same sound, or the same size. Measured with 6000:
0.02 ms in place of 1 ms of a live change."""
_SIZES_GONE: Final = f"""
WITH asked(value) AS (VALUES {_ASKED_FOR})
SELECT value FROM asked
WHERE ?1 AND EXISTS (SELECT 1 FROM tracks WHERE gone <> 0 AND size = value)
"""  # noqa: S608 - question marks
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
_COUNTS: Final = """
SELECT (SELECT count(*) FROM tracks WHERE album_id IS NOT NULL),
    (SELECT count(*) FROM tracks WHERE place = 1 AND added_at IS NOT NULL
        AND +root_id IN (SELECT id FROM roots WHERE removed_at IS NULL))
"""
"""Each track of the view has an album, and no other, so a small index has all of them."""
_MISSING_BY_ROOT: Final = """
SELECT root_id, count(*) FROM tracks WHERE place = 1 AND added_at IS NOT NULL
    AND +root_id IN (SELECT id FROM roots WHERE removed_at IS NULL) GROUP BY +root_id
"""
"""With a `+`, for `tracks_missing`; else SQLite takes the order of `tracks_place`, and reads all
rows. Measured with 100 000 tracks: 50 ms, half of `indexer status`."""
_COUNT: Final = "SELECT count(*) FROM tracks"
_COUNT_BY_ROOT: Final = """
WITH watched (id) AS (SELECT id FROM roots WHERE removed_at IS NULL),
    others (id, tracks) AS MATERIALIZED (
        SELECT id,
            (SELECT count(*) FROM tracks WHERE album_id IS NOT NULL AND +root_id = watched.id)
        FROM watched WHERE id > (SELECT min(id) FROM watched))
SELECT min(id), (SELECT count(*) FROM tracks WHERE album_id IS NOT NULL)
        - coalesce((SELECT sum(tracks) FROM others), 0)
    FROM watched HAVING count(*) > 0
UNION ALL SELECT id, tracks FROM others
"""
"""The first root has what the others have not: to count all takes a quarter of the time in which
those of one root are counted. Measured with 1 000 000 tracks: 8 ms, and 30."""


def below(
    connection: Connection, root_id: int, folder: bytes, *, recursive: bool = True
) -> Iterator[IndexedFile]:
    """The rows in place below a folder, in byte order of their paths; see `rows_below`."""
    for row in rows_below(connection, root_id, folder, recursive=recursive):
        yield known_of(row)


def rows_below(
    connection: Connection, root_id: int, folder: bytes, *, recursive: bool = True
) -> Iterator[Row]:
    """Raw rows in place below a folder: `known_of` converts one, `STAMP_COLUMNS` has the positions.

    The index has paths that are UTF-8 first, then the others, of which there are rarely any.
    """
    others = pages(connection, _BYTES, root_id, folder, recursive=recursive)
    first = next(others, None)
    if first is None or paths.fits_utf8(folder):
        texts = pages(connection, _TEXTS, root_id, folder, recursive=recursive)
        if first is None:
            yield from texts
        else:
            yield from merge(texts, chain((first,), others), key=itemgetter(_PATH))
        return
    yield first
    yield from others


def pages(
    connection: Connection,
    statement: str,
    root_id: int,
    folder: bytes,
    *,
    recursive: bool,
    first: int = _PAGE,
) -> Iterator[Row]:
    """Rows read page by page: a long snapshot would make the WAL grow.

    `statement` has the path as its third column, and the parameters and order of `rows_below`.
    `first` is the size of the first page; the next ones grow.

    Not recursive: the query seeks past each subfolder, so it costs one step per subfolder, not per
    row. After a seek the pages start small, since the next row may be in the next subfolder.
    """
    low, high = paths.below_range(folder)
    size = first if recursive else 1
    while page := list(select(connection, statement, (root_id, low, high, size))):
        size = min(size * 2, _PAGE)
        before, low = low, page[-1][_PATH] + b"\x00"
        if recursive:
            _check_order(before, low)
            yield from page
            continue
        for row in page:
            if (deeper := _child_folder(row[_PATH], folder)) is not None:
                low = paths.below_range(deeper)[1]
                size = 1
                break
            yield row
        _check_order(before, low)


def _check_order(before: bytes, low: bytes) -> None:
    """Raise DatabaseDamaged if a page of rows is not after the last: else an endless loop."""
    if low <= before:
        raise errors.DatabaseDamaged(
            "the index `tracks_place` is out of order; run `indexer repair`, which makes it again"
        )


def _child_folder(path: bytes, folder: bytes) -> bytes | None:
    """The direct subfolder of `folder` that contains `path`; None if `folder` is its parent."""
    start = len(folder) + 1 if folder else 0
    slash = path.find(b"/", start)
    return None if slash < 0 else path[:slash]


def in_place(connection: Connection, root_id: int, path: bytes) -> IndexedFile | None:
    """The row in place at this path, present or refused."""
    row = select_one(connection, _IN_PLACE, (root_id, shown_path(path)))
    return None if row is None else known_of(row)


def gone_from(connection: Connection, root_id: int, path: bytes) -> IndexedFile | None:
    """The last row that left this path."""
    row = select_one(connection, _GONE_FROM, (root_id, shown_path(path)))
    return None if row is None else known_of(row)


def with_inode(connection: Connection, disk_id: int, inode: int) -> list[IndexedFile]:
    """Every row, including missing ones, with this inode on this disk."""
    return [known_of(row) for row in select(connection, _WITH_INODE, (inode, disk_id))]


def heard_of(connection: Connection, root_id: int, paths_: Sequence[bytes]) -> set[bytes]:
    """The given paths that have a row, in place or gone, or an open problem."""
    if not paths_:
        return set()
    around = (root_id, min(paths_), max(paths_), _NEAR + 1)
    near = [row[0] for row in select(connection, _HEARD_OF_NEAR, around)]
    if len(near) <= _NEAR:
        return set(near).intersection(paths_)
    shown = [shown_path(path) for path in paths_]
    found = {as_bytes(path) for path in _among(connection, _PLACES_HEARD_OF, root_id, shown)}
    return found | _among(connection, _PROBLEMS_HEARD_OF, root_id, paths_)


def inodes_met(connection: Connection, inodes: Sequence[int]) -> set[int]:
    """The given inodes that occur in any row, on any disk, including missing rows."""
    if not inodes:
        return set()
    around = (1, min(inodes), max(inodes), _NEAR + 1)
    near = [row[0] for row in select(connection, _INODES_NEAR, around)]
    if len(near) <= _NEAR:
        return set(near).intersection(inodes)
    return _among(connection, _INODES_MET, 1, inodes)


def essences_met(connection: Connection, essences: Iterable[bytes]) -> set[bytes]:
    """The given essences that any row has; none while the first scan runs, which has no index."""
    if select_value(connection, _HAS_ESSENCES) is None:
        return set()
    return _among(connection, _ESSENCES_MET, 1, list(set(essences)))


def sizes_gone(connection: Connection, sizes: Iterable[int]) -> set[int]:
    """The given sizes that a missing row has."""
    if select_value(connection, _ANY_GONE) is None:
        return set()
    return _among(connection, _SIZES_GONE, 1, list(sizes))


def with_essence(connection: Connection, essence: bytes, most: int) -> list[IndexedFile]:
    """Rows of this sound, missing ones too; none while the first scan runs."""
    if select_value(connection, _HAS_ESSENCES) is None:
        return []
    return [known_of(row) for row in select(connection, _WITH_ESSENCE, (essence, most))]


def gone_like(connection: Connection, stamp: Stamp, clock_ns: int, most: int) -> list[IndexedFile]:
    """Missing rows of files with this size, and with this mtime by a clock so coarse."""
    around = (max(stamp.mtime_ns - clock_ns, -(2**63)), min(stamp.mtime_ns + clock_ns, 2**63 - 1))
    asked = (stamp.size, *around, most)
    return [known_of(row) for row in select(connection, _GONE_LIKE, asked)]


def added_since(connection: Connection, since_ms: int, size: int, most: int) -> list[IndexedFile]:
    """Rows of the view with this size that entered it since (Unix milliseconds)."""
    return [known_of(row) for row in select(connection, _ADDED_SINCE, (since_ms, size, most))]


def _among(connection: Connection, question: str, first: int, values: Sequence[_V]) -> set[_V]:
    found: set[_V] = set()
    for start in range(0, len(values), _ASKED):
        asked: list[object] = [first, *values[start : start + _ASKED]]
        asked += [None] * (_ASKED + 1 - len(asked))
        found.update(row[0] for row in select(connection, question, asked))
    return found


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


def was_never_at(connection: Connection, root_id: int, folder: bytes) -> bool:
    """Whether no file below a folder of a root has a row (present, missing or refused)."""
    return select_value(connection, _HOLDS, (root_id, *paths.below_range(folder))) is None


def counts(connection: Connection) -> tuple[int, int]:
    """(tracks in the view, tracks missing)."""
    present, missing = next(select(connection, _COUNTS))
    return int(present), int(missing)


def count(connection: Connection) -> int:
    """The number of rows, including missing and refused ones."""
    return int(select_value(connection, _COUNT))


def count_by_root(connection: Connection) -> dict[int, int]:
    """Tracks in the view, by root id."""
    return dict(select(connection, _COUNT_BY_ROOT))


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
