"""The names of our keys in Redis, which more than one job needs."""

from __future__ import annotations

from typing import Final

ORDERS: Final = "music-indexer:batch-orders"
"""Row of `pending` -> token of its index, and id of the newest job of `batch` for it."""
PARKED: Final = "music-indexer:parked"
"""Generation -> turn and slice of its scan, which is parked until there is room."""
SCANS: Final = "music-indexer:scans"
"""Generation -> how many files its scan has seen, and planned to read."""
COUNTS: Final = "music-indexer:reading-counts"
"""Hits and misses since this Redis was started."""
TOTALS: Final = "music-indexer:totals"
"""What workers have done since this Redis was started."""
INDEX: Final = "music-indexer:index"
"""Which index takes the jobs, as JSON, for relays."""
RELAY: Final = "music-indexer:relay:"
"""Before the name of a root: the last heartbeat of its relay, as JSON."""
HASHES: Final = (ORDERS, PARKED, SCANS, COUNTS, TOTALS)
