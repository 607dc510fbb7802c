"""Reports of the watching threads -> one merged and bounded batch for the daemon's loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from watcher.events.fs_event import FsEvent, FsEventKind, WatchFault

_Found = dict[tuple[bytes, bytes | None], FsEventKind]
_ALL = (b"", None)
_OF_A_NEW_FILE = (
    FsEventKind.CREATED, FsEventKind.WRITING, FsEventKind.ATTRIBUTES, FsEventKind.CLOSED,
)  # fmt: skip
_WHOLE = (FsEventKind.CLOSED, FsEventKind.MOVED_IN)
_MOST_BEGUN = 256
"""Folders; more hardly wait for a moment at once. A guess."""


class Drained(Struct, frozen=True):
    """All reports since the last time: one event a name, one watch fault a root and kind.

    A file that was created and closed, or moved in from outside, has two events, CREATED first: see
    `FolderBuffer.only_new`.
    """

    events: tuple[FsEvent, ...]
    faults: tuple[WatchFault, ...]
    begun: tuple[tuple[int, bytes], ...] = ()
    """Root id and folder in which the last that happened is that a file was created whose name is
    of no interest."""


def merged(known: FsEventKind | None, new: FsEventKind) -> FsEventKind:
    """The one kind for a name of which two events were seen, in this order.

    The later one counts: a file that is written again after it was closed is incomplete. But new
    attributes say nothing of that: Samba sets a file's times after it has closed it.
    """
    return new if known is None or new is not FsEventKind.ATTRIBUTES else known


class Inbox:
    """Several threads put in, one drains.

    `wake` is called from the threads that put in, once until the next `drain`; it must be quick
    and must not fail: a write to an eventfd. A root of which more than `most` names wait becomes
    one hint for all of it (FOLDER_CAME of `b""`), so a loop that is stuck costs no memory.
    """

    def __init__(self, wake: Callable[[], None], most: int) -> None:
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()  # guards all below
        self._arriving = 0
        self._found: dict[int, _Found] = {}
        self._faults: dict[tuple[int, str], WatchFault] = {}
        self._is_woken = False
        self._begun: set[tuple[int, bytes]] = set()
        self._created: set[tuple[int, bytes, bytes | None]] = set()
        """Of the names that were found, those that were created, and only written since, and those
        that were moved in from outside."""

    def sight(self, root_id: int, folder: bytes, name: bytes | None, kind: FsEventKind) -> None:
        """Put an event in. Only `wake_loop` wakes the loop, so that a burst wakes it once."""
        with self._lock:
            self._put_in(root_id, folder, name, kind, begins=kind is FsEventKind.CREATED)

    def sight_arrival(self, root_id: int, folder: bytes, name: bytes) -> None:
        """Put in that a file was renamed to a name, from where nothing is watched."""
        with self._lock:
            self._put_in(root_id, folder, name, FsEventKind.MOVED_IN, begins=True)

    def _put_in(
        self, root_id: int, folder: bytes, name: bytes | None, kind: FsEventKind, *, begins: bool
    ) -> None:
        self._begun.discard((root_id, folder))
        found = self._found.setdefault(root_id, {})
        if found.get(_ALL) is FsEventKind.FOLDER_CAME:
            return
        found[folder, name] = merged(found.get((folder, name)), kind)
        if begins:
            self._created.add((root_id, folder, name))
        elif kind not in _OF_A_NEW_FILE:
            self._created.discard((root_id, folder, name))
        if len(found) > self._most:
            self._found[root_id] = {_ALL: FsEventKind.FOLDER_CAME}
            self._created = {one for one in self._created if one[0] != root_id}

    def sight_beginning(self, root_id: int, folder: bytes) -> None:
        """Put in that a file is created whose name is of no interest: a tagger's temporary file.

        The loop is not woken for it: it matters only to what is due then anyway.
        """
        with self._lock:
            if len(self._begun) < _MOST_BEGUN:
                self._begun.add((root_id, folder))

    def sight_departure(
        self, root_id: int, folder: bytes, name: bytes | None, kind: FsEventKind
    ) -> None:
        """Put in that a name was renamed away, later than it was: newer events of it stay."""
        with self._lock:
            found = self._found.get(root_id, {})
            if found.get((folder, name), FsEventKind.ATTRIBUTES) is not FsEventKind.ATTRIBUTES:
                return
        self.sight(root_id, folder, name, kind)

    @property
    def something_arrives(self) -> bool:
        """Whether a folder that was moved in, in whichever root, is about to be reported."""
        return self._arriving > 0

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """While a folder that was moved in is given watches, and until it was put in."""
        with self._lock:
            self._arriving += 1
        try:
            yield
        finally:
            with self._lock:
                self._arriving -= 1

    def report_fault(self, fault: WatchFault) -> None:
        """Put a watch fault in, and wake the loop. The first of a kind keeps its details."""
        with self._lock:
            self._faults.setdefault((fault.root_id, fault.kind), fault)
        self.wake_loop()

    def wake_loop(self) -> None:
        """Wake the loop if something was put in since it was last woken."""
        with self._lock:
            if self._is_woken or not (self._found or self._faults):
                return
            self._is_woken = True
        self._wake()

    def forget(self, root_id: int) -> None:
        """Drop the events and faults of a root."""
        with self._lock:
            self._found.pop(root_id, None)
            self._begun = {one for one in self._begun if one[0] != root_id}
            self._created = {one for one in self._created if one[0] != root_id}
            for key in [key for key in self._faults if key[0] == root_id]:
                del self._faults[key]

    def drain(self) -> Drained:
        """Take everything out."""
        with self._lock:
            found, self._found = self._found, {}
            faults, self._faults = self._faults, {}
            begun, self._begun = self._begun, set()
            created, self._created = self._created, set()
            self._is_woken = False
        return Drained(
            tuple(
                FsEvent(root_id, folder, name, one)
                for root_id, names in found.items()
                for (folder, name), kind in names.items()
                for one in _events_of(kind, is_new=(root_id, folder, name) in created)
            ),
            tuple(faults.values()),
            tuple(begun),
        )


def _events_of(kind: FsEventKind, *, is_new: bool) -> tuple[FsEventKind, ...]:
    """The events of a name: of a new file that is whole that it was created, too."""
    return (FsEventKind.CREATED, kind) if is_new and kind in _WHOLE else (kind,)
