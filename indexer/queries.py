"""The index -> the structs of `report`: status, problems, changes, and rows of the view."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from indexer import errors, paths, report
from indexer.disk import filesystem
from indexer.disk.mounts import read_mounts
from indexer.metrics import vitals
from indexer.roots.automounts import Touches
from indexer.roots.open_roots import no_music, open_roots
from indexer.runs.lock import LockInfo
from indexer.settings import Settings
from indexer.shares.hanging import is_share
from indexer.store import catalog, changes, pending, problems, roots, scans, tracks
from indexer.store.connection import Connection, read_transaction
from indexer.store.schema import LIBRARY_COLUMNS

_SCANS_SHOWN: Final = 5
_PATIENCE_S: Final = 1.0
"""Roots that may hang are waited for so long, together. A guess."""
_KEPT: Final = frozenset({"watching", "polling"})


def status(
    connection: Connection, settings: Settings, dispatcher: LockInfo | None
) -> report.Status:
    """The state of the index at one moment."""
    database = settings.db
    standing = tuple(root_statuses(connection, dispatcher))
    with read_transaction(connection):
        present, missing = tracks.counts(connection)
        waiting, oldest_ms = pending.count(connection)
        albums, artists = catalog.counts(connection)
        troubles = problems.count(connection)
        runs = tuple(_scan_row(row) for row in scans.newest(connection, _SCANS_SHOWN))
    return report.Status(
        database=os.fspath(database),
        size=_size(database),
        wal_size=_size(database.with_name(database.name + "-wal")),
        tracks=present,
        albums=albums,
        artists=artists,
        missing=missing,
        problems=troubles,
        pending=waiting,
        oldest_pending_seconds=_age_s(oldest_ms),
        daemon=_daemon(dispatcher),
        roots=standing,
        scans=runs,
        **vitals(settings, dispatcher, runs),
    )


def root_statuses(
    connection: Connection, dispatcher: LockInfo | None
) -> Iterator[report.RootStatus]:
    """Every watched root with its current state.

    For roots that may hang this is the state that a daemon reports; without a daemon they are
    waited for only briefly.
    """
    watched = roots.watched(connection)
    counted = tracks.count_by_root(connection)
    told = _told_by(watched, dispatcher)
    open_trees = open_roots(
        connection,
        watched,
        touches=_touches(watched, dispatcher),
        about=[root.id for root in watched if root.name not in told],
        patience_s=_PATIENCE_S,
    )
    open_trees.close()
    for root in watched:
        own = roots.mounts(connection, root.id)[0].disk
        fields = filesystem.stamp_fields(own.fs_type)
        text, b64 = paths.text_of(root.path)
        reasons = [
            told.get(root.name),
            open_trees.offline.get(root.id),
            *open_trees.away(root.id).values(),
        ]
        if roots.never_had_music(connection, root.id):
            reasons.append(no_music(root))
        reason = next((reason for reason in reasons if reason), None)
        is_offline = root.id in open_trees.offline and root.id not in open_trees.fresh
        yield report.RootStatus(
            name=root.name,
            path=text,
            path_b64=b64,
            state=_state(dispatcher, root.name, offline=is_offline),
            reason=msgspec.UNSET if reason is None else reason,
            tracks=counted.get(root.id, 0),
            file_system=own.fs_type,
            disk=own.identity,
            stamp_fields=str(fields),
            moves=fields.stable_inodes,
        )


def _told_by(watched: Sequence[roots.RootRow], dispatcher: LockInfo | None) -> dict[str, str]:
    """Of roots that may hang, those of which a daemon has told how they stand; why they are away.

    Empty where they are not.
    """
    if dispatcher is None:
        return {}
    mounts = read_mounts()
    return {
        root.name: dispatcher.reasons.get(root.name, "")
        for root in watched
        if dispatcher.knows(root.name) and is_share(root.path, mounts)
    }


def _touches(watched: Sequence[roots.RootRow], dispatcher: LockInfo | None) -> Touches:
    """Do not trigger automounts of roots that a daemon watches: it knows their state."""
    states = {} if dispatcher is None or dispatcher.role != "daemon" else dispatcher.states
    kept = {root.id for root in watched if states.get(root.name) in _KEPT}
    return lambda root_id, _folder, _has_expired: root_id not in kept


def _daemon(dispatcher: LockInfo | None) -> report.DaemonStatus:
    if dispatcher is None or dispatcher.role != "daemon":
        return report.DaemonStatus()
    return report.DaemonStatus(
        running=True,
        pid=dispatcher.pid,
        watched_folders=dispatcher.watched_folders,
        unwatched_folders=dispatcher.unwatched_folders,
        recoveries=dispatcher.recoveries,
        engine=dispatcher.engine,
        queue_trouble=dispatcher.queue_trouble or None,
        log_is_held=dispatcher.log_is_held,
    )


def _state(dispatcher: LockInfo | None, name: str, *, offline: bool) -> str:
    """A root's state; activity is known from the lock, never from a row."""
    if offline:
        return "offline"
    if dispatcher is None or dispatcher.role in ("roots", "repair"):
        return "idle"
    return dispatcher.states.get(name, "scanning")


def _scan_row(row: scans.ScanColumns) -> report.ScanRow:
    return report.ScanRow(
        id=row.id,
        kind=row.kind,
        state=row.state,
        roots=row.roots,
        started_at=report.iso(row.started_at),
        ended_at=None if row.ended_at is None else report.iso(row.ended_at),
        counts=msgspec.json.decode(row.counts, type=report.ScanReport),
    )


def problem_rows(connection: Connection) -> Iterator[report.ProblemRow]:
    """Everything that could not be read, by root and path."""
    for root, path, kind, reason, since_ms in problems.listed(connection):
        text, b64 = paths.text_of(path)
        yield report.ProblemRow(
            root=root, path=text, path_b64=b64, kind=kind, reason=reason, since=report.iso(since_ms)
        )


def change_rows(connection: Connection, since: int) -> Iterator[report.ChangeRow]:
    """The change feed after a sequence number. Raises HistoryPruned if some of it is pruned."""
    floor = changes.floor(connection)
    if 0 < since < floor:
        raise errors.HistoryPruned(
            f"changes after {since} are no longer all kept (only those after {floor} are); "
            "start from a snapshot: read the view `library`, then `changes --since "
            f"{changes.newest(connection)}`"
        )
    for seq, at, kind, track_id, root, path, old_root, old_path in changes.since(connection, since):
        text, b64 = _told(path)
        old_text, old_b64 = (None, msgspec.UNSET) if old_path is None else _told(old_path)
        yield report.ChangeRow(
            seq=seq,
            at=report.iso(at),
            kind=kind,
            track_id=track_id,
            root=root,
            path=text,
            path_b64=b64,
            old_root=old_root,
            old_path=old_text,
            old_path_b64=old_b64,
        )


def library_row(row: tuple[object, ...]) -> dict[str, object]:
    """A row of the view as a dictionary that can be encoded as JSON."""
    named = dict(zip(LIBRARY_COLUMNS, row, strict=True))
    path = named["path"]
    if isinstance(path, bytes):
        text, b64 = paths.text_of(path)
        named["path"], named["path_b64"] = text, b64
    return named


def shown(connection: Connection, root: roots.RootRow, path: bytes) -> dict[str, object] | None:
    """All that the index has about one file; None if it has nothing."""
    known = tracks.in_place(connection, root.id, path)
    trouble = problems.get(connection, root.id, path)
    answer: dict[str, object] = {}
    if known is not None:
        row = tracks.view_row(connection, known.id)
        if row is not None:
            answer = library_row(row)
            answer["artists"] = catalog.names_of(connection, known.id, "artist")
            answer["albumartists"] = catalog.names_of(connection, known.id, "albumartist")
            answer["genres"] = catalog.genres_of(connection, known.id)
            if tracks.columns_of(connection, known.id)[-1]:
                answer["suspect_encoding"] = 1
    if not answer:
        if trouble is None:
            return None
        text, b64 = paths.text_of(path)
        answer = {"root": root.name, "path": text}
        if isinstance(b64, str):
            answer["path_b64"] = b64
    if trouble is not None:
        answer["problem"] = {
            "kind": str(trouble.problem.kind), "reason": trouble.problem.reason
        }  # fmt: skip
    return answer


def _told(path: str | bytes) -> tuple[str, str | msgspec.UnsetType]:
    return paths.text_of(path) if isinstance(path, bytes) else (path, msgspec.UNSET)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _age_s(at_ms: int | None) -> float | None:
    return None if at_ms is None else round(max(0.0, time.time() - at_ms / 1000), 3)
