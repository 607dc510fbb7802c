"""A path in an open root -> the file or folder, reached name by name and never out of the root.

Given a whole path, the kernel follows each symbolic link on its way, and any folder of it may be
replaced by a link between a listing and an open. So each name is opened in the folder before it,
which follows no link. Where links are followed, the target of one is compared with the root by
its own descriptor, which cannot be replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, Self

from indexer import paths
from indexer.closable import Closable

_AS_FOUND: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_PATH | os.O_CLOEXEC
_FOLDER: Final = _LOOK | os.O_DIRECTORY | os.O_NOFOLLOW
"""The right to search is enough, as for a whole path. O_DIRECTORY mounts an automount."""

_MAY_BE_LINK: Final = frozenset({errno.ELOOP, errno.ENOTDIR})
NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Nothing has this path now. ELOOP: a symbolic link that is not followed."""

_LEADING_OUT: Final = frozenset({b"", b".", b".."})
_SHORT: Final = 3
"""Bytes; a name of so many is none of these."""
_KEPT: Final = 16
"""Folders held open at once. A guess: a chunk in the order of the disk changes between few, and the
way to a folder is rarely longer."""


class OpenFolders(Closable):
    """The folders of an open root, each kept open once it was asked for. Close it when done.

    A folder that is moved away stays the one that was opened. So code that has to know whether a
    path still leads to a file takes new OpenFolders (rule R3), and none are kept for long.
    """

    __slots__ = ("_follow_links", "_kept", "_own", "_root")

    def __init__(self, root: int, *, follow_links: bool = False, own: bool = False) -> None:
        """`root` is a descriptor; with `own` it is closed at the end.

        With `follow_links`, symbolic links stand for their targets, inside the root only.
        """
        self._root = root
        self._follow_links = follow_links
        self._own = own
        self._kept: dict[bytes, int] = {}

    @classmethod
    def at(cls, root_path: bytes, *, follow_links: bool = False) -> Self:
        """Those of a root that is not open yet. Raises OSError; a symbolic link is no root."""
        return cls(os.open(root_path, _FOLDER), follow_links=follow_links, own=True)

    def close(self) -> None:
        """Close all of them."""
        for folder in self._kept.values():
            os.close(folder)
        self._kept.clear()
        if self._own:
            os.close(self._root)

    def open(self, path: bytes, flags: int) -> int:
        """A descriptor of the file or folder at a path of any length. Raises OSError.

        A link that is not followed is an error (`ELOOP`; `ENOTDIR` with O_DIRECTORY).
        """
        cut = path.rfind(b"/")
        name = path[cut + 1 :]
        folder = self._root if cut < 0 else self._kept.get(path[:cut]) or self.of(path[:cut])
        if self._follow_links or len(name) < _SHORT:
            return _open_name(self._root, folder, name, flags, self._follow_links)
        return os.open(name, flags | _AS_FOUND, dir_fd=folder)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """The status of a path; None when nothing is there. Other errors raise OSError.

        A link is itself, unless it is followed and leads to something in the root.
        """
        cut = path.rfind(b"/")
        name = path[cut + 1 :]
        try:
            folder = self._root if cut < 0 else self._kept.get(path[:cut]) or self.of(path[:cut])
            if len(name) < _SHORT and name in _LEADING_OUT:
                return None
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise
        if self._follow_links and stat.S_ISLNK(status.st_mode):
            return self._behind(folder, name) or status
        return status

    def of(self, folder: bytes) -> int:
        """The descriptor of a folder, valid until another one is asked for. Raises OSError."""
        descriptor = self._kept.get(folder)
        if descriptor is None:
            descriptor = self._opened(folder)
            if len(self._kept) >= _KEPT:
                os.close(self._kept.pop(next(iter(self._kept))))
            self._kept[folder] = descriptor
        return descriptor

    def _opened(self, folder: bytes) -> int:
        """Open a folder, from the one above it where that is open."""
        above, _, name = folder.rpartition(b"/")
        holder = self._kept.get(above)
        if holder is None:
            return open_below(self._root, folder, _FOLDER, follow_links=self._follow_links)
        return _open_name(self._root, holder, name, _FOLDER, self._follow_links)

    def _behind(self, folder: int, name: bytes) -> os.stat_result | None:
        """The target of a link; None where there is none, or it is outside the root."""
        try:
            behind = _open_behind(self._root, folder, name, _LOOK)
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise
        try:
            return os.fstat(behind)
        finally:
            os.close(behind)


class FolderChain(Closable):
    """The way to the folder that was opened last, some of it kept open for the next one.

    A walk goes from a folder to one below it, or beside one on the way; reaching each from the root
    would take as many opens as it is deep. As with OpenFolders, one that is moved away meanwhile
    stays the one that was opened. Close it when done.
    """

    __slots__ = ("_follow_links", "_kept", "_root")

    def __init__(self, root: int, *, follow_links: bool) -> None:
        """`root` is a descriptor; `follow_links` as of OpenFolders."""
        self._root = root
        self._follow_links = follow_links
        self._kept: list[tuple[bytes, int]] = []
        """Folders with their descriptors, each below the one before it."""

    def close(self) -> None:
        """Close all of it."""
        while self._kept:
            os.close(self._kept.pop()[1])

    def open(self, folder: bytes, flags: int) -> int | None:
        """A descriptor of a folder, valid until the next one is opened; None: none is there.

        Raises OSError.
        """
        while self._kept and not folder.startswith(self._kept[-1][0] + b"/"):
            os.close(self._kept.pop()[1])
        place, holder = self._kept[-1] if self._kept else (b"", self._root)
        names = folder[len(place) + bool(place) :].split(b"/")
        try:
            for number, name in enumerate(names, 1):
                own = flags if number == len(names) else _FOLDER
                if folder:
                    deeper = _open_name(self._root, holder, name, own, self._follow_links)
                else:
                    deeper = os.open(b".", own, dir_fd=self._root)
                place, holder = paths.join(place, name), deeper
                self._kept.append((place, deeper))
                if len(self._kept) > _KEPT:
                    os.close(self._kept.pop(0)[1])
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise
        return holder


def open_below(root: int, path: bytes, flags: int, *, follow_links: bool = False) -> int:
    """A descriptor of the file or folder at a path below an open folder. Raises OSError."""
    folder = root
    *above, name = path.split(b"/")
    try:
        for one in above:
            deeper = _open_name(root, folder, one, _FOLDER, follow_links)
            if folder != root:
                os.close(folder)
            folder = deeper
        return _open_name(root, folder, name, flags, follow_links)
    finally:
        if folder != root:
            os.close(folder)


def lstat_at(root_path: bytes, path: bytes, follow_links: bool = False) -> os.stat_result | None:  # noqa: FBT001, FBT002 - as it is passed on
    """The status of a path in a root that is not open; None when nothing is there.

    Raises OSError, also where there is no such root.
    """
    with OpenFolders.at(root_path, follow_links=follow_links) as folders:
        return folders.lstat(path)


def _open_name(root: int, folder: int, name: bytes, flags: int, follow_links: bool) -> int:  # noqa: FBT001 - in the innermost loop
    if name in _LEADING_OUT:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    try:
        return os.open(name, flags | _AS_FOUND, dir_fd=folder)
    except OSError as error:
        if not follow_links or error.errno not in _MAY_BE_LINK:
            raise
    return _open_behind(root, folder, name, flags)


def _open_behind(root: int, folder: int, name: bytes, flags: int) -> int:
    """Open the target of a symbolic link, if it lies in the root.

    Its status is read first: opening a device or a pipe would have side effects.
    """
    look = os.open(name, _LOOK | flags & os.O_DIRECTORY, dir_fd=folder)
    try:
        real, top = os.readlink(_own_link(look)), os.readlink(_own_link(root))
        if not paths.is_below(real, top.rstrip(b"/")):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        if flags & os.O_PATH:
            return os.dup(look)
        return os.open(_own_link(look), flags & ~os.O_NOFOLLOW | os.O_CLOEXEC)
    finally:
        os.close(look)


def _own_link(descriptor: int) -> bytes:
    """A /proc link to an open file of this process: it stays valid when names change."""
    return b"/proc/self/fd/%d" % descriptor
