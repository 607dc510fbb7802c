"""A request -> work in the queues, followed to its end by a command that found no daemon."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from indexer import errors
from indexer.model import Hint, Listener, Progress
from indexer.queue.dispatch.dispatcher import Dispatcher
from indexer.queue.monitoring.monitor import RedisRates, connected
from indexer.queue.redis_client import answering, state_of
from indexer.queue.workers.profiles import QUEUES
from indexer.runs import run_counts
from indexer.runs.result import follow
from indexer.runs.wakeup import WakeupSocket
from indexer.settings import Settings
from indexer.store.connection import Connection
from indexer.store.sidecars.artwork import count_wanted_due
from indexer.store.work import pending

_log = logging.getLogger("indexer")

_LOOK_PAUSE_S: Final = 0.02
_WOKEN_PAUSE_S: Final = 0.1
"""The same where workers send a wake-up, as they do at the end of a run."""
_REPORT_PAUSE_S: Final = 0.1
"""Pause between two reports of the progress, each of which asks Redis."""
_UNSEEN_PAUSE_S: Final = 1.0
"""The same where nothing shows the progress."""
_ARTWORK_PAUSE_S: Final = 0.1
_STUCK_S: Final = 60.0
"""After so long without an album, artist or playlist that is done, no worker gets on. A guess."""
_COUNTED_S: Final = 1.0
"""How long to wait for the counts of a deferred job that has done its work. A guess."""
_IDLE_S: Final = 3.0
"""Idle time after which queues without a worker are logged. A guess."""


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
        self._dispatcher = Dispatcher(connection, settings, say=_say, patient=True)
        self._has_logged_idle = False

    def close(self) -> None:
        """Close the connection to Redis."""
        self._dispatcher.close()

    def check(self) -> None:
        """Raise RedisAway before anything is asked of a Redis that does not answer."""
        with answering(self._settings):
            state_of(self._dispatcher.queues.client)

    def run(self, hints: Sequence[Hint], scan_id: int, expected: int | None) -> bool:
        """Have these hints done, and wait for the end. After `stop` the work goes on without us.

        False when it was stopped before the end. The row of `scans` counts what is done.
        """
        if not hints:
            return True
        generation = self._dispatcher.enqueue(hints, scan_id=scan_id)
        if not generation:
            return True
        moved_at, report_at, before = time.monotonic(), 0.0, (0, 0, 0)
        version, is_busy = -1, True
        report_pause_s = _UNSEEN_PAUSE_S if self._listener is None else _REPORT_PAUSE_S

        def step() -> bool:
            nonlocal moved_at, report_at, before, version, is_busy
            now = time.monotonic()
            newest = int(self._connection.pragma("data_version"))
            due_at = self._dispatcher.next_turn()
            if newest != version or (due_at is not None and due_at <= now):
                version = newest
                result = self._dispatcher.tick(now)
                is_busy = any(other >= generation for other in result.generations)
            if now < report_at and is_busy:
                return True
            report_at = now + report_pause_s
            done = self._report(generation, scan_id, expected)
            if done != before:
                moved_at, before = now, done
            elif now - moved_at > _IDLE_S and self._dispatcher.trouble is None:
                self._log_idle()
            return is_busy

        with woken(self._settings.db) as pause:
            is_over = follow(
                self._connection,
                scan_id,
                still_s=self._settings.still,
                pause=pause,
                keep_on=lambda: not self._stop(),
                step=step,
            )
        if is_over:
            self._forget(generation)
        return is_over

    def await_artwork(self, report_progress: Callable[[int, int], None]) -> None:
        """Wait until workers have done the deferred stage, as far as that can be done now.

        `report_progress` gets the numbers of albums, artists and playlists that are done and that
        wait. It also returns after `stop`, and if no worker makes progress: the rest stays due.
        """
        first = least = count_wanted_due(self._connection, self._settings)
        ends_at = time.monotonic() + _STUCK_S
        while least and not self._stop():
            now = time.monotonic()
            self._dispatcher.put_artwork(now)  # unless the end of the run did
            time.sleep(_ARTWORK_PAUSE_S)
            waiting = count_wanted_due(self._connection, self._settings)
            report_progress(first - min(first, waiting), waiting)
            if waiting < least:
                least, ends_at = waiting, now + _STUCK_S
            if now >= ends_at or not self._is_chosen_from():
                return
        counted_at = time.monotonic() + _COUNTED_S
        while self._is_chosen_from() and not self._stop() and time.monotonic() < counted_at:
            time.sleep(_LOOK_PAUSE_S)

    def _is_chosen_from(self) -> bool:
        """Whether a worker chooses artwork, or will: a job that can do no more puts no other."""
        with suppress(errors.QueueError), answering(self._settings):
            queues = self._dispatcher.queues
            return queues.has_artwork() and queues.workers_of("deferred") > 0
        return False

    def _forget(self, generation: int) -> None:
        if self._dispatcher.trouble is None:
            with suppress(errors.QueueError), answering(self._settings):
                self._dispatcher.queues.drop_scan(generation)

    def _report(self, generation: int, scan_id: int, expected: int | None) -> tuple[int, int, int]:
        """Report the progress; (files seen, files to read, files read)."""
        seen = planned = 0
        if self._dispatcher.trouble is None:
            with suppress(errors.QueueError), answering(self._settings):  # the dispatcher logs it
                seen, planned = self._dispatcher.queues.scan_noted(generation)
        read = run_counts.result_of(self._connection, scan_id).files_read
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

    def _log_idle(self) -> None:
        """Log which queues have no worker."""
        if self._has_logged_idle:
            return
        idle: list[str] = []
        with suppress(errors.QueueError), answering(self._settings):
            idle = [name for name in QUEUES[:-1] if not self._dispatcher.queues.workers_of(name)]
        if idle:
            self._has_logged_idle = True
            _log.warning(
                "waiting for=worker queues=%s action=start `indexer worker` on this machine",
                ",".join(idle),
            )


@contextmanager
def woken(database: Path) -> Iterator[Callable[[], object]]:
    """What waits a moment, or until a worker sends a wake-up; the dispatch lock is ours.

    A shorter moment where no socket can be made, such as behind that of another user's daemon.
    """
    wakeup = None
    with suppress(OSError, errors.DatabaseError):
        wakeup = WakeupSocket(database)
    if wakeup is None:
        yield partial(time.sleep, _LOOK_PAUSE_S)
        return

    poll = select.poll()  # unlike select.select, it takes any descriptor
    poll.register(wakeup, select.POLLIN)

    def pause() -> None:
        poll.poll(_WOKEN_PAUSE_S * 1000)
        wakeup.was_woken()

    with closing(wakeup):
        yield pause


def deferred_reads(settings: Settings) -> int:
    """Files that workers have opened for artwork and playlists since Redis began; 0 without it."""
    with suppress(errors.QueueError), connected(settings) as client:
        return RedisRates(client).deferred_reads()
    return 0


def _say(level: int, event: str, fields: dict[str, object]) -> None:
    _log.log(level, "%s", " ".join([event, *(f"{key}={value}" for key, value in fields.items())]))
