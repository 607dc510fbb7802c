"""The rows of `tracks` below a folder, in the order of a walk, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

from indexer import errors, paths
from indexer.model import IndexedFile
from indexer.store.schema.views import SHOWN_PATH
from indexer.store.statements import Connection, Row, select, select_value
from indexer.store.tracks import KNOWN, known_of

_PAGE: Final = 2000
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
LOW_TEXT: Final = f"{SHOWN_PATH} >= +CAST(?2 AS TEXT)"
"""The plus takes the affinity off, with which SQLite would not use the index."""
TEXTS_BELOW: Final = f"{LOW_TEXT} AND {SHOWN_PATH} < +CAST(?3 AS TEXT)"
BYTES_BELOW: Final = f"{SHOWN_PATH} >= ?2 AND {SHOWN_PATH} < ?3"
_TEXTS: Final = f"""
{KNOWN} WHERE root_id = ?1 AND {TEXTS_BELOW} AND gone = 0 ORDER BY {SHOWN_PATH} LIMIT ?4
"""
_BYTES: Final = f"""
{KNOWN} WHERE root_id = ?1 AND {BYTES_BELOW} AND gone = 0 ORDER BY {SHOWN_PATH} LIMIT ?4
"""
_HOLDS: Final = f"""
SELECT 1 WHERE EXISTS (SELECT 1 FROM tracks WHERE root_id = ?1 AND {TEXTS_BELOW})
    OR EXISTS (SELECT 1 FROM tracks WHERE root_id = ?1 AND {BYTES_BELOW})
"""  # noqa: S608 - our own names
_IN_PLACE: Final = f"""
SELECT 1 WHERE EXISTS (SELECT 1 FROM tracks WHERE root_id = ?1 AND {TEXTS_BELOW} AND gone = 0)
    OR EXISTS (SELECT 1 FROM tracks WHERE root_id = ?1 AND {BYTES_BELOW} AND gone = 0)
"""  # noqa: S608 - our own names
_MISSING_OF_DISK: Final = f"""
SELECT (SELECT count(*) FROM tracks
    WHERE root_id = ?1 AND {TEXTS_BELOW} AND gone <> 0 AND disk_id = ?4)
    + (SELECT count(*) FROM tracks
    WHERE root_id = ?1 AND {BYTES_BELOW} AND gone <> 0 AND disk_id = ?4)
"""  # noqa: S608 - our own names


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


def was_never_at(connection: Connection, root_id: int, folder: bytes) -> bool:
    """Whether no file below a folder of a root has a row (present, missing or refused)."""
    return select_value(connection, _HOLDS, (root_id, *paths.below_range(folder))) is None


def are_all_missing(connection: Connection, root_id: int, folder: bytes) -> bool:
    """Whether files below a folder of a root have rows, and each of these is missing."""
    place = (root_id, *paths.below_range(folder))
    return (
        select_value(connection, _IN_PLACE, place) is None
        and select_value(connection, _HOLDS, place) is not None
    )


def count_missing_of_disk(connection: Connection, root_id: int, folder: bytes, disk_id: int) -> int:
    """How many rows below a folder of a root are missing whose files were on this disk."""
    place = (root_id, *paths.below_range(folder), disk_id)
    return int(select_value(connection, _MISSING_OF_DISK, place))
