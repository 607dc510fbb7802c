"""The loop: what happens to files, disks and commands -> an index that equals the disk, live.

Every turn of it is `step(now)`, which a test can call with a clock of its own. It sleeps in the
kernel between turns, until something can be drained, a command rings, or a time has come.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from indexer import errors, paths
from indexer.disk.mounts import has_expired, read_mounts
from indexer.evidence import ignore_lease_signal
from indexer.ignore.path_filter import PathFilter, is_rule
from indexer.model import Hint, Listener
from indexer.runs.lock import DispatchLock, ReloadInfo
from indexer.runs.result import EventFacts, Result
from indexer.runs.wakeup import WakeupSocket
from indexer.settings import Settings
from indexer.store.connection import Connection
from watcher.change_log import ChangeLog
from watcher.commands import Commands
from watcher.database_file import DatabaseFile
from watcher.database_trouble import DatabaseTrouble, Repairs
from watcher.debouncer import Debouncer, DueHint
from watcher.folder_buffer import Delays, Observation
from watcher.fs_event import FsEvent, FsEventKind, WatchFault, WatchFaultKind
from watcher.idle_work import IdleWork
from watcher.links import Links
from watcher.local_work import LocalWork, Looked
from watcher.log import EventLog
from watcher.loop import HasFileno, Loop
from watcher.observation import observe_in
from watcher.probe import Probe
from watcher.queued_work import QueuedWork
from watcher.reload import Reload
from watcher.root_access import RootAccess
from watcher.roots import Root, Roots
from watcher.state import RootEvent, RootState
from watcher.status_publisher import StatusPublisher
from watcher.system import Watchdog
from watcher.watch_manager import Observers, WatchManager

Progress = Callable[[], AbstractContextManager[Listener | None]]
"""Makes what shows a person how a long look at everything goes on."""

_MUCH: Final = 2_000
"""Files looked at or missed, after which memory is given back when it is quiet. A guess."""
_STREAMING: Final = 32
"""Turns in a row that saw nothing but writing: a long copy goes on. A guess."""
_STREAMING_PAUSE_S: Final = 0.02
"""Then the next one is put off: the kernel and the inbox make one of a thousand writes. A guess."""
_NOTE_PAUSE_S: Final = 0.2
"""Between two looks at all files that are being written. A guess."""
_OPEN_NOTED_S: Final = 0.5
"""A file that is written for so long is noted as pending; a shorter copy is not worth a write."""


class Daemon(Loop):
    """Keeps one index equal to its roots. `run()` it, and `stop()` it from a signal handler."""

    def __init__(
        self,
        connection: Connection,
        lock: DispatchLock,
        settings: Settings,
        path_filter: PathFilter,
        *,
        progress: Progress = nullcontext,
        when_settled: Callable[[], None] = lambda: None,
        reload: Reload | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`when_settled` is called once, when every root that is there was looked at.

        `reload` is asked in each turn whether `run` is to end for a daemon with other settings.
        """
        super().__init__(clock)
        self._settings = settings
        self._reload = reload
        self._progress = progress
        self._when_settled: Callable[[], None] | None = when_settled
        self._log = EventLog()
        self._watchdog = Watchdog({})
        self._observers = Observers(self.wake)
        self._path_filter = path_filter
        self._links = Links(path_filter.folder) if settings.follow_links else None
        self._watch_manager = WatchManager(self._observers, path_filter, self._beat, self._links)
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
            self._log,
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
            self._queued = QueuedWork(connection, settings, self._log, self._root_is_there)
        self._trouble = DatabaseTrouble(settings.db, settings.retry_longest, self._log)
        self._mending = Repairs(settings.db, self._log, self._is_stopping)
        engine = "local" if settings.redis is None else "rq"
        self._idle_work = IdleWork(
            connection,
            settings,
            self._work,
            self._roots,
            self._log,
            is_calm=self._is_calm,
            workers_are_busy=lambda: self._queued is not None and self._queued.has_work,
            look=self._look_again,
        )
        self._publisher = StatusPublisher(
            lock, self._log, engine, self._database.inode, self._database.log_inodes
        )
        self._note_at = -math.inf
        self._noted: set[tuple[int, bytes]] = set()
        """Files being written that stand in a pending row."""
        self._streaming = 0
        """Turns in a row that saw nothing but writing."""
        self._since_rest: float = 0
        """How many files were looked at, or missed, since memory was given back."""
        ignore_lease_signal()

    def _beat(self) -> None:
        self._watchdog.beat()

    def _is_stopping(self) -> bool:
        """Polled by long work for each folder and batch, so that it feeds the watchdog, too."""
        self._watchdog.beat()
        return self._stopping

    def run(self, watchdog: Watchdog | None = None) -> None:
        """Work until `stop`, or until other settings are due; each turn feeds `watchdog`.

        What was committed stays, the rest is looked at by the next start.
        """
        self._watchdog = watchdog or self._watchdog
        wakers: list[HasFileno] = [self._wakeup, self._work.background.limited]
        if self._work.artwork is not None:
            wakers.append(self._work.artwork)
        self._take_turns(
            lambda: self._reload is not None and self._reload.is_due(), wakers, self._slow_down
        )

    def _slow_down(self) -> None:
        if self._streaming > _STREAMING:
            time.sleep(_STREAMING_PAUSE_S)

    def close(self) -> None:
        """Give everything back but the connection and the lock, which are the caller's."""
        self._observers.close()
        if self._queued is not None:
            self._queued.close()
        self._idle_work.close()
        self._wakeup.close()
        super().close()
        self._work.close()

    def next_turn(self) -> float:
        first = (self._watchdog.next_turn(), self._work.fresh.next_turn())
        times = [at for at in first if at is not None]
        if self._trouble.until is not None:
            return min([self._trouble.until, *times])
        times.append(self._probe.at)
        background_at = self._work.background.limited.next_turn()
        if background_at is not None:
            times.append(background_at)
        times.extend(self._idle_work.next_turns())
        dues = [] if self._is_held_up else [self._debouncer.next_due()]
        if self._queued is not None:
            dues.append(self._queued.next_turn())
        times.extend(due_at for due_at in dues if due_at is not None)
        for root in self._roots:
            if root.state is RootState.DOUBTED:
                times.append(-math.inf)
            elif root.is_settled:
                planned = (root.pass_at, root.poll_at, root.reconcile_at)
                times.extend(at for at in planned if at)
        return min(times)

    def step(self, now: float) -> None:
        """One turn of the loop.

        What the database cannot take now is not lost: after a pause all of it is looked at again.
        """
        self._watchdog.beat()
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
            self._trouble.end()
        self._tell_status()
        if self._when_settled and all(one.is_settled or not one.is_there for one in self._roots):
            tell, self._when_settled = self._when_settled, None
            tell()

    def _turn(self, now: float) -> None:
        self._drain(now)
        if now >= self._probe.at:
            self._probe.run(now)
            self._keep_roots()
        for root in self._roots:
            if root.state is RootState.DOUBTED and not self._stopping:
                self._recover(root)
        now = self._clock()
        if self._queued is None:
            for asked in self._commands.take():
                if isinstance(asked, Hint):
                    self._debouncer.offer_hint(asked, now)
                elif not self._stopping:
                    self._after(self._work.do_run(asked))
            now = self._clock()
        self._take_time(now)
        self._take_background()
        self._flush(now)
        self._note_open(self._clock())
        if self._queued is not None:
            self._delegate(self._queued)
        self._idle_work.step(self._clock)
        if self._since_rest > _MUCH and self._debouncer.next_due() is None:
            self._since_rest = 0
            self._database.rest()

    def _keep_roots(self) -> None:
        """Forget what is known of roots that were removed."""
        root_ids = [root.row.id for root in self._roots]
        self._work.polled.keep_roots(root_ids)
        if self._links is not None:
            self._links.keep_roots(root_ids)

    def _fence(self, timeout_s: float) -> None:
        """Prove that the watching threads answer, and log which relays were lost, or are back."""
        self._observers.fence(timeout_s)
        if self._queued is not None:
            self._queued.tell_relays([root.row.name for root in self._roots])

    def _put_off(self, error: errors.CannotDo) -> None:
        """Have all roots scanned again: what could not be written is not remembered in detail."""
        if self._stopping:
            return
        is_new = self._trouble.begin(error, self._clock())
        self._work.background.forget()
        if self._work.artwork is not None:
            self._work.artwork.forget()
        for root in self._roots:
            if is_new:
                self._roots.doubt(root, self._trouble.reason, str(error))
            else:
                root.move(RootEvent.DOUBT)

    def _mend(self, error: errors.DatabaseDamaged) -> None:
        """Have the index repaired, and look at everything again: what was at hand is lost."""
        if self._stopping:
            return
        with self._trouble.explained():
            self._database.check_file()
            done = self._mending.mend(error, self._clock())
            self._database.was_repaired()
            self._change_log.was_repaired()
        self._commands.begin_anew()
        for root in self._roots:
            self._roots.doubt(root, "index repaired", done)
        self._probe.hurry()

    # What is to be looked at

    def _listen(self) -> None:
        """Take note of all that woke the loop, so that it can sleep again."""
        self._take_wakeups()
        if not self._wakeup.rang():
            return
        if self._queued is None:
            self._commands.ring()
            self._probe.hurry()  # roots may have come or gone
        else:
            self._queued.ring()  # workers ring for each of their answers
            if self._root_access.roots_changed() or self._database.log_is_lost:
                self._probe.hurry()

    def _drain(self, now: float) -> None:
        """Take in what the watches saw, and what they may have missed."""
        drained = self._observers.drain()
        if drained.events:
            only_writing = all(one.kind is FsEventKind.WRITING for one in drained.events)
            self._streaming = self._streaming + 1 if only_writing else 0
        for doubt in drained.doubts:
            root = self._roots.get(doubt.root_id)
            if root is not None:
                self._probe.hurry()  # a root that left is offline before it is scanned
                if not self._is_expiry(root, doubt):
                    self._roots.doubt(root, str(doubt.kind), doubt.detail)
        for event in drained.events:
            if self._roots.get(event.root_id) is not None:
                self._offer(event, now)
        for root_id, folder in drained.begun:
            self._debouncer.note_writer(root_id, folder, now)

    def _is_expiry(self, root: Root, doubt: WatchFault) -> bool:
        """Whether an automount was unmounted since no program used it: then nothing changes there.

        Its watches are gone with it; they are armed again when it returns.
        """
        if doubt.kind is not WatchFaultKind.UNMOUNTED or not root.is_settled:
            return False
        if not has_expired(os.fsencode(doubt.detail), read_mounts()):
            return False
        self._log.info("automount expired", root=root.row.name, path=doubt.detail)
        return True

    def _offer(self, event: FsEvent, now: float) -> None:
        if event.name is not None and is_rule(event.name):
            hint = Hint(event.root_id, event.folder, recursive=True)
            self._debouncer.offer_hint(hint, now)
        elif event.name is not None and self._is_bare_link(event.name):
            self._debouncer.offer_hint(Hint(event.root_id, event.folder, (event.name,)), now)
        else:
            self._debouncer.offer(event, now)

    def _is_bare_link(self, name: bytes) -> bool:
        """Whether this is the name of a link to a folder: there are events of no other such."""
        if self._links is None:
            return False
        return not (self._path_filter.file(name) or self._path_filter.sidecar(name))

    def _take_time(self, now: float) -> None:
        """Poll what is not watched, and look at everything once in a while."""
        for root in self._roots:
            if not root.is_settled:
                continue
            if not root.poll_at and root.armed.unwatched:  # since folders came, or rights went
                self._roots.plan_poll(root, now)
                self._roots.tell_unwatched(root)
            if root.poll_at and now >= root.poll_at:
                self._look_at_times(root)
                awake = (one for one in root.unwatched() if not root.standing.has_expired(one))
                for folder in awake:
                    self._debouncer.offer_hint(Hint(root.row.id, folder, recursive=True), now)
                self._roots.plan_poll(root, now)
            elif root.pass_at and now >= root.pass_at:
                self._look_at_times(root)
            if root.reconcile_at and now >= root.reconcile_at and self._roots.may_wake(root, now):
                root.note_look(now)
                self._log.info("reconcile", root=root.row.name, reason="interval")
                if None in root.standing.automounts.values():
                    root.reason = "interval"
                    root.move(RootEvent.DOUBT)  # what has expired is mounted, and armed, for it
                    self._probe.hurry()
                    continue
                self._debouncer.offer_hint(Hint(root.row.id, recursive=True), now)
                self._roots.plan_reconcile(root, now)

    def _look_at_times(self, root: Root) -> None:
        """Look at polled folders whose times have changed, before all files are looked at.

        Not while workers have enough to do: the look at all files finds the same.
        """
        cost_s = 0.0
        awake = [one for one in root.polled_folders if not root.standing.has_expired(one)]
        is_free = not (self._is_held_up or self._stopping)
        if awake and is_free and self._work.polled.knows(root.row.id):
            passed = self._work.look_at_times(root.row.id, awake)
            if passed is None:
                self._doubt_absent({root.row.id})
                return
            cost_s = passed.cost_s
            if passed.hints:
                self._log.debug(
                    "folders changed",
                    root=root.row.name,
                    places=len(passed.hints),
                    folders=passed.folders,
                    seconds=passed.seconds,
                )
                self._look_now(passed.hints)
        self._roots.plan_pass(root, self._clock(), cost_s)

    # What is done

    def _recover(self, root: Root) -> None:
        """Arm all watches anew, then look at everything: in this order nothing is missed (R10)."""
        root_id = root.row.id
        self._idle_work.rereading.end(root_id)
        self._watch_manager.arm(root)
        if self._links is not None:
            self._links.learn(root.row.path, Hint(root_id, recursive=True))
        self._work.polled.keep(root_id, root.polled_folders)
        root.move(RootEvent.SCAN_BEGAN)
        self._tell_status()
        if self._queued is not None:
            self._queued.recover(root.row, self._clock())
            return
        with self._progress() as listener:
            hint = Hint(root_id, recursive=True)
            looked = self._work.look(
                [hint], EventFacts(), listener, in_a_hurry=False, wakes=True, waits=True
            )
        self._take_in(looked, self._clock())
        if not looked.result.interrupted:
            self._recovered(root, looked.result)

    def _recovered(self, root: Root, result: Result) -> None:
        """All of a root was looked at since its watches were armed."""
        root_id = root.row.id
        self._since_rest = math.inf
        now = self._clock()
        if self._queued is None:  # else it was counted by those that did it
            self._change_log.write_down(root.row, result, "reconcile")
        self._mend_watches(now)
        self._commands.begin_anew()
        self._drain(now)  # events that were lost meanwhile win
        self._roots.settle(root, now)
        if root.is_settled:
            self._root_access.count_days([root_id])
            self._tell_status()  # first: a program that waits for the line may ask for it
            self._log.info(
                root.state.shown,
                root=root.row.name,
                reason=root.reason,
                files=result.seen,
                read=result.files_read,
                folders=root.armed.watched,
                seconds=result.seconds,
            )
            self._roots.tell_unwatched(root)
            self._roots.tell_empty(root, self._root_access.why_empty(root.row))
            self._idle_work.rereading.begin(root_id, root.row.name)

    def _doubt_absent(self, absent: set[int]) -> None:
        """Doubt roots that went offline after the last probe, so that a scan has skipped them."""
        for root_id in absent:
            root = self._roots.get(root_id)
            if root is not None:
                root.move(RootEvent.DOUBT)
                self._probe.hurry()

    def _mend_watches(self, now: float) -> None:
        for root_id, listed in self._work.take_listed().items():
            root = self._roots.get(root_id)
            if root is not None:
                for folder in self._watch_manager.mend(root, listed):
                    self._debouncer.offer_hint(Hint(root_id, folder, recursive=True), now)

    def _flush(self, now: float) -> None:
        """Scan what is due now. Meanwhile events gather for the next flush."""
        due_at = self._debouncer.next_due()
        if due_at is None or due_at > now or self._stopping or self._is_held_up:
            return
        dues = self._debouncer.pop_due(now, self._observe)
        present = [due for due in dues if self._is_there(due)]
        if present:
            hints = self._with_links([due.hint for due in present])
            facts = EventFacts(
                frozenset((due.hint.root_id, path) for due in present for path in due.whole),
                frozenset((due.hint.root_id, path) for due in present for path in due.unfinished),
            )
            if self._queued is not None:
                self._queued.hand(hints, facts)
                return
            in_a_hurry = self._commands.are_waiting or not all(map(_is_everything, hints))
            self._after(self._work.look(hints, facts, in_a_hurry=in_a_hurry))

    def _with_links(self, hints: list[Hint]) -> list[Hint]:
        """The hints, and those for links that show the same."""
        if self._links is None:
            return hints
        return self._links.with_shown(hints, {root.row.id: root.row.path for root in self._roots})

    def _is_calm(self) -> bool:
        """Whether nothing is due, nor being read here."""
        return (
            not (self._stopping or self._work.background.limited.row_ids)
            and self._debouncer.next_due() is None
            and self._trouble.until is None
        )

    def _look_again(self, hint: Hint) -> None:
        """Have files read again although they have not changed."""
        self._look_now([hint], in_a_hurry=False)

    def _look_now(self, hints: Sequence[Hint], *, in_a_hurry: bool = True) -> None:
        """Look at places of which no event has told."""
        if self._queued is not None:
            self._queued.hand(hints, EventFacts())
        else:
            self._after(self._work.look(hints, EventFacts(), in_a_hurry=in_a_hurry))

    def _after(self, looked: Looked) -> None:
        """Offer what a scan has left to be done, and watch the folders that it has listed."""
        result = looked.result
        self._since_rest += result.seen + sum(result.tally.values())
        now = self._clock()
        self._take_in(looked, now)
        self._mend_watches(now)

    def _take_background(self) -> None:
        """Take in the results of background readers."""
        looked = self._work.take_background()
        now = self._clock()
        self._take_in(looked, now)
        for root_id, path in looked.freed:
            self._offer_file(root_id, path, FsEventKind.ATTRIBUTES, now)

    @property
    def _is_held_up(self) -> bool:
        """Whether what is due waits until workers are done with more of what they have."""
        return self._queued is not None and self._queued.is_busy

    def _delegate(self, queued_work: QueuedWork) -> None:
        """Dispatch work to the queues, and take in the results of workers."""
        over = list(queued_work.turn(self._clock()))
        self._change_log.tell_changes()
        for root_id, result in over:
            root = self._roots.get(root_id)
            if root is not None and root.state is RootState.SCANNING:
                self._work.list_folders(root_id)
                self._recovered(root, result)
        now = self._clock()
        for root_id, path in queued_work.take_left():
            self._noted.add((root_id, path))
            self._offer_file(root_id, path, FsEventKind.WRITING, now)

    def _is_there(self, due: DueHint) -> bool:
        return self._root_is_there(due.hint.root_id)

    def _root_is_there(self, root_id: int) -> bool:
        root = self._roots.get(root_id)
        return root is not None and root.is_there

    def _observe(self, root_id: int, path: bytes, _now: float) -> Observation | None:
        root = self._roots.get(root_id)
        if root is None or not root.is_there:
            return None
        return observe_in(root, path, self._settings)

    def _take_in(self, looked: Looked, now: float) -> None:
        """Ask again for what was not whole, and for other links to what has changed."""
        self._doubt_absent(looked.absent)
        self._noted |= looked.left
        for files, kind in (
            (looked.left, FsEventKind.WRITING),
            (looked.links, FsEventKind.ATTRIBUTES),
        ):
            for root_id, path in files:
                self._offer_file(root_id, path, kind, now)

    def _offer_file(self, root_id: int, path: bytes, kind: FsEventKind, now: float) -> None:
        folder, name = paths.parent_of(path), paths.name_of(path)
        self._debouncer.offer(FsEvent(root_id, folder, name, kind), now)

    def _note_open(self, now: float) -> None:
        """Make durable which files are being written for longer than a moment."""
        if now < self._note_at:
            return
        self._note_at = now + _NOTE_PAUSE_S
        self._noted &= set(self._debouncer.open_files(now, 0.0))
        fresh = set(self._debouncer.open_files(now, _OPEN_NOTED_S)) - self._noted
        if fresh:
            rows = self._work.note_open(fresh)
            self._noted |= fresh
            if self._queued is not None:
                self._queued.hold(rows)

    def _tell_status(self) -> None:
        self._watch_manager.count(self._roots)
        trouble = "" if self._queued is None else self._queued.trouble
        self._publisher.tell(
            self._roots,
            trouble,
            self._change_log.pace,
            log_is_held=self._database.log_is_held,
            reload=self._reload.info if self._reload else ReloadInfo(),
        )


def _is_everything(hint: Hint) -> bool:
    return hint.recursive and not hint.folder
