"""The index, its daemon and its queues as they stand now -> the numbers of `indexer metrics`."""

from __future__ import annotations

import socket
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from indexer import errors
from indexer.model import ProblemKind
from indexer.reports.status import status
from indexer.results import status_report
from indexer.runs import verified
from indexer.runs.lock import LockInfo
from indexer.runs.throughput import Totals
from indexer.settings import Settings
from indexer.store import problems, roots, tracks
from indexer.store.connection import Connection, read_transaction
from indexer.store.work import scans

_COMMANDS: Final = ("scan", "rebuild")
_KINDS: Final = (ProblemKind.CONTENT, ProblemKind.ENVIRONMENT, ProblemKind.FAULT)


class Measures(Struct, frozen=True, kw_only=True):
    """What is exposed; times in Unix milliseconds, 0 where there was none."""

    status: status_report.Status
    host: str
    """The name of this machine."""
    missing: dict[str, int]
    """Root name -> tracks that are missing."""
    problems: dict[str, int]
    """Every kind; `picture` is of pictures that cannot be used."""
    totals: Totals | None
    """What the daemon has done since its start, or all workers since that of their Redis. None:
    Redis does not answer."""
    changes: dict[str, int]
    last_scan_ms: int
    last_reconcile_ms: int
    """Of the root for which it is longest ago, among those that are there."""
    verified: verified.Verified
    other_jobs: dict[tuple[str, str], int]
    """(queue, state) -> jobs in a state that `QueueStatus` has not."""


def measures(connection: Connection, settings: Settings, dispatcher: LockInfo | None) -> Measures:
    """All numbers at one moment."""
    told = status(connection, settings, dispatcher)
    with read_transaction(connection):
        names = {root.id: root.name for root in roots.watched(connection)}
        missing = tracks.count_missing_by_root(connection)
        kinds = problems.count_by_kind(connection)
        last_scan_ms = scans.last_ended(connection, _COMMANDS)
    daemon = dispatcher if dispatcher is not None and dispatcher.role == "daemon" else None
    own = Totals() if daemon is None else daemon.totals
    return Measures(
        status=told,
        host=socket.gethostname(),
        missing={name: missing.get(root_id, 0) for root_id, name in names.items()},
        problems={
            **{str(kind): kinds.get(str(kind), 0) for kind in _KINDS},
            "picture": told.picture_problems,
            "playlist": told.playlist_problems,
            "damage": told.damaged,
        },
        changes=own.changes,
        last_scan_ms=last_scan_ms,
        last_reconcile_ms=_longest_ago(daemon, told),
        verified=verified.last(settings.db),
        **_of_redis(settings, own),
    )


def _of_redis(settings: Settings, own: Totals) -> dict[str, Any]:
    """What workers count, where there are queues."""
    if settings.redis is None:
        return {"totals": own, "other_jobs": {}}
    from indexer.queue.monitoring import monitor

    try:
        with monitor.connected(settings) as client:
            counted = monitor.RedisRates(client).totals()
            return {
                "totals": replace(counted, bytes_written=own.bytes_written),
                "other_jobs": monitor.other_jobs(client),
            }
    except errors.QueueError:
        return {"totals": None, "other_jobs": {}}


def _longest_ago(daemon: LockInfo | None, told: status_report.Status) -> int:
    if daemon is None:
        return 0
    there = (root.name for root in told.roots if root.state != "offline")
    return min((daemon.looked_at_ms.get(name, 0) for name in there), default=0)
