"""The open index and the queues to it: what all handlers of its owner share."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from indexer import errors
from indexer.engine import acceptance, guard
from indexer.engine.automounts import touched_by
from indexer.engine.guard import Guarded
from indexer.engine.hanging import is_share
from indexer.engine.kept import check_is_kept
from indexer.engine.queued.queues import Queues
from indexer.engine.queued.rates import Rates
from indexer.model import Hint
from indexer.store import roots
from indexer.store.connection import check_not_emptied, open_index
from indexer.store.identity import token_of
from indexer.wanted import Wanted

if TYPE_CHECKING:
    import redis

    from indexer.settings import Settings


class Desk:
    """One index, opened for writing, and its queues."""

    def __init__(self, settings: Settings, wanted: Wanted, client: redis.Redis) -> None:
        self.settings = settings
        self.wanted = wanted
        self.queues = Queues(client)
        self.rates = Rates(client)
        check_not_emptied(settings.db)
        check_is_kept(settings.db)
        self.connection = open_index(
            settings.db,
            write=True,
            group=settings.group,
            busy_timeout_s=settings.busy_timeout,
        )
        self.token = token_of(self.connection)

    def close(self) -> None:
        """Close the index."""
        self.connection.close()

    def check(self, token: str) -> None:
        """Raise QueueError for a job of another index."""
        if token != self.token:
            raise errors.QueueError(
                f"refused: this job is for another index ({token}, not {self.token}). Give each"
                " index a Redis of its own, or a number in it: redis://localhost:6379/1"
            )

    def look_at_roots(self, hints: Iterable[Hint], *, mounts_too: bool = False) -> Guarded:
        """Open all roots that are there; `mounts_too`: accept mount points that are new.

        Behind automounts, and of roots that may hang, only what the hints are about.
        """
        watched = roots.watched(self.connection)
        hinted = list(hints)
        touches = touched_by(hinted, wakes=True)
        about = {hint.root_id for hint in hinted}
        if mounts_too:
            for root in watched:
                if root.id in about or not is_share(root.path):
                    acceptance.learn_mounts(self.connection, root, touches)
        return guard.look_at_roots(
            self.connection,
            watched,
            follow_links=self.wanted.follow_links,
            touches=touches,
            about=about,
        )


def files_text(number: int) -> str:
    """`1 file`, `87 files`: for a job's description."""
    return "1 file" if number == 1 else f"{number} files"


def now_ms() -> int:
    """The time as tables have it."""
    return time.time_ns() // 1_000_000
