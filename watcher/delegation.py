"""Places that are due -> work for the queues, and what workers made of it -> what the loop does on.

With a Redis in the settings the daemon scans and reads nothing itself: it leaves hints, has them
dispatched until they are settled, and hears of what was not whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer import errors
from indexer.engine.facts import Facts
from indexer.engine.result import Result
from indexer.model import Hint
from indexer.settings import Settings
from indexer.store import changes
from indexer.store.connection import Connection
from indexer.store.pending import PendingRow
from watcher.log import Decisions

if TYPE_CHECKING:
    from indexer.engine.queued.foreman import Foreman


_MOST_IN_WORK: Final = 8
"""Each look takes four jobs, whatever it is about: some 50 ms of one process. A guess."""


class Awaited(Struct, frozen=True):
    """A look at all of a root, in work."""

    generation: int
    began: float
    after_change: int
    """The newest change when it began."""


class Delegation:
    """Has one index's work done by others."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        log: Decisions,
        is_there: Callable[[int], bool],
    ) -> None:
        """`is_there` answers whether a root's disk is there, by the root's id."""
        from indexer.engine.queued.foreman import Foreman  # late: it imports redis and rq

        self.left: list[tuple[int, bytes]] = []
        """(root id, path) of files that were looked at and are not whole, since the last turn."""
        self._connection = connection
        self._settings = settings
        self._foreman: Foreman = Foreman(connection, settings, say=log.say)
        self._foreman.is_there = is_there
        self._awaited: dict[int, Awaited] = {}
        self._has_news = True
        self._in_work: set[int] = set()
        """Generations that are not settled, but for the looks at all of a root."""

    def close(self) -> None:
        """Let Redis go."""
        self._foreman.close()

    @property
    def trouble(self) -> str:
        """Why nothing can be dispatched now; empty: it can."""
        return self._foreman.trouble or ""

    def ring(self) -> None:
        """Somebody settled or left something."""
        self._has_news = True

    def next_turn(self) -> float | None:
        """When something is due, if nothing happens before."""
        return float("-inf") if self._has_news else self._foreman.next_turn()

    @property
    def is_busy(self) -> bool:
        """Whether so much is in work that what is due had better wait, and come together."""
        return len(self._in_work) >= _MOST_IN_WORK

    def hand(self, hints: Sequence[Hint], facts: Facts) -> int:
        """Have these places looked at together; the generation that stands for them."""
        self._has_news = True
        generation = self._foreman.leave(hints, facts)
        self._in_work.add(generation)
        return generation

    def recover(self, root_id: int, now: float) -> None:
        """Have all of a root looked at; `turn` tells when that is committed."""
        newest = changes.newest(self._connection)
        generation = self.hand([Hint(root_id, recursive=True)], Facts())
        self._awaited[root_id] = Awaited(generation, now, newest)

    def hold(self, rows: Iterable[PendingRow]) -> None:
        """Rows that say what is being written: nobody is to look before it is whole."""
        self._foreman.hold(rows)

    def turn(self, now: float) -> Iterator[tuple[int, Result]]:
        """Dispatch what is new or lost; (root id, what came of it) of the looks that are over."""
        due_at = self.next_turn()
        if due_at is None or due_at > now:
            return
        self._has_news = False
        news = self._foreman.turn(now)
        self.left.extend(news.left)
        everything = {awaited.generation for awaited in self._awaited.values()}
        self._in_work = set(news.generations) - everything
        for root_id, awaited in list(self._awaited.items()):
            if awaited.generation not in news.generations:
                del self._awaited[root_id]
                yield root_id, self._result(awaited, now)

    def take_left(self) -> list[tuple[int, bytes]]:
        """What was not whole, once."""
        left, self.left = self.left, []
        return left

    def _result(self, awaited: Awaited, now: float) -> Result:
        """What a look at everything did, by the change feed and the workers' word."""
        from indexer.engine.queued.redis_server import answering  # late: it imports redis

        result = Result(seconds=now - awaited.began)
        counted = changes.counted_since(self._connection, awaited.after_change)
        for kind, number in counted.items():
            result.count_change(kind, number)
        try:
            with answering(self._settings):
                result.seen, result.files_read = self._foreman.queues.scan_noted(awaited.generation)
                self._foreman.queues.forget_scan(awaited.generation)
        except errors.QueueError:
            result.seen = 0  # only a line of the log tells of it
        return result
