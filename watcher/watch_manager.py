"""Roots, and what is wanted of them -> watches, held against the folders that a look has listed."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.ignore.path_filter import PathFilter, is_rule
from watcher.observers import Observers
from watcher.roots import Root, Roots


class WatchManager:
    """Sees to it that each folder of a root is watched, or known not to be."""

    def __init__(self, observers: Observers, path_filter: PathFilter) -> None:
        self._observers = observers
        self._path_filter = path_filter

    def arm(self, root: Root) -> None:
        """Watch all of a root anew; of a polled one nothing is watched."""
        if root.is_polled:
            self._observers.unwatch(root.row.id)
            return
        root.armed = self._observers.watch(
            root.row.id,
            root.row.path,
            wants_folder=self._path_filter.folders,
            wants_name=self._wants_name,
        )

    def _wants_name(self, _folder: bytes, name: bytes) -> bool:
        return is_rule(name) or self._path_filter.file(name)

    def mend(self, root: Root, listed: set[bytes]) -> Iterator[bytes]:
        """Watch what was listed and is not watched; these folders are to be looked at again."""
        if root.is_polled or not root.is_there or b"" in root.armed.unwatched:
            return
        watched = self._observers.watched_folders(root.row.id)
        for folder in sorted(listed - watched - root.armed.unwatched.keys()):
            root.armed = self._observers.arm(root.row.id, folder)
            yield folder

    def count(self, roots: Roots) -> None:
        """See how many folders are watched now: those that came were watched at once."""
        for root in roots:
            if root.is_settled and root.armed.watched:
                root.armed = self._observers.armed(root.row.id)
