"""Decisions -> lines: `event key=value`, with `<N>` before them under systemd, or as JSON."""

from __future__ import annotations

import logging
import math
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from indexer.cli.terminal import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.results.status_report import RelayStatus
    from indexer.store.problems import InIndex

_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""Of sd-daemon(3): the journal takes the number between < and > as the line's priority."""

Fields = dict[str, object]
_AGAIN_S: Final = 900.0
"""The shortest time between two lines about more problems: a bad copy goes on for long. A guess."""


def style_for(stream: int, journal: str | None, *, as_json: bool) -> str:
    """How to write to an open descriptor: `json`, `systemd` or `plain`.

    `journal` is $JOURNAL_STREAM, device:inode of the stream to the journal (systemd.exec(5)). The
    variable is still set when our output is redirected, so the two are compared.
    """
    if as_json:
        return "json"
    status = os.fstat(stream)
    return "systemd" if journal == f"{status.st_dev}:{status.st_ino}" else "plain"


class DecisionHandler(logging.Handler):
    """Writes one line a decision to stderr. `style` is one of those of `style_for`."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._style = style

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a log that cannot be written (a full disk) is no reason to stop.

        A daemon's stderr waits for nothing (`NonblockingStream`).
        """
        with suppress(OSError):
            sys.stderr.write(self._line(record) + "\n")
            sys.stderr.flush()

    def lost(self, number: int) -> str:
        """The line for so many texts that nothing has read."""
        record = logging.LogRecord("watcher", logging.WARNING, "", 0, "log lost", None, None)
        record.fields = {"lines": number, "reason": "nothing read them"}
        return self._line(record) + "\n"

    def _line(self, record: logging.LogRecord) -> str:
        fields: Fields = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        event = record.getMessage()
        if self._style == "json":
            level = record.levelname.lower()
            at = round(record.created, 3)
            line = {"at": at, "level": level, "event": event, **fields}
            return msgspec.json.encode({key: _fit(value) for key, value in line.items()}).decode()
        pairs = (f"{key}={_shown(value)}" for key, value in fields.items())
        text = " ".join([escaped(event), *pairs])
        if self._style == "systemd":
            return f"<{_PRIORITIES.get(record.levelno, 6)}>{text}"
        return text


class EventLog:
    """The daemon's log: `log.info("overflow", root="music", action="rescan")`."""

    def __init__(self, name: str = "watcher") -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Something was examined, whatever the result."""
        self._logger.debug(event, extra={"fields": fields})

    def info(self, event: str, **fields: object) -> None:
        """Something was done."""
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: object) -> None:
        """Something is wrong; the line says what is done about it, or can be."""
        self._logger.warning(event, extra={"fields": fields})

    def say(self, level: int, event: str, fields: Fields) -> None:
        """The same at a level of `logging`, for callers that do not know this class."""
        self._logger.log(level, event, extra={"fields": fields})


def _fit(value: object) -> object:
    """A value for JSON, which takes no lone surrogates: names that are not UTF-8 have them."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return round(value, 3) if isinstance(value, float) else value


def _shown(value: object) -> str:
    """A value on one line: quoted where it holds spaces, quotes, or what a terminal obeys."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if text and text.isprintable() and not any(char in text for char in ' "\\='):
        return text
    quoted = escaped(text.replace("\\", "\\\\")).replace('"', '\\"')
    return f'"{quoted}"'


class HealthLog:
    """What the index says at each probe of the disks -> a line when it gets worse, or well again.

    It keeps what it last logged, so that nothing is logged at each probe. Roots that go offline or
    come back, and folders that cannot be watched, are logged by `watcher/roots/root_states.py`.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._problems = 0
        """The number of new problems at the last call, or when it was last logged."""
        self._logged_at = -math.inf
        self._is_waiting = False

    def update(self, found: InIndex, now: float) -> None:
        """Compare with the last time; `now` is the loop's clock."""
        self._log_problems(found.new_problems, now)
        if bool(found.waiting) != self._is_waiting:
            self._is_waiting = not self._is_waiting
            if self._is_waiting:
                self._log.warning(
                    "pending long", places=found.waiting, mend="indexer status, indexer doctor"
                )
            else:
                self._log.info("pending over")

    def _log_problems(self, number: int, now: float) -> None:
        if number > self._problems:
            if now - self._logged_at < _AGAIN_S:
                return
            self._logged_at = now
            self._log.warning("problems rose", new=number, within="24 h", mend="indexer problems")
        elif not number and self._problems:
            self._log.info("problems over", new=0, within="24 h")
            self._logged_at = -math.inf
        self._problems = number


class RelayLog:
    """Which relays live -> a line when one is lost, or back; one that never was lost has none."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._relays: dict[str, bool] = {}
        """By roots: whether the relay of each was alive at its last log line."""

    def update(self, relays: Mapping[str, RelayStatus]) -> None:
        """Compare with the last time; `relays` are by the names of their roots."""
        for name, relay in relays.items():
            if relay.alive == self._relays.get(name, True):
                continue
            if relay.alive:
                self._log.info("relay back", root=name, host=relay.host)
            else:
                self._log.warning(
                    "relay lost",
                    root=name,
                    host=relay.host,
                    silent_s=round(relay.silent_seconds),
                    action="changes there are found by polling",
                    mend=f"systemctl status music-relay on {relay.host}",
                )
        self._relays = {name: relay.alive for name, relay in relays.items()}
