"""A database at two times -> the number of rows written in between, by table."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_TABLES = """
SELECT name FROM main.sqlite_master
WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite_%' ORDER BY name
"""
"""Without virtual tables; full-text search has its own tables, compared like any other."""


def copy(database: Path, to: Path) -> None:
    """Copy the current database, including its WAL."""
    to.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def rows_written(before: Path, after: Path) -> dict[str, int]:
    """Table -> number of new, changed or deleted rows, if any."""
    written = {}
    with closing(sqlite3.connect(after)) as connection:
        connection.execute("ATTACH ? AS before", (str(before),))
        for (table,) in connection.execute(_TABLES).fetchall():
            differing = max(
                _only_in(connection, "main", "before", table),
                _only_in(connection, "before", "main", table),
            )
            if differing:
                written[table] = differing
    return written


def size(database: Path) -> int:
    """Bytes of the file and of its WAL."""
    wal = database.with_name(database.name + "-wal")
    return database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def _only_in(connection: sqlite3.Connection, one: str, other: str, table: str) -> int:
    differing = f'SELECT * FROM {one}."{table}" EXCEPT SELECT * FROM {other}."{table}"'
    return int(connection.execute(f"SELECT count(*) FROM ({differing})").fetchone()[0])
