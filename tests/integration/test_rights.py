"""Whose the index is: its user's alone, its group's, or another's."""

from __future__ import annotations

import grp
import os
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.corpus import Tree, plant, tagged
from tests.daemons import PROGRAM
from tests.programs import (
    can_be_root,
    eventually,
    run,
    started,
)

SONGS: Tree = {f"{n:03}.mp3": tagged(title=f"Song {n}", artist="Some") for n in range(100)}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def beside(db: Path) -> dict[str, Path]:
    """The database and what lies beside it."""
    return {suffix: db.with_name(db.name + suffix) for suffix in ("", "-wal", "-shm", ".lock")}


def with_config(folder: Path, text: str) -> list[str]:
    """A prefix that gives the program settings from a file that is not beside the database."""
    file = folder / "config.toml"
    file.write_text(text)
    return ["env", f"INDEXER_CONFIG={file}"]


def test_the_database_is_its_users_own_whatever_the_umask_says(music: Path, no_db: Path) -> None:
    plant(music, SONGS)
    open_umask = ["bash", "-c", 'umask 0; exec "$@"', "-"]
    with started("rebuild", music, db=no_db, prefix=open_umask) as running:
        wal = beside(no_db)["-wal"]
        eventually(lambda: wal.exists() or running.ended)
        assert {mode(file) for file in beside(no_db).values() if file.exists()} <= {0o600}
        assert running.end().code == 0
    run("scan", db=no_db, prefix=open_umask)
    assert {mode(file) for file in beside(no_db).values() if file.exists()} == {0o600}
    assert mode(no_db.parent) == 0o700


def test_no_umask_locks_a_user_out_of_its_own_index(
    music: Path, no_db: Path, powerless: list[str]
) -> None:
    plant(music, SONGS)
    closed_umask = [*powerless, "bash", "-c", 'umask 0777; exec "$@"', "-"]
    run("rebuild", music, db=no_db, prefix=closed_umask)
    assert {mode(file) for file in beside(no_db).values() if file.exists()} == {0o600}
    assert mode(no_db.parent) == 0o700
    run("scan", db=no_db, prefix=powerless)


@pytest.fixture
def players() -> tuple[str, int]:
    """A group that is not this user's own: name and id."""
    if not can_be_root():
        pytest.skip("only root may give files to any group")
    try:
        return "audio", grp.getgrnam("audio").gr_gid
    except KeyError:
        pytest.skip("no group audio here")


def test_a_group_may_read_and_write_what_is_given_to_it(
    music: Path, no_db: Path, players: tuple[str, int]
) -> None:
    group, gid = players
    plant(music, SONGS)
    config = f'group = "{group}"\n'
    prefix = [*with_config(music.parent, config), "bash", "-c", 'umask 077; exec "$@"', "-"]
    run("rebuild", music, db=no_db, prefix=prefix)
    assert (mode(no_db.parent), no_db.parent.stat().st_gid) == (0o3770, gid)
    with closing(sqlite3.connect(no_db, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # keeps what lies beside the database in place
        connection.execute("DELETE FROM problems")
        found = {suffix: (mode(file), file.stat().st_gid) for suffix, file in beside(no_db).items()}
    assert found == dict.fromkeys(beside(no_db), (0o660, gid))


def test_another_member_of_the_group_may_scan(
    music: Path,
    no_db: Path,
    players: tuple[str, int],
    nobody: tuple[int, int],
    powerless: list[str],
) -> None:
    group, gid = players
    plant(music, {"a.mp3": tagged()})
    settings = with_config(music.parent, f'group = "{group}"\nstill = 0.05\n')
    run("rebuild", music, db=no_db, prefix=settings)
    for file in (no_db.parent, *beside(no_db).values()):
        if file.exists():
            os.chown(file, nobody[0], gid)
    no_db.parent.chmod(0o3770)
    plant(music, {"b.mp3": tagged()})
    member = [*powerless, f"--groups={gid}"]
    assert run("scan", "--json", db=no_db, prefix=[*member, *settings]).object["added"] == 1
    assert run("search", "b", "--json", db=no_db, prefix=[*member, *settings]).objects
    stranger = [*powerless, "--clear-groups"]
    assert "Traceback" not in run("scan", db=no_db, prefix=stranger, check=3).err


def test_a_group_that_does_not_exist_is_told(music: Path, no_db: Path) -> None:
    prefix = with_config(music.parent, 'group = "no such group"\n')
    ran = run("rebuild", music, db=no_db, check=2, prefix=prefix)
    assert "expected the name of a group of this machine" in ran.err
    assert not no_db.exists()


def give_away(db: Path, owner: tuple[int, int]) -> None:
    for file in (db.parent, *beside(db).values()):
        if file.exists():
            os.chown(file, *owner)
            file.chmod(0o755 if file.is_dir() else 0o644)


def test_who_may_only_read_is_told_that_it_cannot_write(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    run("rebuild", music, db=db)
    give_away(db, nobody)
    for command in (["scan"], ["rebuild"], ["roots", "remove", "music"]):
        ran = run(*command, db=db, prefix=powerless, check=3)
        assert "Permission denied" in ran.err
        assert "must be one that this user can write to" in ran.err


def test_who_may_only_read_can_ask_while_another_has_the_index_open(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    """SQLite reads a WAL through a file beside it, and this user cannot make that one."""
    plant(music, {"a.mp3": tagged(title="A")})
    run("rebuild", music, db=db)
    give_away(db, nobody)
    for command in (["search", "a"], ["status"], ["changes"]):
        ran = run(*command, db=db, prefix=powerless, check=3)
        assert f"{db}: SQLite has to write beside an index" in ran.err
        assert "`indexer backup FILE`" in ran.err
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("SELECT count(*) FROM library").fetchall()
        give_away(db, nobody)
        for command in (["search", "a"], ["status"], ["changes"], ["verify"], ["problems"]):
            run(*command, db=db, prefix=powerless)


def test_who_may_not_read_is_told(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    run("rebuild", music, db=db)
    for file in beside(db).values():
        if file.exists():
            os.chown(file, *nobody)
    for command in ("status", "search", "verify", "scan", "rebuild"):
        words = [command, "a"] if command == "search" else [command]
        ran = run(*words, db=db, prefix=powerless, check=3)
        assert "Traceback" not in ran.err
        assert str(db) in ran.err


def test_a_place_that_cannot_be_written_is_told(
    music: Path, tmp_path: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    os.chown(closed, *nobody)
    for db in (closed / "library.db", closed / "deeper" / "library.db", Path("/proc/library.db")):
        ran = run("rebuild", music, db=db, prefix=powerless, check=3)
        assert "Traceback" not in ran.err
        assert str(db.parent) in ran.err


def test_a_daemon_that_may_not_look_at_its_index_says_what_to_do(
    music: Path, no_db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    shut = no_db.parent / "shut"
    shut.mkdir(mode=0o700, parents=True)
    os.chown(shut, *nobody)
    ran = subprocess.run(
        [*powerless, *PROGRAM, "--db", shut / "library.db", "run", music],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert ran.returncode == 3
    assert "cannot be an index here (Permission denied); name a file with --db FILE" in ran.stderr
