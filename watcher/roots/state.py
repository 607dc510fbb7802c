"""Events of a root -> its state. Pure: one enum, one transition function."""

from __future__ import annotations

from enum import Enum, StrEnum, auto


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
