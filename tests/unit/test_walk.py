from __future__ import annotations

import errno
import os
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from indexer.disk.tree import Tree
from indexer.look import look
from indexer.model import Entry, Stamp
from indexer.walk import Listed, Unlisted, Unseen, walk
from tests.stage_harness import ByHand, refuse_folder
from tests.trees import Plant, at, entries


@pytest.fixture
def tree(by_hand: ByHand) -> Tree:
    (only,) = by_hand.trees.values()
    return only


def names(found: list[Entry | Listed | Unlisted | Unseen]) -> list[bytes]:
    return [one.path for one in found if isinstance(one, Entry)]


def test_files_come_in_byte_order_of_their_whole_paths(
    plant: Plant, by_hand: ByHand, tree: Tree
) -> None:
    tree_of_names = {
        "A/1.mp3", "A/b/2.mp3", "A.mp3", "A!/3.mp3", "A0.mp3", "é.mp3", "a\nb.mp3",
    }  # fmt: skip
    plant({**dict.fromkeys(tree_of_names, b""), b"\xff.mp3": b""})
    found = names(list(entries(walk(tree, b"", by_hand.wanted))))
    assert found == sorted([*(name.encode() for name in tree_of_names), b"\xff.mp3"])


def test_each_folder_is_told_before_what_is_in_it(
    plant: Plant, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/b/1.mp3": b"", "A/empty/": None})
    told = [(type(one), one.path) for one in entries(walk(tree, b"", by_hand.wanted))]
    assert told == [
        (Listed, b""),
        (Listed, b"A"),
        (Listed, b"A/b"),
        (Entry, b"A/b/1.mp3"),
        (Listed, b"A/empty"),
    ]


def test_an_entry_has_the_stamp_and_the_disk_of_its_file(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b"la"})
    (entry,) = (one for one in entries(walk(tree, b"", by_hand.wanted)) if isinstance(one, Entry))
    stamp = Stamp.of(os.stat(at(music, "A/1.mp3")))
    assert entry == Entry(b"A/1.mp3", stamp, tree.mount_point_of(b"A/1.mp3").disk_id)
    assert look(tree, b"A/1.mp3", by_hand.wanted) == entry


def test_what_is_no_music_is_not_wanted(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    unwanted = [".1.mp3", "cover.jpg", ".hidden/1.mp3", "mp3", "1.mp3.part"]
    plant({**dict.fromkeys(unwanted, b""), "A/1.MP3": b"", "x.mp3/": None})
    (music / "link.mp3").symlink_to("A/1.MP3")
    (music / "linked").symlink_to("A")
    assert names(list(entries(walk(tree, b"", by_hand.wanted)))) == [b"A/1.MP3"]
    for name in (*unwanted, "x.mp3", "link.mp3", "linked/1.MP3", "none.mp3", "none/1.mp3"):
        assert look(tree, name.encode(), by_hand.wanted) is None


def test_a_special_file_is_told_with_what_it_is(
    music: Path, by_hand: ByHand, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(music / "a.mp3")
    monkeypatch.chdir(music)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("b.mp3")
    found = [one for one in entries(walk(tree, b"", by_hand.wanted)) if isinstance(one, Entry)]
    assert [(one.path, one.special) for one in found] == [
        (b"a.mp3", "a FIFO"), (b"b.mp3", "a socket"),
    ]  # fmt: skip
    assert [look(tree, one.path, by_hand.wanted) for one in found] == found


def test_a_folder_alone_is_listed_without_those_in_it(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b"", "A/b/2.mp3": b"", "3.mp3": b""})
    found = list(entries(walk(tree, b"A", by_hand.wanted, recursive=False)))
    assert names(found) == [b"A/1.mp3"]
    status = os.stat(at(music, "A"))
    assert found[0] == Listed(b"A", (), changed_ns=max(status.st_mtime_ns, status.st_ctime_ns))


@pytest.mark.parametrize("folder", [b"none", b".hidden", b".hidden/b", b"1.mp3", b"linked"])
def test_a_folder_that_is_none_or_not_entered_yields_nothing(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree, folder: bytes
) -> None:
    plant({".hidden/b/1.mp3": b"", "1.mp3": b"", "A/1.mp3": b""})
    (music / "linked").symlink_to("A")
    assert list(entries(walk(tree, folder, by_hand.wanted))) == []


@pytest.mark.parametrize("folder", [b"", b"A"])
def test_a_folder_that_cannot_be_listed_is_told_with_the_reason_and_the_others_go_on(
    plant: Plant, by_hand: ByHand, tree: Tree, folder: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": b"", "A/b/2.mp3": b"", "C/3.mp3": b""})
    refuse_folder(monkeypatch, b"A", errno.EIO)
    found = list(entries(walk(tree, folder, by_hand.wanted)))
    assert [one for one in found if isinstance(one, Unlisted)] == [
        Unlisted(b"A", "Input/output error (EIO)")
    ]
    assert names(found) == ([] if folder else [b"C/3.mp3"])


def test_below_an_absent_disk_nothing_is_looked_at_and_that_is_no_problem(
    plant: Plant, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b"", "B/2.mp3": b""})
    tree.offline[b"A"] = "its disk is away"
    found = list(entries(walk(tree, b"", by_hand.wanted)))
    assert found[1] == Unlisted(b"A", None)
    assert names(found) == [b"B/2.mp3"]


def test_a_file_that_vanishes_while_its_folder_is_listed_is_not_told(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"1.mp3": b"", "2.mp3": b""})
    scandir = os.scandir

    def then_delete(folder: int) -> object:
        with scandir(folder) as listing:
            entries = list(listing)
        (music / "1.mp3").unlink()
        return nullcontext(entries)

    monkeypatch.setattr(os, "scandir", then_delete)
    assert names(list(entries(walk(tree, b"", by_hand.wanted)))) == [b"2.mp3"]
