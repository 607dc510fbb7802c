"""Hints for a daemon that is at work: leave them, wake it, and wait until it has settled them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from indexer.engine.bell import ring
from indexer.model import Hint
from indexer.store import pending
from indexer.store.connection import Connection, write_transaction
from indexer.store.pending import PendingRow

_LOOK_PAUSE_S: Final = 0.05


def leave_hints(
    connection: Connection, database: Path, hints: Sequence[Hint], *, scan_id: int = 0
) -> list[PendingRow]:
    """Make hints durable and wake whoever dispatches; `scan_id` is the run that counts them."""
    now_ms = time.time_ns() // 1_000_000
    with write_transaction(connection):
        rows = pending.leave_hints(connection, hints, now_ms, scan_id=scan_id)
    ring(database)
    return rows


def await_settled(
    connection: Connection,
    rows: Sequence[PendingRow],
    keep_on: Callable[[], bool],
    *,
    in_queues: bool = False,
) -> bool:
    """Wait until hints and all chunks made of them are settled; False when `keep_on` says no.

    In the queues, a chunk that was answered and is not whole keeps the generation of its hint, and
    the daemon watches over it: it is not waited for.
    """
    generations = {row.generation for row in rows}
    while any(
        row.generation in generations and not (in_queues and row.is_chunk and row.attempts)
        for row in pending.outlines(connection)
    ):
        if not keep_on():
            return False
        time.sleep(_LOOK_PAUSE_S)
    return True
