"""Roots and folders without watches, step by step: when they are looked at, and what is polled."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.disk.filesystem import Disk
from indexer.model import Hint
from indexer.store.roots import MountRow, RootRow
from tests.corpus import plant, tagged
from tests.trees import put
from tests.unit.watcher.test_daemon import Stepped, changed, fails, logged, stepped
from watcher.events.fs_event import WatchCounts
from watcher.events.watches import Watches
from watcher.roots.root import Root, RootCheck
from watcher.work.local_work import LocalWork, Looked

__all__ = ("changed", "logged", "stepped")  # fixtures


def root(*mounts: tuple[bytes, str], is_polled: bool = False) -> Root:
    rows = tuple(MountRow(folder, 1, 1, Disk(fs_type=fs_type)) for folder, fs_type in mounts)
    return Root(RootCheck(RootRow(1, "music", b"/music"), rows), is_polled)


@pytest.mark.parametrize("changed", [{"polled": ("music",)}])
def test_a_polled_root_is_looked_at_each_interval(stepped: Stepped, music: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    stepped.step()
    assert stepped.state == "polling"
    stepped.step(30)  # a folder that is so new is looked at twice
    put(music, "a.mp3", tagged(title="In place"))  # no time of a folder tells of it
    stepped.step(29)
    stepped.step(0.5)
    assert stepped.titles == {"A", "B"}
    stepped.step(0.5)
    stepped.step(1.0)
    assert stepped.titles == {"In place", "B"}


@pytest.mark.parametrize("changed", [{"polled": ("music",)}])
def test_a_new_album_in_a_polled_root_is_found_by_its_folder_before_all_files_are_looked_at(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(music, {"A/a.mp3": tagged(title="A"), "B/b.mp3": tagged(title="B")})
    stepped.step()
    asked: list[Hint] = []
    look = LocalWork.look

    def looks(work: LocalWork, hints: list[Hint], *args: Any, **kwargs: Any) -> Looked:
        asked.extend(hints)
        return look(work, hints, *args, **kwargs)

    monkeypatch.setattr(LocalWork, "look", looks)
    stepped.step(30.0)
    asked.clear()  # folders as new as these are looked at twice
    plant(music, {"A/new/n.mp3": tagged(title="N"), "B/b 2.mp3": tagged(title="B 2")})
    stepped.step(29.0)
    assert not asked
    stepped.step(1.0)
    assert stepped.titles == {"A", "B", "N", "B 2"}
    root_id = next(iter(stepped.daemon._roots)).row.id
    assert {*asked} == {
        Hint(root_id, b"A"), Hint(root_id, b"A/new", recursive=True), Hint(root_id, b"B"),
    }  # fmt: skip
    stepped.step(1.0)
    assert asked[-1] == Hint(root_id, b"", recursive=True), "and then all files, as ever"


@pytest.mark.parametrize("changed", [{"polled": ("music",), "poll_interval": 300.0}])
def test_between_two_looks_at_all_files_the_times_of_folders_are_looked_at(
    stepped: Stepped, music: Path
) -> None:
    plant(music, {"A/a.mp3": tagged(title="A")})
    stepped.step()
    assert next(iter(stepped.daemon._roots)).pass_at == stepped.now + 30.0
    plant(music, {"A/new/n.mp3": tagged(title="N")})
    stepped.step(30.0)
    assert stepped.titles == {"A", "N"}
    (music / "A" / "new" / "n.mp3").unlink()
    (music / "A" / "new").rmdir()
    stepped.step(30.0)
    assert stepped.titles == {"A"}


def test_where_all_is_watched_no_times_of_folders_are_kept(stepped: Stepped, music: Path) -> None:
    plant(music, {"A/a.mp3": tagged(title="A")})
    stepped.step()
    (root,) = stepped.daemon._roots
    assert not stepped.daemon._work.polled.knows(root.row.id)
    assert (root.pass_at, root.poll_at) == (0.0, 0.0)


def test_a_network_disk_below_a_root_is_polled_and_nothing_else_of_it() -> None:
    below = root((b"", "ext4"), (b"nas", "nfs4"), (b"usb", "vfat"))
    assert below.unwatched() == [b"nas"]
    below.armed = WatchCounts(3, {b"a": 28})
    assert below.unwatched() == [b"a", b"nas"]


def test_a_folder_that_cannot_be_watched_any_more_is_polled_from_then_on(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watches ran out after the start, or a folder above it lost its rights."""
    stepped.step()
    monkeypatch.setattr(Watches, "_watch", fails(OSError(errno.ENOSPC, "no watch left")))
    (music / "new").mkdir()
    stepped.step()
    stepped.step(2.0)
    assert stepped.told.unwatched_folders == 1
    assert stepped.told.unwatched_since_ms > 0
    plant(music, {"new/a.mp3": tagged(title="A")})
    stepped.step(30.0)
    assert stepped.shown == 0, "something else told of it"
    stepped.step(31.0)
    stepped.step(2.0)
    assert stepped.shown == 1


def test_a_folder_that_was_refused_and_can_be_listed_by_now_is_watched_again(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    """No event tells of the rights of a folder above the root; a look at everything finds out."""
    stepped.step()
    with monkeypatch.context() as patch:
        patch.setattr(Watches, "_watch", fails(OSError(errno.EACCES, "no right")))
        (music / "new").mkdir()
        stepped.step()
        assert stepped.told.unwatched_folders == 1
        for _ in range(3):
            stepped.step(10.0)
    stepped.step(25 * 3600.0)
    stepped.step(2.0)
    assert (stepped.told.watched_folders, stepped.told.unwatched_folders) == (2, 0)
    assert stepped.told.unwatched_since_ms == 0
    stepped.step(10.0)
    told = [one for one in logged() if one in {"unwatched", "watched again"}]
    assert told == ["unwatched", "watched again"]


def test_of_a_polled_root_all_is_polled() -> None:
    assert root((b"", "ext4"), (b"usb", "ext4"), is_polled=True).unwatched() == [b""]


def test_a_file_is_on_the_disk_that_is_mounted_nearest_above_it() -> None:
    nested = root((b"", "ext4"), (b"a", "vfat"), (b"a/b", "nfs"))
    types = {path: nested.fs_type_of(path) for path in (b"x", b"a/x", b"a/b/x", b"ab")}
    assert types == {b"x": "ext4", b"a/x": "vfat", b"a/b/x": "nfs", b"ab": "ext4"}
