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

from indexer.paths import fits_utf8
from indexer.store import schema
from indexer.store.schema import musicbrainz_ids
from indexer.store.schema.look_alikes import join_look_alikes
from indexer.store.schema.views import MUSICBRAINZ_IDS, PUBLIC_VIEWS
from indexer.store.search import index_rows

_BUSY_TIMEOUT_S: Final = 30.0
"""As in `connection`, which may not be imported here: two copies of SQLite in one process."""

_BY_MACHINE: Final = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_ABORT, sqlite3.SQLITE_INTERRUPT,
})  # fmt: skip
"""Codes of errors that a sound file may raise."""
_PRIMARY: Final = 0xFF
"""Of a code, what says which kind of error it is (sqlite.org/rescode)."""

_TELL_TEXT: Final = "UPDATE roots SET path_is_text = ? WHERE id = ?"

migrations = Migrations(schema.MIGRATION_SET)


def _add_step(version: int, name: str, script: str) -> None:
    @migrations(name=name)
    def take(db: Database) -> None:
        for statement in schema.statements(script):
            db.execute(statement)
        if script is schema.LOOK_ALIKES:
            join_look_alikes(db.conn)
        if script in (schema.SEARCH_WORDS, schema.SEARCH_TOKENS):
            index_rows.refill(db.conn)
        if script is PUBLIC_VIEWS:
            _tell_texts(db.conn)
        if script is MUSICBRAINZ_IDS:
            musicbrainz_ids.shorten(db.conn)
        db.execute(f"PRAGMA user_version = {version}")


for _version, (_name, _script) in enumerate(schema.MIGRATIONS, 1):
    _add_step(_version, _name, _script)


def _tell_texts(connection: sqlite3.Connection) -> None:
    """Record which paths of roots are UTF-8, as `roots.add` does."""
    for root_id, path in connection.execute("SELECT id, path FROM roots").fetchall():
        connection.execute(_TELL_TEXT, (fits_utf8(path), root_id))


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


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a step failed because of what is in the file: it is right for each sound one."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # none: text is not UTF-8
    return code & _PRIMARY not in _BY_MACHINE


def main(path: str) -> int:
    """Migrate one file; the exit code."""
    try:
        migrate(path)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        sys.stderr.write(f"{error}\n")
        return schema.FAILED_BY_DAMAGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
