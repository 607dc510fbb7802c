"""Which disk it is, and what its file system can be trusted with."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from indexer import disks
from indexer.disks import Disk, Mount, mount_of, overlap, parse_mounts, same_disk
from indexer.errors import RootOffline, UsageError
from indexer.model import StampFields

# Of a NAS: a USB disk, an album folder bound to a second place, two exports of one server.
MOUNTINFO = rb"""
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
30 22 8:17 / /mnt/usb rw,noatime shared:7 master:2 - ext4 /dev/sdb1 rw
31 22 8:17 /music/new /srv/new\040albums rw - ext4 /dev/sdb1 rw
32 22 0:50 / /net/a rw - nfs4 nas:/a rw
33 22 0:50 / /net/b rw - nfs4 nas:/b rw
34 30 0:60 / /mnt/usb/music/tab\011line\012slash\134 rw - fuse.sshfs ann@host: rw
35 22 0:61 / /mnt/hidden/below rw - tmpfs  rw
36 22 0:62 / /mnt/hidden rw - tmpfs tmpfs rw
"""
MOUNTS = parse_mounts(MOUNTINFO)


def test_a_mount_is_read_from_its_line() -> None:
    assert MOUNTS[2] == Mount(
        id=31,
        parent=22,
        device="8:17",
        fs_root=b"/music/new",
        point=b"/srv/new albums",
        fs_type="ext4",
        source="/dev/sdb1",
    )


def test_escaped_characters_and_an_empty_source_are_read() -> None:
    assert MOUNTS[5].point == b"/mnt/usb/music/tab\tline\nslash\\"
    assert MOUNTS[6].source == ""


def test_any_number_of_optional_fields_is_skipped() -> None:
    assert [mount.fs_type for mount in MOUNTS[:3]] == ["ext4", "ext4", "ext4"]


@pytest.mark.parametrize(
    ("path", "mount_id"),
    [
        (b"/", 22),
        (b"/home", 22),
        (b"/mnt/usb", 30),
        (b"/mnt/usb/music", 30),
        (b"/mnt/usb2", 22),
        (b"/srv/new albums/x", 31),
    ],
)
def test_a_path_lies_in_the_deepest_mount_on_its_way(path: bytes, mount_id: int) -> None:
    found = mount_of(path, MOUNTS)
    assert found
    assert found.id == mount_id


def test_a_later_mount_hides_what_was_mounted_below_it() -> None:
    found = mount_of(b"/mnt/hidden/below/x", MOUNTS)
    assert found
    assert found.id == 36


def test_in_a_chroot_a_path_may_lie_in_no_listed_mount() -> None:
    listed = parse_mounts(b"90 22 0:4 / /proc rw - proc proc rw")
    assert mount_of(b"/srv/music", listed) is None


def test_the_first_file_system_may_be_its_own_parent() -> None:
    listed = parse_mounts(b"1 1 0:2 / / rw - rootfs rootfs rw\n2 1 8:1 / /a rw - ext4 /dev/sda1 rw")
    assert [getattr(mount_of(path, listed), "id", None) for path in (b"/b", b"/a")] == [1, 2]


def test_the_mounts_below_a_root_are_the_ones_that_can_be_seen() -> None:
    below = disks.mounts_below(b"/mnt", MOUNTS)
    assert {path: mount.id for path, mount in below.items()} == {
        b"usb": 30,
        b"usb/music/tab\tline\nslash\\": 34,
        b"hidden": 36,
    }
    assert disks.mounts_below(b"/mnt/usb/mus", MOUNTS) == {}
    assert list(disks.mounts_below(b"/net/a", MOUNTS)) == []
    assert b"net/a" in disks.mounts_below(b"/", MOUNTS)


# One disk, or another


EXT4 = Disk(uuid="a-a", fsid="1", fs_type="ext4", source="/dev/sda1")


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        (EXT4, EXT4),
        (EXT4, Disk(uuid="a-a", fsid="2", fs_type="ext4", source="/dev/sdb1")),
        (EXT4, Disk(fsid="1", fs_type="ext4", source="/dev/root")),
        (Disk(fs_type="nfs4", source="nas:/a"), Disk(fs_type="nfs4", source="nas:/a")),
    ],
    ids=["equal", "plugged in elsewhere", "the uuid is not told now", "the same export"],
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
    ],
    ids=["uuid", "type", "fsid", "no fsid now", "another export"],
)
def test_it_is_another_disk(known: Disk, seen: Disk) -> None:
    assert not same_disk(known, seen)
    assert not same_disk(seen, known)


def test_an_identity_is_the_strongest_mark_there_is() -> None:
    assert EXT4.identity == "uuid:a-a"
    assert Disk(fsid="00ff", source="/dev/sda1").identity == "fsid:00ff"
    assert Disk(source="nas:/music").identity == "source:nas:/music"


def test_the_folder_of_this_test_has_an_identity(tmp_path: Path) -> None:
    disk = disks.disk_at(os.fsencode(tmp_path), disks.read_mounts())
    assert disk.fs_type
    assert disk == disks.disk_at(os.fsencode(tmp_path), disks.read_mounts())


def test_the_type_is_known_where_the_mount_is_not_listed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path)
    listed, bare = disks.disk_at(path, disks.read_mounts()), disks.disk_at(path, [])
    if listed.fs_type not in set(disks._MAGIC_TYPES.values()):
        pytest.skip(f"the test folder's file system, {listed.fs_type}, has no number in the table")
    assert bare.fs_type == listed.fs_type


def test_a_folder_that_is_not_there_has_no_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disks.disk_at(os.fsencode(tmp_path / "gone"), disks.read_mounts())


def test_a_uuid_of_zeros_is_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(number: int) -> str:
        def ioctl(_folder: int, _request: int, answer: bytearray) -> None:
            answer[:] = bytes([16]) + number.to_bytes(16, "big")

        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        return disks.disk_at(os.fsencode(tmp_path), []).uuid

    assert answers(0) == ""
    assert answers(1) == "00000000-0000-0000-0000-000000000001"


def test_only_a_block_device_has_a_uuid_by_udev(tmp_path: Path) -> None:
    (tmp_path / "a-uuid").symlink_to("/dev/null")
    number = os.stat("/dev/null").st_rdev
    (mount,) = parse_mounts(b"1 1 %d:%d / / rw - x x rw" % (os.major(number), os.minor(number)))
    assert disks._uuid_by_device(mount, os.fsencode(tmp_path)) == ""


# The table of file systems


@pytest.mark.parametrize(
    "fs_type", ["ext4", "ext3", "xfs", "btrfs", "f2fs", "tmpfs", "zfs", "nfs4"]
)
def test_stable_inodes_are_compared(fs_type: str) -> None:
    assert disks.stamp_fields(fs_type) is StampFields.ALL


@pytest.mark.parametrize(
    "fs_type", ["vfat", "exfat", "msdos", "fuseblk", "fuse", "fuse.mergerfs", "cifs", "smb3", "9p"]
)
def test_made_up_inodes_are_not_compared(fs_type: str) -> None:
    assert disks.stamp_fields(fs_type) is StampFields.SIZE_MTIME


@pytest.mark.parametrize("fs_type", ["", "newfs"])
def test_an_unknown_type_gives_up_moves_but_not_changes(fs_type: str) -> None:
    assert disks.stamp_fields(fs_type) is StampFields.NO_INODE


def test_coarse_clocks_are_known() -> None:
    assert disks.granularity_ns("vfat") == 2_000_000_000
    assert disks.granularity_ns("exfat") == 10_000_000
    assert disks.granularity_ns("nfs") == 1_000_000_000
    assert disks.granularity_ns("ext4") == 0


def test_the_database_is_refused_where_wal_is_not_safe() -> None:
    refused = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "fuseblk", "virtiofs"]
    assert not any(map(disks.holds_wal, refused))
    assert all(map(disks.holds_wal, ["ext4", "xfs", "btrfs", "f2fs", "vfat", "overlay", "tmpfs"]))


# What may become a root


def test_a_root_is_a_real_path(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "link").symlink_to("music")
    assert disks.real_root(os.fsencode(tmp_path / "link" / ".")) == os.fsencode(tmp_path / "music")


def test_what_is_not_a_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"song.mp3 is not a folder: name the folder"):
        disks.real_root(os.fsencode(tmp_path / "song.mp3"))
    for name in ("gone", "dangling"):
        with pytest.raises(UsageError, match=f"{name} does not exist: name a folder"):
            disks.real_root(os.fsencode(tmp_path / name))


def test_a_root_that_is_not_utf8_is_shown_in_escapes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"/\\xff does not exist"):
        disks.real_root(os.fsencode(tmp_path) + b"/\xff")


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
        disks.real_root(os.fsencode(tmp_path))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (b"/srv/music", b"/srv/music"),
        (b"/srv/music/a", b"/srv/music"),
        (b"/srv", b"/srv/music"),
        (b"/", b"/srv/music"),
        (b"/srv/new albums", b"/mnt/usb/music"),
        (b"/mnt/usb/music/new/x", b"/srv/new albums"),
        (b"/srv/new albums/x", b"/mnt/usb/music/new/x/y"),
        (b"/mnt/usb", b"/srv"),
    ],
    ids=[
        "equal",
        "inside",
        "around",
        "around all",
        "bound into another",
        "another bound into it",
        "inside of a bound one",
        "a bound one lies below",
    ],
)
def test_roots_that_share_a_folder_are_found(new: bytes, old: bytes) -> None:
    assert overlap(new, {"old": old}, MOUNTS) == "old"
    assert overlap(old, {"new": new}, MOUNTS) == "new"


def test_the_root_that_is_in_the_way_is_named() -> None:
    others = {"far": b"/elsewhere", "near": b"/mnt/usb/music", "last": b"/x"}
    assert overlap(b"/srv/new albums", others, MOUNTS) == "near"


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (b"/srv/music2", b"/srv/music"),
        (b"/mnt/usb/music/old", b"/srv/new albums"),
        (b"/mnt/usb/music/newer", b"/srv/new albums"),
        (b"/net/a", b"/net/b"),
        (b"/srv/new albums/music/new", b"/mnt/usb/music/old"),
    ],
)
def test_roots_that_share_nothing_are_let_be(new: bytes, old: bytes) -> None:
    assert overlap(new, {"old": old}, MOUNTS) is None
    assert overlap(old, {"new": new}, MOUNTS) is None


def test_in_a_container_a_uuid_is_found_by_the_name_of_a_device_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_uuid, kernel = tmp_path / "by-uuid", tmp_path / "class"
    by_uuid.mkdir()
    for number, name in ((16, "sdy0"), (17, "sdy1")):
        (by_uuid / f"uuid-of-{name}").symlink_to(f"../../{name}")
        (kernel / name).mkdir(parents=True)
        (kernel / name / "dev").write_text(f"8:{number}\n")
    monkeypatch.setattr(disks, "_CLASS_BLOCK", os.fsencode(kernel))
    mount = mount_of(b"/mnt/usb", MOUNTS)
    assert mount is not None
    assert mount.device == "8:17"
    assert disks._uuid_by_device(mount, os.fsencode(by_uuid)) == "uuid-of-sdy1"
