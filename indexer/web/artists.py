"""All artists -> a directory by first letter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from indexer.store import browse
from indexer.store.connection import Connection
from indexer.store.folding import fold

OTHER = "#"


class Directory:
    """All artists at one moment, in the order of their folded names."""

    def __init__(self, connection: Connection) -> None:
        rows = [(_letter(name), fold(name), one, name, tracks)
                for one, name, tracks in browse.all_artists(connection)]  # fmt: skip
        rows.sort()
        self._letters = [row[0] for row in rows]
        self._rows = [row[2:] for row in rows]

    @property
    def letters(self) -> list[str]:
        """The first letters that there are."""
        return list(dict.fromkeys(self._letters))

    def of_letter(self, letter: str) -> Sequence[tuple[int, str, int]]:
        """(id, name, number of tracks) of the artists with this first letter; empty: of all."""
        if not letter:
            return self._rows
        begin, end = bisect_left(self._letters, letter), bisect_right(self._letters, letter)
        return self._rows[begin:end]


def _letter(name: str) -> str:
    first = fold(name)[:1].upper()
    return first if "A" <= first <= "Z" else OTHER
