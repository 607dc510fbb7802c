"""A file without its first page or its schema -> a new first page that names its tables.

SQLite finds a table by its root page, stored in `sqlite_schema`, whose own root is page 1. If that
cannot be read, a new first page names the root pages that are still readable, and else those of a
new index: every index creates its tables in the same order.
"""

from __future__ import annotations

import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from indexer.store import schema
from indexer.store.connection import file_name
from indexer.store.statements import UNREADABLE, Connection, select

_MAGIC: Final = b"SQLite format 3\x00"
_PAGE: Final = 4096
"""Bytes of a page: SQLite's default, which this program never changes."""
_HEADER: Final = 100
_TABLES: Final = (
    "disks", "roots", "mounts", "tracks", "changes", "scans", "pending", "problems", "identity",
    "catalog_artists", "catalog_albums", "genres", "catalog_track_artists", "track_genres",
    "tag_sets", "tag_values", "sqlite_sequence",
)  # fmt: skip
_INDEXES: Final = ("tracks_place", "roots_name")
"""Indexes that repeat columns of their table."""
_ROOT_PAGES: Final = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"
_IGNORE_ERRORS: Final = "PRAGMA writable_schema = ON"
_PRIMARY_KEY: Final = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
_COLUMNS: Final = "SELECT name FROM pragma_table_info(?)"
_HAS_ROWID: Final = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?"
_DECLARED: Final = "SELECT sql FROM sqlite_schema WHERE name = ?"
_DECLARE: Final = "INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)"


def mend_header(path: Path) -> None:
    """Give a file the header of an index, and complete pages (fileformat2 1.3)."""
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEADER).ljust(_HEADER, b"\0"))
        pages = _whole_pages(file.seek(0, 2), int.from_bytes(head[28:32]))
        file.seek(0)
        file.write(_headed(head, pages))
        file.truncate(pages * _PAGE)


def put_frame(path: Path) -> None:
    """Give a file a first page that names the tables of an index."""
    told = _root_pages_in_schema(path)
    with closing(Connection(":memory:")) as fresh, tempfile.TemporaryDirectory() as folder:
        for script in (schema.STEPS_TAKEN, *(script for _, script in schema.MIGRATIONS)):
            for statement in schema.statements(script):
                fresh.execute(statement)
        root_pages = {**dict(select(fresh, _ROOT_PAGES)), **told}
        frame = Path(folder, "frame")
        with closing(Connection(file_name(frame))) as connection:
            connection.execute(_IGNORE_ERRORS)
            for kind, names in (("table", _TABLES), ("index", _INDEXES)):
                for name in names:
                    table = name if kind == "table" else name.partition("_")[0]
                    row = (kind, name, table, root_pages[name], _plain(fresh, kind, name))
                    connection.execute(_DECLARE, row)
        first = frame.read_bytes()[:_PAGE]
    with path.open("r+b") as file:
        pages = _whole_pages(file.seek(0, 2), max(root_pages.values()))
        file.seek(0)
        file.write(_headed(bytearray(first[:_HEADER]), pages) + first[_HEADER:])
        file.truncate(pages * _PAGE)


def _plain(fresh: Connection, kind: str, name: str) -> str:
    """A short declaration, so that all of them fit on one page."""
    if kind == "index":
        ((sql,),) = select(fresh, _DECLARED, (name,))
        return " ".join(sql.split())
    columns = [column for (column,) in select(fresh, _COLUMNS, (name,))]
    key = [column for (column,) in select(fresh, _PRIMARY_KEY, (name,))]
    without_rowid = any(row[0] for row in select(fresh, _HAS_ROWID, (name,)))
    if without_rowid:
        return f"CREATE TABLE {name}({','.join(columns)},PRIMARY KEY({','.join(key)}))WITHOUT ROWID"
    declared = (f"{column} INTEGER PRIMARY KEY" if column in key else column for column in columns)
    return f"CREATE TABLE {name}({','.join(declared)})"


def _root_pages_in_schema(path: Path) -> dict[str, int]:
    """The readable part of the schema; SQLite is told to ignore malformed parts."""
    told: dict[str, int] = {}
    with closing(Connection(file_name(path))) as connection:
        with suppress(*UNREADABLE):
            connection.execute(_IGNORE_ERRORS)
        for _ in range(2):  # the first query fails, the next uses what it has read
            with suppress(*UNREADABLE):
                told.update(select(connection, _ROOT_PAGES))
    return {name: told[name] for name in (*_TABLES, *_INDEXES) if name in told}


def _headed(head: bytearray, pages: int) -> bytes:
    head[:24] = _MAGIC + _PAGE.to_bytes(2) + bytes((2, 2, 0, 64, 32, 32))
    head[28:32] = pages.to_bytes(4)
    head[32:40] = bytes(8)  # no free pages
    head[44:48], head[56:60] = (4).to_bytes(4), (1).to_bytes(4)  # schema format 4, UTF-8
    head[52:56] = head[64:68] = bytes(4)  # no auto-vacuum
    head[92:96] = head[24:28]  # so that the number of pages counts
    return bytes(head)


def _whole_pages(size: int, told: int) -> int:
    """How many pages a file has, or had before truncation; implausible numbers are ignored."""
    return max(-(-size // _PAGE), told if told * _PAGE <= 4 * size + 64 * _PAGE else 0)
