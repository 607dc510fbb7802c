"""Albums, artists and playlists that must wait -> when each is looked at again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from indexer.artwork.model import PictureKey
from indexer.disk.tree import Tree
from indexer.store.sidecars.artwork import Owner

OFFLINE_S: Final = 60.0
"""Pause before an owner whose picture is on a disk that is away is looked at again. A guess."""


class _Pause(Struct):
    """When an owner is looked at again, and the pause before that."""

    at: float
    pause_s: float


class PausedOwners:
    """Owners that wait: until a picture is whole, for a disk, or while a picture is read.

    `clock` is monotonic.
    """

    def __init__(self, clock: Callable[[], float], first_s: float, longest_s: float) -> None:
        """The pause before a file that may not be whole grows from `first_s` to `longest_s`."""
        self._clock = clock
        self._first_s = first_s
        self._longest_s = longest_s
        self._pauses: dict[Owner, _Pause] = {}
        self._away: dict[Owner, PictureKey] = {}
        """Owners that wait for the disk of a picture."""

    def __contains__(self, owner: Owner) -> bool:
        return owner in self._pauses

    def put(self, owner: Owner, pause_s: float | None = None) -> None:
        """Look at an owner later: after pauses that grow, or one of this length."""
        if pause_s is None:
            before = self._pauses.get(owner)
            pause_s = self._first_s
            if before is not None:
                pause_s = min(before.pause_s * 2, self._longest_s)
        self._pauses[owner] = _Pause(self._clock() + pause_s, pause_s)

    def put_away(self, owner: Owner, key: PictureKey) -> None:
        """Look at an owner when the disk of this picture is there, or in a minute."""
        self._away[owner] = key
        self.put(owner, OFFLINE_S)

    def hold(self, owner: Owner) -> None:
        """Keep the length of its pause while a picture is read for it."""
        if owner in self._pauses:
            self._pauses[owner].at = math.inf

    def end(self, owner: Owner) -> None:
        """It waits for nothing any more."""
        self._pauses.pop(owner, None)
        self._away.pop(owner, None)

    def clear(self) -> None:
        """None waits any more."""
        self._pauses.clear()
        self._away.clear()

    def note_disks(self, trees: Mapping[int, Tree]) -> None:
        """End the pauses of owners whose disk was away and is in these roots that are there now."""
        for owner, key in list(self._away.items()):
            tree = trees.get(key.root_id)
            if tree is None or tree.is_offline(key.path):
                continue
            del self._away[owner]
            if owner in self._pauses:
                self._pauses[owner].at = self._clock()

    def over(self) -> list[Owner]:
        """Those whose pause is over."""
        now = self._clock()
        return [owner for owner, pause in self._pauses.items() if pause.at <= now]

    def next_turn(self) -> float | None:
        """When the first pause is over; None: not before a reader answers."""
        times = (pause.at for pause in self._pauses.values())
        return min((at for at in times if at < math.inf), default=None)

    @property
    def wait_for_evidence(self) -> bool:
        """Whether one waits only until a picture is known to be whole."""
        return any(pause.pause_s < OFFLINE_S for pause in self._pauses.values())
