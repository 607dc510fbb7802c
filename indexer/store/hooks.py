"""How far each hook has been told, one row each."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from indexer.store import damaged
from indexer.store.connection import Connection, select, select_one, write_transaction

_GET: Final = "SELECT cursor, received_at, attempts, error, disabled_at FROM hooks WHERE name = ?"
_ADD: Final = "INSERT OR REPLACE INTO hooks (name, cursor, attempts) VALUES (?, ?, 0)"
_RECEIVED: Final = """
UPDATE hooks SET cursor = ?, received_at = ?, attempts = 0, error = NULL WHERE name = ?
"""
_SKIP: Final = "UPDATE hooks SET cursor = ? WHERE name = ?"
_FAILED: Final = "UPDATE hooks SET attempts = ?, error = ? WHERE name = ?"
_DISABLE: Final = "UPDATE hooks SET disabled_at = ? WHERE name = ?"
_FORGET: Final = "DELETE FROM hooks WHERE name NOT IN (SELECT value FROM json_each(?))"
_PROBLEMS: Final = """
SELECT roots.name, problems.path, problems.kind, problems.reason, problems.since
FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL AND problems.since >= ?
"""

ProblemColumns = tuple[str, bytes, str, str, int]
"""Root, path, kind, reason, and when it was met (Unix milliseconds)."""


class Cursor(Struct, frozen=True):
    """What a hook has been told."""

    seq: int = 0
    """Of the change feed: up to this number."""
    scans: tuple[int, ...] = ()
    """Ids of the ended runs."""
    problems_at: int = 0
    """The time of the newest problem (Unix milliseconds)."""
    problems: tuple[str, ...] = ()
    """Those of that time."""
    offline: tuple[str, ...] = ()
    """The roots that are offline."""


class HookRow(Struct, frozen=True):
    """The state of one hook; times in Unix milliseconds."""

    cursor: Cursor
    received_at: int | None = None
    attempts: int = 0
    error: str | None = None
    disabled_at: int | None = None


def get(connection: Connection, name: str) -> HookRow | None:
    """The state of a hook; None of one that is new."""
    row = select_one(connection, _GET, (name,))
    if row is None:
        return None
    cursor, *rest = row
    return HookRow(msgspec.json.decode(cursor, type=Cursor), *rest)


def add(connection: Connection, name: str, cursor: Cursor) -> None:
    """A new hook, or one that begins anew."""
    with write_transaction(connection):
        connection.execute(_ADD, (name, _text(cursor)))


def move_on(
    connection: Connection,
    name: str,
    after: Cursor,
    cursor: Cursor,
    received_ms: int | None = None,
) -> bool:
    """Its receiver has all from one cursor to another; `received_ms` None: it wanted nothing of it.

    False: its cursor is not at `after` any more, and stays. A thread that was left in the middle of
    an attempt may end after the next one has moved on.
    """
    with write_transaction(connection):
        row = get(connection, name)
        if row is None or row.cursor != after:
            return False
        if received_ms is None:
            connection.execute(_SKIP, (_text(cursor), name))
        else:
            connection.execute(_RECEIVED, (_text(cursor), received_ms, name))
        return True


def fail(connection: Connection, name: str, attempts: int, error: str) -> None:
    """A message was not received."""
    with write_transaction(connection):
        connection.execute(_FAILED, (attempts, error, name))


def disable(connection: Connection, name: str, at_ms: int | None) -> None:
    """Send nothing more; None: send again."""
    with write_transaction(connection):
        connection.execute(_DISABLE, (at_ms, name))


def forget_others(connection: Connection, names: list[str]) -> None:
    """Delete the rows of hooks that the settings no longer name."""
    with write_transaction(connection):
        connection.execute(_FORGET, (msgspec.json.encode(names).decode(),))


def newest_problems(connection: Connection) -> tuple[int, tuple[str, ...]]:
    """The time of the newest problem, and which are of that time."""
    found = _since(connection, 0)
    if not found:
        return 0, ()
    at = found[-1][-1]
    return at, tuple(_key(row) for row in found if row[-1] == at)


def problems_from(
    connection: Connection, at_ms: int, told: tuple[str, ...]
) -> list[ProblemColumns]:
    """The problems of this time or later, without those that were told of this time."""
    known = set(told)
    found = _since(connection, at_ms)
    return [row for row in found if row[-1] > at_ms or _key(row) not in known]


def _since(connection: Connection, at_ms: int) -> list[ProblemColumns]:
    """All of this time or later, the oldest first: what cannot be read, and what is damaged."""
    found = [*select(connection, _PROBLEMS, (at_ms,))]
    found += (row for row in damaged.listed(connection) if row[-1] >= at_ms)
    return sorted(found, key=lambda row: (row[-1], _key(row)))


def _key(row: ProblemColumns) -> str:
    root, path, kind, *_rest = row
    return f"{root}/{path.decode(errors='backslashreplace')}: {kind}"


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
