"""The open index and its queues, shared by all job handlers of its worker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from indexer import errors
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.queue.monitoring.monitor import RedisRates
from indexer.queue.orders.queues import Queues
from indexer.roots import acceptance, open_roots
from indexer.roots.automounts import touch_mounted, touched_by
from indexer.roots.open_roots import OpenRoots
from indexer.runs.lock import check_is_kept
from indexer.store import roots
from indexer.store.connection import check_not_emptied, open_index, token_of

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from indexer.settings import Settings


class IndexContext:
    """One index, opened for writing, and its queues."""

    def __init__(self, settings: Settings, path_filter: PathFilter, client: redis.Redis) -> None:
        self.settings = settings
        self.path_filter = path_filter
        self.queues = Queues(client)
        self.rates = RedisRates(client)
        check_not_emptied(settings.db)
        check_is_kept(settings.db)
        self._inode = _inode(settings.db)
        self.connection = open_index(
            settings.db,
            write=True,
            group=settings.group,
            busy_timeout_s=settings.busy_timeout,
        )
        self.token = token_of(self.connection)
        self.is_closed = False

    def close(self) -> None:
        """Close the index."""
        self.is_closed = True
        self.connection.close()

    @property
    def has_lost_log(self) -> bool:
        """Whether SQLite's files beside the index were deleted, or replaced, since it was opened.

        No other program would see what is written now, and it would spoil what they write.
        """
        return not self.is_closed and self.connection.has_lost_log

    @property
    def is_replaced(self) -> bool:
        """Whether the index that was opened is another one now, such as a copy that was put back.

        It was written over, or another file has its name; not where none has.
        """
        is_other_file = _inode(self.settings.db) not in (None, self._inode)
        return is_other_file or token_of(self.connection) != self.token

    def check(self, token: str) -> None:
        """Raise QueueError for a job of another index."""
        if token != self.token:
            raise errors.QueueError(
                f"refused: this job is for another index ({token}, not {self.token}). Give each"
                " index a Redis of its own, or a database number in it: redis://localhost:6379/1"
            )

    def mounted_roots(self) -> OpenRoots:
        """The roots that are there, of which no automount is mounted for it."""
        return open_roots.open_roots(
            self.connection,
            roots.watched(self.connection),
            follow_links=self.path_filter.follow_links,
            touches=touch_mounted,
            lazily=True,
        )

    def look_at_roots(self, hints: Iterable[Hint], *, mounts_too: bool = False) -> OpenRoots:
        """Open the roots that these hints concern, and any other when it is asked for.

        `mounts_too`: accept mount points in them that are new.
        """
        watched = roots.watched(self.connection)
        hinted = list(hints)
        touches = touched_by(hinted, wakes=True)
        about = {hint.root_id for hint in hinted}
        if mounts_too:
            for root in watched:
                if root.id in about:
                    acceptance.accept_mounts(self.connection, root, touches)
        return open_roots.open_roots(
            self.connection,
            watched,
            follow_links=self.path_filter.follow_links,
            touches=touches,
            about=about,
        )


def _inode(path: Path) -> int | None:
    """None: there is no file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def files_text(number: int) -> str:
    """`1 file`, `87 files`: for a job's description."""
    return "1 file" if number == 1 else f"{number} files"


def now_ms() -> int:
    """The present time as tables store it: Unix milliseconds."""
    return time.time_ns() // 1_000_000
