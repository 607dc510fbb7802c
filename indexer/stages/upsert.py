"""Findings that hold -> rows of the index that are updated, moved or added, and their changes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from indexer.disk.tree import Tree
from indexer.model import ChangeKind, IndexedFile, RowState
from indexer.stages.batch import Batch, Shaped, album_key, reshape, shape
from indexer.stages.copies import Copies, Copy
from indexer.stages.moves import Outcome, judge
from indexer.stages.recheck import Confirmed
from indexer.stages.rows import Rows
from indexer.store import former, problems, tracks
from indexer.store.connection import Connection
from indexer.tags import READER_VERSION


class Upserter:
    """Writes what may have a row already. New files, which are many, go to `Rows` at once."""

    def __init__(self, connection: Connection, trees: Mapping[int, Tree], rows: Rows) -> None:
        self._connection = connection
        self._trees = trees
        self._rows = rows
        self._copies = Copies(connection, trees)

    def write(
        self,
        batch: Batch,
        confirmed: Sequence[Confirmed],
        outcomes: dict[bytes, Outcome],
        now_ms: int,
    ) -> None:
        """Write them all, and add what became of each to `outcomes`."""
        self._find_elsewhere(confirmed)
        self._make_room(confirmed)
        self._shape(batch.root_id, confirmed)
        for one in confirmed:
            outcomes[one.path] = self._write_one(batch, one, now_ms)

    def _find_elsewhere(self, confirmed: Sequence[Confirmed]) -> None:
        """Find rows of the same track at other places; a row that several files match goes to none.

        A file whose row is known keeps it.
        """
        before = [one.known for one in confirmed]
        for one in confirmed:
            one.known = self._known_elsewhere(one)
        matches = Counter(one.known.id for one in confirmed if one.known is not None)
        for one, known in zip(confirmed, before, strict=True):
            if one.known is not None and one.known is not known and matches[one.known.id] > 1:
                one.known = known

    def _known_elsewhere(self, one: Confirmed) -> IndexedFile | None:
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
        copy = Copy(one.root_id, one.path, one.stamp, shaped, track.essence, READER_VERSION)
        return self._copies.left_behind(copy) or known

    def _make_room(self, confirmed: Sequence[Confirmed]) -> None:
        """Free the places that movers leave and take.

        A row follows its file: another file at a path that it has left gets a new row. Movers are
        parked first, since two files may have swapped names. A row whose path is taken by a mover
        leaves the view unannounced: it may still turn up elsewhere in the same scan.
        """
        followed = {one.known.id for one in confirmed if one.known is not None and one.from_afar}
        for one in confirmed:
            if one.known is not None and one.known.id in followed and not one.from_afar:
                one.here = one.known = None
        movers = {one.known.id for one in confirmed if one.known is not None and one.moved}
        for one in confirmed:
            known = one.known
            if known is not None and one.moved and known.place is not RowState.MISSING:
                tracks.free_path(self._connection, known.id)
                inode = known.stamp.inode
                problems.clear_of_file(self._connection, known.root_id, known.path, inode)
        for one in confirmed:
            if one.moved and one.here is not None and one.here.id not in movers:
                self._rows.displace(one.here)

    def _shape(self, root_id: int, confirmed: Sequence[Confirmed]) -> None:
        """Shape each row, and keep the ids of albums that change their key as a whole."""
        name = self._trees[root_id].name
        wholes: defaultdict[int, list[bytes]] = defaultdict(list)
        for one in confirmed:
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

    def _write_one(self, batch: Batch, one: Confirmed, now_ms: int) -> Outcome:
        known, shaped = one.known, one.shaped
        differs = shaped is not None and one.before != shaped.columns
        verdict = judge(
            known,
            moved=one.moved,
            readable=shaped is not None,
            differs=differs,
            soundless=one.is_soundless,
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
        if one.is_soundless:
            problems.clear(self._connection, batch.root_id, one.path)
        elif one.finding.problem is not None:
            problem = one.finding.problem
            problems.put(self._connection, batch.root_id, one.path, problem, one.stamp, now_ms)
        self._tell(one, verdict.changes, replace(row, id=track_id), now_ms)
        return verdict.outcome

    def _tell(
        self, one: Confirmed, kinds: Sequence[ChangeKind], row: IndexedFile, now_ms: int
    ) -> None:
        """Append to the change feed; the last kind has the columns that differ, as they were."""
        before = None
        if one.shaped is not None and ChangeKind.ADDED not in kinds:
            before = former.difference(one.before, one.shaped.columns)
        for kind in kinds:
            comes_from = one.moved and kind not in (ChangeKind.ADDED, ChangeKind.MODIFIED)
            self._rows.record_change(
                kind,
                row.id,
                row,
                now_ms,
                one.known if comes_from else None,
                before=before if kind is kinds[-1] else None,
            )

    def _row(self, batch: Batch, one: Confirmed, now_ms: int) -> IndexedFile:
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
            else RowState.SOUNDLESS
            if one.is_soundless
            else RowState.REFUSED,
            one.finding.entry.disk_id,
            max(scan_id, batch.reread) if one.was_read else scan_id,
            version,
            entered,
            birth_ns=_birth_of(one),
            essence=_essence_of(one),
        )


def _birth_of(one: Confirmed) -> int | None:
    """When its inode was made; what its row says, where the reader has no value."""
    if one.finding.birth_ns is not None:
        return one.finding.birth_ns
    known = one.known
    return None if known is None or known.stamp.inode != one.stamp.inode else known.birth_ns


def _essence_of(one: Confirmed) -> bytes | None:
    """What its sound is; what its row says, where it was not read."""
    track = one.finding.track
    if track is not None:
        return track.essence
    return None if one.was_read or one.known is None else one.known.essence
