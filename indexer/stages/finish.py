"""The end of scans whose files are inserted -> missing rows, problems of folders, closed hints.

Every engine ends its scans here, after all possible moves were inserted, so that no move is
reported as a loss (rule R6). Other links of a file that is gone are noted before its row is marked
missing: a kill in between may cause a needless check of a file, but loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from indexer.disk.tree import Tree
from indexer.faults import FaultStreak, check_is_files, problem_of
from indexer.ignore.path_filter import PathFilter
from indexer.look import look
from indexer.model import Hint, IndexedFile, Problem, RowState
from indexer.stages.copies import Copies
from indexer.stages.hard_links import links_of_sidecars, links_of_vanished
from indexer.stages.rows import Rows
from indexer.stages.scan import Scan
from indexer.stages.sidecar_scan import SidecarChange
from indexer.stages.sidecars import try_again, write_changes
from indexer.store import problems, tracks, upkeep
from indexer.store.connection import Connection, write_transaction
from indexer.store.problems import KnownProblem
from indexer.store.work import pending
from indexer.store.work.covered import Closed, complete_covered
from indexer.store.work.pending import PendingRow

_AT_ONCE: Final = 500
"""Rows per transaction, so that no other writer waits for long. A guess."""


class Succession(Struct, frozen=True):
    """A row whose file was gone, and the newer copy whose place it took, as both were before."""

    known: IndexedFile
    copy: IndexedFile


class MissingMarker:
    """Marks rows missing. `trees` are the present roots, held open."""

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        path_filter: PathFilter,
        rows: Rows,
        *,
        copy_window: int = 0,
    ) -> None:
        """`copy_window`: hours in which a copy was added that takes over from a missing row."""
        self._connection = connection
        self._copies = Copies(connection, trees)
        self._copy_window = copy_window
        self._moved: list[Succession] = []
        self._trees = trees
        self._path_filter = path_filter
        self._rows = rows

    def mark_missing(self, track_ids: Sequence[int], now_ms: int) -> list[IndexedFile]:
        """Mark rows that a scan did not find, unless they have moved or returned.

        Returns those that left the view; rows that were never in it are not among them.
        """
        left: list[IndexedFile] = []
        for start in range(0, len(track_ids), _AT_ONCE):
            part = track_ids[start : start + _AT_ONCE]
            try:
                left += self._mark_all(part, now_ms)
            except Exception as error:  # noqa: BLE001 - one file may have raised it (rule R9)
                check_is_files(error)
                left += self._mark_apart(part, now_ms)
        return left

    def _mark_all(self, track_ids: Iterable[int], now_ms: int) -> list[IndexedFile]:
        left = []
        with self._rows.writing():
            for track_id in track_ids:
                known = tracks.by_id(self._connection, track_id)
                if known is not None and self._mark(known, now_ms):
                    left.append(known)
        return left

    def _mark_apart(self, track_ids: Iterable[int], now_ms: int) -> list[IndexedFile]:
        """Like `mark_missing`, one transaction for each row: a row that fails gets a problem."""
        left: list[IndexedFile] = []
        streak = FaultStreak()
        for track_id in track_ids:
            known = tracks.by_id(self._connection, track_id)
            if known is None:
                continue
            problem = None
            try:
                left += self._mark_all((track_id,), now_ms)
            except Exception as error:  # noqa: BLE001 - of whatever class
                problem = problem_of(error, "scan", known.path)
                with write_transaction(self._connection):
                    problems.put(self._connection, known.root_id, known.path, problem, None, now_ms)
            streak.count(known.path, problem)
        return left

    def _mark(self, known: IndexedFile, now_ms: int) -> bool:
        if known.place is RowState.MISSING:
            return False
        tree = self._trees[known.root_id]
        try:
            entry = look(tree, known.path, self._path_filter)
            if entry is None or not tree.lists(known.path):
                if known.place is RowState.PRESENT and self._moves(known, now_ms):
                    return False
                return self._rows.mark_missing(known, now_ms)
        except OSError:  # unknown: keep the row; the next scan reports the folder's problem
            return False
        if not tree.mount_point_of(known.path).fields.same(known.stamp, entry.stamp):
            hint = Hint(known.root_id, names=(known.path,))
            pending.enqueue_all(self._connection, [hint], now_ms)
        return False

    def announce_missing(self, now_ms: int) -> list[IndexedFile]:
        """Report rows that lost their path to a moved file and were not found elsewhere."""
        if not tracks.unannounced(self._connection):
            return []
        left = []
        with self._rows.writing():
            for known in tracks.unannounced(self._connection):
                if known.root_id not in self._trees or not self._moves(known, now_ms):
                    self._rows.announce(known, now_ms)
                    left.append(known)
        return left

    def take_moved(self) -> list[Succession]:
        """The rows that took the place of a newer copy in place of going missing."""
        moved, self._moved = self._moved, []
        return moved

    def _moves(self, known: IndexedFile, now_ms: int) -> bool:
        """Give a row whose file is gone the place of its copy, if one was added lately (R7)."""
        copy = self._copies.newer(known, self._path_filter, now_ms, self._copy_window)
        if copy is None:
            return False
        self._rows.succeed(known, copy, now_ms)
        self._moved.append(Succession(known, copy))
        return True

    def note_sidecars(self, changes: Sequence[SidecarChange]) -> int:
        """Bring the rows of pictures to what is there; the number of those that changed."""
        if not changes:
            return 0
        return write_changes(self._connection, self._trees, self._path_filter, changes)

    def note_folders(
        self,
        root_id: int,
        unlisted: Iterable[tuple[bytes, Problem]],
        settled: Iterable[bytes],
        now_ms: int,
    ) -> int:
        """Record what could not be listed or checked, and delete problems that are over.

        Nothing is written if the index has the same already (rule R14). The number of new problems.
        """
        new = [
            (path, problem)
            for path, problem in unlisted
            if problems.get(self._connection, root_id, path) != KnownProblem(problem, None)
        ]
        over = list(settled)
        if new or over:
            with write_transaction(self._connection):
                for path, problem in new:
                    problems.put(self._connection, root_id, path, problem, None, now_ms)
                for path in over:
                    known = tracks.in_place(self._connection, root_id, path)
                    if known is None or known.place is not RowState.REFUSED:  # else it has returned
                        problems.clear(self._connection, root_id, path)
        return len(new)


def empty_root(connection: Connection, rows: Rows, root_id: int, now_ms: int) -> None:
    """Remove every row of a root from the view, inside the caller's transaction."""
    for track_id in tracks.of_root(connection, root_id):
        known = tracks.by_id(connection, track_id)
        if known is not None:
            rows.mark_missing(known, now_ms)


Links = set[tuple[int, bytes]]
"""(root id, path) of files to be checked, since another link to them has changed."""


class Finished(Struct, frozen=True):
    """The results of the end of scans."""

    missing: list[IndexedFile]
    moved: list[Succession]
    """Rows whose file was gone, and that took the place of a newer copy."""
    problems: int
    """New problems: folders and names that could not be checked."""


def finish(
    connection: Connection,
    marker: MissingMarker,
    scans: Iterable[Scan],
    vanished: Sequence[int],
    now_ms: int,
    *,
    note_links: Callable[[Links], None],
    everything: bool = False,
    announces: bool = True,
) -> Finished:
    """Mark missing rows, and record what could not be listed, and which pictures changed.

    `vanished` are ids of rows that no scan found. `note_links` gets the other links to their files;
    after a scan of `everything`, only those that the scan had passed. Unless it `announces`, rows
    that lost their path to a moved file are left to a later run: they may still be found elsewhere.
    """
    scans = tuple(scans)
    wants_upkeep = not upkeep.is_tended(connection) or any(scan.hint.recursive for scan in scans)
    if wants_upkeep:
        upkeep.add_late_indexes(connection)
    links = links_of_vanished(connection, vanished, everything=everything)
    if links:
        note_links(links)
    missing = marker.mark_missing(vanished, now_ms)
    if announces:
        missing += marker.announce_missing(now_ms)
    changes = [change for scan in scans for change in scan.sidecars.take()]
    links = links_of_sidecars(connection, changes, everything=everything)
    if links:
        note_links(links)
    marker.note_sidecars(changes)
    for scan in scans:
        if scan.hint.recursive and not scan.hint.folder:
            try_again(connection, scan.hint.root_id)
    problems = sum(
        marker.note_folders(scan.hint.root_id, scan.unlisted, scan.resolved_problems, now_ms)
        for scan in scans
    )
    if wants_upkeep:
        upkeep.end_first_scan_anew(connection)
    return Finished(missing, marker.take_moved(), problems)


def close_hints(
    connection: Connection,
    rows: Iterable[PendingRow],
    covered: Sequence[Hint],
    up_to_id: int,
    *,
    before_generation: int | None = None,
    rereads_too: bool = False,
    scan_id: int = 0,
    left_open: Collection[tuple[int, bytes]] = (),
) -> list[Closed]:
    """Close the hints of finished scans, and all older rows that they cover.

    Runs in the caller's transaction; see `complete_covered`.
    """
    for row in rows:
        pending.complete(connection, row)
    if not covered:
        return []
    return complete_covered(
        connection,
        covered,
        up_to_id,
        before_generation=before_generation,
        rereads_too=rereads_too,
        scan_id=scan_id,
        left_open=left_open,
    )
