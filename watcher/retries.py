"""Places that the machine could not read -> when each is looked at again (rule R9)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from indexer.model import Hint

_LONGEST_S: Final = 600.0
"""The longest pause. A guess: a look costs a listing, and a failing disk is not to be pestered."""
_FEW: Final = 32
"""So many places are looked at whenever any of them is due. A guess: more are a failing disk."""


class Retries:
    """A clock for each place: its pauses double for as long as it cannot be read.

    No event tells that a disk answers again, and what failed has no stamp that could change: only
    another try can tell. When one is due, all are while they are few: two files may have swapped
    names, and who looks at one of them alone takes it for the other, written anew.
    """

    def __init__(self, first_s: float, longest_s: float = _LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = max(first_s, longest_s)
        self._clocks: dict[Hint, tuple[float, float]] = {}
        """Place -> when it is due, and the pause before that."""

    def due(self, places: Collection[Hint], now: float) -> list[Hint]:
        """Those to look at now, of all that cannot be read; what is left out is well again."""
        found = set(places)
        self._clocks = {
            place: self._clocks.get(place, (now + self._first_s, self._first_s)) for place in found
        }
        dues = [place for place, (due_at, _) in self._clocks.items() if due_at <= now]
        for place in dues:
            pause_s = min(2 * self._clocks[place][1], self._longest_s)
            self._clocks[place] = (now + pause_s, pause_s)
        return list(self._clocks) if dues and len(self._clocks) <= _FEW else dues
