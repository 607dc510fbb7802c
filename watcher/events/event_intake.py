"""What the watches saw -> events and hints in the debouncer, and stale roots."""

from __future__ import annotations

import os
import time
from typing import Final

from indexer.disk.mounts import has_expired, read_mounts
from indexer.ignore import RULES
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from watcher.debounce.debouncer import Debouncer
from watcher.events.fs_event import FsEvent, FsEventKind, WatchFault, WatchFaultKind
from watcher.events.links import Links
from watcher.events.watch_manager import Observers
from watcher.log import EventLog
from watcher.roots.root import Root
from watcher.roots.root_states import Roots

_STREAMING: Final = 32
"""Turns in a row that saw nothing but writing: a long copy goes on. A guess."""
_STREAMING_PAUSE_S: Final = 0.02
"""Then the next one is put off: the kernel and the inbox make one of a thousand writes. A guess."""


class EventIntake:
    """Drains the observers once in each turn of the loop."""

    def __init__(
        self,
        observers: Observers,
        path_filter: PathFilter,
        links: Links | None,
        debouncer: Debouncer,
        roots: Roots,
        log: EventLog,
    ) -> None:
        """`links` are those below the roots, where links are followed."""
        self._observers = observers
        self._path_filter = path_filter
        self._links = links
        self._debouncer = debouncer
        self._roots = roots
        self._log = log
        self._streaming = 0
        """Turns in a row that saw nothing but writing."""

    def drain(self, now: float) -> None:
        """Take in what the watches saw, and what they may have missed."""
        drained = self._observers.drain()
        if drained.events:
            only_writing = all(one.kind is FsEventKind.WRITING for one in drained.events)
            self._streaming = self._streaming + 1 if only_writing else 0
        for fault in drained.faults:
            root = self._roots.get(fault.root_id)
            if root is not None:
                self._roots.probe_now()  # a root that left is offline before it is scanned
                if not self._is_expiry(root, fault):
                    self._roots.mark_stale(root, str(fault.kind), fault.detail)
        for event in drained.events:
            if self._roots.get(event.root_id) is not None:
                self._offer(event, now)
        for root_id, folder in drained.begun:
            self._debouncer.note_writer(root_id, folder, now)

    def slow_down(self) -> None:
        """Sleep for a moment where nothing but writing has been seen for many turns."""
        if self._streaming > _STREAMING:
            time.sleep(_STREAMING_PAUSE_S)

    def offer_hint(self, hint: Hint, now: float) -> None:
        """Have a place scanned for which there was no event."""
        self._debouncer.offer_hint(hint, now)

    def _is_expiry(self, root: Root, fault: WatchFault) -> bool:
        """Whether an automount was unmounted since no program used it: then nothing changes there.

        Its watches are gone with it; they are armed again when it returns.
        """
        if fault.kind is not WatchFaultKind.UNMOUNTED or not root.is_current:
            return False
        if not has_expired(os.fsencode(fault.detail), read_mounts()):
            return False
        self._log.info("automount expired", root=root.row.name, path=fault.detail)
        return True

    def _offer(self, event: FsEvent, now: float) -> None:
        if event.name is not None and event.name in RULES:
            hint = Hint(event.root_id, event.folder, recursive=True)
            self._debouncer.offer_hint(hint, now)
        elif event.name is not None and self._is_bare_link(event.name):
            self._debouncer.offer_hint(Hint(event.root_id, event.folder, (event.name,)), now)
        else:
            self._debouncer.offer(event, now)

    def _is_bare_link(self, name: bytes) -> bool:
        """Whether this is the name of a link to a folder: there are events of no other such."""
        if self._links is None:
            return False
        return not (self._path_filter.file(name) or self._path_filter.sidecar(name))
