"""An older database file -> one of this version: `python -m indexer.store.migrate FILE`.

It is a program of its own, because sqlite-utils uses the standard library's copy of SQLite, and
two copies must never hold one file open in one process (closing one drops the other's locks).
"""

from __future__ import annotations

import fcntl
import os
import sys

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from indexer.store import schema

migrations = Migrations("music-indexer")


@migrations()
def first_schema(db: Database) -> None:
    """Everything the index began with."""
    for statement in split_statements(schema.FIRST_SCHEMA):
        db.execute(statement)
    db.execute("PRAGMA user_version = 1")


@migrations()
def queued_work(db: Database) -> None:
    """What the queues need to know of pending work."""
    for statement in split_statements(schema.QUEUED_WORK):
        db.execute(statement)
    db.execute("PRAGMA user_version = 2")


def split_statements(script: str) -> list[str]:
    """The statements of a script without triggers; `executescript` would commit in between."""
    lines = [line.partition("--")[0].rstrip() for line in script.splitlines()]
    return [text.strip() for text in "\n".join(lines).split(";") if text.strip()]


def migrate(path: str) -> None:
    """Bring one file up to date. Two programs at once: the second waits and finds it done."""
    turn = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(turn, fcntl.LOCK_EX)
    db = Database(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        migrations.apply(db)
    finally:
        db.close()
        os.close(turn)


if __name__ == "__main__":
    migrate(sys.argv[1])
