"""Hints -> an index that equals the disk there, by this process and a few reader processes."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Final

from msgspec import Struct

from indexer.disk.tree import Tree
from indexer.engine.background import BackgroundReads
from indexer.engine.chunk_writer import ChunkWriter
from indexer.engine.read_jobs import ReadJobs, RunReaders, in_groups
from indexer.evidence import ignore_lease_signal
from indexer.faults import FaultStreak
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint, Listener, Reading
from indexer.process import collector_relaxed
from indexer.readers.limited import ReadJob
from indexer.runs import run_counts
from indexer.runs.result import EventFacts, Result, RunProgress
from indexer.settings import Settings
from indexer.stages.finish import MissingMarker, close_hints, finish
from indexer.stages.folder_times import FolderTimes
from indexer.stages.fresh_files import FreshFiles
from indexer.stages.hard_links import links_of_sidecars
from indexer.stages.moves import Outcome
from indexer.stages.rows import Rows
from indexer.stages.scan import Scan, ScanOptions, joined, left_open_of
from indexer.store import roots, tracks, upkeep
from indexer.store.connection import Connection, tune, write_transaction
from indexer.store.work import pending
from indexer.store.work.pending import PendingRow

_EVIDENCE_MARGIN_S: Final = 0.25
"""Margin over `still`, since a file's times begin with the kernel's last tick."""

_SEED_PLANS: Final = 4
"""Chunks of a first scan whose rows of `pending` are written in one transaction. Measured with
100 000 files: 4 MB less written of 225."""
_MOST_DECLINED: Final = 200
"""Rows of files for mutagen that are kept during a scan; then it waits for some. A guess."""
_DECLINED_WAIT_S: Final = 0.25
"""Longest time that a wait for them may delay the check of `stop`."""
_PATIENCE_S: Final = 2.0
"""A daemon's full scan waits for them while one comes within this time. A guess."""
_MANY_SIDECARS: Final = 2000
"""Changed pictures that are written before the end of a scan, to bound memory. A guess: 1 MB."""


def _no_times(_hint: Hint) -> Mapping[bytes, FolderTimes]:
    return {}


class DaemonRun(Struct, frozen=True):
    """What a daemon adds to a run: facts from its events, and what outlives the run."""

    facts: EventFacts
    streak: FaultStreak
    """Counts faults in a row over all runs."""
    background: BackgroundReads | None = None
    """Reads files for mutagen after the run, too; None: the run reads them."""
    fresh: FreshFiles | None = None
    """Holds files that were read in the tick of their ctime; None: the tick is waited for."""
    times_for: Callable[[Hint], Mapping[bytes, FolderTimes]] = _no_times
    """Polled places that a hint covers, and what is to be filled with their folders."""


class LocalEngine:
    """Runs the stages: scan, batch and insert in this process, extract in it or in a pool.

    A pool exists only while there is much to read. `stop` is polled between batches; what was
    committed by then stays, and the rest stays in `pending`.
    """

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        settings: Settings,
        path_filter: PathFilter,
        result: Result,
        *,
        listener: Listener | None = None,
        stop: Callable[[], bool] = lambda: False,
        daemon: DaemonRun | None = None,
    ) -> None:
        """With `daemon`, the run does not wait for incomplete files, nor for files for mutagen."""
        self.result = result
        self._facts = EventFacts() if daemon is None else daemon.facts
        self._is_patient = daemon is None
        self._connection = connection
        self._trees = trees
        self._settings = settings
        self._path_filter = path_filter
        self._stop = stop
        rows = Rows(connection, {tree.root_id: tree.name for tree in trees.values()})
        self._absence = MissingMarker(
            connection, trees, path_filter, rows, copy_window=settings.copy_window
        )
        self._run_id = 0
        self._is_seed = False
        self._answered_before = 0
        self._background = None if daemon is None else daemon.background
        self._times_for = _no_times if daemon is None else daemon.times_for
        self._progress = RunProgress(result, listener)
        fresh = None if daemon is None else daemon.fresh
        self.readers = RunReaders(
            connection, trees, settings, self._facts, self._background, fresh=fresh
        )
        streak = FaultStreak() if daemon is None else daemon.streak
        self.writer = ChunkWriter(connection, trees, rows, self.readers, self._progress, streak)
        self.writer.follows_links = not self._is_patient

    def run(
        self,
        hints: Sequence[Hint],
        *,
        expected: int | None = None,
        scan_id: int = 0,
        rows: Sequence[PendingRow] = (),
    ) -> Result:
        """Bring the index to what the disk holds at these paths.

        `scan_id` is the run whose row in `scans` counts it, and `rows` are the hints' own rows in
        `pending`, if they have any.

        Order: everything new and changed, then files that replaced others, then those that were
        incomplete. Rows go missing only when all of it is inserted, so that no file that moved is
        ever reported as missing.
        """
        ignore_lease_signal()
        self._progress.expected = expected
        is_everything = any(hint.recursive and not hint.folder for hint in hints)
        self._is_seed = is_everything and tracks.is_empty(self._connection)
        is_large = any(hint.recursive for hint in hints)
        self.writer.is_everything = is_everything
        self.writer.follows_links = not self._is_patient and not self._is_seed
        before = pending.newest_id(self._connection)
        self._run_id = scan_id
        if scan_id:
            self._answered_before = run_counts.answered(self._connection, scan_id)
        if is_large:
            tune(self._connection, seeding=True)
        try:
            with collector_relaxed() if is_large else nullcontext():
                known = {row.hint: row for row in rows}
                jobs = ReadJobs(
                    self._connection,
                    scan_id,
                    known,
                    self.readers.declined,
                    self._background,
                    newest_before=before,
                )
                isolated = self._is_patient and before > 0
                self._run_scans(hints, jobs, isolated=isolated)
            self._progress.phase = "finishing"
            self._progress.report("")
            if self._is_patient and not self._stopped():
                self._wait_for_evidence()
            if not self._stopped():
                self._finish(jobs.hint_rows.values(), before)
            elif scan_id:
                with write_transaction(self._connection):
                    self._count_listing()
        finally:
            self.readers.close()
            if is_large:
                tune(self._connection, seeding=False)
        self.result.pending = len(self.writer.left)
        return self.result

    def listed(self) -> list[tuple[Hint, set[bytes]]]:
        """Each hint, and the folders that were listed for it; kept for a daemon only."""
        return [(scan.hint, scan.folders) for scan in self._progress.scans]

    def times(self) -> list[tuple[Hint, Mapping[bytes, FolderTimes]]]:
        """Each hint, and what `times_for` gave for it, filled."""
        return [(scan.hint, scan.times) for scan in self._progress.scans]

    def _run_scans(self, hints: Sequence[Hint], rows: ReadJobs, *, isolated: bool) -> None:
        """Scan all hints; `isolated` (after a killed run) has files read only by readers."""
        self._progress.scans = [self._scan(hint) for hint in hints]
        self.readers.begin({hint.root_id for hint in hints})
        for jobs in (self._jobs(rows), self._late_jobs(rows)):
            # closed here: an error raised at garbage collection would be lost
            with closing(self.readers.readings(jobs, isolated=isolated)) as read:
                for job, readings in read:
                    self.writer.add(job, readings)
                    while len(self.readers.declined) > _MOST_DECLINED and not self._stopped():
                        self._take_declined()
                    if self._stopped():
                        self.writer.write_ready()
                        return
            self.writer.write_ready()
            self._read_declined()

    def _scan(self, hint: Hint, chunk_files: int | None = None) -> Scan:
        return Scan(
            self._connection,
            self._trees,
            hint,
            self._path_filter,
            ScanOptions(
                chunk_files or self._settings.chunk_files,
                keep_folders=not self._is_patient,
                times=self._times_for(hint),
            ),
            keep_on=lambda: self._report_progress(hint),
            unfinished=self._facts.of_root(self._facts.unfinished, hint.root_id),
        )

    def _jobs(self, rows: ReadJobs) -> Iterator[ReadJob]:
        """Plan all scans, and make each plan durable before work on it begins."""
        for scan in self._progress.scans:
            for early in in_groups(scan.plans(), _SEED_PLANS if self._is_seed else 1):
                plans = [rows.without_work(scan, plan) for plan in early]
                yield from rows.durable(scan.hint, plans)
        self._progress.phase = "reading"

    def _late_jobs(self, rows: ReadJobs) -> Iterator[ReadJob]:
        """Chunks that must be inserted after all the others, however fast the readers are."""
        for scan in self._progress.scans:
            for late in scan.late_plans():
                plan = rows.without_work(scan, late)
                if self._at_work is not None:
                    plan = self._at_work.without_held(plan)
                yield from rows.durable(scan.hint, [plan])

    def _read_declined(self) -> None:
        """Wait for what was handed over; a daemon's full scan does so while it comes quickly."""
        if not self.readers.declined or (
            self._background is not None and not self._background.waits
        ):
            return
        patience_s = math.inf if self._background is None else _PATIENCE_S
        waited_s = 0.0
        while len(self.readers.limited) and waited_s < patience_s and not self._stopped():
            came = self._take_declined()
            waited_s = 0.0 if came else waited_s + _DECLINED_WAIT_S

    def _take_declined(self) -> bool:
        answered = self.readers.limited.step(_DECLINED_WAIT_S)
        self.insert_declined(answered)
        return bool(answered)

    def insert_declined(self, answered: Iterable[tuple[ReadJob, Sequence[Reading]]]) -> None:
        """Write the readings of files that were handed over, in this run or in an earlier one."""
        for job, readings in answered:
            self.readers.declined.discard(job.row.id)
            if job.plan.root_id in self._trees:  # else its row waits until the disk is back
                self.writer.add(job, readings)
        self.writer.write_ready()
        if self._background is not None:
            self._background.release()

    def insert_answered(self, answered: Sequence[tuple[ReadJob, Sequence[Reading]]]) -> None:
        """Write the readings of files that earlier runs of a daemon have handed over.

        Also mark rows missing that lost their path to one of them, since no later run may do so.
        """
        self.insert_declined(answered)
        if self._at_work is not None and self._at_work.holds_unannounced():
            return
        missing = self._absence.announce_missing(_now_ms())
        self.result.tally[Outcome.MISSING] += len(missing)
        if missing:
            runs_answered = {job.row.scan_id for job, _ in answered}
            with write_transaction(self._connection):
                only = runs_answered.pop() if len(runs_answered) == 1 else 0
                run_counts.count_missing(self._connection, missing, only)
        upkeep.end_first_scan(self._connection)

    def _wait_for_evidence(self) -> None:
        """Check again, with growing pauses, the files that were incomplete (rule R2)."""
        settings = self._settings
        deadline = time.monotonic() + settings.still + _EVIDENCE_MARGIN_S
        pause = settings.retry_first
        while self.writer.incomplete and time.monotonic() < deadline and not self._stopped():
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, settings.retry_longest)
            rows, self.writer.incomplete = self.writer.incomplete, []
            for row in rows:
                self._ask_again(row)
            self._read_declined()

    def _ask_again(self, row: PendingRow) -> None:
        """Scan the names that one chunk left open."""
        scan = self._scan(row.hint, len(row.hint.names or ()) + 1)
        plans = [*scan.plans(), *scan.late_plans()]
        self._progress.more_scans.append(scan)
        if plans:
            whole = joined(row.hint, plans)
            self.writer.add(ReadJob(whole, row), self.readers.read_here(whole))
            self.writer.write_ready()
            return
        with write_transaction(self._connection):
            if pending.complete(self._connection, row):
                run_counts.count_unplanned(self._connection, row, 0)  # `_count_listing` does

    def _finish(self, hint_rows: Collection[PendingRow], before: int) -> None:
        """Mark what is missing, record what could not be listed, and complete the hints."""
        now_ms = _now_ms()
        scans = [*self._progress.scans, *self._progress.more_scans]
        background = self._background
        done = finish(
            self._connection,
            self._absence,
            scans,
            self._vanished(scans),
            now_ms,
            note_links=self.writer.note_links,
            announces=self._at_work is None or not self._at_work.holds_unannounced(),
        )
        self.result.tally[Outcome.MISSING] += len(done.missing)
        moved = Counter({Outcome.MOVED: len(done.moved)})
        self.result.tally[Outcome.PROBLEM] += done.problems
        covered = [scan.hint for scan in self._progress.scans if before]
        if background is not None and self.readers.declined and covered:
            background.complete_later(
                self.readers.declined, covered, before, self._run_id, left_open_of(scans)
            )
            covered = []
        left_open = [
            Hint(scan.hint.root_id, b"", tuple(scan.left_open), reread=scan.hint.reread)
            for scan in scans
            if scan.left_open
        ]
        if hint_rows or covered or left_open or self._run_id:
            with write_transaction(self._connection):
                self._count_listing()
                run_counts.count_missing(self._connection, done.missing, self._run_id)
                scanned = [scan.hint for scan in scans]
                moved = run_counts.count_moved(self._connection, done.moved, self._run_id, scanned)
                run_counts.count_unlisted(self._connection, done.problems, self._run_id)
                closed = close_hints(
                    self._connection,
                    hint_rows,
                    covered,
                    before,
                    rereads_too=self._is_patient,
                    scan_id=self._run_id,
                    left_open=left_open_of(scans),
                )
                run_counts.count_closed(self._connection, closed)
                for hint in left_open:
                    if roots.is_watched(self._connection, hint.root_id):
                        self.writer.incomplete.append(
                            pending.enqueue(self._connection, hint, now_ms)
                        )
        self.result.tally.update(moved)
        upkeep.end_first_scan(self._connection)

    def _count_listing(self) -> None:
        """Count in the run's row what was seen and is unchanged."""
        self._progress.report("")
        run_counts.count_listing(
            self._connection,
            self._run_id,
            self.result.seen,
            self.result.unchanged,
            answered_before=self._answered_before,
        )

    def _vanished(self, scans: Sequence[Scan]) -> list[int]:
        """The rows that no scan found, and whose files are not being read at another path."""
        vanished = [track_id for scan in scans for track_id in scan.vanished]
        at_work = self._at_work
        if at_work is None:
            return vanished
        return [one for one in vanished if not at_work.may_have_moved(one)]

    @property
    def _at_work(self) -> BackgroundReads | None:
        """The readers in the background, while they have files to read."""
        background = self._background
        return background if background is not None and background.limited.files else None

    def _stopped(self) -> bool:
        if self._stop():
            self.result.interrupted = True
        return self.result.interrupted

    def _report_progress(self, hint: Hint) -> bool:
        """Report the progress of a scan; False if it should stop."""
        self._progress.report(self._trees[hint.root_id].name)
        for scan in self._progress.scans:
            if len(scan.sidecars.changes) >= _MANY_SIDECARS:
                changes = scan.sidecars.take()
                if self.writer.follows_links and not self.writer.is_everything:
                    self.writer.note_links(links_of_sidecars(self._connection, changes))
                self._absence.note_sidecars(changes)
        return not self._stopped()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
