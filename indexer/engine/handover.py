"""Hints for a daemon that is at work: leave them, and wake it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from indexer.model import Hint
from indexer.runs.wakeup import wake
from indexer.store import pending, scans
from indexer.store.connection import Connection, write_transaction


def enqueue_hints(connection: Connection, database: Path, hints: Sequence[Hint]) -> None:
    """Make hints durable and wake the daemon. Nothing follows them."""
    now_ms = time.time_ns() // 1_000_000
    with write_transaction(connection):
        pending.enqueue_all(connection, hints, now_ms)
    wake(database)


def request_run(
    connection: Connection, database: Path, kind: str, names: Sequence[str], hints: Sequence[Hint]
) -> int:
    """Have a run of `scan` or `rebuild` done; its id in `scans`, where it is counted."""
    now_ms = time.time_ns() // 1_000_000
    with write_transaction(connection):
        scan_id = scans.start(connection, kind, names, now_ms, alone=False)
        reread = scan_id if kind == "rebuild" else 0
        wanted = [msgspec.structs.replace(hint, reread=reread) for hint in hints]
        pending.enqueue_all(connection, wanted, now_ms, scan_id=scan_id)
    wake(database)
    return scan_id
