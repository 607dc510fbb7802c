"""Hints -> an index that equals the disk there, by this process and a few reader processes."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Final

import msgspec
from msgspec import Struct

from indexer import paths
from indexer.disk.rotational import reader_count
from indexer.disk.tree import Tree
from indexer.engine.background import BackgroundReads
from indexer.evidence import chunk_of, ignore_lease_signal
from indexer.faults import FaultStreak
from indexer.ignore.path_filter import PathFilter
from indexer.model import Chunk, Entry, Hint, Listener, Progress, Reading, Waiting
from indexer.process import collector_relaxed
from indexer.readers.limited import LimitedReaders, ReadJob
from indexer.readers.pool import ReaderPool
from indexer.runs import run_counts
from indexer.runs.result import EventFacts, Result
from indexer.settings import Settings
from indexer.shares.hanging import check_answers
from indexer.stages.batch import Batch, batch
from indexer.stages.extract import extract_in
from indexer.stages.finish import close_hints, finish
from indexer.stages.hard_links import links_of, links_of_replaced, links_of_sidecars
from indexer.stages.insert import Inserter, Written
from indexer.stages.missing import MissingMarker
from indexer.stages.outcome import Outcome
from indexer.stages.rows import Rows
from indexer.stages.scan import Plan, Scan, ScanOptions, joined
from indexer.store import counted, pending, roots, tracks
from indexer.store.connection import Connection, size_cache, write_transaction
from indexer.store.pending import PendingRow

_EVIDENCE_MARGIN_S: Final = 0.25
"""Margin over `still`, since a file's times begin with the kernel's last tick."""

_TOGETHER: Final = 8
"""Chunks in one transaction of a full scan: a page that each of them touches is written once for
all. Measured with 100 000 files: 292 MB written by 4, 260 by 8; 238 by 16, which hold 6 MB more."""
_MOST_DECLINED: Final = 200
"""Rows of files for mutagen that are kept during a scan; then it waits for some. A guess."""
_DECLINED_WAIT_S: Final = 0.25
"""Longest time that a wait for them may delay the check of `stop`."""
_PATIENCE_S: Final = 2.0
"""A daemon's full scan waits for them while one comes within this time. A guess."""
_MANY_SIDECARS: Final = 2000
"""Changed pictures that are written before the end of a scan, to bound memory. A guess: 1 MB."""
_TOGETHER_S: Final = 1.0
"""Maximum batching delay of the first chunk; on a slow disk each chunk comes alone."""


class _Ready(Struct, frozen=True):
    """A chunk that was read and can be written."""

    job: ReadJob
    batch: Batch
    since_s: float


class DaemonRun(Struct, frozen=True):
    """What a daemon adds to a run: what its events tell, and what outlives the run."""

    facts: EventFacts
    streak: FaultStreak
    """Counts faults in a row over all runs."""
    background: BackgroundReads | None = None
    """Reads files for mutagen after the run, too; None: the run reads them."""


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
        self.links: set[tuple[int, bytes]] = set()
        """(root id, path) of other links to files that changed: no event tells of them at their own
        path, and their stamp is another one now. Kept for a daemon only, and not during the first
        full scan; a later one may have passed them when their file changed.
        """
        self._facts = EventFacts() if daemon is None else daemon.facts
        self._is_patient = daemon is None
        self._connection = connection
        self._trees = trees
        self._settings = settings
        self._path_filter = path_filter
        self._listener = listener
        self._stop = stop
        rows = Rows(connection, {tree.root_id: tree.name for tree in trees.values()})
        self._inserter = Inserter(connection, trees, rows)
        self._absence = MissingMarker(
            connection, trees, path_filter, rows, copy_window=settings.copy_window
        )
        self._scans: list[Scan] = []
        self._more_looks: list[Scan] = []
        self._ready: list[_Ready] = []
        self._left: list[PendingRow] = []
        self._held_rows: list[PendingRow] = []
        self._run_id = 0
        self._answered_before = 0
        self._phase = "listing"
        self._is_everything = False
        self._follows_links = not self._is_patient
        self._expected: int | None = None
        self._streak = FaultStreak() if daemon is None else daemon.streak
        self._background = None if daemon is None else daemon.background
        self._own_careful: LimitedReaders | None = None
        self.declined: set[int] = set()
        """Pending rows of files that this run left to mutagen."""
        self.runs_answered: set[int] = set()
        """Other runs that waited for files which were answered here."""

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
        self._expected = expected
        self._is_everything = any(hint.recursive and not hint.folder for hint in hints)
        is_seed = self._is_everything and tracks.is_empty(self._connection)
        self._follows_links = not self._is_patient and not is_seed
        before = pending.newest_id(self._connection)
        self._run_id = scan_id
        if scan_id:
            self._answered_before = run_counts.answered(self._connection, scan_id)
        size_cache(self._connection, seeding=True)
        try:
            with collector_relaxed():
                known = {row.hint: row for row in rows}
                isolated = self._is_patient and before > 0
                hint_rows = self._run_scans(hints, known, isolated=isolated)
            self._phase = "finishing"
            self._report("")
            if self._is_patient and not self._stopped():
                self._wait_for_evidence()
            if not self._stopped():
                self._finish(hint_rows, before)
            elif scan_id:
                with write_transaction(self._connection):
                    self._count_listing()
        finally:
            if self._own_careful is not None:
                self._own_careful.close()
            size_cache(self._connection, seeding=False)
        self.result.pending = len(self.left)
        return self.result

    @property
    def left_rows(self) -> set[int]:
        """The ids of the pending rows that stay open for incomplete files."""
        return {row.id for row in (*self._left, *self._held_rows)}

    @property
    def left_rereads(self) -> dict[tuple[int, bytes], int]:
        """Of the files that stay pending, those that a rebuild wants read again, and its id."""
        return {
            (row.hint.root_id, paths.join(row.hint.folder, name)): row.hint.reread
            for row in (*self._left, *self._held_rows)
            if row.hint.reread
            for name in row.hint.names or ()
        }

    def listed(self) -> list[tuple[Hint, set[bytes]]]:
        """Each hint, and the folders that were listed for it; kept for a daemon only."""
        return [(scan.hint, scan.folders) for scan in self._scans]

    @property
    def left(self) -> list[tuple[int, bytes]]:
        """(root id, path) of the files that were incomplete and stay pending."""
        return [
            (row.hint.root_id, paths.join(row.hint.folder, name))
            for row in (*self._left, *self._held_rows)
            for name in row.hint.names or ()
        ]

    def _run_scans(
        self, hints: Sequence[Hint], hint_rows: dict[Hint, PendingRow], *, isolated: bool
    ) -> list[PendingRow]:
        """Scan all hints; `isolated` (after a killed run) has files read only by readers."""
        self._scans = [self._scan(hint) for hint in hints]
        for jobs in (self._jobs(hint_rows), self._late_jobs(hint_rows)):
            # closed here: an error raised at garbage collection would be lost
            with closing(self._readings(jobs, isolated=isolated)) as read:
                for job, readings in read:
                    self._insert(job, readings)
                    while len(self.declined) > _MOST_DECLINED and not self._stopped():
                        self._take_declined()
                    if self._stopped():
                        self._write_ready()
                        return list(hint_rows.values())
            self._write_ready()
            self._read_declined()
        return list(hint_rows.values())

    def _scan(self, hint: Hint, chunk_files: int | None = None) -> Scan:
        return Scan(
            self._connection,
            self._trees,
            hint,
            self._path_filter,
            ScanOptions(
                chunk_files or self._settings.chunk_files, keep_folders=not self._is_patient
            ),
            beat=lambda: self._beat(hint),
            unfinished=self._facts.of_root(self._facts.unfinished, hint.root_id),
        )

    def _jobs(self, hint_rows: dict[Hint, PendingRow]) -> Iterator[ReadJob]:
        """Plan all scans, and make each plan durable before work on it begins."""
        for scan in self._scans:
            for early in scan.plans():
                plan = self._without_work(scan, early, hint_rows)
                yield from self._durable(scan.hint, plan, hint_rows)
        self._phase = "reading"

    def _late_jobs(self, hint_rows: dict[Hint, PendingRow]) -> Iterator[ReadJob]:
        """Chunks that must be inserted after all the others, however fast the readers are."""
        for scan in self._scans:
            for late in scan.late_plans():
                plan = self._without_work(scan, late, hint_rows)
                if self._background is not None and self._background.limited.files:
                    plan = self._without_held(self._background, plan)
                yield from self._durable(scan.hint, plan, hint_rows)

    def _durable(
        self, hint: Hint, plan: Plan, hint_rows: dict[Hint, PendingRow]
    ) -> Iterator[ReadJob]:
        """One row for the chunk; the first one writes the hint's own row, too.

        So a scan that finds nothing to do writes nothing (rule R14). And there is no job where the
        root was removed since the scan began.
        """
        if not plan.names:
            return
        now_ms = _now_ms()
        with write_transaction(self._connection):
            if not roots.is_watched(self._connection, hint.root_id):
                return
            row = pending.add_chunk(
                self._connection,
                Hint(hint.root_id, b"", plan.names, reread=hint.reread),
                self._own_row(hint, hint_rows, now_ms).generation,
                now_ms,
                scan_id=self._run_id,
            )
        yield ReadJob(plan, row)

    def _own_row(self, hint: Hint, hint_rows: dict[Hint, PendingRow], now_ms: int) -> PendingRow:
        """The hint's own row, which is written when there is something to do for it."""
        if hint not in hint_rows:
            hint_rows[hint] = pending.enqueue(self._connection, hint, now_ms, scan_id=self._run_id)
        return hint_rows[hint]

    def _readings(
        self, jobs: Iterator[ReadJob], *, isolated: bool
    ) -> Generator[tuple[ReadJob, list[Reading]], None, None]:
        """Read a small amount here, and a large one in a pool that ends with it."""
        little: deque[ReadJob] = deque()
        files = 0
        for job in jobs:
            little.append(job)
            files += len(job.plan.read)
            if files > self._settings.small_work or (isolated and files):
                break
        else:
            for job in little:
                yield job, self._read_here(job.plan)
            return
        scanned = {scan.hint.root_id for scan in self._scans}
        count = reader_count(self._settings, [self._trees[root_id] for root_id in scanned])
        timeout_s, memory_mb = self._settings.reader_timeout, self._settings.worker_memory
        with ReaderPool(count, timeout_s, memory_mb=memory_mb) as pool:
            work = ((job, self._chunk(job.plan)) for job in chain(little, jobs))
            yield from pool.map_unordered(work)

    def _read_here(self, plan: Plan) -> list[Reading]:
        return self._trees[plan.root_id].ask(extract_in, self._chunk(plan))

    def _chunk(self, plan: Plan, *, plain: bool = True) -> Chunk:
        """The chunk for a reader; without `plain` it may be read by mutagen."""
        closed = self._facts.of_root(self._facts.closed, plan.root_id)
        return chunk_of(self._trees[plan.root_id], plan.read, self._settings, closed, plain=plain)

    # Files left to mutagen

    @property
    def _limited(self) -> LimitedReaders:
        if self._background is not None:
            return self._background.limited
        if self._own_careful is None:
            trees = [self._trees[scan.hint.root_id] for scan in self._scans]
            count = reader_count(self._settings, trees)
            self._own_careful = LimitedReaders(self._connection, self._settings, count)
        return self._own_careful

    def _decline(self, plan: Plan, rows: Iterable[PendingRow]) -> None:
        """Hand over what our own readers declined of a plan; `rows` stand for it."""
        entries = {entry.path: entry for entry in plan.read}
        for row in rows:
            read = tuple(entries[path] for path in row.hint.names or ())
            part = Plan(plan.root_id, read, (), plan.reread)
            self._limited.offer(ReadJob(part, row), self._chunk(part, plain=False))
            self.declined.add(row.id)

    def _read_declined(self) -> None:
        """Wait for what was handed over; a daemon's full scan does so while it comes quickly."""
        if not self.declined or (self._background is not None and not self._background.waits):
            return
        patience_s = math.inf if self._background is None else _PATIENCE_S
        waited_s = 0.0
        while len(self._limited) and waited_s < patience_s and not self._stopped():
            came = self._take_declined()
            waited_s = 0.0 if came else waited_s + _DECLINED_WAIT_S

    def _take_declined(self) -> bool:
        answered = self._limited.step(_DECLINED_WAIT_S)
        self.insert_declined(answered)
        return bool(answered)

    def insert_declined(self, answered: Iterable[tuple[ReadJob, Sequence[Reading]]]) -> None:
        """Write the readings of files that were handed over, in this run or in an earlier one."""
        for job, readings in answered:
            self.declined.discard(job.row.id)
            if job.plan.root_id in self._trees:  # else its row waits until the disk is back
                self._insert(job, readings)
        self._write_ready()
        if self._background is not None:
            self._background.release()

    def insert_answered(self, answered: Sequence[tuple[ReadJob, Sequence[Reading]]]) -> None:
        """Write the readings of files that earlier runs of a daemon have handed over.

        Also mark rows missing that lost their path to one of them, since no later run may do so.
        """
        self.insert_declined(answered)
        if self._holds_unannounced():
            return
        missing = self._absence.announce_missing(_now_ms())
        self.result.tally[Outcome.MISSING] += len(missing)
        if missing:
            runs_answered = {job.row.scan_id for job, _ in answered}
            with write_transaction(self._connection):
                only = runs_answered.pop() if len(runs_answered) == 1 else 0
                run_counts.count_missing(self._connection, missing, only)

    def _without_work(self, scan: Scan, plan: Plan, hint_rows: dict[Hint, PendingRow]) -> Plan:
        """A scan's plan without files that are being read in the background in their present state.

        Their rows stand for them already. A newer row would make each answer obsolete, in scan
        after scan, as long as one answer causes another scan. Their results count for the scan that
        had them read, and for the run of a command that waits for them here; to any other scan they
        are unchanged.
        """
        limited = None if self._background is None else self._background.limited
        if limited is None or not limited.files:
            return plan
        read: list[Entry] = []
        in_work: list[bytes] = []
        for entry in plan.read:
            row = limited.row_of(plan.root_id, entry.path, entry.stamp, plan.reread)
            if row is None:
                read.append(entry)
                continue
            self.declined.add(row.id)
            if self._run_id not in (0, row.scan_id):
                in_work.append(entry.path)
            else:
                scan.unchanged += 1
        if in_work:
            now_ms = _now_ms()
            with write_transaction(self._connection):
                if roots.is_watched(self._connection, plan.root_id):
                    own = self._own_row(scan.hint, hint_rows, now_ms)
                    counted.add_dropped(self._connection, in_work, own, now_ms)
        return msgspec.structs.replace(plan, read=tuple(read))

    def _without_held(self, background: BackgroundReads, plan: Plan) -> Plan:
        """The plan without files whose path belonged to one that is being read in the background.

        That one may have moved: its row must follow it before its path is given to another file.
        """
        read = []
        for entry in plan.read:
            here = tracks.in_place(self._connection, plan.root_id, entry.path)
            if here is None or not background.hold(here):
                read.append(entry)
        return msgspec.structs.replace(plan, read=tuple(read))

    def _insert(self, job: ReadJob, readings: Sequence[Reading]) -> None:
        """Batch and write what was read."""
        tree = self._trees[job.plan.root_id]
        if tree.may_hang and any(one.waiting is Waiting.SILENT for one in readings):
            check_answers(tree)
        self._streak.count_all(readings)
        ready = batch(job.plan, readings)
        self.result.files_read += ready.files_read
        self.result.bytes_read += ready.bytes_read
        self.result.damaged += ready.damaged
        if self._follows_links:
            self.links |= links_of_replaced(self._connection, ready)
        self._ready.append(_Ready(job, ready, time.monotonic()))
        waited_s = time.monotonic() - self._ready[0].since_s
        if not self._is_everything or len(self._ready) >= _TOGETHER or waited_s > _TOGETHER_S:
            self._write_ready()
        self._report(self._trees[job.plan.root_id].name)

    def _write_ready(self) -> None:
        """Write the chunks that were held back to share a transaction."""
        if not self._ready:
            return
        ready, self._ready = self._ready, []
        chunks = [(one.job.row, one.batch) for one in ready]

        results = self._inserter.write_all(chunks, _now_ms(), count=self._count_chunks)
        for one, written in zip(ready, results, strict=True):
            self._follow_links(one.job.plan)
            if written is None:
                continue
            self.result.tally.update(written.tally)
            if written.declined:
                self._decline(one.job.plan, written.declined)
            if written.left is not None:
                self._left.append(written.left)
            if written.held is not None:  # not asked for again in this run
                self._held_rows.append(written.held)

    def _count_chunks(
        self,
        chunks: Sequence[tuple[PendingRow, Batch]],
        written: Sequence[Written | None],
    ) -> None:
        answered = run_counts.count_chunks(self._connection, chunks, written)
        self.runs_answered.update(scan_id for _, scan_id in answered)

    def _follow_links(self, plan: Plan) -> None:
        """Note the other links to the files that were written.

        Not the written paths: a file that could not be read keeps its row, which stays behind.
        """
        if not self._follows_links:
            return
        own = {(plan.root_id, path) for path in plan.names}
        for entry in (*plan.read, *plan.unread):
            links = links_of(self._connection, entry.disk_id, entry.stamp.inode, entry.stamp)
            self.links |= links - own

    def _wait_for_evidence(self) -> None:
        """Check again, with growing pauses, the files that were incomplete (rule R2)."""
        settings = self._settings
        deadline = time.monotonic() + settings.still + _EVIDENCE_MARGIN_S
        pause = settings.retry_first
        while self._left and time.monotonic() < deadline and not self._stopped():
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, settings.retry_longest)
            rows, self._left = self._left, []
            for row in rows:
                self._ask_again(row)
            self._read_declined()

    def _ask_again(self, row: PendingRow) -> None:
        """Scan the names that one chunk left open."""
        scan = self._scan(row.hint, len(row.hint.names or ()) + 1)
        plans = [*scan.plans(), *scan.late_plans()]
        self._more_looks.append(scan)
        if plans:
            whole = joined(row.hint, plans)
            self._insert(ReadJob(whole, row), self._read_here(whole))
            self._write_ready()
            return
        with write_transaction(self._connection):
            if pending.complete(self._connection, row):
                run_counts.count_unplanned(self._connection, row, 0)  # `_count_listing` does

    def _finish(self, hint_rows: Sequence[PendingRow], before: int) -> None:
        """Mark what is missing, record what could not be listed, and complete the hints."""
        now_ms = _now_ms()
        scans = [*self._scans, *self._more_looks]
        background = self._background
        done = finish(
            self._connection,
            self._absence,
            scans,
            self._vanished(scans),
            now_ms,
            note_links=self._note_links,
            announces=not self._holds_unannounced(),
        )
        self.result.tally[Outcome.MISSING] += len(done.missing)
        moved = Counter({Outcome.MOVED: len(done.moved)})
        self.result.tally[Outcome.PROBLEM] += done.problems
        covered = [scan.hint for scan in self._scans if before]
        if background is not None and self.declined and covered:
            background.complete_later(self.declined, covered, before, self._run_id)
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
                )
                run_counts.count_closed(self._connection, closed)
                for hint in left_open:
                    if roots.is_watched(self._connection, hint.root_id):
                        self._left.append(pending.enqueue(self._connection, hint, now_ms))
        self.result.tally.update(moved)

    def _count_listing(self) -> None:
        """Count in the run's row what was seen and is unchanged."""
        self._report("")
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
        background = self._background
        if background is None or not background.limited.files:
            return vanished
        return [one for one in vanished if not self._may_have_moved(background, one)]

    def _may_have_moved(self, background: BackgroundReads, track_id: int) -> bool:
        """Whether a row's file may be one that is being read at another path."""
        known = tracks.by_id(self._connection, track_id)
        return known is not None and background.hold(known)

    def _note_links(self, links: set[tuple[int, bytes]]) -> None:
        if self._follows_links:
            self.links |= links

    def _holds_unannounced(self) -> bool:
        """Whether a row that lost its path may still turn up at another one."""
        files = {} if self._background is None else self._background.limited.files
        return bool(files) and any(
            (known.disk_id, known.stamp.inode) in files
            for known in tracks.unannounced(self._connection)
        )

    def _stopped(self) -> bool:
        if self._stop():
            self.result.interrupted = True
        return self.result.interrupted

    def _beat(self, hint: Hint) -> bool:
        """Report the progress of a scan; False if it should stop."""
        self._report(self._trees[hint.root_id].name)
        for scan in self._scans:
            if len(scan.sidecars.changes) >= _MANY_SIDECARS:
                changes = scan.sidecars.take()
                if self._follows_links and not self._is_everything:
                    self.links |= links_of_sidecars(self._connection, changes)
                self._absence.note_sidecars(changes)
        return not self._stopped()

    def _report(self, root: str) -> None:
        self.result.seen = sum(scan.seen for scan in self._scans)
        self.result.unchanged = sum(scan.unchanged for scan in (*self._scans, *self._more_looks))
        if self._listener is not None:
            self._listener(
                Progress(
                    phase=self._phase,
                    root=root,
                    seen=self.result.seen,
                    to_read=sum(scan.to_read for scan in self._scans),
                    read=self.result.files_read,
                    expected=self._expected,
                )
            )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
