"""Subvolumes of one btrfs: one UUID and one inode 256 for all, and files that share an inode."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from indexer.store.schema import SUBVOLUMES
from tests.corpus import plant, tagged
from tests.daemons import shown, watching
from tests.integration.conftest import Mount, tool, unmount
from tests.integration.root_assertions import SONGS, assert_offline, assert_untouched
from tests.programs import rows, run

AT = 1_600_000_000


class Btrfs:
    """A small btrfs on a loop device, its top mounted at `top`."""

    def __init__(self, top: Path, device: str, mount: Mount) -> None:
        self.top = top
        self.device = device
        self._mount = mount

    def subvolume(self, name: str, of: str | None = None) -> Path:
        """A new subvolume, empty or a snapshot of another one."""
        verb = ["create"] if of is None else ["snapshot", str(self.top / of)]
        subprocess.run(
            ["btrfs", "subvolume", *verb, self.top / name], check=True, capture_output=True
        )
        return self.top / name

    def show(self, point: Path, subvolume: str) -> None:
        """Mount a subvolume."""
        self._mount(point, "-t", "btrfs", "-o", f"subvol={subvolume}", self.device)


@pytest.fixture
def btrfs(tmp_path: Path, mount: Mount) -> Iterator[Btrfs]:
    mkfs = tool("mkfs.btrfs", of="btrfs-progs")
    image = tmp_path / "disk.btrfs"
    with image.open("wb") as file:
        file.truncate(160 << 20)
    subprocess.run([mkfs, "-q", image], check=True, capture_output=True)
    told = subprocess.run(
        ["losetup", "--find", "--show", image], capture_output=True, text=True, check=False
    )
    if told.returncode != 0:
        pytest.skip(f"this machine has no loop device: {told.stderr.strip()}")
    device = told.stdout.strip()
    uuid = subprocess.run(
        ["blkid", "-s", "UUID", "-o", "value", device], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        with known_to_udev(device, uuid):
            yield Btrfs(mount(tmp_path / "top", "-t", "btrfs", device), device, mount)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def known_to_udev(device: str, uuid: str) -> Iterator[None]:
    """Until the end there is the link that udev makes; in a container it does not run."""
    link = Path("/dev/disk/by-uuid", uuid)
    link.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        link.symlink_to(device)
    try:
        yield
    finally:
        link.unlink(missing_ok=True)


def twin(folder: Path, name: str, title: str) -> int:
    """A file as large and as old as all others that are made by this; its inode."""
    plant(folder, {name: tagged(title=title)})
    os.utime(folder / name, (AT, AT))
    return (folder / name).stat().st_ino


def test_another_subvolume_in_the_place_of_a_root_changes_no_row(
    btrfs: Btrfs, music: Path, db: Path
) -> None:
    plant(btrfs.subvolume("@music"), SONGS)
    plant(btrfs.subvolume("@backup"), {"other.mp3": tagged(title="Other")})
    btrfs.show(music, "@music")
    run("rebuild", music, db=db)
    unmount(music)
    btrfs.show(music, "@backup")
    assert_offline(db, "another subvolume of the same disk stands there", "rebuild")
    unmount(music)
    btrfs.show(music, "@music")
    assert_untouched(db)


def test_a_snapshot_in_the_place_of_its_subvolume_is_another_one_until_it_is_accepted(
    btrfs: Btrfs, music: Path, db: Path
) -> None:
    plant(btrfs.subvolume("@music"), SONGS)
    btrfs.show(music, "@music")
    run("rebuild", music, db=db)
    ids = rows(db, "SELECT path, id FROM library ORDER BY path")
    btrfs.subvolume("@yesterday", of="@music")
    unmount(music)
    btrfs.show(music, "@yesterday")
    assert_offline(db, "another subvolume of the same disk stands there")
    run("roots", "accept", "music", db=db)
    report = run("scan", "--json", db=db).object
    assert (report["unchanged"], report["files_read"]) == (3, 0)
    assert rows(db, "SELECT path, id FROM library ORDER BY path") == ids
    assert_untouched(db)


def test_a_subvolume_is_the_same_however_it_is_mounted(
    btrfs: Btrfs, music: Path, mount: Mount, db: Path
) -> None:
    plant(btrfs.subvolume("@music"), SONGS)
    btrfs.show(music, "@music")
    run("rebuild", music, db=db)
    unmount(music)
    mount(music, "--bind", btrfs.top / "@music")
    assert_untouched(db)


def test_another_subvolume_below_a_root_is_left_alone(btrfs: Btrfs, music: Path, db: Path) -> None:
    plant(btrfs.subvolume("@one"), {"1.mp3": tagged(title="One")})
    plant(btrfs.subvolume("@two"), {"2.mp3": tagged(title="Two")})
    plant(music, {"a.mp3": tagged(title="A")})
    btrfs.show(music / "below", "@one")
    run("rebuild", music, db=db)
    unmount(music / "below")
    btrfs.show(music / "below", "@two")
    run("scan", db=db, check=3)
    assert set(shown(db)) == {"a.mp3", "below/1.mp3"}


def test_a_daemon_waits_for_the_right_subvolume(btrfs: Btrfs, music: Path, db: Path) -> None:
    plant(btrfs.subvolume("@music"), SONGS)
    plant(btrfs.subvolume("@backup"), {"other.mp3": tagged(title="Other")})
    btrfs.show(music, "@music")
    with watching(music, db=db) as daemon:
        before = shown(db)
        unmount(music)
        btrfs.show(music, "@backup")
        daemon.await_line("offline root=music", "another subvolume")
        assert shown(db) == before
        unmount(music)
        btrfs.show(music, "@music")
        daemon.watches(2)
        assert shown(db) == before
        daemon.is_right()


@pytest.mark.parametrize("where", ["below a root", "at two mount points", "in two roots"])
def test_files_with_one_inode_in_two_subvolumes_are_two_tracks(
    where: str, btrfs: Btrfs, music: Path, tmp_path: Path, db: Path
) -> None:
    """Of equal size and time, too: as if one had been moved."""
    btrfs.subvolume("@one")
    btrfs.subvolume("@two")
    one, two = music / "@one", music / "@two"
    roots = [music]
    if where == "below a root":
        btrfs.show(music, "/")
    else:
        if where == "in two roots":
            one, two = roots = [tmp_path / "one", tmp_path / "two"]
        btrfs.show(one, "@one")
        btrfs.show(two, "@two")
    inode = twin(one, "a.mp3", "A")
    run("rebuild", *roots, db=db)
    before = rows(db, "SELECT id FROM library")
    (one / "a.mp3").unlink()
    assert twin(two, "b.mp3", "B") == inode
    report = run("scan", "--json", db=db).object
    assert (report["added"], report["moved"], report["missing"]) == (1, 0, 1)
    assert shown(db) == {str((two / "b.mp3").relative_to(roots[-1])): "B"}
    assert rows(db, "SELECT id FROM library") != before
    assert run("scan", "--json", db=db).object["unchanged"] == 1
    assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_files_are_moved_within_a_subvolume_below_a_root(
    btrfs: Btrfs, music: Path, db: Path
) -> None:
    btrfs.subvolume("@one")
    btrfs.show(music, "/")
    twin(music / "@one", "a.mp3", "A")
    run("rebuild", music, db=db)
    before = rows(db, "SELECT id FROM library")
    (music / "@one").rename(music / "@other")
    (music / "@other" / "a.mp3").rename(music / "@other" / "b.mp3")
    assert run("scan", "--json", db=db).object["moved"] == 1
    assert rows(db, "SELECT id FROM library") == before


def test_a_daemon_keeps_two_subvolumes_below_its_root_apart(
    btrfs: Btrfs, music: Path, db: Path
) -> None:
    one, two = btrfs.subvolume("one"), btrfs.subvolume("two")
    btrfs.show(music, "/")
    twin(one, "a.mp3", "A")
    with watching(music, db=db) as daemon:
        (before,) = rows(db, "SELECT id FROM library")
        (one / "a.mp3").unlink()
        twin(two, "b.mp3", "B")
        daemon.shows({"two/b.mp3": "B"})
        assert rows(db, "SELECT id FROM library") != [before]
        daemon.is_right()


def test_an_index_that_knew_two_subvolumes_as_one_disk_learns_them(
    btrfs: Btrfs, tmp_path: Path, db: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for point in (one, two):
        plant(btrfs.subvolume(point.name), {"a.mp3": tagged(title=point.name)})
        btrfs.show(point, point.name)
    run("rebuild", one, two, db=db)
    before = rows(db, "SELECT id, path FROM library ORDER BY id")
    make_old(db)
    report = run("scan", "--json", db=db).object
    assert (report["offline"], report["files_read"], report["missing"]) == ([], 0, 0)
    assert rows(db, "SELECT id, path FROM library ORDER BY id") == before
    unmount(two)
    btrfs.show(two, "one")
    ran = run("scan", "--json", db=db, check=3)
    assert "another subvolume of the same disk" in ran.object["offline"][0]


def make_old(db: Path) -> None:
    """Make an index what the version before had made of these disks, and bring it up to date."""
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(
            """
            UPDATE mounts SET disk_id = (SELECT min(disk_id) FROM mounts);
            UPDATE tracks SET disk_id = (SELECT min(disk_id) FROM mounts);
            DELETE FROM disks WHERE id <> (SELECT min(disk_id) FROM mounts);
            """
        )
        connection.executescript(SUBVOLUMES)
