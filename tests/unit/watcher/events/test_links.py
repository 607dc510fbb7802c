"""Symbolic links that show what was hinted, in a daemon that follows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer.model import Hint
from watcher.events.links import Links

ROOT_ID = 1


class Shown:
    """The links of one root, and what they add to a hint."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.links = Links()
        self.links.find_links(os.fsencode(root), Hint(ROOT_ID, recursive=True))

    def by(self, hint: Hint) -> set[Hint]:
        """The hints that are added."""
        found = self.links.with_shown([hint], {ROOT_ID: os.fsencode(self.root)})
        assert found[0] == hint
        assert len(set(found)) == len(found)
        return set(found[1:])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("music/store/a", "music/best", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "music"


def names(folder: bytes, *wanted: bytes) -> Hint:
    return Hint(ROOT_ID, folder, wanted)


def all_of(folder: bytes) -> Hint:
    return Hint(ROOT_ID, folder, recursive=True)


def test_a_file_is_shown_by_links_to_the_folders_above_it(root: Path) -> None:
    (root / "best/a").symlink_to("../store/a")
    (root / "all").symlink_to(root / "store")
    shown = Shown(root)
    new = names(b"store/a", b"1.mp3")
    assert shown.by(new) == {names(b"best/a", b"1.mp3"), names(b"all/a", b"1.mp3")}
    assert shown.by(names(b"best", b"1.mp3")) == set()
    assert shown.by(all_of(b"")) == set()


def test_what_is_told_under_the_name_of_a_link_is_shown_by_the_folder_itself(root: Path) -> None:
    (root / "best/a").symlink_to("../store/a")
    shown = Shown(root)
    assert shown.by(names(b"best/a", b"1.mp3")) == {names(b"store/a", b"1.mp3")}


def test_a_link_to_a_file_is_looked_at_when_its_target_comes_changes_or_goes(root: Path) -> None:
    (root / "best/1.mp3").symlink_to("../store/a/1.mp3")
    shown = Shown(root)
    expected = {names(b"best", b"1.mp3"), all_of(b"best/1.mp3")}
    assert shown.by(names(b"store/a", b"1.mp3")) == expected
    assert shown.by(names(b"store", b"a")) == expected
    assert shown.by(all_of(b"store")) == expected
    assert shown.by(Hint(ROOT_ID, b"store/a")) == expected
    assert shown.by(Hint(ROOT_ID, b"store")) == set()


def test_a_link_that_comes_or_goes_is_looked_at_with_all_below_it(root: Path) -> None:
    shown = Shown(root)
    link = root / "best/a"
    hint = names(b"best", b"a")
    assert shown.by(hint) == set()
    link.symlink_to("../store/a")
    assert shown.by(hint) == {all_of(b"best/a")}
    assert shown.by(names(b"store/a", b"1.mp3")) == {names(b"best/a", b"1.mp3")}
    link.unlink()
    assert shown.links.is_link(ROOT_ID, os.fsencode(link))
    assert shown.by(hint) == {all_of(b"best/a")}
    assert not shown.links.is_link(ROOT_ID, os.fsencode(link))
    assert shown.by(names(b"store/a", b"1.mp3")) == set()


def test_loops_and_links_out_of_the_root_show_nothing(root: Path) -> None:
    (root / "store/up").symlink_to("..")
    (root / "store/a/self").symlink_to(".")
    (root / "store/a/round").symlink_to("round")
    (root / "out").symlink_to("../outside")
    shown = Shown(root)
    assert shown.by(names(b"store/a", b"1.mp3")) == set()
    assert shown.by(names(b"best", b"1.mp3")) == set()


def test_a_folder_with_links_may_move(root: Path) -> None:
    (root / "best/a").symlink_to(root / "store/a")
    shown = Shown(root)
    (root / "best").rename(root / "good")
    assert all_of(b"best/a") in shown.by(names(b"", b"best", b"good"))
    assert shown.by(names(b"store/a", b"1.mp3")) == {names(b"good/a", b"1.mp3")}


def test_a_link_that_leads_elsewhere_now_shows_what_is_there(root: Path) -> None:
    (root / "store/b").mkdir()
    link = root / "best/x"
    link.symlink_to("../store/a")
    (root / "all").symlink_to("best/x")
    shown = Shown(root)
    link.unlink()
    link.symlink_to("../store/b")
    shown.by(names(b"best", b"x"))
    both = {names(b"best/x", b"1.mp3"), names(b"all", b"1.mp3")}
    assert shown.by(names(b"store/b", b"1.mp3")) == both
    assert shown.by(names(b"store/a", b"1.mp3")) == set()


def test_links_of_a_root_that_moved_or_was_removed_are_forgotten(root: Path) -> None:
    (root / "best/a").symlink_to(root / "store/a")
    shown = Shown(root)
    old = os.fsencode(root / "best/a")
    moved = root.rename(root.with_name("moved"))
    shown.links.find_links(os.fsencode(moved), all_of(b""))
    assert not shown.links.is_link(ROOT_ID, old)
    new = os.fsencode(moved / "best/a")
    (moved / "best/a").unlink()
    assert shown.links.is_link(ROOT_ID, new)
    shown.links.keep_roots([ROOT_ID + 1])
    assert not shown.links.is_link(ROOT_ID, new)


def test_folders_that_no_walk_enters_are_not_looked_at_for_links(root: Path) -> None:
    for folder in ("best", ".nas"):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / "a").symlink_to("../store/a")
    links = Links(lambda name: not name.startswith(b"."))
    hint = names(b"store/a", b"1.mp3")
    real = {ROOT_ID: os.fsencode(root)}
    links.find_links(real[ROOT_ID], all_of(b""))
    assert links.with_shown([hint], real) == [hint, names(b"best/a", b"1.mp3")]
