"""What SQLite raises about an index -> one of our errors, which says what to do next.

This is the only place where that is decided. What is raised although no statement failed (a value
of a kind that no row can have, a text that is not UTF-8) is damage as well if the file is damaged,
and else a fault of this program, which keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from indexer import errors

CORRUPT: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
"""SQLite itself says that the file is damaged, or no database."""
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
"""What reading or writing a damaged index may raise, where the statement itself is right."""
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
_Tell = Callable[[Path, Exception], errors.DatabaseError]
_NEXT: Final = (
    "run `indexer repair`, which makes again what can be made again and says what could not be"
)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises about this file into errors that say what to do next."""
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
    """What a person is told; None: this is no matter of the database."""
    for kinds, tell in _TELLING:
        if isinstance(error, kinds):
            return tell(path, error)
    return damaged(path, f"{type(error).__name__}: {error}") if _is_damaged(path) else None


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


def _unusable(path: Path, error: Exception) -> errors.DatabaseError:
    if getattr(error, "extendedresult", 0) == apsw.SQLITE_READONLY_DBMOVED:
        return errors.DatabaseMissing(
            f"{path}: was moved, deleted or replaced while this process kept it; "
            "run the same command again"
        )
    return errors.DatabaseError(
        f"{path}: cannot be read or written ({error}); "
        "check its folder's rights and free space, and the disk's health"
    )


def _no_memory(path: Path, _error: Exception) -> errors.DatabaseError:
    return errors.DatabaseError(
        f"{path}: there is not enough memory for it; end other programs, and try again"
    )


def _corrupt(path: Path, error: Exception) -> errors.DatabaseError:
    return damaged(path, str(error))


def not_ours(path: Path, error: object) -> errors.DatabaseDamaged:
    """What is told of a file that is no index of this program, as far as can be seen."""
    return errors.DatabaseDamaged(
        f"{path}: this is no database, or a damaged one ({error}); if it was the index, "
        "`indexer repair` saves what can be read; else name another file with --db, or "
        "move it away and run `indexer rebuild ROOT` to make a new one"
    )


def damaged(path: Path, reason: str) -> errors.DatabaseDamaged:
    """What is told of an index that SQLite, or one of our checks, found broken."""
    return errors.DatabaseDamaged(
        f"{path}: this is no database, or a damaged one ({reason}); {_NEXT}"
    )


def _is_damaged(path: Path) -> bool:
    """Look whether the file is at fault. It is asked only after something unexpected was raised."""
    from indexer.store import health  # late: it is needed when something is wrong

    connection = None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(1000)
        return bool(health.check(connection, deep=True))
    except UNREADABLE:
        return True
    except apsw.Error:  # nothing can be told: what was raised stays as it is
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
)
