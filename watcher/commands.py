"""Pending rows that are not the daemon's own -> runs to be done, and hints to be looked at."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.model import Hint
from indexer.store.pending import PendingRow
from watcher.local_work import LocalWork
from watcher.log import EventLog
from watcher.roots import Roots

Asked = Hint | list[PendingRow]
"""A place to be looked at, or the hints of a run."""


class Commands:
    """What commands have left to be looked at, and what a run left that was killed.

    A row is taken once, and is settled by the look at its place. Until then it is asked each time
    whether it was. What a command waits for is a run of its own, with a look of its own, which
    counts; what nobody counts is looked at together with all else that is due.
    """

    def __init__(self, work: LocalWork, roots: Roots, log: EventLog) -> None:
        self._work = work
        self._roots = roots
        self._log = log
        self._has_news = True
        self._taken: set[int] = set()

    @property
    def are_waiting(self) -> bool:
        """Whether somebody waits for what was taken."""
        return bool(self._taken)

    def ring(self) -> None:
        """Somebody may have left something."""
        self._has_news = True

    def begin_anew(self) -> None:
        """What was taken may have been dropped: its root was offline, or there was trouble."""
        self._has_news = True
        self._taken.clear()

    def take(self) -> Iterator[Asked]:
        """What is new, of roots that are there: the oldest first."""
        if not (self._has_news or self._taken):
            return
        self._has_news = False
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
