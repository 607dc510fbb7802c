"""Checks of the disks at intervals -> the states of roots, and hints for what was unreadable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from indexer.model import Hint
from indexer.settings import Settings
from indexer.store.connection import Connection
from watcher.database_file import DatabaseFile
from watcher.log import EventLog, HealthLog
from watcher.roots.access import RootAccess
from watcher.roots.retries import Retries, SidecarRetries
from watcher.roots.root_states import Roots

_FENCE_EVERY: Final = 6
"""Probes of the disks between two proofs that the watching threads answer."""
_FENCE_S: Final = 5.0


class Probe:
    """What a daemon checks every `probe_interval`, since no event reports it."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        database: DatabaseFile,
        root_access: RootAccess,
        roots: Roots,
        log: EventLog,
        *,
        offer: Callable[[Hint, float], object],
        fence: Callable[[float], object],
    ) -> None:
        """`offer` gets hints, and `fence` has the watching threads answer within a time."""
        self._settings = settings
        self._database = database
        self._root_access = root_access
        self._roots = roots
        self._offer = offer
        self._fence = fence
        self._health = HealthLog(log)
        self._retries = Retries(settings.probe_interval)
        self._sidecar_retries = SidecarRetries(connection, settings)
        self._probes = 0

    def run(self, now: float) -> None:
        """See whether each root is there, with its disk, and whether its watcher lives."""
        self._roots.probe_at = now + self._settings.probe_interval
        self._database.check_database()
        if self._roots.see(self._root_access.root_checks(self._roots.touches)):
            self._roots.see(self._root_access.root_checks(self._roots.touches))
        self._root_access.count_days(root.row.id for root in self._roots if root.is_current)
        for root in self._roots:
            if root.is_current:
                self._roots.log_empty(root, self._root_access.why_empty(root.row))
                self._roots.log_unwatched(root)
        self._log_health(now)
        self._database.tend_log()
        for hint in self._retries.due(self._root_access.unreadable(self._roots.is_expired), now):
            self._offer(hint, now)
        root_ids = [root.row.id for root in self._roots]
        self._sidecar_retries.turn(root_ids, self._roots.is_expired, now)
        self._probes += 1
        if self._probes % _FENCE_EVERY == 0:
            self._fence(_FENCE_S)  # a root that does not answer is stale from now on

    def _log_health(self, now: float) -> None:
        """Log what got worse or well, as far as the index knows it; not while roots are scanned."""
        away = [root.row.id for root in self._roots if not root.is_there]
        if len(away) + sum(root.is_current for root in self._roots) == len(list(self._roots)):
            self._health.update(self._root_access.in_index(away), now)
