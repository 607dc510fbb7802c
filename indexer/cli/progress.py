"""A scan's snapshots -> one live line on a terminal: phase, files done, rate, time left."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TextIO

from msgspec import Struct

from indexer.cli.terminal import escaped, number, time_span
from indexer.nonblocking_stream import NonblockingStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    from indexer.model import Progress

_WINDOW_S = 10.0
"""Window of the rate: long enough to be steady, short enough to be current."""
_REDRAW_S = 0.1
_BAR = 24
_LEAST_BAR = 8
"""Columns of the bar; a guess. With less room it is left out."""
_PATIENCE_S = 0.4
"""A shorter run shows no line, and does not load Rich."""


class Moment(Struct, frozen=True):
    """The contents of the line."""

    phase: str
    root: str
    done: int
    total: int | None
    """None while it is unknown."""
    rate: float | None
    """Files a second."""
    left_s: float | None


class Meter:
    """Measure the rate of a scan and estimate its end.

    Listing counts files seen, reading counts files that are done with; so each is measured on its
    own. Files are read while folders are still being listed: then the line says `reading`.
    """

    def __init__(self) -> None:
        self._phase = ""
        self._samples: deque[tuple[float, int]] = deque()

    def moment(self, progress: Progress, now: float) -> Moment:
        """The line for `progress` at `now` (seconds of a monotonic clock)."""
        phase = "reading" if _reads(progress) else progress.phase
        done, total = _work(progress)
        if phase != self._phase:
            self._phase = phase
            self._samples.clear()
        self._samples.append((now, done))
        while self._samples[0][0] < now - _WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()
        since, first = self._samples[0]
        rate = (done - first) / (now - since) if now > since else None
        left_s = (total - done) / rate if rate and total is not None else None
        return Moment(phase, progress.root, done, total, rate, left_s)


def _reads(progress: Progress) -> bool:
    return progress.phase == "listing" and progress.read > 0


def _work(progress: Progress) -> tuple[int, int | None]:
    """(files done, files in all); while listing, the total is that of the last scan.

    Of an interrupted run that goes on, what was done before is done: all files are counted.
    """
    total: int | None = progress.seen
    if progress.phase == "listing":
        total = None if progress.expected is None else max(progress.expected, progress.seen)
        if not _reads(progress):
            return progress.seen, total
    return max(0, progress.seen - progress.to_read) + progress.read, total


class ProgressLine:
    """A scan's listener that draws on stderr, and erases its line when the `with` ends.

    A terminal that is gone (a session was lost, and SIGHUP is ignored) ends the drawing, and not
    the work that is shown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meter = Meter()
        self._next_draw = clock() + _PATIENCE_S
        self._live: Live | None = None
        self._stream = sys.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()

    def __call__(self, progress: Progress) -> None:
        """Take a snapshot; draws ten per second."""
        now = self._clock()
        if now < self._next_draw:
            return
        self._next_draw = now + _REDRAW_S
        if isinstance(self._stream, NonblockingStream) and self._stream.is_behind:
            return  # nothing is taken: the last line is enough
        try:
            self._draw(progress, now)
        except OSError:
            self._next_draw = math.inf
            self._stop()

    def _draw(self, progress: Progress, now: float) -> None:
        if self._live is None:
            self._live = _start()
        self._live.update(
            _drawn(self._meter.moment(progress, now), self._live.console.width), refresh=True
        )

    def _stop(self) -> None:
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()
            self._live = None


def counts_text(moment: Moment) -> str:
    """`3 400 of 10 000 files  3 120 files/s  2.1 s left`, without the unknown parts.

    Of artwork, albums and artists are counted.
    """
    is_artwork = moment.phase == "artwork"
    counted = "albums and artists" if is_artwork else "files"
    done = number(moment.done)
    if moment.total is not None:
        done += f" of {number(moment.total)}"
    parts = [f"{done} {counted}"]
    if moment.rate is not None:
        parts.append(f"{number(round(moment.rate))}{'' if is_artwork else ' files'}/s")
    if moment.left_s is not None:
        parts.append(f"{time_span(moment.left_s)} left")
    return "  ".join(parts)


def _start() -> Live:
    """Without Rich's refresh thread: the line shows the last snapshot and its time."""
    from rich.live import Live

    live = Live(console=visible_cursor(sys.stderr), auto_refresh=False, transient=True)
    live.start()
    return live


def visible_cursor(file: TextIO) -> Console:
    """Rich's terminal, whose cursor is never hidden.

    Rich would show it again at the end, but neither when a program is stopped (Ctrl-Z) nor when a
    signal kills it.
    """
    from rich.console import Console

    class VisibleCursor(Console):
        def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002, FBT002 - Rich's
            return False

    return VisibleCursor(file=file)


def _drawn(moment: Moment, columns: int) -> Table:
    """The line in so many columns: the bar gives way first, then the name of the root."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    label = Text(f"{moment.phase} {escaped(moment.root)}".rstrip())
    counts = Text(counts_text(moment))
    label.truncate(max(len(moment.phase), columns - counts.cell_len - 2), overflow="ellipsis")
    room = columns - label.cell_len - counts.cell_len - 3  # one blank after each column
    has_bar = moment.total is not None and room >= _LEAST_BAR
    line = Table.grid(padding=(0, 1))
    line.add_column(no_wrap=True, min_width=label.cell_len)
    if has_bar:
        line.add_column(no_wrap=True)
    line.add_column(no_wrap=True, overflow="ellipsis")
    bar = ProgressBar(total=moment.total, completed=moment.done, width=min(room, _BAR))
    line.add_row(label, *([bar] if has_bar else []), counts)
    return line
