"""An SQLite exception about an index -> one of our errors, which says what to do next.

Only this module maps them. An exception without a failed statement (a value of an invalid type, a
text that is not UTF-8, a row that another one needs) means damage if the file is damaged; else it
is a bug in this program, and keeps its traceback.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from indexer import errors
from indexer.store.statements import CORRUPT, UNREADABLE

_OF_VALUES: Final = (
    *UNREADABLE, TypeError, ValueError, LookupError, AttributeError, ArithmeticError
)  # fmt: skip
"""What a damaged index was seen to raise, with random bytes in its file, and other values in its
rows: also what reads text, JSON (`msgspec.DecodeError`) or an enum of it, or misses a row."""
_BUSY: Final = (apsw.BusyError, apsw.LockedError, apsw.ProtocolError)
_UNUSABLE: Final = (
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.PermissionsError,
    apsw.AuthError,
    apsw.IOError,
    apsw.NoLFSError,
    apsw.AbortError,
)
_NOT_OPENED: Final = (apsw.CantOpenError, apsw.ReadOnlyError)
_Tell = Callable[[Path, Exception], errors.DatabaseError]
_NEXT: Final = "run `indexer repair`, which restores what can be restored and reports what is lost"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite exceptions about this file into errors that say what to do next."""
    try:
        yield
    except (errors.IndexerError, OSError, apsw.InterruptError):
        raise
    except Exception as error:
        told = explanation(path, error)
        if told is None:
            raise
        raise told from error


def explanation(path: Path, error: Exception) -> errors.IndexerError | None:
    """The error for the user; None: the exception is unrelated to the database."""
    for kinds, tell in _TELLING:
        if isinstance(error, kinds):
            return tell(path, error)
    if isinstance(error, _OF_VALUES) and _is_damaged(path):
        return damaged(path, f"{type(error).__name__}: {error}")
    return None


def _busy(path: Path, error: Exception) -> errors.DatabaseError:
    return errors.DatabaseBusy(
        f"{path}: another program holds the database ({error}); "
        "wait for it to end, or find it with `fuser` on that file"
    )


def _full(path: Path, _error: Exception) -> errors.DatabaseError:
    return errors.DatabaseFull(
        f"{path}: its disk is full; make room and run the same command again "
        "(what was committed is kept)"
    )


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _unusable(path: Path, error: Exception) -> errors.DatabaseError:
    import resource  # late: only for errors

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if isinstance(error, apsw.IOError) and limit != resource.RLIM_INFINITY:
        return errors.DatabaseError(
            f"{path}: cannot be written ({error}): this process may write no file of more than"
            f" {limit} bytes; raise that limit (ulimit -f, LimitFSIZE of a unit)"
        )
    kind = getattr(error, "extendedresult", 0)
    if kind == apsw.SQLITE_IOERR_SHMSIZE:  # a full disk has no room for `-shm`, which readers need
        return _full(path, error)
    if kind == apsw.SQLITE_READONLY_DBMOVED:
        return errors.DatabaseMissing(
            f"{path}: was moved, deleted or replaced while this process had it open; "
            "run the same command again"
        )
    if isinstance(error, _NOT_OPENED) and path.exists() and _is_read_only(path):
        return errors.DatabaseError(
            f"{path}: SQLite has to write beside it for this, and its disk is read-only; copy it"
            f" with what is beside it (cp -p {path.name}* FOLDER), and name the copy with --db"
        )
    if isinstance(error, _NOT_OPENED) and path.exists() and not os.access(path.parent, os.W_OK):
        return errors.DatabaseError(
            f"{path}: SQLite has to write beside an index that was in use, also to read it, and "
            "its folder cannot be written; change that, or read a copy: `indexer backup FILE` "
            "writes one that is read anywhere"
        )
    return errors.DatabaseError(
        f"{path}: cannot be read or written ({error}); "
        "check its folder's rights, free space and quota, and the disk's health"
    )


def _closed(path: Path, _error: Exception) -> errors.DatabaseError:
    return errors.LogLost(
        f"{path}: was opened again in the middle of an answer, since SQLite's files beside it were"
        " deleted; ask again"
    )


def _no_memory(path: Path, _error: Exception) -> errors.DatabaseError:
    return errors.DatabaseError(
        f"{path}: there is not enough memory; end other programs, and try again"
    )


def _corrupt(path: Path, error: Exception) -> errors.DatabaseError:
    return damaged(path, str(error))


def not_ours(path: Path, error: object) -> errors.DatabaseDamaged:
    """The error for a file that does not look like an index of this program."""
    return errors.DatabaseDamaged(
        f"{path}: this is not a database, or a damaged one ({error}); if it was the index, "
        "`indexer repair` saves what can be read; else name another file with --db, or "
        "move it away and run `indexer rebuild ROOT` to make a new one"
    )


def damaged(path: Path, reason: str) -> errors.DatabaseDamaged:
    """The error for an index that SQLite, or one of our checks, found damaged."""
    return errors.DatabaseDamaged(
        f"{path}: this is not a database, or a damaged one ({reason}); {_NEXT}"
    )


def _is_damaged(path: Path) -> bool:
    """Check whether the file is damaged. Called only after an unexpected exception."""
    from indexer.store.recovery import health  # late: only for errors

    connection = None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(1000)
        return bool(health.check(connection, deep=True))
    except UNREADABLE:
        return True
    except apsw.Error:  # unknown: keep the original exception
        return False
    finally:
        if connection is not None:
            connection.close()


_TELLING: Final[tuple[tuple[tuple[type[Exception], ...], _Tell], ...]] = (
    (_BUSY, _busy),
    ((apsw.FullError,), _full),
    ((apsw.NotADBError,), not_ours),
    (CORRUPT, _corrupt),
    (_UNUSABLE, _unusable),
    ((apsw.NoMemError,), _no_memory),
    ((apsw.ConnectionClosedError,), _closed),
)
