"""A new database -> the tables, views and indexes of an index, with nothing in them."""

from __future__ import annotations

from typing import Final

import apsw

from indexer.store import schema
from indexer.store.statements import Connection, write_transaction

_NOTE_STEP: Final = """
INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
VALUES (?, ?, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000+00:00')
"""


def create_tables(connection: Connection) -> None:
    """Make all of them, in a transaction of the caller."""
    for script in (schema.STEPS_TAKEN, *(script for _, script in schema.MIGRATIONS)):
        for statement in schema.statements(script):
            connection.execute(statement)
    names = [(schema.MIGRATION_SET, name) for name, _ in schema.MIGRATIONS]
    connection.executemany(_NOTE_STEP, names)
    from indexer.store.search import index_rows  # late: a reader makes no tables

    index_rows.note_versions(connection)
    index_rows.merge_seldom(connection)
    connection.pragma("user_version", schema.SCHEMA_VERSION)


def open_in_memory() -> Connection:
    """A new, empty index without a file, for rows that are searched and thrown away."""
    connection = Connection(":memory:", statementcachesize=200)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    with write_transaction(connection):
        create_tables(connection)
    return connection
