"""Disk identity on real mounts: needs root, and a kernel that lets it mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer.disk import filesystem
from indexer.disk.filesystem import Disk, disk_at, disk_of, same_disk
from indexer.disk.mounts import Mount, mount_of, mounts_below, overlap, read_mounts
from tests.integration.conftest import unmount

UUID = "12345678-9abc-4def-8123-456789abcdef"
OTHER_UUID = "87654321-9abc-4def-8123-456789abcdef"

Mounter = Callable[..., Path]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounter]:
    """`mounted(name, *arguments of mount)` -> the mount point; all are unmounted at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    points: list[Path] = []

    def mount(name: str, *arguments: str | Path) -> Path:
        point = tmp_path / name
        point.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", *arguments, point], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"this machine does not let root mount: {done.stderr.strip()}")
        points.append(point)
        return point

    yield mount
    for point in reversed(points):
        if os.path.ismount(point):  # lazily, since a failed test may still hold a file open
            subprocess.run(["umount", "--lazy", point], check=True)


@pytest.fixture
def image(tmp_path: Path) -> Callable[[str, str], Path]:
    """`image(name, uuid)` -> a file that holds a small ext4."""
    tool = shutil.which("mkfs.ext4", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if tool is None:
        pytest.skip("mkfs.ext4 is not installed")

    def make(name: str, uuid: str) -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(4 << 20)
        subprocess.run([tool, "-q", "-F", "-U", uuid, path], check=True)
        return path

    return make


def seen_at(path: Path) -> Disk:
    return disk_at(os.fsencode(path))


def mount_at(path: Path) -> Mount:
    found = mount_of(os.fsencode(path), read_mounts())
    assert found
    return found


def test_a_disk_is_the_same_wherever_it_is_mounted(
    mounted: Mounter, image: Callable[[str, str], Path]
) -> None:
    file = image("disk.img", UUID)
    point = mounted("first", "-o", "loop", file)
    known = seen_at(point)
    unmount(point)
    moved = mounted("second", "-o", "loop", file)
    assert known.fs_type == "ext4"
    assert same_disk(known, seen_at(moved))


def test_an_empty_mount_point_is_another_disk(
    mounted: Mounter, image: Callable[[str, str], Path]
) -> None:
    point = mounted("usb", "-o", "loop", image("disk.img", UUID))
    known = seen_at(point)
    unmount(point)
    assert not same_disk(known, seen_at(point))


def test_another_disk_in_its_place_is_another_disk(
    mounted: Mounter, image: Callable[[str, str], Path]
) -> None:
    point = mounted("usb", "-o", "loop", image("one.img", UUID))
    known = seen_at(point)
    unmount(point)
    assert not same_disk(known, seen_at(mounted("usb", "-o", "loop", image("two.img", OTHER_UUID))))


def test_a_new_tmpfs_is_another_disk(mounted: Mounter) -> None:
    point = mounted("ram", "-t", "tmpfs", "tmpfs")
    known = seen_at(point)
    assert same_disk(known, seen_at(point))
    unmount(point)
    seen = seen_at(mounted("ram", "-t", "tmpfs", "tmpfs"))
    assert (known.fs_type, seen.fs_type) == ("tmpfs", "tmpfs")
    if not (known.fsid or known.uuid):
        pytest.skip("this kernel gives a tmpfs no mark of its own")
    assert not same_disk(known, seen)


def test_the_kernel_and_udev_tell_the_same_uuid(
    mounted: Mounter, image: Callable[[str, str], Path], tmp_path: Path
) -> None:
    point = mounted("usb", "-o", "loop", image("disk.img", UUID))
    mount = mount_at(point)
    by_uuid = tmp_path / "by-uuid"
    by_uuid.mkdir()
    (by_uuid / OTHER_UUID).symlink_to("/dev/null")
    (by_uuid / "dangling").symlink_to("/dev/nothing")
    (by_uuid / UUID).symlink_to(mount.source)
    assert filesystem._uuid_by_device(mount, os.fsencode(by_uuid)) == UUID
    folder = os.open(point, os.O_RDONLY)
    try:
        told = filesystem._uuid_from_kernel(folder)
    finally:
        os.close(folder)
    release = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
    assert told == (UUID if release >= (6, 9) else "")


def test_udev_is_asked_where_the_kernel_does_not_tell(
    mounted: Mounter,
    image: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = mounted("usb", "-o", "loop", image("disk.img", UUID))
    (tmp_path / UUID).symlink_to(mount_at(point).source)
    monkeypatch.setattr(filesystem, "_uuid_from_kernel", lambda _folder: "")
    monkeypatch.setattr(filesystem, "_BY_UUID", os.fsencode(tmp_path))
    assert seen_at(point).identity == f"uuid:{UUID}"
    monkeypatch.setattr(filesystem, "_BY_UUID", os.fsencode(tmp_path / "no udev"))
    assert seen_at(point).identity.startswith("fsid:")


def test_a_file_system_without_a_device_has_no_uuid_by_udev(mounted: Mounter) -> None:
    mount = mount_at(mounted("ram", "-t", "tmpfs", "/not/a device"))
    assert mount.source == "/not/a device"
    assert filesystem._uuid_by_device(mount, b"/dev/disk/by-uuid") == ""


def test_a_bind_mount_is_the_same_disk_and_overlaps(mounted: Mounter, tmp_path: Path) -> None:
    ram = mounted("ram", "-t", "tmpfs", "tmpfs")
    for folder in ("music/new/x", "music/old"):
        (ram / folder).mkdir(parents=True)
    bound = mounted("bound albums\n", "--bind", ram / "music" / "new")
    assert seen_at(bound) == seen_at(ram)

    def overlaps(one: Path, other: Path) -> bool:
        roots = {"other": os.fsencode(other)}
        return overlap(os.fsencode(one), roots, read_mounts()) == "other"

    assert overlaps(bound, ram / "music")
    assert overlaps(bound, ram / "music" / "new" / "x")
    assert overlaps(ram / "music" / "new", bound / "x")
    assert overlaps(tmp_path, bound)
    assert not overlaps(bound, ram / "music" / "old")


def test_a_mount_below_a_root_is_found_until_it_is_gone(mounted: Mounter, tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    point = mounted("a/tab\there", "-t", "tmpfs", "tmpfs")
    mounted("a/tab\there", "-t", "tmpfs", "second")
    below = mounts_below(root, read_mounts())
    assert {path: mount.source for path, mount in below.items()} == {b"a/tab\there": "second"}
    unmount(point)
    below = mounts_below(root, read_mounts())
    assert {path: mount.source for path, mount in below.items()} == {b"a/tab\there": "tmpfs"}
    unmount(point)
    assert mounts_below(root, read_mounts()) == {}


def test_in_a_chroot_the_type_comes_from_the_file_system_itself(mounted: Mounter) -> None:
    ram = mounted("ram", "-t", "tmpfs", "tmpfs")
    fd = os.open(ram, os.O_RDONLY)
    try:
        assert disk_of(fd, None).fs_type == "tmpfs"
    finally:
        os.close(fd)
