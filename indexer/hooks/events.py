"""The index and a cursor -> the events after it, and the cursor behind them.

A track's events are lines of the change feed. The others are differences between what a hook was
told and what is so now: states of roots, problems, ended scans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from indexer import paths
from indexer.reports.queries import change_rows
from indexer.results import report
from indexer.settings.hooks import Hook
from indexer.store import changes, hooks, roots
from indexer.store.connection import Connection
from indexer.store.hooks import Cursor
from indexer.store.work import scans

_PAGE: Final = 1000
"""Changes that are read at once while a hook skips those it does not want."""
_SCANS: Final = 50
"""Runs that are looked at: a guess, more than end between two batches."""
_DAMAGE: Final = "damage"
"""The kind of problem that is an event of its own."""

LOST: Final = Cursor(seq=2**63 - 1)
"""Beyond the end of every feed: the receiver of this hook is to read the whole library."""

Event = dict[str, Any]


class Batch(Struct, frozen=True):
    """What one message carries."""

    events: tuple[Event, ...]
    cursor: Cursor
    """Of the hook once it was received."""
    fresh: bool = False
    """Changes were lost to this hook, since they are not kept any more: read the whole library."""
    more: bool = False
    """Whether there are more events already."""


def present(connection: Connection, states: Mapping[str, str]) -> Cursor:
    """The cursor of a hook that gets only the changes from now on."""
    cursor = Cursor(
        seq=changes.newest(connection),
        scans=tuple(_ended(connection)),
        offline=tuple(name for name, state in states.items() if state == "offline"),
    )
    return hooks.knowing_all_problems(connection, cursor)


def after(connection: Connection, hook: Hook, cursor: Cursor, states: Mapping[str, str]) -> Batch:
    """The next events of a hook; `states` are those of the roots that a daemon reports.

    A batch without events has a cursor that may have moved over what the hook does not want.
    """
    newest = changes.newest(connection)
    if newest < cursor.seq or 0 < cursor.seq < changes.floor(connection):
        return Batch((), present(connection, states), fresh=True)
    folders = _folders(connection, hook)
    events: list[Event] = []
    seq = cursor.seq
    while len(events) < hook.batch and seq < newest:
        page = _changes(connection, seq)
        for row in page:
            seq = row.seq
            if _is_wanted(hook, row):
                events.append(_of_change(row, folders))
                if len(events) == hook.batch:
                    break
        if not page:
            seq = newest
    cursor = msgspec.structs.replace(cursor, seq=seq)
    if seq < newest:
        return Batch(tuple(events), cursor, more=True)
    others, cursor = _others(connection, cursor, states, folders)
    events += (event for event in others if hook.wants(event["kind"], event.get("root")))
    return Batch(tuple(events), cursor)


def _changes(connection: Connection, seq: int) -> list[report.ChangeRow]:
    found = []
    for row in change_rows(connection, seq):
        found.append(row)
        if len(found) == _PAGE:
            break
    return found


def _is_wanted(hook: Hook, row: report.ChangeRow) -> bool:
    return hook.wants(row.kind, row.root) or (
        row.old_root is not None and hook.wants(row.kind, row.old_root)
    )


def _folders(connection: Connection, hook: Hook) -> dict[str, str]:
    """Name of a root -> its folder for the receiver."""
    own = {root.name: paths.text_of(root.path)[0] for root in roots.watched(connection)}
    return {name: hook.map.get(name, path) for name, path in own.items()} | hook.map


def _of_change(row: report.ChangeRow, folders: Mapping[str, str]) -> Event:
    event: Event = msgspec.to_builtins(row)
    event["file"] = _file(folders, row.root, row.path)
    if row.old_root is not None and row.old_path is not None:
        event["old_file"] = _file(folders, row.old_root, row.old_path)
    else:
        del event["old_root"], event["old_path"]
    return event


def _file(folders: Mapping[str, str], root: str, path: str) -> str | None:
    """A path as the receiver knows it; None of a root that is removed."""
    if root not in folders:
        return None
    folder = folders[root]
    return f"{folder.rstrip('/')}/{path}" if folder else path


def _others(
    connection: Connection,
    cursor: Cursor,
    states: Mapping[str, str],
    folders: Mapping[str, str],
) -> tuple[list[Event], Cursor]:
    events: list[Event] = []
    found, cursor = hooks.new_problems(connection, cursor)
    for root, path, kind, reason, at in found:
        text, b64 = paths.text_of(path)
        events.append({
            "kind": "damage" if kind == _DAMAGE else "problem",
            "at": report.iso(at), "root": root, "path": text, "file": _file(folders, root, text),
            "problem": kind, "reason": reason,
            **({} if b64 is msgspec.UNSET else {"path_b64": b64}),
        })  # fmt: skip
    ended = _ended(connection)
    events += (event for scan_id, event in ended.items() if scan_id not in cursor.scans)
    offline = cursor.offline
    if states:
        events += _of_roots(cursor.offline, states)
        offline = tuple(name for name, state in states.items() if state == "offline")
    return events, msgspec.structs.replace(cursor, scans=tuple(ended), offline=offline)


def _of_roots(offline: tuple[str, ...], states: Mapping[str, str]) -> Iterator[Event]:
    for name, state in states.items():
        if (state == "offline") != (name in offline):
            yield {"kind": "root-offline" if state == "offline" else "root-online", "root": name}


def _ended(connection: Connection) -> dict[int, Event]:
    return {
        run.id: {
            "kind": "scan-done", "at": report.iso(run.ended_at), "scan": run.id, "run": run.kind,
            "state": run.state, "roots": run.roots,
            "seconds": max(0, run.ended_at - run.started_at) / 1000,
            "counts": msgspec.json.decode(run.counts),
        }
        for run in reversed(scans.newest(connection, _SCANS))
        if run.ended_at is not None
    }  # fmt: skip
