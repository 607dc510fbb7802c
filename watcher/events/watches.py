"""The folders of a root -> a watch on each wanted one, and the names of those without one."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.closable import Closable
from indexer.disk.descent import NOT_THERE, FolderChain, OpenFolders
from watcher.events.folders import Folders
from watcher.events.fs_event import WatchCounts

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DENIED: Final = (errno.EACCES, errno.EPERM)
"""A folder, or one above it, has not the rights that a watch needs: rights may be given back."""


class WatchedRoot(Struct, frozen=True):
    """A root to watch, with its filters. Both are called from two threads."""

    root_id: int
    path: bytes
    wants_folder: Callable[[bytes], bool]
    """Whether to enter a folder, by its path in the root."""
    wants_name: Callable[[bytes, bytes], bool]
    """Whether to report a file, by the path of its folder and its name."""

    def path_of(self, folder: bytes) -> bytes:
        """The absolute path of a folder of the root."""
        return paths.join(self.path, folder) if folder else self.path


class Watches:
    """The watches of one root on one inotify descriptor. Safe for threads.

    `add` puts a watch on a path and returns its number, which is the same for the same folder, or
    raises an OSError; it does not follow a link that is the last name. `remove` removes one, which
    may be gone already. While `going` is false nothing is armed.

    A watch is added first, and its folder listed afterwards: a folder that is created meanwhile is
    in the listing or in the queue. The caller of `arm` must have the folder scanned when it is
    done, since no event reports what happened there before its watch was added.
    """

    def __init__(
        self,
        place: WatchedRoot,
        add: Callable[[bytes], int],
        remove: Callable[[int], None],
        going: Callable[[], bool],
    ) -> None:
        self._place = place
        self._add = add
        self._remove = remove
        self._going = going
        self._lock = threading.Lock()  # guards the three below; never held while a disk is asked
        self._folders = Folders()
        self._unwatched: dict[bytes, int] = {}
        self._taken = 0  # how often watches were removed

    def armed(self) -> WatchCounts:
        """How many folders are watched now, and which are not."""
        with self._lock:
            return WatchCounts(len(self._folders), dict(self._unwatched))

    def folders(self) -> set[bytes]:
        """The folders that are watched now."""
        with self._lock:
            return set(self._folders)

    def folder_of(self, watch: int) -> bytes | None:
        """The folder of a watch; None for one that was dropped, whose events are ignored."""
        with self._lock:
            return self._folders.folder_of(watch)

    def missed_at(self, folder: bytes) -> list[bytes]:
        """What may be watched once the rights of a folder have changed, the topmost folders of it.

        It itself, whatever it was that kept it from being watched; and what was refused for its
        rights below it: without a right to a folder, nothing that comes in it can be watched.
        """
        with self._lock:
            missed = sorted(
                path
                for path, error in self._unwatched.items()
                if path == folder or (error in DENIED and paths.is_below(path, folder))
            )
        topmost: list[bytes] = []
        for path in missed:
            if not any(paths.is_below(path, above) for above in topmost):
                topmost.append(path)
        return topmost

    def forget(self, watch: int) -> None:
        """Note that a watch was removed, whether its folder is known here or not."""
        with self._lock:
            self._taken += 1
            self._folders.forget(watch)

    def drop(self, folder: bytes) -> None:
        """Remove the watches of a folder and all below it."""
        with self._lock:
            self._taken += 1  # a watch that is being added below it is not its folder's any more
            self._drop(folder)

    def arm(self, top: bytes) -> bool:
        """Watch a folder and all wanted ones below it; False: there is no such folder now.

        One that is watched already is left alone: the thread that added it continues below it.
        """
        try:
            root = os.open(self._place.path, _FOLDER)
        except OSError as error:
            if error.errno not in NOT_THERE:
                self._miss(top, error)
            return error.errno not in NOT_THERE
        try:
            return self._arm(root, top)
        finally:
            os.close(root)

    def _arm(self, root: int, top: bytes) -> bool:
        there = True
        pending = [top]
        with _Way(root, lambda: self._taken) as way:
            while pending and self._going():
                folder = pending.pop()
                try:
                    goes_on = self._watch(way, folder)
                except OSError as error:
                    if error.errno in NOT_THERE:
                        there = there and folder != top
                        continue
                    self._miss(folder, error)
                    goes_on = error.errno == errno.ENOSPC  # those below must be named as well
                if goes_on:
                    pending += self._subfolders(way, folder)
        return there

    def _watch(self, way: _Way, folder: bytes) -> bool:
        """Add one watch; False if it is there already. Raises the kernel's error.

        The number that comes back may be that of a watch which the other thread removes at this
        moment, since the folder has moved. So nothing is noted if any was removed meanwhile; and
        for the same reason it is then reached anew from the root.
        """
        while True:
            taken = self._taken
            watch = self._add_below(way, folder)
            with self._lock:
                if self._taken != taken:
                    continue
                known = self._folders.folder_of(watch)
                if known == folder:
                    return False
                if known is None:
                    self._drop(folder)  # another folder was here
                    self._folders.put(folder, watch)
                    return True
            if _same_folder(way.root, folder, known):
                raise OSError(
                    errno.EEXIST, "it is watched at another path, as a bind mount", folder
                )
            self.drop(known)  # it was moved here, and the event for that has not come yet

    def _add_below(self, way: _Way, folder: bytes) -> int:
        """Watch a folder of an open root. No name of its path can be replaced by a link."""
        above, _, name = folder.rpartition(b"/")
        holder = way.open(above, _FOLDER) if above else way.root
        return self._add(b"/proc/self/fd/%d/%s" % (holder, name or b"."))

    def _drop(self, folder: bytes) -> None:
        for watch in self._folders.cut(folder):
            self._taken += 1
            self._remove(watch)
        for missed in [path for path in self._unwatched if paths.is_below(path, folder)]:
            del self._unwatched[missed]

    def _subfolders(self, way: _Way, folder: bytes) -> list[bytes]:
        """The wanted folders in a folder."""
        try:
            descriptor = way.open(folder, _LIST)
            with os.scandir(descriptor) as entries:
                below = [
                    paths.join(folder, os.fsencode(entry.name))
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                ]
        except OSError as error:
            if error.errno not in NOT_THERE:
                self._miss(folder, error)
            return []
        return [path for path in below if self._place.wants_folder(path)]

    def _miss(self, folder: bytes, error: OSError) -> None:
        with self._lock:
            self._unwatched[folder] = error.errno or errno.EIO


class _Way(Closable):
    """The way to the folder that is armed, which is kept for the next one, below it or beside it.

    It is kept as long as no watch was removed, by the count `taken`. A folder on it that has moved
    away meanwhile is the one that was opened; the event of that is to come, and removes the watches
    that were added below it.
    """

    def __init__(self, root: int, taken: Callable[[], int]) -> None:
        self.root = root
        self._taken = taken
        self._kept_at = taken()
        self._chain = FolderChain(root, follow_links=False)

    def close(self) -> None:
        """Close all of it but the root."""
        self._chain.close()

    def open(self, folder: bytes, flags: int) -> int:
        """A descriptor of a folder, valid until the next one is opened. Raises OSError."""
        taken = self._taken()
        if taken != self._kept_at:
            self._chain.close()
            self._kept_at = taken
        descriptor = self._chain.open(folder, flags)
        if descriptor is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        return descriptor


def _same_folder(root: int, one: bytes, other: bytes) -> bool:
    """Whether two paths lead to one folder at this moment."""
    with OpenFolders(root) as folders:
        first, second = (folders.lstat(path) if path else os.fstat(root) for path in (one, other))
    return first is not None and second is not None and os.path.samestat(first, second)
