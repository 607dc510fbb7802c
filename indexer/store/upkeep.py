"""Maintenance of the index: backup, optimization, checkpoints, purge of tracks long missing."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from indexer import errors
from indexer.store import changes, former, tag_sets, tracks
from indexer.store.connection import IndexConnection, file_name
from indexer.store.schema.views import LATE_INDEXES
from indexer.store.search import index_rows
from indexer.store.sqlite_errors import explained
from indexer.store.statements import Connection, empty_log, select, select_value, write_transaction

_COPY: Final = "VACUUM INTO ?"
_NO_SYNC: Final = (errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of a folder that must not be listed, or of a file system that cannot sync folders."""
_SECOND: Final = "%Y-%m-%dT%H%M%S"
_ZONES_APART: Final = timedelta(hours=26)
"""A time that is no more ahead may be that of another zone, or of before the end of summer time."""
_IN_SERIES: Final = re.compile(r"library-(\d{4}-\d\d-\d\dT\d{6})(?:-(\d{1,9}))?\.db")
_MERGE_SEARCH: Final = "INSERT INTO track_search (track_search) VALUES ('optimize')"
_COUNT_DAY: Final = """
UPDATE roots SET present_days = present_days + 1, last_day = ?1
WHERE id = ?2 AND last_day < ?1
"""
_STEP_BACK: Final = "UPDATE roots SET last_day = ?1 WHERE id = ?2 AND last_day > ?1"
_IS_NEW_DAY: Final = """
SELECT 1 FROM roots WHERE id = ?2 AND last_day <> ?1 AND added_at / 86400000 <= ?1
"""
_LAST_DAY: Final = "SELECT last_day FROM roots WHERE id = ?"
_LONG_GONE: Final = """
root_id = ?1 AND gone <> 0 AND missing_at IS NOT NULL
    AND missing_days <= (SELECT present_days - ?2 FROM roots
                         WHERE id = ?1 AND removed_at IS NULL)
"""
_PURGE: Final = f"DELETE FROM tracks WHERE {_LONG_GONE}"  # noqa: S608 - our own text
_TO_PURGE: Final = f"""
SELECT id, added_at FROM tracks WHERE added_at IS NOT NULL AND {_LONG_GONE}
"""  # noqa: S608 - our own text
_LACKS_LATE_INDEX: Final = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)"
_IS_SEEDED: Final = """
SELECT EXISTS (SELECT 1 FROM tracks)
    AND NOT EXISTS (SELECT 1 FROM pending WHERE is_chunk = 1 AND attempts = 0 AND passes = 0)
"""
_DAY_MS: Final = 86_400_000


def copy_to(connection: Connection, target: Path) -> int:
    """Write a complete, compact copy of the index to a new file of mode 0600; its size in bytes.

    SQLite opens a file by its name, and would follow a link that another user has created there in
    the meantime. So it writes in a private folder, and the copy gets its name when it is complete
    and on disk: what has the name of a copy is one, also after a kill or a power cut.
    """
    try:
        return _copy(connection, target)
    except FileExistsError:
        raise errors.UsageError(f"{target} exists already; name a new file") from None


def _copy(connection: Connection, target: Path) -> int:
    """As `copy_to`; raises FileExistsError where something has the name."""
    from indexer.store.creation import give_name  # late: a daemon never needs them
    from indexer.store.scratch import scratch_folder

    if os.path.lexists(target):
        raise FileExistsError(target)
    try:
        with scratch_folder(target.parent) as folder:
            copy = folder / target.name
            with explained(target):
                connection.execute(_COPY, (file_name(copy),))
            size = copy.stat().st_size
            copy.chmod(0o600)
            _sync(copy)
            give_name(copy, target)
            _sync_names(target.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise errors.CannotDo(
            f"{target}: cannot be written ({error.strerror}); name a place that can"
        ) from error
    return size


def _sync_names(folder: Path) -> None:
    """Wait until the names in a folder are on disk, as far as its rights and file system let it."""
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_in_series(
    connection: Connection, folder: Path, keep: int, now: datetime
) -> tuple[Path, int, int]:
    """Write a copy named after the local time, then remove all but the last `keep` of such copies.

    Those of one second are numbered (`...T062116-2.db`). Returns the copy, its size in bytes, and
    how many were removed. Other files in the folder, which is created where it is missing, are left
    alone. The new copy is the last one, whatever the clock said before. Copies of a time to come,
    which were made while it was wrong, are the first to be removed: they would never grow old.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise errors.CannotDo(
            f"{folder}: cannot be created ({error.strerror}); name a folder that can be written"
        ) from error
    copy, size = _copy_at(connection, folder, now)
    to_come = f"{now + _ZONES_APART:{_SECOND}}"
    series = sorted(
        (order[0] < to_come, order, one)
        for one in folder.iterdir()
        if one != copy and (order := _order_in_series(one))
    )
    older = series[: max(0, len(series) + 1 - keep)]
    for *_, one in older:
        one.unlink(missing_ok=True)
    return copy, size, len(older)


def _copy_at(connection: Connection, folder: Path, now: datetime) -> tuple[Path, int]:
    """Write a copy named after this second, behind all others of it; its size in bytes."""
    second = f"{now:{_SECOND}}"
    orders = filter(None, map(_order_in_series, folder.iterdir()))
    taken = [number for at, number in orders if at == second]
    number = max(taken, default=0) + 1
    while True:
        copy = folder / f"library-{second}{'' if number == 1 else f'-{number}'}.db"
        try:
            return copy, _copy(connection, copy)
        except FileExistsError:
            number += 1


def _order_in_series(copy: Path) -> tuple[str, int] | None:
    """Where a copy stands among those of its series; None: it is none of them."""
    found = _IN_SERIES.fullmatch(copy.name)
    return None if found is None else (found[1], int(found[2] or 1))


def tidy(connection: Connection) -> bool:
    """Merge the full-text index, release free pages, and empty the WAL.

    False if another process has a long read open: the file shrinks when that has ended.
    """
    connection.execute(_MERGE_SEARCH)
    connection.execute("VACUUM")
    connection.execute("PRAGMA optimize").fetchall()
    return empty_log(connection)


def count_days(
    connection: Connection,
    root_ids: Iterable[int],
    now_ms: int,
    keep_days: int,
    keep_changes_days: int = 0,
) -> int:
    """Count today for roots that are present, and purge; writes at most once a day.

    Missing tracks are deleted after `keep_days`, changes after `keep_changes_days` (0: never), but
    not on a day after a jump of the clock. Returns how many tracks were deleted.
    """
    fresh = [root_id for root_id in root_ids if is_new_day(connection, root_id, now_ms)]
    if not fresh:
        return 0
    clock_is_steady = any(_was_counted_yesterday(connection, one, now_ms) for one in fresh)
    with write_transaction(connection):
        for root_id in fresh:
            count_day(connection, root_id, now_ms)
        if keep_changes_days and clock_is_steady:
            changes.prune(connection, now_ms - keep_changes_days * _DAY_MS, now_ms)
        return sum(purge_missing(connection, root_id, keep_days) for root_id in fresh)


def _was_counted_yesterday(connection: Connection, root_id: int, now_ms: int) -> bool:
    yesterday = now_ms // _DAY_MS - 1
    return bool(select_value(connection, _LAST_DAY, (root_id,)) == yesterday)


def is_new_day(connection: Connection, root_id: int, now_ms: int) -> bool:
    """Whether a root has not been seen on this day yet.

    A day before the root was added does not count: a Raspberry Pi has no hardware clock, and its
    time is 1970 for a while after each start.
    """
    return select_value(connection, _IS_NEW_DAY, (now_ms // _DAY_MS, root_id)) is not None


def count_day(connection: Connection, root_id: int, now_ms: int) -> None:
    """Count a day on which the root was present; a clock that jumps ahead counts one, not many."""
    day = now_ms // _DAY_MS
    connection.execute(_COUNT_DAY, (day, root_id))
    connection.execute(_STEP_BACK, (day, root_id))


def add_late_indexes(connection: Connection) -> None:
    """Create the indexes that the first scan does without, once that has inserted its files."""
    lacking = _late_indexes_lacking(connection)
    if lacking and select_value(connection, _IS_SEEDED):
        _create_indexes(connection, lacking)


def _late_indexes_lacking(connection: Connection) -> list[str]:
    lacks = {name: select_value(connection, _LACKS_LATE_INDEX, (name,)) for name in LATE_INDEXES}
    return [name for name, is_lacking in lacks.items() if is_lacking]


def end_seldom_merging(connection: Connection) -> None:
    """Let changes merge the full text steadily, once the first scan has inserted its files."""
    if index_rows.merges_seldom(connection) and select_value(connection, _IS_SEEDED):
        with write_transaction(connection):
            index_rows.merge_steadily(connection)


def is_tended(connection: Connection) -> bool:
    """Whether all that ends a first scan was done, as far as this connection knows."""
    return isinstance(connection, IndexConnection) and connection.is_tended


def end_first_scan(connection: Connection) -> None:
    """Do what a first scan puts off, unless it was done or files of it are being read.

    Every engine asks for it at the end of a look, and once more when all is inserted and closed: a
    look may not wait for its files, and a killed one has left rows of `pending`.
    """
    if not is_tended(connection):
        end_first_scan_anew(connection)


def end_first_scan_anew(connection: Connection) -> None:
    """The same, also where it was done; note whether it is done now."""
    add_late_indexes(connection)
    renew_words(connection)
    end_seldom_merging(connection)
    if isinstance(connection, IndexConnection):
        connection.is_tended = not (
            index_rows.merges_seldom(connection) or _late_indexes_lacking(connection)
        )


def renew_words(connection: Connection) -> None:
    """Fill the full text again if other rules made its words, which searches do not ask for."""
    if not index_rows.has_these_rules(connection):
        with write_transaction(connection):
            index_rows.keep_current(connection)


def _create_indexes(connection: Connection, names: Iterable[str]) -> None:
    """The sorted values go to a file: SQLite would keep 45 bytes of each track in memory."""
    connection.pragma("temp_store", "FILE")
    try:
        with write_transaction(connection):
            for name in names:
                connection.execute(LATE_INDEXES[name])
    finally:
        connection.pragma("temp_store", "MEMORY")


def purge_missing(connection: Connection, root_id: int, keep_days: int) -> int:
    """Delete a root's tracks whose file has been gone for so many days on which it was there.

    The change feed keeps what they were, at the change with which they went missing.
    """
    came_at: dict[int, int] = dict(list(select(connection, _TO_PURGE, (root_id, keep_days))))
    for track_id, seq in changes.last_missing(connection, list(came_at)):
        columns = tracks.columns_of(connection, track_id)
        changes.keep(connection, seq, former.whole(columns, came_at[track_id]))
    connection.execute(_PURGE, (root_id, keep_days))
    purged = int(connection.changes())
    if purged:
        tag_sets.end_all_unused(connection)
    return purged


_STRANGE_TRACKS: Final = """
DELETE FROM tracks WHERE length(path) = 0 OR id <= 0 OR place NOT IN (0, 1, 2, 3)
    OR root_id NOT IN (SELECT id FROM roots)
"""
_CALL_MISSING: Final = """
UPDATE tracks SET gone = CASE place WHEN 1 THEN id ELSE 0 END
WHERE gone <> CASE place WHEN 1 THEN id ELSE 0 END
"""
_DROP_SEVERAL: Final = """
UPDATE tracks SET several = NULL, reader_version = 0
WHERE several IS NOT NULL
    AND NOT CASE WHEN json_valid(several) THEN json_type(several) = 'object' ELSE 0 END
"""
_DROP_GUESSED: Final = """
UPDATE tracks SET guessed = 0, reader_version = 0
WHERE guessed IS NOT NULL AND typeof(guessed) <> 'integer'
"""
_NAME_DISK: Final = """
UPDATE tracks SET reader_version = 0, disk_id = coalesce(
    (SELECT disk_id FROM mounts WHERE root_id = tracks.root_id AND folder = x''), disk_id)
WHERE disk_id NOT IN (SELECT id FROM disks)
"""
_DATE_ADDED: Final = """
UPDATE tracks SET added_at = coalesce(indexed_at, missing_at, 1)
WHERE place = 0 AND added_at IS NULL
"""
_LEAVE_ALBUM: Final = """
UPDATE tracks SET album_id = NULL WHERE place <> 0 AND album_id IS NOT NULL
"""
_CALL_BYTES: Final = "UPDATE tracks SET path_is_text = 0 WHERE path_is_text NOT IN (0, 1)"
_READ_REFUSED: Final = """
UPDATE tracks SET reader_version = 0 WHERE place = 2 AND NOT EXISTS (SELECT 1 FROM problems
    WHERE problems.root_id = tracks.root_id AND problems.path = tracks.path AND is_picture = 0)
"""
"""A refused file without a recorded reason is read again."""
STRANGE_MOUNTS: Final = """
DELETE FROM mounts WHERE disk_id NOT IN (SELECT id FROM disks)
    OR root_id NOT IN (SELECT id FROM roots)
"""
_STRANGE_PROBLEMS: Final = "DELETE FROM problems WHERE root_id NOT IN (SELECT id FROM roots)"
_STRANGE_HINTS: Final = """
DELETE FROM pending WHERE root_id NOT IN (SELECT id FROM roots) OR recursive NOT IN (0, 1)
    OR is_chunk NOT IN (0, 1)
"""
_STRANGE_CHANGES: Final = """
DELETE FROM changes WHERE kind NOT IN ('added', 'modified', 'moved', 'missing', 'returned')
    OR typeof(path) NOT IN ('text', 'blob') OR seq <= 0
    OR typeof(coalesce(old_path, '')) NOT IN ('text', 'blob')
"""
_DELETE_FAULTS: Final = "DELETE FROM problems WHERE kind = 'fault'"
"""The program may have failed on the file because of an invalid row."""
TIDY: Final = (
    _STRANGE_TRACKS, _STRANGE_PROBLEMS, _DELETE_FAULTS, _STRANGE_HINTS, _STRANGE_CHANGES,
    _CALL_MISSING, _DROP_SEVERAL, _DROP_GUESSED, _NAME_DISK, _DATE_ADDED, _LEAVE_ALBUM,
    _CALL_BYTES, _READ_REFUSED,
)  # fmt: skip
"""The order matters: each relies on those before it."""
