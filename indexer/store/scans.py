"""Runs of `scan` and `rebuild`: what they were asked, how they ended, what they counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from indexer.store.connection import Connection, select, select_one, select_value

_START: Final = """
INSERT INTO scans (kind, state, roots, started_at, counts) VALUES (?, 'running', ?, ?, '{}')
RETURNING id
"""
_RESUME: Final = "UPDATE scans SET state = 'running', ended_at = NULL WHERE id = ?"
_END: Final = "UPDATE scans SET state = ?, ended_at = ?, counts = ? WHERE id = ?"
_COUNTS: Final = "SELECT counts, state, started_at FROM scans WHERE id = ?"
_RECOUNT: Final = "UPDATE scans SET counts = ? WHERE id = ?"
_UNFINISHED: Final = """
SELECT id FROM scans WHERE kind = 'rebuild' AND roots = ? AND state <> 'done'
    AND id > (SELECT coalesce(max(id), 0) FROM scans
              WHERE kind = 'rebuild' AND roots = ? AND state = 'done')
ORDER BY id DESC LIMIT 1
"""
_ORPHANED: Final = "UPDATE scans SET state = 'interrupted' WHERE state = 'running'"
_NEWEST: Final = """
SELECT id, kind, state, roots, started_at, ended_at, counts FROM scans ORDER BY id DESC LIMIT ?
"""
_PRUNE: Final = "DELETE FROM scans WHERE id <= (SELECT max(id) FROM scans) - ?"
_KEEP: Final = 1000


_COUNT_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "seconds": (int, float),
    "files_per_second": (int, float),
    "interrupted": bool,
    "goes_on": bool,
    "offline": list,
}
"""Every other count is a whole number."""


class ScanColumns(Struct, frozen=True):
    """One run as it stands in the table; times in Unix milliseconds, `counts` is JSON."""

    id: int
    kind: str
    state: str
    roots: tuple[str, ...]
    started_at: int
    ended_at: int | None
    counts: str


def start(connection: Connection, kind: str, roots: Sequence[str], now_ms: int) -> int:
    """Write down that a run began; older ones that never ended were killed. Returns its id."""
    connection.execute(_ORPHANED)
    connection.execute(_PRUNE, (_KEEP,))
    return int(select_value(connection, _START, (kind, _key(roots), now_ms)))


def resume_rebuild(connection: Connection, roots: Sequence[str]) -> int | None:
    """Take up the unfinished rebuild of just these roots again; its id, or None."""
    key = _key(roots)
    scan_id = select_value(connection, _UNFINISHED, (key, key))
    if scan_id is None:
        return None
    connection.execute(_ORPHANED)
    connection.execute(_RESUME, (scan_id,))
    return int(scan_id)


def end(connection: Connection, scan_id: int, state: str, counts: str, now_ms: int) -> None:
    """Write down how a run ended (done, interrupted or failed) and what it counted."""
    connection.execute(_END, (state, now_ms, counts, scan_id))


def add(connection: Connection, scan_id: int, numbers: Mapping[str, int]) -> None:
    """Count more of what a run does that goes on in several processes."""
    told = select_one(connection, _COUNTS, (scan_id,))
    if told is None:
        return
    counts: dict[str, Any] = msgspec.json.decode(told[0])
    for name, number in numbers.items():
        counts[name] = counts.get(name, 0) + number
    connection.execute(_RECOUNT, (msgspec.json.encode(counts).decode(), scan_id))


def end_counted(connection: Connection, scan_id: int, now_ms: int) -> None:
    """Such a run is at its end: all that it counted stands in its row already."""
    told = select_one(connection, _COUNTS, (scan_id,))
    if told is None or told[1] != "running":
        return
    counts: dict[str, Any] = msgspec.json.decode(told[0])
    seconds = max(0.0, (now_ms - told[2]) / 1000)
    counts["seconds"] = round(seconds, 3)
    counts["files_per_second"] = round(counts.get("seen", 0) / seconds, 1) if seconds else 0.0
    counts["interrupted"] = False
    end(connection, scan_id, "done", msgspec.json.encode(counts).decode(), now_ms)


def state_of(connection: Connection, scan_id: int) -> tuple[str, str] | None:
    """(state, counts as JSON) of a run; None where there is no such."""
    told = select_one(connection, _COUNTS, (scan_id,))
    return None if told is None else (told[1], told[0])


def newest(connection: Connection, limit: int) -> list[ScanColumns]:
    """The last runs, newest first."""
    return [
        ScanColumns(scan_id, kind, state, tuple(msgspec.json.decode(roots)), *rest)
        for scan_id, kind, state, roots, *rest in select(connection, _NEWEST, (limit,))
    ]


def is_readable(roots: object, counts: object) -> bool:
    """Whether a row's roots and counts are as this program writes them."""
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
