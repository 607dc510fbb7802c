"""A share answers what a tree of the same folder answers, though nothing of it is open here."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from indexer import errors
from indexer.disk.filesystem import Disk
from indexer.disk.mounts import read_mounts
from indexer.disk.tree import Tree
from indexer.ignore.path_filter import PathFilter
from indexer.look import look, names_in, unseen
from indexer.roots.acceptance import accept_disks
from indexer.roots.opening import open_tree
from indexer.roots.share_tree import Share, open_share
from indexer.shares.helper_client import HELPER
from indexer.shares.registry import shares
from indexer.store import roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow
from indexer.walk import walk
from tests.programs import AT_MOST_S
from tests.trees import Plant

WANTED = PathFilter(frozenset({b".mp3"}))
TREE: dict[str | bytes, bytes | None] = {
    "1.mp3": b"one",
    "A/2.mp3": b"two",
    "A/deep/er/3.mp3": b"three",
    "A/.indexignore": b"no*\n[",
    "A/no.mp3": b"",
    "B/.nomedia": b"",
    "B/4.mp3": b"",
    b"\xff/5.mp3": b"five",
    "empty/": None,
    "note.txt": b"",
}


@pytest.fixture
def root(connection: Connection, music: Path, plant: Plant) -> RootRow:
    plant(TREE)
    with write_transaction(connection):
        made = roots.add(connection, "music", os.fsencode(music), now_ms=1)
        accept_disks(connection, made)
    return made


Both = Callable[..., tuple[Tree, Share]]


@pytest.fixture
def both(root: RootRow, connection: Connection) -> Iterator[Both]:
    """`both(follow_links=True)` -> the root as a tree and as a share."""
    opened: list[Tree] = []

    def make(*, follow_links: bool = False) -> tuple[Tree, Share]:
        known = roots.mounts(connection, root.id)
        tree = open_tree(root, known, read_mounts(), follow_links=follow_links)
        share = open_share(
            root,
            known,
            read_mounts(),
            follow_links=follow_links,
            number_of=lambda disk: 77 if disk.fs_type else 78,
        )
        opened.extend((tree, share))
        return tree, share

    yield make
    for tree in opened:
        tree.close()
    shares.close()


def test_a_share_has_the_disks_of_its_tree_and_nothing_open(both: Both) -> None:
    tree, share = both()
    (spot,), (same,) = tree.mount_points, share.mount_points
    assert (spot.disk_id, spot.device, spot.fields) == (same.disk_id, same.device, same.fields)
    assert same.fd == -1
    assert share.may_hang
    assert not tree.may_hang


@pytest.mark.parametrize("follow_links", [False, True])
def test_a_walk_of_a_share_finds_what_a_walk_of_its_tree_finds(
    follow_links: bool,
    both: Both,
    music: Path,
) -> None:
    (music / "A/link").symlink_to("deep")
    (music / "to a file.mp3").symlink_to("1.mp3")
    (music / "out.mp3").symlink_to("/etc/hostname")
    tree, share = both(follow_links=follow_links)
    path_filter = PathFilter(frozenset({b".mp3"}), follow_links=follow_links)
    assert list(walk(share, b"", path_filter)) == list(walk(tree, b"", path_filter))
    assert list(walk(share, b"A", path_filter, recursive=False)) == list(
        walk(tree, b"A", path_filter, recursive=False)
    )
    assert list(walk(share, b"gone", path_filter)) == []


@pytest.mark.parametrize(
    "path",
    [b"1.mp3", b"A/2.mp3", b"A/no.mp3", b"B/4.mp3", b"\xff/5.mp3", b"gone.mp3", b"A", b"1.mp3/x"],
)
def test_a_look_at_one_path_of_a_share_tells_what_one_of_its_tree_tells(
    path: bytes, both: Both
) -> None:
    tree, share = both()
    assert look(share, path, WANTED) == look(tree, path, WANTED)
    assert share.lists(path) == tree.lists(path)
    assert share.is_offline(path) == tree.is_offline(path)
    assert unseen(share, path) == unseen(tree, path)
    assert names_in(share, b"A") == names_in(tree, b"A")
    status, same = tree.lstat(path), share.lstat(path)
    assert (status is None) == (same is None)
    if status is not None and same is not None:
        assert same == status
        assert same.st_ctime_ns == status.st_ctime_ns
        assert share.disk_id_of(path, same) == tree.disk_id_of(path, status)


def test_many_files_are_looked_at_in_one_go_as_they_are_then(both: Both, music: Path) -> None:
    _, share = both()
    with share.folders([b"1.mp3", b"A/2.mp3", b"gone.mp3", b"x" * 300]) as folders:
        (music / "1.mp3").write_bytes(b"longer")
        first, other = folders.lstat(b"1.mp3"), folders.lstat(b"A/deep/er/3.mp3")
        assert first is not None
        assert first.st_size == 3
        assert other is not None
        assert other.st_size == 5
        assert folders.lstat(b"gone.mp3") is None
        with pytest.raises(OSError, match="File name too long"):
            folders.lstat(b"x" * 300)


def test_walks_of_one_share_may_be_interleaved_and_left(both: Both, plant: Plant) -> None:
    plant({f"many/{n}/{n}.mp3": b"" for n in range(200)})
    tree, share = both()
    one, other = walk(share, b"", WANTED), walk(share, b"many", WANTED)
    for _ in range(3):
        next(one)
        next(other)
    assert share.lstat(b"1.mp3") is not None
    del one
    assert len(list(other)) == len(list(walk(tree, b"many", WANTED))) - 3
    partly = walk(share, b"", WANTED)
    next(partly)
    del partly
    assert share.lstat(b"1.mp3") is not None


def test_the_disk_of_a_subvolume_gets_its_number_from_the_index(both: Both) -> None:
    _, share = both()
    assert share.disk_id_beyond(b"A/2.mp3", device=12345) == 77


def test_a_share_whose_helper_stands_still_is_silent_and_stays_so(
    both: Both, root: RootRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, share = both()
    monkeypatch.setattr(shares, "patience_s", 0.3)
    found = walk(share, b"", WANTED)
    os.kill(shares.helper_of(root.path).process.pid, signal.SIGSTOP)
    with pytest.raises(errors.RootSilent, match="does not answer") as raised:
        next(found)
    assert raised.value.root_id == root.id
    for ask in (
        lambda: share.lstat(b"1.mp3"),
        lambda: share.lists(b"1.mp3"),
        lambda: share.folders([b"a"]),
    ):
        with pytest.raises(errors.RootSilent):
            ask()


def test_another_disk_in_the_place_of_a_share_is_told_as_of_any_root(
    connection: Connection, root: RootRow
) -> None:
    with write_transaction(connection):
        roots.delete_mounts(connection, root.id)
        roots.accept(connection, root.id, b"", Disk(uuid="other", fs_type="ext4"), inode=1)
    with (
        pytest.raises(errors.OtherDisk, match="not one row was changed"),
        closing(open_share(root, roots.mounts(connection, root.id), read_mounts())),
    ):
        pass


def test_a_share_lets_its_disk_go_when_it_is_closed(both: Both, root: RootRow) -> None:
    _, share = both()
    helper = shares.helper_of(root.path).process.pid

    def opened() -> list[str]:
        found = []
        for link in Path(f"/proc/{helper}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.append(os.readlink(link))
        return found

    assert os.fsdecode(root.path) in opened()
    share.close()
    assert os.fsdecode(root.path) not in opened()


def test_a_helper_whose_parent_is_killed_ends_without_a_word() -> None:
    """An answer that was not read resets the connection."""
    ours, its = socket.socketpair()
    with subprocess.Popen(
        [*HELPER, str(os.getpid()), str(its.fileno())],
        pass_fds=[its.fileno()],
        stderr=subprocess.PIPE,
    ) as helper:
        its.close()
        assert select.select([ours], [], [], AT_MOST_S)[0]
        ours.close()
        _, told = helper.communicate(timeout=AT_MOST_S)
    assert (helper.returncode, told) == (0, b"")
