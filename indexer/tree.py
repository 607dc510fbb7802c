"""One root, held open: every look at it goes through its descriptor.

A descriptor pins its disk: while it is open, an unmount is refused (or, if lazy, not noticed), so
that no listing can ever be that of the empty folder underneath (rule R8).
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disks import Disk, Mount, disk_at, granularity_ns, holds_wal, same_disk, stamp_fields
from indexer.model import StampFields, signed_inode

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NO_NAME: Final = _NOT_THERE | {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
"""Too long, or no text in the file system's encoding: no file bears such a name."""
_SPECIAL: Final = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class Spot(Struct, frozen=True):
    """A folder where a disk begins: the root (`b""`), or a mount point below it."""

    folder: bytes
    disk_id: int
    fields: StampFields
    granularity_ns: int
    leases: bool
    """Whether a read lease tells of writers. A server's answer to one says nothing of them."""
    fd: int
    """Of the folder; held open to pin its disk."""


class Seen(Struct, frozen=True):
    """The disk that stands at a folder now, and the inode of the folder."""

    disk: Disk
    inode: int


def special_kind(mode: int) -> str | None:
    """What a mode says a name is, if no file, folder or symbolic link: `a FIFO` and the like."""
    if stat.S_ISREG(mode):
        return None
    return next((words for test, words in _SPECIAL if test(mode)), None)


def wrong_disk(known: Seen, seen: Seen) -> str | None:
    """Why what stands at a folder is not what was accepted there; None when it is the same."""
    if not same_disk(known.disk, seen.disk):
        return (
            f"another disk stands there ({seen.disk.fs_type}, {seen.disk.identity}; "
            f"accepted was {known.disk.fs_type}, {known.disk.identity})"
        )
    if stamp_fields(seen.disk.fs_type).stable_inodes and known.inode != seen.inode:
        return f"it is another folder of the same disk (inode {seen.inode}, was {known.inode})"
    return None


class Tree:
    """A root that is there, with the disk that was accepted. Close it when done.

    `spots` are where its disks begin, the root first; `offline` are the mount points below whose
    disk is not there, with the reason: nothing below them may be judged.
    """

    def __init__(
        self,
        root_id: int,
        name: str,
        path: bytes,
        spots: Sequence[Spot],
        offline: Mapping[bytes, str],
        *,
        follow_links: bool = False,
    ) -> None:
        """`follow_links`: symbolic links stand for what they lead to, inside the root only."""
        self.root_id = root_id
        self.name = name
        self.path = path
        self.follow_links = follow_links
        self.offline = dict(offline)
        self.spots = sorted(spots, key=lambda spot: spot.folder)
        self.fd = self.spots[0].fd
        self._folders = [spot.folder for spot in self.spots]

    def close(self) -> None:
        """Let its disks go."""
        for spot in self.spots:
            os.close(spot.fd)

    def spot_of(self, path: bytes) -> Spot:
        """Where the disk of this path begins."""
        for index in range(bisect_right(self._folders, path) - 1, -1, -1):
            if paths.is_below(path, self._folders[index]):
                return self.spots[index]
        raise KeyError(path)

    def is_offline(self, path: bytes) -> bool:
        """Whether the path lies on a disk that is not there now, or leads to one."""
        if not self.offline:
            return False
        places = [path]
        if self.follow_links:
            real = os.path.realpath(paths.join(self.path, path))
            if self._holds(real):
                places.append(real[len(self.path.rstrip(b"/")) + 1 :])
        return any(paths.is_below(place, folder) for folder in self.offline for place in places)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """What stands at a path now; None when nothing does. Other trouble is an OSError."""
        try:
            status = os.stat(path, dir_fd=self.fd, follow_symlinks=False)
            return self._behind(path) or status if stat.S_ISLNK(status.st_mode) else status
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            if error.errno != errno.ENAMETOOLONG:
                raise
        return self.lstat_in_folder(path)

    def lstat_in_folder(self, path: bytes) -> os.stat_result | None:
        """The same, but never through a symbolic link, and for paths of any length."""
        parent = self.open_folder(paths.parent_of(path))
        if parent is None:
            return None
        try:
            status = os.stat(paths.name_of(path), dir_fd=parent, follow_symlinks=False)
            return self._behind(path) or status if stat.S_ISLNK(status.st_mode) else status
        except FileNotFoundError:
            return None
        finally:
            os.close(parent)

    def open_folder(self, folder: bytes) -> int | None:
        """A descriptor of a folder below the root, never through a symbolic link; None: none there.

        It goes down name by name, so a path may be longer than the kernel takes at once.
        """
        if not folder:
            return os.open(b".", _FOLDER_FLAGS, dir_fd=self.fd)
        fd = self.fd
        for name in folder.split(b"/"):
            try:
                deeper = self._open_name(name, fd)
            finally:
                if fd != self.fd:
                    os.close(fd)
            if deeper is None:
                return None
            fd = deeper
        return fd

    def _open_name(self, name: bytes, parent: int) -> int | None:
        """A folder in an open folder; a symbolic link only where they are followed."""
        flags = _FOLDER_FLAGS & ~os.O_NOFOLLOW if self.follow_links else _FOLDER_FLAGS
        try:
            fd = os.open(name, flags, dir_fd=parent)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        if self.follow_links and not self._holds(os.readlink(b"/proc/self/fd/%d" % fd)):
            os.close(fd)
            return None
        return fd

    def _behind(self, path: bytes) -> os.stat_result | None:
        """What a symbolic link leads to, if links are followed and it lies in the root."""
        if not self.follow_links:
            return None
        real = os.path.realpath(paths.join(self.path, path))
        if not self._holds(real):
            return None
        try:
            return os.lstat(real)
        except FileNotFoundError:
            return None

    def _holds(self, real: bytes) -> bool:
        return paths.is_below(real, self.path.rstrip(b"/"))

    def may_enter(self, link: bytes) -> bool:
        """Whether a link to a folder is followed: not in a loop, and not out of a linked folder.

        So a file shows at its own place and once for each link to a folder above it; links that
        lead to each other would show it once for each way through them.
        """
        holder = os.path.join(self.path, paths.parent_of(link)).rstrip(b"/")
        if os.path.realpath(holder) != holder:
            return False
        return not paths.is_below(holder, os.path.realpath(os.path.join(self.path, link)))

    def lists(self, path: bytes) -> bool:
        """Whether each name on the way is spelled as its folder lists it, and the last one, too.

        On a disk that folds case or accents, a file answers to names that are not its own.
        """
        folder = b""
        for name in path.split(b"/"):
            fd = self.open_folder(folder)
            if fd is None:
                return False
            try:
                if not _is_listed(fd, name):
                    return False
            finally:
                os.close(fd)
            folder = paths.join(folder, name)
        return True


def _is_listed(folder: int, name: bytes) -> bool:
    """Whether an open folder lists a name just so.

    The listing is asked only where the folder answers to another spelling as well: it may be long.
    """
    if not _stands(folder, name):
        return False
    if not any(_stands(folder, other) for other in _other_spellings(name)):
        return True
    return os.fsdecode(name) in os.listdir(folder)


def _stands(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_NAME:
            return False
        raise
    return True


def _other_spellings(name: bytes) -> set[bytes]:
    """What a disk that folds case (FAT, casefold) or accents (ZFS with normalization) finds it by.

    None: there is no other way to spell it.
    """
    text = os.fsdecode(name)
    spellings = {text.swapcase()}
    if not text.isascii():
        spellings |= {unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
    return {os.fsencode(spelling) for spelling in spellings - {text}}


def open_root(path: bytes) -> int:
    """A descriptor of a root folder. Raises RootOffline where it cannot be opened."""
    try:
        return os.open(path, _FOLDER_FLAGS)
    except OSError as error:
        raise _offline(path, "cannot be opened", error) from error


def seen_at(fd: int, path: bytes, mounts: Sequence[Mount]) -> Seen:
    """The identity of what stands at an open folder. Raises RootOffline where it cannot be told."""
    try:
        return Seen(disk_at(path, mounts), signed_inode(os.fstat(fd).st_ino))
    except OSError as error:
        raise _offline(path, "does not answer", error) from error


def _offline(path: bytes, what: str, error: OSError) -> errors.RootOffline:
    return errors.RootOffline(
        f"{os.fsdecode(path)} {what} ({error.strerror}); "
        "mount its disk, or see to its rights, and try again"
    )


def spot_at(folder: bytes, fd: int, disk_id: int, fs_type: str) -> Spot:
    """A spot with what its file system can be trusted with (rule R1)."""
    return Spot(
        folder=folder,
        disk_id=disk_id,
        fields=stamp_fields(fs_type),
        granularity_ns=granularity_ns(fs_type),
        leases=holds_wal(fs_type),
        fd=fd,
    )
