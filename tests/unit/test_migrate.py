from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from indexer.library import Library
from indexer.model import Hint
from indexer.settings import Settings
from indexer.store import pending, schema
from indexer.store.connection import open_index, select, select_value
from indexer.store.identity import token_of
from tests.trees import Plant, song, titles

FIRST_ONLY = """
import sys
from sqlite_utils import Database
from indexer.store import migrate
db = Database(sys.argv[1])
db.execute("PRAGMA journal_mode = WAL")
migrate.migrations.apply(db, stop_before="queued_work")
db.close()
"""
"""In a process of its own: the standard library's SQLite and apsw may not meet in one file."""

OLD_ROWS = """
INSERT INTO roots (name, path, added_at) VALUES ('music', x'2f6d', 1);
INSERT INTO pending (generation, root_id, folder, names, recursive, reread, attempts, at)
VALUES (1, 1, x'41', NULL, 1, 7, 2, 5);
"""


def python(text: str, *words: object) -> str:
    command = [sys.executable, "-c", text, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as the first version of the program left it, with one hint that waits."""
    path = tmp_path / "old.db"
    python(FIRST_ONLY, path)
    insert = "import sys, sqlite3\ndb = sqlite3.connect(sys.argv[1])\ndb.executescript(sys.argv[2])"
    python(insert, path, OLD_ROWS)
    version = "import sys, sqlite3\nprint(sqlite3.connect(sys.argv[1])"
    version += ".execute('PRAGMA user_version').fetchone()[0])"
    assert python(version, path) == "1\n"
    return path


def test_what_waited_in_an_older_index_waits_still(old: Path) -> None:
    with closing(open_index(old, write=True)) as connection:
        assert select_value(connection, "PRAGMA user_version") == schema.SCHEMA_VERSION == 2
        (row,) = pending.all_rows(connection)
        assert row.hint == Hint(1, b"A", None, recursive=True, reread=7)
        assert (row.id, row.generation, row.attempts, row.at) == (1, 1, 2, 5)
        assert (row.is_chunk, row.passes, row.scan_id) == (False, 0, 0)
        assert pending.leave_hint(connection, Hint(1), 1).id == 2


def test_an_older_index_gets_a_name_of_its_own_and_keeps_it(old: Path) -> None:
    with closing(open_index(old, write=True)) as connection:
        token = token_of(connection)
        assert len(list(select(connection, "SELECT token FROM identity"))) == 1
    assert len(token) == 16
    with closing(open_index(old, write=True)) as connection:
        assert token_of(connection) == token


def test_an_older_index_has_the_same_tables_as_a_new_one(old: Path, empty_index: Path) -> None:
    statement = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name"
    told = []
    for path in (old, empty_index):
        with closing(open_index(path, write=True)) as connection:
            told.append(list(select(connection, statement)))
    assert told[0] == told[1]


def test_two_indexes_have_different_names(tmp_path: Path) -> None:
    tokens = set()
    for name in ("one.db", "two.db", "three.db"):
        with closing(open_index(tmp_path / name, write=True)) as connection:
            tokens.add(token_of(connection))
    assert len(tokens) == 3


def test_the_work_of_an_older_index_is_done_by_the_next_scan(
    library: Library, plant: Plant, settings: Settings
) -> None:
    """A chunk of the first version looks like a hint; whoever scans it finds the same files."""
    plant({"A/1.mp3": song("One")})
    with closing(open_index(settings.db, write=True)) as connection:
        pending.leave_hint(connection, Hint(1, b"A", (b"1.mp3",)), 1)
    assert library.scan().pending == 0
    assert titles(library) == {"A/1.mp3": "One"}
    assert library.status().pending == 0
