"""Disks below a root, and disks that remember less than ext4 does (rules R1, R8)."""

from __future__ import annotations

import os
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


def test_a_disk_below_a_root_keeps_its_rows_while_it_is_away(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    disk = make_disk("below.img")
    plant(music, {"a.mp3": tagged(title="A"), "z/z.mp3": tagged(title="Z")})
    below = mount(music / "below", "-o", "loop", disk)
    plant(below, {"b.mp3": tagged(title="B"), "c/c.mp3": tagged(title="C")})
    assert run("rebuild", music, "--json", db=db).object["added"] == 4

    unmount(below)
    plant(music, {"new.mp3": tagged(title="New"), "below/under.mp3": tagged(title="Under")})
    (music / "z" / "z.mp3").unlink()
    ran = run("scan", "--json", db=db, check=3)
    assert (ran.object["added"], ran.object["missing"], ran.object["seen"]) == (1, 1, 2)
    (told,) = ran.object["offline"]
    assert str(below) in told
    assert "not one row below it was changed" in told
    assert {path for (path,) in rows(db, "SELECT path FROM library")} == {
        "a.mp3", "below/b.mp3", "below/c/c.mp3", "new.mp3",
    }  # fmt: skip
    assert run("verify", "--json", db=db, check=3).object["differences"] == []
    assert told == state(db)["reason"]
    assert run("scan", below, "--json", db=db, check=3).object["missing"] == 0
    assert run("scan", below / "b.mp3", "--json", db=db, check=3).object["missing"] == 0
    assert len(rows(db, "SELECT * FROM library")) == 4

    (below / "under.mp3").unlink()
    mount(below, "-o", "loop", disk)
    assert_untouched(db)


def test_another_disk_below_a_root_is_left_alone_until_it_is_accepted(
    mount: Mount, music: Path, db: Path
) -> None:
    below = mount(music / "below", "-t", "tmpfs", "tmpfs")
    plant(below, {"b.mp3": tagged(title="B")})
    run("rebuild", music, db=db)
    unmount(below)
    mount(below, "-t", "tmpfs", "tmpfs")
    plant(below, {"c.mp3": tagged(title="C")})
    before = everything(db)
    run("scan", db=db, check=3)
    assert everything(db) == before
    run("roots", "accept", "music", db=db)
    report = run("scan", "--json", db=db).object
    assert (report["added"], report["missing"]) == (1, 1)


def test_a_disk_that_is_mounted_below_a_root_for_the_first_time_is_taken(
    mount: Mount, music: Path, db: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    run("rebuild", music, db=db)
    below = mount(music / "below", "-t", "tmpfs", "tmpfs")
    plant(below, {"b.mp3": tagged(title="B")})
    assert "`indexer scan` looks at it" in state(db)["reason"]
    report = run("scan", "--json", db=db).object
    assert (report["added"], report["offline"]) == (1, [])
    assert "reason" not in state(db)
    assert run("verify", "--json", db=db).object["ok"]


@pytest.mark.parametrize("same_disk", [False, True])
def test_files_that_a_disk_covered_for_a_while_are_back_with_their_ids(
    same_disk: bool, mount: Mount, music: Path, db: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "below/b.mp3": tagged(title="B")})
    run("rebuild", music, db=db)
    ids = rows(db, "SELECT path, id FROM library")
    (tmp_path / "empty").mkdir()
    what = ("--bind", tmp_path / "empty") if same_disk else ("-t", "tmpfs", "tmpfs")
    below = mount(music / "below", *what)
    assert run("scan", "--json", db=db).object["missing"] == 1
    said = [line["text"] for line in run("status", "--json", db=db).object["health"]]
    where = f"disk that is mounted over the folder {below}"
    hidden = [f"root {music.name}: 1 missing track may be hidden by the {where}"]
    assert said == ([] if same_disk else hidden)
    told = [one["detail"] for one in run("doctor", "--json", db=db, check=None).objects]
    assert set(hidden) <= set(told) or same_disk
    unmount(below)
    report = run("scan", "--json", db=db).object
    assert run("status", "--json", db=db).object["health"] == []
    assert (report["returned"], report["files_read"], report["offline"]) == (1, 0, [])
    assert rows(db, "SELECT path, id FROM library") == ids
    assert "reason" not in state(db)
    assert run("verify", "--json", db=db).object["ok"]


def test_a_disk_below_a_root_whose_music_is_in_the_index_covers_nothing(
    mount: Mount, music: Path, db: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "below/b.mp3": tagged(title="B")})
    run("rebuild", music, db=db)
    below = mount(music / "below", "-t", "tmpfs", "tmpfs")
    plant(below, {"c.mp3": tagged(title="C")})
    run("scan", db=db)
    unmount(below)
    before = everything(db)
    assert "its disk is not there" in run("scan", db=db, check=3).err
    assert everything(db) == before


def test_a_disk_below_an_offline_root_is_not_taken(mount: Mount, music: Path, db: Path) -> None:
    mount(music, "-t", "tmpfs", "tmpfs")
    plant(music, SONGS)
    run("rebuild", music, db=db)
    mount(music, "-t", "tmpfs", "tmpfs")
    mount(music / "below", "-t", "tmpfs", "tmpfs")
    assert_offline(db, "another disk stands there")
    unmount(music / "below")
    unmount(music)
    assert_untouched(db)


def test_a_file_that_is_mounted_is_a_file_like_others(mount: Mount, music: Path, db: Path) -> None:
    """Containers do that: `docker run --mount type=bind,src=song.mp3,dst=/music/song.mp3`."""
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    mount(music / "b.mp3", "--bind", music / "a.mp3")
    assert run("rebuild", music, "--json", db=db).object["added"] == 2
    assert run("scan", "--json", db=db).object["unchanged"] == 2
    assert run("verify", "--deep", "--json", db=db).object["ok"]
    unmount(music / "b.mp3")
    assert run("scan", "--json", db=db).object["modified"] == 1


def test_a_disk_without_stable_inodes_is_compared_by_size_and_mtime(
    mount: Mount, music: Path, tmp_path: Path, db: Path
) -> None:
    tool = shutil.which("mkfs.vfat", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if tool is None:
        pytest.skip("mkfs.vfat (of dosfstools) is not installed")
    disk = tmp_path / "stick.img"
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run([tool, disk], check=True, capture_output=True)
    mount(music, "-t", "vfat", "-o", "loop", disk)
    check_without_inodes(music, db, "vfat")
    unmount(music)
    mount(music, "-t", "vfat", "-o", "loop", disk)
    assert_untouched(db)


def check_without_inodes(music: Path, db: Path, file_system: str) -> None:
    plant(music, SONGS)
    report = run("rebuild", music, "--json", db=db).object
    assert (report["added"], report["pending"]) == (3, 0)
    root = state(db)
    assert root["file_system"].startswith(file_system)
    assert (root["stamp_fields"], root["moves"]) == ("size,mtime", "content")
    assert_untouched(db)
    (music / "three.ogg").rename(music / "3.ogg")
    report = run("scan", "--json", db=db).object
    assert (report["added"], report["missing"], report["moved"]) == (0, 0, 1)
    assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_a_disk_by_fuse_is_compared_by_size_and_mtime(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    tool = shutil.which("fuse2fs")
    if tool is None:
        pytest.skip("fuse2fs is not installed")
    mount(music, "-t", "fuse.fuse2fs", make_disk("fuse.img"))
    check_without_inodes(music, db, "fuse")
    database = music / ".index" / "library.db"
    ran = run("rebuild", music, db=database, check=3)
    assert "where SQLite's WAL is not safe; name a place on a local disk with --db FILE" in ran.err
