"""The index is damaged, or taken away, under a daemon."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.corpus import Tree, plant, tagged
from tests.daemons import QUICK, ids, watching
from tests.programs import eventually, rows, run
from tests.trees import song

PAGE = 4096
SONGS: Tree = {f"a/{n}.mp3": song(f"Song {n}", artist=f"Artist {n}") for n in range(20)}
SHOWN = {f"a/{n}.mp3": f"Song {n}" for n in range(20)}
COMMANDS = (
    ("scan",), ("rebuild",), ("status",), ("search", "song"), ("verify",), ("roots",), ("repair",),
    ("problems",), ("changes",), ("export",), ("optimize",), ("roots", "remove", "music"),
    ("scrub",), ("new",), ("duplicates",), ("artwork",), ("playlists",),
)  # fmt: skip


def tell(db: Path, *statements: str) -> None:
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def zero_page_of(db: Path, name: str) -> None:
    """Damage the root page of a table or index, so that each program that has it open sees it."""
    tell(db, "PRAGMA wal_checkpoint(TRUNCATE)")
    ((page,),) = rows(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", name)
    with db.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(bytes(PAGE))
    tell(db, "UPDATE disks SET source = source || ''")


@pytest.mark.parametrize(
    "damage",
    [
        lambda db: tell(db, "INSERT INTO track_search (track_search) VALUES ('delete-all')"),
        lambda db: tell(db, "DELETE FROM track_search_data"),
        lambda db: tell(db, "DROP TABLE track_search"),
        lambda db: zero_page_of(db, "sqlite_autoindex_catalog_artists_1"),
        lambda db: zero_page_of(db, "tracks_place"),
        lambda db: zero_page_of(db, "catalog_albums"),
    ],
    ids=["emptied text", "torn text", "no text", "index of artists", "index of places", "albums"],
)
def test_a_daemon_mends_what_can_be_made_again_and_goes_on(
    music: Path, db: Path, damage: Callable[[Path], None]
) -> None:
    plant(music, SONGS)
    with watching(music, db=db) as daemon:
        daemon.shows(SHOWN)
        before = ids(db)
        daemon.sleeps()
        damage(db)
        plant(music, {"a/3.mp3": song("Another title", artist="Another", album="Another")})
        daemon.await_line("repaired detail=", "made_again=")
        daemon.shows({**SHOWN, "a/3.mp3": "Another title"})
        daemon.is_right()
        assert ids(db) == before
        assert daemon.recoveries()["index repaired"] == 1
        assert run("search", "another", "--json", db=db).object["id"] == before["a/3.mp3"]
        assert len(daemon.lines("repaired detail=")) == 1


def test_a_daemon_mends_at_its_start_what_it_cannot_open(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    before = ids(db)
    zero_page_of(db, "sqlite_autoindex_roots_1")
    zero_page_of(db, "changes")
    with watching(db=db) as daemon:
        assert daemon.lines("repaired")
        daemon.shows(SHOWN)
        assert ids(db) == before
        daemon.is_right()


def test_an_index_is_repaired_beside_a_daemon_that_goes_on(music: Path, db: Path) -> None:
    plant(music, SONGS)
    with watching(music, db=db) as daemon:
        daemon.shows(SHOWN)
        before = ids(db)
        daemon.sleeps()
        zero_page_of(db, "catalog_track_artists")
        done = run("repair", "--json", db=db).object
        assert done["made_again"][0] == "file"
        plant(music, {"a/3.mp3": song("Another title", artist="Another")})
        daemon.shows({**SHOWN, "a/3.mp3": "Another title"})
        daemon.is_right()
        assert ids(db) == before


def test_a_daemon_whose_index_needs_repair_again_and_again_says_so_and_ends(
    music: Path, db: Path
) -> None:
    plant(music, SONGS)
    with watching(music, db=db) as daemon:
        daemon.shows(SHOWN)
        for times in range(1, 5):
            daemon.sleeps()
            tell(db, "INSERT INTO track_search (track_search) VALUES ('delete-all')")
            plant(music, {"a/3.mp3": song(f"Title {times}")})
            if times < 4:
                daemon.await_line("repaired detail=", times=times)
                daemon.shows({**SHOWN, "a/3.mp3": f"Title {times}"})
        assert daemon.process.wait(60) == 3
        assert "check the disk's health" in daemon.log


@pytest.mark.parametrize("loss", ["emptied", "deleted", "replaced"])
def test_an_index_that_is_taken_from_under_a_daemon_is_told_by_all(
    music: Path, db: Path, tmp_path: Path, loss: str
) -> None:
    plant(music, SONGS)
    other = tmp_path / "other" / "library.db"
    plant(tmp_path / "more", {"b.mp3": tagged(title="Else")})
    run("rebuild", tmp_path / "more", db=other)
    quiet = "probe_interval = 600\n"
    with watching(music, db=db, config=quiet) as daemon:
        daemon.sleeps()
        if loss == "emptied":
            os.truncate(db, 0)
        elif loss == "deleted":
            db.unlink()
        else:
            shutil.copyfile(other, db.with_name("new.db"))
            db.with_name("new.db").replace(db)
        for words in COMMANDS:
            told = run(*words, db=db, check=3).err
            assert f"while process {daemon.pid} (`watcher run`) uses it" in told, words
            assert "indexer backup" in told
        assert not db.exists() or loss != "deleted", "no command began a new index there"


def test_a_daemon_tells_that_its_index_was_emptied_and_ends(music: Path, db: Path) -> None:
    plant(music, SONGS)
    with watching(music, db=db) as daemon:
        daemon.sleeps()
        os.truncate(db, 0)
        assert daemon.process.wait(60) == 3
        assert "was emptied (0 bytes) while this process kept it" in daemon.log


def test_an_emptied_index_is_no_fresh_one_when_no_daemon_runs(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    os.truncate(db, 0)
    for words in COMMANDS:
        told = run(*words, db=db, check=3).err
        assert "0 bytes" in told, words
        assert "indexer rebuild FOLDER" in told
    assert db.stat().st_size == 0
    for suffix in ("", ".lock", "-wal", "-shm"):
        db.with_name(db.name + suffix).unlink(missing_ok=True)
    assert run("rebuild", music, "--json", db=db).object["added"] == len(SONGS)


def test_a_database_of_another_program_is_left_alone(music: Path, db: Path) -> None:
    plant(music, SONGS)
    for version in (0, 2, 7):
        db.unlink(missing_ok=True)
        tell(db, "CREATE TABLE tracks (id INTEGER)", f"PRAGMA user_version = {version}")
        content = db.read_bytes()
        for words in COMMANDS:
            assert "Traceback" not in run(*words, db=db, check=3).err
        assert run("rebuild", music, db=db, check=3).err
        assert db.read_bytes() == content


def test_an_index_is_whole_as_soon_as_it_has_its_name(music: Path, no_db: Path) -> None:
    plant(music, SONGS)
    seen: list[int] = []
    no_db.parent.mkdir()

    def size() -> int:
        if no_db.exists():
            seen.append(no_db.stat().st_size)
        return len(seen)

    with watching(music, db=no_db, until=None) as daemon:
        eventually(size)
        daemon.watches()
    assert min(seen) > PAGE
    assert [name for name in os.listdir(no_db.parent) if name.endswith(".part")] == []


@pytest.mark.parametrize("lost", [("-wal",), ("-shm",), ("-wal", "-shm")], ids="".join)
def test_a_daemon_whose_log_was_deleted_opens_the_index_again_and_nothing_is_lost(
    music: Path, db: Path, lost: tuple[str, ...]
) -> None:
    """Each command waits for it: with files of its own it would write beside the daemon."""
    plant(music, SONGS)
    config = QUICK.replace("probe_interval = 0.2", "probe_interval = 60")
    with watching(music, db=db, config=config) as daemon:
        before = ids(db)
        for suffix in lost:
            db.with_name(db.name + suffix).unlink()
        plant(music, {"late.mp3": song("Late")})
        assert run("scan", "--json", db=db).object["problems"] == 0
        eventually(lambda: run("search", "late", db=db, check=None).code == 0)
        daemon.await_line("log lost", "action=", times=1)
        daemon.shows({**SHOWN, "late.mp3": "Late"})
        after = ids(db)
        assert {path: after[path] for path in before} == before
        daemon.is_right()
        assert daemon.end() == 0
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]
    assert run("scan", "--json", db=db).object["unchanged"] == len(SHOWN) + 1


def test_a_daemon_notices_a_deleted_log_by_itself(music: Path, db: Path) -> None:
    plant(music, SONGS)
    with watching(music, db=db) as daemon:
        db.with_name(db.name + "-wal").unlink()
        daemon.watches(times=2)
        plant(music, {"late.mp3": song("Late")})
        daemon.shows({**SHOWN, "late.mp3": "Late"})
        daemon.is_right()


def test_a_command_tells_of_a_log_that_its_daemon_does_not_open_again(
    music: Path, db: Path
) -> None:
    plant(music, SONGS)
    with watching(music, db=db) as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        db.with_name(db.name + "-shm").unlink()
        for command in (["status"], ["scan"]):
            ran = run(*command, db=db, check=3)
            assert f"was deleted while process {daemon.pid} (`watcher run`) uses it" in ran.err
        daemon.process.send_signal(signal.SIGCONT)
        daemon.is_right()
