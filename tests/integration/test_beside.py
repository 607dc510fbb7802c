"""What another user puts in the place of a file of the index is neither followed nor waited for."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.programs import ENVIRONMENT, eventually, run
from tests.redis_servers import redis_server
from tests.rq_workers import crew, quick

PRECIOUS: Final = b"precious\n"
Trap = Callable[[Path, Path], object]
"""Puts something in a place; the second path is a file of the user's that must stay as it is."""


def fifo(place: Path, _victim: Path) -> None:
    os.mkfifo(place, 0o666)


def folder(place: Path, _victim: Path) -> None:
    place.mkdir()


def socket_file(place: Path, _victim: Path) -> None:
    here = os.open(place.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(f"/proc/self/fd/{here}/{place.name}")
    os.close(here)


def link_to_nothing(place: Path, victim: Path) -> None:
    place.symlink_to(victim.with_name("made"))


TRAPS: Final[dict[str, Trap]] = {
    "a symbolic link": lambda place, victim: place.symlink_to(victim),
    "a symbolic link to nothing": link_to_nothing,
    "hard links": lambda place, victim: place.hardlink_to(victim),
    "a pipe": fifo,
    "a folder": folder,
    "a socket": socket_file,
}
BESIDE: Final = (".lock", "-wal", "-shm", "-journal")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's own, elsewhere."""
    file = tmp_path / "victim"
    file.write_bytes(PRECIOUS)
    file.chmod(0o600)
    return file


@pytest.fixture
def indexed(music: Path, db: Path) -> Path:
    plant(music, {"a.mp3": tagged(title="A")})
    run("rebuild", music, db=db)
    return db


def is_untouched(victim: Path) -> bool:
    status = victim.stat()
    return (
        victim.read_bytes() == PRECIOUS
        and stat.S_IMODE(status.st_mode) == 0o600
        and not victim.with_name("made").exists()
    )


def put(trap: str, place: Path, victim: Path) -> None:
    place.unlink(missing_ok=True)
    TRAPS[trap](place, victim)


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("suffix", BESIDE)
def test_a_trap_beside_the_index_is_told_and_nothing_is_written_through_it(
    indexed: Path, victim: Path, trap: str, suffix: str
) -> None:
    place = indexed.with_name(indexed.name + suffix)
    put(trap, place, victim)
    for command in (["scan"], ["rebuild"], ["status"], ["roots", "list"], ["optimize"]):
        ran = run(*command, db=indexed, check=3)
        assert str(place) in ran.err
        assert trap.removesuffix(" to nothing") in ran.err
        assert f"take it away: rm -r {place}" in ran.err
        assert "Traceback" not in ran.err
        assert is_untouched(victim)
    subprocess.run(["rm", "-r", place], check=True)
    assert run("scan", "--json", db=indexed).object["unchanged"] == 1


@pytest.mark.parametrize("trap", ["a pipe", "a folder", "a socket"])
def test_a_trap_in_the_place_of_the_index_itself_is_told(
    indexed: Path, victim: Path, trap: str
) -> None:
    put(trap, indexed, victim)
    for command in (["scan"], ["search", "a"], ["status"]):
        ran = run(*command, db=indexed, check=3)
        assert str(indexed) in ran.err
        assert "Traceback" not in ran.err


def test_a_device_is_no_index_and_nothing_is_made_beside_it(tmp_path: Path, music: Path) -> None:
    """Nor is the user told to remove it."""
    link = tmp_path / "index.db"
    link.symlink_to("/dev/null")
    for command in (["rebuild", music], ["scan"], ["status"], ["search", "a"], ["repair"]):
        ran = run(*command, db=link, check=3)
        assert "is a device, so it cannot be an index; name a file with --db FILE" in ran.err
        assert "rm -r" not in ran.err
    assert sorted(os.listdir(tmp_path)) == ["index.db", "music"]


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_in_the_place_of_the_daemons_socket_is_told(
    indexed: Path, music: Path, victim: Path, trap: str
) -> None:
    bell = indexed.with_name(indexed.name + ".bell")
    if trap == "a socket":
        put(trap, bell, victim)
        with watching(music, db=indexed):
            assert run("scan", "--json", db=indexed).object["unchanged"] == 1
        return
    put(trap, bell, victim)
    with watching(music, db=indexed, until=None) as daemon:
        assert daemon.process.wait(60) == 3
        assert str(bell) in daemon.log
    assert is_untouched(victim)


def test_a_command_does_not_ring_through_a_link(indexed: Path, music: Path, victim: Path) -> None:
    bell = indexed.with_name(indexed.name + ".bell")
    with watching(music, db=indexed):
        bell.unlink()
        bell.symlink_to(victim)
        ran = run("scan", db=indexed, check=3)
        assert f"{bell}: is a symbolic link" in ran.err
    assert is_untouched(victim)


@pytest.mark.parametrize("trap", ["a symbolic link", "hard links", "a pipe", "a folder"])
def test_a_trap_in_the_place_of_the_scanners_lock_is_told(
    indexed: Path, victim: Path, tmp_path: Path, trap: str
) -> None:
    scanner = indexed.with_name(indexed.name + ".scanner")
    put(trap, scanner, victim)
    redis_folder = tmp_path / "redis"
    redis_folder.mkdir()
    with (
        redis_server(redis_folder) as server,
        crew(db=indexed, config=quick(server.address)) as one,
    ):
        one.await_line(str(scanner), trap)
    assert is_untouched(victim)


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_sqlite_itself_follows_no_link_there(indexed: Path, victim: Path, suffix: str) -> None:
    """Which `check_sqlites` relies on between its look and SQLite's own."""
    program = (
        "import sys\n"
        "from indexer.store import connection\n"
        "connection.check_sqlites = lambda path: None\n"
        "from pathlib import Path\n"
        "index = connection.open_index(Path(sys.argv[1]), write=True)\n"
        "index.execute(\"INSERT INTO catalog_artists (name) VALUES ('x')\")\n"
    )
    indexed.with_name(indexed.name + suffix).symlink_to(victim)
    subprocess.run(
        [sys.executable, "-c", program, str(indexed)], env=ENVIRONMENT, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert is_untouched(victim)


def test_a_copy_is_not_written_through_a_link(indexed: Path, victim: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.symlink_to(victim)
    assert "exists already" in run("backup", copy, db=indexed, check=2).err
    copy.unlink()
    copy.symlink_to(victim.with_name("made"))
    assert "exists already" in run("backup", copy, db=indexed, check=2).err
    assert is_untouched(victim)
    copy.unlink()
    run("backup", copy, db=indexed)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert {file.name for file in tmp_path.iterdir() if file.name.startswith(".")} == set()
    assert run("search", "a", "--json", db=copy).objects


def test_a_repair_writes_through_no_link(indexed: Path, victim: Path) -> None:
    """The names of its files are known before, but for the number of its process."""
    program = (
        "import os, sys\n"
        "for name in ('repair', 'damaged'):\n"
        "    for end in ('', '-wal'):\n"
        "        os.symlink(sys.argv[2], f'{os.path.dirname(sys.argv[1])}/.library.db.{name}-"
        "{os.getpid()}{end}')\n"
        "os.execv(sys.executable, [sys.executable, '-P', '-m', 'indexer', '--db', sys.argv[1],"
        " 'repair'])\n"
    )
    with indexed.open("r+b") as file:
        file.write(bytes(100))  # no header any more
    done = subprocess.run(
        [sys.executable, "-c", program, str(indexed), str(victim)], env=ENVIRONMENT,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert is_untouched(victim)
    assert run("search", "a", "--json", db=indexed).objects


# ---- other users


@pytest.mark.parametrize("suffix", [".lock", "-wal", "-shm"])
def test_a_file_of_another_user_is_not_written_to(
    indexed: Path, nobody: tuple[int, int], suffix: str
) -> None:
    place = indexed.with_name(indexed.name + suffix)
    place.write_bytes(b"")
    os.chown(place, *nobody)
    ran = run("scan", db=indexed, check=3)
    assert f"{place}: is a file of another user (number {nobody[0]})" in ran.err
    place.unlink()
    run("scan", db=indexed)


def test_the_files_of_the_indexs_owner_are_used_by_root(
    indexed: Path, music: Path, nobody: tuple[int, int]
) -> None:
    for file in indexed.parent.iterdir():
        os.chown(file, *nobody)
    plant(music, {"b.mp3": tagged(title="B")})
    assert run("scan", "--json", db=indexed).object["added"] == 1


@pytest.fixture
def shared(music: Path, no_db: Path, nobody: tuple[int, int]) -> tuple[Path, list[str]]:
    """An index of root's that a group may read, and what runs a program as its member."""
    plant(music, {"a.mp3": tagged(title="A")})
    config = no_db.parent.parent / "settings.toml"
    config.write_text('group = "nogroup"\n')
    run("rebuild", music, db=no_db, env={"INDEXER_CONFIG": str(config)})
    for above in (no_db.parent.parent, *no_db.parent.parent.parents):
        if above.owner() == "root" and str(above).startswith("/tmp/pytest"):
            above.chmod(0o755)
    member = ["setpriv", f"--reuid={nobody[0]}", f"--regid={nobody[1]}", "--clear-groups"]
    return no_db, member


def test_a_member_of_the_group_cannot_replace_a_file_of_the_index(
    shared: tuple[Path, list[str]], victim: Path
) -> None:
    db, member = shared
    assert stat.S_IMODE(db.parent.stat().st_mode) == 0o3770
    for file in (db, db.with_name(db.name + ".lock")):
        for command in (["rm", "-f", str(file)], ["mv", str(file), f"{file}.old"]):
            assert subprocess.run([*member, *command], capture_output=True, check=False).returncode
        assert file.exists()
    assert is_untouched(victim)


def test_what_a_member_puts_beside_the_index_is_not_followed(
    shared: tuple[Path, list[str]], victim: Path
) -> None:
    db, member = shared
    lock = db.with_name(db.name + ".lock")
    lock.unlink()
    subprocess.run([*member, "ln", "-s", victim, lock], check=True)
    ran = run("scan", db=db, check=3)
    assert f"{lock}: is a symbolic link" in ran.err
    assert is_untouched(victim)


def test_a_log_that_a_member_made_by_reading_is_no_trap(
    shared: tuple[Path, list[str]], music: Path
) -> None:
    """SQLite makes both files beside the index for whichever process opens it first."""
    db, member = shared
    reader = (
        "import sqlite3, sys\n"
        "index = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n"
        "print(index.execute('SELECT count(*) FROM library').fetchone(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [*member, "/usr/bin/python3", "-c", reader, str(db)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "(1,)\n"
        log = db.with_name(db.name + "-wal")
        eventually(log.exists)
        assert log.stat().st_uid != os.geteuid()
        plant(music, {"b.mp3": tagged(title="B")})
        assert run("scan", "--json", db=db).object["added"] == 1
        process.communicate("")


@pytest.mark.parametrize("mode", [0o2770, 0o777])
def test_a_folder_of_a_group_that_is_not_sticky_is_made_so(
    music: Path, no_db: Path, nobody: tuple[int, int], mode: int
) -> None:
    assert nobody
    plant(music, {"a.mp3": tagged(title="A")})
    no_db.parent.mkdir()
    no_db.parent.chmod(mode)
    config = no_db.parent.parent / "settings.toml"
    config.write_text('group = "nogroup"\n')
    run("rebuild", music, db=no_db, env={"INDEXER_CONFIG": str(config)})
    assert stat.S_IMODE(no_db.parent.stat().st_mode) == mode | stat.S_ISVTX


def test_a_folder_that_this_user_may_not_make_sticky_is_refused_with_what_to_type(
    music: Path, no_db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    no_db.parent.mkdir()
    os.chown(no_db.parent, *nobody)
    no_db.parent.chmod(0o777)
    config = no_db.parent.parent / "settings.toml"
    config.write_text('group = "nogroup"\n')
    ran = run(
        "rebuild", music, db=no_db, env={"INDEXER_CONFIG": str(config)}, prefix=powerless, check=3
    )
    assert f"chmod +t {no_db.parent}" in ran.err
    assert not no_db.exists()
