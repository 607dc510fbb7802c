"""What `status` and the daemon's log say when something is not well."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import pytest

from indexer.library import Library
from indexer.model import Hint
from indexer.reports.status import health_lines
from indexer.results import report, status_report
from indexer.runs.lock import LockInfo
from indexer.store import problems, roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.problems import LONG_MS, NEW_MS, InIndex, in_index
from indexer.store.work import pending
from tests.trees import BAD, Plant, song
from watcher.log import EventLog, HealthLog, RelayLog


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The events in the log since the last call."""
    caplog.set_level(logging.INFO, "watcher")

    def told() -> list[str]:
        events = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return events

    return told


def test_a_problem_is_new_for_a_day(library: Library, plant: Plant, connection: Connection) -> None:
    plant({"1.mp3": song("One"), "bad.mp3": BAD, "worse.mp3": BAD})
    library.scan()
    ((_, _, _, _, since_ms), *_) = list(problems.listed(connection))
    found = in_index(connection, (), since_ms + 1000)
    assert (found.new_problems, found.waiting) == (2, 0)
    assert found.problems_since_ms is not None
    assert in_index(connection, (), since_ms + 2 * NEW_MS) == InIndex()
    (line,) = health_lines(found, (), None)
    assert line.level == "warning"
    assert line.text == "2 new problems in the last 24 hours (see indexer problems)"
    assert line.since == report.iso(found.problems_since_ms)
    assert library.status().health == (line,)


def test_a_problem_of_a_time_to_come_is_no_new_one(
    library: Library, plant: Plant, connection: Connection
) -> None:
    plant({"bad.mp3": BAD})
    library.scan()
    ((_, _, _, _, since_ms), *_) = list(problems.listed(connection))
    assert in_index(connection, (), since_ms - 1) == InIndex()
    assert in_index(connection, (), since_ms).new_problems == 1


def test_what_is_pending_for_a_quarter_of_an_hour_is_told_but_not_of_a_root_that_is_away(
    library: Library, plant: Plant, connection: Connection
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    (root,) = roots.watched(connection)
    with write_transaction(connection):
        pending.enqueue(connection, Hint(root.id, b"new"), 1_000_000)
        pending.enqueue(connection, Hint(root.id, b"newer"), 1_500_000)
    assert in_index(connection, (), 1_000_000 + LONG_MS) == InIndex()
    late = in_index(connection, (), 1_000_001 + LONG_MS)
    assert (late.waiting, late.waiting_since_ms) == (1, 1_000_000)
    assert in_index(connection, (root.id,), 1_000_001 + LONG_MS) == InIndex()
    (line,) = health_lines(late, (), None)
    assert (line.level, line.since) == ("fault", "1970-01-01T00:16:40.000Z")
    assert line.text == "1 place pending for more than 15 minutes"


def test_the_worst_comes_first() -> None:
    here = status_report.RootStatus(name="here", path="/h", state="watching")
    partly = status_report.RootStatus(name="partly", path="/p", state="watching", reason="a disk")
    away = status_report.RootStatus(name="away", path="/a", state="offline", reason="gone")
    daemon = LockInfo(
        os.getpid(), "daemon", 5, 2, queue_trouble="no Redis", unwatched_since_ms=2000,
        away_since_ms={"away": 1000},
    )  # fmt: skip
    told = list(health_lines(InIndex(1, 3000, 2, 4000), (away, here, partly), daemon))
    assert [line.text for line in told] == [
        "root away is offline",
        "root partly: a disk of it seems to be away",
        "nothing can be given to the queues now; it stays pending",
        "2 places pending for more than 15 minutes",
        "2 folders without a watch, looked at now and then (see indexer doctor)",
        "1 new problem in the last 24 hours (see indexer problems)",
    ]
    assert [line.since and line.since[17:19] for line in told] == [
        "01", None, None, "04", "02", "03",
    ]  # fmt: skip
    assert list(health_lines(InIndex(), (here,), LockInfo(1, "daemon", 5))) == []


def test_the_log_says_once_that_problems_rose_and_once_that_none_is_new(
    logged: Callable[[], list[str]],
) -> None:
    told = HealthLog(EventLog())
    told.update(InIndex(), 0)
    for number in range(10):
        told.update(InIndex(new_problems=3), 5.0 * number)
    assert logged() == ["problems rose"]
    told.update(InIndex(new_problems=2), 60)
    assert logged() == []
    told.update(InIndex(), 65)
    told.update(InIndex(), 70)
    assert logged() == ["problems over"]


def test_a_rise_that_goes_on_is_told_each_quarter_of_an_hour(
    logged: Callable[[], list[str]],
) -> None:
    told = HealthLog(EventLog())
    for number in range(1, 361):  # each 5 s, half an hour long
        told.update(InIndex(new_problems=number), 5.0 * number)
    assert logged() == ["problems rose"] * 2
    told.update(InIndex(), 3000)
    told.update(InIndex(new_problems=1), 3005)
    assert logged() == ["problems over", "problems rose"]


def test_the_log_says_once_that_something_is_pending_for_long_and_that_nothing_is(
    logged: Callable[[], list[str]],
) -> None:
    told = HealthLog(EventLog())
    for number in range(10):
        told.update(InIndex(waiting=1 + number, waiting_since_ms=1), 5.0 * number)
    assert logged() == ["pending long"]
    for number in range(10):
        told.update(InIndex(), 100 + 5.0 * number)
    assert logged() == ["pending over"]


def test_the_log_says_once_that_a_relay_was_lost_and_once_that_it_is_back(
    logged: Callable[[], list[str]],
) -> None:
    told = RelayLog(EventLog())
    lives = status_report.RelayStatus(host="nas", alive=True, silent_seconds=3.0)
    lost = status_report.RelayStatus(host="nas", alive=False, silent_seconds=40.0)
    for relay in (lives, lives, lost, lost):
        told.update({"music": relay, "other": lives})
    assert logged() == ["relay lost"]
    told.update({"music": lives, "other": lives})
    told.update({"music": lives})
    assert logged() == ["relay back"]
    told.update({})
    assert logged() == []


def test_a_relay_that_is_away_when_the_daemon_starts_is_told_of(
    logged: Callable[[], list[str]],
) -> None:
    told = RelayLog(EventLog())
    told.update({"music": status_report.RelayStatus(host="nas", alive=False, silent_seconds=40.0)})
    assert logged() == ["relay lost"]


def test_jobs_that_no_worker_serves_are_a_fault_and_an_idle_queue_is_none() -> None:
    def queue(name: str, queued: int, workers: int) -> status_report.QueueStatus:
        return status_report.QueueStatus(
            name=name, queued=queued, started=0, failed=0, oldest_seconds=7.0, workers=workers
        )

    queues = [queue("scan", 2, 0), queue("extract", 0, 0), queue("insert", 3, 1)]
    (line,) = health_lines(InIndex(), (), None, queues)
    assert (line.level, line.text) == (
        "fault",
        "no worker serves jobs that wait (scan): start indexer worker",
    )
    assert line.since is not None
