"""The beginning and the end of a daemon -> lines for a person before a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from indexer.cli.output import note
from indexer.cli.terminal import count, time_span
from indexer.store import catalog, problems, roots, tracks

if TYPE_CHECKING:
    from indexer.store.connection import Connection


class Terminal:
    """The person before a terminal; without one nothing is shown.

    The log is for programs and journals; on a terminal these lines stand beside it.
    """

    def __init__(self, *, is_watched: bool) -> None:
        self._is_watched = is_watched
        self._began = time.monotonic()
        self._is_current = False

    def begin(self) -> None:
        """Note that the daemon begins to look at its roots."""
        self._began = time.monotonic()

    def show_holdings(self, connection: Connection) -> None:
        """What the index holds, after everything was looked at for the first time."""
        self._is_current = True
        if self._is_watched:
            note(holdings_line(connection, time.monotonic() - self._began))

    def show_end(self, connection: Connection) -> None:
        """That it was stopped, and what will become of the rest."""
        if self._is_watched:
            note(end_line(connection, is_current=self._is_current))


def holdings_line(connection: Connection, seconds: float) -> str:
    """The numbers of the whole index, and how the daemon ends."""
    present, _missing = tracks.counts(connection)
    albums, artists = catalog.counts(connection)
    bad = problems.count(connection)
    held = f"{count(present, 'track')}, {count(albums, 'album')}, {count(artists, 'artist')}"
    line = f"{held} in {time_span(seconds)}"
    if not (present or bad):
        folders = ", ".join(root.name for root in roots.watched(connection))
        line = f"no audio file below {folders}: is its disk mounted?"
    elif bad:
        line += f"; {count(bad, 'file')} could not be read (indexer problems)"
    end = " " if line.endswith("?") else ". "
    return f"{line}{end}Watching. Ctrl-C stops; nothing is lost."


def end_line(connection: Connection, *, is_current: bool) -> str:
    """What is indexed, and what the next start does."""
    present, _missing = tracks.counts(connection)
    if is_current:
        return (
            f"Stopped; {count(present, 'track')} indexed. "
            "The next start finds what changes meanwhile."
        )
    return f"Stopped; {count(present, 'track')} indexed so far. The next start goes on from there."
