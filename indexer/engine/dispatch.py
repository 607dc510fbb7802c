"""Hints -> work done: here under the dispatch lock, or by the daemon that holds it (rule R11)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from indexer import errors, paths
from indexer.engine import acceptance, guard, handover
from indexer.engine.automounts import touched_by
from indexer.engine.kept import check_is_kept
from indexer.engine.local import LocalEngine
from indexer.engine.lock import DispatchLock, Holder, holder, wait_for_lock
from indexer.engine.result import Result
from indexer.model import Hint, Listener
from indexer.settings import Settings
from indexer.stages.outcome import Outcome
from indexer.store import changes, roots, scans, tracks, upkeep
from indexer.store.connection import (
    Connection,
    check_not_emptied,
    open_index,
    write_transaction,
)
from indexer.store.creation import prepare_folder
from indexer.store.roots import RootRow
from indexer.store.sqlite_errors import explained
from indexer.wanted import Wanted

_log = logging.getLogger("indexer")
Stop = Callable[[], bool]


class Request(Struct, frozen=True):
    """What is to be done: `kind` is `scan` or `rebuild`, `names` are the roots it is about."""

    kind: str
    hints: tuple[Hint, ...]
    roots: tuple[RootRow, ...]
    queued: bool = False
    """Whether workers are to do it, through the queues."""

    @property
    def names(self) -> list[str]:
        """The roots' names, sorted: what an interrupted rebuild is found again by."""
        return sorted(root.name for root in self.roots)


class Done(Struct, frozen=True):
    """What came of a request; `offline` tells why roots could not be looked at."""

    result: Result
    offline: tuple[str, ...] = ()


class Dispatcher:
    """The right to write one index. Make it with `dispatching`."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        wanted: Wanted,
        lock: DispatchLock | None,
        role: str,
    ) -> None:
        self.connection = connection
        self._settings = settings
        self._wanted = wanted
        self._lock = lock
        self._role = role

    def close(self) -> None:
        """Give the right back."""
        self.connection.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def lock(self) -> DispatchLock | None:
        """The dispatch lock; None where a daemon has it."""
        return self._lock

    @property
    def beside_daemon(self) -> bool:
        """Whether a daemon dispatches, so that hints have to be left for it."""
        return self._lock is None

    def run(self, request: Request, *, listener: Listener | None, stop: Stop) -> Done:
        """Do what is asked. A daemon that ends in the middle of it leaves the rest to us."""
        while self._lock is None:
            done = self._hand_over(request, stop)
            if done is not None:
                return done
            self._lock = wait_for_lock(
                self._settings.db,
                self._role,
                stop=stop,
                group_may=self._settings.group is not None,
                busy=_no_daemon,
            )
            if self._lock is None and stop():
                return Done(Result(interrupted=True))
        return self._run_here(request, listener, stop)

    def _run_here(self, request: Request, listener: Listener | None, stop: Stop) -> Done:
        started = time.time_ns() // 1_000_000
        with write_transaction(self.connection):
            scan_id = None
            if request.kind == "rebuild":
                scan_id = scans.resume_rebuild(self.connection, request.names)
            if scan_id is None:
                scan_id = scans.start(self.connection, request.kind, request.names, started)
        state = "failed"
        result = Result()
        try:
            done = self._run_engine(request, scan_id, result, listener, stop)
            state = "interrupted" if result.interrupted else "done"
            return done
        finally:
            result.seconds = (time.time_ns() // 1_000_000 - started) / 1000
            if not result.goes_on:
                self._end(scan_id, state, result)

    def _run_engine(
        self,
        request: Request,
        scan_id: int,
        result: Result,
        listener: Listener | None,
        stop: Stop,
    ) -> Done:
        watched = roots.watched(self.connection)
        touches = touched_by(request.hints, wakes=True)
        for root in watched:
            acceptance.learn_mounts(self.connection, root, touches)
        guarded = guard.look_at_roots(
            self.connection, watched, follow_links=self._wanted.follow_links, touches=touches
        )
        try:
            offline = []
            for root in request.roots:
                if root.id in guarded.offline:
                    offline.append(guarded.offline[root.id])
                offline.extend(guarded.away(root.id).values())
            for line in offline:
                _log.debug("offline %s", line)
            reread = scan_id if request.kind == "rebuild" else 0
            hints = [
                msgspec.structs.replace(hint, reread=reread)
                for hint in request.hints
                if hint.root_id in guarded.trees
            ]
            expected = None if listener is None else self._expected(request)
            if request.queued:
                self._run_queued(hints, scan_id, result, expected, listener, stop)
            else:
                engine = LocalEngine(
                    self.connection,
                    guarded.trees,
                    self._settings,
                    self._wanted,
                    result,
                    listener=listener,
                    stop=stop,
                )
                engine.run(hints, expected=expected)
            if not result.interrupted:
                upkeep.count_days(
                    self.connection,
                    guarded.trees,
                    time.time_ns() // 1_000_000,
                    self._settings.keep_missing,
                    self._settings.keep_changes,
                )
                self._tell_empty(root for root in request.roots if root.id in guarded.trees)
            return Done(result, tuple(offline))
        finally:
            guarded.close()

    def _run_queued(
        self,
        hints: Sequence[Hint],
        scan_id: int,
        result: Result,
        expected: int | None,
        listener: Listener | None,
        stop: Stop,
    ) -> None:
        from indexer.engine.queued.run import QueuedRun  # late: it imports redis and rq

        run = QueuedRun(self.connection, self._settings, listener=listener, stop=stop)
        try:
            run.check()
            done = run.run(hints, scan_id, expected)
        finally:
            run.close()
        for name in ("tally", "seen", "files_read", "bytes_read", "pending", "interrupted"):
            setattr(result, name, getattr(done, name))
        result.goes_on = done.interrupted

    def _expected(self, request: Request) -> int | None:
        """About how many files there are, for a progress bar; None where nobody knows."""
        counted = tracks.count_by_root(self.connection)
        return sum(counted.get(root.id, 0) for root in request.roots) or None

    def _tell_empty(self, looked_at: Iterable[RootRow]) -> None:
        """Say of which roots it looks as if their disk was not mounted."""
        for root in looked_at:
            if roots.never_had_music(self.connection, root.id):
                _log.warning("%s", guard.no_music(root))

    def _hand_over(self, request: Request, stop: Stop) -> Done | None:
        """Leave the hints for the daemon and wait; None when it ended before it settled them."""
        started = time.monotonic()
        before = changes.newest(self.connection)
        touches = touched_by(request.hints, wakes=True)
        for root in request.roots:
            acceptance.learn_mounts(self.connection, root, touches)
        guarded = guard.look_at_roots(self.connection, request.roots, touches=touches)
        guarded.close()
        offline = tuple(guarded.offline.values())
        hints = [hint for hint in request.hints if hint.root_id in guarded.trees]
        if not hints:
            return Done(Result(), offline)
        current = holder(self._settings.db)
        counted = current is not None and current.engine == "rq"
        scan_id = 0
        if request.kind == "rebuild" or counted:
            with write_transaction(self.connection):
                now_ms = time.time_ns() // 1_000_000
                scan_id = scans.start(self.connection, request.kind, request.names, now_ms)
        if request.kind == "rebuild":
            hints = [msgspec.structs.replace(hint, reread=scan_id) for hint in hints]
        rows = handover.leave_hints(
            self.connection, self._settings.db, hints, scan_id=scan_id if counted else 0
        )
        settled = handover.await_settled(
            self.connection,
            rows,
            lambda: not stop() and self._daemon_lives(),
            in_queues=counted,
        )
        if not settled and not stop():
            return None
        if counted:
            result = self._counted(scan_id)
            result.interrupted = result.goes_on = not settled
        else:
            result = self._told(hints, before, settled=settled)
        result.seconds = time.monotonic() - started
        if scan_id and not result.goes_on:
            self._end(scan_id, "done" if settled else "interrupted", result)
        if settled:
            self._tell_empty(root for root in request.roots if root.id in guarded.trees)
        return Done(result, offline)

    def _counted(self, scan_id: int) -> Result:
        """What workers have counted of a run, exactly."""
        told = scans.state_of(self.connection, scan_id)
        result = Result()
        if told is not None:
            result.take(msgspec.json.decode(told[1], type=dict[str, float | bool]))
        return result

    def _told(self, hints: Sequence[Hint], before: int, *, settled: bool) -> Result:
        """What a daemon did, by the change feed."""
        result = Result(interrupted=not settled)
        for kind, number in changes.counted_since(self.connection, before).items():
            result.count_change(kind, number)
        if settled:
            result.seen = sum(self._files_at(hint) for hint in hints)
            changed = (Outcome.ADDED, Outcome.MODIFIED, Outcome.MOVED, Outcome.RETURNED)
            touched = sum(result.tally[outcome] for outcome in changed)
            result.unchanged = max(0, result.seen - touched)
        return result

    def _files_at(self, hint: Hint) -> int:
        """How many files stand at a place that a daemon has just looked at."""
        if hint.names is None:
            rows = tracks.below(
                self.connection, hint.root_id, hint.folder, recursive=hint.recursive
            )
            return sum(1 for _ in rows)
        places = (paths.join(hint.folder, name) for name in hint.names)
        known = (tracks.in_place(self.connection, hint.root_id, path) for path in places)
        return sum(row is not None for row in known)

    def _end(self, scan_id: int, state: str, result: Result) -> None:
        counts = msgspec.json.encode(result.counts()).decode()
        with write_transaction(self.connection):
            scans.end(self.connection, scan_id, state, counts, time.time_ns() // 1_000_000)

    def _daemon_lives(self) -> bool:
        current = holder(self._settings.db)
        return current is not None and current.role == "daemon"


@contextmanager
def dispatching(settings: Settings, wanted: Wanted, role: str, stop: Stop) -> Iterator[Dispatcher]:
    """Get the right to write: wait for another command to end, but not for a daemon.

    Raises Interrupted when `stop` came while waiting.
    """
    prepare_folder(settings.db, settings.group)
    check_not_emptied(settings.db)
    told: set[int] = set()

    def keep_waiting(current: Holder) -> bool:
        if current.role != "daemon" and current.pid not in told:
            told.add(current.pid)
            _log.warning("waiting pid=%d command=%s", current.pid, current.role)
        return current.role != "daemon"

    lock = wait_for_lock(
        settings.db,
        role,
        stop=stop,
        group_may=settings.group is not None,
        busy=keep_waiting,
    )
    if lock is None and stop():
        raise errors.Interrupted("stopped while waiting for another command; nothing was done")
    with explained(settings.db):
        connection = None
        try:
            if lock is None:
                check_is_kept(settings.db)
            guard.check_file_system(settings.db)
            connection = open_index(
                settings.db,
                write=True,
                group=settings.group,
                busy_timeout_s=settings.busy_timeout,
            )
            guard.check_not_scanned(
                settings.db, {root.name: root.path for root in roots.watched(connection)}
            )
            dispatcher = Dispatcher(connection, settings, wanted, lock, role)
        except BaseException:
            if connection is not None:
                connection.close()
            if lock is not None:
                lock.close()
            raise
        try:
            yield dispatcher
        finally:
            dispatcher.close()


def _no_daemon(current: Holder) -> bool:
    return current.role != "daemon"
