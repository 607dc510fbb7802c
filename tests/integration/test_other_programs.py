"""Other programs read the index while this one writes it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.programs import count, eventually, rows, run, started

FILES = 600


def answer_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def with_sqlite3(db: Path, statement: str) -> str:
    """Debian's own program; it waits for a lock only when it is told to."""
    tool = shutil.which("sqlite3", path="/usr/bin:/bin")
    if tool is None:
        pytest.skip("/usr/bin/sqlite3 is not installed")
    return answer_of(tool, "-readonly", "-cmd", ".timeout 10000", db, statement)


def with_standard_library(db: Path, statement: str) -> str:
    """In this process, which never opens the file with another copy of SQLite."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        return "|".join(str(value) for value in connection.execute(statement).fetchone())


def with_sqlite_utils(db: Path, statement: str) -> str:
    program = (sys.executable, "-m", "sqlite_utils", "query")
    return answer_of(*program, db, statement, "--csv", "--no-headers").replace(",", "|")


@pytest.mark.parametrize("ask", [with_sqlite3, with_standard_library, with_sqlite_utils])
def test_the_view_is_read_while_a_transaction_is_open(
    music: Path, db: Path, ask: Callable[[Path, str], str]
) -> None:
    plant(music, {f"{n:03}.mp3": tagged(title=f"Song {n}", artist="Some") for n in range(FILES)})
    config = "chunk_files = 10\nworkers = 1\n"
    counted = "SELECT count(*), count(DISTINCT path), min(title) FROM library"
    with started("rebuild", music, db=db, config=config) as running:
        eventually(lambda: running.ended or count(db, "SELECT count(*) FROM library"))
        while_written = []
        while not running.ended:
            number, distinct, _ = ask(db, counted).split("|")
            assert number == distinct
            while_written.append(int(number))
        assert running.process.returncode == 0
    assert while_written == sorted(while_written)
    assert ask(db, counted) == f"{FILES}|{FILES}|Song 0"
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM problems")
        assert ask(db, counted) == f"{FILES}|{FILES}|Song 0"
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("ask", [with_sqlite3, with_standard_library])
def test_full_text_search_works_with_their_sqlite(
    music: Path, db: Path, ask: Callable[[Path, str], str]
) -> None:
    plant(music, {"a.mp3": tagged(title="Jóga", artist="Björk"), "b.mp3": tagged(title="Other")})
    run("rebuild", music, db=db)
    found = ask(
        db,
        "SELECT library.path, library.title FROM track_search "
        "JOIN library ON library.id = track_search.rowid WHERE track_search MATCH 'bjork'",
    )
    assert found == "a.mp3|Jóga"
    assert ask(db, "PRAGMA integrity_check") == "ok"


def test_a_player_follows_by_the_feed_alone(music: Path, db: Path) -> None:
    """A copy of the view, kept equal by replaying `changes` by track id."""
    plant(music, {f"{n}.mp3": tagged(title=f"Song {n}") for n in range(6)})
    run("rebuild", music, db=db)
    copy = dict(rows(db, "SELECT id, path FROM library"))
    ((seen,),) = rows(db, "SELECT max(seq) FROM changes")
    (music / "0.mp3").unlink()
    (music / "1.mp3").rename(music / "one.mp3")
    plant(music, {"2.mp3": tagged(title="Other"), "new.mp3": tagged()})
    (music / "3.mp3").rename(music / "3.away")
    run("scan", db=db)
    (music / "3.away").rename(music / "three.mp3")
    run("scan", db=db)
    for change in run("changes", "--since", str(seen), "--json", db=db).objects:
        if change["kind"] == "missing":
            del copy[change["track_id"]]
        else:
            copy[change["track_id"]] = change["path"]
    assert copy == dict(rows(db, "SELECT id, path FROM library"))
