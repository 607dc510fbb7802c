"""A folder and a user -> what of it this user may not read, with the command that mends it.

The kernel is asked, as that user: owners, modes, ACLs and mount options all count.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from indexer import paths
from indexer.disk.mounts import mount_of, read_mounts

_MOST_NAMED: Final = 5
"""Blocked places that are named; more are counted."""
_MAKES_UP_MODES: Final = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"})
"""File systems without Unix rights: all files have those of the mount options."""

Wanted = Callable[[bytes], bool]


class Blocked(Struct, frozen=True):
    """A folder or file that the user may not read."""

    path: bytes
    reason: str
    remedy: str
    """A command, or what to write where."""


class Access(Struct, frozen=True):
    """The result of reading a whole tree, without the contents of its files."""

    folders: int
    """Those that could be listed, the first included."""
    files: int
    """The wanted ones, readable or not."""
    blocked: tuple[Blocked, ...]
    """The first of what cannot be read; the folders on the way down come first."""
    blocked_count: int


class _Found(Struct):
    folders: int = 0
    files: int = 0
    shut: list[tuple[bytes, str, str]] = []
    """Path, reason, and the rights that it takes."""
    shut_count: int = 0

    def shut_out(self, path: bytes, reason: str, rights: str) -> None:
        self.shut_count += 1
        if len(self.shut) < _MOST_NAMED:
            self.shut.append((path, reason, rights))


class _Choice(Struct, frozen=True):
    """What of a tree is wanted."""

    top: bytes
    """The tree's folder, without links."""
    wants_file: Wanted
    wants_folder: Wanted
    follow_links: bool

    def has_file(self, entry: os.DirEntry[bytes]) -> bool:
        """Whether it is a file that is wanted, readable or not; a link only to one in this tree."""
        if not self.wants_file(entry.name):
            return False
        if not entry.is_symlink():
            return entry.is_file(follow_symlinks=False)
        if not self.follow_links or not os.path.realpath(entry.path).startswith(self.top + b"/"):
            return False
        try:
            return stat.S_ISREG(os.stat(entry.path).st_mode)
        except PermissionError:
            return True
        except OSError:  # it leads nowhere, or in a circle
            return False


def name_of(uid: int) -> str:
    """A user's name; its number where it has none, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def access_to(
    folder: bytes,
    user: str | None,
    wants_file: Wanted,
    wants_folder: Wanted,
    *,
    follow_links: bool = False,
) -> Access:
    """Try to read a folder (an absolute path), as this process or as another user.

    Another user needs root; one without a name is its number. Symbolic links to folders are not
    followed, those to files only with `follow_links`. Raises KeyError for a user that does not
    exist, OSError where the folder itself is gone.
    """
    os.lstat(folder)  # as this process: whether it is there at all
    choice = _Choice(os.path.realpath(folder).rstrip(b"/"), wants_file, wants_folder, follow_links)

    def look() -> _Found:
        return _look(folder, choice)

    found = look() if user is None else _as_user(user, look)
    named = user or name_of(os.geteuid())
    blocked = tuple(
        Blocked(path, reason, _remedy(path, named, rights)) for path, reason, rights in found.shut
    )
    return Access(found.folders, found.files, blocked, found.shut_count)


def _look(folder: bytes, choice: _Choice) -> _Found:
    found = _Found()
    for above in _way_to(folder):
        if not os.access(above, os.X_OK):
            found.shut_out(above, "may not be entered", "x")
            return found
    stack = [folder]
    while stack:
        stack += sorted(_look_into(stack.pop(), found, choice), reverse=True)
    return found


def _look_into(folder: bytes, found: _Found, choice: _Choice) -> list[bytes]:
    """Look at the files of one folder; the wanted folders in it."""
    below: list[bytes] = []
    try:
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                if choice.wants_folder(entry.name):
                    below.append(entry.path)
            elif choice.has_file(entry):
                found.files += 1
                if not os.access(entry.path, os.R_OK):
                    found.shut_out(entry.path, "may not be read", "r")
    except PermissionError:
        found.shut_out(folder, "may not be listed", "rx")
        return []
    except OSError as error:
        found.shut_out(folder, f"cannot be listed ({error.strerror or error})", "rx")
        return []
    found.folders += 1
    return below


def _entries(folder: bytes) -> Iterator[os.DirEntry[bytes]]:
    with os.scandir(folder) as listing:
        yield from listing


def _way_to(folder: bytes) -> list[bytes]:
    """`/`, and each folder above this one, from the top."""
    names = folder.strip(b"/").split(b"/")
    return [b"/" + b"/".join(names[:depth]) for depth in range(len(names))]


def _as_user(user: str, look: Callable[[], _Found]) -> _Found:
    """Call it in a child process that has only the rights of a user."""
    uid, gid, groups = _ids_of(user)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            with open(writing, "wb") as pipe:
                pipe.write(msgspec.msgpack.encode(look()))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise PermissionError(
            f"the rights of {user} cannot be tried: only root may act as another user"
        )
    return msgspec.msgpack.decode(answer, type=_Found)


def _ids_of(user: str) -> tuple[int, int, list[int]]:
    """The ids of a user, of its group, and of all its groups. Raises KeyError without such a user.

    The group of one without a name is a guess.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        if not user.isdecimal():
            raise
        return int(user), int(user), []
    return account.pw_uid, account.pw_gid, os.getgrouplist(user, account.pw_gid)


def _remedy(path: bytes, user: str, rights: str) -> str:
    mount = mount_of(path, read_mounts())
    if mount is not None and mount.fs_type in _MAKES_UP_MODES:
        point = paths.shell_word(mount.point)
        return f"add umask=022 to the options of {point} in /etc/fstab; mount -o remount {point}"
    if shutil.which("setfacl"):
        return f"setfacl -m u:{user}:{rights} {paths.shell_word(path)}"
    return f"chmod o+{rights} {paths.shell_word(path)}"
