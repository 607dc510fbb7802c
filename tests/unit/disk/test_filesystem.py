"""The identity of disks, and the reliable properties of file systems."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec
import pytest

from indexer.disk import filesystem
from indexer.disk.filesystem import Disk, disk_at, how_it_differs, same_disk, same_inodes
from indexer.disk.identity import open_folders
from indexer.disk.mounts import Mount, mount_id, parse_mounts
from indexer.errors import RootOffline, UsageError
from indexer.model import StampFields

# One disk, or another


EXT4 = Disk(uuid="a-a", fsid="1", fs_type="ext4", source="/dev/sda1")
MUSIC = Disk(uuid="a-a", fsid="1", fs_type="btrfs", source="/dev/sda1")
BACKUP = Disk(uuid="a-a", fsid="2", fs_type="btrfs", source="/dev/sda1")
POOL = Disk(fs_type="fuse.mergerfs", source="a:b:c")
UNKNOWN = Disk(uuid="a-a", fs_type="btrfs", source="/dev/sda1")
"""A subvolume whose fsid was dropped, since it may have been that of another one."""


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        (EXT4, EXT4),
        (EXT4, Disk(uuid="a-a", fsid="2", fs_type="ext4", source="/dev/sdb1")),
        (EXT4, Disk(fsid="1", fs_type="ext4", source="/dev/root")),
        (Disk(fs_type="nfs4", source="nas:/a"), Disk(fs_type="nfs4", source="nas:/a")),
        (MUSIC, msgspec.structs.replace(MUSIC, source="/dev/sdb1")),
        (MUSIC, UNKNOWN),
        (POOL, msgspec.structs.replace(POOL, source="c:a:b")),
    ],
    ids=[
        "equal",
        "plugged in elsewhere",
        "the uuid is not told now",
        "the same export",
        "the same subvolume",
        "a subvolume that is not told",
        "a union in another order",
    ],
)
def test_it_is_the_same_disk(known: Disk, seen: Disk) -> None:
    assert same_disk(known, seen)
    assert same_disk(seen, known)


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        (EXT4, Disk(uuid="b-b", fsid="1", fs_type="ext4", source="/dev/sda1")),
        (EXT4, Disk(uuid="a-a", fsid="1", fs_type="fuseblk", source="/dev/sda1")),
        (EXT4, Disk(fsid="2", fs_type="ext4", source="/dev/sda1")),
        (EXT4, Disk(fs_type="ext4", source="/dev/sda1")),
        (Disk(fs_type="nfs4", source="nas:/a"), Disk(fs_type="nfs4", source="nas:/b")),
        (MUSIC, BACKUP),
        (POOL, msgspec.structs.replace(POOL, source="a:b")),
        (Disk(fs_type="nfs4", source="a:b"), Disk(fs_type="nfs4", source="b:a")),
    ],
    ids=[
        "uuid",
        "type",
        "fsid",
        "no fsid now",
        "another export",
        "another subvolume",
        "a union with a folder less",
        "no union",
    ],
)
def test_it_is_another_disk(known: Disk, seen: Disk) -> None:
    assert not same_disk(known, seen)
    assert not same_disk(seen, known)


@pytest.mark.parametrize("fs_type", ["xfs", "vfat", "exfat", "ext4", "f2fs"])
def test_the_fsid_of_other_file_systems_does_not_count_beside_a_uuid(fs_type: str) -> None:
    one, other = (msgspec.structs.replace(disk, fs_type=fs_type) for disk in (MUSIC, BACKUP))
    assert same_disk(one, other)
    assert same_inodes(one, other)


@pytest.mark.parametrize("fs_type", ["btrfs", "bcachefs", "zfs"])
def test_inodes_are_counted_anew_in_each_subvolume(fs_type: str) -> None:
    music, backup, unknown = (
        msgspec.structs.replace(disk, fs_type=fs_type) for disk in (MUSIC, BACKUP, UNKNOWN)
    )
    assert same_inodes(music, music)
    assert not same_inodes(music, backup)
    assert not same_inodes(music, unknown)
    assert not same_inodes(unknown, music)


def test_another_subvolume_is_told_from_another_disk() -> None:
    assert how_it_differs(MUSIC, BACKUP) == (
        "another subvolume of the same disk stands there (btrfs, fsid:2; accepted was fsid:1)"
    )
    assert how_it_differs(MUSIC, EXT4) == (
        "another disk stands there (ext4, uuid:a-a; accepted was btrfs, uuid:a-a)"
    )


def test_an_identity_is_the_strongest_mark_there_is() -> None:
    assert EXT4.identity == "uuid:a-a"
    assert Disk(fsid="00ff", source="/dev/sda1").identity == "fsid:00ff"
    assert Disk(source="nas:/music").identity == "source:nas:/music"


def disk_without_mounts(folder: Path) -> Disk:
    fd = os.open(folder, os.O_RDONLY)
    try:
        return filesystem.disk_of(fd, None)
    finally:
        os.close(fd)


def test_the_folder_of_this_test_has_an_identity(tmp_path: Path) -> None:
    disk = filesystem.disk_at(os.fsencode(tmp_path))
    assert disk.fs_type
    assert disk == filesystem.disk_at(os.fsencode(tmp_path))


def test_the_type_is_known_where_the_mount_is_not_listed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path)
    listed, bare = filesystem.disk_at(path), disk_without_mounts(tmp_path)
    if listed.fs_type not in set(filesystem._MAGIC_TYPES.values()):
        pytest.skip(f"the test folder's file system, {listed.fs_type}, has no number in the table")
    assert bare.fs_type == listed.fs_type


def test_a_folder_that_is_not_there_has_no_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        filesystem.disk_at(os.fsencode(tmp_path / "gone"))


def test_a_uuid_of_zeros_is_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(number: int) -> str:
        def ioctl(_folder: int, _request: int, answer: bytearray) -> None:
            answer[:] = bytes([16]) + number.to_bytes(16, "big")

        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        return disk_without_mounts(tmp_path).uuid

    assert answers(0) == ""
    assert answers(1) == "00000000-0000-0000-0000-000000000001"


def test_only_a_block_device_has_a_uuid_by_udev(tmp_path: Path) -> None:
    (tmp_path / "a-uuid").symlink_to("/dev/null")
    number = os.stat("/dev/null").st_rdev
    (mount,) = parse_mounts(b"1 1 %d:%d / / rw - x x rw" % (os.major(number), os.minor(number)))
    assert filesystem._uuid_by_device(mount, os.fsencode(tmp_path)) == ""


# The table of file systems


@pytest.mark.parametrize(
    "fs_type", ["ext4", "ext3", "xfs", "btrfs", "f2fs", "tmpfs", "zfs", "nfs4"]
)
def test_stable_inodes_are_compared(fs_type: str) -> None:
    assert filesystem.stamp_fields(fs_type) is StampFields.ALL


@pytest.mark.parametrize(
    "fs_type", ["vfat", "exfat", "msdos", "fuseblk", "fuse", "fuse.mergerfs", "cifs", "smb3", "9p"]
)
def test_made_up_inodes_are_not_compared(fs_type: str) -> None:
    assert filesystem.stamp_fields(fs_type) is StampFields.SIZE_MTIME


@pytest.mark.parametrize("fs_type", ["", "newfs"])
def test_an_unknown_type_gives_up_moves_but_not_changes(fs_type: str) -> None:
    assert filesystem.stamp_fields(fs_type) is StampFields.NO_INODE


def test_coarse_clocks_are_known() -> None:
    assert filesystem.granularity_ns("vfat") == 2_000_000_000
    assert filesystem.granularity_ns("exfat") == 10_000_000
    assert filesystem.granularity_ns("nfs") == 1_000_000_000
    assert filesystem.granularity_ns("ext4") == 0


def test_the_database_is_refused_where_wal_is_not_safe() -> None:
    refused = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "fuseblk", "virtiofs"]
    assert not any(map(filesystem.holds_wal, refused))
    assert all(
        map(filesystem.holds_wal, ["ext4", "xfs", "btrfs", "f2fs", "vfat", "overlay", "tmpfs"])
    )


# What may become a root


def test_a_root_is_a_real_path(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "link").symlink_to("music")
    assert filesystem.real_root(os.fsencode(tmp_path / "link" / ".")) == os.fsencode(
        tmp_path / "music"
    )


def test_what_is_not_a_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    for name, told in (
        ("song.mp3", "song.mp3 is not a folder, but a file: name the folder that it is in"),
        ("pipe", "pipe is not a folder, but a pipe: name the folder that it is in"),
        ("song.mp3/x", "song.mp3/x: .*song.mp3 is not a folder, but a file: put the folder back"),
        ("gone", "gone does not exist: name a folder"),
        ("dangling", "dangling is a symbolic link that leads nowhere: put the folder back"),
        ("circle", "circle is a symbolic link that leads in a circle: put the folder back"),
    ):
        with pytest.raises(UsageError, match=told):
            filesystem.real_root(os.fsencode(tmp_path / name))


def test_a_root_that_is_not_utf8_is_shown_in_escapes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"/\\xff does not exist"):
        filesystem.real_root(os.fsencode(tmp_path) + b"/\xff")


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (PermissionError(13, "Permission denied"), UsageError, "may not be read by this user"),
        (OSError(5, "Input/output error"), RootOffline, r"\(Input/output error\): check its disk"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: OSError,
    error: type[Exception],
    message: str,
) -> None:
    def scandir(_path: bytes) -> None:
        raise failure

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(error, match=message):
        filesystem.real_root(os.fsencode(tmp_path))


def test_in_a_container_a_uuid_is_found_by_the_name_of_a_device_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_uuid, kernel = tmp_path / "by-uuid", tmp_path / "class"
    by_uuid.mkdir()
    for number, name in ((16, "sdy0"), (17, "sdy1")):
        (by_uuid / f"uuid-of-{name}").symlink_to(f"../../{name}")
        (kernel / name).mkdir(parents=True)
        (kernel / name / "dev").write_text(f"8:{number}\n")
    monkeypatch.setattr(filesystem, "_CLASS_BLOCK", os.fsencode(kernel))
    (mount,) = parse_mounts(b"30 22 8:17 / /mnt/usb rw - ext4 /dev/sdb1 rw")
    assert filesystem._uuid_by_device(mount, os.fsencode(by_uuid)) == "uuid-of-sdy1"


def test_a_folder_is_never_taken_for_the_former_mount_whose_number_the_kernel_gave_again(
    tmp_path: Path,
) -> None:
    path = os.fsencode(tmp_path)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    number = mount_id(folder)
    os.close(folder)
    gone = Mount(
        id=number, parent=1, device="0:1", fs_root=b"/", point=b"/gone", fs_type="fuse.sshfs",
        source="nas:",
    )  # fmt: skip
    (place,), _ = open_folders(path, [b""], [gone])
    assert place.fd is not None
    os.close(place.fd)
    assert place.seen is not None
    assert place.seen.disk == disk_at(path)
