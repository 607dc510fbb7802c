from __future__ import annotations

import msgspec
import pytest

from indexer.store.connection import Connection
from indexer.store.work import scans


def test_a_run_is_running_until_it_ends(connection: Connection) -> None:
    scan_id = scans.start(connection, "scan", ["b", "a"], 5)
    (row,) = scans.newest(connection, 9)
    assert (row.state, row.roots, row.ended_at) == ("running", ("a", "b"), None)
    scans.add(connection, scan_id, {"seen": 1})
    scans.end(connection, scan_id, 9)
    (row,) = scans.newest(connection, 9)
    assert (row.state, row.ended_at, counts(connection, scan_id)["seen"]) == ("done", 9, 1)


def test_a_run_that_never_ended_was_interrupted(connection: Connection) -> None:
    scans.start(connection, "scan", ["a"], 5)
    scans.start(connection, "scan", ["a"], 6)
    assert [row.state for row in scans.newest(connection, 9)] == ["running", "interrupted"]


@pytest.mark.parametrize("state", ["interrupted", "failed", None])
def test_an_unfinished_rebuild_of_the_same_roots_is_taken_up_again(
    connection: Connection, state: str | None
) -> None:
    scan_id = scans.start(connection, "rebuild", ["a", "b"], 5)
    if state is not None:
        scans.end(connection, scan_id, 6, state=state)
    scans.end(connection, scans.start(connection, "scan", ["a"], 7), 8)
    assert scans.resume_rebuild(connection, ["b", "a"]) == scan_id
    assert [row.state for row in scans.newest(connection, 9)] == ["done", "running"]


def test_a_rebuild_of_other_roots_is_not_taken_up(connection: Connection) -> None:
    scans.start(connection, "rebuild", ["a"], 5)
    assert scans.resume_rebuild(connection, ["a", "b"]) is None


def test_a_rebuild_that_a_later_one_finished_is_not_taken_up(connection: Connection) -> None:
    scans.start(connection, "rebuild", ["a"], 5)
    scans.end(connection, scans.start(connection, "rebuild", ["a"], 6), 7)
    assert scans.resume_rebuild(connection, ["a"]) is None


def test_a_scan_is_never_taken_up(connection: Connection) -> None:
    scans.start(connection, "scan", ["a"], 5)
    assert scans.resume_rebuild(connection, ["a"]) is None


def test_only_the_last_runs_are_kept(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "_KEEP", 3)
    for number in range(9):
        scans.start(connection, "scan", ["a"], number)
    assert [row.id for row in scans.newest(connection, 99)] == [9, 8, 7, 6]


def counts(connection: Connection, scan_id: int) -> dict[str, float | bool]:
    told = scans.state_of(connection, scan_id)
    assert told is not None
    return msgspec.json.decode(told[1], type=dict[str, float | bool])


def test_what_several_processes_count_is_summed_in_the_row_of_the_run(
    connection: Connection,
) -> None:
    other = scans.start(connection, "scan", ["a"], 5)
    scan_id = scans.start(connection, "scan", ["b"], 5)
    scans.add(connection, scan_id, {"added": 2, "seen": 5})
    scans.add(connection, scan_id, {"added": 3, "missing": 1})
    assert counts(connection, scan_id) == {"added": 5, "seen": 5, "missing": 1}
    assert counts(connection, other) == {}
    scans.add(connection, scan_id, {"pending": 4})
    scans.add(connection, scan_id, {"pending": -4})
    assert counts(connection, scan_id)["pending"] == 0


def test_a_run_whose_row_was_pruned_counts_nothing_and_ends_without_a_word(
    connection: Connection,
) -> None:
    scans.add(connection, 99, {"added": 1})
    scans.end(connection, 99, 5)
    assert scans.state_of(connection, 99) is None
    assert scans.newest(connection, 9) == []


def test_a_counted_run_ends_with_its_time_and_its_rate(connection: Connection) -> None:
    scan_id = scans.start(connection, "scan", ["a"], 1_000)
    scans.add(connection, scan_id, {"seen": 100, "added": 7})
    scans.end(connection, scan_id, 5_000)
    assert counts(connection, scan_id) == {
        "seen": 100, "added": 7, "seconds": 4.0, "files_per_second": 25.0, "interrupted": False
    }  # fmt: skip
    (row,) = scans.newest(connection, 9)
    assert (row.state, row.ended_at) == ("done", 5_000)


@pytest.mark.parametrize("now_ms", [1_000, 500])
def test_a_run_that_took_no_time_by_the_clock_has_no_rate(
    connection: Connection, now_ms: int
) -> None:
    """Even if the clock was set back meanwhile."""
    scan_id = scans.start(connection, "scan", ["a"], 1_000)
    scans.add(connection, scan_id, {"seen": 100})
    scans.end(connection, scan_id, now_ms)
    told = counts(connection, scan_id)
    assert (told["seconds"], told["files_per_second"]) == (0.0, 0.0)


@pytest.mark.parametrize("state", ["done", "interrupted", "failed"])
def test_a_run_ends_only_once(connection: Connection, state: str) -> None:
    scan_id = scans.start(connection, "scan", ["a"], 1_000)
    scans.end(connection, scan_id, 2_000, state=state)
    before = counts(connection, scan_id)
    scans.end(connection, scan_id, 9_000)
    assert counts(connection, scan_id) == before
    (row,) = scans.newest(connection, 9)
    assert (row.state, row.ended_at) == (state, 2_000)
