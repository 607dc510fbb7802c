"""Hints and chunks that still have to be looked at: the durable copy of all work.

A hint's generation is its row's id; the chunks that a scan makes of it keep that generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from indexer import paths
from indexer.model import Hint
from indexer.store.connection import Connection, Row, select, select_value

_names_encoder: Final = msgspec.msgpack.Encoder()
_names_decoder: Final = msgspec.msgpack.Decoder(tuple[bytes, ...])

_INSERT: Final = """
INSERT INTO pending (generation, root_id, folder, names, recursive, reread, at)
VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id
"""
_SELF_GENERATION: Final = "UPDATE pending SET generation = id WHERE id = ?"
_ALL: Final = """
SELECT id, generation, root_id, folder, names, recursive, reread, attempts, at
FROM pending ORDER BY id
"""
_IS_OPEN: Final = "SELECT 1 FROM pending WHERE id = ? AND generation = ?"
_DELETE: Final = "DELETE FROM pending WHERE id = ? AND generation = ?"
_POSTPONE: Final = """
UPDATE pending SET folder = x'', names = ?, attempts = attempts + 1
WHERE id = ? AND generation = ?
"""
_NAMED_SINCE: Final = """
SELECT folder, names FROM pending WHERE root_id = ? AND generation > ? AND names IS NOT NULL
"""
_NEWEST: Final = "SELECT coalesce(max(id), 0) FROM pending"
_UP_TO: Final = """
SELECT id, generation, root_id, folder, names, recursive, reread, attempts, at
FROM pending WHERE root_id = ? AND id <= ?
"""
_COUNT: Final = "SELECT count(*), min(at) FROM pending"
_OF_ROOT: Final = "DELETE FROM pending WHERE root_id = ?"


class PendingRow(Struct, frozen=True):
    """One place that waits to be looked at."""

    id: int
    generation: int
    hint: Hint
    attempts: int = 0
    at: int = 0


def leave_hint(connection: Connection, hint: Hint, now_ms: int) -> PendingRow:
    """Make a hint durable, under a new generation."""
    row_id = _insert(connection, 0, hint, now_ms)
    connection.execute(_SELF_GENERATION, (row_id,))
    return PendingRow(row_id, row_id, hint, at=now_ms)


def add_chunk(connection: Connection, hint: Hint, generation: int, now_ms: int) -> PendingRow:
    """Make one chunk of a scanned hint durable, under the hint's generation."""
    return PendingRow(_insert(connection, generation, hint, now_ms), generation, hint, at=now_ms)


def _insert(connection: Connection, generation: int, hint: Hint, now_ms: int) -> int:
    names = None if hint.names is None else _names_encoder.encode(hint.names)
    row = (generation, hint.root_id, hint.folder, names, hint.recursive, hint.reread, now_ms)
    return int(select_value(connection, _INSERT, row))


def all_rows(connection: Connection) -> list[PendingRow]:
    """Everything that waits, oldest first."""
    return [_row(columns) for columns in select(connection, _ALL)]


def is_open(connection: Connection, row: PendingRow) -> bool:
    """Whether this row still waits; one that is gone was settled by somebody newer."""
    return select_value(connection, _IS_OPEN, (row.id, row.generation)) is not None


def settle(connection: Connection, row: PendingRow) -> bool:
    """Close a row, if it is still the one the caller was given.

    False means that the place was settled or hinted anew while the caller was at work.
    """
    connection.execute(_DELETE, (row.id, row.generation))
    return connection.changes() == 1


def keep_only(connection: Connection, row: PendingRow, names: Iterable[bytes]) -> PendingRow:
    """Leave only these paths (relative to the root) of a chunk open, for another try."""
    left = tuple(sorted(names))
    connection.execute(_POSTPONE, (_names_encoder.encode(left), row.id, row.generation))
    return PendingRow(
        row.id,
        row.generation,
        Hint(row.hint.root_id, b"", left, reread=row.hint.reread),
        row.attempts + 1,
        row.at,
    )


def named_since(connection: Connection, root_id: int, generation: int) -> set[bytes]:
    """The paths that newer rows name one by one (rule R3); newer folder rows stop nobody."""
    return {
        paths.join(bytes(folder), name)
        for folder, names in select(connection, _NAMED_SINCE, (root_id, generation))
        for name in _names_decoder.decode(names)
    }


def newest_id(connection: Connection) -> int:
    """The id of the newest row that waits, or 0."""
    return int(select_value(connection, _NEWEST))


def settle_covered(
    connection: Connection, hints: Sequence[Hint], up_to_id: int, *, rereads_too: bool = True
) -> None:
    """Close every row that the finished scans of these hints have answered, too.

    Only rows that stood before they began (`up_to_id`), since a later one tells of a later change.
    Of a row that names files, those that were not looked at stay open. Without `rereads_too` a row
    that wants files read again is answered only by a scan that did just that; a command needs no
    such care, since an interrupted rebuild is known from `scans`.
    """
    for root_id in {hint.root_id for hint in hints}:
        of_root = [hint for hint in hints if hint.root_id == root_id]
        seen = _Looked(of_root)
        for columns in list(select(connection, _UP_TO, (root_id, up_to_id))):
            row = _row(columns)
            reread = row.hint.reread
            if reread and not rereads_too:
                _answer(connection, row, _Looked([one for one in of_root if one.reread == reread]))
            else:
                _answer(connection, row, seen)


def _answer(connection: Connection, row: PendingRow, seen: _Looked) -> None:
    if row.hint.names is None:
        if seen.folder(row.hint.folder, with_all_below=row.hint.recursive):
            settle(connection, row)
        return
    named = {paths.join(row.hint.folder, name) for name in row.hint.names}
    left = {path for path in named if not seen.file(path)}
    if not left:
        settle(connection, row)
    elif left != named:
        keep_only(connection, row, left)


class _Looked:
    """All places that some hints of one root name: asked by thousands of rows, of as many files."""

    def __init__(self, hints: Iterable[Hint]) -> None:
        self._files: set[bytes] = set()
        self._folders: set[bytes] = set()
        self._trees: set[bytes] = set()
        for hint in hints:
            if hint.names is not None:
                self._files.update(paths.join(hint.folder, name) for name in hint.names)
            else:
                (self._trees if hint.recursive else self._folders).add(hint.folder)

    def file(self, path: bytes) -> bool:
        """Whether a file was looked at."""
        return path in self._files or self.folder(paths.parent_of(path), with_all_below=False)

    def folder(self, folder: bytes, *, with_all_below: bool) -> bool:
        """Whether what is in a folder was looked at, or all that is below it as well."""
        if not with_all_below and folder in self._folders:
            return True
        while folder not in self._trees:
            if not folder:
                return False
            folder = paths.parent_of(folder)
        return True


def covers(hint: Hint, root_id: int, path: bytes) -> bool:
    """Whether looking at a hint means to look at this path."""
    if hint.root_id != root_id:
        return False
    if hint.names is not None:
        return any(paths.join(hint.folder, name) == path for name in hint.names)
    if hint.recursive:
        return paths.is_below(path, hint.folder)
    return paths.parent_of(path) == hint.folder


def count(connection: Connection) -> tuple[int, int | None]:
    """(how many rows wait, when the oldest came in Unix milliseconds or None)."""
    number, oldest = next(select(connection, _COUNT))
    return int(number), oldest


def forget_root(connection: Connection, root_id: int) -> None:
    """Close every row of a root that is no longer watched."""
    connection.execute(_OF_ROOT, (root_id,))


def _row(columns: Row) -> PendingRow:
    row_id, generation, root_id, folder, names, recursive, reread, attempts, at = columns
    decoded = None if names is None else _names_decoder.decode(names)
    hint = Hint(root_id, folder, decoded, bool(recursive), reread)
    return PendingRow(row_id, generation, hint, attempts, at)
