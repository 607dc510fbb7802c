"""The kernel tells that the index was written, or that its daemon said something: no polling."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchdog.observers.inotify_c import (
    InotifyConstants,
    Mask,
    inotify_add_watch,
    inotify_init,
)

from indexer.closable import Closable
from indexer.errors import CannotDo
from indexer.runs.lock import lock_path

_WRITTEN: Final = Mask(
    InotifyConstants.IN_MODIFY | InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO
)
_READ: Final = 1 << 16
_NAME_AT: Final = 16
"""Bytes before the name in an event (inotify(7))."""


class Wakeup(Closable):
    """Waits until the files of an index are written. Close it at the end."""

    def __init__(self, database: Path) -> None:
        self._names = {
            os.fsencode(path.name)
            for path in (database.with_name(database.name + "-wal"), lock_path(database))
        }
        self._fd = inotify_init()
        self._stop, self._stopped = os.pipe()
        for fd in (self._stop, self._stopped):
            os.set_blocking(fd, False)
        if self._fd < 0 or inotify_add_watch(self._fd, os.fsencode(database.parent), _WRITTEN) < 0:
            raise CannotDo(
                f"{database.parent}: the kernel cannot watch it: see `indexer doctor` (inotify)"
            )

    def wait(self) -> bool:
        """Wait for a write; False: `stop` was called instead."""
        while True:
            ready, _, _ = select.select([self._fd, self._stop], [], [])
            if self._stop in ready:
                return False
            if self._names & set(_names(os.read(self._fd, _READ))):
                return True

    def stop(self) -> None:
        """End `wait`, now and until `resume`; may be called in a signal handler."""
        with suppress(BlockingIOError):  # so many are not read yet: one is enough
            os.write(self._stopped, b"x")

    def resume(self) -> None:
        """Let `wait` wait again; what has called `stop` is to be looked at after it."""
        with suppress(BlockingIOError):
            while os.read(self._stop, _READ):
                pass

    def close(self) -> None:
        """Give everything back."""
        for fd in (self._fd, self._stop, self._stopped):
            os.close(fd)


def _names(events: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(events):
        length = int.from_bytes(events[at + 12 : at + _NAME_AT], "little")
        found.append(events[at + _NAME_AT : at + _NAME_AT + length].rstrip(b"\0"))
        at += _NAME_AT + length
    return found
