"""Signals, kills, second starts: the daemon ends soon, loses nothing, and starts again at once."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import QUICK, watching
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.programs import AT_MOST_S, count, eventually, rows, run

SOON_S = 10.0
"""Much less than what it could wait for: a lock, a reader, the rest of a seed."""
MANY = 1500
SMALL_BITES = QUICK + "chunk_files = 10\nsmall_work = 0\n"
"""A pool, and many transactions."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More files than are read in the time that a signal takes."""
    folder = tmp_path_factory.mktemp("many") / "music"
    plant(folder, {f"{n // 50}/{n}.mp3": tagged(title=f"{n % 9}") for n in range(MANY)})
    return folder


def dump(db: Path) -> list[str]:
    """Every row of every table."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon(music: Path, db: Path, number: signal.Signals) -> None:
    with watching(music, db=db) as daemon:
        began = time.monotonic()
        assert daemon.end(number) == 0
        assert time.monotonic() - began < SOON_S
    assert "Traceback" not in daemon.log
    assert run("status", "--json", db=db).object["daemon"]["running"] is False
    assert not db.with_name("library.db.bell").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_a_seed_in_its_middle_loses_nothing(
    many: Path, db: Path, number: signal.Signals
) -> None:
    with watching(many, db=db, config=SMALL_BITES, until=None) as daemon:
        eventually(lambda: count(db, "SELECT count(*) FROM library") >= 100)
        began = time.monotonic()
        assert daemon.end(number) == (0 if number is signal.SIGTERM else -number)
        assert time.monotonic() - began < SOON_S
    done = count(db, "SELECT count(*) FROM library")
    assert 100 <= done < MANY, "the signal did not come in the middle"
    with watching(db=db) as daemon:
        assert count(db, "SELECT count(*) FROM library") == MANY
        assert daemon.files_read == MANY - done
        daemon.is_right()
    assert rows(db, "SELECT kind, count(*), count(DISTINCT track_id) FROM changes") == [
        ("added", MANY, MANY)
    ]


def test_a_reader_that_hangs_does_not_hold_up_the_end(many: Path, db: Path) -> None:
    with watching(many, db=db, config=SMALL_BITES, until=None) as daemon:
        eventually(lambda: count(db, "SELECT count(*) FROM library") >= 10)
        readers = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        assert readers
        for reader in readers:
            os.kill(int(reader), signal.SIGSTOP)
        daemon.sleeps()
        began = time.monotonic()
        assert daemon.end() == 0
        assert time.monotonic() - began < SOON_S
    assert not any(Path(f"/proc/{reader}").exists() for reader in readers)


def test_after_a_kill_it_starts_at_once(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        daemon.end(signal.SIGKILL)
        plant(music, {"b.mp3": tagged(title="B")})
        with watching(db=db) as again:
            again.shows({"a.mp3": "A", "b.mp3": "B"})
            assert again.files_read == 1
            again.is_right()


def test_a_second_daemon_is_refused_and_says_who_is_the_first(music: Path, db: Path) -> None:
    log = db.with_name("second.log")
    with watching(music, db=db) as daemon, watching(db=db, log=log, until=None) as second:
        assert second.process.wait(AT_MOST_S) == 3
        (line,) = second.log.splitlines()
        assert f"process {daemon.pid} keeps this index already" in line
        assert "indexer roots add" in line


def test_without_a_root_it_says_what_to_do(db: Path) -> None:
    with watching(db=db, until=None) as daemon:
        assert daemon.process.wait(AT_MOST_S) == 2
        assert "`watcher run FOLDER`" in daemon.log


def test_a_start_with_nothing_changed_opens_no_file_and_writes_no_row(
    music: Path, db: Path
) -> None:
    plant(music, {f"a/{n}.mp3": tagged(title=f"{n}") for n in range(20)})
    plant(music, {"broken.mp3": b"no music", "empty.flac": b""})
    with watching(music, db=db) as daemon:
        daemon.is_right()
        eventually(lambda: count(db, "SELECT min(last_day) FROM roots"))
        daemon.end()
    before = dump(db)
    with watching(db=db) as daemon:
        assert daemon.files_read == 0
        daemon.end()
    assert dump(db) == before


def test_a_database_that_is_taken_away_ends_it_with_a_word(music: Path, db: Path) -> None:
    with watching(music, db=db) as daemon:
        db.rename(db.with_name("elsewhere.db"))
        assert daemon.process.wait(AT_MOST_S) == 3
        assert "was moved or deleted" in daemon.log
        assert "Traceback" not in daemon.log


@pytest.mark.parametrize("how", ["deleted", "emptied", "replaced"])
def test_a_copy_that_takes_the_place_of_the_index_under_a_daemon_is_not_damaged(
    music: Path, db: Path, tmp_path: Path, how: str
) -> None:
    """SQLite would take the log that the daemon left for that of the copy."""
    plant(music, {f"{n % 9}/{n}.mp3": tagged(title=f"{n}") for n in range(60)})
    copy = tmp_path / "copy.db"
    with watching(music, db=db) as daemon:
        eventually(lambda: count(db, "SELECT count(*) FROM library") == 60)
        run("backup", copy, db=db)
        plant(music, {f"{n % 9}/{n}.mp3": tagged(title=f"new {n}") for n in range(60)})
        eventually(lambda: count(db, "SELECT count(*) FROM library WHERE title LIKE 'new %'") == 60)
        (music / "0").rename(music / "moved")
        daemon.is_right()
        if how == "deleted":
            db.unlink()
        elif how == "emptied":
            os.truncate(db, 0)
        else:
            shutil.copyfile(copy, tmp_path / "new.db")
            (tmp_path / "new.db").rename(db)
        assert daemon.process.wait(AT_MOST_S) == 3
        assert "rebuild --from" in daemon.log
    if how != "replaced":
        shutil.copyfile(copy, db)  # or `rebuild --from`, as the message says
    assert dump(db) == dump(copy)
    with watching(db=db, log=tmp_path / "again.log") as again:
        again.is_right()


def test_an_index_that_is_moved_under_a_daemon_has_all_that_it_wrote(music: Path, db: Path) -> None:
    plant(music, {f"{n}.mp3": tagged(title=f"{n}") for n in range(30)})
    with watching(music, db=db) as daemon:
        eventually(lambda: count(db, "SELECT count(*) FROM library") == 30)
        moved = db.with_name("elsewhere.db")
        db.rename(moved)
        assert daemon.process.wait(AT_MOST_S) == 3
    assert count(moved, "SELECT count(*) FROM library") == 30


def test_a_disk_of_the_index_that_becomes_read_only_ends_nothing_and_loses_nothing(
    mount: Mount, make_disk: MakeDisk, music: Path, tmp_path: Path
) -> None:
    """As after an error of the disk: ext4 goes on without writing."""
    plant(music, {"a.mp3": tagged(title="A")})
    disk = make_disk("index.img")
    db = mount(tmp_path / "disk", "-o", "loop", disk) / "library.db"
    with watching(music, db=db, log=tmp_path / "watcher.log") as daemon:
        daemon.shows({"a.mp3": "A"})
        mount(db.parent, "-o", "remount,abort")
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.await_line("database trouble")
        status = daemon.status()
        assert status["daemon"]["trouble"] == "the disk of the index is read-only"
        assert status["health"][0]["level"] == "fault"
        assert "the disk of the index is read-only" in status["health"][0]["text"]
        assert "A" in run("search", "a", db=db).out
        assert daemon.end(signal.SIGTERM) == 0
    unmount(db.parent)
    mount(db.parent, "-o", "loop", disk)
    with watching(music, db=db, log=tmp_path / "watcher.log") as daemon:
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})
        daemon.is_right()
        assert daemon.status()["health"] == []


def test_a_disk_that_does_not_count_its_room_is_not_told_to_be_full(
    mount: Mount, music: Path, tmp_path: Path
) -> None:
    db = mount(tmp_path / "disk", "-t", "ramfs", "none") / "library.db"
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        daemon.shows({"a.mp3": "A"})
        status = daemon.status()
        assert status["daemon"]["trouble"] is None
        assert status["health"] == []
        assert "space" not in run("doctor", db=db, check=None).out
