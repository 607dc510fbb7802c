"""An open connection to an index -> its rows, transactions on it, and its log in the file.

What every module of this package needs; it knows no table, and how a connection is opened stands in
`connection`, which gives all of this to other packages, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw

from indexer import errors
from indexer.store import schema
from indexer.store.open_log import FixedStamp, OpenLog, fixed_stamp


class IndexConnection(apsw.Connection):
    """Made by `open_index`; it knows the log that it has open, and the version that it writes."""

    path: Path
    log: OpenLog
    is_tended: bool = False
    """Whether all that ends a first scan was done: then only looks at folders ask again."""
    fixed: FixedStamp | None = None
    """Of a file that could not change when it was opened: without locks, and without a log."""

    @property
    def has_lost_log(self) -> bool:
        """Whether SQLite's files beside the index are others than those that are open.

        Or whether a file that could not change now can, or could meanwhile: no log of it is open.
        """
        if self.fixed is not None:
            return fixed_stamp(self.path) != self.fixed
        if not any(self.log.inodes):
            self.note_log()
        return self.log.is_lost

    def note_log(self) -> None:
        """Note the log, once it is open: a copy has none until it is first written to."""
        if self.fixed is None and self.pragma("journal_mode") == "wal":
            self.log.note_opened()

    def check_version(self) -> None:
        """Raise DatabaseNewer where a newer version has migrated the index since it was opened.

        Asked in each transaction that writes: rows of this version could be wrong in it.
        """
        version = self.pragma("user_version")
        if version > schema.SCHEMA_VERSION:
            raise errors.DatabaseNewer(
                f"{self.path}: a newer version of this program has migrated it (schema {version},"
                f" this one knows {schema.SCHEMA_VERSION}) while this process used it; start this"
                " process again"
            )


Connection = apsw.Connection
Row = tuple[Any, ...]
"""A result row; the statement determines the types."""
Values = Sequence[Any]
_IN_ONE_INSERT: Final = 32
CORRUPT: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
"""Raised by SQLite for a damaged file, or one that is not a database."""
UNREADABLE: Final = (
    *CORRUPT,
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    apsw.RangeError,
    apsw.InternalError,
    apsw.NotFoundError,
    UnicodeDecodeError,
)
"""Exceptions that a correct statement may raise on a damaged index."""
errors.never_one_files(apsw.Error)
_TRUNCATE: Final = 3
"""SQLITE_CHECKPOINT_TRUNCATE, of sqlite3.h."""


def select(connection: Connection, statement: str, values: Values = ()) -> Iterator[Row]:
    """The rows of a query, lazily. Fetch all of them before writing."""
    return iter(connection.execute(statement, values))


def select_one(connection: Connection, statement: str, values: Values = ()) -> Row | None:
    """The first row of a query, or None."""
    first: Row | None = connection.execute(statement, values).fetchone()
    return first


def select_value(connection: Connection, statement: str, values: Values = ()) -> Any:  # noqa: ANN401 - SQL says which type
    """The single value of a query; None without a row."""
    first = select_one(connection, statement, values)
    return None if first is None else first[0]


def insert_all(connection: Connection, head: str, width: int, values: Sequence[object]) -> None:
    """Insert rows of `width` values each, given flat; `head` is a statement up to VALUES.

    One statement inserts several rows. Measured with short rows: 0.7 us a row in place of 1.2.
    `head` should be INSERT OR FAIL, which an error leaves half done for the transaction to roll
    back: so SQLite opens no savepoint, at which the full text would write all it holds in memory.
    """
    one = f"({', '.join('?' * width)})"
    begin = 0
    for rows in (_IN_ONE_INSERT, 1):
        step = rows * width
        end = begin + (len(values) - begin) // step * step
        connection.executemany(
            f"{head} VALUES {', '.join([one] * rows)}",
            (values[at : at + step] for at in range(begin, end, step)),
        )
        begin = end


@contextmanager
def write_transaction(connection: Connection) -> Iterator[None]:
    """One BEGIN IMMEDIATE ... COMMIT; any exception inside rolls it back.

    Raises DatabaseNewer where a newer version has migrated the index meanwhile.

    A deferred transaction that reads first fails at once with SQLITE_BUSY_SNAPSHOT, whatever the
    busy timeout.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")  # inside the try: a signal may raise on return
        if isinstance(connection, IndexConnection):
            connection.check_version()
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """A part of a write transaction that any exception inside rolls back by itself.

    Not for large changes: SQLite keeps a copy of each page that is changed inside.
    """
    connection.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO part")
            connection.execute("RELEASE part")
        raise
    connection.execute("RELEASE part")


@contextmanager
def read_transaction(connection: Connection) -> Iterator[None]:
    """One snapshot for several queries."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        end_reading(connection)


def end_reading(connection: Connection) -> None:
    """End a transaction that wrote nothing.

    SQLite may have ended it already because of damage, and may report that damage once more.
    """
    if connection.in_transaction:
        with suppress(*UNREADABLE):
            connection.execute("ROLLBACK")


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
