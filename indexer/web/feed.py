"""Changes of the index -> server-sent events for all pages that are open.

One thread looks for all of them, and none while no page is open. A page that was away asks with the
number of the last change that it saw (`Last-Event-ID`), and gets what came since.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition, Thread
from typing import Final

import msgspec

from indexer import errors
from indexer.lookup import Lookup
from indexer.results import report
from indexer.store import changes
from indexer.web.calm import Line, Standing
from indexer.web.pool import Pool

MOST_STREAMS: Final = 16
HEARTBEAT_S: Final = 15.0
_LOOK_S: Final = 0.2
_LINE_S: Final = 1.0
_GONE_S: Final = 1.0
"""How often a stream looks whether its page is gone."""
_MOST_AT_ONCE: Final = 50
"""Changes that a page gets at once; of more, the last ones."""
_TROUBLE_S: Final = 5.0
"""Pause after the index could not be read."""

RenderChanges = Callable[[Lookup, list[report.ChangeRow]], list[str]]
RenderLine = Callable[[Line], str]


Place = tuple[int, int]
"""Of an event: which index it is of, and its number there."""


class Feed:
    """The streams that are open, and the thread that looks for them."""

    def __init__(
        self, pool: Pool, standing: Standing, changes_as: RenderChanges, line_as: RenderLine
    ) -> None:
        self._pool = pool
        self._standing = standing
        self._changes_as = changes_as
        self._line_as = line_as
        self._changed = Condition()
        """Guards the rest; notified when there is an event or another line."""
        self._streams = 0
        self._looker: Thread | None = None
        self._events: deque[tuple[Place, bytes]] = deque(maxlen=2 * _MOST_AT_ONCE)
        self._newest = 0
        self._index = 0
        """How often another index has taken the place of the one before: its numbers begin anew."""
        self._line: Line | None = None

    @property
    def index(self) -> int:
        """How often the index was replaced while pages were open."""
        with self._changed:
            return self._index

    @property
    def is_looking(self) -> bool:
        """Whether anything is polled."""
        with self._changed:
            return self._looker is not None

    def open(self, after: int | None, is_gone: Callable[[], bool]) -> Stream | None:
        """The events of one page, after a change; None where too many pages are open.

        `is_gone` tells whether the page was closed, which a write would show only later.
        """
        with self._changed:
            if self._streams >= MOST_STREAMS:
                return None
            self._streams += 1
        return Stream(self, after, is_gone)

    def close_one(self) -> None:
        """A page was closed."""
        with self._changed:
            self._streams -= 1
            self._changed.notify_all()

    def events(self, after: int | None, is_gone: Callable[[], bool]) -> Iterator[bytes]:
        """What one stream sends, until its page is gone."""
        newest = self._newest_now()
        number = newest if after is None else min(after, newest)
        with self._changed:
            self._start(newest)
            index = self._index
            known_from = self._events[0][0] if self._events else (index, self._newest + 1)
        yield b"retry: 3000\n\n"
        if (index, number + 1) < known_from:
            for seq, event in self._since(number):
                yield event
                number = seq
        seen = index, number
        line: Line | None = None
        while not is_gone():
            fresh, next_line = self._await_events(seen, line, is_gone)
            if next_line is not None and next_line is not line:
                line = next_line
                yield _event("line", {"html": self._line_as(next_line)})
            elif not fresh:
                yield b": \n\n"
            for place, event in fresh:
                seen = place
                yield event

    def _await_events(
        self, seen: Place, line: Line | None, is_gone: Callable[[], bool]
    ) -> tuple[list[tuple[Place, bytes]], Line | None]:
        """The events after `seen` and the line, when one is new, or at the next heartbeat."""
        until = time.monotonic() + HEARTBEAT_S
        with self._changed:
            while True:
                fresh = [(place, event) for place, event in self._events if place > seen]
                if fresh or self._line is not line or is_gone() or time.monotonic() >= until:
                    return fresh, self._line
                self._changed.wait(_GONE_S)

    def _start(self, newest: int) -> None:
        """Start to look, if nothing does; the lock is held."""
        if self._looker is None:
            self._events.clear()
            self._newest = newest
            self._line = None
            self._looker = Thread(target=self._look, name="feed", daemon=True)
            self._looker.start()

    def _look(self) -> None:
        version: object = None
        line_at = 0.0
        while True:
            try:
                now = self._pool.version()
                if now != version:
                    self._take_changes()
                    version = now
                if time.monotonic() >= line_at:
                    self._set_line(self._standing.line())
                    line_at = time.monotonic() + _LINE_S
                pause_s = _LOOK_S
            except errors.IndexerError:
                self._set_line(self._standing.line())
                pause_s = _TROUBLE_S
            with self._changed:
                self._changed.wait_for(lambda: self._streams == 0, pause_s)
                if self._streams == 0:
                    self._looker = None
                    return

    def _set_line(self, line: Line) -> None:
        with self._changed:
            if line != self._line:
                self._line = line
                self._changed.notify_all()

    def _take_changes(self) -> None:
        with self._pool.reader() as lookup:
            newest = changes.newest(lookup.connection)
        if newest < self._newest:
            with self._changed:
                self._events.clear()
                self._newest = newest
                self._index += 1
        elif events := self._since(self._newest):
            with self._changed:
                self._events.extend(((self._index, seq), event) for seq, event in events)
                self._newest = events[-1][0]
                self._changed.notify_all()

    def _newest_now(self) -> int:
        try:
            with self._pool.reader() as lookup:
                return changes.newest(lookup.connection)
        except errors.IndexerError:
            return 0

    def _since(self, seq: int) -> list[tuple[int, bytes]]:
        """The last events after a change, each with its number."""
        with self._pool.reader() as lookup:
            newest = changes.newest(lookup.connection)
            if newest <= seq:
                return []
            count = min(_MOST_AT_ONCE, newest - seq)
            rows = [row for row in lookup.last_changes(count) if row.seq > seq]
            items = self._changes_as(lookup, rows)
        return [
            (row.seq, _event("change", {"html": html, "kind": row.kind}, row.seq))
            for row, html in zip(rows, items, strict=True)
        ]


class Stream:
    """The events of one page. Werkzeug closes it when it has ended, or cannot be sent."""

    def __init__(self, feed: Feed, after: int | None, is_gone: Callable[[], bool]) -> None:
        self._feed = feed
        self._events = feed.events(after, is_gone)
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._feed.close_one()


def _event(name: str, data: dict[str, str], seq: int | None = None) -> bytes:
    number = b"" if seq is None else b"id: %d\n" % seq
    return b"%sevent: %s\ndata: %s\n\n" % (number, name.encode(), msgspec.json.encode(data))
