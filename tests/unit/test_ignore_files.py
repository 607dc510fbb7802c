"""An ignore file on the disk is parsed once per stamp, and applied when it changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer import ignore_files
from indexer.disk.identity import open_root
from indexer.disk.tree import Tree, mount_point_at
from indexer.evidence import coarse_now_ns
from indexer.ignore.gitignore import MOST_BYTES, Patterns
from indexer.ignore.path_filter import PathFilter
from indexer.look import look
from indexer.model import Stamp
from indexer.walk import Unseen, walk
from tests.trees import Plant

WANTED = PathFilter(frozenset({b".mp3"}))
MakeTree = Callable[[str], Tree]
LATER_NS = 10_000_000_000


@pytest.fixture
def make_tree(music: Path) -> Iterator[MakeTree]:
    """The music on a file system of the given type."""
    made: list[Tree] = []

    def make(fs_type: str) -> Tree:
        path = os.fsencode(music)
        made.append(Tree(1, "music", path, [mount_point_at(b"", open_root(path), 1, fs_type)], {}))
        return made[-1]

    yield make
    for tree in made:
        tree.close()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The parsed texts, in order; the cache is empty at first."""
    texts: list[bytes] = []

    def parse(text: bytes) -> Patterns:
        texts.append(text)
        return Patterns(text)

    monkeypatch.setattr(ignore_files, "Patterns", parse)
    monkeypatch.setattr(ignore_files, "_memory", ignore_files._Memory())
    return texts


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time so long after every change that the next one changes the stamp."""
    now_ns = coarse_now_ns()
    monkeypatch.setattr(ignore_files, "coarse_now_ns", lambda: now_ns + LATER_NS)


@pytest.mark.usefixtures("later")
def test_an_ignore_file_of_many_lines_is_parsed_once_for_all_files_that_are_gone(
    make_tree: MakeTree, plant: Plant, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"".join(b"%d?.flac\n" % number for number in range(2000))
    plant({".indexignore": text, "A/.indexignore": b"x*\n", "A/B/": None})
    tree = make_tree("ext4")
    reads: list[int] = []
    read = os.read

    def count_reads(fd: int, length: int) -> bytes:
        reads.append(fd)
        return read(fd, length)

    monkeypatch.setattr(os, "read", count_reads)
    for number in range(100):
        assert look(tree, b"A/B/%d.mp3" % number, WANTED) is None
    assert parsed == [text, b"x*\n"]
    assert len(reads) == 4  # of each its text, and its end


@pytest.mark.usefixtures("later")
def test_a_changed_ignore_file_is_obeyed_at_once(
    make_tree: MakeTree, plant: Plant, music: Path, parsed: list[bytes]
) -> None:
    plant({".indexignore": b"1.mp3\n", "1.mp3": b"", "2.mp3": b""})
    tree = make_tree("ext4")
    for path_filter in (2, 1, 2):
        (music / ".indexignore").write_bytes(b"%d.mp3\n" % (3 - path_filter))
        os.utime(music / ".indexignore", ns=(1, 1))
        assert look(tree, b"%d.mp3" % path_filter, WANTED) is not None
        assert look(tree, b"%d.mp3" % (3 - path_filter), WANTED) is None
    assert len(parsed) == 3
    os.replace(music / "2.mp3", music / ".indexignore")
    assert look(tree, b"1.mp3", WANTED) is not None


@pytest.mark.parametrize("fs_type", ["ext4", "ext3", "vfat", "cifs", "fuse"])
def test_a_text_that_its_stamp_may_not_tell_of_is_compared_and_not_parsed_again(
    make_tree: MakeTree,
    plant: Plant,
    music: Path,
    parsed: list[bytes],
    fs_type: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant({".indexignore": b"1.mp3\n", "1.mp3": b"", "2.mp3": b""})
    tree = make_tree(fs_type)
    monkeypatch.setattr(  # all that is written carries the same stamp
        ignore_files,
        "Stamp",
        type("Same", (), {"of": staticmethod(lambda _: Stamp.of(os.stat("/")))}),
    )
    now_ns = os.stat(music / ".indexignore").st_ctime_ns
    monkeypatch.setattr(ignore_files, "coarse_now_ns", lambda: now_ns)
    for _ in range(5):
        assert look(tree, b"1.mp3", WANTED) is None
    assert len(parsed) == 1
    with open(music / ".indexignore", "r+b") as file:
        file.write(b"2")
    assert look(tree, b"1.mp3", WANTED) is not None
    assert look(tree, b"2.mp3", WANTED) is None
    assert len(parsed) == 2


@pytest.mark.usefixtures("later")
def test_what_is_kept_of_ignore_files_is_bounded(
    make_tree: MakeTree, plant: Plant, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ignore_files, "_MOST_KEPT_BYTES", 1 << 20)
    many = b"".join(b"song number %d.mp3\n" % number for number in range(3000))
    plant({f"{folder}/.indexignore": many + b"*%d*?\n" % folder for folder in range(20)})
    tree = make_tree("ext4")
    memory = ignore_files._memory
    for folder in range(20):
        for _ in range(2):
            assert look(tree, b"%d/1.mp3" % folder, WANTED) is None
        kept = [len(known.text) + known.patterns.most_bytes for known in memory._files.values()]
        assert memory._bytes_held == sum(kept)
        assert 0 < sum(kept) <= 1 << 20
    assert len(parsed) == 20


def test_ignore_files_that_are_too_much_together_are_told_where_they_are(
    make_tree: MakeTree, plant: Plant
) -> None:
    half = b"# " + b"x" * (MOST_BYTES * 2 // 3) + b"\n"
    plant({".indexignore": half, "A/.indexignore": half + b"1.mp3\n", "A/1.mp3": b""})
    plant({"B/.indexignore": b"1.mp3\n", "B/1.mp3": b""})
    found = [item for item in walk(make_tree("ext4"), b"", WANTED) if isinstance(item, Unseen)]
    assert [item.path for item in found] == [b"A/.indexignore"]
    assert found[0].problem.reason is not None
    assert found[0].problem.reason.startswith("line 1: ")
    assert look(make_tree("ext4"), b"A/1.mp3", WANTED) is not None
    assert look(make_tree("ext4"), b"B/1.mp3", WANTED) is None


def test_ignore_files_in_too_many_folders_are_told_where_they_are(
    make_tree: MakeTree, plant: Plant
) -> None:
    deep = "a/" * 70
    plant({f"{deep[: 2 * depth]}.indexignore": b"%d\n" % depth for depth in range(70)})
    found = [item for item in walk(make_tree("ext4"), b"", WANTED) if isinstance(item, Unseen)]
    assert [item.path.count(b"/") for item in found] == [64, 65, 66, 67, 68, 69]
