"""What happens to files, disks and commands -> an index that equals the disk, live.

Every turn of it is `step(now)`, which a test can call with a clock of its own. It sleeps in the
kernel between turns, until something can be drained, a command rings, or a time has come.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from indexer import errors
from indexer.evidence import ignore_lease_signal
from indexer.ignore.path_filter import PathFilter
from indexer.runs.lock import DispatchLock, ReloadInfo
from indexer.runs.wakeup import WakeupSocket
from indexer.settings import Settings
from indexer.store.connection import IndexConnection
from watcher.database_file import DatabaseFile
from watcher.database_trouble import DatabaseTrouble, Repairs
from watcher.debounce.debouncer import Debouncer
from watcher.debounce.folder_buffer import Delays
from watcher.events.event_intake import EventIntake
from watcher.events.links import Links
from watcher.events.watch_manager import Observers, WatchManager
from watcher.log import EventLog
from watcher.loop import HasFileno, Loop, Watchdog
from watcher.reload import Reload
from watcher.roots.access import RootAccess
from watcher.roots.probe import Probe
from watcher.roots.rescans import Rescans
from watcher.roots.root import Root, RootEvent, RootState
from watcher.roots.root_states import Roots
from watcher.status_publisher import StatusPublisher
from watcher.work.change_log import ChangeLog
from watcher.work.idle_work import IdleWork
from watcher.work.local_work import LocalWork, Progress
from watcher.work.looks import Commands, Looks
from watcher.work.queued_work import QueuedWork


class Daemon(Loop):
    """Keeps one index equal to its roots. `run()` it, and `stop()` it from a signal handler."""

    def __init__(
        self,
        connection: IndexConnection,
        lock: DispatchLock,
        settings: Settings,
        path_filter: PathFilter,
        *,
        progress: Progress = nullcontext,
        on_ready: Callable[[], None] = lambda: None,
        reload: Reload | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_ready` is called once, when every root that is there was looked at.

        `reload` is asked in each turn whether `run` is to end for a daemon with other settings.
        """
        super().__init__(clock)
        self._reload = reload
        self._on_ready: Callable[[], None] | None = on_ready
        self._log = EventLog()
        self._watchdog = Watchdog({})
        self._observers = Observers(self.wake)
        links = Links(path_filter.folder) if settings.follow_links else None
        self._watch_manager = WatchManager(self._observers, path_filter, self._ping, links)
        self._wakeup = WakeupSocket(settings.db)
        self._debouncer = Debouncer(Delays.of(settings))
        self._database = DatabaseFile(connection, settings, self._is_stopping)
        self._root_access = RootAccess(connection, settings, path_filter, self._log)
        self._change_log = ChangeLog(connection, self._log)
        self._work = LocalWork(
            connection,
            settings,
            path_filter,
            self._root_access,
            self._change_log,
            progress=progress,
            stop=self._is_stopping,
            clock=clock,
        )
        self._roots = Roots(settings, self._log, self._observers.unwatch)
        self._probe = Probe(
            connection,
            settings,
            self._database,
            self._root_access,
            self._roots,
            self._log,
            offer=self._debouncer.offer_hint,
            fence=self._fence,
        )
        self._commands = Commands(self._work, self._roots, self._log)
        self._queued: QueuedWork | None = None
        if settings.redis is not None:
            self._queued = QueuedWork(connection, settings, self._log, self._roots.has)
        self._intake = EventIntake(
            self._observers, path_filter, links, self._debouncer, self._roots, self._log
        )
        self._looks = Looks(
            self,
            settings,
            self._roots,
            self._debouncer,
            self._watch_manager,
            self._work,
            queued=self._queued,
            commands=self._commands,
        )
        self._trouble = DatabaseTrouble(settings.db, settings.retry_longest, self._log)
        self._mending = Repairs(settings.db, self._log, self._is_stopping)
        self._idle_work = IdleWork(
            connection,
            settings,
            self._work,
            self._roots,
            self._log,
            workers_are_busy=lambda: self._queued is not None and self._queued.has_work,
            look=partial(self._looks.look_now, urgent=False),
        )
        self._rescans = Rescans(
            self._looks,
            self._intake,
            self._watch_manager,
            self._roots,
            self._root_access,
            self._idle_work.rereading,
            log=self._log,
            publish_status=self._publish_status,
        )
        engine = "local" if settings.redis is None else "rq"
        self._publisher = StatusPublisher(lock, self._log, engine, self._database)
        ignore_lease_signal()

    def _ping(self) -> None:
        self._watchdog.ping()

    def _is_stopping(self) -> bool:
        """Polled by long work for each folder and batch, so that it feeds the watchdog, too."""
        self._watchdog.ping()
        return self.is_stopping

    def run(self, watchdog: Watchdog | None = None) -> None:
        """Work until `stop`, or until other settings are due; each turn feeds `watchdog`.

        What was committed stays, the rest is looked at by the next start.
        """
        self._watchdog = watchdog or self._watchdog
        wakers: list[HasFileno] = [self._wakeup, self._work.background.limited]
        if self._work.artwork is not None:
            wakers.append(self._work.artwork)
        self._take_turns(
            lambda: self._reload is not None and self._reload.is_due(),
            wakers,
            self._intake.slow_down,
        )

    def close(self) -> None:
        """Give everything back but the connection and the lock, which are the caller's."""
        self._observers.close()
        if self._queued is not None:
            self._queued.close()
        self._idle_work.close()
        self._wakeup.close()
        super().close()
        self._work.close()

    def leave_database(self) -> None:
        """End with a database that is not there any more, or not the one that was opened."""
        self._database.leave()

    def next_turn(self) -> float:
        times = [self._watchdog.next_turn(), self._work.fresh.next_turn()]
        if self._trouble.until is not None:
            times.append(self._trouble.until)
        else:
            if self._trouble.over_at is not None:
                times.append(self._trouble.over_at)
            times.append(self._roots.probe_at)
            times.extend(self._looks.next_turns())
            times.extend(self._rescans.next_turns())
            times.extend(self._idle_work.next_turns(is_calm=self._is_calm()))
        return min(at for at in times if at is not None)

    def step(self, now: float) -> None:
        """One turn of the loop.

        What the database cannot take now is not lost: after a pause all of it is looked at again.
        """
        self._watchdog.ping()
        self._listen()
        self._work.fresh.release(now)
        if self._trouble.pauses(now):
            return
        try:
            with self._trouble.explained():
                self._turn(now)
        except errors.DatabaseDamaged as error:
            self._mend(error)
        except errors.CannotDo as error:
            self._put_off(error)
        else:
            self._trouble.end(now)
        self._publish_status()
        if self._on_ready and all(one.is_current or not one.is_there for one in self._roots):
            on_ready, self._on_ready = self._on_ready, None
            on_ready()

    def _turn(self, now: float) -> None:
        self._intake.drain(now)
        if now >= self._roots.probe_at:
            self._probe.run(now)
            self._keep_roots()
        for root in self._roots:
            if root.state is RootState.STALE and not self.is_stopping:
                self._rescans.begin(root)
        self._looks.take_commands(self.clock())
        now = self.clock()
        self._rescans.take_time(now)
        self._looks.take_background()
        self._looks.flush(now)
        self._looks.note_open(self.clock())
        if self._queued is not None:
            over = self._looks.delegate(self._queued)
            self._change_log.log_changes()
            for root_id, result in over:
                self._rescans.finish(root_id, result)
        is_calm = self._is_calm()
        self._idle_work.step(self.clock, is_calm=is_calm)
        if any([self._looks.may_rest(), self._idle_work.may_rest(is_calm=is_calm)]):
            self._database.rest()
        elif self._looks.has_gone_quiet():
            self._database.free_memory()

    def _keep_roots(self) -> None:
        """Forget what is known of roots that were removed."""
        root_ids = [root.row.id for root in self._roots]
        self._work.polled.keep_roots(root_ids)
        if self._watch_manager.links is not None:
            self._watch_manager.links.keep_roots(root_ids)

    def _fence(self, timeout_s: float) -> None:
        """Prove that the watching threads answer, and log which relays were lost, or are back."""
        self._observers.fence(timeout_s)
        if self._queued is not None:
            self._queued.log_relays([root.row.name for root in self._roots])

    def _put_off(self, error: errors.CannotDo) -> None:
        """Have all roots scanned again: what could not be written is not remembered in detail."""
        if self.is_stopping:
            return
        is_new = self._trouble.begin(error, self.clock())
        self._work.background.forget()
        if self._work.artwork is not None:
            self._work.artwork.forget()
        for root in self._roots:
            if is_new:
                self._roots.mark_stale(root, self._trouble.reason, str(error))
            else:
                root.move(RootEvent.MISSED)

    def _mend(self, error: errors.DatabaseDamaged) -> None:
        """Have the index repaired, and look at everything again: what was at hand is lost."""
        if self.is_stopping:
            return
        with self._trouble.explained():
            self._database.check_file()
            done = self._mending.mend(error, self.clock())
            self._database.was_repaired()
            self._change_log.was_repaired()
        self._commands.begin_anew()
        for root in self._roots:
            self._roots.mark_stale(root, "index repaired", done)
        self._roots.probe_now()

    def _listen(self) -> None:
        """Take note of all that woke the loop, so that it can sleep again."""
        self._take_wakeups()
        if not self._wakeup.was_woken():
            return
        if self._queued is None:
            self._commands.note_new_rows()
            self._roots.probe_now()  # roots may have come or gone
        else:
            self._queued.note_new_rows()  # workers send a wake-up for each result
            if self._root_access.roots_changed() or self._database.log_is_lost:
                self._roots.probe_now()

    def _is_calm(self) -> bool:
        """Whether there is time for idle work."""
        return not self.is_stopping and self._looks.is_calm and self._trouble.until is None

    def _publish_status(self, only: Root | None = None) -> None:
        self._watch_manager.count(self._roots if only is None else (only,))
        trouble = "" if self._queued is None else self._queued.trouble
        self._publisher.publish(
            self._roots,
            trouble,
            self._change_log.pace,
            log_is_held=self._database.log_is_held,
            reload=self._reload.info if self._reload else ReloadInfo(),
            trouble=(self._trouble.words, self._trouble.since_ms),
            only=only,
        )
