"""The daemon's knowledge of its roots -> the lock file's contents, for `indexer status`."""

from __future__ import annotations

import os
import time
from typing import Final

from msgspec import structs

from indexer.process import pid_namespace, written_by_this
from indexer.runs.lock import DispatchLock, LockInfo, ReloadInfo
from indexer.runs.throughput import Throughput
from watcher.log import EventLog
from watcher.roots.root_states import Roots

_NEVER: Final = ReloadInfo()
_NOTHING: Final = Throughput()


class StatusPublisher:
    """Written only when it has changed, so that nothing is written at rest."""

    def __init__(
        self,
        lock: DispatchLock,
        log: EventLog,
        engine: str,
        inode: int,
        log_inodes: tuple[int, int],
    ) -> None:
        """`engine` does the work: `local` or `rq`; `inode` is that of the database."""
        self._inode = inode
        self._log_inodes = log_inodes
        self._lock = lock
        self._log = log
        self._engine = engine
        self._published = LockInfo(os.getpid(), "daemon", pid_namespace=pid_namespace())
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
    ) -> None:
        """Publish how many folders are watched, the state of each root, and what went wrong.

        `trouble` says why changes wait, and since when (Unix milliseconds).
        """
        watched = unwatched = 0
        states: dict[str, str] = {}
        away: dict[str, str] = {}
        away_since_ms: dict[str, int] = {}
        looked_at_ms: dict[str, int] = {}
        for root in roots:  # in one pass: it is made twice for each root at a start
            name = root.row.name
            states[name] = root.state.shown
            if root.is_there:
                watched += root.armed.watched
                unwatched += len(root.armed.unwatched)
            if why := root.why_away:
                away[name], away_since_ms[name] = why, root.away_since_ms
            if root.looked_at_ms:
                looked_at_ms[name] = root.looked_at_ms
        if bool(unwatched) != bool(self._unwatched_since_ms):
            self._unwatched_since_ms = time.time_ns() // 1_000_000 if unwatched else 0
        status = LockInfo(
            os.getpid(),
            "daemon",
            watched,
            unwatched,
            states,
            away,
            dict(roots.recoveries),
            self._engine,
            queue_trouble,
            pace.buckets,
            log_is_held,
            self._inode,
            reload,
            away_since_ms,
            self._unwatched_since_ms,
            structs.replace(pace.totals, bytes_written=self._published.totals.bytes_written),
            looked_at_ms,
            self._log_inodes,
            self._published.pid_namespace,
            *trouble,
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
