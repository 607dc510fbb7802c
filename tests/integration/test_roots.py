"""Roots whose disks come and go: nothing is deleted on a guess (rule R8)."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.integration.root_assertions import (
    SONGS,
    assert_offline,
    assert_untouched,
    everything,
    state,
)
from tests.programs import (
    rows,
    run,
)


def test_an_emptied_mount_point_is_offline_until_its_disk_is_back(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    disk = make_disk("usb.img")
    mount(music, "-o", "loop", disk)
    plant(music, SONGS)
    assert run("rebuild", music, "--json", db=db).object["added"] == 3
    unmount(music)
    assert list(music.iterdir()) == []
    assert_offline(db, "another disk stands there", "rebuild", "verify")
    assert state(db)["reason"] in run("status", db=db).out
    mount(music, "-o", "loop", disk)
    assert_untouched(db)


@pytest.mark.parametrize("other", ["ext4", "tmpfs"])
def test_another_disk_in_its_place_is_offline_until_it_is_accepted(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path, other: str
) -> None:
    disk = make_disk("usb.img")
    mount(music, "-o", "loop", disk)
    plant(music, SONGS)
    run("rebuild", music, db=db)
    unmount(music)
    second = ("-o", "loop", make_disk("b.img")) if other == "ext4" else ("-t", "tmpfs", "tmpfs")
    mount(music, *second)
    plant(music, {"three.ogg": tagged(".ogg", title="Three"), "four.mp3": tagged(title="Four")})
    assert_offline(db, f"another disk stands there ({other}")
    unmount(music)
    mount(music, "-o", "loop", disk)
    assert run("scan", "--json", db=db).object["files_read"] == 0

    unmount(music)
    mount(music, *second)
    plant(music, {"three.ogg": tagged(".ogg", title="Three"), "four.mp3": tagged(title="Four")})
    accepted = run("roots", "accept", "music", "--json", db=db).object
    assert (accepted["name"], accepted["state"]) == ("music", "idle")
    assert accepted["file_system"] == other
    report = run("scan", "--json", db=db).object
    assert (report["missing"], report["added"]) == (2, 1)
    assert report["unchanged"] + report["modified"] == 1
    assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_a_track_moves_on_an_accepted_disk_as_on_any_other(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    """The copy of a disk has the same inodes and stamps, but it is not the same disk."""
    disk = make_disk("usb.img")
    mount(music, "-o", "loop", disk)
    plant(music, SONGS)
    run("rebuild", music, db=db)
    unmount(music)
    copy = shutil.copy(disk, disk.with_name("copy.img"))
    subprocess.run(["tune2fs", "-U", "random", copy], check=True, capture_output=True)
    mount(music, "-o", "loop", copy)
    run("roots", "accept", "music", db=db)
    assert run("scan", "--json", db=db).object["unchanged"] == 3
    (music / "three.ogg").rename(music / "3.ogg")
    report = run("scan", "--json", db=db).object
    assert (report["moved"], report["added"], report["missing"]) == (1, 0, 0)


def test_an_empty_root_is_believed_when_its_disk_is_the_known_one(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    shutil.rmtree(music / "Björk")
    (music / "three.ogg").unlink()
    report = run("scan", "--json", db=db).object
    assert (report["missing"], report["seen"], report["offline"]) == (3, 0, [])
    assert run("status", "--json", db=db).object["missing"] == 3


def test_a_root_that_was_made_again_is_offline_until_it_is_accepted(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    music.rename(music.with_name("away"))
    music.mkdir()
    assert_offline(db, "it is another folder of the same disk")
    run("roots", "accept", "music", db=db)
    assert run("scan", "--json", db=db).object["missing"] == 3


def test_a_root_that_was_renamed_away_is_offline(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    music.rename(music.with_name("away"))
    assert_offline(db, "cannot be opened (No such file or directory); mount its disk")
    assert "mount its disk" in run("roots", "accept", "music", db=db, check=3).err
    music.with_name("away").rename(music)
    assert_untouched(db)


def test_a_file_in_place_of_a_root_is_offline(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    music.rename(music.with_name("away"))
    music.write_text("no folder")
    assert_offline(db, "music is not a folder, but a file); put the folder back")
    music.unlink()
    os.mkfifo(music)
    assert_offline(db, "music is not a folder, but a pipe); put the folder back")
    music.unlink()
    music.symlink_to(music)
    assert_offline(db, "music is a symbolic link that leads in a circle); put the folder back")
    music.unlink()
    music.symlink_to(music.with_name("away"))
    assert_offline(db, "cannot be opened (it is a symbolic link now")


def test_a_folder_above_a_root_that_may_not_be_entered_is_named(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    above = music.with_name("above")
    plant(above / "music", SONGS)
    run("rebuild", above / "music", db=db)
    above.chmod(0o700)
    os.chown(above, *nobody)
    ran = run("scan", "--json", db=db, prefix=powerless, check=3)
    (told,) = ran.object["offline"]
    assert f"({above} may not be entered by this user); chmod it" in told


def test_a_root_that_may_not_be_read_is_offline(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    music.chmod(0o700)
    os.chown(music, *nobody)
    before = everything(db)
    ran = run("scan", "--json", db=db, prefix=powerless, check=3)
    assert f"({music} may not be read by this user); chmod it" in ran.object["offline"][0]
    assert everything(db) == before


def test_the_other_roots_are_scanned_before_an_offline_one_is_told(
    tmp_path: Path, music: Path, db: Path
) -> None:
    other = tmp_path / "other"
    plant(other, {"a.mp3": tagged()})
    plant(music, SONGS)
    run("rebuild", music, other, db=db)
    music.rename(music.with_name("away"))
    plant(other, {"b.mp3": tagged()})
    ran = run("scan", "--json", db=db, check=3)
    assert (ran.object["added"], ran.object["missing"]) == (1, 0)
    assert run("scan", other, "--json", db=db).object["offline"] == []
    assert run("rebuild", other, "--json", db=db).object["files_read"] == 2
    assert state(db, "other")["state"] == "idle"
    verified = run("verify", "--json", db=db, check=3).object
    assert (verified["checked"], verified["differences"]) == (2, [])


def test_what_moves_between_a_root_and_one_that_goes_offline_is_not_moved(
    tmp_path: Path, music: Path, db: Path
) -> None:
    """Nobody can say that the old place lost it; so it is a new file, and no row is taken."""
    other = tmp_path / "other"
    plant(other, {"a.mp3": tagged(title="A")})
    plant(music, {"b.mp3": tagged(title="B")})
    run("rebuild", music, other, db=db)
    music.joinpath("b.mp3").rename(other / "b.mp3")
    music.rename(music.with_name("away"))
    report = run("scan", "--json", db=db, check=3).object
    assert (report["added"], report["moved"]) == (1, 0)
    assert rows(db, "SELECT id, root, path FROM library ORDER BY id") == [
        (1, "music", "b.mp3"), (2, "other", "a.mp3"), (3, "other", "b.mp3"),
    ]  # fmt: skip


def test_roots_that_share_folders_are_refused(
    mount: Mount, tmp_path: Path, music: Path, db: Path
) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    bound = mount(tmp_path / "bound", "--bind", music / "Björk")
    above = mount(tmp_path / "above", "--bind", music)
    for folder, why in (
        (tmp_path, "holds the root music"),
        (music / "Björk", "lies in the root music"),
        (bound, "shares folders with the root music"),
        (bound / "Debut", "shares folders with the root music"),
        (above, "shares folders with the root music"),
    ):
        for command in (("roots", "add"), ("rebuild",)):
            assert why in run(*command, folder, db=db, check=2).err
    assert [root["name"] for root in run("roots", "--json", db=db).objects] == ["music"]


def test_a_root_given_again_is_the_same_root(tmp_path: Path, music: Path, db: Path) -> None:
    plant(music, SONGS)
    link = tmp_path / "link"
    link.symlink_to(music)
    run("rebuild", link, db=db)
    assert state(db)["path"] == str(music)
    for spelling in (music, link, f"{music}/", music / "Björk" / ".."):
        assert run("roots", "add", spelling, "--json", db=db).object["name"] == "music"
    assert run("rebuild", link, "--json", db=db).object["unchanged"] == 3
    assert run("scan", link / "Björk", "--json", db=db).object["unchanged"] == 2
    assert len(run("roots", "--json", db=db).objects) == 1


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path, db: Path) -> None:
    for place in ("a", "b", "c"):
        plant(tmp_path / place / "music", {f"{place}.mp3": tagged()})
        run("rebuild", tmp_path / place / "music", db=db)
    assert [root["name"] for root in run("roots", "--json", db=db).objects] == [
        "music", "music-2", "music-3",
    ]  # fmt: skip
    plant(tmp_path / "d", {"d.mp3": tagged()})
    ran = run("roots", "add", tmp_path / "d", "--name", "music-2", db=db, check=2)
    assert "choose another with --name" in ran.err
    run("roots", "add", tmp_path / "d", "--name", "Dad's", db=db)
    assert state(db, "Dad's")["path"] == str(tmp_path / "d")


def test_a_root_that_is_removed_and_added_again_keeps_its_ids(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    before = rows(db, "SELECT id, path, title, added_at FROM library ORDER BY id")
    run("roots", "remove", "music", db=db)
    assert rows(db, "SELECT * FROM library") == []
    assert run("search", "one", db=db, check=1).out == ""
    assert run("roots", "--json", db=db).objects == []
    (music / "three.ogg").unlink()
    run("roots", "add", music, "--name", "again", db=db)
    report = run("scan", "--json", db=db).object
    assert (report["returned"], report["added"], report["files_read"]) == (2, 0, 0)
    after = rows(db, "SELECT id, path, title, added_at FROM library ORDER BY id")
    assert after == [row for row in before if row[1] != "three.ogg"]
    told = rows(db, "SELECT kind, count(*) FROM changes GROUP BY kind ORDER BY kind")
    assert told == [("added", 3), ("missing", 3), ("returned", 2)]
    assert run("verify", "--deep", "--json", db=db).object["ok"]
    assert len(run("search", "two", "--json", db=db).objects) == 1


def test_a_root_may_be_removed_while_it_is_offline(music: Path, db: Path) -> None:
    plant(music, SONGS)
    run("rebuild", music, db=db)
    music.rename(music.with_name("away"))
    run("roots", "remove", "music", db=db)
    assert run("scan", "--json", db=db).object["offline"] == []
    music.with_name("away").rename(music)
    report = run("rebuild", music, "--json", db=db).object
    assert (report["returned"], report["added"]) == (3, 0)


def test_a_root_that_became_a_link_says_how_the_index_follows_it(
    music: Path, db: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    run("rebuild", music, db=db)
    ids = rows(db, "SELECT id, path FROM library")
    away = tmp_path / "big disk"
    away.mkdir()
    music.rename(away / "music")
    music.symlink_to(away / "music")
    told = run("scan", db=db, check=3).err
    assert f"it is a symbolic link now, to {away}/music)" in told
    removed, rebuilt = told.strip().rpartition("follow it: ")[2].split(" && ")
    for command in (removed, rebuilt):
        run(*shlex.split(command)[1:], db=db)
    assert rows(db, "SELECT id, path FROM library") == ids
