"""Trouble with the database's own file: full, locked, broken, newer, misplaced."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

import indexer
from indexer import errors
from indexer.checks.scrub import leaving_new_log
from indexer.disk import filesystem, mounts
from indexer.lookup import Lookup
from indexer.roots import open_roots
from indexer.settings import Settings
from indexer.store.connection import open_index
from tests import daemons
from tests.corpus import Tree, noise, plant, tagged
from tests.integration.conftest import Mount, fill
from tests.programs import (
    ENVIRONMENT,
    eventually,
    rows,
    run,
    started,
    writing,
)

FILES = 500
SONGS: Tree = {f"{n:03}.mp3": tagged(title=f"Song {n}", artist="Some") for n in range(100)}


def test_a_full_disk_is_told_and_what_was_committed_is_kept(
    mount: Mount, tmp_path: Path, music: Path
) -> None:
    plant(
        music, {f"{n:04}.mp3": tagged(title=f"Song {n}", comment="x" * 900) for n in range(FILES)}
    )
    small = mount(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    db = small / "library.db"
    run("roots", "add", music, db=db)
    ballast = fill(small, leave=500_000)
    config = "chunk_files = 5\nworkers = 1\n"
    ran = run("scan", db=db, check=3, config=config)
    assert "its disk is full; make room and run the same command again" in ran.err
    assert len(ran.err.splitlines()) == 1
    committed = rows(db, "SELECT id, path FROM tracks ORDER BY id")
    assert 0 < len(committed) < FILES
    for command in ("status", "problems", "verify"):
        run(command, db=db)
    run("search", "song", db=db)

    assert "its disk is full" in run("scan", db=db, check=3).err
    committed = rows(db, "SELECT id, path FROM tracks ORDER BY id")
    ballast.unlink()
    assert run("scan", "--json", db=db).object["added"] == FILES - len(committed)
    assert rows(db, "SELECT id, path FROM tracks ORDER BY id")[: len(committed)] == committed
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]
    assert rows(db, "SELECT * FROM pending") == []
    assert run("verify", "--deep", "--json", db=db).object["ok"]


@pytest.mark.parametrize("kilobytes", range(240, 720, 80))
def test_a_new_index_for_which_there_is_too_little_room_is_whole_or_not_there(
    kilobytes: int, mount: Mount, tmp_path: Path, music: Path
) -> None:
    plant(music, {"1.mp3": tagged(title="First")})
    small = mount(tmp_path / "small", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none")
    db = small / "library.db"
    ran = run("rebuild", music, db=db, check=None)
    assert "damaged" not in ran.err
    assert ran.code == 0 or "its disk is full; make room and run the same command again" in ran.err
    if db.exists():
        assert rows(db, "PRAGMA integrity_check") == [("ok",)]
        assert len(rows(db, "SELECT id FROM library")) == int(ran.code == 0)


def test_a_disk_without_any_room_is_told(mount: Mount, tmp_path: Path, music: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    small = mount(tmp_path / "small", "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    fill(small)
    ran = run("rebuild", music, db=small / "library.db", check=3)
    assert "Traceback" not in ran.err
    assert "its disk is full; make room and run the same command again" in ran.err


def test_a_lock_that_is_held_too_long_is_told(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    plant(music, {"b.mp3": tagged()})
    with writing(db):
        ran = run("scan", db=db, check=3, config="busy_timeout = 0.05\n")
        assert "another program holds the database" in ran.err
        assert "wait for it to end, or find it with `fuser`" in ran.err
        assert len(ran.err.splitlines()) == 1
    assert run("scan", "--json", db=db).object["added"] == 1


def test_a_lock_that_is_soon_given_back_is_waited_for(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    with started("rebuild", "--json", db=db) as running:
        with writing(db):
            lock = db.with_name(db.name + ".lock")
            eventually(lambda: f'"pid":{running.pid},' in lock.read_text())
        assert running.end().object["files_read"] == 1


@pytest.mark.parametrize("command", ["scan", "rebuild", "status", "verify", "changes"])
def test_what_is_no_database_is_told_and_left_alone(tmp_path: Path, command: str) -> None:
    db = tmp_path / "library.db"
    db.write_bytes(noise())
    ran = run(command, db=db, check=3)
    assert "this is not a database, or a damaged one" in ran.err
    assert "move it away and run `indexer rebuild ROOT` to make a new one" in ran.err
    assert db.read_bytes() == noise()
    assert list(tmp_path.iterdir()) == [db]


@pytest.mark.parametrize("content", [noise(), b"my notes\n", b"", None])
def test_repair_leaves_nothing_beside_what_is_no_index(
    tmp_path: Path, content: bytes | None
) -> None:
    db = tmp_path / "notes.txt"
    if content is not None:
        db.write_bytes(content)
    assert "indexer rebuild FOLDER" in run("repair", db=db, check=3).err
    assert list(tmp_path.iterdir()) == ([] if content is None else [db])
    assert content is None or db.read_bytes() == content


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("command", ["scan", "optimize", "repair"])
def test_nothing_is_left_beside_a_database_of_another_program(
    tmp_path: Path, music: Path, command: str, journal: str
) -> None:
    db = tmp_path / "a b?.db"
    with closing(sqlite3.connect(db)) as other:
        other.execute(f"PRAGMA journal_mode={journal}")
        other.execute("CREATE TABLE places (url TEXT)")
    ran = run(command, db=db, check=3)
    because = "no root and no track is left" if command == "repair" else "its tables are not those"
    assert because in ran.err
    words = [*daemons.PROGRAM, "--db", str(db), "run", str(music)]
    watched = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert b"its tables are not those of an index" in watched.stderr
    assert {*tmp_path.iterdir()} == {db, music}


@pytest.mark.parametrize("command", [["rebuild"], ["status"], ["verify"], ["search", "song"]])
def test_a_damaged_database_is_told(tmp_path: Path, damaged: Path, command: list[str]) -> None:
    db = Path(shutil.copy(damaged, tmp_path / "library.db"))
    ran = run(*command, db=db, check=3)
    assert "this is not a database, or a damaged one" in ran.err
    assert "Traceback" not in ran.err


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of which a copy ended too early."""
    folder = tmp_path_factory.mktemp("damaged")
    plant(folder / "music", SONGS)
    run("rebuild", folder / "music", db=folder / "whole.db")
    backup = folder / "library.db"
    subprocess.run(["sqlite3", folder / "whole.db", f".backup {backup}"], check=True)
    os.truncate(backup, 4096 * 3)
    return backup


@pytest.mark.parametrize("command", ["scan", "rebuild", "status"])
def test_a_newer_database_is_told_and_left_alone(music: Path, db: Path, command: str) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = rows(db, "SELECT * FROM scans")
    ran = run(command, db=db, check=3)
    assert "made by a newer version of this program (schema 999, this one knows" in ran.err
    assert "update this program" in ran.err
    assert rows(db, "SELECT * FROM scans") == before


def test_an_empty_file_becomes_a_database(music: Path, no_db: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    no_db.parent.mkdir()
    no_db.touch()
    assert "nothing is indexed yet" in run("status", db=no_db, check=3).err
    assert run("rebuild", music, "--json", db=no_db).object["added"] == 1


@pytest.mark.parametrize(
    "command", ["scan", "scrub", "optimize", "status", "verify", "roots remove music"]
)
def test_only_a_rebuild_makes_an_index_of_an_empty_file(no_db: Path, command: str) -> None:
    no_db.parent.mkdir()
    no_db.touch()
    assert "nothing is indexed yet" in run(*command.split(), db=no_db, check=3).err
    assert no_db.stat().st_size == 0
    assert list(no_db.parent.iterdir()) == [no_db]


def test_nothing_is_imported_from_the_folder_that_one_stands_in(
    music: Path, no_db: Path, tmp_path: Path
) -> None:
    """Neither by the child that makes the tables, nor by readers."""
    plant(music, {"a.mp3": tagged()})
    for module in ("sqlite_utils", "mutagen"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('a stranger was imported')\n")
    config = "small_work = 0\n"
    report = run("rebuild", music, "--json", db=no_db, cwd=tmp_path, config=config).object
    assert (report["added"], report["problems"]) == (1, 0)


def test_a_folder_is_no_database(music: Path, no_db: Path) -> None:
    no_db.mkdir(parents=True)
    for command in (["status"], ["rebuild", str(music)]):
        ran = run(*command, db=no_db, check=3)
        assert "Traceback" not in ran.err
        assert str(no_db) in ran.err


def test_a_database_in_a_scanned_folder_is_refused(music: Path, tmp_path: Path) -> None:
    plant(music, {"a/a.mp3": tagged()})
    inside = music / "a" / "library.db"
    ran = run("rebuild", music, db=inside, check=2)
    assert f"lies in the root music ({music}), which is scanned" in ran.err
    hidden = music / ".index" / "library.db"
    assert run("rebuild", music, "--json", db=hidden).object["added"] == 1
    assert run("scan", "--json", db=hidden).object["unchanged"] == 1

    outside = tmp_path / "inner" / "library.db"
    plant(tmp_path / "inner", {"b.mp3": tagged()})
    run("rebuild", music, db=outside)
    ran = run("roots", "add", tmp_path / "inner", db=outside, check=2)
    assert "which is scanned; name a place outside with --db FILE" in ran.err
    link = tmp_path / "link"
    link.symlink_to(music / "a")
    assert "which is scanned" in run("rebuild", music, db=link / "library.db", check=2).err


def test_a_deleted_working_folder_is_named_where_it_is_needed(
    music: Path, db: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged()})
    here = tmp_path / "here"
    in_deleted = ["sh", "-c", f'rmdir {here}; exec "$0" "$@"']
    for words, needs_it in (
        (("rebuild", music), False),
        (("verify",), False),
        (("show", music / "a.mp3"), False),
        (("show", "a.mp3"), True),
        (("scan", "."), True),
        (("backup", "copy.db"), True),
    ):
        here.mkdir()
        ran = run(*words, db=db, prefix=in_deleted, cwd=here, check=3 if needs_it else 0)
        assert ("the current folder was deleted; go to another one (cd)" in ran.err) is needs_it


def test_a_refused_place_is_left_as_it_was(music: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=music / "library.db", check=2)
    assert [file.name for file in music.iterdir()] == ["a.mp3"]


@pytest.mark.parametrize("file_system", ["nfs4", "cifs", "fuse.sshfs", "fuseblk", "9p"])
def test_a_database_on_a_network_or_fuse_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file_system: str
) -> None:
    def listed() -> list[mounts.Mount]:
        line = f"36 35 0:99 / {tmp_path} rw shared:1 - {file_system} somewhere rw\n"
        return mounts.parse_mounts(b"35 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + line.encode())

    open_roots.check_file_system(tmp_path / "library.db")
    monkeypatch.setattr(filesystem, "read_mounts", listed)
    with pytest.raises(errors.DatabaseError, match=f"lies on {file_system}, where SQLite's WAL"):
        open_roots.check_file_system(tmp_path / "library.db")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("rebuild",), 2, "no root is known yet"), (("scan",), 3, "nothing is indexed yet"),
        (("roots", "add", "absent"), 2, "absent does not exist"),
    ],
)  # fmt: skip
def test_wrong_use_without_an_index_makes_none(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    db = tmp_path / "new" / "library.db"
    ran = run(*words, db=db, check=code)
    assert said in ran.err
    assert not db.parent.exists()


@pytest.mark.parametrize(
    ("folders", "said"), [((), "no root is known yet"), (("absent",), "absent does not exist")]
)
def test_a_daemon_without_a_root_makes_no_index(
    tmp_path: Path, folders: tuple[str, ...], said: str
) -> None:
    db = tmp_path / "new" / "library.db"
    words = [*daemons.PROGRAM, "--db", os.fspath(db), "run", *folders]
    ran = subprocess.run(
        words, capture_output=True, env=ENVIRONMENT, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert not db.parent.exists()


@pytest.mark.parametrize("lost", ["-wal", "-shm"])
def test_a_long_lived_reader_sees_what_is_written_after_its_log_was_deleted(
    lost: str, music: Path, db: Path
) -> None:
    plant(music, {"1.mp3": tagged(title="First")})
    run("rebuild", music, db=db)
    with indexer.open(db) as index:
        assert [track.title for track in index.tracks()] == ["First"]
        db.with_name(db.name + lost).unlink()
        plant(music, {"2.mp3": tagged(title="Second")})
        run("scan", db=db)
        assert [track.title for track in index.tracks()] == ["First", "Second"]


def test_an_answer_of_which_the_log_was_deleted_in_the_middle_says_what_to_do(
    music: Path, db: Path
) -> None:
    plant(music, {f"{number}.mp3": tagged() for number in range(3)})
    run("rebuild", music, db=db)
    with indexer.open(db) as index:
        answer = iter(index.changes(0))
        next(answer)
        db.with_name(db.name + "-wal").unlink()
        run("scan", db=db)
        index.status()  # opens the index again
        with pytest.raises(errors.DatabaseError, match="ask again"):
            list(answer)
        assert len(list(index.changes(0))) == 3


@pytest.mark.parametrize("lost", [("-wal",), ("-shm",), ("-wal", "-shm")], ids="".join)
def test_a_scrub_whose_log_was_deleted_leaves_what_another_program_has_written_since(
    music: Path, db: Path, lost: tuple[str, ...]
) -> None:
    plant(music, {"1.mp3": tagged(title="First")})
    run("rebuild", music, db=db)
    with closing(open_index(db, write=True)) as connection, leaving_new_log(connection, db):
        for suffix in lost:
            db.with_name(db.name + suffix).unlink()
        plant(music, {"2.mp3": tagged(title="Second")})
        run("scan", db=db)
    run("verify", db=db)
    assert len(rows(db, "SELECT id FROM tracks")) == 2


def test_a_long_lived_reader_sees_an_index_that_was_put_in_the_place_of_its_own(
    music: Path, db: Path, tmp_path: Path
) -> None:
    plant(music, {"1.mp3": tagged(title="First")})
    run("rebuild", music, db=db)
    with indexer.open(db) as index:
        assert len(list(index.tracks())) == 1
        run("backup", tmp_path / "copy.db", db=db)
        plant(music, {"2.mp3": tagged(title="Second")})
        run("scan", db=db)
        assert len(list(index.tracks())) == 2
        os.replace(tmp_path / "copy.db", db)
        for suffix in ("-wal", "-shm"):
            db.with_name(db.name + suffix).unlink(missing_ok=True)
        assert len(list(index.tracks())) == 1


def test_changes_are_followed_on_after_the_log_was_deleted(music: Path, db: Path) -> None:
    plant(music, {"1.mp3": tagged(title="First")})
    run("rebuild", music, db=db)
    with started("changes", "--follow", "--format", "{path}", db=db) as followed:
        assert followed.line() == "1.mp3\n"
        db.with_name(db.name + "-wal").unlink()
        plant(music, {"2.mp3": tagged(title="Second")})
        run("scan", db=db)
        assert followed.line() == "2.mp3\n"


ASKING = (["search", "a"], ["status"], ["show", "1"], ["changes"], ["verify"], ["export", "a"])


def test_an_index_on_a_read_only_disk_is_read_and_seen_anew_when_it_is_written(
    mount: Mount, music: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    disk = mount(tmp_path / "what? 100%", "-t", "tmpfs", "tmpfs")
    db = disk / "library.db"
    run("rebuild", music, db=db)
    mount(disk, "-o", "remount,ro")
    for command in ASKING:
        run(*command, db=db)
    assert "Read-only file system" in run("scan", db=db, check=3).err
    told = run("doctor", "--json", db=db, check=1).objects
    (fault,) = [one["detail"] for one in told if one["state"] == "fault"]
    assert "its disk is read-only" in fault
    with Lookup.open(Settings(db=db)) as lookup:
        assert lookup.status().tracks == 1
        mount(disk, "-o", "remount,rw")
        plant(music, {"b.mp3": tagged(title="Also A")})
        run("scan", db=db)
        assert lookup.status().tracks == 2


def test_a_log_that_was_left_on_a_read_only_disk_is_told(
    mount: Mount, music: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "tmpfs")
    db = disk / "library.db"
    run("rebuild", music, db=db)
    (disk / "library.db-wal").write_bytes(b"of a killed process")
    mount(disk, "-o", "remount,ro")
    assert "cp -p library.db* FOLDER" in run("status", db=db, check=3).err


def test_an_index_that_is_only_mounted_read_only_may_be_written_elsewhere(
    mount: Mount, music: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    db = mount(tmp_path / "disk", "-t", "tmpfs", "tmpfs") / "library.db"
    run("rebuild", music, db=db)
    view = mount(tmp_path / "view", "--bind", db.parent)
    mount(view, "-o", "remount,bind,ro")
    assert "its disk is read-only" in run("status", db=view / db.name, check=3).err
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("SELECT count(*) FROM library").fetchall()
        run("status", db=view / db.name)


def test_a_limit_of_the_size_of_files_is_named(music: Path, no_db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-"]
    no_cut_code = {"PYTHONDONTWRITEBYTECODE": "1"}  # Python 3.11 takes half a .pyc for a whole one
    ran = run("rebuild", music, db=no_db, prefix=limited, env=no_cut_code, check=3)
    assert "ulimit -f" in ran.err
    assert run("rebuild", music, "--json", db=no_db).object["added"] == 1
