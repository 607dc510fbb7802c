"""kill -9 and Ctrl-C in the middle of real work: what was committed stays, and the rest follows."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.corpus import plant, tagged
from tests.programs import Running, count, eventually, rows, run, started

FILES = 2000
SMALL_BITES = "chunk_files = 20\nworkers = 2\n"
"""Many transactions, so that a kill finds one that is open."""
BEYOND = 800
"""Tracks that are yet to come at any such moment: they take far longer than a signal."""


def song(number: int) -> str:
    return f"Artist {number // 200}/Album {number // 20}/{number:04}.mp3"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand files; a test that changes them takes a copy."""
    folder = tmp_path_factory.mktemp("many") / "music"
    whole = [tagged(title=f"Song {n}", artist="Many", album=f"Album {n}") for n in range(20)]
    plant(folder, {song(number): whole[number % 20] for number in range(FILES)})
    return folder


def tracks_read(db: Path) -> int:
    return count(db, "SELECT count(*) FROM tracks WHERE scan_id = (SELECT max(id) FROM scans)")


def changes_told(db: Path) -> int:
    return count(db, "SELECT coalesce(max(seq), 0) FROM changes")


def has_read(db: Path, tracks: int) -> bool:
    return tracks_read(db) >= tracks


def has_told(db: Path, changes: int, running: Running) -> bool:
    return running.ended or changes_told(db) >= changes


def ids(db: Path) -> dict[object, object]:
    return dict(rows(db, "SELECT path, id FROM tracks"))


@contextmanager
def halted(db: Path, running: Running, at_least: int) -> Iterator[int]:
    """Hold the write lock once so many tracks were read: the program waits, in the middle."""
    eventually(lambda: tracks_read(db) >= at_least or running.ended)
    with closing(sqlite3.connect(db, timeout=0, isolation_level=None)) as connection:

        def try_lock() -> bool:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            return True

        eventually(try_lock)
        done = tracks_read(db)
        assert at_least <= done < FILES, "the fault did not happen in the middle"
        yield done
        connection.execute("ROLLBACK")


def sleeps(running: Running) -> bool:
    """Whether it sleeps, as SQLite does between two tries at a lock (it polls for its readers)."""
    return "nanosleep" in Path(f"/proc/{running.pid}/wchan").read_text()


def assert_sound(db: Path) -> None:
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]
    assert rows(db, "PRAGMA foreign_key_check") == []


def test_a_rebuild_that_is_killed_again_and_again_ends_as_if_it_never_was(
    many: Path, db: Path
) -> None:
    moments = random.Random(1)
    known: dict[object, object] = {}
    for at in sorted(moments.sample(range(FILES - BEYOND), 3)):
        with started("rebuild", many, db=db, config=SMALL_BITES) as running:
            eventually(partial(has_read, db, at))
            running.kill()
        assert_sound(db)
        now = ids(db)
        assert len(now) >= at
        assert known.items() <= now.items()
        known = now
        verified = run("verify", "--json", db=db).object
        assert verified["ok"]
        assert verified["pending"] == FILES - verified["checked"] or verified["pending"] > 0
    report = run("rebuild", many, "--json", db=db).object
    assert report["seen"] == FILES
    assert report["files_read"] + len(known) == FILES
    assert known.items() <= ids(db).items()
    assert run("verify", "--deep", "--json", db=db).object == {
        "ok": True, "checked": FILES, "pending": 0, "unseen": 0, "differences": [], "offline": [],
    }  # fmt: skip
    assert rows(db, "SELECT count(*), count(DISTINCT path) FROM library") == [(FILES, FILES)]
    assert rows(db, "SELECT kind, count(*), count(DISTINCT track_id) FROM changes") == [
        ("added", FILES, FILES)
    ]
    assert rows(db, "SELECT count(*) FROM pending") == [(0,)]
    assert_sound(db)


def test_a_scan_that_is_killed_again_and_again_ends_as_if_it_never_was(
    many: Path, music: Path, db: Path
) -> None:
    shutil.copytree(many, music, dirs_exist_ok=True)
    run("rebuild", music, db=db)
    known = ids(db)
    (music / "Artist 3").rename(music / "Artist 3 again")
    for number in range(800, 1200):
        (music / song(number)).write_bytes(tagged(title=f"Retagged {number}"))
    for number in range(1200, 1220):
        (music / song(number)).unlink()
    plant(music, {f"New/{n}.mp3": tagged(title=f"New {n}") for n in range(200)})
    told = changes_told(db)

    moments = random.Random(2)
    for at in sorted(moments.sample(range(1, 500), 3)):
        with started("scan", db=db, config=SMALL_BITES) as running:
            eventually(partial(has_told, db, told + at, running))
            assert not running.ended
            running.kill()
        assert_sound(db)
        run("verify", "--json", db=db)
    run("scan", db=db)
    assert run("verify", "--deep", "--json", db=db).object == {
        "ok": True, "checked": FILES + 180, "pending": 0, "unseen": 0,
        "differences": [], "offline": [],
    }  # fmt: skip
    now = dict(rows(db, "SELECT path, id FROM library"))
    assert len(now) == FILES + 180
    for path, track_id in known.items():
        assert isinstance(path, bytes)
        text = path.decode().replace("Artist 3/", "Artist 3 again/")
        assert now.get(text, track_id) == track_id
    kinds = dict(rows(db, "SELECT kind, count(*) FROM changes WHERE seq > ? GROUP BY 1", told))
    assert kinds == {"added": 200, "modified": 400, "moved": 200, "missing": 20}
    assert_sound(db)


@pytest.mark.smoke
def test_an_interrupted_rebuild_says_so_and_goes_on_where_it_stopped(many: Path, db: Path) -> None:
    with started("rebuild", many, "--json", db=db, config=SMALL_BITES) as running:
        with halted(db, running, at_least=400) as done:
            running.interrupt()
        ran = running.end()
    report = ran.object
    assert (ran.code, report["interrupted"]) == (130, True)
    assert "stopped: " in ran.err
    assert "run the same command again to go on from there" in ran.err
    assert done <= report["files_read"] < FILES
    status = run("status", "--json", db=db).object
    assert status["scans"][0]["state"] == "interrupted"
    assert status["pending"] > 0
    assert run("verify", "--json", db=db).object["ok"]

    before = tracks_read(db)
    rest = run("rebuild", many, "--json", db=db, config=SMALL_BITES).object
    assert (rest["interrupted"], rest["files_read"]) == (False, FILES - before)
    assert len(run("status", "--json", db=db).object["scans"]) == 1
    assert run("rebuild", many, "--json", db=db).object["files_read"] == FILES
    assert run("verify", "--json", db=db).object["ok"]


def test_an_interrupted_rebuild_of_other_roots_is_not_gone_on_with(
    many: Path, music: Path, db: Path
) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    with started("rebuild", many, db=db, config=SMALL_BITES) as running:
        with halted(db, running, at_least=200):
            running.process.send_signal(signal.SIGTERM)
        assert running.end().code == 143
    assert run("rebuild", music, "--json", db=db).object["files_read"] == 1
    assert run("rebuild", "--json", db=db).object["files_read"] == FILES + 1


@pytest.mark.parametrize("moment", ["there", "not empty", "has a log"])
def test_an_index_whose_making_was_cut_short_is_made_by_the_next_command(
    music: Path, no_db: Path, moment: str
) -> None:
    """The child that makes the tables goes on for a moment, as it would under kill -9."""
    plant(music, {"a.mp3": tagged()})
    log = no_db.with_name(no_db.name + "-wal")
    reached = {
        "there": no_db.exists,
        "not empty": lambda: no_db.exists() and no_db.stat().st_size > 0,
        "has a log": log.exists,
    }
    with started("rebuild", music, db=no_db) as running:
        eventually(reached[moment])
        running.kill()
    assert run("rebuild", music, "--json", db=no_db).object["interrupted"] is False
    assert run("verify", "--json", db=no_db).object["ok"]
    assert_sound(no_db)


@pytest.mark.smoke
def test_readers_do_not_outlive_a_killed_parent(many: Path, db: Path) -> None:
    with started("rebuild", many, db=db, config=SMALL_BITES) as running:
        with halted(db, running, at_least=100):
            readers = psutil.Process(running.pid).children(recursive=True)
            assert len(readers) == 2
            running.kill()
        eventually(lambda: not any(reader.is_running() for reader in readers), within_s=10)


def test_a_killed_reader_costs_nothing(many: Path, db: Path) -> None:
    with started("rebuild", many, "--json", db=db, config=SMALL_BITES) as running:
        with halted(db, running, at_least=100):
            for reader in psutil.Process(running.pid).children(recursive=True):
                reader.kill()
        ran = running.end()
    assert (ran.code, ran.err) == (0, "")
    assert (ran.object["added"], ran.object["problems"]) == (FILES, 0)
    assert run("verify", "--json", db=db).object["ok"]


def test_verify_can_be_interrupted_and_says_nothing_of_the_rest(many: Path, db: Path) -> None:
    run("rebuild", many, db=db)
    with started("verify", "--deep", "--json", db=db, config="workers = 1\n") as running:
        eventually(lambda: psutil.Process(running.pid).children())
        running.interrupt()
        ran = running.end()
    assert (ran.code, ran.out) == (130, "")
    assert "Traceback" not in ran.err


def test_two_signals_end_it_at_once_and_nothing_is_lost(many: Path, db: Path) -> None:
    """Both come while it waits for the write lock, so both are seen in the moment it has it."""
    with started("rebuild", many, db=db, config=SMALL_BITES) as running:
        with halted(db, running, at_least=100):
            eventually(lambda: sleeps(running))
            running.process.send_signal(signal.SIGINT)
            running.process.send_signal(signal.SIGTERM)
        ran = running.end()
    assert ran.code == 130
    assert "Traceback" not in ran.err
    assert "run the same command to go on" in ran.err
    assert_sound(db)
    assert run("scan", "--json", db=db).object["interrupted"] is False
    assert run("verify", "--json", db=db).object["ok"]
