"""Roots, and what is wanted of them -> watches, held against the folders that a look has listed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from indexer import paths
from indexer.wanted import Wanted, is_rule
from watcher.observers import Observers
from watcher.roots import Root, Roots


class Arming:
    """Sees to it that each folder of a root is watched, or known not to be."""

    def __init__(self, observers: Observers, wanted: Wanted) -> None:
        self._observers = observers
        self._wanted = wanted
        self._shares: dict[int, frozenset[bytes]] = {}
        """By a root's id: the folders in it where such a file system begins. Never changed in
        place: other threads read it."""

    def arm(self, root: Root) -> None:
        """Watch all of a root anew; of a polled one nothing is watched."""
        if root.is_polled:
            self._observers.unwatch(root.row.id)
            return
        self._shares[root.row.id] = root.shares()
        root.armed = self._observers.watch(
            root.row.id,
            root.row.path,
            wants_folder=partial(self._wants_folder, root.row.id),
            wants_name=self._wants_name,
        )

    def _wants_folder(self, root_id: int, folder: bytes) -> bool:
        """Whether to watch a folder: not one that a server has to answer for, which may hang."""
        below_share = any(paths.is_below(folder, one) for one in self._shares[root_id])
        return not below_share and self._wanted.folders(folder)

    def _wants_name(self, _folder: bytes, name: bytes) -> bool:
        return is_rule(name) or self._wanted.file(name)

    def mend(self, root: Root, listed: set[bytes]) -> Iterator[bytes]:
        """Watch what was listed and is not watched; these folders are to be looked at again."""
        if root.is_polled or not root.is_there or b"" in root.armed.unwatched:
            return
        watched = self._observers.watched_folders(root.row.id)
        for folder in sorted(listed - watched - root.armed.unwatched.keys()):
            if not self._wants_folder(root.row.id, folder):
                continue
            root.armed = self._observers.arm(root.row.id, folder)
            yield folder

    def count(self, roots: Roots) -> None:
        """See how many folders are watched now: those that came were watched at once."""
        for root in roots:
            if root.is_settled and root.armed.watched:
                root.armed = self._observers.armed(root.row.id)
