from __future__ import annotations

import errno
import gc
import os
import stat
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.events.folders import Folders
from watcher.events.fs_event import FsEvent, FsEventKind, WatchFault, WatchFaultKind, remedy
from watcher.events.inbox import Inbox, merged
from watcher.events.watches import WatchedRoot, Watches

OVERFLOW = WatchFault(1, WatchFaultKind.OVERFLOW, "full")


class Bell:
    """Counts the wake-ups."""

    rung = 0

    def ring(self) -> None:
        self.rung += 1


# Folders


def test_a_cut_folder_takes_all_below_it_along_and_nothing_beside_it() -> None:
    folders = Folders()
    for watch, folder in enumerate((b"", b"a", b"a/b", b"a/b/c", b"ab", b"b/a")):
        folders.put(folder, watch)
    assert sorted(folders.cut(b"a")) == [1, 2, 3]
    assert set(folders) == {b"", b"ab", b"b/a"}
    assert folders.folder_of(2) is None


def test_a_forgotten_folder_leaves_those_below_it() -> None:
    folders = Folders()
    folders.put(b"a", 1)
    folders.put(b"a/b", 2)
    folders.forget(1)
    assert list(folders) == [b"a/b"]
    assert folders.cut(b"a") == [2]


def test_a_folder_that_is_here_already_is_refused() -> None:
    folders = Folders()
    folders.put(b"a", 1)
    for folder, watch in ((b"a", 2), (b"b", 1)):
        with pytest.raises(ValueError, match="already"):
            folders.put(folder, watch)


NAMES = st.sampled_from([b"a", b"b", b"ab"])
FOLDERS = st.lists(NAMES, max_size=3).map(b"/".join)


STEPS = st.lists(st.tuples(st.sampled_from(["put", "cut", "forget"]), FOLDERS), max_size=30)


@given(STEPS, st.sampled_from([(2, 1), (64, 1000)]))
def test_the_tree_of_folders_is_a_table(
    steps: list[tuple[str, bytes]], sizes: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("watcher.events.folders._LEAST_SLOTS", sizes[0])
        patch.setattr("watcher.events.folders._FEW", sizes[1])
        _compare_with_a_table(Folders(), steps)


def _compare_with_a_table(folders: Folders, steps: list[tuple[str, bytes]]) -> None:
    table: dict[bytes, int] = {}
    for watch, (step, folder) in enumerate(steps):
        if step == "put" and folder not in table:
            folders.put(folder, watch)
            table[folder] = watch
        elif step == "cut":
            inside = {one for one in table if not folder or (one + b"/").startswith(folder + b"/")}
            assert sorted(folders.cut(folder)) == sorted(table.pop(one) for one in inside)
        elif step == "forget":
            folders.forget(table.pop(folder, -1))
        assert set(folders) == set(table)
        assert len(folders) == len(table)
        assert all(folders.folder_of(number) == one for one, number in table.items())
    folders.cut(b"")
    assert not [*folders._children(0)], "a step that leads nowhere was kept"


def test_no_folder_has_the_number_of_an_overflow() -> None:
    folders = Folders()
    folders.put(b"a/b", 1)
    folders.forget(-1)
    assert folders.folder_of(-1) is None
    assert set(folders) == {b"a/b"}


def test_a_folder_may_lie_as_deep_as_a_path_is_long() -> None:
    folders = Folders()
    deep = b"/".join([b"d"] * 2000)
    folders.put(deep, 1)
    assert folders.folder_of(1) == deep


def test_folders_that_came_and_went_take_no_room() -> None:
    folders = Folders()
    for watch in range(5000):
        folders.put(b"a/%d" % watch, watch)
        if watch % 2:
            folders.forget(watch)
        else:
            folders.cut(b"a")
    assert len(folders) == 0
    assert max(map(len, (folders._parents, folders._by_name, folders._names))) < 20_000


def test_descriptors_that_were_counted_on_for_long_are_found_as_fast() -> None:
    folders = Folders()
    for watch in range(20_000):
        folders.put(b"%d" % watch, watch)
    slots = len(folders._by_watch)
    began = time.process_time()
    for watch in range(slots, slots + 2000):  # the kernel counts up, also for folders that leave
        folders.put(b"new/%d" % watch, watch)
        assert folders.folder_of(watch) == b"new/%d" % watch
    assert time.process_time() - began < 1  # 0.02 s; past all the others it was 7 s


def test_a_folder_takes_100_bytes_at_the_most() -> None:
    gc.collect()
    tracemalloc.start()
    folders = Folders()
    for watch in range(10_000):
        folders.put(b"The artist %d/The album %d" % (watch // 4, watch), watch)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(folders) == 10_000
    assert taken < 100 * 10_000


# Merging


@pytest.mark.parametrize(
    ("first", "then", "word"),
    [
        (FsEventKind.CREATED, FsEventKind.CLOSED, FsEventKind.CLOSED),
        (FsEventKind.CLOSED, FsEventKind.WRITING, FsEventKind.WRITING),
        (FsEventKind.CLOSED, FsEventKind.ATTRIBUTES, FsEventKind.CLOSED),
        (FsEventKind.WRITING, FsEventKind.ATTRIBUTES, FsEventKind.WRITING),
        (FsEventKind.ATTRIBUTES, FsEventKind.WRITING, FsEventKind.WRITING),
        (FsEventKind.MOVED_IN, FsEventKind.GONE, FsEventKind.GONE),
        (FsEventKind.GONE, FsEventKind.MOVED_IN, FsEventKind.MOVED_IN),
        (FsEventKind.FOLDER_CAME, FsEventKind.ATTRIBUTES, FsEventKind.FOLDER_CAME),
        (FsEventKind.FOLDER_WENT, FsEventKind.FOLDER_CAME, FsEventKind.FOLDER_CAME),
    ],
)
def test_the_later_word_counts_unless_it_is_attributes(
    first: FsEventKind, then: FsEventKind, word: FsEventKind
) -> None:
    assert merged(merged(None, first), then) is word


def test_a_name_seen_often_is_one_sighting() -> None:
    inbox = Inbox(Bell().ring, most=10)
    for kind in (*[FsEventKind.WRITING] * 100, FsEventKind.CLOSED):
        inbox.sight(1, b"a", b"x.mp3", kind)
    inbox.sight(2, b"a", b"x.mp3", FsEventKind.GONE)
    assert inbox.drain().events == (
        FsEvent(1, b"a", b"x.mp3", FsEventKind.CLOSED),
        FsEvent(2, b"a", b"x.mp3", FsEventKind.GONE),
    )
    assert inbox.drain().events == ()


def test_of_a_file_that_was_created_and_closed_both_are_told() -> None:
    inbox = Inbox(Bell().ring, most=10)
    seen = {
        b"new.mp3": (FsEventKind.CREATED, FsEventKind.WRITING, FsEventKind.CLOSED),
        b"open.mp3": (FsEventKind.CREATED, FsEventKind.WRITING),
        b"put there.mp3": (FsEventKind.CREATED, FsEventKind.GONE, FsEventKind.MOVED_IN),
        b"and written.mp3": (FsEventKind.CREATED, FsEventKind.MOVED_IN, FsEventKind.CLOSED),
    }
    for name, kinds in seen.items():
        for kind in kinds:
            inbox.sight(1, b"", name, kind)
    assert [(event.name, event.kind) for event in inbox.drain().events] == [
        (b"new.mp3", FsEventKind.CREATED),
        (b"new.mp3", FsEventKind.CLOSED),
        (b"open.mp3", FsEventKind.WRITING),
        (b"put there.mp3", FsEventKind.MOVED_IN),
        (b"and written.mp3", FsEventKind.CLOSED),
    ]
    inbox.sight(1, b"", b"new.mp3", FsEventKind.CLOSED)
    assert len(inbox.drain().events) == 1


def test_of_a_file_that_came_from_outside_it_is_told_that_it_is_new() -> None:
    inbox = Inbox(Bell().ring, most=10)
    came = (FsEventKind.CREATED, FsEventKind.MOVED_IN)
    inbox.sight_arrival(1, b"", b"came.mp3")
    assert tuple(event.kind for event in inbox.drain().events) == came
    inbox.sight_arrival(1, b"", b"came.mp3")
    inbox.sight(1, b"", b"came.mp3", FsEventKind.GONE)
    assert [event.kind for event in inbox.drain().events] == [FsEventKind.GONE]


@pytest.mark.parametrize(
    ("newer", "kind"),
    [
        (None, FsEventKind.GONE),
        (FsEventKind.ATTRIBUTES, FsEventKind.GONE),
        (FsEventKind.CLOSED, FsEventKind.CLOSED),
    ],
)
def test_a_departure_that_is_put_in_late_takes_no_newer_event_away(
    newer: FsEventKind | None, kind: FsEventKind
) -> None:
    inbox = Inbox(Bell().ring, most=10)
    if newer is not None:
        inbox.sight(1, b"", b"x.mp3", newer)
    inbox.sight_departure(1, b"", b"x.mp3", FsEventKind.GONE)
    assert inbox.drain().events == (FsEvent(1, b"", b"x.mp3", kind),)


def test_a_file_of_no_interest_that_began_is_told_until_the_next_event_of_its_folder() -> None:
    bell = Bell()
    inbox = Inbox(bell.ring, most=10)
    for folder in (b"a", b"b"):
        inbox.sight_beginning(1, folder)
    inbox.sight(1, b"a", b"x.mp3", FsEventKind.MOVED_IN)  # it may have been the temporary file
    assert bell.rung == 0
    assert inbox.drain().begun == ((1, b"b"),)
    inbox.sight(1, b"a", b"x.mp3", FsEventKind.MOVED_IN)
    inbox.sight_beginning(1, b"a")
    inbox.sight_beginning(2, b"a")
    inbox.forget(2)
    assert inbox.drain().begun == ((1, b"a"),)
    assert inbox.drain().begun == ()


def test_files_of_no_interest_are_told_of_a_bounded_number_of_folders() -> None:
    inbox = Inbox(Bell().ring, most=10)
    for number in range(1000):
        inbox.sight_beginning(1, b"%d" % number)
    assert len(inbox.drain().begun) == 256


def test_the_loop_is_woken_once_until_it_drains() -> None:
    bell = Bell()
    inbox = Inbox(bell.ring, most=10)
    inbox.wake_loop()
    assert bell.rung == 0
    for name in (b"x", b"y"):
        inbox.sight(1, b"", name, FsEventKind.CLOSED)
        inbox.wake_loop()
    inbox.report_fault(OVERFLOW)
    assert bell.rung == 1
    inbox.drain()
    inbox.wake_loop()
    assert bell.rung == 1
    inbox.report_fault(OVERFLOW)
    assert bell.rung == 2


def test_files_that_are_moved_in_cost_a_stuck_loop_no_memory() -> None:
    inbox = Inbox(Bell().ring, most=3)
    for number in range(9):
        inbox.sight_arrival(1, b"a", b"%d.mp3" % number)
    assert not inbox._created
    assert inbox.drain().events == (FsEvent(1, b"", None, FsEventKind.FOLDER_CAME),)


def test_more_names_than_may_wait_are_one_look_at_the_whole_root() -> None:
    inbox = Inbox(Bell().ring, most=3)
    inbox.sight(2, b"", b"x", FsEventKind.CLOSED)
    for number in range(1000):
        inbox.sight(1, b"a", b"%d" % number, FsEventKind.CLOSED)
        assert len(inbox._found[1]) <= 3
    assert inbox.drain().events == (
        FsEvent(2, b"", b"x", FsEventKind.CLOSED),
        FsEvent(1, b"", None, FsEventKind.FOLDER_CAME),
    )


def test_a_watch_fault_is_reported_once_a_kind_and_with_its_first_words() -> None:
    inbox = Inbox(Bell().ring, most=3)
    later = WatchFault(1, WatchFaultKind.OVERFLOW, "again")
    other = WatchFault(1, WatchFaultKind.ROOT_LEFT, "/music")
    for fault in (OVERFLOW, later, other):
        inbox.report_fault(fault)
    assert inbox.drain().faults == (OVERFLOW, other)


def test_a_root_that_is_forgotten_leaves_the_others_alone() -> None:
    inbox = Inbox(Bell().ring, most=3)
    for root_id in (1, 2):
        inbox.sight(root_id, b"", b"x", FsEventKind.CLOSED)
        inbox.report_fault(WatchFault(root_id, WatchFaultKind.OVERFLOW, "full"))
    inbox.forget(1)
    drained = inbox.drain()
    assert [event.root_id for event in drained.events] == [2]
    assert [fault.root_id for fault in drained.faults] == [2]


# Failing watches


def watches_of(root: Path, add: Callable[[bytes], int]) -> Watches:
    place = WatchedRoot(1, os.fsencode(root), lambda _folder: True, lambda _folder, _name: True)
    return Watches(place, add, lambda _watch: None, lambda: True)


def refusing(error: int, refused: set[bytes]) -> Callable[[bytes], int]:
    """A kernel that refuses a watch for some paths, and for missing ones."""

    def add(path: bytes) -> int:
        if any(path.endswith(one) for one in refused):
            raise OSError(error, os.strerror(error))
        return os.stat(path).st_ino

    return add


def test_where_watches_run_out_each_folder_without_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    watches = watches_of(tmp_path, refusing(errno.ENOSPC, {b"/a", b"/c"}))
    assert watches.arm(b"")
    assert watches.folders() == {b"", b"a/b"}
    assert watches.armed().unwatched == {b"a": errno.ENOSPC, b"a/b/c": errno.ENOSPC}


def test_a_folder_that_vanishes_meanwhile_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    watches = watches_of(tmp_path, refusing(errno.ENOENT, {b"/a"}))
    assert watches.arm(b"")
    assert not watches.arm(b"a")
    assert watches.armed().unwatched == {}


def test_a_folder_that_cannot_be_listed_is_missed_though_it_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_folder: int) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "a").mkdir()
    watches = watches_of(tmp_path, len)
    monkeypatch.setattr("watcher.events.watches.os.scandir", failing)
    assert watches.arm(b"a")
    assert watches.armed().unwatched == {b"a": errno.EIO}


def test_a_folder_is_watched_however_long_its_path_is(tmp_path: Path) -> None:
    name = b"x" * 250
    inner = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=inner)
        outer, inner = inner, os.open(name, os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    inode = os.fstat(inner).st_ino
    os.close(inner)
    watches = watches_of(tmp_path, lambda path: os.stat(path).st_ino)
    assert watches.arm(b"")
    assert watches.folder_of(inode) == b"/".join([name] * 20)


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_no_folder_is_watched_or_listed_through_a_link_that_came_meanwhile(
    tmp_path: Path, link: str
) -> None:
    """It was a folder when its parent was listed."""
    (tmp_path / "root/a/b/c/d").mkdir(parents=True)
    (tmp_path / "outside/b/c/d").mkdir(parents=True)
    outside = {path.stat().st_ino for path in (tmp_path / "outside").rglob("*")}
    added: set[int] = set()

    def add(path: bytes) -> int:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        added.add(status.st_ino)
        return status.st_ino

    watches = watches_of(tmp_path / "root", add)
    place = tmp_path / "root" / link
    place.rename(tmp_path / "away")
    place.symlink_to(tmp_path / "outside" / link.removeprefix("a").removeprefix("/"))
    assert not watches.arm(b"a/b/c/d")
    assert not watches.arm(b"a/b/c")
    assert watches.arm(b"")
    assert not added & outside
    assert b"a/b/c" not in watches.folders()


def test_what_was_missed_is_no_more_when_it_is_watched_or_gone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    refused = {b"/a", b"/b"}
    watches = watches_of(tmp_path, refusing(errno.EACCES, refused))
    watches.arm(b"")
    assert set(watches.armed().unwatched) == {b"a", b"b"}
    refused.clear()
    watches.arm(b"a")
    watches.drop(b"b")
    assert watches.armed().unwatched == {}


def test_rights_of_a_folder_are_those_of_all_that_was_refused_below_it(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/d/e", "ab", "f"):
        (tmp_path / name).mkdir(parents=True)
    watches = watches_of(tmp_path, refusing(errno.EACCES, {b"/b", b"/e", b"/ab"}))
    watches.arm(b"")
    watches.arm(b"a/b/c")
    assert watches.missed_at(b"a") == [b"a/b", b"a/d/e"]
    assert watches.missed_at(b"") == [b"a/b", b"a/d/e", b"ab"]
    assert watches.missed_at(b"a/d/e") == [b"a/d/e"]
    assert watches.missed_at(b"f") == []


def test_rights_bring_no_watches_where_there_were_none_to_be_had(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    watches = watches_of(tmp_path, refusing(errno.ENOSPC, {b"/a", b"/b"}))
    watches.arm(b"")
    assert watches.missed_at(b"") == []
    assert watches.missed_at(b"a") == [b"a"]


def test_a_watch_that_is_taken_away_while_it_is_added_is_added_again(tmp_path: Path) -> None:
    """A folder moved: the loop adds it at its new path, while the thread drops the old watch."""
    (tmp_path / "old").mkdir()
    kernel: dict[int, int] = {}

    def add(path: bytes) -> int:
        inode = os.stat(path).st_ino
        watch = kernel.setdefault(inode, 1 + max(kernel.values(), default=0))
        if path.endswith(b"/new") and not dropped:
            dropped.append(watch)
            watches.drop(b"old")
        return watch

    def remove(watch: int) -> None:
        (inode,) = (inode for inode, number in kernel.items() if number == watch)
        del kernel[inode]
        kernel[-inode] = watch  # a number is not used twice

    dropped: list[int] = []
    place = WatchedRoot(1, os.fsencode(tmp_path), lambda _folder: True, lambda _folder, _name: True)
    watches = Watches(place, add, remove, lambda: True)
    watches.arm(b"")
    (tmp_path / "old").rename(tmp_path / "new")
    watches.arm(b"new")
    alive = kernel[(tmp_path / "new").stat().st_ino]
    assert dropped == [alive - 1]
    assert watches.folder_of(alive) == b"new"


def test_a_tree_is_armed_in_as_many_steps_as_it_has_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = 100
    folder = tmp_path
    for _ in range(deep):
        folder /= "d"
        folder.mkdir()
    opens = 0
    whole = os.open

    def counted(path: bytes, flags: int, *, dir_fd: int | None = None) -> int:
        nonlocal opens
        opens += 1
        return whole(path, flags, dir_fd=dir_fd)

    watches = watches_of(tmp_path, lambda path: os.stat(path).st_ino)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", counted)
        assert watches.arm(b"")
    assert len(watches.folders()) == deep + 1
    assert opens <= 3 * (deep + 1)


def test_a_folder_that_has_left_while_those_below_it_are_armed_keeps_no_watch(
    tmp_path: Path,
) -> None:
    """The loop arms a tree while a folder on the way moves, and the thread has taken that in."""
    (tmp_path / "a/b/c").mkdir(parents=True)

    def add(path: bytes) -> int:
        watch = os.stat(path).st_ino
        if path.endswith(b"/b") and not moved:
            moved.append(watch)
            (tmp_path / "a").rename(tmp_path / "z")
            watches.drop(b"a")
        return watch

    moved: list[int] = []
    watches = watches_of(tmp_path, add)
    watches.arm(b"")
    assert moved
    assert watches.folders() == {b""}
    watches.arm(b"z")
    assert watches.folders() == {b"", b"z", b"z/b", b"z/b/c"}


def test_a_remedy_makes_room_for_all_folders_twice() -> None:
    assert remedy(errno.ENOSPC, 100_000) == "sysctl fs.inotify.max_user_watches=262144"
    assert remedy(errno.ENOSPC, 10) == "sysctl fs.inotify.max_user_watches=65536"
    assert "max_user_instances" in remedy(errno.EMFILE, 10)
    assert remedy(errno.EIO, 10) == f"{os.strerror(errno.EIO)}: see indexer doctor"
