"""The rows of `pending` that belong to runs of scan and rebuild, which count their results.

A file named by a chunk of a run is counted once. If other rows that name the file are newer (rule
R3), or are being processed already, they answer for it, and a row with `passes` waits for that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from msgspec.structs import replace

from indexer import paths
from indexer.model import Hint
from indexer.store.statements import Connection, select, select_value
from indexer.store.work import pending, scans
from indexer.store.work.pending import PendingRow

_OF_SCAN: Final = """
SELECT 1 FROM pending WHERE scan_id = ? AND (is_chunk = 0 OR attempts = 0) LIMIT 1
"""
_LEFT_OF_SCAN: Final = """
SELECT 1 FROM pending WHERE scan_id = ? AND is_chunk = 1 AND attempts > 0 LIMIT 1
"""
_OF_OTHERS: Final = "SELECT 1 FROM pending WHERE scan_id <> 0 AND scan_id <> ? LIMIT 1"
_IN_OTHERS: Final = """
SELECT id, generation, root_id, folder, names, recursive, reread, attempts, at,
    is_chunk, passes, scan_id
FROM pending WHERE root_id = ? AND scan_id <> 0 AND scan_id <> ? AND is_chunk = 1 ORDER BY id
"""
_WAITING_IN_ROOT: Final = """
SELECT id, generation, root_id, folder, names, recursive, reread, attempts, at,
    is_chunk, passes, scan_id
FROM pending WHERE scan_id = ? AND root_id = ? AND is_chunk = 1 AND (attempts > 0 OR passes > 0)
"""
_SET_PASSES: Final = "UPDATE pending SET passes = 1 WHERE id = ?"
_RELEASE_HINTS: Final = "UPDATE pending SET scan_id = 0 WHERE scan_id = ? AND is_chunk = 0"
_RELEASE: Final = "UPDATE pending SET scan_id = 0 WHERE scan_id = ?"
_COUNTED: Final = """
SELECT id, generation, root_id, folder, names, recursive, reread, attempts, at,
    is_chunk, passes, scan_id
FROM pending WHERE scan_id <> 0 AND is_chunk = 0 ORDER BY id
"""
_RUN_OF: Final = "SELECT scan_id FROM pending WHERE id = ?"


def hints(connection: Connection) -> list[PendingRow]:
    """The open hints of runs, oldest first."""
    return [pending.row_of(columns) for columns in select(connection, _COUNTED)]


def waits_for(connection: Connection, scan_id: int) -> bool:
    """Whether a run has open rows other than for files that are not whole."""
    return select_value(connection, _OF_SCAN, (scan_id,)) is not None


def run_of(connection: Connection, row: PendingRow) -> int:
    """The run of a row now, or 0: a command may have released it, to do the work itself."""
    return int(select_value(connection, _RUN_OF, (row.id,)) or 0)


def left_of(connection: Connection, scan_id: int) -> bool:
    """Whether a run waits for files that were not whole, to check and count them."""
    return select_value(connection, _LEFT_OF_SCAN, (scan_id,)) is not None


def waits_for_others(connection: Connection, scan_id: int) -> bool:
    """Whether there are open rows of runs other than this."""
    return select_value(connection, _OF_OTHERS, (scan_id,)) is not None


def chunks_of_others(connection: Connection, root_id: int, scan_id: int) -> list[PendingRow]:
    """The open chunks in a root of runs other than this, oldest first."""
    return [
        pending.row_of(columns)
        for columns in list(select(connection, _IN_OTHERS, (root_id, scan_id)))
    ]


def take_from(
    connection: Connection, scan_id: int, root_id: int, names: set[bytes]
) -> tuple[int, list[PendingRow]]:
    """Remove answered files from the rows of a run that wait for them.

    Returns how many of them were not whole before, and the rows that name no file any more.
    """
    left = 0
    emptied: list[PendingRow] = []
    for columns in list(select(connection, _WAITING_IN_ROOT, (scan_id, root_id))):
        row = pending.row_of(columns)
        mine = {paths.join(row.hint.folder, name) for name in row.hint.names or ()}
        if row.attempts:
            left += len(mine & names)
        if mine <= names:
            pending.complete(connection, row)
            emptied.append(row)
        elif mine & names:
            pending.rename(connection, row, mine - names)
    return left, emptied


def add_dropped(
    connection: Connection, names: Iterable[bytes], row: PendingRow, now_ms: int
) -> PendingRow:
    """Record that files of a run are answered by other rows that name them.

    `row` is the run's hint or chunk to which they belong.
    """
    hint = Hint(row.hint.root_id, b"", tuple(sorted(names)), reread=row.hint.reread)
    chunk = pending.add_chunk(connection, hint, row.generation, now_ms, scan_id=row.scan_id)
    connection.execute(_SET_PASSES, (chunk.id,))
    return replace(chunk, passes=1)


def mark(root_id: int, path: bytes) -> str:
    """The mark of a file that a run has counted, for `scans.set_aside`."""
    return f"{root_id}/{path.hex()}"


def counted_before(
    connection: Connection, scan_id: int, root_id: int, names: Collection[bytes]
) -> set[bytes]:
    """Which of these files a run has counted already, by the result of another row."""
    if not scan_id or not names:
        return set()
    marks = scans.aside(connection, scan_id)
    return {path for path in names if mark(root_id, path) in marks} if marks else set()


def retry_later(connection: Connection, row: PendingRow, now_ms: int) -> PendingRow | None:
    """Keep all of a row open for another attempt. Returns the row that its run waits for, if any.

    Files that the run has counted already wait in a row of their own, which no run counts: the run
    does not wait for files that are not whole, so it may end before they are read again.
    """
    hint = row.hint
    names = {paths.join(hint.folder, name) for name in hint.names or ()}
    before = counted_before(connection, row.scan_id, hint.root_id, names)
    if before:
        aside = Hint(hint.root_id, b"", tuple(sorted(before)), reread=hint.reread)
        pending.add_left(connection, aside, row.generation, now_ms, attempts=row.attempts + 1)
        names -= before
        if not names:
            pending.complete(connection, row)
            return None
        pending.rename(connection, row, names)
        row = replace(row, hint=replace(hint, folder=b"", names=tuple(sorted(names))))
    pending.retry_later(connection, row)
    return replace(row, attempts=row.attempts + 1)


def release(connection: Connection, scan_id: int, *, hints_only: bool = False) -> None:
    """Detach rows from this run; they stay open."""
    connection.execute(_RELEASE_HINTS if hints_only else _RELEASE, (scan_id,))
