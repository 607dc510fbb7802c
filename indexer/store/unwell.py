"""The index at one moment -> what has changed for the worse, as far as it can say."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct

from indexer.store import pending, problems
from indexer.store.connection import Connection

LONG_MS: Final = 15 * 60 * 1000
"""What is pending for longer is told of."""
NEW_MS: Final = 24 * 60 * 60 * 1000
"""A problem that is younger is a new one."""


class InIndex(Struct, frozen=True):
    """What the index itself says; the times in Unix milliseconds."""

    new_problems: int = 0
    problems_since_ms: int | None = None
    """When the first of the new ones was met."""
    waiting: int = 0
    """Hints and chunks that are pending for too long, without those of roots that are away."""
    waiting_since_ms: int | None = None


def in_index(connection: Connection, away: Collection[int], now_ms: int) -> InIndex:
    """Ask the index; `away` are the ids of roots whose disks are not there, which have to wait."""
    number, first_ms = problems.count_since(connection, now_ms - NEW_MS)
    late = [
        (rows, at_ms)
        for root_id, rows, at_ms in pending.before(connection, now_ms - LONG_MS)
        if root_id not in away
    ]
    return InIndex(
        number,
        first_ms,
        sum(rows for rows, _ in late),
        min((at_ms for _, at_ms in late), default=None),
    )
