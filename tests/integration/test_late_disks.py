"""A root that was added before its disk was mounted: the most common start of all."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import QUICK, shown, watching
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.integration.root_assertions import (
    SONGS,
    assert_offline,
    assert_untouched,
    everything,
    state,
)
from tests.programs import eventually, rows, run

NO_MUSIC = "is its disk mounted?"
RARELY = QUICK.replace("probe_interval = 0.2", "probe_interval = 3600")


def test_a_root_without_music_says_so_and_takes_the_disk_that_is_mounted_later(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    ran = run("rebuild", music, db=db)
    assert f"music: no music in {music}: {NO_MUSIC}" in ran.err
    for command in ("roots", "status"):
        assert NO_MUSIC in run(command, db=db).out
    assert state(db)["state"] == "idle"
    assert NO_MUSIC in run("scan", db=db).err

    mount(music, "-o", "loop", make_disk("usb.img"))
    plant(music, SONGS)
    waiting = state(db)
    assert waiting["state"] == "idle"
    assert "a disk was mounted there; `indexer scan` looks at it" in waiting["reason"]
    ran = run("scan", "--json", db=db)
    assert (ran.object["added"], ran.object["offline"], ran.err) == (3, [], "")
    assert "reason" not in state(db)
    assert_untouched(db)


def test_from_the_first_track_on_a_root_keeps_its_disk(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    run("rebuild", music, db=db)
    mount(music, "-o", "loop", make_disk("usb.img"))
    plant(music, SONGS)
    run("scan", db=db)
    shutil.rmtree(music / "Björk")
    (music / "three.ogg").unlink()
    run("scan", db=db)
    assert NO_MUSIC not in state(db).get("reason", "")
    unmount(music)
    assert_offline(db, "another disk stands there")
    mount(music, "-o", "loop", make_disk("other.img"))
    assert_offline(db, "another disk stands there")


def test_a_file_that_no_reader_takes_is_music_enough(mount: Mount, music: Path, db: Path) -> None:
    (music / "bad.mp3").write_bytes(b"no music at all")
    assert NO_MUSIC not in run("rebuild", music, db=db).err
    assert rows(db, "SELECT count(*) FROM library") == [(0,)]
    mount(music, "-t", "tmpfs", "tmpfs")
    assert_offline(db, "another disk stands there")


def test_the_bare_folder_takes_the_place_of_no_disk(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    """What a downloader writes into it would make it the root's disk for good."""
    if music.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("the test folder is on a disk of its own, so it is never bare")
    mount(music, "-o", "loop", make_disk("usb.img"))
    run("rebuild", music, db=db)
    unmount(music)
    assert_offline(db, "another disk stands there")
    mount(music, "-o", "loop", make_disk("second.img"))
    plant(music, SONGS)
    assert run("scan", "--json", db=db).object["added"] == 3


def test_a_root_without_music_that_was_made_again_is_the_same_root(music: Path, db: Path) -> None:
    run("rebuild", music, db=db)
    music.rename(music.with_name("away"))
    plant(music, SONGS)
    assert run("scan", "--json", db=db).object["added"] == 3


def test_a_mount_point_that_never_held_a_track_takes_another_disk(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    mount(music / "usb", "-o", "loop", make_disk("empty.img"))
    run("rebuild", music, db=db)
    unmount(music / "usb")
    before = everything(db)
    run("scan", db=db, check=3)
    assert everything(db) == before
    mount(music / "usb", "-o", "loop", make_disk("full.img"))
    plant(music / "usb", {"b.mp3": tagged(title="B")})
    assert run("scan", "--json", db=db).object["added"] == 1
    unmount(music / "usb")
    mount(music / "usb", "-o", "loop", make_disk("third.img"))
    run("scan", db=db, check=3)
    assert set(shown(db)) == {"a.mp3", "usb/b.mp3"}


def test_the_disk_of_a_root_takes_no_place_below_it(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    mount(music, "-o", "loop", make_disk("root.img"))
    plant(music, {"a.mp3": tagged(title="A")})
    mount(music / "usb", "-o", "loop", make_disk("below.img"))
    run("rebuild", music, db=db)
    unmount(music / "usb")
    before = everything(db)
    for _ in range(2):
        assert "its disk is not there" in run("scan", db=db, check=3).err
        assert everything(db) == before


def test_a_daemon_that_starts_before_the_disk_is_mounted_takes_it(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    with watching(music, db=db) as daemon:
        daemon.await_line("empty root=music", NO_MUSIC)
        assert daemon.state() == "watching"
        disk = make_disk("usb.img")
        mount(music, "-o", "loop", disk)
        plant(music, {"a.mp3": tagged(title="A")})
        daemon.await_line("disk taken root=music")
        daemon.shows({"a.mp3": "A"})
        daemon.sleeps()
        assert len(daemon.lines("empty root=music")) == 1
        assert not daemon.lines("offline root=")
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})
        daemon.is_right()
        daemon.sleeps()
        unmount(music)
        eventually(lambda: daemon.state() == "offline")
        assert shown(db) == {"a.mp3": "A", "b.mp3": "B"}
        mount(music, "-o", "loop", disk)
        eventually(lambda: daemon.state() == "watching")
        daemon.is_right()


def test_a_command_beside_a_daemon_is_not_told_that_a_new_disk_is_another_one(
    mount: Mount, music: Path, db: Path
) -> None:
    with watching(music, db=db, config=RARELY) as daemon:
        mount(music, "-t", "tmpfs", "tmpfs")
        plant(music, {"a.mp3": tagged(title="A")})
        ran = run("scan", "--json", db=db)
        assert ran.object["offline"] == []
        daemon.shows({"a.mp3": "A"})


def test_a_disk_that_comes_and_goes_before_there_is_music_leaves_the_root_usable(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    disk = make_disk("usb.img")
    with watching(music, db=db) as daemon:
        for _ in range(10):
            mount(music, "-o", "loop", disk)
            unmount_when_free(music)
        mount(music, "-o", "loop", disk)
        plant(music, {"a.mp3": tagged(title="A")})
        daemon.shows({"a.mp3": "A"})
        daemon.is_right()
        assert re.search(r"tracks\s+1\b", run("status", db=db).out)


def unmount_when_free(point: Path) -> None:
    """Unmount it as soon as nothing is open on it, and be it between two looks."""

    def unmounted() -> bool:
        try:
            unmount(point)
        except subprocess.CalledProcessError:  # it is held open just now
            return False
        return True

    eventually(unmounted)
