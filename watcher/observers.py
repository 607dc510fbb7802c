"""All roots that are watched -> one stream of events and doubts, and the proof that it flows."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final

from watcher.health import WatchCounts, WatchFault, WatchFaultKind
from watcher.inbox import Drained, Inbox
from watcher.observer import Observer
from watcher.watches import WatchedRoot

MOST: Final = 16_384
"""Names of one root that may wait to be drained: as many as the kernel's own queue, 4 MB."""


class Observers:
    """The observers of one daemon, an observer a root. To be used by one thread: the loop's.

    `wake` is called from other threads when there is something to drain, once until it is drained
    (then: clear what it set, and `drain`). It must be quick and must not fail.
    After `watch`, `renew` and `arm` the place is to be looked at: what happened there before its
    watches were added is told by nobody.
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
        """Watch a root and all below it; watched before, it is watched anew.

        Whatever cannot be watched is named in the answer, the root itself (`b""`) too, so a root
        that is not there is no error here.
        """
        self._places[root_id] = WatchedRoot(root_id, path, wants_folder, wants_name)
        return self.renew(root_id)

    def renew(self, root_id: int) -> WatchCounts:
        """Give a root a new observer after a doubt. What waited to be drained of it is dropped."""
        self._part(root_id)
        self._inbox.forget(root_id)
        try:
            observer = Observer(self._places[root_id], self._inbox)
        except OSError as error:  # no more descriptors, or not one watch
            self._refused[root_id] = error.errno or errno.EIO
            return self.armed(root_id)
        observer.start()
        self._observers[root_id] = observer
        return self.arm(root_id)

    def arm(self, root_id: int, folder: bytes = b"") -> WatchCounts:
        """Watch a folder and all below it anew: its rights, the limit or the wishes changed."""
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
        """Let a root go."""
        self._part(root_id)
        self._places.pop(root_id, None)
        self._inbox.forget(root_id)

    def drain(self) -> Drained:
        """What was seen since the last time, and the doubts that arose."""
        return self._inbox.drain()

    def alive(self) -> bool:
        """Whether each thread runs; one that died has left a doubt, too."""
        return all(observer.is_alive() for observer in self._observers.values())

    def fence(self, timeout_s: float) -> bool:
        """Wait until all that happened before this call can be drained. Needs no disk.

        False: a root did not answer in time, or still owes the last answer. It is in doubt now.
        """
        deadline = time.monotonic() + timeout_s
        asked = {root_id: one.ask() for root_id, one in self._observers.items()}
        silent = [
            root_id
            for root_id, one in self._observers.items()
            if not (asked[root_id] and one.answered(max(0.0, deadline - time.monotonic())))
        ]
        for root_id in silent:
            self._inbox.doubt(WatchFault(root_id, WatchFaultKind.SILENT, f"for {timeout_s:g} s"))
        return not silent

    def close(self) -> None:
        """End all threads, and give all watches back."""
        for observer in self._observers.values():
            observer.stop()
        for root_id in list(self._places):
            self.unwatch(root_id)

    def _part(self, root_id: int) -> None:
        self._refused.pop(root_id, None)
        observer = self._observers.pop(root_id, None)
        if observer is not None:
            observer.part()
