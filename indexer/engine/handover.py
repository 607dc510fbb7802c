"""A request that a daemon is to do -> hints left for it, and the end of its run (rule R11)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from indexer.disk.mounts import is_share
from indexer.model import Hint
from indexer.roots import acceptance, open_roots
from indexer.roots.automounts import touched_by
from indexer.runs import run_counts
from indexer.runs.lock import lock_info
from indexer.runs.result import Result, follow
from indexer.runs.stall import Stall
from indexer.runs.wakeup import request_run, wake
from indexer.settings import Settings
from indexer.store import roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow
from indexer.store.work import counted, pending, scans

_log = logging.getLogger("indexer")
Stop = Callable[[], bool]
_FOLLOW_PAUSE_S: Final = 0.05


class Request(Struct, frozen=True):
    """A request: `kind` is `scan` or `rebuild`, `names` are the roots it is about."""

    kind: str
    hints: tuple[Hint, ...]
    roots: tuple[RootRow, ...]
    queued: bool = False
    """Whether workers do it, through the queues."""

    @property
    def names(self) -> list[str]:
        """The roots' names, sorted: the key under which an interrupted rebuild is found again."""
        return sorted(root.name for root in self.roots)


class Completed(Struct, frozen=True):
    """The outcome of a request; `offline` tells why roots could not be scanned."""

    result: Result
    offline: tuple[str, ...] = ()


class Handover:
    """Requests of one process to the daemon beside it."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.run_id = 0
        """The run that a daemon was asked to do and has perhaps not ended."""
        self._connection = connection
        self._settings = settings

    def hand_over(self, request: Request, stop: Stop) -> Completed | None:
        """Leave the hints for the daemon and follow it; None when it ended before it did them."""
        started = time.monotonic()
        touches = touched_by(request.hints, wakes=True)
        offline_shares = self._offline_shares(request)
        asked = [root for root in request.roots if root.name not in offline_shares]
        for root in asked:
            acceptance.accept_mounts(self._connection, root, touches)
        open_trees = open_roots.open_roots(self._connection, asked, touches=touches)
        open_trees.close()
        offline = (*offline_shares.values(), *open_trees.offline.values())
        hints = [hint for hint in request.hints if hint.root_id in open_trees.trees]
        if not hints:
            return Completed(Result(), offline)
        if self.run_id and counted.waits_for(self._connection, self.run_id):
            wake(self._settings.db)  # another daemon; it finds what the previous one left
        else:
            self.run_id = request_run(
                self._connection, self._settings.db, request.kind, request.names, hints
            )
        stall = Stall()
        is_over = follow(
            self._connection,
            self.run_id,
            still_s=self._settings.still,
            pause=partial(time.sleep, _FOLLOW_PAUSE_S),
            keep_on=lambda: (
                not stop() and self._daemon_lives(stall) and not self._waits_in_vain(asked)
            ),
        )
        if not is_over and not stop():
            if not self._waits_in_vain(asked):
                return None
            # the daemon does the rest when the roots are back
            offline = tuple(
                {**dict.fromkeys(offline), **dict.fromkeys(self._offline_shares(request).values())}
            )
            return completed(self._connection, self.run_id, offline, time.monotonic() - started)
        if is_over:  # else the daemon continues and ends it
            with write_transaction(self._connection):
                scans.end(self._connection, self.run_id, time.time_ns() // 1_000_000)
            log_empty(
                self._connection, (root for root in request.roots if root.id in open_trees.trees)
            )
        seconds = time.monotonic() - started
        return completed(
            self._connection,
            self.run_id,
            offline,
            seconds,
            interrupted=not is_over,
            goes_on=not is_over,
        )

    def _daemon_lives(self, stall: Stall) -> bool:
        """Whether there is one still. Raises CannotDo where it does not do what it has to."""
        current = lock_info(self._settings.db)
        if current is None or current.role != "daemon":
            return False
        if counted.waits_for(self._connection, self.run_id):
            stall.check(current)
        return True

    def _offline_shares(self, request: Request) -> dict[str, str]:
        """Of the roots that may hang, those that the daemon reports as offline, with the reason."""
        current = lock_info(self._settings.db)
        offline_shares = {
            root.name: None if current is None else current.why_offline(root.name)
            for root in request.roots
            if is_share(root.path)
        }
        return {name: why for name, why in offline_shares.items() if why is not None}

    def _waits_in_vain(self, asked: Sequence[RootRow]) -> bool:
        """Whether all pending rows of the run wait for roots that have stopped answering since."""
        current = lock_info(self._settings.db)
        if current is None:
            return False
        silent = {root.id for root in asked if current.why_offline(root.name) is not None}
        if not silent or not any(is_share(root.path) for root in asked if root.id in silent):
            return False
        rows = pending.all_rows(self._connection)
        waiting = [row.hint.root_id for row in rows if row.scan_id == self.run_id]
        return bool(waiting) and silent.issuperset(waiting)


def completed(
    connection: Connection,
    scan_id: int,
    offline: Sequence[str],
    seconds: float,
    *,
    interrupted: bool = False,
    goes_on: bool = False,
) -> Completed:
    """The report of a run: the counts of its row, whichever processes wrote them."""
    result = run_counts.result_of(connection, scan_id)
    result.seconds, result.interrupted, result.goes_on = seconds, interrupted, goes_on
    return Completed(result, tuple(offline))


def log_empty(connection: Connection, looked_at: Iterable[RootRow]) -> None:
    """Warn of roots that look as if their disk were not mounted."""
    for root in looked_at:
        if roots.never_had_music(connection, root.id):
            _log.warning("%s", open_roots.no_music(root))
