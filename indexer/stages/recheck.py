"""What a batch says of each file -> what still holds on the disk as it is now (rule R3).

Each file is looked at again by lstat. What differs is not written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from indexer.disk.tree import Folders, Tree, special_kind
from indexer.faults import explain
from indexer.model import Entry, IndexedFile, Problem, ProblemKind, RowState, Stamp
from indexer.stages.batch import Batch, Finding, Shaped
from indexer.stages.moves import Outcome, file_of, find, must_read
from indexer.store import problems, track_matches, tracks
from indexer.store.connection import Connection
from indexer.tags import READER_VERSION

NO_AUDIO = Problem(ProblemKind.NO_AUDIO, "no audio track")
"""The problem of a file without sound that is not read again."""


class Confirmed(Struct):
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
    def is_soundless(self) -> bool:
        """Whether it has no sound, and need not have any."""
        problem = self.finding.problem
        return problem is not None and problem.kind is ProblemKind.NO_AUDIO

    @property
    def was_read(self) -> bool:
        """Whether a reader has answered for it in this run."""
        return self.finding.track is not None or self.finding.problem is not None


class Recheck:
    """Confirms findings of a batch, in its transaction. `trees` are held open."""

    def __init__(self, connection: Connection, trees: Mapping[int, Tree]) -> None:
        self._connection = connection
        self._trees = trees

    def confirm(
        self,
        batch: Batch,
        findings: Sequence[Finding],
        outcomes: dict[bytes, Outcome],
        again: set[bytes],
        now_ms: int,
    ) -> tuple[list[Finding], list[Confirmed]]:
        """(new files that hold; other findings that hold).

        Files that changed meanwhile are added to `again`. Those with a problem that says nothing
        of their bytes get it written down, and are added to `outcomes`.
        """
        confirmed: list[Confirmed] = []
        new, others = self._sort_out(batch, findings)
        files = Counter(file_of(finding.entry) for finding in batch.findings) if others else {}
        paths = [one.entry.path for one in findings]
        with self._trees[batch.root_id].folders(paths) as folders:  # as they stand now
            new = self._look_at_new(batch, new, again, outcomes, now_ms, folders)
            for finding in others:
                path = finding.entry.path
                trouble = _keeping_row(finding.problem)
                one = None
                if trouble is None:
                    try:
                        may_move = files[file_of(finding.entry)] == 1
                        one = self._look_again(batch, finding, folders, may_move=may_move)
                    except OSError as error:
                        trouble = Problem(ProblemKind.ENVIRONMENT, explain(error))
                if trouble is not None:
                    note_problem(self._connection, batch.root_id, finding.entry, trouble, now_ms)
                    outcomes[path] = Outcome.PROBLEM
                elif one is None:
                    again.add(path)
                else:
                    confirmed.append(one)
        return new, confirmed

    def _sort_out(
        self, batch: Batch, findings: Sequence[Finding]
    ) -> tuple[list[Finding], list[Finding]]:
        """(files that were read, and that no row has known by path or inode; all others).

        The first are nearly all files of a seed. They have not moved and take no other row's
        path, which a few statements find out for all of them together.
        """
        entries = [one.entry for one in findings]
        found = [entry.path for entry in entries]
        heard_of = track_matches.heard_of(self._connection, batch.root_id, found)
        inodes = [entry.stamp.inode for entry in entries]
        known_inodes = track_matches.inodes_met(self._connection, inodes)
        alike = self._alike(findings)
        if not heard_of and not known_inodes and not alike:  # nearly always in a seed
            new = [one for one in findings if one.track is not None and one.problem is None]
            if len(new) == len(findings):
                return new, []
        new = []
        others: list[Finding] = []
        for one, path, inode in zip(findings, found, inodes, strict=True):
            known = (
                one.track is None
                or one.problem is not None
                or path in heard_of
                or inode in known_inodes
            )
            known = known or path in alike
            (others if known else new).append(one)
        return new, others

    def _alike(self, findings: Sequence[Finding]) -> set[bytes]:
        """Files with the sound of any row, or the size of one that is missing."""
        read = (one.track.essence for one in findings if one.track is not None)
        essences = track_matches.essences_met(self._connection, (one for one in read if one))
        gone = track_matches.sizes_gone(
            self._connection, (one.entry.stamp.size for one in findings)
        )
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
        """Compare new files with the disk as it is now: the ones that hold, with their stamp now.

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
                note_problem(self._connection, batch.root_id, entry, trouble, now_ms)
                outcomes[path] = Outcome.PROBLEM
                continue
            if status is None or special_kind(status.st_mode) != entry.special:
                again.add(path)
                continue
            read = entry.stamp
            if (
                status.st_size == read.size
                and status.st_mtime_ns == read.mtime_ns
                and status.st_ctime_ns == read.ctime_ns
                and status.st_ino == read.inode
            ):  # nearly always
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

    def _look_again(
        self, batch: Batch, finding: Finding, folders: Folders, *, may_move: bool
    ) -> Confirmed | None:
        """Compare a finding with the disk as it is now; None where it no longer holds."""
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
            elif known is not None and known.place is RowState.SOUNDLESS:
                finding = replace(finding, problem=NO_AUDIO)
        return Confirmed(root_id, finding, stamp, here, known)


def note_problem(
    connection: Connection, root_id: int, entry: Entry, problem: Problem, now_ms: int
) -> None:
    """Write down trouble of the machine's or of this program's: the row stays as it was."""
    version = READER_VERSION if problem.kind is ProblemKind.FAULT else 0
    problems.put(
        connection,
        root_id,
        entry.path,
        problem,
        entry.stamp,
        now_ms,
        reader_version=version,
    )


def _keeping_row(problem: Problem | None) -> Problem | None:
    """The problem, if it says nothing of the file's bytes."""
    return problem if problem is not None and problem.kind.keeps_row else None
