"""What looks have done -> lines of the log, the throughput for `status`, and rows of `scans`."""

from __future__ import annotations

import time
from typing import Final

from indexer.readers.artwork import Step
from indexer.runs.result import Result
from indexer.runs.throughput import Throughput
from indexer.stages.moves import Outcome
from indexer.store import changes
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow
from indexer.store.work import scans
from watcher.log import EventLog
from watcher.roots.polled import Passed

_MOST_LINES: Final = 40
"""Changes of one flush that get a line each; more are summed up. A guess."""
_NOT_WRITTEN: Final = (Outcome.MISSING, Outcome.PROBLEM)


class ChangeLog:
    """Logs each change of the index once, whichever process made it."""

    def __init__(self, connection: Connection, log: EventLog) -> None:
        self.pace = Throughput()
        """What the daemon gets through, for `status`."""
        self._connection = connection
        self._log = log
        self._logged_to = changes.newest(connection)

    def was_repaired(self) -> None:
        """Go on with the index as it is now, which may have lost its last changes."""
        self._logged_to = min(self._logged_to, changes.newest(self._connection))

    def count(self, result: Result, *, places: int, left: int) -> None:
        """Log what a look at so many places has done, and each change; `left` were not whole."""
        self.pace.add(
            time.time(),
            discovery=result.seen,
            extraction=result.files_read,
            insertion=sum(result.tally[one] for one in Outcome if one not in _NOT_WRITTEN),
            failed=result.tally[Outcome.PROBLEM],
        )
        self.pace.add_totals(bytes_read=result.bytes_read, cache_hits=result.unchanged)
        self._log.debug(
            "looked",
            places=places,
            seen=result.seen,
            read=result.files_read,
            bytes=result.bytes_read,
            left=left,
            seconds=result.seconds,
        )
        self.log_changes()

    def count_artwork(self, step: Step) -> None:
        """Log what a step of the choice of artwork has done."""
        self.pace.add_artwork(time.time(), step.chosen)
        self.pace.add_totals(bytes_read=step.bytes_read)
        if step.chosen or step.read:
            self._log.debug("artwork", chosen=step.chosen, read=step.read, bytes=step.bytes_read)

    def log_pass(self, root: RootRow, passed: Passed) -> None:
        """Log what a look at the times of folders has found."""
        self._log.debug(
            "folders changed",
            root=root.name,
            places=len(passed.hints),
            folders=passed.folders,
            seconds=passed.seconds,
        )

    def write_down(self, root: RootRow, result: Result, kind: str) -> None:
        """Keep a line in `scans` of a look at everything, if it found anything (rule R14)."""
        if not result.has_changes:
            return
        now_ms = time.time_ns() // 1_000_000
        with write_transaction(self._connection):
            began_ms = now_ms - int(result.seconds * 1000)
            scan_id = scans.start(self._connection, kind, [root.name], began_ms, alone=False)
            scans.add(self._connection, scan_id, result.numbers())
            state = "interrupted" if result.interrupted else "done"
            scans.end(self._connection, scan_id, now_ms, state=state, seconds=result.seconds)

    def log_changes(self) -> None:
        """A line in the log for each change since the last call."""
        newest = changes.newest(self._connection)
        if newest == self._logged_to:
            return
        counted = changes.counted_since(self._connection, self._logged_to)
        self.pace.add_changes(counted)
        if newest - self._logged_to > _MOST_LINES:
            self._log.info("settled", **counted)
        else:
            for row in changes.since(self._connection, self._logged_to):
                _, _, kind, _, root, path, old_root, old_path, _ = row
                came_from = {} if old_path is None else {"from": _place(old_root, old_path)}
                if (old_root, old_path) == (root, path):
                    came_from = {}
                self._log.info(kind, path=_place(root, path), **came_from)
        self._logged_to = newest


def _place(root: str | None, path: str | bytes) -> str:
    text = path.decode("utf-8", "backslashreplace") if isinstance(path, bytes) else path
    return f"{root}/{text}"
