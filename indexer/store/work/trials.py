"""Files that were given to a reader process, without a result yet (rule R9).

They are recorded here first, durably: so a file that crashes its reader, or the whole program, is
known after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from indexer.model import Stamp
from indexer.store.statements import Connection, select_one, write_transaction

MOST_TRIES: Final = 3
"""After so many attempts to read a file by itself without a result, it is at fault. A power cut or
a `kill -9` may be the cause of one of them."""

_GET: Final = """
SELECT size, mtime_ns, ctime_ns, inode, tries FROM trials WHERE root_id = ? AND path = ?
"""
_PUT: Final = """
INSERT INTO trials (root_id, path, size, mtime_ns, ctime_ns, inode, tries)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (root_id, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
    ctime_ns = excluded.ctime_ns, inode = excluded.inode, tries = excluded.tries
"""
_END: Final = "DELETE FROM trials WHERE root_id = ? AND path = ?"
_TAKE_BACK: Final = """
UPDATE trials SET tries = tries - 1 WHERE root_id = ? AND path = ? AND tries > 0
"""
_OF_ROOT: Final = "DELETE FROM trials WHERE root_id = ?"


def tries_of(connection: Connection, root_id: int, path: bytes, stamp: Stamp) -> int | None:
    """How often this file was given to a reader by itself without a result.

    0: only together with others; None: no result is missing.
    """
    row = select_one(connection, _GET, (root_id, path))
    if row is None or Stamp(*row[:4]) != stamp:
        return None
    return int(row[4])


def begin(
    connection: Connection, root_id: int, files: Iterable[tuple[bytes, Stamp]], *, alone: bool
) -> None:
    """Record that these files are given to a reader now, in its own transaction."""
    with write_transaction(connection):
        for path, stamp in files:
            tries = (tries_of(connection, root_id, path, stamp) or 0) + alone
            columns = (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
            connection.execute(_PUT, (root_id, path, *columns, tries))


def end(connection: Connection, root_id: int, paths: Iterable[bytes]) -> None:
    """Delete files that have a result, in its own transaction."""
    with write_transaction(connection):
        for path in paths:
            connection.execute(_END, (root_id, path))


def take_back(connection: Connection, root_id: int, paths: Iterable[bytes], *, alone: bool) -> None:
    """Undo the attempts of files whose reader was stopped through no fault of theirs."""
    with write_transaction(connection):
        for path in paths:
            if alone and (select_one(connection, _GET, (root_id, path)) or (0,) * 5)[4] > 1:
                connection.execute(_TAKE_BACK, (root_id, path))
            else:
                connection.execute(_END, (root_id, path))


def delete_of_root(connection: Connection, root_id: int) -> None:
    """Delete the rows of a root that is no longer watched."""
    connection.execute(_OF_ROOT, (root_id,))
