"""The change feed: what happened to each track, in order; replay it by track id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from indexer import errors
from indexer.model import ChangeKind
from indexer.store.connection import Connection, insert_all, select, select_value

_ADD: Final = "INSERT INTO changes (at, kind, track_id, root, path)"
_APPEND: Final = """
INSERT INTO changes (at, kind, track_id, root, path, old_root, old_path)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_SINCE: Final = """
SELECT seq, at, kind, track_id, root, path, old_root, old_path FROM changes
WHERE seq > ? ORDER BY seq LIMIT ?
"""
_NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM changes"
_FLOOR: Final = "SELECT changes_floor FROM identity"
_RAISE_FLOOR: Final = "UPDATE identity SET changes_floor = ?"
_FIRST_KEPT: Final = """
SELECT coalesce((SELECT min(seq) FROM changes WHERE seq > ?1 AND at >= ?2),
                (SELECT max(seq) + 1 FROM changes WHERE seq > ?1))
"""
_DROP_ALL_BUT_LAST: Final = """
DELETE FROM changes WHERE seq <= ?1
    AND seq NOT IN (SELECT max(seq) FROM changes WHERE seq <= ?1 GROUP BY track_id)
"""
_DROP_MISSING: Final = "DELETE FROM changes WHERE seq <= ?1 AND kind = 'missing'"
_CALL_ADDED: Final = """
UPDATE changes SET kind = 'added', old_root = NULL, old_path = NULL
WHERE seq <= ?1 AND kind <> 'added'
"""
_COUNTED: Final = "SELECT kind, count(*) FROM changes WHERE seq > ? GROUP BY kind"
_PAGE: Final = 1000

ChangeColumns = tuple[int, int, str, int, str, str | bytes, str | None, str | bytes | None]


def append(
    connection: Connection,
    now_ms: int,
    kind: ChangeKind,
    track_id: int,
    place: tuple[str, bytes],
    old: tuple[str, bytes] | None = None,
) -> None:
    """Record what happened to a track at (root, path); `old` is where it came from."""
    root, path = place
    old_root, old_path = (None, None) if old is None else (old[0], told(old[1]))
    connection.execute(_APPEND, (now_ms, str(kind), track_id, root, told(path), old_root, old_path))


def append_added(
    connection: Connection, now_ms: int, root: str, tracks: Iterable[tuple[int, str | bytes]]
) -> None:
    """Record that tracks (id, path as returned by `told`) entered the view for the first time."""
    kind = str(ChangeKind.ADDED)
    values: list[object] = []
    for track_id, path in tracks:
        values += (now_ms, kind, track_id, root, path)
    insert_all(connection, _ADD, 5, values)


def since(connection: Connection, seq: int) -> Iterator[ChangeColumns]:
    """Every change after `seq`, page by page, so that no snapshot is held for long."""
    while page := list(select(connection, _SINCE, (seq, _PAGE))):
        yield from page
        if page[-1][0] <= seq:  # else an endless loop
            raise errors.DatabaseDamaged(
                "the rows of `changes` are out of order; run `indexer repair`, which saves them"
            )
        seq = page[-1][0]


def counted_since(connection: Connection, seq: int) -> dict[str, int]:
    """How many changes of each kind came after `seq`."""
    return dict(select(connection, _COUNTED, (seq,)))


def newest(connection: Connection) -> int:
    """The newest sequence number, or 0."""
    return int(select_value(connection, _NEWEST))


def floor(connection: Connection) -> int:
    """Up to this number, only one `added` is kept for each track that was present then."""
    return int(select_value(connection, _FLOOR))


def prune(connection: Connection, before_ms: int) -> int:
    """Delete changes from before a time, inside the caller's transaction; the new floor.

    Of a track that was present then, the last line is kept, as an `added` with its path: a replay
    of all that is kept still gives exactly the present paths.
    """
    old = floor(connection)
    first_kept = select_value(connection, _FIRST_KEPT, (old, before_ms))
    if first_kept is None or first_kept - 1 <= old:
        return old
    new = int(first_kept) - 1
    for statement in (_DROP_ALL_BUT_LAST, _DROP_MISSING, _CALL_ADDED):
        connection.execute(statement, (new,))
    connection.execute(_RAISE_FLOOR, (new,))
    return new


def told(path: bytes) -> str | bytes:
    """A path as other programs get it: TEXT if it is UTF-8, else BLOB."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return path
