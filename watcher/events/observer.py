"""inotify events of one root -> events of what changed there, and faults of the watching itself.

Of watchdog 7.1 only the lowest layer is used: `InotifyFD`, the thread that reads and parses what
the kernel queued, and its bindings. The defects that we know of are in the layers above it, which
would also cost two more threads and a second table of all watches. `InotifyWatchGroup` silently
drops watches that cannot be added, follows and renames stale ones, rebuilds itself after an
overflow without a report, and delays the events after a move-out by 0.5 s. `InotifyEmitter`
requests more events than its filter says. `InotifyFD` has a table of its own, which takes a watch
that was refused for a valid one and warns with the repr of all the others; it stays empty here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from contextlib import nullcontext
from typing import Final

from msgspec import Struct
from watchdog.observers.inotify_c import (
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
    inotify_add_watch,
    inotify_rm_watch,
)

from indexer import paths
from watcher.events.fs_event import FsEventKind, WatchFault, WatchFaultKind
from watcher.events.inbox import Inbox
from watcher.events.watches import WatchedRoot, Watches

_WENT: Final = Mask(InotifyConstants.IN_MOVED_FROM | InotifyConstants.IN_DELETE)
_LEFT: Final = Mask(InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF)
_ENDED: Final = Mask(InotifyConstants.IN_UNMOUNT | InotifyConstants.IN_IGNORED)

_KINDS: Final = {
    InotifyConstants.IN_CREATE: FsEventKind.CREATED,
    InotifyConstants.IN_MODIFY: FsEventKind.WRITING,
    InotifyConstants.IN_CLOSE_WRITE: FsEventKind.CLOSED,
    InotifyConstants.IN_MOVED_TO: FsEventKind.MOVED_IN,
    InotifyConstants.IN_ATTRIB: FsEventKind.ATTRIBUTES,
    InotifyConstants.IN_MOVED_FROM: FsEventKind.GONE,
    InotifyConstants.IN_DELETE: FsEventKind.GONE,
}
"""The kernel's events of a file, one bit each (inotify(7))."""

FOLDER_MASK: Final = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DELETE
    | _LEFT
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
)
"""Never opens, reads, or closes without writing: listing a folder would raise them."""

PARTNER_S: Final = 0.05
"""How long the second event of a rename is waited for (the kernel queues the two one after the
other, but its thread can be interrupted in between, and each root has a queue of its own). A guess,
and what a file that leaves all roots is reported later by."""
ARRIVAL_S: Final = 5.0
"""How long a departure waits for another root that is adding watches to a folder that was moved in,
which may be this one. A guess: 100 000 folders."""
_ARRIVAL_PAUSE_S: Final = 0.02

PARTING_S: Final = 1.0
"""How long to wait for an observer that was stopped: a disk that hangs may block it."""


class _Departure(Struct, gc=False):
    """A name that was renamed away (IN_MOVED_FROM): the first event of the two of a rename."""

    folder: bytes
    name: bytes | None
    kind: FsEventKind
    since: float

    def due_at(self, *, something_arrives: bool) -> float:
        """When it is reported, though its second event has not come."""
        return self.since + (ARRIVAL_S if something_arrives else PARTNER_S)


class Observer(InotifyFD):
    """One root's watches, and the thread that reads their events.

    A name that was renamed away is reported after its new name: if it came first, a look at it
    could find its file nowhere and call it missing (rule R6). The second event of a rename may come
    late, and a large folder needs many watches before it can be reported.

    The root has a descriptor of its own: it overflows, dies and is renewed alone. Watches are
    added by two threads, the loop's (`watches.arm`) and this one, when folders are created.
    """

    def __init__(self, place: WatchedRoot, inbox: Inbox) -> None:
        """Raises OSError where there is no free descriptor, or not one watch."""
        super().__init__()
        self.name = f"observer-{place.root_id}"
        os.set_inheritable(self._inotify_fd, False)  # noqa: FBT003 - watchdog leaves it to children
        self.watches = Watches(place, self._add, self._remove, self.should_keep_running)
        self._place = place
        self._inbox = inbox
        self._answered = threading.Event()
        self._answered.set()
        self._departures: dict[int, _Departure] = {}
        """By the cookie that the two events of a rename have in common."""
        self._last_unwanted: int | None = None
        """The cookie of the last unwanted name that was renamed away: a tagger's temporary file."""
        self._asked_after: set[int] | None = None
        """What had departed before the last check that the thread works, and is not reported."""
        self._fence = os.memfd_create("fence")
        try:
            path = b"/proc/self/fd/%d" % self._fence
            self._fence_watch = self._add(path, InotifyConstants.IN_ATTRIB)
        except OSError:
            self._close_resources()
            raise

    # The thread

    def start(self) -> None:
        """Begin. Raises OSError where the system allows no further thread."""
        try:
            super().start()
        except RuntimeError as error:
            self._close_resources()
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error

    def run(self) -> None:
        """Report events until it is stopped. An error ends it too, and is a watch fault."""
        try:
            while self.should_keep_running():
                self._read_once()
        except BaseException as error:
            self._is_reading = False  # or `close` would leave the descriptors to this thread
            self._report_fault(WatchFaultKind.DEAD, repr(error))
            raise
        self.close()

    def _read_once(self) -> None:
        """Wait for events or until a departure is due, and take in all that one read returns."""
        if self._has_events():
            events = self.read_events()
            if not events and self.should_keep_running():  # watchdog would ask again, without end
                raise OSError(errno.EBADF, "the inotify descriptor was closed")
            for event in events:
                self.handle_event(event)
        self._report_departures()
        self._inbox.wake_loop()

    def _has_events(self) -> bool:
        """Wait for as long as no departure is due; whether there is something to read."""
        first = next(iter(self._departures.values()), None)
        if first is None:
            return True  # as soon as the read returns
        wait_s = first.due_at(something_arrives=False) - time.monotonic()
        if wait_s <= 0 and self._inbox.something_arrives:
            wait_s = _ARRIVAL_PAUSE_S
        return bool(self._poller.poll(max(wait_s, 0.0) * 1000)) if self._poller else True

    def _report_departures(self) -> None:
        """Report what was renamed away long enough ago."""
        now = time.monotonic()
        something_arrives = self._inbox.something_arrives
        for cookie, one in list(self._departures.items()):
            if one.due_at(something_arrives=something_arrives) > now:
                break
            self._report_departure(cookie)
        if self._asked_after is not None:
            self._asked_after &= self._departures.keys()
            if not self._asked_after:
                self._asked_after = None
                self._answered.set()

    def _report_departure(self, cookie: int) -> None:
        one = self._departures.pop(cookie, None)
        if one is not None:
            self._inbox.sight_departure(self._place.root_id, one.folder, one.name, one.kind)

    def _depart(self, cookie: int, folder: bytes, name: bytes | None, kind: FsEventKind) -> None:
        self._departures[cookie] = _Departure(folder, name, kind, time.monotonic())

    def on_thread_stop(self) -> None:
        """Wake the thread. It closes its descriptors itself, when it no longer needs them."""
        with self._lock:
            if not self._closed:
                os.write(self._kill_w, b"!")

    def part(self) -> None:
        """Stop, and wait up to a limit until the watches are removed."""
        self.stop()
        self.join(PARTING_S)
        if not self.is_alive():
            self.close()

    def _close_resources(self) -> None:
        super()._close_resources()
        os.close(self._fence)

    # Check that the thread works

    def ask(self) -> bool:
        """Send an event through the whole chain; False if the last one never came.

        A change of times of a file in memory: no disk is written for it, and it keeps its watch
        when no more are available.
        """
        if not (self.is_alive() and self._answered.is_set()):
            return False
        self._answered.clear()
        os.utime(self._fence)
        return True

    def answered(self, timeout_s: float) -> bool:
        """Whether the event that was sent has come, and so all that was queued before it."""
        return self._answered.wait(timeout_s)

    # Events

    def handle_event(self, event: InotifyEvent) -> None:
        """Take in one kernel event: it becomes events, faults, and watches for new folders."""
        mask = event.mask
        folder = self.watches.folder_of(event.wd)
        if folder is None:
            if event.wd == self._fence_watch:
                self._asked_after = set(self._departures)
            elif mask & InotifyConstants.IN_Q_OVERFLOW:
                self._report_fault(
                    WatchFaultKind.OVERFLOW, "more events than the kernel's queue holds"
                )
            elif mask & InotifyConstants.IN_IGNORED:
                self.watches.forget(event.wd)
        elif not event.name:
            self._take_self(event.wd, folder, mask)
        elif mask & InotifyConstants.IN_ISDIR:
            self._take_folder(paths.join(folder, event.name), mask, event.cookie)
        else:
            self._take_file(folder, event)
        if mask & InotifyConstants.IN_MOVED_TO:
            self._report_departure(event.cookie)

    def _take_file(self, folder: bytes, event: InotifyEvent) -> None:
        """Something happened to a file, reported by the watch of its folder."""
        mask = event.mask
        if self._place.wants_name(folder, event.name):
            kind = _KINDS[Mask(mask & InotifyConstants.IN_ALL_EVENTS)]
            if mask & InotifyConstants.IN_MOVED_FROM:
                self._depart(event.cookie, folder, event.name, kind)
            elif mask & InotifyConstants.IN_MOVED_TO and not self._is_renamed_here(event.cookie):
                self._inbox.sight_arrival(self._place.root_id, folder, event.name)
            else:
                self._inbox.sight(self._place.root_id, folder, event.name, kind)
        elif mask & InotifyConstants.IN_CREATE:
            self._inbox.sight_beginning(self._place.root_id, folder)
        elif mask & InotifyConstants.IN_MOVED_FROM:
            self._last_unwanted = event.cookie

    def _is_renamed_here(self, cookie: int) -> bool:
        """Whether the old name of a rename was in a watched folder, too.

        Of an unwanted name, the two events follow each other, but for those of other renames at
        that moment. One that is missed costs a short wait, no event.
        """
        return cookie in self._departures or cookie == self._last_unwanted

    def _take_self(self, watch: WatchDescriptor, folder: bytes, mask: int) -> None:
        """Something happened to a watched folder itself, reported by its own watch."""
        if mask & InotifyConstants.IN_ATTRIB:
            self._take_rights(folder)
        elif mask & _ENDED:
            self.watches.forget(watch)
            unmounted = mask & InotifyConstants.IN_UNMOUNT
            kind = WatchFaultKind.UNMOUNTED if unmounted else WatchFaultKind.DROPPED
            self._report_fault(kind, os.fsdecode(self._place.path_of(folder)))
        elif folder:
            self._look_again(folder, anew=True)
        else:
            self.watches.drop(folder)
            self._report_fault(WatchFaultKind.ROOT_LEFT, os.fsdecode(self._place.path))

    def _take_folder(self, folder: bytes, mask: int, cookie: int) -> None:
        """Something happened to a folder, reported by the watch of its parent."""
        moved_in = mask & InotifyConstants.IN_MOVED_TO
        with self._inbox.arriving() if moved_in else nullcontext():
            if not self._place.wants_folder(folder):
                return
            if mask & InotifyConstants.IN_ATTRIB:
                self._take_rights(folder)
            elif mask & InotifyConstants.IN_MOVED_FROM:
                self._depart(cookie, folder, None, self._renew(folder, anew=True))
            else:  # it was created or moved in, or removed
                self._look_again(folder, anew=bool(mask & _WENT))

    def _take_rights(self, folder: bytes) -> None:
        """The rights of a folder may have changed: it, or what is below it, can perhaps be watched.

        A folder that was created below it while it had no rights was reported by its watch, and
        could not be watched; no other event reports it.
        """
        for missed in self.watches.missed_at(folder):
            self._look_again(missed, anew=True)
        self._sight(folder, FsEventKind.ATTRIBUTES)

    def _look_again(self, folder: bytes, *, anew: bool) -> None:
        """Check what is at a folder's path now; the event is old, and others may follow it."""
        self._sight(folder, self._renew(folder, anew=anew))

    def _renew(self, folder: bytes, *, anew: bool) -> FsEventKind:
        """Add the watches of what is at a folder's path now; what that is.

        `anew` first removes the watches of it and of the folders below it. (When two folders are
        swapped, the second one is reported as gone from a path that the first one already has.)
        """
        if anew:
            self.watches.drop(folder)
        self._inbox.wake_loop()  # report earlier events first: a large folder takes long
        there = self.watches.arm(folder)
        return FsEventKind.FOLDER_CAME if there else FsEventKind.FOLDER_WENT

    def _sight(self, folder: bytes, kind: FsEventKind) -> None:
        self._inbox.sight(self._place.root_id, folder, None, kind)

    def _report_fault(self, kind: WatchFaultKind, detail: str) -> None:
        self._inbox.report_fault(WatchFault(self._place.root_id, kind, detail))

    # What watchdog binds

    def _add(self, path: bytes, mask: Mask = FOLDER_MASK) -> WatchDescriptor:
        watch = inotify_add_watch(self._inotify_fd, path, mask)
        if watch == -1:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)
        return watch

    def _remove(self, watch: int) -> None:
        inotify_rm_watch(self._inotify_fd, WatchDescriptor(watch))  # it may be gone already
