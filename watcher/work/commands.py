"""Pending rows that are not the daemon's own -> runs to be done, and hints to be scanned."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.model import Hint
from indexer.store.work.pending import PendingRow
from watcher.log import EventLog
from watcher.roots.root_states import Roots
from watcher.work.local_work import LocalWork

Asked = Hint | list[PendingRow]
"""A hint to be scanned, or the hints of a run."""


class Commands:
    """Hints that commands have left, and the rest of a run that was killed.

    A row is taken once, and is completed by the scan of its path. Until then each call checks
    whether it was. A hint that a command waits for belongs to a run, which is scanned separately
    and counted; other hints are scanned together with all else that is due.
    """

    def __init__(self, work: LocalWork, roots: Roots, log: EventLog) -> None:
        self._work = work
        self._roots = roots
        self._log = log
        self._may_have_rows = True
        self._taken: set[int] = set()

    @property
    def are_waiting(self) -> bool:
        """Whether taken rows are still open."""
        return bool(self._taken)

    def note_new_rows(self) -> None:
        """Other processes may have left rows."""
        self._may_have_rows = True

    def begin_anew(self) -> None:
        """Taken rows may have been dropped: their root was offline, or there was an error."""
        self._may_have_rows = True
        self._taken.clear()

    def take(self) -> Iterator[Asked]:
        """New hints of roots that are there, the oldest first."""
        if not (self._may_have_rows or self._taken):
            return
        self._may_have_rows = False
        rows = {row.id: row for row in self._work.left_by_others()}
        self._taken &= rows.keys()
        runs: dict[int, list[PendingRow]] = {}
        for row_id in sorted(rows.keys() - self._taken):
            row = rows[row_id]
            root = self._roots.get(row.hint.root_id)
            if root is None or not root.is_there:
                continue
            self._taken.add(row_id)
            if row.hint.names is None and row.hint.recursive and not row.hint.folder:
                self._log.info("asked", root=root.row.name, reread=bool(row.hint.reread))
            if row.scan_id and not row.is_chunk:
                runs.setdefault(row.scan_id, []).append(row)
            else:
                yield row.hint
        yield from runs.values()
