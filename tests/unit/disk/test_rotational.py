from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer.disk.identity import open_root
from indexer.disk.mounts import Mount
from indexer.disk.rotational import reader_count, readers_for
from indexer.disk.tree import Tree, mount_point_at
from indexer.settings.settings_file import load

MOST = 8
AddDisk = Callable[..., Path]


@pytest.fixture
def tree(music: Path) -> Iterator[Tree]:
    path = os.fsencode(music)
    tree = Tree(1, "music", path, [mount_point_at(b"", open_root(path), 1, "ext4")], {})
    yield tree
    tree.close()


@pytest.fixture
def add_disk(tmp_path: Path) -> AddDisk:
    """`add_disk("sda", spins=True)` in a fake /sys: the folder of the disk."""

    def add(
        name: str, *, spins: bool = True, bus: str = "scsi", below: tuple[str, ...] = ()
    ) -> Path:
        disk = tmp_path / "sys/devices" / name
        (disk / "queue").mkdir(parents=True)
        (disk / "queue/rotational").write_text(f"{spins:d}\n")
        (disk / "slaves").mkdir()
        for one in below:
            (disk / "slaves" / one).symlink_to(disk.parent / one)
        if bus:
            (tmp_path / "sys/bus" / bus).mkdir(parents=True, exist_ok=True)
            (disk / "device").mkdir()
            (disk / "device/subsystem").symlink_to(tmp_path / "sys/bus" / bus)
        return disk

    return add


@pytest.fixture
def lies_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Let the kernel report this disk for the music: the folder with the devices by number.

    The temporary folder itself may lie in memory, on no device.
    """
    fstat = os.fstat

    def of_disk(fd: int) -> os.stat_result:
        fields = list(fstat(fd))
        fields[stat.ST_DEV] = os.makedev(8, 1)
        return os.stat_result(fields)

    def lie(place: Path) -> Path:
        devices = tmp_path / "sys/dev/block"
        devices.mkdir(parents=True)
        (devices / "8:1").symlink_to(place)
        monkeypatch.setattr(os, "fstat", of_disk)
        return devices

    return lie


Lie = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("disk", "readers"),
    [
        ({"spins": True}, 1),
        ({"spins": False}, MOST),
        ({"spins": True, "bus": "virtio"}, MOST),  # a virtual disk always says so
        ({"spins": True, "bus": ""}, MOST),  # loop, zram: there is no hardware
    ],
)
def test_a_disk_that_spins_has_one_reader(
    tree: Tree, add_disk: AddDisk, lies_on: Lie, disk: dict[str, bool], readers: int
) -> None:
    assert readers_for([tree], [], MOST, lies_on(add_disk("sda", **disk))) == readers


def test_a_partition_lies_on_its_disk(tree: Tree, add_disk: AddDisk, lies_on: Lie) -> None:
    partition = add_disk("sda") / "sda1"
    partition.mkdir()
    (partition / "partition").write_text("1\n")
    assert readers_for([tree], [], MOST, lies_on(partition)) == 1


@pytest.mark.parametrize(("kinds", "readers"), [((True, True), 2), ((True, False), MOST)])
def test_a_raid_has_a_reader_for_each_of_its_disks_if_all_of_them_spin(
    tree: Tree, add_disk: AddDisk, lies_on: Lie, kinds: tuple[bool, bool], readers: int
) -> None:
    for name, spins in zip(("sda", "sdb"), kinds, strict=True):
        add_disk(name, spins=spins)
    assert (
        readers_for([tree], [], MOST, lies_on(add_disk("md0", bus="", below=("sda", "sdb"))))
        == readers
    )


def test_for_an_unknown_disk_there_is_the_maximum_of_readers(tree: Tree, tmp_path: Path) -> None:
    assert readers_for([tree], [], MOST, tmp_path / "nothing") == MOST
    assert readers_for([], [], MOST) == MOST


def test_a_set_number_of_readers_ignores_the_disks(tree: Tree, tmp_path: Path) -> None:
    settings = load(None, tmp_path / "library.db", {}, workers=5)
    assert reader_count(settings, [tree]) == 5
    assert reader_count(load(None, tmp_path / "library.db", {}), [tree]) >= 1


def test_a_network_disk_has_as_many_readers_as_may_be(tree: Tree, music: Path) -> None:
    mount = Mount(
        id=1, parent=0, device="0:9", fs_root=b"/", point=os.fsencode(music), fs_type="nfs",
        source="host:/music",
    )  # fmt: skip
    assert readers_for([tree], [mount], MOST, music) == MOST
