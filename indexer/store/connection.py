"""A path -> an open, migrated, tuned connection to the index.

Only the package `store` imports apsw. Other packages find here what they do with a connection, too;
modules of this package import that from `statements`.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from indexer import errors
from indexer.store import schema
from indexer.store.beside import check_sqlites
from indexer.store.open_log import OpenLog, fixed_stamp
from indexer.store.sqlite_errors import damaged, explained, not_ours
from indexer.store.statements import (
    Connection,
    IndexConnection,
    Row,
    checkpoint,
    empty_log,
    end_reading,
    insert_all,
    read_transaction,
    savepoint,
    select,
    select_one,
    select_value,
    write_transaction,
    written_whole,
)

__all__ = (
    "BUSY_TIMEOUT_S",
    "Connection",
    "IndexConnection",
    "Row",
    "check_exists",
    "check_may_be_index",
    "check_not_emptied",
    "checkpoint",
    "empty_log",
    "end_reading",
    "file_name",
    "insert_all",
    "leave_log",
    "open_index",
    "read_transaction",
    "savepoint",
    "select",
    "select_one",
    "select_value",
    "token_of",
    "tune",
    "was_used",
    "write_transaction",
    "written_whole",
)

BUSY_TIMEOUT_S: Final = 30.0
_WAL_PAGES: Final = 4000
"""Pages between checkpoints. Measured: half the bytes written, compared with the default 1000."""
_SEED_WAL_PAGES: Final = 8000
"""The same while much is written. Measured with a seed of 100 000 files: 6 MB less of 260, with
16 000 12 MB; but on a slow disk all waits while so many are moved."""
_REST_CACHE_KIB: Final = 2048
_SEED_CACHE_KIB: Final = 8192
_WAL_KEEPS: Final = 16 * 1024 * 1024
_WAL_PAUSE_S: Final = 0.005
"""Pause between attempts to switch a database to WAL. A guess."""
_TWO_NAMES_S: Final = 0.2
"""How long a new index may have its name and the one it was made under. A guess."""
_AS_URI: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_TRACES: Final = ("-wal", ".lock")
"""Files beside an index that was used."""
_IS_OURS: Final = """
SELECT EXISTS (SELECT 1 FROM pragma_table_info('tracks') WHERE name = 'reader_version')
"""
_HAS_TABLES: Final = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)"
_OWN_NAME: Final = "SELECT token FROM identity"


def open_index(
    path: Path,
    *,
    write: bool,
    create: bool = True,
    group: str | None = None,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> IndexConnection:
    """Open the index; a writer that may `create` makes a missing one. It migrates an older one.

    Raises DatabaseMissing where there is none, DatabaseNewer for the file of a newer version,
    DatabaseDamaged for another program's database.
    """
    if write and create:
        _create(path, group)
    else:
        check_exists(path)
    check_sqlites(path)
    _check_one_name(path)
    with explained(path):
        connection = _connect(path, write=write, busy_timeout_s=busy_timeout_s)
        if write:
            _fill_if_empty(connection, busy_timeout_s)
        version = int(connection.pragma("user_version"))
        if select_value(connection, _HAS_TABLES) and not select_value(connection, _IS_OURS):
            connection.close()
            raise not_ours(path, "its tables are not those of an index")
        if version > schema.SCHEMA_VERSION:
            connection.close()
            raise errors.DatabaseNewer(
                f"{path}: made by a newer version of this program (schema {version}, this one knows"
                f" {schema.SCHEMA_VERSION}); update this program, start this process again if that"
                " was done, or name another file with --db"
            )
        if version < schema.SCHEMA_VERSION:
            connection.close()
            if version == 0 and not write:
                raise _nothing_indexed(path)
            _migrate(path)
            connection = _connect(path, write=write, busy_timeout_s=busy_timeout_s)
        if write:
            _use_wal(connection, busy_timeout_s)
        connection.note_log()
    return connection


def _connect(path: Path, *, write: bool, busy_timeout_s: float) -> IndexConnection:
    flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    flags |= apsw.SQLITE_OPEN_NOMUTEX  # single-threaded; a mutex per bound value costs 2 us
    log = OpenLog(path)
    name = file_name(path)
    fixed = None if write else fixed_stamp(path)
    if fixed is not None:  # else SQLite would have to create a log, also to read
        name = _fixed_name(path)
        flags |= apsw.SQLITE_OPEN_URI
    connection = IndexConnection(name, flags=flags, statementcachesize=200)
    connection.path, connection.log, connection.fixed = path, log, fixed
    # Plans do not depend on bound values; checking them costs 15 us a query, ten times its run.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(int(busy_timeout_s * 1000))
    connection.pragma("synchronous", "NORMAL")
    connection.pragma("journal_size_limit", _WAL_KEEPS)
    connection.pragma("temp_store", "MEMORY")
    tune(connection, seeding=False)
    return connection


def _fixed_name(path: Path) -> str:
    """The name of a file that SQLite is to take for one that cannot change: it makes no -shm.

    With an empty authority: a path may begin with two slashes.
    """
    from urllib.parse import quote  # late: rarely needed

    return f"file://{quote(file_name(path.absolute()))}?immutable=1"


def file_name(path: Path) -> str:
    """The path as SQLite expects it: UTF-8 in any locale."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        raise errors.DatabaseError(
            f"{path}: the name of a database must be UTF-8; name another place with --db FILE"
        ) from None


def check_exists(path: Path) -> None:
    """Raise DatabaseMissing if there is no file, or an empty one."""
    check_not_emptied(path)
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        raise _nothing_indexed(path)


def check_not_emptied(path: Path) -> None:
    """Raise DatabaseMissing if an index was truncated to an empty file.

    A new index is never visible while empty. A log or a lock beside an empty file proves that it
    was an index: without this check a command would start a new one, or SQLite discard the log.
    """
    try:
        status = path.stat()
        if status.st_size or not stat.S_ISREG(status.st_mode):
            return
        if not was_used(path):
            return
    except FileNotFoundError:
        return
    raise errors.DatabaseMissing(
        f"{path}: is empty (0 bytes), and was an index: it was truncated; stop `watcher run` if it "
        "runs, and run `indexer rebuild --from COPY` with a copy (`indexer backup`), or remove it "
        f"with {path.name}-wal, {path.name}-shm and {path.name}.lock and run `indexer rebuild "
        "FOLDER`"
    )


def check_may_be_index(path: Path) -> None:
    """Raise DatabaseError for a file that no index ever was, before anything is made beside it.

    Where a log or a lock is beside it, it was one, and is damaged perhaps.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    if was_used(path):
        return
    try:
        with closing(apsw.Connection(_fixed_name(path), flags=_AS_URI)) as connection:
            is_other = select_value(connection, _HAS_TABLES) and not select_value(
                connection, _IS_OURS
            )
    except apsw.NotADBError as error:
        raise errors.DatabaseError(str(not_ours(path, error))) from error
    except apsw.Error:  # damaged, or it cannot be read: opening it says so
        return
    if is_other:
        raise errors.DatabaseError(str(not_ours(path, "its tables are not those of an index")))


def _check_one_name(path: Path) -> None:
    """Raise DatabaseError where a hard link gives the index a second name.

    SQLite names the log after the name that was opened. With two, each program would miss what the
    other one writes, and their logs would spoil the file (sqlite.org/howtocorrupt, 2.5).
    """
    if _gets_one_name(path):
        return
    from indexer.paths import shell_word  # late: rarely needed
    from indexer.store.scratch import remove_left

    remove_left(path.parent)  # of a process that was killed as it named the index
    if not _gets_one_name(path):  # perhaps another process removes that just now
        word, new = (shell_word(os.fsencode(path) + suffix) for suffix in (b"", b".new"))
        raise errors.DatabaseError(
            f"{path}: this file has another name, too (a hard link); programs that use it by"
            " different names would damage it. End those that use it, then remove the other name"
            f" (`find / -samefile {word}` shows it) or make two files of it"
            f" (`cp -p {word} {new} && mv {new} {word}`); of a file in a backup, take a copy"
        )


def _gets_one_name(path: Path) -> bool:
    """Whether it has one name, or has so in a moment: a new index has two (`give_name`)."""
    until = time.monotonic() + _TWO_NAMES_S
    while path.stat().st_nlink > 1:
        if time.monotonic() >= until:
            return False
        time.sleep(_WAL_PAUSE_S)
    return True


def was_used(path: Path) -> bool:
    """Whether a log or a lock beside a file shows that a program has used it as its index."""
    return any(path.with_name(path.name + suffix).exists() for suffix in _TRACES)


def _nothing_indexed(path: Path) -> errors.DatabaseMissing:
    return errors.DatabaseMissing(
        f"{path}: nothing is indexed yet; run `indexer rebuild FOLDER` first"
    )


def leave_log(connection: Connection) -> None:
    """Let a connection neither empty nor delete the log when it is closed."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def tune(connection: Connection, *, seeding: bool) -> None:
    """Set how much SQLite keeps in its cache and in the WAL: more while seeding."""
    kib = _SEED_CACHE_KIB if seeding else _REST_CACHE_KIB
    connection.pragma("cache_size", -kib)
    connection.wal_autocheckpoint(_SEED_WAL_PAGES if seeding else _WAL_PAGES)


def _use_wal(connection: Connection, busy_timeout_s: float) -> None:
    """Switch a new index to WAL, and one that was restored from a copy (`VACUUM INTO` has no WAL).

    SQLite refuses this at once, without calling its busy handler, if another process does the same
    or reads: for example, two processes that start together on a new index. So this function
    waits, as long as for any other lock.
    """
    until = time.monotonic() + busy_timeout_s
    while True:
        try:
            if connection.pragma("journal_mode") != "wal":
                connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() >= until:
                raise
        else:
            return
        time.sleep(_WAL_PAUSE_S)


def _fill_if_empty(connection: Connection, busy_timeout_s: float) -> None:
    """Create the tables of a new index. A second program waits, and then finds them."""
    if select_value(connection, _HAS_TABLES):
        return
    _use_wal(connection, busy_timeout_s)
    with write_transaction(connection):
        if select_value(connection, _HAS_TABLES):
            return
        from indexer.store.creation import create_tables  # late: as below

        create_tables(connection)


def _migrate(path: Path) -> None:
    """Run the migrations in a child, which ends before this process opens the file."""
    import subprocess  # late: few commands migrate

    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    environ = {**os.environ, "PYTHONPATH": f"{here}:{inherited}" if inherited else here}
    child = subprocess.run(  # noqa: S603 - our own module, no shell
        [sys.executable, "-P", "-m", "indexer.store.migrate", str(path)],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if child.returncode != 0:
        detail = child.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        if child.returncode == schema.FAILED_BY_DAMAGE:
            raise damaged(path, " ".join(detail))
        raise errors.DatabaseError(
            f"{path}: cannot be migrated to schema {schema.SCHEMA_VERSION} ({' '.join(detail)}); "
            "nothing was changed: check that its disk has room and can be written"
        )


def _create(path: Path, group: str | None) -> None:
    """Create the index if there is no file."""
    from indexer.store.creation import named_when_whole, prepare_folder

    prepare_folder(path, group)
    if os.path.lexists(path):
        return
    file_name(path)
    with (
        explained(path),
        named_when_whole(path, group) as new,
        written_whole(_connect(new, write=True, busy_timeout_s=0)) as connection,
    ):
        _fill_if_empty(connection, busy_timeout_s=0)


def token_of(connection: Connection) -> str:
    """The random name that this index got when it was created; a copy has the same."""
    return str(select_value(connection, _OWN_NAME))
