"""The path of a new index -> its folder, and its file, which gets its name when complete."""

from __future__ import annotations

import errno
import grp
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from indexer import errors
from indexer.store.beside import check_folder
from indexer.store.scratch import scratch_folder

_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EXDEV)
"""Errors of a file system without hard links, such as FAT or one of FUSE, or only within a folder,
such as AFS."""


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
    """Move a file of this process to its name. Raises FileExistsError if that is taken."""
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
