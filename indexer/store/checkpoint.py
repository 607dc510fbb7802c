"""The log beside an index -> moved into its file, as far as other processes allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import apsw

from indexer import errors
from indexer.store.statements import Connection

_TRUNCATE: Final = 3
"""SQLITE_CHECKPOINT_TRUNCATE, of sqlite3.h."""


def checkpoint(connection: Connection) -> bool:
    """Checkpoint the WAL as far as other processes allow, without waiting for them.

    False if not all of it was moved: a reader still uses it, or another process is doing a
    checkpoint, in which case SQLite refuses at once. That is not an error: the next one moves the
    rest.
    """
    try:
        frames, moved = connection.wal_checkpoint()
    except apsw.BusyError:
        return False
    return frames == moved


def empty_log(connection: Connection) -> bool:
    """Checkpoint the WAL and truncate it.

    False if a reader still uses it, or another process writes to it or does a checkpoint; the
    connection's busy handler decides how long to wait for these.
    """
    if not checkpoint(connection):
        return False
    try:
        connection.wal_checkpoint(mode=_TRUNCATE)
    except apsw.BusyError:
        return False
    return True


@contextmanager
def written_whole(connection: Connection) -> Iterator[Connection]:
    """Close a connection at the end, when its file alone is the database: for one that is moved.

    SQLite moves the log into the file when it is closed, but a full disk ends that halfway and
    without an error, and the file without its log is damaged.
    """
    with closing(connection):
        yield connection
        if not empty_log(connection):
            raise errors.DatabaseBusy("another program reads what is being made: try again")
