"""A batch -> rows, in one transaction that trusts nothing it was told (rule R3).

Inside it each file is looked at again by lstat. What differs is not written: it stays pending.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from indexer.disk.tree import Folders, Tree, special_kind
from indexer.faults import FaultStreak, check_is_files, explain, problem_of
from indexer.model import (
    ChangeKind,
    Entry,
    Hint,
    IndexedFile,
    Problem,
    ProblemKind,
    RowState,
    Stamp,
)
from indexer.stages.batch import Batch, Finding, Shaped, album_key, reshape, shape
from indexer.stages.copies import Copies, Copy
from indexer.stages.moves import find, must_read
from indexer.stages.outcome import Outcome, Tally, judge
from indexer.stages.rows import Rows
from indexer.store import counted, former, pending, problems, tracks
from indexer.store.connection import Connection, savepoint
from indexer.store.pending import PendingRow
from indexer.tags import READER_VERSION

NO_AUDIO = Problem(ProblemKind.NO_AUDIO, "no audio track")
"""What is known of a file without sound that is not read again."""
DECLINED_TOGETHER = 32
"""Files for mutagen in one pending row, and in the hands of one reader. A guess: one that dies of
one of them has the others read again."""


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
    dropped: Sequence[Finding] = ()
    """Of a run's chunk: what was left to a newer row, which this one waits for to be counted."""


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


class _Settled(Struct):
    """One finding that holds: the stamp it has now, the row at its path, and the row that it is."""

    root_id: int
    finding: Finding
    stamp: Stamp
    here: IndexedFile | None
    known: IndexedFile | None
    before: tracks.Columns = tracks.NOTHING_READ
    shaped: Shaped | None = None
    key: bytes = b""

    @property
    def path(self) -> bytes:
        return self.finding.entry.path

    @property
    def moved(self) -> bool:
        """Whether its row stood, or stands, at another place."""
        return self.known is not None and (self.here is None or self.here.id != self.known.id)

    @property
    def from_afar(self) -> bool:
        """Whether its row was found by the inode, at another path or in another root."""
        known = self.known
        return known is not None and (known.path != self.path or known.root_id != self.root_id)

    @property
    def is_silent(self) -> bool:
        """Whether it has no sound, and need not have any."""
        problem = self.finding.problem
        return problem is not None and problem.kind is ProblemKind.NO_AUDIO

    @property
    def was_read(self) -> bool:
        """Whether the reader had a word on it in this run."""
        return self.finding.track is not None or self.finding.problem is not None


class Inserter:
    """Writes batches through one connection. `trees` are the roots that are there, held open."""

    def __init__(self, connection: Connection, trees: Mapping[int, Tree], rows: Rows) -> None:
        self._connection = connection
        self._trees = trees
        self._rows = rows
        self._copies = Copies(connection, trees)
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

        A chunk that is settled already was done by somebody newer: nothing is written, and the
        answer is None. A file that a newer row names is left to that row. `count` is called in the
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
        dropped = self._drop(row, batch, named, now_ms) if row.scan_id and named else []
        findings = [one for one in batch.findings if one.entry.path not in named]
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
        return Written(tally, left, held, declined, done.outcomes, done.new, dropped)

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

    def _drop(self, row: PendingRow, batch: Batch, named: set[bytes], now_ms: int) -> list[Finding]:
        """Of a run's chunk: what newer rows name. They answer it, and a row waits for that."""
        dropped = [one for one in batch.findings if one.entry.path in named]
        names = {one.entry.path for one in dropped}
        names |= named.intersection((*batch.waiting, *batch.declined))
        if names:
            counted.add_dropped(self._connection, names, row, now_ms)
        return dropped

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
                self._note(batch.root_id, entry, problem, now_ms)
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
        outcomes, again = done.outcomes, done.again
        settled: list[_Settled] = []
        new, others = self._sort_out(batch, findings)
        files = Counter(_file_of(finding.entry) for finding in batch.findings) if others else {}
        paths = [one.entry.path for one in findings]
        with self._trees[batch.root_id].folders(paths) as folders:  # as they stand now
            new = self._look_at_new(batch, new, again, outcomes, now_ms, folders)
            for finding in others:
                path = finding.entry.path
                trouble = _keeping_row(finding.problem)
                one = None
                if trouble is None:
                    try:
                        may_move = files[_file_of(finding.entry)] == 1
                        one = self._look_again(batch, finding, folders, may_move=may_move)
                    except OSError as error:
                        trouble = Problem(ProblemKind.ENVIRONMENT, explain(error))
                if trouble is not None:
                    self._note(batch.root_id, finding.entry, trouble, now_ms)
                    outcomes[path] = Outcome.PROBLEM
                elif one is None:
                    again.add(path)
                else:
                    settled.append(one)
        self._find_elsewhere(settled)
        self._make_room(settled)
        self._shape(batch.root_id, settled)
        for one in settled:
            outcomes[one.path] = self._settle(batch, one, now_ms)
        if new:
            read = [(one.entry, one.track, one.birth_ns) for one in new if one.track is not None]
            self._rows.show_new(batch.root_id, read, batch.reread, now_ms)
        done.new = new
        written = chain(new, (one.finding for one in settled))
        done.held.update(finding.entry.path for finding in written if finding.writer)
        return done

    def _sort_out(
        self, batch: Batch, findings: Sequence[Finding]
    ) -> tuple[list[Finding], list[Finding]]:
        """(files that were read, and that no row has known by path or inode; all others).

        The first are many and simple: they are no movers, nobody's
        place is theirs, and two questions tell so of all of them.
        """
        entries = [one.entry for one in findings]
        found = [entry.path for entry in entries]
        heard_of = tracks.heard_of(self._connection, batch.root_id, found)
        inodes = [entry.stamp.inode for entry in entries]
        met = tracks.inodes_met(self._connection, inodes)
        alike = self._alike(findings)
        if not heard_of and not met and not alike:  # nearly always in a seed
            new = [one for one in findings if one.track is not None and one.problem is None]
            if len(new) == len(findings):
                return new, []
        new = []
        others: list[Finding] = []
        for one, path, inode in zip(findings, found, inodes, strict=True):
            known = one.track is None or one.problem is not None or path in heard_of or inode in met
            known = known or path in alike
            (others if known else new).append(one)
        return new, others

    def _alike(self, findings: Sequence[Finding]) -> set[bytes]:
        """Files with the sound of any row, or the size of one that is missing."""
        sounds = {one.track.essence for one in findings if one.track is not None}
        essences = tracks.essences_met(self._connection, [one for one in sounds if one])
        gone = tracks.sizes_gone(self._connection, [one.entry.stamp.size for one in findings])
        if not essences and not gone:
            return set()
        return {
            one.entry.path
            for one in findings
            if one.entry.stamp.size in gone
            or (one.track is not None and one.track.essence in essences)
        }

    def _look_at_new(
        self,
        batch: Batch,
        findings: Iterable[Finding],
        again: set[bytes],
        outcomes: dict[bytes, Outcome],
        now_ms: int,
        folders: Folders,
    ) -> list[Finding]:
        """Hold new files against the disk as it is now: those that hold, with the stamp of now.

        The others are to be looked at `again`.
        """
        tree = self._trees[batch.root_id]
        holding: list[Finding] = []
        for finding in findings:
            entry = finding.entry
            path = entry.path
            try:
                status = folders.lstat(path)
            except OSError as error:
                trouble = Problem(ProblemKind.ENVIRONMENT, explain(error))
                self._note(batch.root_id, entry, trouble, now_ms)
                outcomes[path] = Outcome.PROBLEM
                continue
            if status is None or special_kind(status.st_mode) != entry.special:
                again.add(path)
                continue
            if _is_as_read(status, entry.stamp):  # nearly always
                holding.append(finding)
                continue
            stamp = Stamp.of(status)
            if stamp != entry.stamp and not tree.mount_point_of(path).fields.same(
                stamp, entry.stamp
            ):
                again.add(path)
                continue
            holding.append(replace(finding, entry=replace(entry, stamp=stamp)))
        return holding

    def _note(self, root_id: int, entry: Entry, problem: Problem, now_ms: int) -> None:
        """Write down trouble of the machine's or of this program's: the row stays as it was."""
        version = READER_VERSION if problem.kind is ProblemKind.FAULT else 0
        problems.put(
            self._connection,
            root_id,
            entry.path,
            problem,
            entry.stamp,
            now_ms,
            reader_version=version,
        )

    def _look_again(
        self, batch: Batch, finding: Finding, folders: Folders, *, may_move: bool
    ) -> _Settled | None:
        """Hold a finding against the disk as it is now; None where it no longer holds."""
        root_id, entry = batch.root_id, finding.entry
        tree = self._trees[root_id]
        status = folders.lstat(entry.path)
        if status is None or special_kind(status.st_mode) != entry.special:
            return None
        stamp = Stamp.of(status)
        if not tree.mount_point_of(entry.path).fields.same(stamp, entry.stamp):
            return None
        here = tracks.in_place(self._connection, root_id, entry.path)
        known = find(
            self._connection,
            self._trees,
            entry,
            root_id,
            here=here,
            may_move=may_move,
            birth_ns=finding.birth_ns,
        )
        if finding.track is None and finding.problem is None:
            if must_read(entry, known, self._trees, root_id, batch.reread):
                return None
            if known is not None and known.place is RowState.REFUSED:
                refused = problems.get(self._connection, known.root_id, known.path)
                if refused is None:
                    return None
                finding = replace(finding, problem=refused.problem)
            elif known is not None and known.place is RowState.SILENT:
                finding = replace(finding, problem=NO_AUDIO)
        return _Settled(root_id, finding, stamp, here, known)

    def _find_elsewhere(self, settled: Sequence[_Settled]) -> None:
        """Find rows of the same track at other places; a row that several files match goes to none.

        A file whose row is known keeps it.
        """
        before = [one.known for one in settled]
        for one in settled:
            one.known = self._known_elsewhere(one)
        matches = Counter(one.known.id for one in settled if one.known is not None)
        for one, known in zip(settled, before, strict=True):
            if one.known is not None and one.known is not known and matches[one.known.id] > 1:
                one.known = known

    def _known_elsewhere(self, one: _Settled) -> IndexedFile | None:
        """The row of a file: of the same track at another place, if none is known here.

        What left this very path before is the file's, unless that had another sound. A row that
        was never in the view counts as new: a copy that was seen before it was whole has one.
        """
        known, track = one.known, one.finding.track
        if track is None:
            return known
        if known is not None and known.added_at is not None and known.place is not RowState.MISSING:
            return known
        is_new = known is not None and known.added_at is None
        if known is not None and not is_new and (one.from_afar or track.essence == known.essence):
            return known
        shaped = shape(track, one.path, self._trees[one.root_id].name)
        copy = Copy(one.root_id, one.path, one.stamp, shaped, track.essence)
        return self._copies.left_behind(copy) or known

    def _make_room(self, settled: Sequence[_Settled]) -> None:
        """Free the places that movers leave and take.

        A row follows its file: what stands now where it stood, or had left, is somebody new.
        Movers are parked first, since two files may have swapped names. A row whose place is
        taken by a mover leaves untold: it may still turn up elsewhere in the same scan.
        """
        followed = {one.known.id for one in settled if one.known is not None and one.from_afar}
        for one in settled:
            if one.known is not None and one.known.id in followed and not one.from_afar:
                one.here = one.known = None
        movers = {one.known.id for one in settled if one.known is not None and one.moved}
        for one in settled:
            known = one.known
            if known is not None and one.moved and known.place is not RowState.MISSING:
                tracks.park(self._connection, known.id)
                inode = known.stamp.inode
                problems.clear_of_file(self._connection, known.root_id, known.path, inode)
        for one in settled:
            if one.moved and one.here is not None and one.here.id not in movers:
                self._rows.displace(one.here)

    def _shape(self, root_id: int, settled: Sequence[_Settled]) -> None:
        """Shape each row, and keep the ids of albums that change their key as a whole."""
        name = self._trees[root_id].name
        wholes: defaultdict[int, list[bytes]] = defaultdict(list)
        for one in settled:
            if one.known is not None:
                one.before = tracks.columns_of(self._connection, one.known.id)
            if one.finding.problem is not None:
                continue
            track = one.finding.track
            one.shaped = (
                reshape(one.before, one.path, name)
                if track is None
                else shape(track, one.path, name)
            )
            one.key = album_key(one.shaped, root_id, one.path)
            if one.known is not None and one.known.place is RowState.PRESENT:
                old = Shaped(one.before, (), (), ())
                if one.key != album_key(old, one.known.root_id, one.known.path):
                    album_id = tracks.album_of(self._connection, one.known.id)
                    if album_id is not None:
                        wholes[album_id].append(one.key)
        for album_id, keys in wholes.items():
            if len(set(keys)) == 1:
                self._rows.rekey_album(album_id, keys[0], len(keys))

    def _settle(self, batch: Batch, one: _Settled, now_ms: int) -> Outcome:
        known, shaped = one.known, one.shaped
        differs = shaped is not None and one.before != shaped.columns
        verdict = judge(
            known,
            moved=one.moved,
            readable=shaped is not None,
            differs=differs,
            silent=one.is_silent,
        )
        row = self._row(batch, one, now_ms)
        read_at = now_ms if one.was_read else None
        if shaped is None:
            track_id = self._rows.refuse(row, known, one.before)
        else:
            problems.clear(self._connection, batch.root_id, one.path)
            if (
                known is not None
                and not one.moved
                and not differs
                and known.place is RowState.PRESENT
            ):
                track_id = known.id
                self._rows.restamp(row, known, read_at)
            else:
                track_id = self._rows.show(row, known, one.before, shaped, one.key, read_at)
        if one.is_silent:
            problems.clear(self._connection, batch.root_id, one.path)
        elif one.finding.problem is not None:
            problem = one.finding.problem
            problems.put(self._connection, batch.root_id, one.path, problem, one.stamp, now_ms)
        self._tell(one, verdict.changes, replace(row, id=track_id), now_ms)
        return verdict.outcome

    def _tell(
        self, one: _Settled, kinds: Sequence[ChangeKind], row: IndexedFile, now_ms: int
    ) -> None:
        """Append to the change feed; the last kind has the columns that differ, as they were."""
        before = None
        if one.shaped is not None and ChangeKind.ADDED not in kinds:
            before = former.difference(one.before, one.shaped.columns)
        for kind in kinds:
            comes_from = one.moved and kind not in (ChangeKind.ADDED, ChangeKind.MODIFIED)
            self._rows.tell(
                kind,
                row.id,
                row,
                now_ms,
                one.known if comes_from else None,
                before=before if kind is kinds[-1] else None,
            )

    def _row(self, batch: Batch, one: _Settled, now_ms: int) -> IndexedFile:
        """The row as it is to stand; its id is 0 while it has none."""
        known = one.known
        readable = one.shaped is not None
        entered = known.added_at if known is not None else None
        if entered is None and readable:
            entered = now_ms
        version = READER_VERSION if one.was_read or known is None else known.reader_version
        scan_id = 0 if known is None else known.scan_id
        return IndexedFile(
            0 if known is None else known.id,
            batch.root_id,
            one.path,
            one.stamp,
            RowState.PRESENT
            if readable
            else RowState.SILENT
            if one.is_silent
            else RowState.REFUSED,
            one.finding.entry.disk_id,
            max(scan_id, batch.reread) if one.was_read else scan_id,
            version,
            entered,
            birth_ns=_birth_of(one),
            essence=_essence_of(one),
        )


def _is_as_read(status: os.stat_result, stamp: Stamp) -> bool:
    """Whether a file has this very stamp, told without making another; False: it may have it."""
    return (
        status.st_size == stamp.size
        and status.st_mtime_ns == stamp.mtime_ns
        and status.st_ctime_ns == stamp.ctime_ns
        and status.st_ino == stamp.inode
    )


def _birth_of(one: _Settled) -> int | None:
    """When its inode was made; what its row says, where the reader was not told or not asked."""
    if one.finding.birth_ns is not None:
        return one.finding.birth_ns
    known = one.known
    return None if known is None or known.stamp.inode != one.stamp.inode else known.birth_ns


def _essence_of(one: _Settled) -> bytes | None:
    """What its sound is; what its row says, where it was not read."""
    track = one.finding.track
    if track is not None:
        return track.essence
    return None if one.was_read or one.known is None else one.known.essence


def _file_of(entry: Entry) -> tuple[int, int]:
    """Which file it is, by whatever name: its disk and inode."""
    return entry.disk_id, entry.stamp.inode


def _keeping_row(problem: Problem | None) -> Problem | None:
    """The problem, if it says nothing of the file's bytes."""
    return problem if problem is not None and problem.kind.keeps_row else None


_Put = Callable[[Batch, Sequence[Finding], int], _Done]
Count = Callable[[Sequence[tuple[PendingRow, Batch]], Sequence[Written | None]], object]
"""Is told of chunks and what was written of each, in their transaction."""
"""How to write a batch's findings at a time: all at once, or each apart from those that fail."""
