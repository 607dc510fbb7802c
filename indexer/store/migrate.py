"""An older database file -> one of this version: `python -m indexer.store.migrate FILE`.

`connection` creates new ones, without loading sqlite-utils (0.15 s). This is a separate program,
because sqlite-utils uses the standard library's copy of SQLite, and two copies must never have one
file open in one process (closing one drops the other's locks).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from typing import Final

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from indexer.store import schema

_BUSY_TIMEOUT_S: Final = 30.0
"""As in `connection`, which may not be imported here: two copies of SQLite in one process."""

migrations = Migrations(schema.MIGRATION_SET)


def _add_step(version: int, name: str, script: str) -> None:
    @migrations(name=name)
    def take(db: Database) -> None:
        for statement in schema.statements(script):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")


for _version, (_name, _script) in enumerate(schema.MIGRATIONS, 1):
    _add_step(_version, _name, _script)


def opened(path: str) -> Database:
    """Open a file for migration; waits for a lock of another process."""
    return Database(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S))


def migrate(path: str) -> None:
    """Migrate one file. A second program waits, and then finds it done."""
    turn = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(turn, fcntl.LOCK_EX)
    db = opened(path)
    try:
        migrations.apply(db)
    finally:
        db.close()
        os.close(turn)


if __name__ == "__main__":
    migrate(sys.argv[1])
