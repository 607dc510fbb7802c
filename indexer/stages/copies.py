"""A new file, or a row whose file is gone -> the same track at another place (rule R7).

For moves that no inode shows: to another disk or root, on a file system without stable inodes, by
a program that copies first and deletes later, or out of a backup. The evidence, in this order:

1. size, mtime and tags are those of the row, and no essence of the same reader says otherwise;
2. the sound is: the essence (`tags.essence`).

Either counts only if exactly one row has it. Tags alone prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from indexer.disk.tree import Tree
from indexer.ignore.path_filter import PathFilter
from indexer.look import look
from indexer.model import IndexedFile, RowState, Stamp
from indexer.stages.batch import Shaped, reshape
from indexer.store import track_matches, tracks
from indexer.store.connection import Connection

LEAST_S: Final = 1.0
"""Seconds of sound that prove something. A guess: shorter ones are signals, and samples."""
MOST: Final = 32
"""Rows that are compared. A guess: a sound that so many files have tells nothing."""
COARSEST_NS: Final = 2_000_000_000
"""The coarsest clock of a file system: that of FAT."""
_HOUR_MS: Final = 3_600_000


class Copy(Struct, frozen=True):
    """What is known of the file that may be the same track."""

    root_id: int
    path: bytes
    stamp: Stamp
    shaped: Shaped
    essence: bytes | None
    reader_version: int
    """Of the reader that told the essence."""

    @property
    def is_conclusive(self) -> bool:
        """Whether its sound is long enough to prove something."""
        duration = self.shaped.column("duration")
        return bool(self.essence) and isinstance(duration, float) and duration >= LEAST_S


class Copies:
    """Finds rows of the same track. `trees` are the roots that are there, held open."""

    def __init__(self, connection: Connection, trees: Mapping[int, Tree]) -> None:
        self._connection = connection
        self._trees = trees

    def left_behind(self, copy: Copy) -> IndexedFile | None:
        """The row of a new file: the only one that is alike, and whose own file is gone."""
        like_it = track_matches.gone_like(self._connection, copy.stamp, COARSEST_NS, MOST)
        sounding = []
        if copy.essence:
            sounding = track_matches.with_essence(self._connection, copy.essence, MOST)
        if len(like_it) == MOST or len(sounding) == MOST:
            sounding = []
        rows = like_it if len(like_it) < MOST else []
        gone = [known for known in _different(rows + sounding) if self._is_gone(known)]
        return self._only(gone, copy, by_sound=bool(sounding))

    def newer(
        self, known: IndexedFile, path_filter: PathFilter, now_ms: int, hours: int
    ) -> IndexedFile | None:
        """The row that takes over from a row whose file is gone: its only copy, added lately.

        Of several, the one that took its very path: an editor has written a temporary file, which
        was indexed before it got its name. None also where another row whose file is gone could be
        meant as well. A copy that is not wanted any more takes nothing over: it leaves the view as
        well.
        """
        if known.added_at is None or not hours:
            return None
        since_ms = max(now_ms - hours * _HOUR_MS, known.added_at + 1)
        rows = []
        if known.essence:
            rows = track_matches.with_essence(self._connection, known.essence, MOST)
        by_sound = 0 < len(rows) < MOST
        if not by_sound:
            rows = track_matches.added_since(self._connection, since_ms, known.stamp.size, MOST)
        if len(rows) == MOST:
            return None
        own = self._as_copy(known)
        rows = [row for row in rows if row.id != known.id]
        lately = [
            row
            for row in rows
            if (row.added_at or 0) >= since_ms and self._is_there(row, path_filter)
        ]
        in_place = [row for row in lately if (row.root_id, row.path) == _place(own)]
        heir = self._only(in_place, own, by_sound=by_sound)
        heir = heir or self._only(lately, own, by_sound=by_sound)
        if heir is None:
            return None
        older = [row for row in rows if self._may_be_meant(row, heir)]
        if self._is_unchanged(heir, own):
            copy = self._as_copy(heir)
            older = [row for row in older if self._is_unchanged(row, copy)]
        return None if older else heir

    def _as_copy(self, known: IndexedFile) -> Copy:
        """What is known of the file of a row in a root that is there."""
        columns = tracks.columns_of(self._connection, known.id)
        shaped = reshape(columns, known.path, self._trees[known.root_id].name)
        return Copy(
            known.root_id,
            known.path,
            known.stamp,
            shaped,
            known.essence,
            known.reader_version,
        )

    def _may_be_meant(self, row: IndexedFile, heir: IndexedFile) -> bool:
        """Whether a row is older than a copy, and its file is gone since that was made."""
        made_at = heir.added_at or 0
        if row.id == heir.id or (row.added_at or 0) >= made_at:
            return False
        if row.place is RowState.MISSING:
            return (row.missing_at or made_at) >= made_at
        return self._is_gone(row)

    def _only(
        self, rows: Sequence[IndexedFile], copy: Copy, *, by_sound: bool
    ) -> IndexedFile | None:
        """The only row that is alike by the first evidence that any has.

        `by_sound`: all rows of this sound are among them, so that it counts.
        """
        alike = [known for known in rows if self._is_unchanged(known, copy)]
        if not alike and by_sound and copy.is_conclusive:
            alike = [known for known in rows if known.essence == copy.essence]
        return alike[0] if len(alike) == 1 else None

    def _is_unchanged(self, known: IndexedFile, copy: Copy) -> bool:
        """Whether size, mtime and tags are equal, and the essence does not say otherwise.

        An older reader may have told the same sound otherwise. (0 is no reader: see `IndexedFile`.)
        """
        if known.stamp.size != copy.stamp.size:
            return False
        of_one_reader = len({known.reader_version, copy.reader_version} - {0}) < 2
        if of_one_reader and known.essence and copy.essence and known.essence != copy.essence:
            return False
        clock_ns = max(self._clock_ns(known.root_id, known.path), self._clock_ns(*_place(copy)))
        if abs(known.stamp.mtime_ns - copy.stamp.mtime_ns) >= clock_ns:
            return False
        columns = tracks.columns_of(self._connection, known.id)
        name = self._trees[copy.root_id].name
        return reshape(columns, copy.path, name).columns == copy.shaped.columns

    def _clock_ns(self, root_id: int, path: bytes) -> int:
        """The granularity of the clock at a place; 1 where that is not known."""
        tree = self._trees.get(root_id)
        return 1 if tree is None else max(tree.mount_point_of(path).granularity_ns, 1)

    def _is_gone(self, known: IndexedFile) -> bool:
        """Whether a row that was in the view has no file."""
        if known.added_at is None or known.place not in {RowState.PRESENT, RowState.MISSING}:
            return False
        if known.place is RowState.MISSING:
            return True
        tree = self._trees.get(known.root_id)
        try:
            return (
                tree is not None
                and not tree.is_offline(known.path)
                and (tree.lstat(known.path) is None or not tree.lists(known.path))
            )
        except OSError:  # unknown: treated as still there
            return False

    def _is_there(self, known: IndexedFile, path_filter: PathFilter) -> bool:
        """Whether a row of the view has its file, unchanged and still wanted."""
        tree = self._trees.get(known.root_id)
        if tree is None or known.place is not RowState.PRESENT or tree.is_offline(known.path):
            return False
        try:
            entry = look(tree, known.path, path_filter)
        except OSError:
            return False
        fields = tree.mount_point_of(known.path).fields
        return entry is not None and fields.same(known.stamp, entry.stamp)


def _place(copy: Copy) -> tuple[int, bytes]:
    return copy.root_id, copy.path


def _different(rows: Iterable[IndexedFile]) -> list[IndexedFile]:
    """Each row once."""
    return list({known.id: known for known in rows}.values())
