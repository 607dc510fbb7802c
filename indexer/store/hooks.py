"""How far each hook has been told, one row each."""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from indexer.store import damaged
from indexer.store.statements import Connection, select, select_one, select_value, write_transaction

_GET: Final = "SELECT cursor, received_at, attempts, error, disabled_at FROM hooks WHERE name = ?"
_ADD: Final = "INSERT OR REPLACE INTO hooks (name, cursor, attempts) VALUES (?, ?, 0)"
_RECEIVED: Final = """
UPDATE hooks SET cursor = ?, received_at = ?, attempts = 0, error = NULL WHERE name = ?
"""
_SKIP: Final = "UPDATE hooks SET cursor = ? WHERE name = ?"
_FAILED: Final = "UPDATE hooks SET attempts = ?, error = ? WHERE name = ?"
_DISABLE: Final = "UPDATE hooks SET disabled_at = ? WHERE name = ?"
_PROBLEMS: Final = """
SELECT roots.name, problems.path, problems.kind, problems.reason, problems.since
FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL AND problems.since >= ?
"""
_COUNT: Final = "SELECT count(*) FROM problems"
_MARK: Final = 8
"""Letters of a mark."""
_MOST_KNOWN: Final = 1000
"""Problems whose marks a cursor keeps: 8 KB that are written with each batch. A guess."""

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
    known: str | None = None
    """All problems, a mark of eight letters for each; then the two above are not needed. None: they
    are too many, and only their times tell which are new; or an older version wrote the cursor."""
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
    """The state of a hook; None of one that is new, or whose cursor cannot be read."""
    row = select_one(connection, _GET, (name,))
    if row is None or not is_readable(row[0]):
        return None
    cursor, *rest = row
    return HookRow(msgspec.json.decode(cursor, type=Cursor), *rest)


def is_readable(cursor: object) -> bool:
    """Whether a row's cursor is in this program's format."""
    if not isinstance(cursor, str):
        return False
    try:
        msgspec.json.decode(cursor, type=Cursor)
    except msgspec.DecodeError:
        return False
    return True


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


def knowing_all_problems(connection: Connection, cursor: Cursor) -> Cursor:
    """The cursor of a hook whose receiver knows of all problems that there are."""
    found = _since(connection, 0)
    at = found[-1][-1] if found else 0
    if len(found) <= _MOST_KNOWN:
        known = "".join(map(_mark, found))
        return msgspec.structs.replace(cursor, problems_at=at, problems=(), known=known)
    newest = tuple(_key(row) for row in found if row[-1] == at)
    return msgspec.structs.replace(cursor, problems_at=at, problems=newest, known=None)


def new_problems(connection: Connection, cursor: Cursor) -> tuple[list[ProblemColumns], Cursor]:
    """The problems of which a hook was not told, the oldest first, and its cursor once it was.

    Each is known by its mark, since a clock that is set back gives a new one an older time. Only
    where there are very many, the times decide.
    """
    if cursor.known is None:
        at, told = cursor.problems_at, set(cursor.problems)
        found = [row for row in _since(connection, at) if row[-1] > at or _key(row) not in told]
        if not found and _count(connection) > _MOST_KNOWN:
            return [], cursor
    else:
        marks = cursor.known
        known = {marks[start : start + _MARK] for start in range(0, len(marks), _MARK)}
        found = [row for row in _since(connection, 0) if _mark(row) not in known]
        if not found:
            return [], cursor
    return found, knowing_all_problems(connection, cursor)


def _count(connection: Connection) -> int:
    return int(select_value(connection, _COUNT)) + damaged.count(connection)


def _since(connection: Connection, at_ms: int) -> list[ProblemColumns]:
    """All of this time or later, the oldest first: what cannot be read, and what is damaged."""
    found = [*select(connection, _PROBLEMS, (at_ms,))]
    found += (row for row in damaged.listed(connection) if row[-1] >= at_ms)
    return sorted(found, key=lambda row: (row[-1], _key(row)))


def _mark(row: ProblemColumns) -> str:
    """Six bytes of a hash: of a thousand problems two have the same once in 10^8 times."""
    text = f"{row[-1]} {_key(row)}".encode("utf-8", "surrogatepass")
    return b64encode(blake2b(text, digest_size=6).digest()).decode("ascii")


def _key(row: ProblemColumns) -> str:
    root, path, kind, *_rest = row
    return f"{root}/{path.decode(errors='backslashreplace')}: {kind}"


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
