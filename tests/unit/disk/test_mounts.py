"""The kernel's list of mounts."""

from __future__ import annotations

from io import BytesIO

import pytest

from indexer.disk.filesystem import reports_changes
from indexer.disk.mounts import (
    Mount,
    can_hang,
    may_hang,
    mount_of,
    mounts_below,
    overlap,
    parse_mounts,
    read_mounts,
)
from indexer.paths import is_ignored

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


def test_a_file_system_is_read_only_as_a_whole_or_only_where_it_is_mounted() -> None:
    line = b"30 22 8:17 / /mnt/usb ro,noatime - ext4 /dev/sdb1 %s,errors=remount-ro\n"
    options = (b"ro", b"rw", b"rw,abort,emergency_ro")
    found = parse_mounts(b"".join(line % one for one in options))
    assert [mount.is_read_only for mount in found] == [True, False, True]


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


def test_a_list_that_has_not_changed_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def parse(text: bytes) -> list[Mount]:
        parsed.append(text)
        return parse_mounts(text)

    monkeypatch.setattr("indexer.disk.mounts.parse_mounts", parse)
    other = MOUNTINFO.replace(b"usb", b"bus")
    texts = [MOUNTINFO, other, other, MOUNTINFO]
    read = "indexer.disk.mounts.open"
    monkeypatch.setattr(read, lambda *_, **__: BytesIO(texts.pop()), raising=False)
    assert read_mounts() == MOUNTS
    read_mounts().clear()
    assert read_mounts() == parse_mounts(other)
    assert read_mounts() == MOUNTS
    assert parsed == [MOUNTINFO, other, MOUNTINFO]


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
    below = mounts_below(b"/mnt", MOUNTS)
    assert {path: mount.id for path, mount in below.items()} == {
        b"usb": 30,
        b"usb/music/tab\tline\nslash\\": 34,
        b"hidden": 36,
    }
    assert mounts_below(b"/mnt/usb/mus", MOUNTS) == {}
    assert list(mounts_below(b"/net/a", MOUNTS)) == []
    assert b"net/a" in mounts_below(b"/", MOUNTS)


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


# ---- file systems that may hang


SERVED = (
    b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    b"22 21 0:40 / /mnt/nas rw - nfs4 nas:/music rw\n"
    b"23 21 0:41 / /mnt/ssh rw - fuse.sshfs me@nas:/ rw\n"
    b"24 21 8:2 / /mnt/usb rw - ext4 /dev/sdb1 rw\n"
    b"25 24 0:42 / /mnt/usb/Music/share rw - cifs //nas/music rw\n"
    b"26 24 0:43 / /mnt/usb/home/.cache/doc rw - fuse.portal portal rw\n"
    b"27 22 8:3 / /mnt/nas/local rw - ext4 /dev/sdc1 rw\n"
    b"28 21 0:44 / /auto rw - autofs systemd-1 rw,direct\n"
    b"29 21 0:45 / /woken rw - autofs systemd-1 rw,direct\n"
    b"30 29 8:4 / /woken rw - ext4 /dev/sdd1 rw\n"
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/home/music", False),
        (b"/mnt/nas", True),
        (b"/mnt/nas/Music", True),
        (b"/mnt/nasty", False),
        (b"/mnt/ssh/a", True),
        (b"/mnt/nas/local/Music", True),  # the way to it leads through the share
        (b"/mnt/usb/Music", True),  # a share lies below it
        (b"/mnt/usb/Music/more", False),
        (b"/mnt/usb/home", False),  # what lies below it is in a hidden folder
        (b"/auto/Music", True),  # opening it waits for what mounts it
        (b"/woken/Music", False),
    ],
)
def test_a_root_may_hang_where_a_server_has_to_answer_for_any_of_it(
    path: bytes, expected: bool
) -> None:
    assert may_hang(path, parse_mounts(SERVED), is_ignored) is expected


@pytest.mark.parametrize(
    "fs_type",
    ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "lustre", "fuse", "fuseblk",
     "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.mergerfs", "ncpfs", "glusterfs"],
)  # fmt: skip
def test_a_file_system_that_may_hang_is_never_watched(fs_type: str) -> None:
    assert can_hang(fs_type)
    assert not reports_changes(fs_type)


@pytest.mark.parametrize("fs_type", ["ext4", "btrfs", "xfs", "tmpfs", "vfat", "zfs", "overlay"])
def test_a_disk_of_this_machine_is_looked_at_by_this_process(fs_type: str) -> None:
    assert not can_hang(fs_type)
