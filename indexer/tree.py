"""One root, held open: every look at it goes through its descriptor, name by name (`descent`).

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
from indexer.descent import NOT_THERE, OpenFolders, open_below
from indexer.disks import Disk, Mount, disk_at, granularity_ns, holds_wal, same_disk, stamp_fields
from indexer.model import StampFields, signed_inode

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_NAME: Final = NOT_THERE | {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
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

    def folders(self) -> OpenFolders:
        """Its folders, to look at many files by; close it soon, as it says itself."""
        return OpenFolders(self.fd, follow_links=self.follow_links)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """What stands at a path now; None when nothing does. Other trouble is an OSError."""
        with self.folders() as folders:
            return folders.lstat(path)

    def open_folder(self, folder: bytes) -> int | None:
        """A descriptor of a folder below the root, never out of it; None: none there."""
        if not folder:
            return os.open(b".", _FOLDER_FLAGS, dir_fd=self.fd)
        try:
            return open_below(self.fd, folder, _FOLDER_FLAGS, follow_links=self.follow_links)
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise

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
