"""A request -> work in the queues, followed to its end by a command that found no daemon."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from indexer import errors
from indexer.engine.queued.foreman import Foreman
from indexer.engine.queued.profiles import QUEUES
from indexer.engine.queued.redis_server import answering, state_of
from indexer.engine.result import Result
from indexer.model import Hint, Listener, Progress
from indexer.settings import Settings
from indexer.store import pending, scans
from indexer.store.connection import Connection

_log = logging.getLogger("indexer")

_LOOK_PAUSE_S: Final = 0.02
_IDLE_S: Final = 3.0
"""After so long without a step it is said which queues nobody serves. A guess."""
_EVIDENCE_MARGIN_S: Final = 0.25
"""As in `engine.local`: a file's time begins with the kernel's last tick."""


class QueuedRun:
    """One scan or rebuild in the queues."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        listener: Listener | None,
        stop: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._listener = listener
        self._stop = stop
        self._foreman = Foreman(connection, settings, say=_say, patient=True)
        self._told_idle = False
        self._before: dict[str, float | bool] = {}
        """What an interrupted run had counted when this one took it up."""

    def close(self) -> None:
        """Let Redis go."""
        self._foreman.close()

    def check(self) -> None:
        """Raise RedisAway before anything is asked of a Redis that does not answer."""
        with answering(self._settings):
            state_of(self._foreman.queues.client)

    def run(self, hints: Sequence[Hint], scan_id: int, expected: int | None) -> Result:
        """Have these places looked at, and wait for it. After `stop` the work goes on alone."""
        result = Result()
        if not hints:
            return result
        self._before = self._counts(scan_id)
        generation = self._foreman.leave(hints, scan_id=scan_id)
        whole_until: float | None = None
        moved_at, before = time.monotonic(), (0, 0, 0)
        while not self._stop():
            now = time.monotonic()
            news = self._foreman.turn(now)
            step = self._report(generation, scan_id, expected)
            if step != before:
                moved_at, before = now, step
            elif now - moved_at > _IDLE_S and self._foreman.trouble is None:
                self._tell_idle()
            if all(other < generation for other in news.generations):
                left = self._left(generation)
                if whole_until is None:
                    whole_until = now + self._settings.still + _EVIDENCE_MARGIN_S
                if not left or now >= whole_until:
                    self._forget(generation)
                    self._take_counts(result, scan_id)
                    result.pending = left
                    return result
            time.sleep(_LOOK_PAUSE_S)
        self._take_counts(result, scan_id)
        result.interrupted = True
        result.pending = self._left(generation)
        return result

    def _forget(self, generation: int) -> None:
        if self._foreman.trouble is None:
            with suppress(errors.QueueError), answering(self._settings):
                self._foreman.queues.forget_scan(generation)

    def _left(self, generation: int) -> int:
        """How many files stay pending, of it and of what followed from it."""
        rows = pending.all_rows(self._connection)
        return sum(len(row.hint.names or ()) for row in rows if row.generation >= generation)

    def _report(self, generation: int, scan_id: int, expected: int | None) -> tuple[int, int, int]:
        """Tell how far it is: files seen, to read, and read."""
        seen = planned = 0
        if self._foreman.trouble is None:
            with suppress(errors.QueueError), answering(self._settings):  # the foreman says so
                seen, planned = self._foreman.queues.scan_noted(generation)
        counts = self._counts(scan_id)
        read = int(counts.get("files_read", 0))
        if self._listener is not None:
            is_listing = pending.passes_of(self._connection, generation) == 0
            self._listener(
                Progress(
                    phase="listing" if is_listing else "reading",
                    seen=seen,
                    to_read=planned,
                    read=read,
                    expected=expected,
                )
            )
        return seen, planned, read

    def _counts(self, scan_id: int) -> dict[str, float | bool]:
        told = scans.state_of(self._connection, scan_id)
        if told is None:
            return {}
        counts = msgspec.json.decode(told[1], type=dict[str, float | bool])
        return {name: number - self._before.get(name, 0) for name, number in counts.items()}

    def _take_counts(self, result: Result, scan_id: int) -> None:
        result.take(self._counts(scan_id))

    def _tell_idle(self) -> None:
        """Say which queues nobody serves."""
        if self._told_idle:
            return
        idle: list[str] = []
        with suppress(errors.QueueError), answering(self._settings):
            idle = [name for name in QUEUES[:-1] if not self._foreman.queues.workers_of(name)]
        if idle:
            self._told_idle = True
            _log.warning(
                "waiting for=worker queues=%s action=start `indexer worker` on this machine",
                ",".join(idle),
            )


def _say(level: int, event: str, fields: dict[str, object]) -> None:
    _log.log(level, "%s", " ".join([event, *(f"{key}={value}" for key, value in fields.items())]))
