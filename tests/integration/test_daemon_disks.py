"""Disks and roots that go, come, or are replaced: rows stay until the right one is back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.covers import hash_of, picture
from tests.daemons import Daemon, ids, shown, watching
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.programs import eventually, rows, run

AFTER_S = 10
"""How soon a disk that went must be noticed; the tests probe more often than a user's daemon."""


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Where the disk is to be mounted."""
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def goes_offline(daemon: Daemon, times: int = 1) -> None:
    daemon.await_line("offline root=music", times=times, within_s=AFTER_S)
    eventually(lambda: daemon.state() == "offline")


def test_a_disk_that_is_unmounted_and_mounted_again_changes_no_row_and_opens_no_file(
    music: Path, db: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    disk = make_disk("disk.ext4")
    mount(music, "-o", "loop", disk)
    plant(music, {"a/a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    with watching(music, db=db) as daemon:
        unmount(music)  # fails if the daemon keeps anything open on it
        goes_offline(daemon)
        before = rows(db, "SELECT * FROM tracks"), rows(db, "SELECT * FROM changes")
        assert daemon.status()["daemon"]["watched_folders"] == 0
        mount(music, "-o", "loop", disk)
        daemon.watches(2)
        assert (rows(db, "SELECT * FROM tracks"), rows(db, "SELECT * FROM changes")) == before
        assert daemon.files_read == 2
        assert daemon.state() == "watching"
        plant(music, {"c.mp3": tagged(title="C")})
        daemon.shows({"a/a.mp3": "A", "b.mp3": "B", "c.mp3": "C"})
        daemon.is_right()
        unmount(music)
        goes_offline(daemon, times=2)


def test_artwork_that_waits_for_a_disk_is_chosen_when_it_is_back(
    music: Path, db: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    """And not at the next of the pauses, which are a minute long."""
    disk = make_disk("disk.ext4")
    mount(music, "-o", "loop", disk)
    cover = picture()
    plant(music, {"a/1.mp3": tagged(title="A", album="A"), "a/cover.jpg": cover})
    run("rebuild", music, db=db)
    unmount(music)
    with closing(sqlite3.connect(db)) as connection, connection:  # as if it went a moment sooner
        connection.execute("DELETE FROM artwork_choices")
        connection.execute("UPDATE pictures SET hash = NULL")
        connection.execute("INSERT INTO artwork_due SELECT 'album', id FROM catalog_albums")
    with watching(music, db=db, until=goes_offline) as daemon:
        daemon.sleeps()
        assert daemon.status()["artwork_waiting"] == 1
        mount(music, "-o", "loop", disk)
        found = "SELECT hash FROM artwork"
        eventually(lambda: rows(db, found) == [(hash_of(cover),)], within_s=AFTER_S)


def test_what_was_changed_elsewhere_is_found_when_the_disk_is_back(
    music: Path, tmp_path: Path, db: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    disk = make_disk("disk.ext4")
    mount(music, "-o", "loop", disk)
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    with watching(music, db=db) as daemon:
        unmount(music)
        goes_offline(daemon)
        elsewhere = mount(tmp_path / "elsewhere", "-o", "loop", disk)
        (elsewhere / "a.mp3").unlink()
        (elsewhere / "b.mp3").write_bytes(tagged(title="B again"))
        unmount(elsewhere)
        plant(music, {"under.mp3": tagged(title="Under the mount point")})
        mount(music, "-o", "loop", disk)
        daemon.shows({"b.mp3": "B again"})
        daemon.is_right()


def test_another_disk_in_its_place_changes_no_row(
    music: Path, db: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    mount(music, "-o", "loop", make_disk("one.ext4"))
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        unmount(music)
        mount(music, "-o", "loop", make_disk("other.ext4"))
        plant(music, {"b.mp3": tagged(title="B")})
        goes_offline(daemon)
        assert shown(db) == {"a.mp3": "A"}
        run("roots", "accept", "music", db=db)
        daemon.shows({"b.mp3": "B"})
        assert daemon.state() == "watching"
        daemon.is_right()


def test_a_disk_that_is_mounted_late_is_watched_from_then_on(
    music: Path, db: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    disk = make_disk("disk.ext4")
    mount(music, "-o", "loop", disk)
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        daemon.end()
    unmount(music)
    with watching(music, db=db, until=goes_offline) as daemon:
        assert shown(db) == {"a.mp3": "A"}
        mount(music, "-o", "loop", disk)
        daemon.watches()
        assert daemon.files_read == 0
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})


def test_a_disk_that_is_mounted_over_the_root_is_another_one(
    music: Path, db: Path, mount: Mount
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        mount(music, "-t", "tmpfs", "tmpfs")
        goes_offline(daemon)
        plant(music, {"b.mp3": tagged(title="B")})
        assert shown(db) == {"a.mp3": "A"}
        unmount(music)
        daemon.watches(2)
        assert daemon.files_read == 1
        daemon.is_right()


def test_a_disk_below_the_root_is_guarded_for_itself(
    music: Path, db: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    disk = make_disk("disk.ext4")
    plant(music, {"a.mp3": tagged(title="A"), "usb/": None})
    with watching(music, db=db) as daemon:
        mount(music / "usb", "-o", "loop", disk)
        plant(music, {"usb/u.mp3": tagged(title="U")})
        daemon.shows({"a.mp3": "A", "usb/u.mp3": "U"})
        plant(music, {"usb/v.mp3": tagged(title="V")})
        daemon.shows({"a.mp3": "A", "usb/u.mp3": "U", "usb/v.mp3": "V"})
        daemon.sleeps()  # at work, it would keep the disk busy
        unmount(music / "usb")
        daemon.await_line("mounts changed", "its disk is not there")
        plant(music, {"b.mp3": tagged(title="B")})
        all_of_it = {"a.mp3": "A", "b.mp3": "B", "usb/u.mp3": "U", "usb/v.mp3": "V"}
        daemon.shows({**all_of_it})
        daemon.sleeps()  # it says what it has read after its rows are to be seen
        read = daemon.files_read
        mount(music / "usb", "-o", "loop", disk)
        daemon.await_line("mounts changed", "all there", times=2)
        plant(music, {"usb/w.mp3": tagged(title="W")})
        daemon.shows({**all_of_it, "usb/w.mp3": "W"})
        daemon.has_read(read + 1)
        daemon.is_right()


def test_a_root_that_is_renamed_away_and_back_changes_no_row(music: Path, db: Path) -> None:
    plant(music, {"a/a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        before = ids(db)
        music.rename(music.with_name("away"))
        goes_offline(daemon)
        plant(music.with_name("away"), {"a/b.mp3": tagged(title="B")})
        assert ids(db) == before
        music.with_name("away").rename(music)
        daemon.shows({"a/a.mp3": "A", "a/b.mp3": "B"})
        daemon.has_read(2)
        daemon.is_right()


def test_a_root_that_is_deleted_and_made_anew_waits_for_a_word(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        shutil.rmtree(music)
        goes_offline(daemon)
        hold = music.with_name("hold")  # or the new folder would have the inode of the old one
        hold.mkdir()
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.await_line("offline root=music", "another folder of the same disk")
        assert "b.mp3" not in shown(db)
        run("roots", "accept", "music", db=db)
        daemon.shows({"b.mp3": "B"})
        daemon.is_right()


def test_a_daemon_that_was_started_on_a_disk_lets_it_go(
    music: Path, db: Path, mount: Mount
) -> None:
    mount(music, "-t", "tmpfs", "tmpfs")
    plant(music, {"a.mp3": tagged(title="A")})
    here = os.getcwd()
    os.chdir(music)
    try:
        with watching(".", db=db) as daemon:
            os.chdir(here)
            unmount(music)
            goes_offline(daemon)
    finally:
        os.chdir(here)
