"""One root: its state, and what the last check of its disks and its watches told of it.

The state is one enum with one pure transition function.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum, StrEnum, auto

from msgspec import Struct

from indexer import paths
from indexer.disk import filesystem
from indexer.disk.mounts import Mount, can_hang, mounts_below, read_mounts
from indexer.store.roots import MountRow, RootRow
from watcher.events.fs_event import WatchCounts


class RootState(StrEnum):
    """The state of a root; the values are what `indexer status` shows."""

    OFFLINE = "offline"
    """Its disk is not there, or another one is: no row changes."""
    STALE = "stale"
    """Changes may have been missed: its watches and then a scan are due. Shown as `scanning`."""
    SCANNING = "scanning"
    WATCHING = "watching"
    """Watches armed, and a scan that began after they were is committed."""
    POLLING = "polling"
    """The same, where the kernel reports no changes: it is polled."""

    @property
    def shown(self) -> str:
        """The value for users."""
        return RootState.SCANNING.value if self is RootState.STALE else self.value


_CURRENT = (RootState.WATCHING, RootState.POLLING)


class RootEvent(Enum):
    """An event of a root."""

    LOST = auto()
    """Its disk is gone, or is another one."""
    FOUND = auto()
    """The accepted disk is there."""
    MISSED = auto()
    """Events were lost, or may have been."""
    SCAN_BEGAN = auto()
    SCAN_DONE = auto()


def next_state(state: RootState, event: RootEvent, *, polled: bool = False) -> RootState:
    """The state after an event.

    Lost events win: a scan during which they were lost proves nothing when it is done (rule R10).
    """
    if event is RootEvent.LOST:
        return RootState.OFFLINE
    if state is RootState.OFFLINE:
        return RootState.STALE if event is RootEvent.FOUND else state
    if event is RootEvent.MISSED:
        return RootState.STALE
    if event is RootEvent.SCAN_BEGAN and state is RootState.STALE:
        return RootState.SCANNING
    if event is RootEvent.SCAN_DONE and state is RootState.SCANNING:
        return RootState.POLLING if polled else RootState.WATCHING
    return state


class RootCheck(Struct, frozen=True):
    """The result of one check of the disks, for one root."""

    row: RootRow
    mounts: tuple[MountRow, ...]
    """The disks that are accepted at it (the first) and below it."""
    offline: str | None = None
    """Why it is not there, and what to do."""
    away: Mapping[bytes, str] = {}
    """The same for mount points below it, by their folder."""
    automounts: Mapping[bytes, Mount | None] = {}
    """Automounts, by their folder (`b""` is the root): what is mounted there now; None where it has
    expired."""

    @property
    def is_whole(self) -> bool:
        """Whether it is there with all its disks, of which none has expired."""
        return not (self.offline or self.away or None in self.automounts.values())

    def has_expired(self, path: bytes) -> bool:
        """Whether a path in the root lies behind an automount that has expired."""
        return any(
            mount is None and paths.is_below(path, folder)
            for folder, mount in self.automounts.items()
        )

    def returned_since(self, before: RootCheck) -> list[bytes]:
        """Automounts at which something was mounted since, or mounted again."""
        return [
            folder
            for folder, mount in self.automounts.items()
            if mount is not None and mount != before.automounts.get(folder)
        ]


class Root(Struct):
    """The daemon's knowledge of one root."""

    check: RootCheck
    is_polled: bool
    """Whether the kernel reports no changes in it, so that nothing is watched."""
    state: RootState = RootState.OFFLINE
    reason: str = "start"
    """Why changes may have been missed, for the log."""
    offline_reason: str | None = None
    """Why it is offline, as it was last logged."""
    away_since_ms: int = 0
    """Since when `why_away` says something (Unix milliseconds)."""
    logged_unwatched: tuple[int, frozenset[int]] = (0, frozenset())
    """How many folders could not be watched, and for which errors, when that was last looked at."""
    has_logged_empty: bool = False
    """Whether it was logged that there never was music in it."""
    armed: WatchCounts = WatchCounts(0, {})
    poll_at: float = 0.0
    """When to scan the folders that are not watched; 0: never."""
    pass_at: float = 0.0
    """When to look at the times of polled folders before that; 0: not before."""
    reconcile_at: float = 0.0
    looked_at: float = 0.0
    """When all of it was last scanned, because changes may have been missed or it was time."""
    looked_at_ms: int = 0
    """The same as Unix milliseconds; 0: not yet."""

    @property
    def row(self) -> RootRow:
        """Its name and path."""
        return self.check.row

    @property
    def is_there(self) -> bool:
        """Whether its disk was there at the last check."""
        return self.state is not RootState.OFFLINE

    @property
    def is_current(self) -> bool:
        """Whether all of it has been scanned since changes may last have been missed."""
        return self.state in _CURRENT

    def shares(self) -> frozenset[bytes]:
        """The folders in it where a file system begins that may hang; they are polled."""
        mounted = mounts_below(self.row.path, read_mounts())
        return frozenset(
            {folder for folder, mount in mounted.items() if can_hang(mount.fs_type)}
            | {one.folder for one in self.check.mounts if can_hang(one.disk.fs_type)}
        )

    @property
    def why_away(self) -> str:
        """Why it, or a disk below it, is not there; empty: all is."""
        return self.offline_reason or next(iter(self.check.away.values()), "")

    def fs_type_of(self, path: bytes) -> str:
        """The file system that holds a path in it."""
        above = (mount for mount in self.check.mounts if paths.is_below(path, mount.folder))
        return max(above, key=lambda mount: len(mount.folder)).disk.fs_type

    def unwatched(self) -> list[bytes]:
        """The folders to poll: all of it, or network disks and folders without a watch."""
        if self.is_polled:
            return self.polled_folders
        return sorted({*self.polled_folders, *self.armed.unwatched})

    @property
    def polled_folders(self) -> list[bytes]:
        """Of these, those in which nothing at all can be watched."""
        if self.is_polled:
            return [b""]
        return [
            mount.folder
            for mount in self.check.mounts
            if not filesystem.reports_changes(mount.disk.fs_type)
        ]

    def set_scanned_at(self, now: float) -> None:
        """Note that all of it is looked at now, by the loop's clock."""
        self.looked_at, self.looked_at_ms = now, time.time_ns() // 1_000_000

    def move(self, event: RootEvent) -> None:
        """Move its state by an event."""
        self.state = next_state(self.state, event, polled=self.is_polled)
