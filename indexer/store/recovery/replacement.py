"""A copy of an index -> the content of the index, with a new identity and no id used twice."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from indexer import errors
from indexer.model import RowState
from indexer.paths import suffix_of
from indexer.store import tracks, upkeep
from indexer.store.connection import check_not_emptied, open_index
from indexer.store.creation import named_when_whole
from indexer.store.recovery import health
from indexer.store.recovery.repair_files import free_name, open_plainly
from indexer.store.scratch import scratch_folder
from indexer.store.sqlite_errors import explained
from indexer.store.statements import (
    UNREADABLE,
    Connection,
    select,
    select_value,
    write_transaction,
    written_whole,
)
from indexer.tags import READER_VERSION
from indexer.tags.families import least_version

_LOG: Final = "-wal"
_SHM: Final = "-shm"
_IS_INDEX: Final = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'tracks')"
_UNUSED: Final = 1_000_000
"""Ids and numbers of changes that are left out where it is not known which of them the lost index
used after the copy was made. A guess: far more than a library grows between two copies."""
_USED: Final = ("tracks", "changes")
"""Tables whose ids other programs keep."""
_SEQUENCES: Final = "SELECT name, seq FROM sqlite_sequence"
_SKIP_TO: Final = "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1 AND seq < ?2"
_DELETE_WORK: Final = ("DELETE FROM pending", "DELETE FROM trials")
_RENEW: Final = "UPDATE identity SET token = lower(hex(randomblob(8)))"
_ROWS: Final = "SELECT id, path, place, reader_version FROM tracks WHERE gone = 0"
_MARK: Final = "UPDATE tracks SET scan_id = ? WHERE id = ?"


@contextmanager
def usable_copy(copy: Path, beside: Path) -> Iterator[Path]:
    """A temporary copy of a copy, in the schema of this version, in a folder beside an index.

    The copy itself is not written to. Raises DatabaseDamaged if it is damaged, or is no index.
    """
    with scratch_folder(beside.parent) as folder:
        new = folder / beside.name
        shutil.copyfile(copy, new)
        log = copy.with_name(copy.name + _LOG)
        if log.exists():
            shutil.copyfile(log, new.with_name(new.name + _LOG))
        try:
            with closing(open_index(new, write=False)) as connection:
                damage = health.check(connection, deep=True)
        except errors.DatabaseNewer as error:
            raise errors.DatabaseNewer(str(error).replace(str(new), str(copy))) from error
        except errors.DatabaseError as error:
            reason = str(error).replace(str(new), str(copy)).partition(";")[0]
            raise _refused(copy, reason) from error
        if damage:
            raise _refused(copy, f"{copy}: is damaged ({damage[0].detail})")
        yield new


def _refused(copy: Path, reason: str) -> errors.DatabaseDamaged:
    return errors.DatabaseDamaged(
        f"{reason}; nothing was changed. Name another copy; one that is damaged can be repaired"
        f" first: `indexer --db {copy} repair`"
    )


def install(new: Path, database: Path, group: str | None) -> None:
    """Make a usable copy the index: under its name, or by writing over the index that is there.

    All pages are written over in one transaction, so programs that have it open go on.
    """
    if not database.exists():
        _detach(new, dict.fromkeys(_USED, _UNUSED))
        with named_when_whole(database, group) as unnamed:
            new.replace(unnamed)
            unnamed.chmod(0o600)
        return
    with closing(open_index(database, write=True)) as target:
        used = {name: seq for name, seq in select(target, _SEQUENCES) if name in _USED}
        _detach(new, {}, used)
        with (
            closing(open_plainly(new, write=False)) as source,
            target.backup("main", source, "main") as writing,
        ):
            while not writing.step(-1):
                pass


def _detach(new: Path, unused: dict[str, int], used: dict[str, int] | None = None) -> None:
    """Drop what belongs to the life of the copied index; skip ids that may have been used since."""
    with (
        written_whole(open_index(new, write=True)) as connection,
        write_transaction(connection),
    ):
        for statement in (*_DELETE_WORK, _RENEW):
            connection.execute(statement)
        known: dict[str, int] = dict(list(select(connection, _SEQUENCES)))
        for name in _USED:
            least = max(known.get(name, 0) + unused.get(name, 0), (used or {}).get(name, 0))
            connection.execute(_SKIP_TO, (name, least))


def note_as_read(connection: Connection, scan_id: int) -> None:
    """Note that a rebuild has read all rows that this version would read in the same way.

    In a write transaction. It goes on with the others, and with those whose stamp differs.
    """
    read = [
        (scan_id, track_id)
        for track_id, path, place, version in select(connection, _ROWS)
        if version >= _version_for(path, RowState(place))
    ]
    connection.executemany(_MARK, read)


def _version_for(path: bytes, place: RowState) -> int:
    """The oldest reader whose word on a file still counts (see `must_read`)."""
    is_refused = place in (RowState.REFUSED, RowState.SOUNDLESS)
    return READER_VERSION if is_refused else max(1, least_version(suffix_of(path)))


def restore(copy: Path, database: Path, group: str | None) -> Path | None:
    """Put a copy in the place of an index that is lost or damaged, or that was made anew.

    The caller holds the dispatch lock. An index with tracks is kept in a file beside it that is
    returned: a copy of it, or a damaged one itself. Raises UsageError for a file that is no copy of
    another index, DatabaseDamaged for one that is damaged or of another program, and where another
    program's database is to be replaced, and DatabaseNewer; then nothing was changed.
    """
    if not copy.is_file():
        raise errors.UsageError(f"{copy}: no such file; name a copy that `indexer backup` made")
    if database.exists() and copy.samefile(database):
        raise errors.UsageError(
            f"{copy}: is the index itself; name a copy that `indexer backup` made"
        )
    if not copy.stat().st_size:
        raise errors.DatabaseDamaged(f"{copy}: is empty (0 bytes); name another copy")
    with usable_copy(copy, database) as new:
        kept = None
        if database.exists():
            try:
                with explained(database):
                    check_not_emptied(database)
                    kept = _kept(database)
            except errors.DatabaseDamaged:
                if _is_of_others(database):
                    raise
                kept = _moved(database)
            except errors.DatabaseMissing:  # it was emptied
                _moved(database)
        install(new, database, group)
    return kept


def _is_of_others(database: Path) -> bool:
    """Whether a database can be read, and is no index."""
    try:
        with closing(open_plainly(database, write=False)) as connection:
            return not select_value(connection, _IS_INDEX)
    except UNREADABLE:
        return False


def _moved(database: Path) -> Path:
    """Give a damaged index another name, with its log: `repair` can be tried with it still."""
    kept = free_name(database)
    log, shm = (database.with_name(database.name + suffix) for suffix in (_LOG, _SHM))
    database.rename(kept)
    with suppress(FileNotFoundError):
        log.rename(kept.with_name(kept.name + _LOG))
    shm.unlink(missing_ok=True)
    return kept


def _kept(database: Path) -> Path | None:
    """Copy the index that is there, unless it has no track."""
    with closing(open_index(database, write=True)) as connection:
        if tracks.is_empty(connection):
            return None
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        kept = database.with_name(f"{database.name}.before-{stamp}")
        upkeep.copy_to(connection, kept)
        return kept
