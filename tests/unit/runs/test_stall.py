"""A command that waits for a daemon says when that does nothing, and ends."""

from __future__ import annotations

import os
import time

import pytest

from indexer.errors import CannotDo
from indexer.runs.lock import LockInfo
from indexer.runs.stall import ProcessState, Stall, state_of_process

DAEMON = LockInfo(7, "daemon")
ASLEEP = ProcessState("S", 5, 9, "python watcher run ")


class World:
    """A daemon that can be seen, and a clock that is played."""

    def __init__(self) -> None:
        self.life: ProcessState | None = ASLEEP
        self.now = 0.0
        self.stall = Stall(lambda _pid: self.life, lambda: self.now)

    def at(self, now: float, daemon: LockInfo = DAEMON) -> None:
        self.now = now
        self.stall.check(daemon)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_daemon_that_does_nothing_is_told_once_and_given_up_after_two_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    for now in (0.0, 4.9):
        world.at(now)
    assert said(caplog) == []
    for now in (5.0, 60.0, 119.9):
        world.at(now)
    (line,) = said(caplog)
    assert line == (
        "waiting: process 7 (`watcher run`) has done nothing for 5 s; if it does not go on by"
        " itself, `kill -KILL 7` and start it again"
    )
    with pytest.raises(CannotDo, match=r"nothing for 120 s; .*what was asked of it is kept"):
        world.at(120.0)


def test_one_that_is_stopped_is_told_with_what_lets_it_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.life = ProcessState("T", 5, 9, "python watcher run ")
    for now in (0.0, 5.0):
        world.at(now)
    assert said(caplog) == [
        "waiting: process 7 (`watcher run`) is stopped; `kill -CONT 7` has it go on"
    ]


@pytest.mark.parametrize(
    "later",
    [
        ProcessState("S", 6, 9, ASLEEP.command),
        ProcessState("S", 5, 10, ASLEEP.command),
        ProcessState("R", 5, 9, "watcher"),
    ],
)
def test_any_sign_of_life_begins_the_waiting_anew(
    later: ProcessState, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.at(0.0)
    world.life = later
    for now in (119.0, 123.0):
        world.at(now)
    assert said(caplog) == []


def test_a_process_that_is_unseen_or_another_programs_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for life in (None, ProcessState("S", 5, 9, "/sbin/init ")):
        world = World()
        world.life = life
        for now in (0.0, 5.0, 500.0):
            world.at(now)
    assert said(caplog) == []


def test_a_daemon_that_waits_for_workers_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for now in (0.0, 5.0, 500.0):
        world.at(now, LockInfo(7, "daemon", engine="rq"))
    assert len(said(caplog)) == 1


def test_the_state_of_a_process_is_read_from_the_kernel() -> None:
    first = state_of_process(os.getpid())
    assert first is not None
    assert not first.is_stopped
    assert "python" in first.command
    time.sleep(0.001)
    later = state_of_process(os.getpid())
    assert later is not None
    assert later.switches > first.switches
    assert state_of_process(2**22 + 1) is None
