"""Time in which a daemon has nothing to do -> a process beside it that reads whole files.

It runs for an hour at the most, so that a disk which sleeps when nothing else uses it is not kept
awake by it, and then pauses.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from indexer.settings import Settings
from watcher.log import EventLog
from watcher.roots.root_states import Asleep, probe

_LONGEST_S: Final = 3600.0
_PAUSE_S: Final = 4 * 3600.0
"""After each run. Both are guesses: with 20 MB/s they read 350 GB a day."""
_RATE: Final = 20_000_000
_DAYS: Final = 90
_LEAST_PAUSE_S: Final = 5.0
_END_S: Final = 5.0
_HERE: Final = str(Path(__file__).resolve().parents[2])


class Scrubbing:
    """At most one such process. Nothing is started unless the setting `scrub` is true."""

    def __init__(self, settings: Settings, log: EventLog, asleep: Asleep | None = None) -> None:
        self._settings = settings
        self._log = log
        self._asleep = asleep or probe(settings.asleep_command)
        self._child: subprocess.Popen[bytes] | None = None
        self._at = 0.0

    def next_turn(self) -> float | None:
        """When to start one; None: never, or one runs, whose end is seen at the next turn."""
        return self._at if self._settings.scrub and self._child is None else None

    def step(self, now: float, roots: Collection[bytes], *, is_idle: bool) -> None:
        """See whether the process has ended, or start one for those of the roots that are awake."""
        if not self._settings.scrub:
            return
        if self._child is not None:
            self._see_end(self._child, now)
        elif is_idle and now >= self._at:
            awake = tuple(path for path in roots if self._asleep(path) is not True)
            if awake:
                self._start(awake)
            else:
                self._at = now + max(_PAUSE_S / 4, _LEAST_PAUSE_S)

    def close(self) -> None:
        """End the process; what it has checked stays so."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:  # a disk that does not answer
            self._child.kill()
        self._child = None

    def _start(self, places: tuple[bytes, ...]) -> None:
        from indexer.scrub_process import Order  # late: a daemon without this setting loads none

        settings = self._settings
        order = Order(
            db=os.fspath(settings.db),
            parent=os.getpid(),
            places=places,
            rate=_RATE,
            days=_DAYS,
            longest_s=_LONGEST_S,
            follow_links=settings.follow_links,
            busy_timeout_s=settings.busy_timeout,
        )
        inherited = os.environ.get("PYTHONPATH")
        self._child = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-P", "-m", "indexer.scrub_process", msgspec.json.encode(order)],
            env={**os.environ, "PYTHONPATH": f"{_HERE}:{inherited}" if inherited else _HERE},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._log.debug("scrub", roots=len(places))

    def _see_end(self, child: subprocess.Popen[bytes], now: float) -> None:
        if child.poll() is None:
            return
        out, err = child.communicate()
        self._child = None
        self._at = now + _PAUSE_S
        if child.returncode != 0 or not out:
            lines = err.decode("utf-8", "replace").strip().splitlines() or ["it was killed"]
            self._log.warning("scrub failed", detail=lines[-1])
            return
        counts = msgspec.json.decode(out)
        if counts["damaged"]:
            self._log.warning("scrubbed", **counts, action="see indexer problems")
        elif counts["files"]:
            self._log.info("scrubbed", **counts)
