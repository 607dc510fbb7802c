"""Roots -> the observers that watch them, compared with the folders that a scan has listed."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from indexer import paths
from indexer.ignore import RULES
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.store.roots import RootRow
from watcher.events.fs_event import WatchCounts, WatchFault, WatchFaultKind
from watcher.events.inbox import Drained, Inbox
from watcher.events.links import Links
from watcher.events.observer import Observer
from watcher.events.watches import DENIED, WatchedRoot
from watcher.roots.root import Root


class WatchManager:
    """Makes sure that each folder of a root is watched, or known not to be."""

    def __init__(
        self,
        observers: Observers,
        path_filter: PathFilter,
        keep_alive: Callable[[], None],
        links: Links | None = None,
    ) -> None:
        """`keep_alive` is called for each folder that is considered, from whichever thread does so.

        With `links`, names of symbolic links are wanted, too: they may lead to folders.
        """
        self.links = links
        self._observers = observers
        self._keep_alive = keep_alive
        self._path_filter = path_filter
        self._shares: dict[int, frozenset[bytes]] = {}
        """By a root's id: the folders in it where a file system begins that may hang. Never changed
        in place: other threads read it."""

    def arm(self, root: Root) -> None:
        """Watch all of a root anew; of a polled one nothing is watched. Its links are learned."""
        if root.is_polled:
            self._observers.unwatch(root.row.id)
        else:
            self._shares[root.row.id] = root.shares()
            root.armed = self._observers.watch(
                root.row.id,
                root.row.path,
                wants_folder=partial(self._wants_folder, root.row.id),
                wants_name=partial(self._wants_name, root.row),
            )
        if self.links is not None:
            self.links.find_links(root.row.path, Hint(root.row.id, recursive=True))

    def _wants_folder(self, root_id: int, folder: bytes) -> bool:
        """Whether to watch a folder: not one that a server has to answer for, which may hang."""
        self._keep_alive()
        below_share = any(paths.is_below(folder, one) for one in self._shares[root_id])
        return not below_share and self._path_filter.folders(folder)

    def _wants_name(self, root: RootRow, folder: bytes, name: bytes) -> bool:
        if name in RULES or self._path_filter.file(name) or self._path_filter.sidecar(name):
            return True
        path = paths.join(root.path, paths.join(folder, name))
        return self.links is not None and self.links.is_link(root.id, path)

    def mend(self, root: Root, listed: set[bytes]) -> Iterator[bytes]:
        """Watch folders that were listed and are not watched; these must be scanned again.

        Not those for which no watch was available. But a folder that was refused for its rights and
        could be listed has them now: the rights of folders above the root change without an event.
        """
        if root.is_polled or not root.is_there or b"" in root.armed.unwatched:
            return
        watched = self._observers.watched_folders(root.row.id)
        missed = {one for one, error in root.armed.unwatched.items() if error not in DENIED}
        for folder in sorted(listed - watched - missed):
            if not self._wants_folder(root.row.id, folder):
                continue
            root.armed = self._observers.arm(root.row.id, folder)
            yield folder

    def count(self, roots: Iterable[Root]) -> None:
        """Update how many folders are watched: new ones were watched at once."""
        for root in roots:
            if root.is_current and root.armed.watched:
                root.armed = self._observers.armed(root.row.id)


MOST: Final = 16_384
"""Names of one root that may wait to be drained: as many as the kernel's own queue, 4 MB."""


class Observers:
    """The observers of one daemon, an observer a root. To be used by one thread: the loop's.

    `wake` is called from other threads when there is something to drain, once until it is drained
    (then: clear what it set, and `drain`). It must be quick and must not fail.
    After `watch`, `renew` and `arm` the folder must be scanned: no event reports what happened
    there before its watches were added.
    """

    def __init__(self, wake: Callable[[], None], *, most: int = MOST) -> None:
        self._inbox = Inbox(wake, most)
        self._places: dict[int, WatchedRoot] = {}
        self._observers: dict[int, Observer] = {}
        self._refused: dict[int, int] = {}

    def watch(
        self,
        root_id: int,
        path: bytes,
        *,
        wants_folder: Callable[[bytes], bool],
        wants_name: Callable[[bytes, bytes], bool],
    ) -> WatchCounts:
        """Watch a root and all below it; if it was watched before, it is watched anew.

        Whatever cannot be watched is named in the result, the root itself (`b""`) too, so a root
        that is not there is no error here.
        """
        self._places[root_id] = WatchedRoot(root_id, path, wants_folder, wants_name)
        return self.renew(root_id)

    def renew(self, root_id: int) -> WatchCounts:
        """Give a root a new observer after a watch fault. Its events in the inbox are dropped."""
        self._part(root_id)
        self._inbox.forget(root_id)
        try:
            observer = Observer(self._places[root_id], self._inbox)
            observer.start()
        except OSError as error:  # no more descriptors or threads, or no watch at all
            self._refused[root_id] = error.errno or errno.EIO
            return self.armed(root_id)
        self._observers[root_id] = observer
        return self.arm(root_id)

    def arm(self, root_id: int, folder: bytes = b"") -> WatchCounts:
        """Watch a folder and all below it anew: its rights, the limit or the filter changed."""
        observer = self._observers.get(root_id)
        if observer is not None:
            observer.watches.drop(folder)
            if not observer.watches.arm(folder) and not folder:
                self._refused[root_id] = errno.ENOENT
        return self.armed(root_id)

    def armed(self, root_id: int) -> WatchCounts:
        """What is watched of a root now, and what is not; new folders may have changed it."""
        refused = self._refused.get(root_id)
        if refused is not None:
            return WatchCounts(0, {b"": refused})
        return self._observers[root_id].watches.armed()

    def watched_folders(self, root_id: int) -> set[bytes]:
        """The folders of a root that are watched: the set, to be compared with the disk's."""
        observer = self._observers.get(root_id)
        return set() if observer is None else observer.watches.folders()

    def unwatch(self, root_id: int) -> None:
        """Stop watching a root."""
        self._part(root_id)
        self._places.pop(root_id, None)
        self._inbox.forget(root_id)

    def drain(self) -> Drained:
        """The events since the last time, and the watch faults."""
        return self._inbox.drain()

    def alive(self) -> bool:
        """Whether each thread runs; one that died has left a watch fault, too."""
        return all(observer.is_alive() for observer in self._observers.values())

    def fence(self, timeout_s: float) -> bool:
        """Wait until all that happened before this call can be drained. Needs no disk.

        False: a root did not answer in time, or has not answered the last call. It has a fault now.
        """
        deadline = time.monotonic() + timeout_s
        asked = {root_id: one.ask() for root_id, one in self._observers.items()}
        silent = [
            root_id
            for root_id, one in self._observers.items()
            if not (asked[root_id] and one.answered(max(0.0, deadline - time.monotonic())))
        ]
        for root_id in silent:
            self._inbox.report_fault(
                WatchFault(root_id, WatchFaultKind.SILENT, f"for {timeout_s:g} s")
            )
        return not silent

    def close(self) -> None:
        """End all threads, and remove all watches."""
        for observer in self._observers.values():
            observer.stop()
        for root_id in list(self._places):
            self.unwatch(root_id)

    def _part(self, root_id: int) -> None:
        self._refused.pop(root_id, None)
        observer = self._observers.pop(root_id, None)
        if observer is not None:
            observer.part()
