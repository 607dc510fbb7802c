"""A connection to an index: the log that it has open, and the version that it writes."""

from __future__ import annotations

from pathlib import Path

import apsw

from indexer import errors
from indexer.store import schema
from indexer.store.open_log import OpenLog


class IndexConnection(apsw.Connection):
    """Made by `open_index`."""

    path: Path
    log: OpenLog

    @property
    def has_lost_log(self) -> bool:
        """Whether SQLite's files beside the index are others than those that are open."""
        if not any(self.log.inodes):
            self.note_log()
        return self.log.is_lost

    def note_log(self) -> None:
        """Note the log, once it is open: a copy has none until it is first written to."""
        if self.pragma("journal_mode") == "wal":
            self.log.note_opened()

    def check_version(self) -> None:
        """Raise DatabaseNewer where a newer version has migrated the index since it was opened.

        Asked in each transaction that writes: rows of this version could be wrong in it.
        """
        version = self.pragma("user_version")
        if version > schema.SCHEMA_VERSION:
            raise errors.DatabaseNewer(
                f"{self.path}: a newer version of this program has migrated it (schema {version},"
                f" this one knows {schema.SCHEMA_VERSION}) while this process used it; start this"
                " process again"
            )
