"""A settings file that changes while a program runs -> the settings that it holds now."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from indexer.settings import Settings

_Stamp = tuple[int, ...]


class PresentSettings:
    """Reads the file again when it has changed. Make it before the settings are read first."""

    def __init__(self, file: Path, load: Callable[[], Settings]) -> None:
        """`load` reads the settings as the start did, and raises SettingsError."""
        self._file = file
        self._load = load
        self._stamp = _stamp_of(file)

    def changed(self) -> Settings | None:
        """The settings, if the file has changed since they were last read. Raises SettingsError."""
        stamp = _stamp_of(self._file)
        if stamp == self._stamp:
            return None
        self._stamp = stamp  # first: a mistake in it is told once
        return self._load()


def _stamp_of(file: Path) -> _Stamp:
    """Empty: there is no file, or it may not be looked at."""
    try:
        status = os.stat(file)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
