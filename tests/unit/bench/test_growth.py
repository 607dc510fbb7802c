"""Costs per file must not grow with the number of files; goals are for information only."""

from __future__ import annotations

from tests.bench import goals, growth
from tests.bench.figures import (
    EXTRACT,
    MUTAGEN,
    REBUILD,
    SEED,
    UNCHANGED,
    Library,
    Result,
    Step,
    Watcher,
)
from tests.bench.measure import OURS
from tests.bench.peers import MPD_SCAN
from tests.bench.process import Cost

MB = 1_000_000


def library(files: int, seconds: float, pss_mb: int = 50, *, tiny: bool = False) -> Library:
    cost = Cost(seconds, seconds, pss_mb * MB, 0, 0)
    return Library(files, [Step(REBUILD, [cost]), Step(UNCHANGED, [cost])], tiny)


def flat(*libraries: Library) -> list[bool]:
    sizes = growth.sizes(Result({}, list(libraries)))
    return [size.is_flat(sizes[0]) for size in sizes]


def test_a_fifth_more_for_each_file_is_flat_and_more_is_not() -> None:
    assert flat(library(100, 1), library(1000, 11.9)) == [True, True]
    assert flat(library(100, 1), library(1000, 12.1)) == [True, False]


def test_memory_for_each_file_counts() -> None:
    assert flat(library(100, 1, pss_mb=50), library(1000, 10, pss_mb=601)) == [True, False]


def test_less_for_each_file_is_flat() -> None:
    assert flat(library(100, 1), library(1000, 2)) == [True, True]


def test_libraries_are_compared_with_the_smallest_in_whatever_order_they_came() -> None:
    assert flat(library(1000, 20), library(100, 1)) == [True, False]


def test_the_table_of_growth_needs_two_sizes() -> None:
    assert list(growth.lines(Result({}, [library(100, 1)]))) == []
    lines = list(growth.lines(Result({}, [library(100, 1), library(1000, 20)])))
    assert [line.split()[-1] for line in lines[-2:]] == ["yes", "NO"]


def reached(*libraries: Library) -> dict[str, bool | None]:
    return {bar.asked: bar.ok for bar in goals.judge(Result({}, list(libraries)))}


def test_a_run_of_other_sizes_measures_no_goal() -> None:
    assert set(reached(library(50, 1)).values()) == {None}


def test_goals_are_held_against_the_size_they_were_asked_for() -> None:
    asked = "rebuild of 100000 files: 6 s or less"
    assert reached(library(100_000, 5.9))[asked] is True
    assert reached(library(100_000, 6.1))[asked] is False
    assert reached(library(100_000, 6.1, tiny=True))[asked] is None


def test_a_rate_is_held_against_that_of_mpd_and_mutagen_in_the_same_run() -> None:
    mixed = library(10_000, 1)
    mixed.steps += [
        Step(MPD_SCAN, [Cost(9.5, 1, 0, 0, 0)]),
        Step(EXTRACT, [Cost(0.3, 0.3, 0, 0, 0)]),
        Step(MUTAGEN, [Cost(2.1, 2.1, 0, 0, 0)]),
    ]
    told = reached(mixed)
    assert told["rebuild of 10000 files: 9 times mpd's rate or more"] is True
    assert told["extraction alone on one core: 25000 files/s or more"] is True
    assert told["extraction alone on one core: 8 times mutagen.File or more"] is False


def test_the_most_files_are_held_against_a_hundred_thousand() -> None:
    asked = "rebuild of 5000000 files, peak memory of all processes: 150 MB or less"
    few, most = library(100_000, 1, tiny=True), library(5_000_000, 50, pss_mb=149, tiny=True)
    assert reached(few, most)[asked] is True
    assert reached(few, library(5_000_000, 50, pss_mb=151, tiny=True))[asked] is False


def test_a_live_change_and_a_search_may_take_twice_as_long_with_the_most_files() -> None:
    of = "of 5000000 files, against 100000: 2 times or less"
    for times, ok in ((1.9, True), (2.1, False)):
        few, most = library(100_000, 1, tiny=True), library(5_000_000, 50, tiny=True)
        few.watchers, most.watchers = [Watcher(OURS, [7.0])], [Watcher(OURS, [7.0 * times])]
        few.searches_ms, most.searches_ms = {"a word": 2.0}, {"a word": 2.0 * times}
        told = reached(few, most)
        assert told[f"a live change {of}"] is ok
        assert told[f"the slowest kind of search {of}"] is ok


def test_cores_that_are_idle_while_a_library_is_read_are_told() -> None:
    many = library(100_000, 1)
    many.steps.append(Step(SEED, [Cost(1, 1, 0, 0, 0)], busy=0.89))
    assert (
        reached(many)["rebuild of 100000 files, middle 80 %: 0.9 of the cores busy or more"]
        is False
    )
