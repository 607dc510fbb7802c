"""Pending rows that are not the daemon's own -> hints to be looked at, each of them once."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.model import Hint
from watcher.log import Decisions
from watcher.roots import Roots
from watcher.work import Work


class Commands:
    """What commands have left to be looked at, and what a run left that was killed.

    A row is taken once, and is settled by the look at its place. Until then it is asked each time
    whether it was.
    """

    def __init__(self, work: Work, roots: Roots, log: Decisions) -> None:
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

    def take(self) -> Iterator[Hint]:
        """What is new, of roots that are there."""
        if not (self._has_news or self._taken):
            return
        self._has_news = False
        rows = {row.id: row.hint for row in self._work.left_by_others()}
        self._taken &= rows.keys()
        for row_id in rows.keys() - self._taken:
            hint = rows[row_id]
            root = self._roots.get(hint.root_id)
            if root is not None and root.is_there:
                if hint.names is None and hint.recursive and not hint.folder:
                    self._log.info("asked", root=root.row.name, reread=bool(hint.reread))
                self._taken.add(row_id)
                yield hint
