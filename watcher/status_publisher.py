"""The daemon's knowledge of its roots -> the lock file's contents, for `indexer status`."""

from __future__ import annotations

import os
import time
from typing import Final

from msgspec import structs

from indexer.process import pid_namespace, written_by_this
from indexer.runs.lock import DispatchLock, LockInfo, ReloadInfo
from indexer.runs.throughput import Throughput
from watcher.database_file import DatabaseFile
from watcher.log import EventLog
from watcher.roots.root import Root
from watcher.roots.root_states import Roots

_NEVER: Final = ReloadInfo()
_NOTHING: Final = Throughput()


class _OfRoots:
    """What is told of roots, by their names, and the sums over them."""

    def __init__(self) -> None:
        self.watched = 0
        self.unwatched = 0
        self.states: dict[str, str] = {}
        self.away: dict[str, str] = {}
        self.away_since_ms: dict[str, int] = {}
        self.looked_at_ms: dict[str, int] = {}
        self._counts: dict[str, tuple[int, int]] = {}

    def note(self, root: Root) -> None:
        """Take in how a root stands now."""
        name = root.row.name
        self.states[name] = root.state.shown
        watched, unwatched = self._counts.get(name, (0, 0))
        counts = (root.armed.watched, len(root.armed.unwatched)) if root.is_there else (0, 0)
        self._counts[name] = counts
        self.watched += counts[0] - watched
        self.unwatched += counts[1] - unwatched
        if why := root.why_away:
            self.away[name], self.away_since_ms[name] = why, root.away_since_ms
        elif name in self.away:
            del self.away[name], self.away_since_ms[name]
        if root.looked_at_ms:
            self.looked_at_ms[name] = root.looked_at_ms


class StatusPublisher:
    """Written only when it has changed, so that nothing is written at rest."""

    def __init__(
        self,
        lock: DispatchLock,
        log: EventLog,
        engine: str,
        database: DatabaseFile,
    ) -> None:
        """`engine` does the work: `local` or `rq`."""
        self._database = database
        self._lock = lock
        self._log = log
        self._engine = engine
        self._published = LockInfo(os.getpid(), "daemon", pid_namespace=pid_namespace())
        self._of_roots = _OfRoots()
        self._unwatched_since_ms = 0
        self._is_untold = False
        """Whether what was to be published last could not be written."""

    def publish(
        self,
        roots: Roots,
        queue_trouble: str = "",
        pace: Throughput = _NOTHING,
        *,
        log_is_held: bool = False,
        reload: ReloadInfo = _NEVER,
        trouble: tuple[str, int] = ("", 0),
        only: Root | None = None,
    ) -> None:
        """Publish how many folders are watched, the state of each root, and what went wrong.

        `trouble` says why changes wait, and since when (Unix milliseconds). `only` one root is
        looked at where it alone may have changed: at a start this is called for each.
        """
        if only is not None and only.row.name in self._of_roots.states:
            self._of_roots.note(only)
        else:
            self._of_roots = _OfRoots()
            for root in roots:
                self._of_roots.note(root)
        of_roots = self._of_roots
        if bool(of_roots.unwatched) != bool(self._unwatched_since_ms):
            self._unwatched_since_ms = time.time_ns() // 1_000_000 if of_roots.unwatched else 0
        status = LockInfo(
            os.getpid(),
            "daemon",
            of_roots.watched,
            of_roots.unwatched,
            of_roots.states.copy(),
            of_roots.away.copy(),
            dict(roots.recoveries),
            self._engine,
            queue_trouble,
            pace.buckets,
            log_is_held,
            self._database.inode,
            reload,
            of_roots.away_since_ms.copy(),
            self._unwatched_since_ms,
            structs.replace(pace.totals, bytes_written=self._published.totals.bytes_written),
            of_roots.looked_at_ms.copy(),
            self._database.log_inodes,
            self._published.pid_namespace,
            *trouble,
            self._database.born_ns,
        )
        is_new = status != self._published
        if not (is_new or self._is_untold):
            return
        totals = structs.replace(status.totals, bytes_written=written_by_this())
        status = self._published = structs.replace(status, totals=totals)
        try:
            self._lock.publish(status)
        except OSError as error:  # the disk of the database is full: the next write may fit
            if is_new:
                self._log.warning("status untold", detail=error.strerror)
            self._is_untold = True
        else:
            self._is_untold = False
