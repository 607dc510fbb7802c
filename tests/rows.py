"""Made-up tracks -> rows of an index, written as insert writes them, without files."""

from __future__ import annotations

from collections.abc import Iterable

from indexer.model import IndexedFile, RowState, Stamp, Track
from indexer.stages.batch import album_key, shape
from indexer.stages.rows import Rows
from indexer.store import roots, tracks
from indexer.store.connection import Connection, write_transaction

ADD_DISK = "INSERT INTO disks (id, uuid, fsid, fs_type, source) VALUES (1, '', '', 'ext4', '')"


class MadeUp:
    """The rows of one index; its only root is /music, and all inodes are different."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with write_transaction(connection):
            connection.execute(ADD_DISK)
            self._root = roots.add(connection, "music", b"/music", 0)
        self._rows = Rows(connection, {self._root.id: self._root.name})
        self._written = 0

    def add(self, *files: tuple[bytes, Track]) -> list[int]:
        """Write new rows in one transaction; their ids."""
        with self._rows.writing():
            return [self._show(path, track, None) for path, track in files]

    def change(self, track_id: int, track: Track) -> None:
        """Give a file other tags."""
        with self._rows.writing():
            known = tracks.by_id(self._connection, track_id)
            assert known is not None
            self._show(known.path, track, known)

    def take_out(self, track_ids: Iterable[int]) -> None:
        """Remove files."""
        with self._rows.writing():
            for track_id in track_ids:
                known = tracks.by_id(self._connection, track_id)
                assert known is not None
                self._rows.mark_missing(known, 0)

    def _show(self, path: bytes, track: Track, known: IndexedFile | None) -> int:
        self._written = at = self._written + 1
        before = tracks.NOTHING_READ
        if known is not None:
            before = tracks.columns_of(self._connection, known.id)
        row = IndexedFile(
            0 if known is None else known.id, self._root.id, path, Stamp(100, at, at, at),
            RowState.PRESENT, 1, 0, 1, added_at=at,
        )  # fmt: skip
        shaped = shape(track, path, self._root.name)
        key = album_key(shaped, self._root.id, path)
        return self._rows.show(row, known, before, shaped, key, at)
