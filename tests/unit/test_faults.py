from __future__ import annotations

import errno
import logging

import apsw
import pytest
from rq.timeouts import JobTimeoutException

from indexer.errors import Interrupted, ProgramFault, RootOffline
from indexer.faults import MOST_IN_A_ROW, FaultStreak, problem_of
from indexer.model import Problem, ProblemKind, Reading
from indexer.queue.workers import rq_overrides

FAULT = Problem(ProblemKind.FAULT, "odd")
REFUSED = Problem(ProblemKind.CONTENT, "no music")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        OverflowError("int too big to convert"),
        RecursionError("x"),
        KeyError("x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
        AssertionError(),
        AttributeError("x"),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_one_file_raises_is_a_fault_with_its_class(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    problem = problem_of(error, "extract", b"A/1.mp3")
    assert problem.kind is ProblemKind.FAULT
    assert f"(extract: {type(error).__name__}" in problem.reason
    assert "\n" not in problem.reason
    problem_of(error, "extract", b"A/1.mp3")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "I/O error"),
        MemoryError(),
        ModuleNotFoundError("No module named 'indexer.tags.asf'"),
    ],
)
def test_what_the_machine_raises_is_the_machines(error: Exception) -> None:
    assert problem_of(error, "insert", b"1.mp3").kind is ProblemKind.ENVIRONMENT


@pytest.mark.parametrize(
    "error",
    [RootOffline("gone"), Interrupted("stop"), apsw.BusyError("locked"), JobTimeoutException()],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_one_files_is_raised_again(error: Exception) -> None:
    assert rq_overrides.AWAY  # rq's own is known from this module's import on
    with pytest.raises(type(error)):
        problem_of(error, "insert", b"1.mp3")


def test_a_dozen_different_files_in_a_row_with_a_fault_stop_the_run() -> None:
    streak = FaultStreak()
    for number in range(MOST_IN_A_ROW - 1):
        streak.count(b"%d" % number, FAULT)
        streak.count(b"%d" % number, FAULT)  # the same one again is not another
    with pytest.raises(ProgramFault, match="12 different files"):
        streak.count(b"last", FAULT)


@pytest.mark.parametrize("problem", [None, REFUSED])
def test_a_file_without_a_fault_begins_the_count_anew(problem: Problem | None) -> None:
    streak = FaultStreak()
    for number in range(3 * MOST_IN_A_ROW):
        streak.count(b"%d" % number, FAULT)
        if number % 5 == 0:
            streak.count(b"good", problem)


def test_what_was_not_read_is_not_counted() -> None:
    streak = FaultStreak()
    faulty = [Reading(path=b"%d" % n, problem=FAULT) for n in range(MOST_IN_A_ROW)]
    streak.count_all(faulty[:-1])
    streak.count_all([Reading(path=b"gone", gone=True)])
    with pytest.raises(ProgramFault):
        streak.count_all(faulty[-1:])
