"""Pictures and playlists that the machine could not read -> tried again, ever more rarely (R9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from indexer import paths
from indexer.model import Hint
from indexer.settings import Settings
from indexer.stages.sidecars import try_these
from indexer.store import problems
from indexer.store.connection import Connection
from watcher.reconcile import Retries


class PictureRetries:
    """As with files, only another try tells that a disk answers again; a look would find nothing.

    What is due then is read by whatever does the deferred stage: the daemon, or workers.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._wants_any = settings.artwork or settings.playlists
        self._retries = Retries(settings.probe_interval)

    def turn(
        self, root_ids: Iterable[int], rests: Callable[[int, bytes], bool], now: float
    ) -> None:
        """Make due what is to be tried now, but for what `rests` (by root id and path)."""
        if not self._wants_any:
            return
        places = {
            Hint(root_id, paths.parent_of(path), (paths.name_of(path),))
            for root_id in root_ids
            for path in problems.of_pictures_by_machine(self._connection, root_id)
            if not rests(root_id, path)
        }
        for place in self._retries.due(places, now):
            named = [paths.join(place.folder, name) for name in place.names or ()]
            try_these(self._connection, place.root_id, named)
