from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from indexer.library import Library
from indexer.model import Hint
from indexer.settings import Settings
from indexer.store import pending, schema
from indexer.store.connection import BUSY_TIMEOUT_S, open_index, select, select_value
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
        assert select_value(connection, "PRAGMA user_version") == schema.SCHEMA_VERSION
        (row,) = pending.all_rows(connection)
        assert row.hint == Hint(1, b"A", None, recursive=True, reread=7)
        assert (row.id, row.generation, row.attempts, row.at) == (1, 1, 2, 5)
        assert (row.is_chunk, row.passes, row.scan_id) == (False, 0, 0)
        assert pending.enqueue(connection, Hint(1), 1).id == 2


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


def test_sqlite_utils_finds_nothing_to_do_in_a_new_index(empty_index: Path) -> None:
    applied = "import sys\nfrom sqlite_utils import Database\nfrom indexer.store import migrate\n"
    applied += "db = Database(sys.argv[1])\nprint(migrate.migrations.pending(db))\n"
    applied += "print([one.name for one in migrate.migrations.applied(db)])\n"
    names = [name for name, _ in schema.MIGRATIONS]
    assert names[-1] == "trials"
    assert python(applied, empty_index) == f"[]\n{names}\n"
    assert len(schema.MIGRATIONS) == schema.SCHEMA_VERSION


def test_steps_are_noted_as_sqlite_utils_notes_them(old: Path, empty_index: Path) -> None:
    shapes = []
    for path in (old, empty_index):
        with closing(open_index(path, write=True)) as connection:
            rows = list(select(connection, "SELECT * FROM _sqlite_migrations ORDER BY id"))
        shapes.append([(*row[:3], re.sub("[0-9]", "0", row[3])) for row in rows])
    assert shapes[0] == shapes[1]


OPENED = """
import sys
from pathlib import Path
from indexer.store import connection, identity, schema
print("ready", flush=True)
sys.stdin.read()
index = connection.open_index(Path(sys.argv[1]), write=sys.argv[2] == "write")
print(identity.token_of(index), index.pragma("journal_mode"), index.pragma("user_version"))
"""


def opened_at_once(path: Path, *kinds: str) -> set[str]:
    """What programs say of an index that all of them open at one moment."""
    command = [sys.executable, "-c", OPENED, str(path)]
    reading, writing = os.pipe()
    programs = [
        subprocess.Popen([*command, kind], stdin=reading, stdout=subprocess.PIPE, text=True)
        for kind in kinds
    ]
    os.close(reading)
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    os.close(writing)  # the end of their input
    told = {program.communicate()[0] for program in programs}
    assert [program.returncode for program in programs] == [0] * len(kinds)
    return told


@pytest.mark.parametrize("turn", range(5))
def test_programs_that_make_one_index_at_once_make_it_once(tmp_path: Path, turn: int) -> None:
    (told,) = opened_at_once(tmp_path / f"{turn}" / "deep" / "new.db", *["write"] * 5)
    assert told.endswith(f" wal {schema.SCHEMA_VERSION}\n")


@pytest.mark.parametrize("kinds", [["write"] * 4, ["write", "read", "read", "write"]])
def test_programs_that_open_an_older_index_at_once_migrate_it_once(
    old: Path, kinds: list[str]
) -> None:
    (told,) = opened_at_once(old, *kinds)
    assert told.endswith(f" wal {schema.SCHEMA_VERSION}\n")
    with closing(open_index(old, write=True)) as connection:
        assert len(pending.all_rows(connection)) == 1


def test_a_migration_waits_for_other_programs_as_long_as_anything_else(old: Path) -> None:
    """Python's own sqlite3 waits for 5 s."""
    told = "import sys\nfrom indexer.store import migrate\ndb = migrate.opened(sys.argv[1])\n"
    told += "print(db.execute('PRAGMA busy_timeout').fetchone()[0])\n"
    assert python(told, old) == f"{BUSY_TIMEOUT_S * 1000:.0f}\n"


def test_a_copy_that_is_used_as_the_index_has_a_log_as_the_index_has(
    library: Library, plant: Plant, tmp_path: Path
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    copy = tmp_path / "copy.db"
    library.backup(copy)
    with closing(open_index(copy, write=False)) as connection:
        assert select_value(connection, "PRAGMA journal_mode") == "delete"
    with closing(open_index(copy, write=True)) as connection:
        assert select_value(connection, "PRAGMA journal_mode") == "wal"
    assert (tmp_path / "copy.db").read_bytes()[18:20] == b"\x02\x02"  # sqlite.org/fileformat2


def test_an_empty_file_is_made_an_index(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with closing(open_index(path, write=True)) as connection:
        assert select_value(connection, "PRAGMA user_version") == schema.SCHEMA_VERSION


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
        pending.enqueue(connection, Hint(1, b"A", (b"1.mp3",)), 1)
    assert library.scan().pending == 0
    assert titles(library) == {"A/1.mp3": "One"}
    assert library.status().pending == 0


OLD_DISKS = """
INSERT INTO disks (id, uuid, fsid, fs_type, source) VALUES
    (1, 'u1', 'f1', 'btrfs', '/dev/sda'), (2, 'u2', 'f2', 'btrfs', '/dev/sdb'),
    (3, 'u3', 'f3', 'ext4', '/dev/sdc');
INSERT INTO mounts (root_id, folder, disk_id, inode) VALUES
    (1, x'', 1, 256), (1, x'41', 1, 256), (1, x'42', 2, 256), (1, x'43', 3, 2), (1, x'44', 3, 2);
"""


def fsids_after(old: Path, statements: str) -> list[str]:
    insert = "import sys, sqlite3\ndb = sqlite3.connect(sys.argv[1])\ndb.executescript(sys.argv[2])"
    python(insert, old, statements)
    with closing(open_index(old, write=True)) as connection:
        return [fsid for (fsid,) in select(connection, "SELECT fsid FROM disks ORDER BY id")]


def test_what_stood_for_several_subvolumes_is_known_by_its_uuid_only(old: Path) -> None:
    assert fsids_after(old, OLD_DISKS) == ["", "f2", "f3"]


def test_what_may_have_been_a_removed_roots_subvolume_is_known_by_its_uuid_only(old: Path) -> None:
    removed = """
    INSERT INTO roots (name, path, added_at, removed_at) VALUES ('was', x'2f77', 1, 2);
    """
    assert fsids_after(old, OLD_DISKS + removed) == ["", "", "f3"]
