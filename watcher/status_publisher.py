"""The daemon's knowledge of its roots -> the lock file's contents, for `indexer status`."""

from __future__ import annotations

import os

from indexer.runs.lock import DispatchLock, LockInfo
from indexer.runs.throughput import Bucket
from watcher.log import EventLog
from watcher.roots import Roots


class StatusPublisher:
    """Written only when it has changed, so that nothing is written at rest."""

    def __init__(self, lock: DispatchLock, log: EventLog, engine: str, inode: int) -> None:
        """`engine` does the work: `local` or `rq`; `inode` is that of the database."""
        self._inode = inode
        self._lock = lock
        self._log = log
        self._engine = engine
        self._told = LockInfo(os.getpid(), "daemon")

    def tell(
        self,
        roots: Roots,
        queue_trouble: str = "",
        pace: tuple[Bucket, ...] = (),
        *,
        log_is_held: bool = False,
    ) -> None:
        """Publish how many folders are watched, the state of each root, and what went wrong."""
        armed = [root.armed for root in roots if root.is_there]
        news = LockInfo(
            os.getpid(),
            "daemon",
            sum(one.watched for one in armed),
            sum(len(one.unwatched) for one in armed),
            {root.row.name: root.state.shown for root in roots},
            {root.row.name: root.why_away for root in roots if root.why_away},
            dict(roots.recoveries),
            self._engine,
            queue_trouble,
            pace,
            log_is_held,
            self._inode,
        )
        if news == self._told:
            return
        self._told = news
        try:
            self._lock.tell(news)
        except OSError as error:  # the disk of the database is full: the next write may fit
            self._log.warning("status untold", detail=error.strerror)
