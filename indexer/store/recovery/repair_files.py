"""A damaged database file -> a copy to read from, and a new file that replaces it."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import apsw

from indexer import errors
from indexer.store.connection import file_name, open_index
from indexer.store.recovery.frame import mend_header, put_frame
from indexer.store.scratch import scratch_folder
from indexer.store.statements import UNREADABLE, Connection, select_value

_LOGS: Final = ("-wal", "-shm")
_BUSY_MS: Final = 30_000
_TABLES: Final = "SELECT count(*) FROM sqlite_schema"


class RepairFiles:
    """One attempt to replace a file's content. Call `source`, `fresh`, `install`; then `close`."""

    def __init__(self, database: Path) -> None:
        self.kept = free_name(database)
        """The copy of the damaged file, which is kept. It gets this name when it is complete, and
        before anything is written to the file itself."""
        self._database = database
        self._folder = ExitStack()
        self._new = self._copied = self._mended = database
        """In a folder of their own, from `source` on."""
        self._watch: Connection | None = None
        self._guard: Connection | None = None
        """A connection to the damaged file, if SQLite can still write to it."""
        self._version = 0
        self._is_installed = False

    def source(self) -> Connection:
        """Copy the file and its log, and open the copy for reading.

        Raises DatabaseDamaged if SQLite can read nothing of it.
        """
        self._make_room()
        self._take_hold()
        try:
            for suffix in ("", "-wal"):
                if _with(self._database, suffix).exists():
                    _copy(_with(self._database, suffix), _with(self._copied, suffix))
        finally:
            if self._guard is not None and self._guard.in_transaction:
                self._guard.execute("ROLLBACK")
        with suppress(*UNREADABLE):
            return self._opened(self._copied)
        _copy(self._copied, self._mended)
        if _with(self._copied, "-wal").exists():
            _copy(_with(self._copied, "-wal"), _with(self._mended, "-wal"))
        mend_header(self._mended)
        with suppress(*UNREADABLE):
            return self._opened(self._mended)
        put_frame(self._mended)
        _with(self._mended, "-wal").unlink(missing_ok=True)
        try:
            return self._opened(self._mended)
        except UNREADABLE as error:
            raise nothing_left(self._database, str(error)) from error

    def fresh(self) -> Connection:
        """The new file, with the empty tables of an index."""
        connection = open_index(self._new, write=True)
        connection.pragma("synchronous", "OFF")  # `install` syncs it
        return connection

    def install(self) -> bool:
        """Replace the damaged file's content by the new file's.

        False if another program has written to it since it was copied. `fresh` is closed.
        """
        self._keep_copy()
        if self._guard is None or self._watch is None:
            self._replace()
        elif self._is_at_rest(self._guard):
            if int(self._watch.pragma("data_version")) != self._version:
                return False
            self._let_go()
            self._replace()
        elif not self._overwrite(self._guard, self._watch):
            return False
        self._is_installed = True
        return True

    def close(self) -> None:
        """Remove temporary files."""
        self._let_go()
        self._folder.close()
        if not self._is_installed:
            for suffix in ("", "-wal"):
                _with(self.kept, suffix).unlink(missing_ok=True)

    def _make_room(self) -> None:
        try:
            folder = self._folder.enter_context(scratch_folder(self._database.parent))
        except OSError as error:
            raise _not_copied(self._database, str(error)) from error
        self._new, self._copied, self._mended = (
            folder / name for name in ("new.db", "damaged.db", "mended.db")
        )

    def _keep_copy(self) -> None:
        for suffix in ("", "-wal"):
            copied = _with(self._copied, suffix)
            if copied.exists() and copied.stat().st_size:
                copied.replace(_with(self.kept, suffix))

    def _take_hold(self) -> None:
        """Block writers while the file is copied, if SQLite can still lock it."""
        watch = guard = None
        try:
            watch, guard = open_plainly(self._database), open_plainly(self._database)
            guard.execute("BEGIN IMMEDIATE")
            self._version = int(watch.pragma("data_version"))
        except (*UNREADABLE, apsw.ReadOnlyError, apsw.CantOpenError):
            for connection in (watch, guard):
                if connection is not None:
                    connection.close()
        else:
            self._watch, self._guard = watch, guard

    def _let_go(self) -> None:
        for connection in (self._guard, self._watch):
            if connection is not None:
                connection.close()
        self._guard = self._watch = None

    def _is_at_rest(self, guard: Connection) -> bool:
        """Whether it is a copy (`indexer backup`), which no program has open.

        It has no WAL, so `watch` could not read while its pages are written.
        """
        has_log = _with(self._database, "-wal").exists()
        return not has_log and str(guard.pragma("journal_mode")).lower() != "wal"

    def _opened(self, path: Path) -> Connection:
        connection = open_plainly(path, write=False)
        try:
            select_value(connection, _TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _overwrite(self, guard: Connection, watch: Connection) -> bool:
        """Write all pages in one transaction, with SQLite's backup API."""
        new = open_plainly(self._new, write=False)
        try:
            with guard.backup("main", new, "main") as backup:
                backup.step(1)  # from here on no other program can write
                if int(watch.pragma("data_version")) != self._version:
                    return False
                while not backup.step(-1):
                    pass
        except (*UNREADABLE, apsw.ReadOnlyError):
            guard.close()
            watch.close()
            self._guard = self._watch = None
            self._replace()
        finally:
            new.close()
        return True

    def _replace(self) -> None:
        """Replace a file that SQLite cannot write to by the new file.

        Its log is removed first: SQLite would apply it to the new file. A copy is beside `kept`.
        """
        status = self._database.stat()
        self._new.chmod(status.st_mode & 0o777)
        with suppress(PermissionError):
            os.chown(self._new, status.st_uid, status.st_gid)
        with self._new.open("rb") as file:
            os.fsync(file.fileno())
        for suffix in _LOGS:
            _with(self._database, suffix).unlink(missing_ok=True)
        self._new.replace(self._database)


def open_plainly(path: Path, *, write: bool = True) -> Connection:
    """Open a file without any checks."""
    flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    connection = Connection(file_name(path), flags=flags)
    connection.set_busy_timeout(_BUSY_MS)
    return connection


def nothing_left(database: Path, reason: str) -> errors.DatabaseDamaged:
    """The error for a file of which nothing can be saved."""
    return errors.DatabaseDamaged(
        f"{database}: nothing of the index can be read ({reason}), so it was left as it is; if you "
        "have a copy (`indexer backup`), run `indexer rebuild --from COPY`; else move it away and "
        "run `indexer rebuild FOLDER` to make a new one"
    )


def _copy(file: Path, target: Path) -> None:
    """Copy with another program: closing the file in this process would drop SQLite's locks.

    The copy is a new file: a link that another user has created there is not followed.
    """
    try:
        target.unlink(missing_ok=True)
        new = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _not_copied(file, str(error)) from error
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["cat", "--", file],  # noqa: S607 - POSIX has it
            stdout=new,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(new)
    if done.returncode != 0:
        raise _not_copied(file, done.stderr.strip())


def _not_copied(file: Path, reason: str) -> errors.CannotDo:
    return errors.CannotDo(
        f"{file}: cannot be copied ({reason}); a repair needs room for a copy and"
        " for a new file beside it: make some, and run `indexer repair` again"
    )


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def free_name(database: Path) -> Path:
    """An unused name beside an index, for the damaged one."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    name = f"{database.name}.damaged-{stamp}"
    names = (database.with_name(name + end) for end in ("", *(f"-{n}" for n in range(2, 100))))
    return next(path for path in names if not os.path.lexists(path))
