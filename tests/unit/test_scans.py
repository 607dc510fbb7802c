from __future__ import annotations

import pytest

from indexer.store import scans
from indexer.store.connection import Connection


def test_a_run_is_running_until_it_ends(connection: Connection) -> None:
    scan_id = scans.start(connection, "scan", ["b", "a"], 5)
    (row,) = scans.newest(connection, 9)
    assert (row.state, row.roots, row.ended_at) == ("running", ("a", "b"), None)
    scans.end(connection, scan_id, "done", '{"seen": 1}', 9)
    (row,) = scans.newest(connection, 9)
    assert (row.state, row.ended_at, row.counts) == ("done", 9, '{"seen": 1}')


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
        scans.end(connection, scan_id, state, "{}", 6)
    scans.end(connection, scans.start(connection, "scan", ["a"], 7), "done", "{}", 8)
    assert scans.resume_rebuild(connection, ["b", "a"]) == scan_id
    assert [row.state for row in scans.newest(connection, 9)] == ["done", "running"]


def test_a_rebuild_of_other_roots_is_not_taken_up(connection: Connection) -> None:
    scans.start(connection, "rebuild", ["a"], 5)
    assert scans.resume_rebuild(connection, ["a", "b"]) is None


def test_a_rebuild_that_a_later_one_finished_is_not_taken_up(connection: Connection) -> None:
    scans.start(connection, "rebuild", ["a"], 5)
    scans.end(connection, scans.start(connection, "rebuild", ["a"], 6), "done", "{}", 7)
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
