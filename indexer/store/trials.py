"""Files that a reader process was given and has not answered for (rule R9).

What is given stands here first, durably: so a file that kills its reader, or this whole program
with it, is known when the program starts again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from indexer.model import Stamp
from indexer.store.connection import Connection, select_one, write_transaction

MOST_TRIES: Final = 3
"""So often a file is given to a reader by itself and nothing comes back; then it is at fault. A
power cut, or somebody's `kill -9`, may be to blame for one of them."""

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
    """How often this very file was given to a reader by itself without an answer.

    0: only with others; None: whenever it was given, an answer came.
    """
    row = select_one(connection, _GET, (root_id, path))
    if row is None or Stamp(*row[:4]) != stamp:
        return None
    return int(row[4])


def begin(
    connection: Connection, root_id: int, files: Iterable[tuple[bytes, Stamp]], *, alone: bool
) -> None:
    """Write down that these files are given to a reader now, in a transaction of its own."""
    with write_transaction(connection):
        for path, stamp in files:
            tries = (tries_of(connection, root_id, path, stamp) or 0) + alone
            columns = (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
            connection.execute(_PUT, (root_id, path, *columns, tries))


def end(connection: Connection, root_id: int, paths: Iterable[bytes]) -> None:
    """An answer came for these files, in a transaction of its own."""
    with write_transaction(connection):
        for path in paths:
            connection.execute(_END, (root_id, path))


def take_back(connection: Connection, root_id: int, paths: Iterable[bytes], *, alone: bool) -> None:
    """They were given in vain, through no fault of theirs: their reader is told to end."""
    with write_transaction(connection):
        for path in paths:
            if alone and (select_one(connection, _GET, (root_id, path)) or (0,) * 5)[4] > 1:
                connection.execute(_TAKE_BACK, (root_id, path))
            else:
                connection.execute(_END, (root_id, path))


def forget_root(connection: Connection, root_id: int) -> None:
    """Drop what is known of a root that is no longer watched."""
    connection.execute(_OF_ROOT, (root_id,))
