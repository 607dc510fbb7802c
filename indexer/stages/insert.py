"""A batch -> rows, in one transaction that checks the batch against the disk (rule R3).

In it each file is looked at again (`recheck`). What differs is not written: it stays pending.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec import Struct

from indexer.disk.tree import Tree
from indexer.faults import FaultStreak, check_is_files, problem_of
from indexer.model import Hint
from indexer.stages.batch import Batch, Finding
from indexer.stages.moves import Outcome, Tally
from indexer.stages.recheck import Recheck, note_problem
from indexer.stages.rows import Rows
from indexer.stages.upsert import Upserter
from indexer.store.connection import Connection, savepoint
from indexer.store.work import counted, pending
from indexer.store.work.pending import PendingRow

DECLINED_TOGETHER = 32
"""Files for mutagen in one pending row, which one reader gets at once. A guess: if one of them
crashes it, the others are read again."""


class Written(Struct, frozen=True):
    """What one transaction did."""

    tally: Tally
    left: PendingRow | None = None
    """What of the chunk stays pending, since it was not whole."""
    held: PendingRow | None = None
    """What of it was read although a writer holds it open, pending until that has closed it; and
    what is not whole, but was counted for the run by another result. It is a row of its own, which
    no run counts."""
    declined: tuple[PendingRow, ...] = ()
    """What of it is left to mutagen, in rows of at most `DECLINED_TOGETHER` files."""
    outcomes: Mapping[bytes, Outcome] = {}
    """What became of each file, but for those in `new`, which were added."""
    new: Sequence[Finding] = ()


class _Done(Struct):
    """What was done of one batch so far."""

    outcomes: dict[bytes, Outcome] = {}
    """What became of each file, but for those in `new`."""
    new: list[Finding] = []
    """Those that were added at once."""
    again: set[bytes] = msgspec.field(default_factory=set)
    """Files that are to be looked at again."""
    held: set[bytes] = msgspec.field(default_factory=set)
    """Files that were written although a writer holds them open."""

    def add(self, more: _Done) -> None:
        """Take in what was done of a part."""
        self.outcomes |= more.outcomes
        self.new += more.new
        self.again |= more.again
        self.held |= more.held


class Inserter:
    """Writes batches through one connection. `trees` are the roots that are there, held open."""

    def __init__(self, connection: Connection, trees: Mapping[int, Tree], rows: Rows) -> None:
        self._connection = connection
        self._rows = rows
        self._recheck = Recheck(connection, trees)
        self._upserter = Upserter(connection, trees, rows)
        self._streak = FaultStreak()

    def write(
        self,
        row: PendingRow,
        batch: Batch,
        now_ms: int,
        *,
        count: Callable[[Written], None] = lambda _: None,
    ) -> Written | None:
        """Write what still holds of a batch and settle its chunk, all or nothing.

        A chunk that is settled already has a newer answer: nothing is written, and the result is
        None. A file that a newer row names is left to that row. `count` is called in the
        same transaction.
        """

        def in_one(put: _Put) -> Written | None:
            with self._rows.writing():
                if not pending.is_open(self._connection, row):
                    return None
                written = self._write(row, batch, now_ms, put)
                count(written)
                return written

        try:
            return in_one(self._put)
        except Exception as error:  # noqa: BLE001 - one of its files may have raised it (rule R9)
            check_is_files(error)
        return in_one(self._put_apart)

    def write_all(
        self,
        chunks: Sequence[tuple[PendingRow, Batch]],
        now_ms: int,
        *,
        count: Count = lambda _chunks, _written: None,
    ) -> list[Written | None]:
        """Write several batches one after the other, as `write` does, in a single transaction.

        Pages that each of them touches are then written once. Where a file of theirs raises
        something, each has a transaction of its own.
        """
        try:
            with self._rows.writing():
                done = []
                for row, batch in chunks:
                    written = None
                    if pending.is_open(self._connection, row):
                        written = self._write(row, batch, now_ms, self._put)
                    done.append(written)
                count(chunks, done)
                return done
        except Exception as error:  # noqa: BLE001 - one of the files may have raised it (rule R9)
            check_is_files(error)

        def alone(row: PendingRow, batch: Batch) -> Written | None:
            def count_one(written: Written) -> None:
                count([(row, batch)], [written])

            return self.write(row, batch, now_ms, count=count_one)

        return [alone(row, batch) for row, batch in chunks]

    def _write(self, row: PendingRow, batch: Batch, now_ms: int, put: _Put) -> Written:
        named = pending.named_since(self._connection, batch.root_id, row.generation)
        if row.scan_id and named:
            self._drop(row, batch, named, now_ms)
        findings: Sequence[Finding] = batch.findings
        if named:
            findings = [one for one in findings if one.entry.path not in named]
        done = put(batch, findings, now_ms)
        again = done.again | (set(batch.waiting) - named)
        before = counted.counted_before(self._connection, row.scan_id, batch.root_id, again)
        again -= before
        held = self._hold(row, done.held | before, now_ms)
        declined = self._leave_declined(row, batch, named, now_ms) if batch.declined else ()
        left = None
        if again:
            left = pending.keep_only(self._connection, row, again)
        else:
            pending.complete(self._connection, row)
        tally = Tally(done.outcomes.values())
        if done.new:
            tally[Outcome.ADDED] += len(done.new)
        return Written(tally, left, held, declined, done.outcomes, done.new)

    def _leave_declined(
        self, row: PendingRow, batch: Batch, named: Collection[bytes], now_ms: int
    ) -> tuple[PendingRow, ...]:
        """Rows of their own for files that our readers declined."""
        paths = [path for path in batch.declined if path not in named]
        parts = range(0, len(paths), DECLINED_TOGETHER)
        hints = [
            Hint(batch.root_id, b"", tuple(paths[at : at + DECLINED_TOGETHER]), reread=batch.reread)
            for at in parts
        ]
        return tuple(
            pending.add_chunk(self._connection, hint, row.generation, now_ms, scan_id=row.scan_id)
            for hint in hints
        )

    def _drop(self, row: PendingRow, batch: Batch, named: set[bytes], now_ms: int) -> None:
        """Of a run's chunk: what newer rows name. They answer it, and a row waits for that."""
        found = (one.entry.path for one in batch.findings)
        names = named.intersection((*found, *batch.waiting, *batch.declined))
        if names:
            counted.add_dropped(self._connection, names, row, now_ms)

    def _hold(self, row: PendingRow, names: Collection[bytes], now_ms: int) -> PendingRow | None:
        """A row for files that are to be looked at again and are counted already, if any are."""
        if not names:
            return None
        hint = Hint(row.hint.root_id, b"", tuple(sorted(names)), reread=row.hint.reread)
        return pending.add_left(
            self._connection, hint, row.generation, now_ms, attempts=row.attempts + 1
        )

    def _put_apart(self, batch: Batch, findings: Sequence[Finding], now_ms: int) -> _Done:
        """Write findings of which one has made `_put` fail: all of them but that one.

        It is found by halves. It gets a problem, and keeps its row as it was.
        """
        try:
            with savepoint(self._connection):
                done = self._put(batch, findings, now_ms)
        except Exception as error:  # noqa: BLE001 - of whatever class
            check_is_files(error)
            self._rows.forget()
            if len(findings) == 1:
                entry = findings[0].entry
                problem = problem_of(error, "insert", entry.path)
                self._streak.count(entry.path, problem)
                note_problem(self._connection, batch.root_id, entry, problem, now_ms)
                return _Done(outcomes={entry.path: Outcome.PROBLEM})
        else:
            if findings:
                self._streak.count(findings[-1].entry.path, None)
            return done
        done = _Done()
        middle = len(findings) // 2
        for part in (findings[:middle], findings[middle:]):
            done.add(self._put_apart(batch, part, now_ms))
        return done

    def _put(self, batch: Batch, findings: Sequence[Finding], now_ms: int) -> _Done:
        """Write some of a batch's findings, as far as they hold."""
        done = _Done()
        new, confirmed = self._recheck.confirm(batch, findings, done.outcomes, done.again, now_ms)
        self._upserter.write(batch, confirmed, done.outcomes, now_ms)
        if new:
            self._rows.show_new(batch.root_id, new, batch.reread, now_ms)
        done.new = new
        done.held.update([one.entry.path for one in new if one.writer])
        done.held.update([one.path for one in confirmed if one.finding.writer])
        return done


_Put = Callable[[Batch, Sequence[Finding], int], _Done]
"""How to write a batch's findings at a time: all at once, or each apart from those that fail."""
Count = Callable[[Sequence[tuple[PendingRow, Batch]], Sequence[Written | None]], object]
"""Called for each chunk with what was written of it, in the same transaction."""
