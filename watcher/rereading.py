"""Roots with rows of an older reader -> hints, one after the other while the daemon has time."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from indexer.model import Hint
from indexer.store import outdated
from indexer.store.connection import Connection, write_transaction
from watcher.log import EventLog

_FILES_AT_ONCE: Final = 64
"""Files of one hint: a change waits for no longer than their reading. A guess: 0.6 s on a disk that
seeks for each."""


class _Reread(Struct):
    """How far a root is."""

    name: str
    after: int = 0
    files: int = 0


class Rereading:
    """What an older version of this program has read, and today's reads otherwise.

    A root is asked for after each look at everything, once for each version of the readers.
    """

    def __init__(self, connection: Connection, log: EventLog) -> None:
        self._connection = connection
        self._log = log
        self._roots: dict[int, _Reread] = {}

    @property
    def has_more(self) -> bool:
        return bool(self._roots)

    def begin(self, root_id: int, name: str) -> None:
        """All of a root was looked at: read outdated files again, unless that is done."""
        if root_id not in self._roots and not outdated.is_current(self._connection, root_id):
            self._roots[root_id] = _Reread(name)

    def end(self, root_id: int) -> None:
        """The root is away, or looked at as a whole again, which begins this anew."""
        self._roots.pop(root_id, None)

    def next_hint(self) -> Hint | None:
        """The next files to be looked at; None if the rows at hand are current, or all are."""
        for root_id, reread in self._roots.items():
            part = outdated.outdated_after(self._connection, root_id, reread.after, _FILES_AT_ONCE)
            if part.names and not reread.files:
                self._log.info("reread", root=reread.name, reason="newer reader")
            reread.after = part.after
            reread.files += len(part.names)
            if part.is_last and not part.names:
                with write_transaction(self._connection):
                    outdated.note_current(self._connection, root_id)
                if reread.files:
                    self._log.info("reread done", root=reread.name, files=reread.files)
                del self._roots[root_id]
            return Hint(root_id, b"", part.names) if part.names else None
        return None
