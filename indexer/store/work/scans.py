"""Runs of `scan` and `rebuild`: roots, state and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from indexer.store.statements import Connection, select, select_one, select_value

_START: Final = """
INSERT INTO scans (kind, state, roots, started_at, counts) VALUES (?, 'running', ?, ?, '{}')
RETURNING id
"""
_RESUME: Final = "UPDATE scans SET state = 'running', ended_at = NULL, counts = '{}' WHERE id = ?"
_GO_ON: Final = "UPDATE scans SET state = 'running', ended_at = NULL, counts = ? WHERE id = ?"
_END: Final = "UPDATE scans SET state = ?, ended_at = ?, counts = ? WHERE id = ?"
_COUNTS: Final = "SELECT counts, state, started_at, ended_at FROM scans WHERE id = ?"
_DROP: Final = "DELETE FROM scans WHERE id = ?"
_RECOUNT: Final = "UPDATE scans SET counts = ? WHERE id = ?"
_UNFINISHED: Final = """
SELECT id FROM scans WHERE kind = 'rebuild' AND roots = ? AND state <> 'done'
    AND id > (SELECT coalesce(max(id), 0) FROM scans
              WHERE kind = 'rebuild' AND roots = ? AND state = 'done')
ORDER BY id DESC LIMIT 1
"""
_ORPHANED: Final = "UPDATE scans SET state = 'interrupted' WHERE state = 'running'"
_IDLE: Final = """
UPDATE scans SET state = 'interrupted'
WHERE state = 'running' AND id NOT IN (SELECT scan_id FROM pending)
"""
_UNENDED: Final = "SELECT id FROM scans WHERE kind = ? AND ended_at IS NULL"
_NEWEST: Final = """
SELECT id, kind, state, roots, started_at, ended_at, counts FROM scans ORDER BY id DESC LIMIT ?
"""
_LAST_ENDED: Final = """
SELECT coalesce(max(ended_at), 0) FROM scans
WHERE state = 'done' AND kind IN (SELECT value FROM json_each(?))
"""
_PRUNE: Final = "DELETE FROM scans WHERE id <= (SELECT max(id) FROM scans) - ?"
_KEEP: Final = 1000


LISTED: Final = "listed"
"""Key in the counts of an unfinished run: the part of `unchanged` that was found by listing."""
ASIDE: Final = "elsewhere"
"""Likewise: files that other runs have answered, and that a chunk of this run still names."""
_COUNT_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "seconds": (int, float),
    "files_per_second": (int, float),
    "interrupted": bool,
    "goes_on": bool,
    "offline": list,
    ASIDE: list,
}
"""Every other count is a whole number."""


class ScanColumns(Struct, frozen=True):
    """One row of the table; times in Unix milliseconds, `counts` is JSON."""

    id: int
    kind: str
    state: str
    roots: tuple[str, ...]
    started_at: int
    ended_at: int | None
    counts: str


def start(
    connection: Connection, kind: str, roots: Sequence[str], now_ms: int, *, alone: bool = True
) -> int:
    """Record the start of a run; returns its id.

    Older runs that never ended are marked interrupted: they were killed. Beside a daemon (not
    `alone`) several runs may be active, so only those without open rows in `pending` are marked.
    """
    connection.execute(_ORPHANED if alone else _IDLE)
    connection.execute(_PRUNE, (_KEEP,))
    return int(select_value(connection, _START, (kind, _key(roots), now_ms)))


def resume_rebuild(connection: Connection, roots: Sequence[str]) -> int | None:
    """Resume the unfinished rebuild of exactly these roots with new counts; its id, or None."""
    key = _key(roots)
    scan_id = select_value(connection, _UNFINISHED, (key, key))
    if scan_id is None:
        return None
    connection.execute(_ORPHANED)
    connection.execute(_RESUME, (scan_id,))
    return int(scan_id)


def go_on(connection: Connection, scan_id: int) -> None:
    """Resume a run of another process with the counts of its chunks. It is listed again."""
    counts = counts_of(connection, scan_id)
    counts["unchanged"] = counts.get("unchanged", 0) - counts.pop(LISTED, 0)
    counts.pop("seen", None)
    connection.execute(_ORPHANED)
    connection.execute(_GO_ON, (msgspec.json.encode(counts).decode(), scan_id))


def counts_of(connection: Connection, scan_id: int) -> dict[str, Any]:
    """The counts of a run; empty if there is no such run."""
    told = select_one(connection, _COUNTS, (scan_id,))
    return {} if told is None else dict(msgspec.json.decode(told[0]))


def started_at(connection: Connection, scan_id: int) -> int:
    """When a run began, in Unix milliseconds; 0 if there is no such run."""
    told = select_one(connection, _COUNTS, (scan_id,))
    return 0 if told is None else int(told[2])


def set_aside(connection: Connection, scan_id: int, marks: Iterable[str]) -> None:
    """Store marks in the counts of a run until it ends, in the caller's transaction."""
    if has_ended(connection, scan_id):
        return
    counts = counts_of(connection, scan_id)
    counts[ASIDE] = sorted({*counts.get(ASIDE, ()), *marks})
    connection.execute(_RECOUNT, (msgspec.json.encode(counts).decode(), scan_id))


def aside(connection: Connection, scan_id: int) -> set[str]:
    """The marks stored by `set_aside`."""
    return set(counts_of(connection, scan_id).get(ASIDE, ()))


def unended(connection: Connection, kind: str) -> list[int]:
    """The ids of runs of a kind that have not ended, or were killed."""
    return [int(scan_id) for (scan_id,) in list(select(connection, _UNENDED, (kind,)))]


def drop(connection: Connection, scan_id: int) -> None:
    """Delete a run."""
    connection.execute(_DROP, (scan_id,))


def add(connection: Connection, scan_id: int, numbers: Mapping[str, int]) -> None:
    """Add to the counts of a run, in the caller's transaction."""
    told = select_one(connection, _COUNTS, (scan_id,))
    if told is None:
        return
    counts: dict[str, Any] = msgspec.json.decode(told[0])
    for name, number in numbers.items():
        counts[name] = counts.get(name, 0) + number
    connection.execute(_RECOUNT, (msgspec.json.encode(counts).decode(), scan_id))


def end(
    connection: Connection,
    scan_id: int,
    now_ms: int,
    *,
    state: str = "done",
    seconds: float | None = None,
) -> None:
    """Record the end of a run (done, interrupted or failed), unless it has ended already.

    Its row has all counts already. `seconds` is its duration if that differs from the time since
    its start, as for a resumed rebuild.
    """
    told = select_one(connection, _COUNTS, (scan_id,))
    if told is None or told[3] is not None:
        return
    counts = {
        name: number
        for name, number in msgspec.json.decode(told[0]).items()
        if name not in (LISTED, ASIDE)
    }
    if seconds is None:
        seconds = max(0.0, (now_ms - told[2]) / 1000)
    counts["seconds"] = round(seconds, 3)
    counts["files_per_second"] = round(counts.get("seen", 0) / seconds, 1) if seconds else 0.0
    counts["interrupted"] = state == "interrupted"
    text = msgspec.json.encode(counts).decode()
    connection.execute(_END, (state, now_ms, text, scan_id))


def state_of(connection: Connection, scan_id: int) -> tuple[str, str] | None:
    """(state, counts as JSON) of a run; None if there is no such run."""
    told = select_one(connection, _COUNTS, (scan_id,))
    return None if told is None else (told[1], told[0])


def has_ended(connection: Connection, scan_id: int) -> bool:
    """Whether a run has ended, or has no row."""
    told = select_one(connection, _COUNTS, (scan_id,))
    return told is None or told[3] is not None


def newest(connection: Connection, limit: int) -> list[ScanColumns]:
    """The last runs, newest first."""
    return [
        ScanColumns(scan_id, kind, state, tuple(msgspec.json.decode(roots)), *rest)
        for scan_id, kind, state, roots, *rest in select(connection, _NEWEST, (limit,))
    ]


def last_ended(connection: Connection, kinds: Sequence[str]) -> int:
    """When the last run of these kinds came to its end (Unix milliseconds), or 0."""
    return int(select_value(connection, _LAST_ENDED, (msgspec.json.encode(kinds).decode(),)))


def is_readable(roots: object, counts: object) -> bool:
    """Whether a row's roots and counts are in this program's format."""
    if not isinstance(roots, str) or not isinstance(counts, str):
        return False
    try:
        msgspec.json.decode(roots, type=list[str])
        told = msgspec.json.decode(counts, type=dict[str, bool | int | float | list[str]])
    except msgspec.DecodeError:
        return False
    return all(isinstance(number, _COUNT_KINDS.get(name, int)) for name, number in told.items())


def _key(roots: Sequence[str]) -> str:
    return msgspec.json.encode(sorted(roots)).decode()
