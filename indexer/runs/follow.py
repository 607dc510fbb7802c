"""A run, whichever processes do it -> its end, as seen from the command that requested it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from indexer.store import counted, scans
from indexer.store.connection import Connection

_EVIDENCE_MARGIN_S: Final = 0.5
"""Margin over `still`, since a file's time begins with the kernel's last tick, and another process
has to scan it. A guess."""
_END_S: Final = 1.0
"""When nothing of a run is pending, the process that did the last of it ends it at once; if it was
killed at that moment, no process will. A guess."""


def follow(
    connection: Connection,
    scan_id: int,
    *,
    still_s: float,
    pause_s: float,
    keep_on: Callable[[], bool],
    step: Callable[[], bool] = lambda: False,
) -> bool:
    """Wait until a run has ended; False when `keep_on` becomes false before.

    Incomplete files are waited for as long as a command without a daemon would: `still`.
    `step` is called at each check, and returns whether there is more to do.
    """
    ended_at: float | None = None
    whole_until: float | None = None
    while keep_on():
        is_busy = step()
        now = time.monotonic()
        if is_busy or counted.waits_for(connection, scan_id):
            ended_at = None
        elif ended_at is None:
            ended_at = now
        if ended_at is not None and (
            scans.has_ended(connection, scan_id) or now - ended_at > _END_S
        ):
            if whole_until is None:
                whole_until = now + still_s + _EVIDENCE_MARGIN_S
            if not counted.left_of(connection, scan_id) or now >= whole_until:
                return True
        time.sleep(pause_s)
    return False
