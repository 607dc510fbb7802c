"""Places that could not be read -> when to try again, ever more rarely."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from indexer import paths
from indexer.model import Hint
from indexer.settings import Settings
from indexer.stages.sidecars import try_these
from indexer.store import problems
from indexer.store.connection import Connection

_LONGEST_S: Final = 600.0
"""The longest pause. A guess: each try costs a listing, and a failing disk needs rest."""
_FEW: Final = 32
"""Up to so many paths are all scanned when one is due. A guess: more mean a failing disk."""


class Retries:
    """A clock for each path: its pauses double for as long as it cannot be read.

    No event reports that a disk answers again, and a failure has no stamp that could change: only
    another try can tell. When one is due, all are while they are few: two files may have swapped
    names, and a scan of only one of them takes it for the other, written anew.
    """

    def __init__(self, first_s: float, longest_s: float = _LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = max(first_s, longest_s)
        self._clocks: dict[Hint, tuple[float, float]] = {}
        """Hint -> when it is due, and the pause before that."""

    def due(self, places: Collection[Hint], now: float) -> list[Hint]:
        """The hints to scan now, of all that cannot be read; paths not among them are forgotten."""
        found = set(places)
        self._clocks = {
            place: self._clocks.get(place, (now + self._first_s, self._first_s)) for place in found
        }
        dues = [place for place, (due_at, _) in self._clocks.items() if due_at <= now]
        for place in dues:
            pause_s = min(2 * self._clocks[place][1], self._longest_s)
            self._clocks[place] = (now + pause_s, pause_s)
        return list(self._clocks) if dues and len(self._clocks) <= _FEW else dues


class SidecarRetries:
    """Pictures and playlists that the machine could not read: tried again, ever more rarely (R9).

    As with files, only another try tells that a disk answers again; a look would find nothing.

    What is due then is read by whatever does the deferred stage: the daemon, or workers.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._wants_any = settings.artwork or settings.playlists
        self._retries = Retries(settings.probe_interval)

    def turn(
        self, root_ids: Iterable[int], is_expired: Callable[[int, bytes], bool], now: float
    ) -> None:
        """Make due what is to be tried now, except where `is_expired(root id, path)`."""
        if not self._wants_any:
            return
        places = {
            Hint(root_id, paths.parent_of(path), (paths.name_of(path),))
            for root_id in root_ids
            for path in problems.of_pictures_by_machine(self._connection, root_id)
            if not is_expired(root_id, path)
        }
        for place in self._retries.due(places, now):
            named = [paths.join(place.folder, name) for name in place.names or ()]
            try_these(self._connection, place.root_id, named)
