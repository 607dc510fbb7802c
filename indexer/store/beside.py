"""The files beside a database -> opened or checked, safe against files planted by other users.

The members of `group` may create files in the folder of an index. One of them could replace the
lock by a link, so that this program truncates or writes the link's target with its own rights; or
by a pipe, so that it waits for ever. So links are not followed, and a file must be a regular one
with a single name, owned by this user, by root, or by the owner of the database.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from indexer import errors

_SAFELY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A link is an error, and opening a pipe does not block."""
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_OF_SQLITE: Final = ("-wal", "-shm", "-journal")
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_beside(path: Path, database: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file of this program beside the database; with O_CREAT, create it if it is missing.

    Raises OSError like `os.open`, and DatabaseError if there is something else in its place.
    """
    creates = flags & os.O_CREAT
    flags = (flags & ~os.O_CREAT) | _SAFELY
    while True:
        try:
            fd = os.open(path, flags)  # an existing file: O_CREAT triggers `fs.protected_regular`
        except FileNotFoundError:
            if not creates or path.is_symlink():
                raise
            try:
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            except FileExistsError:
                continue  # another process created it a moment ago
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise
            check(path, os.lstat(path), database)
            raise
        try:
            check(path, os.fstat(fd), database)
        except BaseException:
            os.close(fd)
            raise
        return fd


def check(path: Path, status: os.stat_result, database: Path) -> None:
    """Raise DatabaseError unless this is a regular file with one name and a trusted owner."""
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, _kind(status.st_mode))
    if status.st_nlink > 1:
        raise _refused(path, "a file with other names, too (hard links)")
    if status.st_uid not in _trusted(database):
        raise _refused(path, f"a file of another user (number {status.st_uid})")


def check_sqlites(database: Path) -> None:
    """Raise DatabaseError if the database, or a file of SQLite beside it, is not a regular file.

    SQLite itself follows no link there, but it would wait for a pipe, and write through a hard
    link. A member of the database's group may own the files: the first process that opens an index
    creates them, and the last one deletes them.
    """
    try:
        link, own = os.lstat(database), os.stat(database)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid(), own.st_uid):
        raise _refused(database, f"a link of another user (number {link.st_uid})")
    check_is_file(database)
    real = Path(os.path.realpath(database))
    for suffix in _OF_SQLITE:
        path = real.with_name(real.name + suffix)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if not _is_members(status, own):
            check(path, status, database)


def check_is_file(database: Path) -> None:
    """Raise DatabaseError where a folder, a device or the like is named in place of a database.

    So it does for a name that no file can have, or that this user may not look at.
    """
    try:
        mode = os.stat(database).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.DatabaseError(
            f"{database}: cannot be an index here ({error.strerror}); name a file with --db FILE"
        ) from error
    if stat.S_ISDIR(mode):
        raise errors.DatabaseError(
            f"{database}: is a folder; name the file of the index: --db {database / 'library.db'}"
        )
    if not stat.S_ISREG(mode):
        raise errors.DatabaseError(
            f"{database}: is {_kind(mode)}, so it cannot be an index; name a file with --db FILE"
        )


def check_socket(path: Path, database: Path) -> bool:
    """Whether there is a socket of a daemon. Raises DatabaseError for anything else."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(status.st_mode):
        raise _refused(path, _kind(status.st_mode))
    if not _is_members(status, os.stat(database)) and status.st_uid not in _trusted(database):
        raise _refused(path, f"a socket of another user (number {status.st_uid})")
    return True


def check_folder(folder: Path) -> None:
    """Make a folder that others may write to sticky; else they could replace the database.

    Raises DatabaseError if this user may not do so.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if not mode & _WRITABLE_BY_OTHERS or mode & stat.S_ISVTX:
            return
        try:
            os.fchmod(fd, stat.S_IMODE(mode) | stat.S_ISVTX)
        except PermissionError:
            raise errors.DatabaseError(
                f"{folder}: other users may write to this folder and could replace the index in"
                f" it; its owner must type: chmod +t {folder}"
            ) from None
    finally:
        os.close(fd)


def _trusted(database: Path) -> set[int]:
    """The users whose files may be written beside a database."""
    trusted = {os.geteuid(), 0}
    with suppress(FileNotFoundError):
        trusted.add(os.stat(database).st_uid)
    return trusted


def _is_members(status: os.stat_result, database: os.stat_result) -> bool:
    """Whether a file, writable by the database's group, may be owned by a member of it."""
    is_plain = stat.S_ISSOCK(status.st_mode) or (
        stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    )
    return bool(is_plain and status.st_gid == database.st_gid and database.st_mode & stat.S_IWGRP)


def _kind(mode: int) -> str:
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "not a regular file")


def _refused(path: Path, what: str) -> errors.DatabaseError:
    import shlex  # late: rarely needed

    return errors.DatabaseError(
        f"{path}: is {what}, so it is not used: another user may have put it there for this program"
        f" to write to. See where it comes from, and take it away: rm -r {shlex.quote(str(path))}"
    )
