from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer import errors
from indexer.disk.filesystem import Disk
from indexer.disk.identity import DiskIdentity, open_root, wrong_disk
from indexer.disk.tree import Tree, mount_point_at
from tests.trees import Plant, at

MakeTree = Callable[..., Tree]
EXT4 = Disk(uuid="one", fs_type="ext4")


@pytest.fixture
def make_tree(music: Path) -> Iterator[MakeTree]:
    """`make_tree(b"A", offline=[b"B"])`: a root with another disk at `A`; `B` has lost its disk."""
    made: list[Tree] = []

    def make(*mounted: bytes, offline: tuple[bytes, ...] = (), fs_type: str = "ext4") -> Tree:
        folders = (b"", *mounted)
        mount_points = [
            mount_point_at(folder, open_root(at(music, folder).rstrip(b"/")), number, fs_type)
            for number, folder in enumerate(folders, 1)
        ]
        away = dict.fromkeys(offline, "its disk is away")
        made.append(Tree(1, "music", os.fsencode(music), mount_points, away))
        return made[-1]

    yield make
    for tree in made:
        tree.close()


def test_a_path_lies_on_the_disk_of_the_nearest_mount_point_above_it(
    plant: Plant, make_tree: MakeTree
) -> None:
    plant({"A/b/": None, "AA/": None})
    tree = make_tree(b"A", b"A/b")
    disks = {
        path: tree.mount_point_of(path).disk_id for path in (b"", b"1", b"A/1", b"A/b/c/1", b"AA/1")
    }
    assert disks == {b"": 1, b"1": 1, b"A/1": 2, b"A/b/c/1": 3, b"AA/1": 1}


def test_only_what_lies_on_an_absent_disk_is_offline(make_tree: MakeTree) -> None:
    tree = make_tree(offline=(b"A",))
    offline = [path for path in (b"A", b"A/1", b"AA/1", b"1", b"") if tree.is_offline(path)]
    assert offline == [b"A", b"A/1"]


def test_a_folder_is_never_reached_through_a_symbolic_link(
    plant: Plant, music: Path, make_tree: MakeTree
) -> None:
    plant({"A/b/1.mp3": b""})
    (music / "link").symlink_to("A")
    (music / "A/up").symlink_to("..")
    tree = make_tree()
    for folder in (b"link", b"link/b", b"A/up", b"A/up/A", b"A/b/1.mp3", b"nothing", b"nothing/b"):
        assert tree.open_folder(folder) is None
    assert tree.lstat(b"link/b/1.mp3") is None
    assert not tree.lists(b"link/b/1.mp3")


def test_a_path_may_be_longer_than_the_kernel_takes_at_once(make_tree: MakeTree) -> None:
    tree = make_tree()
    folder = os.open(b".", os.O_RDONLY, dir_fd=tree.fd)
    name = b"x" * 250
    for _ in range(20):
        os.mkdir(name, dir_fd=folder)
        deeper = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(os.open(b"1.mp3", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    path = b"/".join([name] * 20 + [b"1.mp3"])
    assert len(path) > 4096
    status = tree.lstat(path)
    assert status is not None
    assert status.st_size == 0
    assert tree.lists(path)
    assert tree.lstat(path + b"x") is None


def test_what_is_not_there_has_no_status_and_is_not_listed(
    plant: Plant, make_tree: MakeTree
) -> None:
    plant({"A/1.mp3": b"x", b"\xff": b"yz"})
    tree = make_tree()
    for path in (b"2.mp3", b"B/1.mp3", b"A/1.mp3/2.mp3", b"a/1.mp3"):
        assert tree.lstat(path) is None
        assert not tree.lists(path)
    for path, size in ((b"A/1.mp3", 1), (b"\xff", 2)):
        status = tree.lstat(path)
        assert status is not None
        assert status.st_size == size
        assert tree.lists(path)


def test_a_tree_holds_its_disk_though_the_folder_is_renamed(
    plant: Plant, music: Path, tmp_path: Path, make_tree: MakeTree
) -> None:
    plant({"1.mp3": b"x"})
    tree = make_tree()
    music.rename(tmp_path / "elsewhere")
    music.mkdir()
    assert tree.lstat(b"1.mp3") is not None


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (DiskIdentity(EXT4, 2), None),
        (DiskIdentity(Disk(uuid="other", fs_type="ext4"), 2), "another disk"),
        (DiskIdentity(Disk(uuid="one", fs_type="xfs"), 2), "another disk"),
        (DiskIdentity(EXT4, 3), "another folder"),
    ],
)
def test_a_root_is_known_by_its_disk_and_the_inode_of_its_folder(
    seen: DiskIdentity, why: str | None
) -> None:
    reason = wrong_disk(DiskIdentity(EXT4, 2), seen)
    assert (reason is None) if why is None else (reason is not None and why in reason)


def test_where_inodes_mean_nothing_that_of_the_root_means_nothing() -> None:
    fat = Disk(uuid="one", fs_type="vfat")
    assert wrong_disk(DiskIdentity(fat, 2), DiskIdentity(fat, 3)) is None


@pytest.mark.parametrize("kind", ["nothing", "file", "link"])
def test_what_is_no_folder_is_no_root(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "root"
    if kind == "file":
        path.touch()
    if kind == "link":
        path.symlink_to(tmp_path)
    with pytest.raises(errors.RootOffline, match="cannot be opened"):
        open_root(os.fsencode(path))
