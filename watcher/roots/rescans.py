"""Doubts about roots, and intervals -> looks at all of a root, or of what is polled in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from indexer.model import Hint
from indexer.runs.result import Result
from watcher.events.event_intake import EventIntake
from watcher.events.watch_manager import WatchManager
from watcher.log import EventLog
from watcher.roots.access import RootAccess
from watcher.roots.root import Root, RootEvent, RootState
from watcher.roots.root_states import Roots
from watcher.work.idle_work import Rereading
from watcher.work.looks import Looks


class Rescans:
    """Scans stale roots, and polls and reconciles those that are current."""

    def __init__(
        self,
        looks: Looks,
        intake: EventIntake,
        watch_manager: WatchManager,
        roots: Roots,
        root_access: RootAccess,
        rereading: Rereading,
        *,
        log: EventLog,
        publish_status: Callable[[Root], None],
    ) -> None:
        """`publish_status` publishes the state of a root, for `indexer status`."""
        self._looks = looks
        self._intake = intake
        self._watch_manager = watch_manager
        self._roots = roots
        self._root_access = root_access
        self._rereading = rereading
        self._log = log
        self._publish_status = publish_status

    def next_turns(self) -> Iterator[float]:
        """When something is due for each root, if nothing happens before."""
        for root in self._roots:
            if root.state is RootState.STALE:
                yield -math.inf
            elif root.is_current:
                yield from (at for at in (root.pass_at, root.poll_at, root.reconcile_at) if at)

    def begin(self, root: Root) -> None:
        """Arm all watches anew, then look at everything: in this order nothing is missed (R10)."""
        self._rereading.end(root.row.id)
        self._watch_manager.arm(root)
        root.move(RootEvent.SCAN_BEGAN)
        self._publish_status(root)
        result = self._looks.rescan(root)
        if result is not None:
            self._finish(root, result)

    def finish(self, root_id: int, result: Result) -> None:
        """Workers have looked at all of a root since its watches were armed."""
        root = self._roots.get(root_id)
        if root is not None and root.state is RootState.SCANNING:
            self._finish(root, result)

    def _finish(self, root: Root, result: Result) -> None:
        self._looks.rescanned(root.row.id)
        now = self._looks.clock()
        self._intake.drain(now)  # events that were lost meanwhile win
        self._roots.note_scanned(root, now)
        if root.is_current:
            self._root_access.count_days([root.row.id])
            self._publish_status(root)  # first: a program that waits for the line may ask for it
            self._log.info(
                root.state.shown,
                root=root.row.name,
                reason=root.reason,
                files=result.seen,
                read=result.files_read,
                folders=root.armed.watched,
                seconds=result.seconds,
            )
            self._roots.log_unwatched(root)
            self._roots.log_empty(root, self._root_access.why_empty(root.row))
            self._rereading.begin(root.row.id, root.row.name)

    def take_time(self, now: float) -> None:
        """Poll what is not watched, and look at everything once in a while."""
        for root in self._roots:
            if not root.is_current:
                continue
            if not root.poll_at and root.armed.unwatched:  # since folders came, or rights went
                self._roots.plan_poll(root, now)
                self._roots.log_unwatched(root)
            if root.poll_at and now >= root.poll_at:
                self._look_at_times(root)
                awake = (one for one in root.unwatched() if not root.check.has_expired(one))
                for folder in awake:
                    self._intake.offer_hint(Hint(root.row.id, folder, recursive=True), now)
                self._roots.plan_poll(root, now)
            elif root.pass_at and now >= root.pass_at:
                self._look_at_times(root)
            if root.reconcile_at and now >= root.reconcile_at and self._roots.may_wake(root, now):
                self._reconcile(root, now)

    def _reconcile(self, root: Root, now: float) -> None:
        root.set_scanned_at(now)
        self._log.info("reconcile", root=root.row.name, reason="interval")
        if None in root.check.automounts.values():
            root.reason = "interval"
            root.move(RootEvent.MISSED)  # what has expired is mounted, and armed, for it
            self._roots.probe_now()
            return
        self._intake.offer_hint(Hint(root.row.id, recursive=True), now)
        self._roots.plan_reconcile(root, now)

    def _look_at_times(self, root: Root) -> None:
        """Look at polled folders whose times have changed, before all files are looked at."""
        cost_s = self._looks.look_at_times(root)
        if cost_s is not None:
            self._roots.plan_pass(root, self._looks.clock(), cost_s)
