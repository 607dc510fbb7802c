"""One root, held open: all access goes through its descriptor, name by name (`descent`).

A descriptor pins its disk: while it is open, an unmount is refused (or, if lazy, not noticed), so
that no listing can ever be that of the empty folder underneath (rule R8).
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar, TypeVarTuple

from msgspec import Struct

from indexer import paths
from indexer.disk.descent import NOT_THERE, FolderChain, OpenFolders, open_below
from indexer.disk.filesystem import Disk, disk_of, granularity_ns, holds_wal, stamp_fields
from indexer.disk.identity import FOLDER_FLAGS
from indexer.disk.mounts import mount_at, mount_id, read_mounts
from indexer.model import StampFields

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")

_NO_NAME: Final = NOT_THERE | {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
"""Too long, or not in the file system's encoding: no file has such a name."""
_SPECIAL: Final = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class MountPoint(Struct, frozen=True):
    """A folder where a disk is mounted: the root (`b""`), or a mount point below it."""

    folder: bytes
    disk_id: int
    fields: StampFields
    granularity_ns: int
    leases: bool
    """Whether a read lease reveals writers. One that a server grants says nothing of them."""
    device: int | None
    """The `st_dev` of its files; None where files may have another one (Documentation/filesystems/
    overlayfs.rst, "Inode properties")."""
    fd: int
    """Of the folder; held open to pin its disk."""
    fs_type: str


def special_kind(mode: int) -> str | None:
    """The kind of a name that is no file, folder or symbolic link: `a FIFO` and the like."""
    if stat.S_ISREG(mode):
        return None
    return next((words for test, words in _SPECIAL if test(mode)), None)


class Folders(Protocol):
    """Access to many files of a root. Close it when done."""

    def lstat(self, path: bytes, /) -> os.stat_result | None:
        """The status of a path; None when nothing is there. Other errors raise OSError."""

    def __enter__(self) -> Self:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Close them."""


class Tree:
    """A root that is there, with the disk that was accepted. Close it when done.

    `mount_points` has the root first; `offline` are the mount points below whose disk is not
    there, with the reason, and `resting` the automounts that were left alone, since opening them
    would mount them: nothing below either may be judged.

    Its disks answer, or fail. One that may hang is a `Share` of `indexer.roots.share_tree`.
    """

    may_hang = False
    """Whether a call to its disks may wait for ever."""

    def __init__(
        self,
        root_id: int,
        name: str,
        path: bytes,
        mount_points: Sequence[MountPoint],
        offline: Mapping[bytes, str],
        *,
        resting: Iterable[bytes] = (),
        follow_links: bool = False,
        number_of: Callable[[Disk], int] = lambda _disk: 0,
    ) -> None:
        """`follow_links`: symbolic links stand for their targets, inside the root only.

        `number_of` gives the id of a disk that has no mount point here, such as a subvolume. It is
        called once for each; 0 is the id of no disk.
        """
        self.root_id = root_id
        self.name = name
        self.path = path
        self.follow_links = follow_links
        self.offline = dict(offline)
        self._resting = tuple(resting)
        self.mount_points = sorted(mount_points, key=lambda mount_point: mount_point.folder)
        self.fd = self.mount_points[0].fd
        self._folders = [mount_point.folder for mount_point in self.mount_points]
        self._number_of = number_of
        self._disk_ids: dict[int, int] | None = None

    def close(self) -> None:
        """Release its disks."""
        for mount_point in self.mount_points:
            os.close(mount_point.fd)

    def mount_point_of(self, path: bytes) -> MountPoint:
        """The mount point of the disk that holds this path."""
        for index in range(bisect_right(self._folders, path) - 1, -1, -1):
            if paths.is_below(path, self._folders[index]):
                return self.mount_points[index]
        raise KeyError(path)

    def disk_id_of(self, path: bytes, status: os.stat_result) -> int:
        """The disk of a file, by what lstat says of it: within it, an inode is one file (rule R7).

        Not always that of its mount point: a btrfs subvolume below a root is no mount point, but it
        numbers its inodes anew. Raises OSError where the disk is unknown.
        """
        mount_point = self.mount_point_of(path)
        if mount_point.device is None or mount_point.device == status.st_dev:
            return mount_point.disk_id
        return self.disk_id_beyond(path, status.st_dev)

    def disk_id_beyond(self, path: bytes, device: int) -> int:
        """The disk of a file whose `st_dev` is not that of its mount point."""
        if self._disk_ids is None:
            self._disk_ids = {
                mount_point.device: mount_point.disk_id
                for mount_point in self.mount_points
                if mount_point.device is not None
            }
        if device not in self._disk_ids:
            self._disk_ids[device] = self._number_of(self._disk_beyond(path, device))
        return self._disk_ids[device]

    def _disk_beyond(self, path: bytes, device: int) -> Disk:
        """The disk of a file: its folder's, or its own if it is itself a mount point."""
        real = paths.join(self.path, path)
        if self.follow_links:
            real = os.path.realpath(real)
        holder = os.path.dirname(real)
        fd = self.open_folder(holder[len(self.path.rstrip(b"/")) + 1 :])
        if fd is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), holder)
        try:
            if os.fstat(fd).st_dev == device:
                return disk_of(fd, mount_at(mount_id(fd), holder, read_mounts()))
            own = os.open(os.path.basename(real), os.O_PATH | os.O_CLOEXEC, dir_fd=fd)
        finally:
            os.close(fd)
        try:
            return disk_of(own, mount_at(mount_id(own), real, read_mounts()))
        finally:
            os.close(own)

    @property
    def is_whole(self) -> bool:
        """Whether all of its disks are there and open."""
        return not (self.offline or self._resting)

    def is_offline(self, path: bytes) -> bool:
        """Whether a path lies on, or leads to, a disk that is not there or a resting automount."""
        if self.is_whole:
            return False
        places = [path]
        if self.follow_links:
            real = os.path.realpath(paths.join(self.path, path))
            if self._holds(real):
                places.append(real[len(self.path.rstrip(b"/")) + 1 :])
        return any(
            paths.is_below(place, folder)
            for folder in (*self.offline, *self._resting)
            for place in places
        )

    def ask(self, function: Callable[[Tree, *Arguments], Answer], *arguments: *Arguments) -> Answer:
        """The result of a function of this tree, run where its disks may be accessed: here."""
        return function(self, *arguments)

    def each(
        self, function: Callable[[Tree, *Arguments], Iterator[Answer]], *arguments: *Arguments
    ) -> Iterator[Answer]:
        """The same for a function that yields."""
        return function(self, *arguments)

    def folders(self, _paths: Iterable[bytes] = ()) -> Folders:
        """Its folders, for access to many files; close them soon (see `OpenFolders`).

        `_paths` are what will be asked for, where that is known.
        """
        return OpenFolders(self.fd, follow_links=self.follow_links)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """The present status of a path; None when nothing is there. Other errors raise OSError."""
        with self.folders() as folders:
            return folders.lstat(path)

    def open_folder(self, folder: bytes) -> int | None:
        """A descriptor of a folder below the root, never out of it; None: none there."""
        if not folder:
            return os.open(b".", FOLDER_FLAGS, dir_fd=self.fd)
        try:
            return open_below(self.fd, folder, FOLDER_FLAGS, follow_links=self.follow_links)
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise

    def folder_chain(self) -> FolderChain:
        """Its folders, for a walk through them. Close it when done."""
        return FolderChain(self.fd, follow_links=self.follow_links)

    def _holds(self, real: bytes) -> bool:
        return paths.is_below(real, self.path.rstrip(b"/"))

    def may_enter(self, link: bytes) -> bool:
        """Whether a link to a folder is followed: not in a loop, and not out of a linked folder.

        So a file appears at its own path and once for each link to a folder above it; links that
        lead to each other would show it once for each way through them.
        """
        holder = os.path.join(self.path, paths.parent_of(link)).rstrip(b"/")
        if os.path.realpath(holder) != holder:
            return False
        return not paths.is_below(holder, os.path.realpath(os.path.join(self.path, link)))

    def lists(self, path: bytes) -> bool:
        """Whether each name of a path is spelled as its folder lists it.

        On a disk that folds case or accents, a file answers to other spellings of its name as well.
        """
        folder = b""
        with self.folder_chain() as folders:
            for name in path.split(b"/"):
                fd = folders.open(folder, FOLDER_FLAGS)
                if fd is None or not _is_listed(fd, name):
                    return False
                folder = paths.join(folder, name)
        return True


def _is_listed(folder: int, name: bytes) -> bool:
    """Whether an open folder lists a name in exactly this spelling.

    The listing is read only where the folder answers to another spelling as well: it may be long.
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
    """Other spellings for which a disk finds a name if it folds case (FAT, casefold) or accents.

    ZFS with normalization folds accents. None: there is no other way to spell it.
    """
    text = os.fsdecode(name)
    spellings = {text.swapcase()}
    if not text.isascii():
        spellings |= {unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
    return {os.fsencode(spelling) for spelling in spellings - {text}}


def mount_point_at(folder: bytes, fd: int, disk_id: int, fs_type: str) -> MountPoint:
    """A mount point with what its file system can be relied on for (rule R1)."""
    return MountPoint(
        folder=folder,
        disk_id=disk_id,
        fields=stamp_fields(fs_type),
        granularity_ns=granularity_ns(fs_type),
        leases=holds_wal(fs_type),
        device=None if fs_type == "overlay" else os.fstat(fd).st_dev,
        fd=fd,
        fs_type=fs_type,
    )
