"""The times of folders: what they tell, and what they do not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from indexer import walk as walking
from indexer.disk.tree import Tree
from indexer.model import Hint
from indexer.stages import folder_times
from indexer.stages.folder_times import FolderTimes, Pass, look_at_times
from indexer.walk import Listed, walk
from tests.stage_harness import ByHand
from tests.trees import Plant, swap

LONG_AGO_NS = 1_600_000_000 * 1_000_000_000
YEAR_NS = 365 * 86_400 * 1_000_000_000


@pytest.fixture
def tree(by_hand: ByHand) -> Tree:
    (only,) = by_hand.trees.values()
    return only


@pytest.fixture(autouse=True)
def _mtime_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test can set the mtime of a folder, and no other time."""
    if "true_times" not in request.fixturenames:
        for module in (walking, folder_times):
            monkeypatch.setattr(module, "folder_time_ns", lambda status: status.st_mtime_ns)


@pytest.fixture
def true_times() -> None:
    """Both times of folders count, as ever."""


def age(music: Path, *, by_ns: int = 0) -> None:
    """Give all folders an old time, as those of a library have."""
    for folder, _, _ in os.walk(music, topdown=False):
        os.utime(folder, ns=(LONG_AGO_NS + by_ns, LONG_AGO_NS + by_ns))


def learned(
    tree: Tree, by_hand: ByHand, before: FolderTimes | None = None, *, settles: bool = True
) -> FolderTimes:
    """What a look at everything learns."""
    times = FolderTimes(before, settles=settles, now_ns=LONG_AGO_NS + YEAR_NS)
    for one in walk(tree, b"", by_hand.wanted):
        if isinstance(one, Listed):
            times.add(one.path, one.changed_ns)
    times.end()
    return times


def passed(
    tree: Tree, by_hand: ByHand, times: FolderTimes, *, settles: bool = True, most: int = 1000
) -> Pass:
    return look_at_times(
        tree, times, by_hand.wanted, settles=settles, goes_on=lambda: True, most=most
    )


def test_where_nothing_has_changed_nothing_is_to_be_looked_at(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/b/1.mp3": b"", "A!/2.mp3": b"", "C/": None})
    age(music)
    times = learned(tree, by_hand)
    assert len(times) == 5
    found = passed(tree, by_hand, times)
    assert (found.count, found.times) == (0, times)


def test_a_folder_that_got_a_file_is_looked_at_and_no_other(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/b/1.mp3": b"", "A/c/2.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    plant({"A/b/3.mp3": b""})
    assert passed(tree, by_hand, times).hints(1) == [Hint(1, b"A/b")]


def test_a_new_album_is_looked_at_with_all_below_it_and_known_from_then_on(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/b/1.mp3": b"", "Z/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    plant({"A/new/CD 1/1.mp3": b"", "A/.hidden/1.mp3": b""})
    found = passed(tree, by_hand, times)
    assert found.hints(1) == [Hint(1, b"A"), Hint(1, b"A/new", recursive=True)]
    passed(tree, by_hand, found.times)
    plant({"A/new/CD 1/2.mp3": b""})
    assert passed(tree, by_hand, found.times).hints(1) == [Hint(1, b"A/new/CD 1")]


def test_a_folder_that_went_is_looked_at_with_all_below_it_and_forgotten(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/b/c/1.mp3": b"", "A/b0/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    (music / "A" / "b").rename(music / "moved")
    found = passed(tree, by_hand, times)
    assert (found.changed, found.came, found.went) == ([b"", b"A"], [b"moved"], [b"A/b"])
    assert {Hint(1, b"moved", recursive=True), Hint(1, b"A/b", recursive=True)} < {*found.hints(1)}
    assert folders_of(found.times) == [b"", b"A", b"A/b0", b"moved", b"moved/c"]


def folders_of(times: FolderTimes) -> list[bytes]:
    return [folder for part in times.parts for folder in part.folders]


def test_a_folder_whose_place_a_file_took_has_gone(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    shutil.rmtree(music / "A")
    plant({"A": b"a file"})
    assert Hint(1, b"A", recursive=True) in passed(tree, by_hand, times).hints(1)


def test_a_folder_that_changes_twice_in_one_tick_is_looked_at_twice(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    plant({"A/2.mp3": b""})
    os.utime(music / "A", ns=(LONG_AGO_NS, LONG_AGO_NS + 1))
    assert passed(tree, by_hand, times).changed == [b"A"]
    plant({"A/3.mp3": b""})
    os.utime(music / "A", ns=(LONG_AGO_NS, LONG_AGO_NS + 1))  # no clock told the two apart
    assert passed(tree, by_hand, times, settles=False).young == [b"A"], "too soon to be sure"
    assert passed(tree, by_hand, times).young == [b"A"]
    assert passed(tree, by_hand, times).young == []


def test_a_look_at_everything_right_after_a_pass_settles_no_time(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    os.utime(music / "A", ns=(LONG_AGO_NS, LONG_AGO_NS + 1))
    passed(tree, by_hand, times)
    times = learned(tree, by_hand, times, settles=False)
    assert passed(tree, by_hand, times, settles=False).young == [b"A"]
    times = learned(tree, by_hand, times)
    assert passed(tree, by_hand, times).young == []


def test_a_folder_that_is_as_new_as_the_first_look_is_looked_at_once_more(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b"", "B/1.mp3": b""})
    age(music)
    os.utime(music / "A", ns=(0, LONG_AGO_NS + YEAR_NS))
    times = learned(tree, by_hand)
    assert passed(tree, by_hand, times).young == [b"A"]


def test_of_a_library_that_is_new_few_folders_are_looked_at_once_more(
    plant: Plant, by_hand: ByHand, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_times, "_MOST_YOUNG", 3)
    plant({f"{number}/1.mp3": b"" for number in range(9)})
    times = learned(tree, by_hand)
    assert passed(tree, by_hand, times).young == [b"", b"0", b"1"]
    times = learned(tree, by_hand, times)
    assert passed(tree, by_hand, times).young == [], "the look at all files has settled the others"


@pytest.mark.usefixtures("true_times")
def test_a_change_is_seen_although_a_copying_tool_has_set_the_time_back(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b"", "B/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    passed(tree, by_hand, times)
    plant({"A/2.mp3": b""})
    os.utime(music / "A", ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert passed(tree, by_hand, times).changed == [b"A"]


@pytest.mark.usefixtures("true_times")
def test_a_folder_that_took_the_place_of_one_of_the_same_time_is_looked_at(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b"", "B/2.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    passed(tree, by_hand, times)
    swap(music, "A", "B")
    assert passed(tree, by_hand, times).changed == [b"", b"A", b"B"]


def test_a_clock_that_goes_back_tells_a_change_as_well(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    os.utime(music / "A", ns=(0, LONG_AGO_NS - YEAR_NS))
    assert passed(tree, by_hand, times).changed == [b"A"]


def test_a_folder_without_a_time_tells_nothing(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"A/1.mp3": b""})
    age(music, by_ns=-LONG_AGO_NS)
    times = learned(tree, by_hand)
    plant({"A/2.mp3": b""})
    age(music, by_ns=-LONG_AGO_NS)
    assert passed(tree, by_hand, times).count == 0


def test_what_is_beyond_the_most_of_a_pass_is_found_by_the_next(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_times, "_PART", 4)
    plant({f"{number}/1.mp3": b"" for number in range(9)})
    age(music)
    times = learned(tree, by_hand)
    assert [len(part.folders) for part in times.parts] == [4, 4, 2]
    age(music, by_ns=1)
    told = [passed(tree, by_hand, times, most=5).changed for _ in range(2)]
    assert [len(one) for one in told] == [5, 5]
    assert {*told[0], *told[1]} == {b"", *(str(number).encode() for number in range(9))}


def test_folders_that_come_and_go_leave_all_in_the_order_of_a_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folder_times, "_PART", 3)
    times = FolderTimes()
    for folder in (b"", b"a!", b"a", b"a/b", b"a/b/c", b"a/c", b"a0", b"b"):
        times.add(folder, 1)
    times.end()
    merged = times.merged([b"a/b", b"b"], {b"a/x": 2, b"A": 2, b"z": 2})
    assert folders_of(merged) == [b"", b"A", b"a!", b"a", b"a/c", b"a/x", b"a0", b"z"]
    assert [mtime_ns for part in merged.parts for mtime_ns in part.times] == [
        1,
        2,
        1,
        1,
        1,
        2,
        1,
        2,
    ]


def test_a_disk_that_is_away_below_a_place_has_not_gone(
    plant: Plant, music: Path, by_hand: ByHand, tree: Tree
) -> None:
    plant({"usb/A/1.mp3": b""})
    age(music)
    times = learned(tree, by_hand)
    tree.offline = {b"usb": "away"}
    shutil.rmtree(music / "usb" / "A")
    assert passed(tree, by_hand, times).count == 0


def test_a_folder_takes_few_bytes() -> None:
    times = FolderTimes()
    folders = [
        f"Artist {number // 10}/{1970 + number % 50} - Album {number}" for number in range(5000)
    ]
    for folder in sorted(folders):
        times.add(folder.encode(), LONG_AGO_NS)
    times.end()
    held = sum(
        len(part.packed) + part.times.itemsize * len(part.times) + len(part.young)
        for part in times.parts
    )
    assert held < 5000 * 24


def test_folders_of_a_disk_that_was_away_at_first_are_not_all_new() -> None:
    away = FolderTimes(now_ns=1 << 60)
    away.end()
    back = FolderTimes(away, now_ns=1 << 60)
    back.add(b"A", 1)
    back.end()
    assert [*back.parts[0].young] == [0]
