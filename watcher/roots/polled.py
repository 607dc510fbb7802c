"""Places in which the kernel tells no changes -> where to look first, by the times of folders."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.disk.tree import Tree
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.stages.folder_times import FolderTimes, look_at_times

_SETTLED_S: Final = 3.0
"""A time that is the same after so long is not young: no clock has longer ticks (FAT: 2 s)."""
_LEAST_PAUSE_S: Final = 30.0
"""An NFS client asks its server for a folder no sooner again (`acdirmin` of nfs(5))."""
_SHARE_OF_POLL: Final = 10
"""Passes in one `poll_interval` at the most: a long one lets disks sleep. A guess."""
_SHARE_OF_TIME: Final = 100
"""A pass takes one part in so many of the time, with the looks that it leads to. A guess."""
_LOOK_S: Final = 0.01
"""What a look at one folder takes. A guess: ten files on a share."""


def pass_pause_s(poll_interval_s: float, cost_s: float) -> float | None:
    """How long after a pass the next one is due, by what that one cost; None: when all is polled.

    A pass that finds all folders changed each time, on a disk that keeps no times, costs the most.
    """
    pause_s = max(_LEAST_PAUSE_S, poll_interval_s / _SHARE_OF_POLL, cost_s * _SHARE_OF_TIME)
    return pause_s if pause_s < poll_interval_s else None


class Passed(Struct):
    """What came of passes over all polled places of a root."""

    hints: list[Hint] = []
    folders: int = 0
    seconds: float = 0.0

    @property
    def cost_s(self) -> float:
        """What it took, and what its hints will take."""
        return self.seconds + len(self.hints) * _LOOK_S


class _Place(Struct):
    times: FolderTimes | None = None
    seen_at: float = 0.0
    """When they were last seen, to the end; by the clock."""


class PolledPlaces:
    """The folders of all polled places and their times, in memory; nothing where none is polled.

    Learned by each look at all of a place. `clock` is monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[int, dict[bytes, _Place]] = {}

    def keep(self, root_id: int, folders: Collection[bytes]) -> None:
        """These folders of a root are polled, with all below them, and no others."""
        known = self._places.pop(root_id, {})
        if folders:
            self._places[root_id] = {one: known.get(one, _Place()) for one in folders}

    def keep_roots(self, root_ids: Iterable[int]) -> None:
        """Forget all other roots."""
        for root_id in self._places.keys() - set(root_ids):
            del self._places[root_id]

    def knows(self, root_id: int) -> bool:
        """Whether any folders of a root are known."""
        return any(one.times is not None for one in self._places.get(root_id, {}).values())

    def times_for(self, hint: Hint) -> dict[bytes, FolderTimes]:
        """What a look is to fill: the places that are looked at as a whole."""
        if hint.names is not None or not hint.recursive:
            return {}
        now_ns = time.time_ns()
        return {
            folder: FolderTimes(place.times, settles=self._settles(place), now_ns=now_ns)
            for folder, place in self._places.get(hint.root_id, {}).items()
            if paths.is_below(folder, hint.folder)
        }

    def note_times(self, root_id: int, filled: Mapping[bytes, FolderTimes]) -> None:
        """A look that has ended has filled these."""
        for folder, times in filled.items():
            place = self._places.get(root_id, {}).get(folder)
            times.end()
            if place is not None:
                place.times, place.seen_at = times, self._clock()

    def note_all_times(self, root_id: int, listed: Mapping[bytes, int]) -> None:
        """All folders of a root were listed, in the order of a walk: each, and its time."""
        filled = self.times_for(Hint(root_id, recursive=True))
        for place, times in filled.items():
            for folder, changed_ns in listed.items():
                if paths.is_below(folder, place):
                    times.add(folder, changed_ns)
        self.note_times(root_id, filled)

    def look(
        self,
        tree: Tree,
        folders: Iterable[bytes],
        path_filter: PathFilter,
        goes_on: Callable[[], bool],
    ) -> Passed:
        """Pass over all that is known in these polled folders of a root. Raises RootSilent."""
        passed = Passed()
        began = time.monotonic()
        for folder in folders:
            place = self._places.get(tree.root_id, {}).get(folder, _Place())
            if place.times is None:
                continue
            found = look_at_times(
                tree, place.times, path_filter, settles=self._settles(place), goes_on=goes_on
            )
            place.times, place.seen_at = found.times, self._clock()
            passed.folders += len(found.times)
            passed.hints += found.hints(tree.root_id)
        passed.seconds = time.monotonic() - began
        return passed

    def _settles(self, place: _Place) -> bool:
        return self._clock() - place.seen_at >= _SETTLED_S
