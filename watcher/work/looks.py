"""Hints that are due -> looks at their places, here or by workers, and what these leave to do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from indexer import paths
from indexer.model import Hint
from indexer.runs.result import EventFacts, Result
from indexer.settings import Settings
from indexer.store.work.pending import PendingRow
from watcher.debounce.debouncer import Debouncer, DueHint
from watcher.debounce.folder_buffer import Observation
from watcher.debounce.observation import observe_in
from watcher.events.fs_event import FsEvent, FsEventKind
from watcher.events.watch_manager import WatchManager
from watcher.log import EventLog
from watcher.loop import Loop
from watcher.roots.root import Root
from watcher.roots.root_states import Roots
from watcher.work.local_work import LocalWork, Looked
from watcher.work.queued_work import QueuedWork

_MUCH: Final = 2_000
"""Files looked at or missed, after which memory is given back when it is quiet. A guess."""
_QUIET_S: Final = 20.0
"""Without a look for so long, what a few of them took is given back, too. A guess: while an album
is tagged file by file, nothing is forgotten."""
_NOTE_PAUSE_S: Final = 0.2
"""Between two looks at all files that are being written. A guess."""
_OPEN_NOTED_S: Final = 0.5
"""A file that is written for so long is noted as pending; a shorter copy is not worth a write."""
Asked = Hint | list[PendingRow]
"""A hint to be scanned, or the hints of a run."""


class Commands:
    """Hints that commands have left, and the rest of a run that was killed.

    A row is taken once, and is completed by the scan of its path. Until then each call checks
    whether it was. A hint that a command waits for belongs to a run, which is scanned separately
    and counted; other hints are scanned together with all else that is due.
    """

    def __init__(self, work: LocalWork, roots: Roots, log: EventLog) -> None:
        self._work = work
        self._roots = roots
        self._log = log
        self._may_have_rows = True
        self._taken: set[int] = set()

    @property
    def are_waiting(self) -> bool:
        """Whether taken rows are still open."""
        return bool(self._taken)

    def note_new_rows(self) -> None:
        """Other processes may have left rows."""
        self._may_have_rows = True

    def begin_anew(self) -> None:
        """Taken rows may have been dropped: their root was offline, or there was an error."""
        self._may_have_rows = True
        self._taken.clear()

    def take_for(self, root: Root) -> list[PendingRow]:
        """What a command waits for that looks at all of this root anyway; none: nothing does.

        Of a run about several roots, the hint for this one.
        """
        if self._may_have_rows:
            for row in self._work.left_by_others():
                hint = row.hint
                is_all = hint.recursive and hint.names is None and not hint.folder
                if hint.root_id == root.row.id and is_all and row.scan_id and not row.is_chunk:
                    self._taken.add(row.id)
                    self._log.info("asked", root=root.row.name, reread=bool(hint.reread))
                    return [row]
        return []

    def take(self) -> Iterator[Asked]:
        """New hints of roots that are there, the oldest first."""
        if not (self._may_have_rows or self._taken):
            return
        self._may_have_rows = False
        rows = {row.id: row for row in self._work.left_by_others()}
        self._taken &= rows.keys()
        runs: dict[int, list[PendingRow]] = {}
        for row_id in sorted(rows.keys() - self._taken):
            row = rows[row_id]
            root = self._roots.get(row.hint.root_id)
            if root is None or not root.is_there:
                continue
            self._taken.add(row_id)
            if row.hint.names is None and row.hint.recursive and not row.hint.folder:
                self._log.info("asked", root=root.row.name, reread=bool(row.hint.reread))
            if row.scan_id and not row.is_chunk:
                runs.setdefault(row.scan_id, []).append(row)
            else:
                yield row.hint
        yield from runs.values()


class Looks:
    """Has places looked at, and offers to the debouncer what was not whole there."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        roots: Roots,
        debouncer: Debouncer,
        watch_manager: WatchManager,
        work: LocalWork,
        *,
        queued: QueuedWork | None,
        commands: Commands,
    ) -> None:
        """`queued` does them where workers are to; else `work`, in the turns of the `loop`."""
        self.clock = loop.clock
        self._loop = loop
        self._settings = settings
        self._roots = roots
        self._debouncer = debouncer
        self._watch_manager = watch_manager
        self._work = work
        self._queued = queued
        self._commands = commands
        self._note_at = -math.inf
        self._noted: set[tuple[int, bytes]] = set()
        """Files being written that stand in a pending row."""
        self._since_idle: float = 0
        """How many files were looked at, or missed, since memory was given back."""
        self._worked_at: float | None = None
        """When something was looked at, or given to workers, if that was since the last quiet."""

    @property
    def is_calm(self) -> bool:
        """Whether nothing is due, nor being read here."""
        return not self._work.background.limited.row_ids and self._debouncer.next_due() is None

    @property
    def _may_begin(self) -> bool:
        """Whether more may be looked at now."""
        return not (self._is_held_up or self._loop.is_stopping)

    @property
    def _is_held_up(self) -> bool:
        """Whether what is due waits until workers are done with more of what they have."""
        return self._queued is not None and self._queued.is_busy

    def next_turns(self) -> Iterator[float | None]:
        """When something is due, if nothing happens before."""
        yield self._work.background.limited.next_turn()
        if not self._is_held_up:
            yield self._debouncer.next_due()
        if self._queued is not None:
            yield self._queued.next_turn()
        yield None if self._worked_at is None else self._worked_at + _QUIET_S

    def take_commands(self, now: float) -> None:
        """Do what commands have asked this process for."""
        if self._queued is not None:
            return
        for asked in self._commands.take():
            if isinstance(asked, Hint):
                self._debouncer.offer_hint(asked, now)
            elif not self._loop.is_stopping:
                self._after(self._work.do_run(asked))

    def take_background(self) -> None:
        """Take in the results of background readers."""
        looked = self._work.take_background()
        now = self.clock()
        self._take_in(looked, now)
        for root_id, path in looked.freed:
            self._offer_file(root_id, path, FsEventKind.ATTRIBUTES, now)

    def flush(self, now: float) -> None:
        """Scan what is due now. Meanwhile events gather for the next flush."""
        due_at = self._debouncer.next_due()
        if due_at is None or due_at > now or not self._may_begin:
            return
        dues = self._debouncer.pop_due(now, self._observe)
        present = [due for due in dues if self._roots.has(due.hint.root_id)]
        if present:
            self._look(self._with_links([due.hint for due in present]), _facts_of(present))

    def look_now(self, hints: Sequence[Hint], *, urgent: bool = True) -> None:
        """Scan places for which there was no event."""
        if self._queued is not None:
            self._hand(self._queued, hints, EventFacts())
        else:
            self._after(self._work.look(hints, EventFacts(), urgent=urgent))

    def look_at_times(self, root: Root) -> float | None:
        """Look at polled folders of a root whose times have changed; what that cost, in seconds.

        Not while workers have enough to do: the look at all files finds the same. None where the
        root is away.
        """
        root_id = root.row.id
        awake = [one for one in root.polled_folders if not root.check.has_expired(one)]
        if not (awake and self._may_begin and self._work.polled.knows(root_id)):
            return 0.0
        passed = self._work.look_at_times(root.row, awake)
        if passed is None:
            self._roots.mark_absent_stale({root_id})
            return None
        if passed.hints:
            self.look_now(passed.hints)
        return passed.cost_s

    def rescan(self, root: Root) -> Result | None:
        """Look at all of a root; None where workers do it (see `delegate`), or it was stopped."""
        self._work.polled.keep(root.row.id, root.polled_folders)
        if self._queued is not None:
            self._queued.recover(root.row, self.clock())
            return None
        asked = self._commands.take_for(root)  # a look for each would read a new root twice
        looked = self._work.look_at_all(root.row, asked)
        self._take_in(looked, self.clock())
        return None if looked.result.interrupted else looked.result

    def rescanned(self, root_id: int) -> None:
        """All of a root was looked at, here or by workers: watch the folders that it has."""
        self._since_idle = math.inf
        if self._queued is not None:
            self._work.list_folders(root_id)
        self._mend_watches(self.clock())
        self._commands.begin_anew()

    def delegate(self, queued: QueuedWork) -> list[tuple[int, Result]]:
        """Dispatch work to the queues, and take in the results of workers.

        Root id and result of each full scan of a root that workers have ended.
        """
        over = list(queued.turn(self.clock()))
        now = self.clock()
        for root_id, path in queued.take_left():
            self._noted.add((root_id, path))
            self._offer_file(root_id, path, FsEventKind.WRITING, now)
        return over

    def note_open(self, now: float) -> None:
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

    def may_rest(self) -> bool:
        """Whether much was done since this last said so, and nothing is waiting."""
        if self._since_idle <= _MUCH or self._debouncer.next_due() is not None:
            return False
        self._since_idle = 0
        return True

    def has_gone_quiet(self) -> bool:
        """Whether nothing was looked at for a while, after something was; true once."""
        if self._worked_at is None or self.clock() < self._worked_at + _QUIET_S:
            return False
        self._worked_at = None
        return True

    def _hand(self, queued: QueuedWork, hints: Sequence[Hint], facts: EventFacts) -> None:
        queued.hand(hints, facts)
        self._worked_at = self.clock()

    def _look(self, hints: Sequence[Hint], facts: EventFacts) -> None:
        if self._queued is not None:
            self._hand(self._queued, hints, facts)
            return
        urgent = self._commands.are_waiting or not all(map(_is_everything, hints))
        self._after(self._work.look(hints, facts, urgent=urgent))

    def _with_links(self, hints: list[Hint]) -> list[Hint]:
        """The hints, and those for links that show the same."""
        links = self._watch_manager.links
        if links is None:
            return hints
        return links.with_shown(hints, {root.row.id: root.row.path for root in self._roots})

    def _observe(self, root_id: int, path: bytes, _now: float) -> Observation | None:
        root = self._roots.get(root_id)
        if root is None or not root.is_there:
            return None
        return observe_in(root, path, self._settings)

    def _after(self, looked: Looked) -> None:
        """Offer what a scan has left to be done, and watch the folders that it has listed."""
        result = looked.result
        self._since_idle += result.seen + sum(result.tally.values())
        now = self._worked_at = self.clock()
        self._take_in(looked, now)
        self._mend_watches(now)

    def _take_in(self, looked: Looked, now: float) -> None:
        """Ask again for what was not whole, and for other links to what has changed."""
        self._roots.mark_absent_stale(looked.absent)
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

    def _mend_watches(self, now: float) -> None:
        for root_id, listed in self._work.take_listed().items():
            root = self._roots.get(root_id)
            if root is not None:
                for folder in self._watch_manager.mend(root, listed):
                    self._debouncer.offer_hint(Hint(root_id, folder, recursive=True), now)


def _facts_of(dues: Sequence[DueHint]) -> EventFacts:
    return EventFacts(
        frozenset((due.hint.root_id, path) for due in dues for path in due.whole),
        frozenset((due.hint.root_id, path) for due in dues for path in due.unfinished),
    )


def _is_everything(hint: Hint) -> bool:
    return hint.recursive and not hint.folder
