"""The rows of `tracks`: queries by path, inode and id, and every statement that writes a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from indexer import errors, paths
from indexer.model import Entry, IndexedFile, RowState, Stamp
from indexer.store.connection import Connection, Row, select, select_one, select_value
from indexer.store.schema import TAG_COLUMNS

_V = TypeVar("_V")

Columns = tuple[object, ...]
"""The tag columns of one row, in the order of `COLUMNS`."""

COLUMNS: Final = (*TAG_COLUMNS, "guessed", "several", "suspect_encoding")
_PAGE: Final = 2000
_STAMPED: Final = (
    "root_id", "path", "gone", "place", "path_is_text", "disk_id",
    "size", "mtime_ns", "ctime_ns", "inode", "scan_id", "reader_version",
    "added_at", "indexed_at", "missing_at", "album_id",
)  # fmt: skip
_WRITTEN: Final = (*_STAMPED, *COLUMNS, "birth_ns")
ALL_COLUMNS: Final = ("id", *_STAMPED[:-1], "missing_days", _STAMPED[-1], *COLUMNS, "birth_ns")
"""All columns of the table, in its order."""

_KNOWN: Final = """
SELECT id, root_id, path, size, mtime_ns, ctime_ns, inode, place, disk_id, scan_id,
       reader_version, added_at, missing_at, birth_ns
FROM tracks
"""
_PATH: Final = 2


class Told(NamedTuple):
    """Positions in a row of `rows_below` of the columns that show whether a file changed.

    `seen` are size, mtime_ns, ctime_ns, inode, place and disk_id, which are adjacent.
    """

    path: int = _PATH
    seen: slice = slice(3, 9)
    scan_id: int = 9
    reader_version: int = 10


TOLD: Final = Told()
_BELOW: Final = (
    _KNOWN + "WHERE root_id = ? AND path >= ? AND path < ? AND gone = 0 ORDER BY path LIMIT ?"
)
_IN_PLACE: Final = _KNOWN + "WHERE root_id = ? AND path = ? AND gone = 0"
_GONE_FROM: Final = (
    _KNOWN + "WHERE root_id = ? AND path = ? AND gone <> 0 ORDER BY gone DESC LIMIT 1"
)
_WITH_INODE: Final = _KNOWN + "WHERE inode = ? AND disk_id = ?"
_BY_ID: Final = _KNOWN + "WHERE id = ?"
_UNTOLD: Final = _KNOWN + "WHERE place = 1 AND missing_at IS NULL"
_COLUMNS_OF: Final = f"SELECT {', '.join(COLUMNS)} FROM tracks WHERE id = ?"  # noqa: S608 - our own names
_ANY: Final = "SELECT 1 FROM tracks LIMIT 1"
_HOLDS: Final = "SELECT 1 FROM tracks WHERE root_id = ? AND path >= ? AND path < ? LIMIT 1"
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
_HEARD_OF_NEAR: Final = """
SELECT path FROM tracks WHERE root_id = ?1 AND path BETWEEN ?2 AND ?3
UNION ALL SELECT path FROM problems WHERE root_id = ?1 AND path BETWEEN ?2 AND ?3 LIMIT ?4
"""
_INODES_NEAR: Final = """
SELECT inode FROM tracks WHERE ?1 AND inode BETWEEN ?2 AND ?3 LIMIT ?4
"""
_ANY_OF: Final = ", ".join(f"?{number}" for number in range(2, _ASKED + 2))
_HEARD_OF: Final = f"""
SELECT path FROM tracks WHERE root_id = ?1 AND path IN ({_ANY_OF})
UNION ALL SELECT path FROM problems WHERE root_id = ?1 AND path IN ({_ANY_OF})
"""  # noqa: S608 - question marks
_INODES_MET: Final = f"""
SELECT inode FROM tracks WHERE ?1 AND inode IN ({_ANY_OF})
"""  # noqa: S608 - question marks
_KEEPING_INDEXED_AT: Final = {"indexed_at": "indexed_at = coalesce(?, indexed_at)"}
_ASSIGNED: Final = ", ".join(_KEEPING_INDEXED_AT.get(name, f"{name} = ?") for name in _WRITTEN)
_WRITE: Final = f"UPDATE tracks SET {_ASSIGNED} WHERE id = ?"  # noqa: S608 - our own names
_RESTAMP: Final = """
UPDATE tracks SET disk_id = ?, size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?,
    scan_id = ?, reader_version = ?, birth_ns = ?, indexed_at = coalesce(?, indexed_at)
WHERE id = ?
"""
_PARK: Final = "UPDATE tracks SET gone = id WHERE id = ?"
_LEAVE: Final = """
UPDATE tracks SET gone = id, place = 1, missing_at = ?, album_id = NULL,
    missing_days = (SELECT present_days FROM roots WHERE roots.id = root_id),
    reader_version = CASE place WHEN 2 THEN 0 ELSE reader_version END
WHERE id = ?
"""
_TELL: Final = "UPDATE tracks SET missing_at = ? WHERE id = ?"
_COUNTS: Final = """
SELECT count(*) FILTER (WHERE place = 0),
       count(*) FILTER (WHERE place = 1 AND tracks.added_at IS NOT NULL)
FROM tracks JOIN roots ON roots.id = tracks.root_id
WHERE roots.removed_at IS NULL
"""
_COUNT: Final = "SELECT count(*) FROM tracks"
_COUNT_BY_ROOT: Final = """
SELECT root_id, count(*) FROM tracks WHERE place = 0 GROUP BY root_id
"""


def below(
    connection: Connection, root_id: int, folder: bytes, *, recursive: bool = True
) -> Iterator[IndexedFile]:
    """The rows in place below a folder, in byte order of their paths; see `rows_below`."""
    for row in rows_below(connection, root_id, folder, recursive=recursive):
        yield known_of(row)


def rows_below(
    connection: Connection, root_id: int, folder: bytes, *, recursive: bool = True
) -> Iterator[Row]:
    """Raw rows in place below a folder: `known_of` converts one, `TOLD` has the positions.

    Read page by page: a long snapshot would make the WAL grow. Not recursive: the query seeks past
    each subfolder, so it costs one step per subfolder, not per row. After a seek the pages start
    small, since the next row may be in the next subfolder.
    """
    low, high = paths.below_range(folder)
    size = _PAGE if recursive else 1
    while page := list(select(connection, _BELOW, (root_id, low, high, size))):
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
    row = select_one(connection, _IN_PLACE, (root_id, path))
    return None if row is None else known_of(row)


def gone_from(connection: Connection, root_id: int, path: bytes) -> IndexedFile | None:
    """The last row that left this path."""
    row = select_one(connection, _GONE_FROM, (root_id, path))
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
    return _among(connection, _HEARD_OF, root_id, paths_)


def inodes_met(connection: Connection, inodes: Sequence[int]) -> set[int]:
    """The given inodes that occur in any row, on any disk, including missing rows."""
    if not inodes:
        return set()
    around = (1, min(inodes), max(inodes), _NEAR + 1)
    near = [row[0] for row in select(connection, _INODES_NEAR, around)]
    if len(near) <= _NEAR:
        return set(near).intersection(inodes)
    return _among(connection, _INODES_MET, 1, inodes)


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
    return [known_of(row) for row in select(connection, _UNTOLD)]


def columns_of(connection: Connection, track_id: int) -> Columns:
    """The tag columns of one row."""
    row: Columns = next(select(connection, _COLUMNS_OF, (track_id,)))
    return row


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
    connection: Connection, known: IndexedFile, album_id: int | None, at: int | None, row: Columns
) -> int:
    """Insert a row and return its id, which was never used before; `known.id` is ignored."""
    connection.execute(_ADD, (*_stamped(known, album_id, at), *row, known.birth_ns))
    return connection.last_insert_rowid()


def next_id(connection: Connection) -> int:
    """The id of the next new row; within one write transaction, later ids follow it."""
    return int(select_value(connection, _NEXT_ID))


NewRow = tuple[int, Entry, bool, int, Columns, int | None]
"""(id, file, whether the path is text, album id, tag columns, time of birth of the inode)."""


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
                *columns, birth_ns,
            )
            for track_id, entry, is_text, album_id, columns, birth_ns in rows
        ),
    )  # fmt: skip


def write(
    connection: Connection, known: IndexedFile, album_id: int | None, at: int | None, row: Columns
) -> None:
    """Update every column of a row; `at` is when its tags were read, None: unchanged."""
    connection.execute(_WRITE, (*_stamped(known, album_id, at), *row, known.birth_ns, known.id))


def restamp(connection: Connection, known: IndexedFile, at: int | None) -> None:
    """Update a row with the same tags and a new stamp, or one read by a rebuild at `at`."""
    stamp = known.stamp
    connection.execute(
        _RESTAMP,
        (known.disk_id, stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode,
         known.scan_id, known.reader_version, known.birth_ns, at, known.id),
    )  # fmt: skip


def park(connection: Connection, track_id: int) -> None:
    """Free a row's path, so that movers can swap paths within one transaction."""
    connection.execute(_PARK, (track_id,))


def mark_missing(connection: Connection, track_id: int, missing_at: int | None) -> None:
    """Mark a row missing; `missing_at` None means that `changes` has no entry yet."""
    connection.execute(_LEAVE, (missing_at, track_id))


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
