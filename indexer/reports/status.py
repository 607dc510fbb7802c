"""The index, its roots and its daemon as they stand now -> a `status_report.Status`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from indexer import paths
from indexer.disk import filesystem
from indexer.disk.filesystem import Disk
from indexer.disk.identity import join
from indexer.disk.mounts import Mount, is_share, mount_of, mounts_below, read_mounts
from indexer.reports.metrics import vitals
from indexer.results import report, status_report
from indexer.roots.automounts import Touches
from indexer.roots.open_roots import no_music, open_roots
from indexer.runs.lock import LockInfo
from indexer.settings import Settings
from indexer.store import catalog, damaged, problems, roots, scrubs, tracks, tracks_below
from indexer.store.connection import Connection, read_transaction
from indexer.store.problems import InIndex, in_index
from indexer.store.sidecars import artwork, playlists
from indexer.store.work import pending, scans

_SCANS_SHOWN: Final = 5
_PATIENCE_S: Final = 1.0
"""Roots that may hang are waited for so long, together. A guess."""
_KEPT: Final = frozenset({"watching", "polling"})


class Counts(Struct, frozen=True):
    """What takes a look at all tracks to count: 30 ms of a million."""

    tracks: int
    missing: int
    albums: int
    artists: int
    by_root: Mapping[int, int]
    """Root id -> its tracks in the view."""


def counts_of(connection: Connection) -> Counts:
    """Count, in one snapshot."""
    with read_transaction(connection):
        by_root = tracks.count_by_root(connection)
        missing = sum(tracks.count_missing_by_root(connection).values())
        albums, artists = catalog.counts(connection)
    return Counts(sum(by_root.values()), missing, albums, artists, by_root)


def status(
    connection: Connection,
    settings: Settings,
    dispatcher: LockInfo | None,
    counts: Counts | None = None,
) -> status_report.Status:
    """The state of the index at one moment.

    `counts` are those of a moment before, where they need not be counted now.
    """
    database = settings.db
    counts = counts_of(connection) if counts is None else counts
    standing = tuple(root_statuses(connection, dispatcher, counts.by_root))
    with read_transaction(connection):
        waiting, oldest_ms = pending.count(connection)
        troubles = problems.count(connection)
        bad_pictures = problems.count_of_pictures(connection)
        cut_short = damaged.count(connection)
        scrubbed = scrubs.counts(connection)
        bad_playlists = problems.count_of_playlists(connection)
        due_albums, due_artists, folders = artwork.count_due(connection)
        owners = due_albums + due_artists if settings.artwork else 0
        artwork_waiting = owners + folders + playlists.count_due(connection)
        found = in_index(connection, _away(connection, standing), _now_ms())
        runs = tuple(_scan_row(row) for row in scans.newest(connection, _SCANS_SHOWN))
        covered = tuple(covered_lines(connection))
    found_live = vitals(settings, dispatcher, runs, standing)
    trouble = trouble_of(database, dispatcher)
    return status_report.Status(
        database=os.fspath(database),
        size=_size(database),
        wal_size=_size(database.with_name(database.name + "-wal")),
        tracks=counts.tracks,
        albums=counts.albums,
        artists=counts.artists,
        missing=counts.missing,
        problems=troubles,
        pending=waiting,
        oldest_pending_seconds=_age_s(oldest_ms),
        daemon=_daemon(dispatcher, trouble),
        scans=runs,
        picture_problems=bad_pictures,
        playlist_problems=bad_playlists,
        artwork_waiting=artwork_waiting,
        health=tuple(
            health_lines(
                found,
                found_live["roots"],
                dispatcher,
                found_live.get("queues", {}).values(),
                trouble=trouble,
                covered=covered,
            )
        ),
        damaged=cut_short,
        scrubbed=_scrubbed(*scrubbed),
        **found_live,
    )


def _scrubbed(files: int, oldest: int | None, newest: int | None) -> status_report.ScrubStatus:
    return status_report.ScrubStatus(
        files=files,
        oldest=None if oldest is None else report.iso(oldest),
        newest=None if newest is None else report.iso(newest),
    )


def root_statuses(
    connection: Connection,
    dispatcher: LockInfo | None,
    counted: Mapping[int, int] | None = None,
) -> Iterator[status_report.RootStatus]:
    """Every watched root with its current state.

    `counted` is the number of tracks by root id, where it need not be counted now.
    For roots that may hang this is the state that a daemon reports; without a daemon they are
    waited for only briefly.
    """
    watched = roots.watched(connection)
    if counted is None:
        counted = tracks.count_by_root(connection)
    told = _reasons_of(watched, dispatcher)
    open_trees = open_roots(
        connection,
        watched,
        touches=_touches(watched, dispatcher),
        about=[root.id for root in watched if root.name not in told],
        patience_s=_PATIENCE_S,
    )
    open_trees.close()
    for root in watched:
        mount = roots.own_mount(roots.mounts(connection, root.id))
        if mount is None and not roots.is_watched(connection, root.id):
            continue  # it was removed meanwhile
        own = Disk() if mount is None else mount.disk
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
        yield status_report.RootStatus(
            name=root.name,
            path=text,
            path_b64=b64,
            state=_state(dispatcher, root.name, offline=is_offline),
            reason=msgspec.UNSET if reason is None else reason,
            tracks=counted.get(root.id, 0),
            file_system=own.fs_type,
            disk=own.identity,
            stamp_fields=str(fields),
            moves="inode" if fields.stable_inodes else "content",
        )


def _reasons_of(watched: Sequence[roots.RootRow], dispatcher: LockInfo | None) -> dict[str, str]:
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


def covered_lines(connection: Connection) -> Iterator[status_report.HealthLine]:
    """A line for each disk that is mounted over a folder of another one, with missing tracks.

    They may have been missing before, too.
    """
    mounted: Sequence[Mount] | None = None
    for root in roots.watched(connection):
        accepted = roots.mounts(connection, root.id)
        if len(accepted) < 2:
            continue
        mounted = read_mounts() if mounted is None else mounted
        now = mounts_below(root.path, mounted)
        for row in accepted:
            above = [one for one in accepted if one.folder != row.folder
                     and paths.is_below(row.folder, one.folder)]  # fmt: skip
            if row.folder not in now or not above:
                continue
            disk_id = max(above, key=lambda one: len(one.folder)).disk_id
            covered = tracks_below.count_missing_of_disk(connection, root.id, row.folder, disk_id)
            if covered and disk_id != row.disk_id:
                path = os.fsdecode(join(root.path, row.folder))
                yield _line(
                    "warning",
                    f"root {root.name}: {_count(covered, 'missing track')} may be hidden by the"
                    f" disk that is mounted over the folder {path}",
                    None,
                )


def _away(connection: Connection, standing: Sequence[status_report.RootStatus]) -> set[int]:
    """The ids of roots that are offline."""
    names = {root.name for root in standing if root.state == "offline"}
    return {root.id for root in roots.watched(connection) if root.name in names}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _daemon(
    dispatcher: LockInfo | None, trouble: tuple[str, int | None] | None
) -> status_report.DaemonStatus:
    if dispatcher is None or dispatcher.role != "daemon":
        return status_report.DaemonStatus()
    return status_report.DaemonStatus(
        running=True,
        pid=dispatcher.pid_here() or dispatcher.pid,
        watched_folders=dispatcher.watched_folders,
        unwatched_folders=dispatcher.unwatched_folders,
        recoveries=dispatcher.recoveries,
        engine=dispatcher.engine,
        queue_trouble=dispatcher.queue_trouble or None,
        log_is_held=dispatcher.log_is_held,
        trouble=trouble[0] if trouble else None,
    )


def trouble_of(database: Path, dispatcher: LockInfo | None) -> tuple[str, int | None] | None:
    """Why changes wait that a daemon has seen, and since when (Unix milliseconds).

    None: it can write them. What it says itself is old where its disk takes no byte more.
    """
    if dispatcher is None or dispatcher.role != "daemon":
        return None
    since_ms = dispatcher.trouble_since_ms or None
    folder = os.path.realpath(database.parent)
    mount = mount_of(os.fsencode(folder), read_mounts())
    if mount is not None and mount.is_read_only:
        return "the disk of the index is read-only", since_ms
    if dispatcher.trouble:
        return dispatcher.trouble, since_ms
    room = os.statvfs(folder)
    if room.f_blocks and not room.f_bfree:  # ramfs and some of FUSE count no blocks
        return "the disk of the index is full", None
    return None


def _state(dispatcher: LockInfo | None, name: str, *, offline: bool) -> str:
    """A root's state; activity is known from the lock, never from a row."""
    if offline:
        return "offline"
    if dispatcher is None or dispatcher.role in ("roots", "repair"):
        return "idle"
    return dispatcher.states.get(name, "scanning")


def _scan_row(row: scans.ScanColumns) -> status_report.ScanRow:
    return status_report.ScanRow(
        id=row.id,
        kind=row.kind,
        state=row.state,
        roots=row.roots,
        started_at=report.iso(row.started_at),
        ended_at=None if row.ended_at is None else report.iso(row.ended_at),
        counts=msgspec.json.decode(row.counts, type=report.ScanReport),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _age_s(at_ms: int | None) -> float | None:
    return None if at_ms is None else round(max(0.0, time.time() - at_ms / 1000), 3)


def health_lines(
    found: InIndex,
    roots: Sequence[status_report.RootStatus],
    dispatcher: LockInfo | None,
    queues: Iterable[status_report.QueueStatus] = (),
    *,
    trouble: tuple[str, int | None] | None = None,
    covered: Iterable[status_report.HealthLine] = (),
) -> Iterator[status_report.HealthLine]:
    """What is not well, the worst first. Nothing: all is well.

    `trouble` says why changes wait, and since when (`trouble_of`); `covered` are lines of
    `covered_lines`.
    """
    if trouble is not None:
        yield _line("fault", f"{trouble[0]}: changes wait (see indexer doctor)", trouble[1])
    yield from _of_roots(roots, {} if dispatcher is None else dispatcher.away_since_ms)
    if dispatcher is not None and dispatcher.queue_trouble:
        yield _line("fault", "nothing can be given to the queues now; it stays pending", None)
    if unserved := [queue for queue in queues if queue.queued and not queue.workers]:
        names = ", ".join(queue.name for queue in unserved)
        longest_s = max(queue.oldest_seconds or 0.0 for queue in unserved)
        yield _line(
            "fault",
            f"no worker serves jobs that wait ({names}): start indexer worker",
            _now_ms() - int(longest_s * 1000),
        )
    if found.waiting:
        yield _line(
            "fault",
            f"{_count(found.waiting, 'place')} pending for more than 15 minutes",
            found.waiting_since_ms,
        )
    if dispatcher is not None and dispatcher.unwatched_folders:
        folders = _count(dispatcher.unwatched_folders, "folder")
        yield _line(
            "warning",
            f"{folders} without a watch, looked at now and then (see indexer doctor)",
            dispatcher.unwatched_since_ms or None,
        )
    yield from covered
    if found.new_problems:
        files = _count(found.new_problems, "new problem")
        yield _line(
            "warning",
            f"{files} in the last 24 hours (see indexer problems)",
            found.problems_since_ms,
        )


def _of_roots(
    roots: Sequence[status_report.RootStatus], since_ms: dict[str, int]
) -> Iterator[status_report.HealthLine]:
    for root in roots:
        at_ms = since_ms.get(root.name)
        if root.state == "offline":
            yield _line("fault", f"root {root.name} is offline", at_ms)
        elif root.reason is not UNSET and root.reason:
            yield _line("warning", f"root {root.name}: a disk of it seems to be away", at_ms)
        if root.relay is not UNSET and not root.relay.alive:
            yield _line(
                "warning",
                f"root {root.name}: its relay on {root.relay.host} is away; changes are found by"
                " polling",
                _now_ms() - int(root.relay.silent_seconds * 1000),
            )


def _line(level: str, text: str, since_ms: int | None) -> status_report.HealthLine:
    since = None if since_ms is None else report.iso(since_ms)
    return status_report.HealthLine(level=level, text=text, since=since)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
