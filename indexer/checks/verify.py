"""Index and disk -> the paths where they differ (contract of `indexer verify`).

It changes nothing and takes no lock, so index and disk may both change meanwhile: a difference is
checked a second time before it is reported, and one that an open pending row covers is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from indexer import errors, paths
from indexer.checks.verify_artwork import ArtworkVerifier
from indexer.disk.rotational import reader_count
from indexer.disk.tree import Tree
from indexer.evidence import chunk_of, ignore_lease_signal
from indexer.faults import explain
from indexer.ignore.path_filter import PathFilter
from indexer.look import look
from indexer.model import (
    Entry,
    IndexedFile,
    Listener,
    ProblemKind,
    Progress,
    Reading,
    RowState,
    Waiting,
)
from indexer.readers.pool import ReaderPool
from indexer.results import report
from indexer.roots.open_roots import OpenRoots, open_roots
from indexer.settings import Settings
from indexer.stages.batch import shape
from indexer.stages.diff import Pair, Same, Vanished, compare
from indexer.stages.extract import extract_in
from indexer.store import problems, roots, tracks, tracks_below
from indexer.store.connection import Connection
from indexer.store.recovery import health
from indexer.store.recovery.damage import Damage
from indexer.store.sqlite_errors import explained
from indexer.store.work import pending
from indexer.store.work.covered import covers
from indexer.walk import Unlisted, Unseen, walk

_REPORT_EVERY_FILES: Final = 512
_EVERY: Final = 1 << 62
"""A rebuild's id above all others: no file was read for it."""


class _Mismatch(Struct, frozen=True):
    """A path where index and disk seemed to differ."""

    tree: Tree
    path: bytes
    kind: str
    detail: str


class _Same(Struct, frozen=True):
    """A file whose stamp equals that of its row."""

    tree: Tree
    entry: Entry
    known: IndexedFile


_Part = list[_Same]


class Verifier:
    """One comparison of everything. `run` it once."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        path_filter: PathFilter,
        *,
        listener: Listener | None,
        stop: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._path_filter = path_filter
        self._listener = listener
        self._stop = stop
        self._checked = 0
        self._unseen = 0
        self._read = 0
        self._artwork = ArtworkVerifier(connection, settings, path_filter)
        self._wrong_rows: set[int] = set()
        """Ids of tracks whose tags are not those of their file."""

    def run(self, *, deep: bool) -> report.VerifyReport:
        """Check the index itself, then compare every root that is there with it.

        Roots that are not there are reported in `offline`. For an index that is too damaged to be
        compared, only the damage is reported. Raises Interrupted when `stop` is set: half a proof
        is none.
        """
        damage = tuple(map(_damage, health.check(self._connection, deep=deep)))
        try:
            with explained(self._settings.db):
                compared = self._compare(deep=deep)
        except errors.DatabaseDamaged:
            if not damage:
                raise
            compared = report.VerifyReport(ok=False, checked=self._checked, pending=0)
        if damage and self._wrong_rows:  # what is derived from a wrong row is wrong as well
            found = health.check(self._connection, deep=deep, without=self._wrong_rows)
            damage = tuple(map(_damage, found))
        if deep and not (damage or compared.differences or compared.unseen):
            wrong = self._artwork.wrong_choices()
            damage = tuple(
                report.Difference(root="", path="", kind=kind, detail=detail)
                for _, _, kind, detail in wrong
            )
        if not damage:
            return compared
        return replace(compared, ok=False, differences=(*damage, *compared.differences))

    def _compare(self, *, deep: bool) -> report.VerifyReport:
        watched = roots.watched(self._connection)
        open_trees = open_roots(
            self._connection, watched, follow_links=self._path_filter.follow_links
        )
        try:
            mismatches: list[_Mismatch] = []
            trees = list(open_trees.trees.values())
            parts = self._parts(trees, mismatches, open_trees, deep=deep)
            if deep:
                count = reader_count(self._settings, trees)
                mismatches.extend(self._deep_mismatches(parts, count, open_trees))
                mismatches.extend(self._picture_mismatches(open_trees))
            else:
                for _ in parts:
                    pass
            mismatches = [
                again
                for mismatch in mismatches
                for again in self._looked_twice(mismatch, open_trees)
            ]
            mismatches = [
                mismatch for mismatch in mismatches if mismatch.tree.root_id in open_trees.trees
            ]
            waiting = pending.all_rows(self._connection)
            covered = [mismatch for mismatch in mismatches if _is_covered(mismatch, waiting)]
            uncovered = [mismatch for mismatch in mismatches if mismatch not in covered]
            offline = list(open_trees.offline.values())
            for root in watched:
                offline.extend(open_trees.away(root.id).values())
        finally:
            open_trees.close()
        return report.VerifyReport(
            ok=not (uncovered or self._unseen or offline),
            checked=self._checked,
            pending=len(covered),
            unseen=self._unseen,
            differences=tuple(_difference(mismatch) for mismatch in uncovered),
            offline=tuple(offline),
        )

    def _parts(
        self,
        trees: Sequence[Tree],
        mismatches: list[_Mismatch],
        open_trees: OpenRoots,
        *,
        deep: bool,
    ) -> Iterator[_Part]:
        """Compare all; differences go to `mismatches`, files of equal stamps are yielded in parts.

        A part is a chunk of one root, so that memory use does not grow with the library.
        """
        for tree in trees:
            part: _Part = []
            compared = self._compared(tree, deep=deep)
            while (item := _next_of(compared, open_trees)) is not None:
                if isinstance(item, _Mismatch):
                    mismatches.append(item)
                    continue
                part.append(item)
                if len(part) >= self._settings.chunk_files:
                    yield part
                    part = []
            if part:
                yield part

    def _looked_twice(self, mismatch: _Mismatch, open_trees: OpenRoots) -> Iterator[_Mismatch]:
        """The second check, where the root of a difference still answers."""
        if mismatch.tree.root_id in open_trees.trees:
            try:
                yield from self._look_twice(mismatch)
            except errors.RootSilent as error:
                open_trees.lose(error)

    def _compared(self, tree: Tree, *, deep: bool) -> Iterator[_Mismatch | _Same]:
        rows = tracks_below.rows_below(self._connection, tree.root_id, b"")
        if not tree.is_whole:
            rows = (
                row for row in rows if not tree.is_offline(row[tracks_below.STAMP_COLUMNS.path])
            )
        found = walk(tree, b"", self._path_filter)
        as_pairs = _EVERY if deep else 0
        looked = self._artwork.scan_of(tree)
        for item in compare(found, rows, as_pairs, (), at_once=_REPORT_EVERY_FILES):
            looked.note(item)
            if isinstance(item, Same):
                self._count(tree, item.files)
            elif isinstance(item, Pair):
                self._count(tree, 1)
                mismatch = self._mismatch(tree, item.entry.path, item.entry, item.known)
                if mismatch is not None:
                    yield mismatch
                elif item.known is not None and item.known.place is RowState.PRESENT:
                    yield _Same(tree, item.entry, item.known)
            elif isinstance(item, Vanished):
                path = item.known.path
                yield _Mismatch(tree, path, "gone", "the index has it, the disk has not")
            elif isinstance(item, (Unlisted, Unseen)):
                yield from self._not_seen(tree, item)
        looked.end()
        for path, kind, detail in self._artwork.differences(tree, looked):
            yield _Mismatch(tree, path, kind, detail)

    def _count(self, tree: Tree, files: int) -> None:
        before, self._checked = self._checked, self._checked + files
        if before // _REPORT_EVERY_FILES != self._checked // _REPORT_EVERY_FILES:
            self._report_progress(tree)

    def _mismatch(
        self, tree: Tree, path: bytes, entry: Entry | None, known: IndexedFile | None
    ) -> _Mismatch | None:
        """Compare one path of the disk with its row; None where they agree."""
        if entry is None:
            if known is None:
                return None
            return _Mismatch(tree, path, "gone", "the index has it, the disk has not")
        fields = tree.mount_point_of(path).fields
        if known is not None and fields.same(known.stamp, entry.stamp):
            return None
        problem = problems.get(self._connection, tree.root_id, path)
        if (
            problem is not None
            and problem.stamp is not None
            and fields.same(problem.stamp, entry.stamp)
        ):
            return None
        if known is None:
            return _Mismatch(tree, path, "unindexed", "the disk has it, the index has not")
        changed = [
            f"{name} {getattr(known.stamp, name)} is now {getattr(entry.stamp, name)}"
            for name in ("size", "mtime_ns", "ctime_ns", "inode")
            if getattr(known.stamp, name) != getattr(entry.stamp, name)
        ]
        return _Mismatch(tree, path, "stale", ", ".join(changed))

    def _not_seen(self, tree: Tree, item: Unlisted | Unseen) -> Iterator[_Mismatch]:
        """Count what cannot be examined; a difference where `problems` does not say so."""
        if isinstance(item, Unseen) and item.problem.kind is ProblemKind.CONTENT:
            kind, detail = "unlisted", item.problem.reason  # lines of an ignore file hide nothing
        elif isinstance(item, Unseen):
            self._unseen += 1
            kind, detail = "unseen", f"this name cannot be examined: {item.problem.reason}"
        elif item.reason is not None:
            self._unseen += 1
            kind, detail = "unlisted", f"this folder cannot be listed: {item.reason}"
        else:
            return
        if not self._has_problem(tree, item.path):
            yield _Mismatch(tree, item.path, kind, detail)

    def _has_problem(self, tree: Tree, path: bytes) -> bool:
        return problems.get(self._connection, tree.root_id, path) is not None

    def _look_twice(self, mismatch: _Mismatch) -> Iterator[_Mismatch]:
        """The same check once more, of this one path."""
        if mismatch.kind in {"tags", "picture", "playlist"}:
            yield mismatch  # it was read twice
            return
        if mismatch.kind in {"unlisted", "unseen"}:
            if not self._has_problem(mismatch.tree, mismatch.path):
                yield mismatch
            return
        if self._path_filter.sidecar(paths.name_of(mismatch.path)):
            yield from self._look_twice_at_picture(mismatch)
            return
        try:
            entry = look(mismatch.tree, mismatch.path, self._path_filter)
        except OSError as error:
            yield _Mismatch(mismatch.tree, mismatch.path, mismatch.kind, explain(error))
            return
        if entry is not None and mismatch.kind == "gone" and not mismatch.tree.lists(mismatch.path):
            entry = None
        known = tracks.in_place(self._connection, mismatch.tree.root_id, mismatch.path)
        again = self._mismatch(mismatch.tree, mismatch.path, entry, known)
        if again is not None:
            yield again

    def _look_twice_at_picture(self, mismatch: _Mismatch) -> Iterator[_Mismatch]:
        try:
            again = self._artwork.look_again(mismatch.tree, mismatch.path)
        except OSError as error:
            again = mismatch.kind, explain(error)
        if again is not None:
            yield _Mismatch(mismatch.tree, mismatch.path, *again)

    def _picture_mismatches(self, open_trees: OpenRoots) -> Iterator[_Mismatch]:
        """Read all known pictures and playlists again, and compare them with what is known."""
        trees = dict(open_trees.trees)
        try:
            report_progress = partial(self._report_progress, next(iter(trees.values()), None))
            for tree, path, kind, detail in self._artwork.wrong_pictures(trees, report_progress):
                if tree is not None:
                    yield _Mismatch(tree, path, kind, detail)
        except errors.RootSilent as error:
            open_trees.lose(error)

    def _deep_mismatches(
        self, parts: Iterator[_Part], readers: int, open_trees: OpenRoots
    ) -> Iterator[_Mismatch]:
        """Read all tags again and compare them with the columns."""
        ignore_lease_signal()
        chunks = (
            (part, chunk_of(part[0].tree, [same.entry for same in part], self._settings))
            for part in parts
        )
        with self._readers(readers) as pool:
            for part, readings in pool.map_unordered(chunks):
                by_path = {same.entry.path: same for same in part}
                self._read += len(readings)
                self._report_progress(part[0].tree)
                if any(reading.waiting is Waiting.SILENT for reading in readings):
                    tree = part[0].tree
                    open_trees.lose(
                        errors.RootSilent.at(tree.path, "does not answer", tree.root_id)
                    )
                for reading in readings:
                    same = by_path[reading.path]
                    detail = self._tag_difference(same.tree, same.known, reading)
                    if detail is not None and self._does_differ(same, open_trees):
                        self._wrong_rows.add(same.known.id)
                        yield _Mismatch(same.tree, reading.path, "tags", detail)

    def _tag_difference(self, tree: Tree, known: IndexedFile, reading: Reading) -> str | None:
        if reading.waiting is not None or reading.gone:
            return None
        if reading.problem is not None:
            return f"it is in the index and cannot be read now: {reading.problem.reason}"
        if reading.track is None or reading.stamp is None:
            return None
        if not tree.mount_point_of(reading.path).fields.same(reading.stamp, known.stamp):
            return None
        told = tracks.columns_of(self._connection, known.id)
        now = shape(reading.track, reading.path, tree.name).columns
        differing = [
            f"{name} is {new!r}, the index has {old!r}"
            for name, old, new in zip(tracks.COLUMNS, told, now, strict=True)
            if old != new
        ]
        return "; ".join(differing) or None

    def _does_differ(self, same: _Same, open_trees: OpenRoots) -> bool:
        """The second check, where the root still answers."""
        if same.tree.root_id not in open_trees.trees:
            return False
        try:
            return self._still_differs(same.tree, same.known)
        except errors.RootSilent as error:
            open_trees.lose(error)
        return False

    def _still_differs(self, tree: Tree, known: IndexedFile) -> bool:
        """The second check: the row is unchanged, and one more reading gives the same."""
        again = tracks.by_id(self._connection, known.id)
        if again != known:
            return False
        entry = look(tree, known.path, self._path_filter)
        if entry is None:
            return False
        (reading,) = tree.ask(extract_in, chunk_of(tree, [entry], self._settings, plain=True))
        if reading.waiting is Waiting.READER:
            chunks = [(None, chunk_of(tree, [entry], self._settings))]
            with self._readers(1) as pool:
                ((_, (reading,)),) = pool.map_unordered(chunks)
        return self._tag_difference(tree, known, reading) is not None

    def _readers(self, workers: int) -> ReaderPool:
        timeout_s, memory_mb = self._settings.reader_timeout, self._settings.worker_memory
        return ReaderPool(workers, timeout_s, memory_mb=memory_mb)

    def _report_progress(self, tree: Tree | None) -> None:
        if self._stop():
            raise errors.Interrupted("stopped before everything was compared; nothing was proved")
        if self._listener is not None:
            self._listener(
                Progress(
                    phase="reading" if self._read else "listing",
                    root="" if tree is None else tree.name,
                    seen=self._checked,
                    to_read=self._checked if self._read else 0,
                    read=self._read,
                )
            )


def _next_of(
    compared: Iterator[_Mismatch | _Same], open_trees: OpenRoots
) -> _Mismatch | _Same | None:
    """The next item of a root; None: it is at its end, or does not answer any more."""
    try:
        return next(compared, None)
    except errors.RootSilent as error:
        open_trees.lose(error)
        return None


def _is_covered(mismatch: _Mismatch, waiting: Sequence[pending.PendingRow]) -> bool:
    return any(covers(row.hint, mismatch.tree.root_id, mismatch.path) for row in waiting)


def _damage(damage: Damage) -> report.Difference:
    return report.Difference(root="", path="", kind=str(damage.part), detail=damage.detail)


def _difference(mismatch: _Mismatch) -> report.Difference:
    text, b64 = paths.text_of(mismatch.path)
    return report.Difference(
        root=mismatch.tree.name, path=text, path_b64=b64, kind=mismatch.kind, detail=mismatch.detail
    )
