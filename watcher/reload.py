"""SIGHUP -> the settings, read again while the daemon runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from indexer.errors import SettingsError
from indexer.ignore_files import path_filter_of
from indexer.runs.lock import ReloadInfo
from indexer.settings import KEYS, Settings
from watcher.log import EventLog

NEEDS_RESTART: Final = frozenset({"db", "group"})
"""Settings of the database that is open; all others change while the daemon runs."""


class Reload:
    """The present settings, and what came of each request to read them again.

    `ask` is for a signal handler. With other settings the daemon is made anew, in this process and
    with the lock that it has; it then looks at everything, so no change is missed.
    """

    def __init__(
        self, load: Callable[[], Settings], settings: Settings, log: EventLog, number: int = 0
    ) -> None:
        """`load` reads the settings as the start did, and raises SettingsError.

        `number` is how often this process was asked before, with another one of these.
        """
        self.settings = settings
        self.info = ReloadInfo(number)
        """What came of the last request, for `indexer reload`."""
        self._load = load
        self._log = log
        self._asked = False
        self._is_due = False

    def ask(self) -> None:
        """Have the settings read again in the next turn of the loop."""
        self._asked = True

    def is_due(self) -> bool:
        """Whether a daemon with other settings is to take over; reads them where it was asked."""
        if self._asked:
            self._asked = False
            self._read()
        return self._is_due

    def taken(self) -> bool:
        """Whether it is due; from now on it is not."""
        was_due, self._is_due = self._is_due, False
        return was_due

    def _read(self) -> None:
        number = self.info.number + 1
        try:
            new = self._load()
            path_filter_of(new)
        except (SettingsError, OSError) as error:
            self.info = ReloadInfo(number, refused=str(error))
            self._log.warning("reload refused", detail=str(error), action="the old settings stay")
            return
        other = [key for key in KEYS if getattr(new, key) != getattr(self.settings, key)]
        changed = tuple(key for key in other if key not in NEEDS_RESTART)
        restart = tuple(key for key in other if key in NEEDS_RESTART)
        self.info = ReloadInfo(number, changed, restart)
        self._log.info("reloaded", changed=" ".join(changed) or "nothing")
        if restart:
            self._log.warning("restart needed", settings=" ".join(restart))
        if changed:
            kept = {key: getattr(self.settings, key) for key in NEEDS_RESTART}
            self.settings = replace(new, **kept)
            self._is_due = True
