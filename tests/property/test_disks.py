"""Look-ups through mounts, compared with a naive implementation."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from indexer.disk.filesystem import Disk, same_disk, same_inodes
from indexer.disk.mounts import Mount, mount_of, mounts_below, overlap, parse_mounts

places = st.lists(st.sampled_from([b"a", b"b", b"ab"]), max_size=3).map(
    lambda names: b"/" + b"/".join(names)
)
odd_names = st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name)


def holds(folder: bytes, path: bytes) -> bool:
    return folder in {b"/", path} or path.startswith(folder + b"/")


@st.composite
def mounted(draw: st.DrawFn) -> list[Mount]:
    """The kernel's list after these mounts, oldest first."""
    made: list[Mount] = []
    for number, point in enumerate([b"/", *draw(st.lists(places, max_size=6))], 10):
        parent = mount_of(point, made)
        made.append(
            Mount(
                id=number,
                parent=parent.id if parent else 1,
                device=f"8:{draw(st.integers(0, 2))}",
                fs_root=draw(places),
                point=point,
                fs_type="ext4",
                source="/dev/sda",
            )
        )
    return made


@given(mounted(), places, st.randoms())
def test_the_newest_mount_on_the_way_is_found_in_whatever_order_they_are_listed(
    mounts: list[Mount], path: bytes, random: Random
) -> None:
    newest = [mount for mount in mounts if holds(mount.point, path)][-1]
    shuffled = sorted(mounts, key=lambda _: random.random())
    assert mount_of(path, shuffled) == newest


@given(mounted(), places)
def test_what_is_found_below_a_root_is_what_a_look_up_there_finds(
    mounts: list[Mount], root: bytes
) -> None:
    below = mounts_below(root, mounts)
    points = {mount.point for mount in mounts if holds(root, mount.point)} - {root}
    for point in points:
        relative = point[len(root.rstrip(b"/")) + 1 :]
        seen = mount_of(point, mounts)
        assert below.get(relative) == (seen if seen and seen.point == point else None)
    assert len(below) <= len(points)


@given(mounted(), places, places)
def test_overlap_does_not_depend_on_which_root_was_first(
    mounts: list[Mount], one: bytes, other: bytes
) -> None:
    assert (overlap(one, {"x": other}, mounts) is None) == (
        overlap(other, {"x": one}, mounts) is None
    )
    assert overlap(one, {"x": one}, mounts) == "x"


@given(odd_names, odd_names)
def test_any_name_survives_the_escapes_of_mountinfo(point: bytes, source: bytes) -> None:
    def escaped(name: bytes) -> bytes:
        return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in name)

    line = b"9 1 8:1 / %s rw - ext4 %s rw\n" % (escaped(point), escaped(source))
    (mount,) = parse_mounts(line)
    assert mount.point == point
    assert mount.source == source.decode("utf-8", "backslashreplace")


marks = st.sampled_from(["", "1", "2"])
types = st.sampled_from(["ext4", "btrfs", "zfs", "nfs4"])
any_disk = st.builds(Disk, uuid=marks, fsid=marks, fs_type=types, source=marks)


@given(any_disk, any_disk)
def test_sameness_has_no_direction_and_every_disk_is_itself(one: Disk, other: Disk) -> None:
    assert same_disk(one, one)
    assert same_disk(one, other) == same_disk(other, one)


@given(any_disk, any_disk)
def test_disks_of_different_uuid_are_never_the_same(one: Disk, other: Disk) -> None:
    if one.uuid and other.uuid and one.uuid != other.uuid:
        assert not same_disk(one, other)


@given(any_disk, any_disk, any_disk)
def test_the_disks_in_which_an_inode_is_one_file_are_the_same_disk(
    one: Disk, other: Disk, third: Disk
) -> None:
    assert same_inodes(one, one)
    assert same_inodes(one, other) == same_inodes(other, one)
    if same_inodes(one, other):
        assert same_disk(one, other)
    if one.fs_type == "btrfs" and same_inodes(one, other) and same_inodes(other, third):
        assert one.fsid == third.fsid
