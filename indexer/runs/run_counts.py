"""Work done for a scan or rebuild -> its counts in `scans`, whichever process does it.

A run is a row of `scans`. Its hints and chunks in `pending` have its id, and each process counts
what it does for them in the same transaction, so the row is the report. A file that a run has seen
is counted once: as unchanged, with the listing; or by its reading, in whichever chunk. For
others may come first: a daemon scans a change that it saw, or another command scans the same path.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from indexer import paths
from indexer.model import ChangeKind, Hint, IndexedFile, RowState
from indexer.runs.result import Result
from indexer.stages.batch import Batch
from indexer.stages.finish import Succession
from indexer.stages.insert import Written
from indexer.stages.moves import Outcome, Tally
from indexer.store import changes, tracks
from indexer.store.connection import Connection
from indexer.store.work import counted, scans
from indexer.store.work.counted import mark
from indexer.store.work.covered import Closed, covers
from indexer.store.work.pending import PendingRow

_ANSWERS: Final = [outcome for outcome in Outcome if outcome is not Outcome.MISSING]


def result_of(connection: Connection, scan_id: int) -> Result:
    """What a run has counted so far."""
    result = Result()
    result.take(scans.counts_of(connection, scan_id))
    return result


def answered(connection: Connection, scan_id: int) -> int:
    """How many files the chunks of a run have answered so far.

    A listing that begins now finds them unchanged: another process was killed in the middle.
    """
    counts = scans.counts_of(connection, scan_id)
    return sum(int(counts.get(str(outcome), 0)) for outcome in _ANSWERS)


def count_listing(
    connection: Connection, scan_id: int, seen: int, unchanged: int, *, answered_before: int
) -> None:
    """Count what a listing has seen, once for a run. `answered_before` is from its beginning."""
    if scan_id:
        listed = max(0, unchanged - answered_before)
        numbers = {"seen": seen, str(Outcome.UNCHANGED): listed, scans.LISTED: listed}
        scans.add(connection, scan_id, numbers)


def count_chunks(
    connection: Connection,
    chunks: Sequence[tuple[PendingRow, Batch]],
    results: Sequence[Written | None],
) -> set[tuple[int, int]]:
    """Count the results of chunks; their rows are as before. None: another process completed it.

    (generation, run) of other rows that waited for just this, and are complete now.
    """
    answered_too: set[tuple[int, int]] = set()
    own: dict[int, Counter[str]] = {}
    for (row, batch), written in zip(chunks, results, strict=True):
        if written is None:
            continue
        if row.scan_id:
            own.setdefault(row.scan_id, Counter()).update(_own(connection, row, batch, written))
        if counted.waits_for_others(connection, row.scan_id):
            answered_too |= _count_for_others(connection, row, batch, written)
    for scan_id, numbers in own.items():
        scans.add(connection, scan_id, numbers)
    return answered_too


def _own(connection: Connection, row: PendingRow, batch: Batch, written: Written) -> Counter[str]:
    """What a chunk counts for its own run: each file with its answer, and its reading with that.

    A reading that came to nothing counts nowhere: its file was not whole, another row answers it,
    or this is a second answer to a row of which other files were answered before.
    """
    outcomes = _outcomes(written)
    answers = [one for one in batch.findings if one.entry.path in outcomes]
    waiting = _waiting(written.left) + _waiting(written.held) - _waiting(row)
    marks = scans.aside(connection, row.scan_id)
    if marks:
        set_aside = {
            one.entry.path for one in batch.findings if mark(batch.root_id, one.entry.path) in marks
        }
        answers = [one for one in answers if one.entry.path not in set_aside]
        left, _ = counted.take_from(connection, row.scan_id, batch.root_id, set_aside)
        held = _files_of(written.held)
        waiting -= left + sum(mark(batch.root_id, path) in marks for path in held)
    tally = Counter([outcomes[one.entry.path] for one in answers])
    numbers = Counter({str(outcome): number for outcome, number in tally.items()})
    numbers["pending"] = waiting
    numbers["files_read"] = sum([one.opened for one in answers])
    numbers["bytes_read"] = sum([one.bytes_read for one in answers])
    numbers["damaged"] = sum([one.is_damaged for one in answers])
    return numbers


def _count_for_others(
    connection: Connection, row: PendingRow, batch: Batch, written: Written
) -> set[tuple[int, int]]:
    """Count the results of a chunk in other runs, too, that wait for these files."""
    answered_too: set[tuple[int, int]] = set()
    outcomes = _outcomes(written)
    found = {one.entry.path: one for one in batch.findings if one.entry.path in outcomes}
    in_work: dict[int, set[bytes]] = {}
    left: dict[int, set[bytes]] = {}
    again: dict[int, set[bytes]] = {}
    """What its run must answer once more, without counting it."""
    for other in counted.chunks_of_others(connection, batch.root_id, row.scan_id):
        hint = other.hint
        names = {paths.join(hint.folder, name) for name in hint.names or ()} & found.keys()
        where = left if other.attempts or other.passes else in_work
        where.setdefault(other.scan_id, set()).update(names)
        if hint.reread or where is in_work:
            again.setdefault(other.scan_id, set()).update(names)
    for scan_id in in_work.keys() | left.keys():
        marks = scans.aside(connection, scan_id)
        waiting = left.get(scan_id, set())
        numbers: Counter[str] = Counter()
        for path in in_work.get(scan_id, set()) | waiting:
            if mark(batch.root_id, path) not in marks:
                numbers[str(outcomes[path])] += 1
                numbers["files_read"] += found[path].opened
                numbers["bytes_read"] += found[path].bytes_read
                numbers["damaged"] += found[path].is_damaged
        were_left, emptied = counted.take_from(connection, scan_id, batch.root_id, waiting)
        numbers["pending"] -= were_left
        answered_too |= {(one.generation, scan_id) for one in emptied}
        if again.get(scan_id):
            more = (mark(batch.root_id, path) for path in again[scan_id])
            scans.set_aside(connection, scan_id, more)
        scans.add(connection, scan_id, numbers)
    return answered_too


def _outcomes(written: Written) -> dict[bytes, Outcome]:
    return {**{one.entry.path: Outcome.ADDED for one in written.new}, **written.outcomes}


def count_unplanned(connection: Connection, row: PendingRow, unchanged: int) -> None:
    """Count a chunk of which nothing had to be read when it was scanned again.

    Files that other runs have answered meanwhile are counted already.
    """
    if row.scan_id:
        root_id = row.hint.root_id
        names = [paths.join(row.hint.folder, name) for name in row.hint.names or ()]
        before = counted.counted_before(connection, row.scan_id, root_id, names)
        unchanged -= _in_place(connection, root_id, before)
        numbers = {str(Outcome.UNCHANGED): unchanged, "pending": -_waiting(row)}
        scans.add(connection, row.scan_id, numbers)


def count_waiting(connection: Connection, row: PendingRow, files: int) -> None:
    """Count files of a row that wait to be scanned again; negative: that no longer wait."""
    if row.scan_id and files:
        scans.add(connection, row.scan_id, {"pending": files})


def retry_later(connection: Connection, row: PendingRow, now_ms: int) -> None:
    """Keep all of a row open for another attempt, and count its files as waiting for that."""
    left = counted.retry_later(connection, row, now_ms)
    if left is not None and not row.attempts:
        count_waiting(connection, left, len(left.hint.names or ()))


def count_closed(connection: Connection, closed: Iterable[Closed]) -> None:
    """Count files of runs that another scan has answered: those that are there are unchanged."""
    for one in closed:
        root_id = one.row.hint.root_id
        before = counted.counted_before(connection, one.row.scan_id, root_id, one.paths)
        there = _in_place(connection, root_id, one.paths - before)
        if one.is_in_work:
            more = (mark(root_id, path) for path in one.paths)
            scans.set_aside(connection, one.row.scan_id, more)
        numbers = {str(Outcome.UNCHANGED): there, "pending": one.waits}
        scans.add(connection, one.row.scan_id, numbers)


def _in_place(connection: Connection, root_id: int, names: Iterable[bytes]) -> int:
    """How many of these paths have a row that is not missing."""
    known = (tracks.in_place(connection, root_id, path) for path in names)
    return sum(row is not None and row.place is not RowState.MISSING for row in known)


def count_missing(connection: Connection, missing: Iterable[IndexedFile], scan_id: int) -> None:
    """Count rows that went missing in the run that scans for them, whichever marked them first.

    `scan_id` is the run of the hint that marked them, or 0: a hint for another link to a file has
    none, and a row whose inode was given to a new file looks the same. In the caller's transaction.
    """
    lost: Counter[int] = Counter()
    hints: list[PendingRow] | None = None
    for known in missing:
        if not scan_id and hints is None:
            hints = counted.hints(connection)
        lost[scan_id or _run_of(known, hints or ())] += 1
    del lost[0]
    for run, number in lost.items():
        scans.add(connection, run, {str(Outcome.MISSING): number})


def count_moved(
    connection: Connection, moved: Sequence[Succession], scan_id: int, scanned: Sequence[Hint] = ()
) -> Tally:
    """Count rows that took the place of a copy when their file was gone, like `count_missing`.

    That file is moved, then, and no longer what its run has counted it as. `scanned` are hints of
    the run `scan_id` beside those that are open. Returns what it adds to that run's counts.
    """
    own: Tally = Counter({Outcome.MOVED: len(moved)} if moved else {})
    hints = counted.hints(connection) if moved else []
    of_runs: dict[int, list[Succession]] = {}
    for one in moved:
        of_runs.setdefault(scan_id or _run_of(one.known, hints), []).append(one)
    of_runs.pop(0, None)
    for run, successions in of_runs.items():
        covered = [row.hint for row in hints if row.scan_id == run]
        covered += scanned if run == scan_id else ()
        before = _counted_as(connection, successions, covered, run)
        before = _held_of(before, scans.counts_of(connection, run))
        numbers = Counter({Outcome.MOVED: len(successions)})
        numbers.subtract(before)
        scans.add(connection, run, {str(outcome): number for outcome, number in numbers.items()})
        if run == scan_id:
            own = numbers
    return own


def _counted_as(
    connection: Connection, successions: Sequence[Succession], covered: Iterable[Hint], run: int
) -> Tally:
    """As what a run has counted the files of copies, of those that it has scanned."""
    copies = [one.copy for one in successions]
    ids = {
        copy.id for copy in copies if any(covers(hint, copy.root_id, copy.path) for hint in covered)
    }
    first: dict[int, Outcome] = {}
    began = changes.before(
        connection, scans.started_at(connection, run), time.time_ns() // 1_000_000
    )
    for change in changes.since(connection, began) if ids else ():
        kind, track_id = change[2], change[3]
        if track_id in ids and kind != ChangeKind.MISSING:
            first.setdefault(track_id, Outcome(kind))
    return Counter(first.get(track_id, Outcome.UNCHANGED) for track_id in ids)


def _held_of(before: Tally, counts: Mapping[str, int]) -> Tally:
    """What of it a run has counted indeed.

    Another look may have written a copy since the run began: the run counts it as unchanged, or has
    not met it yet.
    """
    held: Tally = Counter()
    for outcome in (Outcome.UNCHANGED, *before.keys() - {Outcome.UNCHANGED}):
        own = min(before[outcome], counts.get(str(outcome), 0) - held[outcome])
        held[outcome] += own
        free = counts.get(str(Outcome.UNCHANGED), 0) - held[Outcome.UNCHANGED]
        held[Outcome.UNCHANGED] += min(before[outcome] - own, free)
    return held


def _run_of(known: IndexedFile, hints: Iterable[PendingRow]) -> int:
    covering = (row for row in hints if covers(row.hint, known.root_id, known.path))
    return next((row.scan_id for row in covering), 0)


def count_unlisted(connection: Connection, folders: int, scan_id: int) -> None:
    """Count folders that could not be listed now and could be before."""
    if scan_id and folders:
        scans.add(connection, scan_id, {str(Outcome.PROBLEM): folders})


def _waiting(row: PendingRow | None) -> int:
    """How many files of a row wait to be scanned again."""
    return 0 if row is None or not row.attempts else len(row.hint.names or ())


def _files_of(row: PendingRow | None) -> list[bytes]:
    names = () if row is None else row.hint.names or ()
    return [] if row is None else [paths.join(row.hint.folder, name) for name in names]
