"""The path of a new index -> its folder, its file, named when complete, and its tables."""

from __future__ import annotations

import errno
import grp
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from indexer import errors
from indexer.store import schema
from indexer.store.beside import check_folder
from indexer.store.left_log import set_aside_orphan
from indexer.store.statements import Connection, write_transaction

_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EXDEV)
"""Errors of a file system without hard links, such as FAT or one of FUSE, or only within a folder,
such as AFS."""
_NOTE_STEP: Final = """
INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
VALUES (?, ?, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000+00:00')
"""


def prepare_folder(path: Path, group: str | None = None) -> None:
    """Create the folder of a database: 0700, or 3770 for a group that may read it.

    The folder of a group is sticky; else its members could replace the database (inode(7)).
    """
    folder = path.parent
    if not folder.is_dir():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # another process may be first
        except OSError as error:
            raise _not_created(path, error) from error
        if group is not None:
            _give_to_group(folder, group, 0o3770)
    elif group is not None:
        check_folder(folder)


@contextmanager
def named_when_whole(path: Path, group: str | None) -> Iterator[Path]:
    """A new file to be filled: 0600, or 0660 when a group may read it.

    It gets its name at the end, so that no program sees an incomplete index: an empty file beside
    a log or a lock was truncated.
    """
    from indexer.store.scratch import scratch_folder  # late: few commands make a file

    try:
        with scratch_folder(path.parent) as folder:
            new = folder / path.name
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            yield new
            if group is not None:
                _give_to_group(new, group, 0o660)
            with suppress(FileExistsError):  # another program has created one in the meantime
                give_name(new, path)
    except OSError as error:
        raise _not_created(path, error) from error


def give_name(new: Path, path: Path) -> None:
    """Move a file of this process to its name. Raises FileExistsError if that is taken.

    A log beside that name is of a file that is gone: it is set aside.
    """
    set_aside_orphan(path)
    try:
        path.hardlink_to(new)
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(path):
            raise
        new.rename(path)
    else:
        new.unlink()


def _not_created(path: Path, error: OSError) -> errors.DatabaseError:
    return errors.DatabaseError(
        f"{path}: cannot be created ({error.strerror}); name another place with --db FILE"
    )


def _give_to_group(path: Path, group: str, mode: int) -> None:
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise errors.SettingsError(
            f"group = {group!r}: there is no such group; `getent group` lists them"
        ) from None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(fd, -1, gid)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise errors.SettingsError(
            f"group = {group!r}: {path} cannot be given to it by this user; "
            "become a member of that group, or leave the setting out"
        ) from error


def create_tables(connection: Connection) -> None:
    """Make all tables, views and indexes, empty, in a transaction of the caller."""
    for script in (schema.STEPS_TAKEN, *(script for _, script in schema.MIGRATIONS)):
        for statement in schema.statements(script):
            connection.execute(statement)
    names = [(schema.MIGRATION_SET, name) for name, _ in schema.MIGRATIONS]
    connection.executemany(_NOTE_STEP, names)
    from indexer.store.search import index_rows  # late: a reader makes no tables

    index_rows.note_versions(connection)
    index_rows.merge_seldom(connection)
    connection.pragma("user_version", schema.SCHEMA_VERSION)


def open_in_memory() -> Connection:
    """A new, empty index without a file, for rows that are searched and thrown away."""
    connection = Connection(":memory:", statementcachesize=200)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    with write_transaction(connection):
        create_tables(connection)
    return connection
