"""Somebody reads the index and never ends: its log grows, `status` says why, then it shrinks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.corpus import plant, tagged
from tests.daemons import QUICK, watching
from tests.programs import eventually, run

MUCH = 20_000_000


def log_size(db: Path) -> int:
    log = db.with_name(db.name + "-wal")
    return log.stat().st_size if log.exists() else 0


def test_a_reader_that_never_ends_is_named_and_its_end_gives_the_space_back(
    db: Path, music: Path
) -> None:
    plant(music, {"a.mp3": tagged(comment="x" * 10)})
    with watching(music, db=db, config=QUICK) as daemon:
        with closing(sqlite3.connect(db, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM library").fetchone()
            with closing(sqlite3.connect(db, isolation_level=None)) as writer:
                writer.execute("PRAGMA busy_timeout = 10000")
                writer.execute("CREATE TABLE ballast (text)")
                for _ in range(25):
                    writer.execute("INSERT INTO ballast VALUES (zeroblob(1000000))")
                assert log_size(db) > MUCH
            eventually(lambda: daemon.status()["daemon"]["log_is_held"])
            told = run("status", db=db).out
            assert "which cannot shrink while another program keeps reading" in told
        eventually(lambda: log_size(db) < MUCH)
        eventually(lambda: not daemon.status()["daemon"]["log_is_held"])
        daemon.is_right()
