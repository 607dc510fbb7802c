"""What files on the disk have (path, inode, size, sound) -> the rows of `tracks` that have it, too.

Asked for many files at once: which of them are new, moved, linked or copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from indexer.model import IndexedFile, Stamp
from indexer.store.changes import as_bytes, shown_path
from indexer.store.schema.views import ADDED_AT, MOMENT, SHOWN_PATH
from indexer.store.statements import Connection, select, select_value
from indexer.store.tracks import KNOWN, known_of
from indexer.store.tracks_below import LOW_TEXT

_V = TypeVar("_V")
_WITH_INODE: Final = KNOWN + "WHERE inode = ? AND disk_id = ?"
_WITH_ESSENCE: Final = KNOWN + "WHERE essence = ? LIMIT ?"
_HAS_ESSENCES: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'tracks_essence'"
_ANY_GONE: Final = "SELECT 1 FROM tracks WHERE gone <> 0 AND size >= 0 LIMIT 1"
"""With the size, for `tracks_gone_size`; without it SQLite reads all of `tracks_place`. Measured
with 100 000 rows: 6 % of the time in which a seed writes, and most of that of a live change."""
_GONE_LIKE: Final = KNOWN + "WHERE gone <> 0 AND size = ? AND mtime_ns BETWEEN ? AND ? LIMIT ?"
_ADDED_SINCE: Final = f"{KNOWN} WHERE place = 0 AND {ADDED_AT} >= {MOMENT} AND +size = ? LIMIT ?"
_ASKED: Final = 400
"""Values in one query; fewer are padded with NULL, so that it is prepared only once."""
_NEAR: Final = 200
"""Maximum rows between the first and the last value that are read as a range; with more, each value
is looked up. In a seed there are none: chunks follow one another."""
_HEARD_OF_NEAR: Final = f"""
SELECT CAST({SHOWN_PATH} AS BLOB) FROM tracks
WHERE root_id = ?1 AND {LOW_TEXT} AND {SHOWN_PATH} <= +CAST(?3 AS TEXT)
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
