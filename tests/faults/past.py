"""The library as it was at moments of a run -> whether the index says the same of them later."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.programs import Ran, rows

MOST: Final = 8
"""Moments that are kept of a run."""
_NOW: Final = "SELECT token, (SELECT max(seq) FROM changes) FROM identity"

Tracks = dict[int, dict[str, Any]]
"""Id -> what is told of a track."""


class Moment(NamedTuple):
    """What the index said of its present."""

    token: str
    number: int
    """Of its last change."""
    tracks: Tracks


class Past:
    """The moments of one run. `run` runs `indexer` with some words, and raises nothing."""

    def __init__(self, db: Path, run: Callable[..., Ran]) -> None:
        self._db = db
        self._run = run
        self._moments: list[Moment] = []
        self.compared = 0

    def note(self) -> None:
        """Remember what is in the view now; nothing where the index cannot be read."""
        if len(self._moments) >= MOST:
            return
        try:
            ((token, number),) = rows(self._db, _NOW)
        except (sqlite3.Error, ValueError):
            return
        if number and (tracks := self._tracks(number)) is not None:
            self._moments.append(Moment(token, number, tracks))

    def wrong(self) -> Iterator[str]:
        """What `as-of` says otherwise now; nothing of an index that was made anew since."""
        ((token, _),) = rows(self._db, _NOW)
        for moment in self._moments:
            if moment.token != token:
                continue
            self.compared += 1
            now = self._tracks(moment.number)
            if now is None:
                yield f"as-of {moment.number} cannot be told any more"
            else:
                yield from _differences(moment, now)

    def _tracks(self, number: int) -> Tracks | None:
        """None: the index cannot be asked now."""
        ran = self._run("as-of", str(number), "--limit", "0", "--json", check=None)
        return {row["id"]: row for row in ran.objects} if ran.code in {0, 1} else None


def _differences(moment: Moment, now: Tracks) -> Iterator[str]:
    for track_id in sorted(moment.tracks.keys() | now.keys()):
        then, told = moment.tracks.get(track_id), now.get(track_id)
        if then == told:
            continue
        if then is None or told is None:
            yield f"as-of {moment.number}: track {track_id} was {then}, and is told as {told}"
        else:
            names = sorted(name for name in then.keys() | told.keys()
                           if then.get(name) != told.get(name))  # fmt: skip
            both = {name: (then.get(name), told.get(name)) for name in names}
            yield f"as-of {moment.number}: track {track_id} differs (then, told): {both}"
