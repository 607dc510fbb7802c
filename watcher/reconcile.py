"""When to scan again: all of a root, and what could not be read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from indexer import paths
from indexer.model import Hint
from indexer.settings import Settings
from indexer.stages.sidecars import try_these
from indexer.store import problems
from indexer.store.connection import Connection

HOUR_S: Final = 3600.0
ASLEEP_PAUSE_S: Final = HOUR_S
"""Pause before a sleeping disk is checked again. A guess."""
_PROBE_S: Final = 10.0

Asleep = Callable[[bytes], bool | None]
"""A root's path -> whether its disk sleeps; None: unknown."""
_LONGEST_S: Final = 600.0
"""The longest pause. A guess: each try costs a listing, and a failing disk needs rest."""
_FEW: Final = 32
"""Up to so many paths are all scanned when one is due. A guess: more mean a failing disk."""


def pause_s(interval_h: int, hour: int | None, local: datetime) -> float | None:
    """How long until the next full scan; None: never.

    With an `hour` (0 to 23, local time) it is the first time that the clock shows it when at least
    half the interval has passed, so that a start at noon does not mean a second scan that night.
    """
    if interval_h == 0:
        return None
    if hour is None:
        return interval_h * HOUR_S
    earliest = local + timedelta(hours=interval_h / 2)
    at = earliest.replace(hour=hour, minute=0, second=0, microsecond=0)
    if at < earliest:
        at += timedelta(days=1)
    return (at - local).total_seconds()


def may_look(asleep: bool | None, *, age_s: float, most_age_s: float) -> bool:  # noqa: FBT001 - an answer
    """Whether to scan now: a sleeping disk is left alone, but not for longer than `most_age_s`."""
    return asleep is not True or age_s >= most_age_s


def probe(command: Sequence[str]) -> Asleep:
    """A check by a command, with the root's path as its last argument: exit 0 asleep, 1 awake.

    Any other end, or none within 10 s, means unknown; so does no command.
    """

    def ask(path: bytes) -> bool | None:
        if not command:
            return None
        try:
            ended = subprocess.run(  # noqa: S603 - the settings name it
                [*command, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PROBE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return {0: True, 1: False}.get(ended.returncode)

    return ask


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
