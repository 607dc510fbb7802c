"""A check compares ratios with the stored ones, and never compares seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import ratios
from tests.bench.figures import (
    EXTRACT,
    FIND,
    KERNEL_TWO,
    MUTAGEN,
    REBUILD,
    UNCHANGED,
    Library,
    Result,
    Step,
)
from tests.bench.process import Cost
from tests.bench.strace import Habit

REBUILD_SECONDS = f"{REBUILD}: seconds / {KERNEL_TWO}"
HABIT = Habit(10, 6, 1, 16384, 20000, 1.0, 1.0)


def step(name: str, *seconds: float, cpu_s: float = 1.0, **more: object) -> Step:
    measured = Step(name, [Cost(one, cpu_s, 10, 300, 0, sampled=False) for one in seconds])
    for field, value in more.items():
        setattr(measured, field, value)
    return measured


def run(*steps: Step, files: int = 1000, load: float = 0.0) -> Result:
    return Result({"load before": load}, [Library(files, list(steps))])


def values(result: Result) -> dict[str, float]:
    return {one.name: one.value for library in result.libraries for one in ratios.of(library)}


def verdicts(result: Result, **kept: float) -> dict[str, bool | None]:
    before = ratios.Kept({}, {1000: {REBUILD_SECONDS: kept["before"]}})
    return {bar.asked: bar.ok for bar in ratios.judge(result, before)}


def test_a_machine_of_half_the_speed_has_the_same_ratios() -> None:
    quick = run(step(KERNEL_TWO, 0.1, cpu_s=0.1), step(REBUILD, 1, cpu_s=1))
    slow = run(step(KERNEL_TWO, 0.2, cpu_s=0.2), step(REBUILD, 2, cpu_s=2))
    assert values(quick) == values(slow)
    assert values(quick)[REBUILD_SECONDS] == 10


def test_a_ratio_is_of_the_runs_that_were_disturbed_least() -> None:
    assert values(run(step(KERNEL_TWO, 0.3, 0.1), step(REBUILD, 9, 1, 8)))[REBUILD_SECONDS] == 10


def test_what_was_not_run_has_no_ratio() -> None:
    absent = Step(KERNEL_TWO, absent="no C compiler")
    assert REBUILD_SECONDS not in values(run(absent, step(REBUILD, 1)))
    assert values(run()) == {}


def test_bytes_calls_and_memory_are_ratios_too() -> None:
    rebuild = step(REBUILD, 1, database_bytes=100, habit=HABIT)
    found = values(run(rebuild, step(MUTAGEN, 1)))
    assert found[f"{REBUILD}: bytes written / final file"] == 3
    assert found[f"{REBUILD}: memory / {MUTAGEN}"] == 1
    assert found[f"{REBUILD}: calls a file / open, read, close"] == 2
    assert found[f"{REBUILD}: bytes a file / 64 KB"] == 0.25


@pytest.mark.parametrize(("before", "ok"), [(8.01, True), (7.99, False)])
def test_worse_by_more_than_a_quarter_is_a_regression(before: float, ok: bool) -> None:
    now = run(step(KERNEL_TWO, 0.1), step(REBUILD, 1.0))
    (asked,) = [asked for asked in verdicts(now, before=before) if REBUILD_SECONDS in asked]
    assert verdicts(now, before=before)[asked] is ok


def test_seconds_of_a_busy_machine_decide_nothing() -> None:
    now = run(step(KERNEL_TWO, 0.1), step(REBUILD, 9.0), load=2.0)
    assert set(verdicts(now, before=1).values()) == {None}


def test_seconds_of_a_busy_machine_are_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "ratios.json"
    steps = (step(KERNEL_TWO, 0.1, cpu_s=0.5), step(REBUILD, 9.0))
    ratios.keep(file, run(*steps, load=2.0))
    assert ratios.load(file).libraries == {1000: {f"{REBUILD}: CPU / {KERNEL_TWO}": 2.0}}
    ratios.keep(file, run(*steps))
    ratios.keep(file, run(*steps, step(REBUILD, 99.0), load=2.0))
    assert ratios.load(file).libraries[1000][REBUILD_SECONDS] == 90.0


def test_an_unchanged_scan_that_opens_a_file_is_a_regression() -> None:
    name = f"{UNCHANGED}: files opened / 1"
    kept = ratios.Kept({}, {1000: {name: 0.0}})
    for opened, ok in ((0, True), (1, False)):
        now = run(step(UNCHANGED, 1, opened=opened, rows={"scans": 1}))
        (verdict,) = [bar.ok for bar in ratios.judge(now, kept) if name in bar.asked]
        assert verdict is ok


def test_what_only_the_file_has_or_only_this_run_has_decides_nothing() -> None:
    now = run(step(FIND, 1), step(UNCHANGED, 1))
    assert set(verdicts(now, before=1).values()) == {None}


def test_what_is_kept_is_compared_with_itself(tmp_path: Path) -> None:
    file = tmp_path / "ratios.json"
    now = run(step(MUTAGEN, 1), step(EXTRACT, 1), step(KERNEL_TWO, 1), step(REBUILD, 3))
    ratios.keep(file, now)
    assert {bar.ok for bar in ratios.judge(now, ratios.load(file))} == {True}


def test_keeping_one_size_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "ratios.json"
    ratios.keep(file, run(step(KERNEL_TWO, 1), step(REBUILD, 3)))
    ratios.keep(file, run(step(KERNEL_TWO, 1), step(REBUILD, 5), files=20))
    kept = ratios.load(file).libraries
    assert [kept[files][REBUILD_SECONDS] for files in (20, 1000)] == [5, 3]


def test_the_ratios_of_the_repository_can_be_read() -> None:
    for kept in ratios.load(ratios.FILE).libraries.values():
        assert all(value >= 0 for value in kept.values())
