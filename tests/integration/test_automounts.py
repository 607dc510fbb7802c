"""Automounts, as systemd's .automount units make them: none is kept awake, or taken for a disk.

Opening one mounts its disk; unused for a while it is unmounted. It is no disk that went then.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.disk.mounts import has_expired, read_mounts
from tests.corpus import plant, tagged
from tests.daemons import QUICK, Daemon, shown, watching
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.integration.root_assertions import SONGS, assert_untouched, everything, state
from tests.programs import can_be_root, eventually, run

Automount = Callable[..., Path]
IDLE_S = 1.0
"""The shortest time that the kernel takes for an automount to expire."""


@pytest.fixture
def automount() -> Iterator[Automount]:
    """`automount(point, what, idle_s)` -> the point, where opening mounts a folder or an image."""
    if not can_be_root():
        pytest.skip("only root may mount")
    points: list[Path] = []
    programs: list[subprocess.Popen[str]] = []

    def automount(point: Path, what: Path, idle_s: float | None = None) -> Path:
        point.mkdir(parents=True, exist_ok=True)
        words = [point, what] if idle_s is None else [point, what, idle_s]
        command = [sys.executable, "-m", "tests.automount", *map(str, words)]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        programs.append(program)
        points.append(point)
        assert program.stdout is not None
        said = program.stdout.readline().strip()
        if said != "ready":
            pytest.skip(f"this machine has no automounts: {said}")
        return point

    yield automount
    for program in programs:
        program.kill()
        program.communicate()
    for point in (*points, *points):  # what is mounted there, and the automount itself
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def is_idle(point: Path) -> bool:
    """Whether nothing is mounted there now; this does not mount it."""
    return has_expired(os.fsencode(point), read_mounts())


def wake(point: Path) -> None:
    """Use it, as a player would."""
    os.close(os.open(point, os.O_RDONLY | os.O_DIRECTORY))
    assert not is_idle(point)


def expire(point: Path) -> None:
    """Have it unmounted now, as it is after a while without use."""
    eventually(lambda: _unmounted(point))
    assert is_idle(point)


def _unmounted(point: Path) -> bool:
    try:
        unmount(point)
    except subprocess.CalledProcessError:  # a command that ended just now held it
        return False
    return True


@pytest.fixture(params=["folder", "image"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, mount: Mount, make_disk: MakeDisk) -> Path:
    """What is to be mounted: with three songs, and not mounted yet."""
    if request.param == "folder":
        plant(tmp_path / "disk", SONGS)
        return tmp_path / "disk"
    image = make_disk("disk.img")
    plant(mount(tmp_path / "made", "-o", "loop", image), SONGS)
    unmount(tmp_path / "made")
    return image


# Commands


def test_a_root_that_is_idle_is_mounted_by_each_command(
    automount: Automount, disk: Path, music: Path, db: Path
) -> None:
    automount(music, disk)
    assert run("rebuild", music, "--json", db=db).object["added"] == 3
    root = state(db)
    assert root["file_system"] == "ext4" or disk.is_dir()
    assert root["file_system"] != "autofs"
    expire(music)
    assert_untouched(db)
    for command in ("scan", "verify", "rebuild"):
        expire(music)
        assert run(command, "--json", db=db).object["offline"] == []
    expire(music)
    (root,) = run("roots", "--json", db=db).objects
    assert (root["state"], "reason" in root) == ("idle", False)


def test_a_disk_below_a_root_that_is_idle_is_mounted_and_accepted(
    automount: Automount, disk: Path, music: Path, db: Path
) -> None:
    plant(music, {"own/a.mp3": tagged(title="A")})
    nas = automount(music / "nas", disk)
    assert run("rebuild", music, "--json", db=db).object["added"] == 4
    expire(nas)
    assert_untouched(db)
    expire(nas)
    assert run("scan", music / "own", "--json", db=db).object["offline"] == []
    assert is_idle(nas)
    assert run("scan", nas / "three.ogg", "--json", db=db).object["unchanged"] == 1


def test_a_folder_behind_an_automount_may_be_a_root(
    automount: Automount, tmp_path: Path, db: Path
) -> None:
    plant(tmp_path / "disk" / "music", SONGS)
    nas = automount(tmp_path / "nas", tmp_path / "disk")
    assert run("rebuild", nas / "music", "--json", db=db).object["added"] == 3
    expire(nas)
    assert_untouched(db)


def test_an_automount_that_mounts_nothing_is_offline_and_changes_no_row(
    automount: Automount, tmp_path: Path, music: Path, db: Path
) -> None:
    disk = tmp_path / "disk"
    plant(disk, SONGS)
    automount(music, disk)
    run("rebuild", music, db=db)
    expire(music)
    disk.rename(tmp_path / "away")
    before = everything(db)
    for command in ("scan", "verify"):
        ran = run(command, "--json", db=db, check=3)
        (told,) = ran.object["offline"]
        assert told.startswith(f"music: {music} is an automount, and nothing was mounted")
        assert "journalctl" in told
    assert state(db)["state"] == "offline"
    assert run("roots", "accept", "music", db=db, check=3).err
    assert everything(db) == before
    (tmp_path / "away").rename(disk)
    assert_untouched(db)


def test_an_automount_below_a_root_that_mounts_nothing_keeps_its_rows(
    automount: Automount, tmp_path: Path, music: Path, db: Path
) -> None:
    disk = tmp_path / "disk"
    plant(disk, SONGS)
    plant(music, {"own/a.mp3": tagged(title="A")})
    nas = automount(music / "nas", disk)
    run("rebuild", music, db=db)
    expire(nas)
    disk.rename(tmp_path / "away")
    before = everything(db)
    (told,) = run("scan", "--json", db=db, check=3).object["offline"]
    assert f"{nas} is an automount, and nothing was mounted" in told
    assert everything(db) == before
    (tmp_path / "away").rename(disk)
    assert_untouched(db)


def test_an_automount_is_never_accepted_as_a_disk(
    automount: Automount, tmp_path: Path, music: Path, db: Path
) -> None:
    plant(music, {"own/a.mp3": tagged(title="A")})
    automount(music / "nas", tmp_path / "nothing")
    ran = run("rebuild", music, "--json", db=db, check=3)
    assert ran.object["added"] == 1
    assert "nothing was mounted" in ran.object["offline"][0]
    alone = automount(tmp_path / "alone", tmp_path / "nothing")
    assert "is an automount" in run("rebuild", alone, db=db, check=3).err
    with closing(sqlite3.connect(db)) as connection:
        types = connection.execute("SELECT fs_type FROM disks").fetchall()
    assert ("autofs",) not in types


def test_an_index_that_took_an_automount_for_a_disk_takes_the_disk(
    automount: Automount, tmp_path: Path, music: Path, db: Path
) -> None:
    plant(tmp_path / "disk", SONGS)
    nas = automount(music / "nas", tmp_path / "disk")
    run("rebuild", music, db=db)
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(
            """
            INSERT INTO disks (uuid, fsid, fs_type, source) VALUES ('', '1', 'autofs', 'systemd-1');
            UPDATE mounts SET disk_id = last_insert_rowid(), inode = 1 WHERE folder <> x'';
            """
        )
    expire(nas)
    report = run("scan", "--json", db=db).object
    assert (report["unchanged"], report["missing"], report["offline"]) == (3, 0, [])
    assert_untouched(db)


def test_another_disk_behind_an_automount_is_another_disk(
    automount: Automount, mount: Mount, make_disk: MakeDisk, tmp_path: Path, music: Path, db: Path
) -> None:
    image = make_disk("disk.img")
    plant(mount(tmp_path / "made", "-o", "loop", image), SONGS)
    unmount(tmp_path / "made")
    automount(music, image)
    run("rebuild", music, db=db)
    expire(music)
    shutil.copy(make_disk("other.img"), image)
    before = everything(db)
    assert "another disk stands there (ext4" in run("scan", db=db, check=3).err
    assert everything(db) == before


# The daemon


def stays_idle(point: Path, daemon: Daemon) -> None:
    """It is left alone for twenty looks at the disks."""
    looks = len(daemon.lines("looked"))
    for _ in range(4):
        daemon.sleeps()
        subprocess.run(["sleep", "1"], check=True)
        assert is_idle(point)
    assert len(daemon.lines("looked")) == looks


def test_a_daemon_that_starts_while_its_root_is_idle_comes_up(
    automount: Automount, disk: Path, music: Path, db: Path
) -> None:
    automount(music, disk)
    run("rebuild", music, db=db)
    expire(music)
    with watching(music, db=db) as daemon:
        assert daemon.state() == "watching"
        assert daemon.status()["daemon"]["watched_folders"] == 3
        assert not daemon.lines("offline")
        plant(music, {"new.mp3": tagged(title="New")})
        eventually(lambda: "new.mp3" in shown(db))
        daemon.is_right()


@pytest.mark.parametrize("where", ["", "nas"])
def test_a_daemon_lets_an_automount_expire_and_watches_it_again_when_it_returns(
    where: str, automount: Automount, disk: Path, music: Path, db: Path
) -> None:
    plant(music, {"own/a.mp3": tagged(title="A")} if where else {})
    nas = automount(music / where, disk, IDLE_S)
    with watching(music, db=db) as daemon:
        before = dict(shown(db))
        assert len(before) == 3 + bool(where)
        for time in (1, 2):
            eventually(lambda: is_idle(nas))
            stays_idle(nas, daemon)
            assert daemon.state() == "watching"
            assert is_idle(nas)
            assert shown(db) == before
            if where:
                plant(music, {f"own/{time}.mp3": tagged(title=f"Own {time}")})
                before |= {f"own/{time}.mp3": f"Own {time}"}
                daemon.shows(before)
                assert is_idle(nas)
            held = os.open(nas, os.O_RDONLY | os.O_DIRECTORY)
            daemon.await_line("automount returned root=music", times=time)
            daemon.watches(time + 1)
            plant(nas, {f"new {time}.mp3": tagged(title=f"New {time}")})
            before |= {os.path.join(where, f"new {time}.mp3"): f"New {time}"}
            daemon.shows(before)
            os.close(held)
        assert not daemon.lines("offline")
        assert set(daemon.recoveries()) == {"automount returned"}
        daemon.is_right()


def test_a_change_in_another_root_wakes_no_automount(
    automount: Automount, tmp_path: Path, music: Path, db: Path
) -> None:
    plant(tmp_path / "disk", SONGS)
    nas = automount(tmp_path / "nas", tmp_path / "disk", IDLE_S)
    with watching(music, nas, db=db, until=lambda daemon: daemon.watches(2)) as daemon:
        eventually(lambda: is_idle(nas))
        for number in range(3):
            plant(music, {f"{number}.mp3": tagged(title=str(number))})
            daemon.await_line("added path=music/", times=number + 1)
            assert is_idle(nas)
        assert not daemon.lines("automount returned")


def test_a_poll_wakes_no_automount(
    automount: Automount, tmp_path: Path, music: Path, db: Path
) -> None:
    plant(tmp_path / "disk", SONGS)
    automount(music, tmp_path / "disk")
    config = QUICK + 'polled = ["music"]\npoll_interval = 0.3\n'
    with watching(music, db=db, config=config, until=None) as daemon:
        daemon.await_line("polling root=music")
        expire(music)
        daemon.await_line("polling root=music")
        looks = len(daemon.lines("looked"))
        subprocess.run(["sleep", "2"], check=True)
        assert is_idle(music)
        assert len(daemon.lines("looked")) <= looks + 1
        assert daemon.state() == "polling"
        plant(tmp_path / "disk", {"new.mp3": tagged(title="New")})
        wake(music)
        eventually(lambda: "new.mp3" in shown(db))


def test_a_command_beside_a_daemon_mounts_what_is_idle(
    automount: Automount, disk: Path, music: Path, db: Path
) -> None:
    automount(music, disk)
    with watching(music, db=db) as daemon:
        daemon.sleeps()
        expire(music)
        run("status", db=db)
        assert is_idle(music)
        assert run("scan", "--json", db=db).object["offline"] == []
        daemon.await_line("automount returned root=music")
        daemon.is_right()


def test_a_disk_that_does_not_return_is_offline_until_it_does(
    automount: Automount, tmp_path: Path, music: Path, db: Path
) -> None:
    disk = tmp_path / "disk"
    plant(disk, SONGS)
    automount(music, disk)
    run("rebuild", music, db=db)
    expire(music)
    disk.rename(tmp_path / "away")
    with watching(music, db=db, until=None) as daemon:
        daemon.await_line("offline root=music", "is an automount, and nothing was mounted")
        before = everything(db)
        (tmp_path / "away").rename(disk)
        daemon.watches()
        assert everything(db)["tracks"] == before["tracks"]
        daemon.is_right()
