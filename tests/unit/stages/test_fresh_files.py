from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.disk.identity import open_root
from indexer.disk.tree import Tree, mount_point_at
from indexer.evidence import TICK_NS
from indexer.stages.extract import Hold
from indexer.stages.fresh_files import FreshFiles
from tests.descriptors import descriptors_below

CTIME = 1_800_000_000_123_456_789


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"la la")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    root = os.fsencode(tmp_path)
    tree = Tree(1, "music", root, [mount_point_at(b"", open_root(root), 1, "ext4")], {})
    yield tree
    tree.close()


class Clocks:
    """The coarse clock of ctimes, and the one of the loop."""

    def __init__(self) -> None:
        self.now_ns = CTIME
        self.now = 100.0

    def files(self, *fs_types: str) -> FreshFiles:
        types = frozenset(fs_types)
        return FreshFiles(types, now_ns=lambda: self.now_ns, clock=lambda: self.now)


def held(hold: Hold | None, song: Path, times: int = 1) -> list[bool]:
    assert hold is not None
    with song.open("rb") as file:
        return [hold(file.fileno(), CTIME) for _ in range(times)]


def test_a_file_stays_open_until_the_clock_has_moved_past_its_ctime(tree: Tree, song: Path) -> None:
    clocks = Clocks()
    files = clocks.files("ext4")
    assert files.next_turn() is None
    assert held(files.holder(tree), song) == [True]
    assert files.next_turn() == 100.0 + TICK_NS / 1e9
    files.release(100.0)
    assert descriptors_below(song) == [os.fspath(song)]
    files.release(101.0)  # the coarse clock is late
    assert descriptors_below(song) == [os.fspath(song)]
    clocks.now_ns += 1
    files.release(102.0)
    assert descriptors_below(song) == []
    assert files.next_turn() is None


def test_no_file_is_held_on_a_disk_of_another_type(tree: Tree) -> None:
    assert Clocks().files("tmpfs").holder(tree) is None
    assert Clocks().files().holder(tree) is None


def test_no_file_is_held_that_lies_on_another_device_than_its_root(tree: Tree) -> None:
    hold = Clocks().files("ext4").holder(tree)
    assert held(hold, Path("/proc/self/stat")) == [False]


def test_the_number_of_files_that_are_held_is_bounded(tree: Tree, song: Path) -> None:
    files = Clocks().files("ext4")
    assert held(files.holder(tree), song, times=257) == [True] * 256 + [False]
    files.close()
    assert descriptors_below(song) == []


def test_a_long_look_lets_go_of_files_whose_tick_is_over_where_it_holds_the_most(
    tree: Tree, song: Path
) -> None:
    clocks = Clocks()
    files = clocks.files("ext4")
    hold = files.holder(tree)
    assert held(hold, song, 257) == [True] * 256 + [False]
    clocks.now_ns += 1
    clocks.now += 1
    assert held(hold, song) == [True]
    assert descriptors_below(song) == [os.fspath(song)]
    files.close()
