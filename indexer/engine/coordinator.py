"""Hints -> work done under the dispatch lock, or handed to the daemon that holds it (rule R11)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from indexer import errors
from indexer.engine.handover import Completed, Handover, Request, Stop, completed, log_empty
from indexer.engine.local import LocalEngine
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint, Listener, Progress
from indexer.roots import acceptance, open_roots
from indexer.roots.automounts import touched_by
from indexer.roots.open_roots import OpenRoots
from indexer.runs.lock import DispatchLock, LockInfo, check_is_kept, wait_for_lock
from indexer.runs.result import Result
from indexer.settings import Settings
from indexer.store import roots, tracks, upkeep
from indexer.store.connection import (
    IndexConnection,
    check_may_be_index,
    check_not_emptied,
    open_index,
    write_transaction,
)
from indexer.store.creation import prepare_folder
from indexer.store.roots import RootRow
from indexer.store.sidecars.artwork import (
    count_wanted_due,
    delete_unwanted,
    follow_names,
    has_wanted_due,
)
from indexer.store.sqlite_errors import explained
from indexer.store.work import counted, pending, scans

_log = logging.getLogger("indexer")
_REPORT_EVERY_S: Final = 0.1
"""Pause between two counts of what is due: it may be tens of thousands."""


class RunCoordinator:
    """The right to write one index. Make it with `coordinating`."""

    def __init__(
        self,
        connection: IndexConnection,
        settings: Settings,
        path_filter: PathFilter,
        lock: DispatchLock | None,
        role: str,
    ) -> None:
        self.connection = connection
        self._settings = settings
        self._path_filter = path_filter
        self._lock = lock
        self._role = role
        self._handover = Handover(connection, settings)

    def close(self) -> None:
        """Close the index, and release the lock."""
        self.connection.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def lock(self) -> DispatchLock | None:
        """The dispatch lock; None where a daemon holds it."""
        return self._lock

    @property
    def beside_daemon(self) -> bool:
        """Whether a daemon dispatches, so that hints must be left for it."""
        return self._lock is None

    def run(self, request: Request, *, listener: Listener | None, stop: Stop) -> Completed:
        """Do what is asked. Does the rest itself if a daemon ends in the middle of it."""
        while self._lock is None:
            done = self._handover.hand_over(request, stop)
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
                return Completed(Result(interrupted=True))
        return self._run_here(request, listener, stop)

    def _run_here(self, request: Request, listener: Listener | None, stop: Stop) -> Completed:
        reads_before = self._deferred_reads() if request.queued else 0  # it imports redis and rq
        started = time.monotonic()
        scan_id = self._begin(request)
        state = "failed"
        goes_on = False
        try:
            offline, result = self._run_engine(request, scan_id, listener, stop)
            state = "interrupted" if result.interrupted else "done"
            goes_on = result.goes_on
        finally:
            seconds = time.monotonic() - started
            if not goes_on:
                with write_transaction(self.connection):
                    now_ms = time.time_ns() // 1_000_000
                    scans.end(self.connection, scan_id, now_ms, state=state, seconds=seconds)
        done = completed(
            self.connection,
            scan_id,
            offline,
            seconds,
            interrupted=result.interrupted,
            goes_on=goes_on,
        )
        if result.interrupted:
            return done
        began = time.monotonic()
        if request.queued:
            self._await_artwork(listener, stop)
            done.result.deferred_reads = max(0, self._deferred_reads() - reads_before)
            done.result.goes_on = stop()
        else:
            done.result.deferred_reads = self._choose_artwork(listener, stop)
        done.result.deferred_seconds = time.monotonic() - began
        done.result.interrupted = stop()
        return done

    def _await_artwork(self, listener: Listener | None, stop: Stop) -> None:
        """Wait for workers, as for the tags: what a scan ends with is the same in both engines."""
        from indexer.queue.dispatch.run import QueuedRun  # late: it imports redis and rq

        def report_progress(chosen: int, waiting: int) -> None:
            if listener is not None:
                listener(_artwork_progress(chosen, waiting))

        run = QueuedRun(self.connection, self._settings, listener=listener, stop=stop)
        try:
            run.await_artwork(report_progress)
        finally:
            run.close()

    def _deferred_reads(self) -> int:
        """How many files workers have opened for the deferred stage, since their Redis began."""
        from indexer.queue.dispatch.run import deferred_reads  # late: it imports redis and rq

        return deferred_reads(self._settings)

    def _choose_artwork(self, listener: Listener | None, stop: Stop) -> int:
        """Choose the artwork that is due; how many files were opened. What is left stays due."""
        delete_unwanted(self.connection, self._settings)
        follow_names(self.connection, self._settings)
        if not has_wanted_due(self.connection, self._settings):
            return 0
        from indexer.readers.artwork import ArtworkWork, steps  # late: most scans make nothing due

        watched = roots.watched(self.connection)
        open_trees = open_roots.open_roots(
            self.connection, watched, follow_links=self._path_filter.follow_links, lazily=True
        )
        work = ArtworkWork(
            self.connection, self._settings, self._path_filter, workers=self._settings.worker_count
        )
        chosen = read = 0
        reported_s = -math.inf
        try:
            while True:
                try:
                    for step in steps(work, open_trees.trees, stop):
                        chosen, read = chosen + step.chosen, read + step.read
                        if (
                            listener is not None
                            and time.monotonic() >= reported_s + _REPORT_EVERY_S
                        ):
                            reported_s = time.monotonic()
                            waiting = count_wanted_due(self.connection, self._settings)
                            listener(_artwork_progress(chosen, waiting))
                except errors.RootSilent as error:
                    open_trees.lose(error)
                else:
                    return read
        finally:
            work.close()
            open_trees.close()

    def _begin(self, request: Request) -> int:
        """The run of a request: a new one, or one that another process left unfinished."""
        with write_transaction(self.connection):
            if self._handover.run_id:
                counted.release(self.connection, self._handover.run_id)
                scans.go_on(self.connection, self._handover.run_id)
                return self._handover.run_id
            scan_id = None
            if request.kind == "rebuild":
                scan_id = scans.resume_rebuild(self.connection, request.names)
            if scan_id is not None:
                counted.release(self.connection, scan_id, hints_only=True)
                return scan_id
            now_ms = time.time_ns() // 1_000_000
            return scans.start(self.connection, request.kind, request.names, now_ms)

    def _run_engine(
        self, request: Request, scan_id: int, listener: Listener | None, stop: Stop
    ) -> tuple[list[str], Result]:
        """(why roots could not be scanned, how it ended); the counts stand in the run's row."""
        watched = roots.watched(self.connection)
        touches = touched_by(request.hints, wakes=True)
        about = {root.id for root in request.roots}
        for root in request.roots:
            acceptance.accept_mounts(self.connection, root, touches)
        open_trees = open_roots.open_roots(
            self.connection,
            watched,
            follow_links=self._path_filter.follow_links,
            touches=touches,
            about=about,
        )
        try:
            reread = scan_id if request.kind == "rebuild" else 0
            path_filter = [msgspec.structs.replace(hint, reread=reread) for hint in request.hints]
            expected = None if listener is None else self._expected(request)
            if request.queued:
                hints = _there(path_filter, open_trees)
                result = self._run_queued(hints, scan_id, expected, listener, stop)
            else:
                result = self._run_local(path_filter, open_trees, scan_id, expected, listener, stop)
            offline = []
            for root in request.roots:
                if root.id in open_trees.offline:
                    offline.append(open_trees.offline[root.id])
                offline.extend(open_trees.away(root.id).values())
            for line in offline:
                _log.debug("offline %s", line)
            if not result.interrupted:
                self._count_days(watched, open_trees)
                log_empty(
                    self.connection, (root for root in request.roots if root.id in open_trees.trees)
                )
            return offline, result
        finally:
            open_trees.close()

    def _count_days(self, watched: Sequence[RootRow], open_trees: OpenRoots) -> None:
        """Count this day for each root that is there, and forget what left long ago."""
        now_ms = time.time_ns() // 1_000_000
        fresh = [one.id for one in watched if upkeep.is_new_day(self.connection, one.id, now_ms)]
        there = [root_id for root_id in fresh if root_id in open_trees.trees]
        upkeep.count_days(
            self.connection,
            there,
            now_ms,
            self._settings.keep_missing,
            self._settings.keep_changes,
        )
        if there:
            from indexer.readers.artwork import purge  # late: once a day

            purge(self.connection, self._settings)

    def _run_local(
        self,
        path_filter: Sequence[Hint],
        open_trees: OpenRoots,
        scan_id: int,
        expected: int | None,
        listener: Listener | None,
        stop: Stop,
    ) -> Result:
        """Do it here; start again without each root that stops answering.

        What was committed stays, and is found unchanged.
        """
        while True:
            engine = LocalEngine(
                self.connection,
                open_trees.trees,
                self._settings,
                self._path_filter,
                Result(),
                listener=listener,
                stop=stop,
            )
            hints = _there(path_filter, open_trees)
            try:
                return engine.run(hints, expected=expected, scan_id=scan_id)
            except errors.RootSilent as error:
                open_trees.lose(error)

    def _run_queued(
        self,
        hints: Sequence[Hint],
        scan_id: int,
        expected: int | None,
        listener: Listener | None,
        stop: Stop,
    ) -> Result:
        from indexer.queue.dispatch.run import QueuedRun  # late: it imports redis and rq

        run = QueuedRun(self.connection, self._settings, listener=listener, stop=stop)
        try:
            run.check()
            is_over = run.run(hints, scan_id, expected)
        finally:
            run.close()
        return Result(interrupted=not is_over, goes_on=not is_over)

    def _expected(self, request: Request) -> int | None:
        """About how many files there are, for a progress bar; None where that is unknown.

        So it is after a run that was interrupted: the index has only a part of them.
        """
        if any(pending.has_some(self.connection, root.id) for root in request.roots):
            return None
        counted = tracks.count_by_root(self.connection)
        return sum(counted.get(root.id, 0) for root in request.roots) or None


def _artwork_progress(chosen: int, waiting: int) -> Progress:
    """How far the artwork is: albums and artists in place of files."""
    everything = chosen + waiting
    return Progress(phase="artwork", seen=everything, to_read=everything, read=chosen)


def _there(hints: Iterable[Hint], open_trees: OpenRoots) -> list[Hint]:
    return [hint for hint in hints if hint.root_id in open_trees.trees]


@contextmanager
def coordinating(
    settings: Settings, path_filter: PathFilter, role: str, stop: Stop
) -> Iterator[RunCoordinator]:
    """Get the right to write: wait for another command to end, but not for a daemon.

    Raises Interrupted when `stop` is set while waiting.
    """
    prepare_folder(settings.db, settings.group)
    check_not_emptied(settings.db)
    check_may_be_index(settings.db)
    lock = wait_for_lock(
        settings.db,
        role,
        stop=stop,
        group_may=settings.group is not None,
        busy=waiting_for_commands(),
    )
    if lock is None and stop():
        raise errors.Interrupted("stopped while waiting for another command; nothing was done")
    with explained(settings.db):
        connection = None
        try:
            if lock is None:
                check_is_kept(settings.db)
            open_roots.check_file_system(settings.db)
            connection = open_index(
                settings.db,
                write=True,
                group=settings.group,
                busy_timeout_s=settings.busy_timeout,
            )
            open_roots.check_not_scanned(
                settings.db, {root.name: root.path for root in roots.watched(connection)}
            )
            dispatcher = RunCoordinator(connection, settings, path_filter, lock, role)
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


def waiting_for_commands() -> Callable[[LockInfo], bool]:
    """For `wait_for_lock`: wait for other commands, each logged once, but not for a daemon."""
    logged: set[int] = set()

    def keep_waiting(current: LockInfo) -> bool:
        if current.role != "daemon" and current.pid not in logged:
            logged.add(current.pid)
            _log.warning("waiting pid=%d command=%s", current.pid, current.role)
        return current.role != "daemon"

    return keep_waiting


def _no_daemon(current: LockInfo) -> bool:
    return current.role != "daemon"
