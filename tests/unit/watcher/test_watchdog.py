"""How often a service manager is told that the loop goes on, and when it is not."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

import pytest

from tests.clock import Clock
from watcher import loop
from watcher.loop import Watchdog

LIMIT = {"WATCHDOG_USEC": "100000000", "NOTIFY_SOCKET": "/run/notify"}
"""100 s."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the manager was told."""
    sent: list[str] = []

    def notify(state: str, environ: Mapping[str, str]) -> bool:
        assert environ == {"NOTIFY_SOCKET": "/run/notify"}
        sent.append(state)
        return True

    monkeypatch.setattr(loop, "notify", notify)
    return sent


def test_turns_that_come_anyway_leave_no_turn_to_be_made_for_it(told: list[str]) -> None:
    clock = Clock()
    dog = Watchdog(LIMIT, clock)
    for _ in range(40):
        due_at = dog.next_turn()
        assert due_at is not None
        assert due_at > clock.now
        clock.now += 5
        dog.ping()
    assert told == ["WATCHDOG=1"] * 8, "each 25 s of 200"


def test_without_other_turns_one_is_due_after_half_the_limit(told: list[str]) -> None:
    clock = Clock()
    dog = Watchdog(LIMIT, clock)
    assert dog.next_turn() == clock.now + 50
    clock.now += 50
    dog.ping()
    assert (told, dog.next_turn()) == (["WATCHDOG=1"], clock.now + 50)


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-5"},
     {"WATCHDOG_USEC": "100000000", "WATCHDOG_PID": "1"}],
    ids=str,
)  # fmt: skip
def test_where_no_manager_waits_nothing_is_told_or_due(
    environ: dict[str, str], told: list[str]
) -> None:
    clock = Clock()
    dog = Watchdog({**environ, "NOTIFY_SOCKET": "/run/notify"}, clock)
    clock.now += 1e6
    dog.ping()
    assert (told, dog.next_turn(), dog.is_on) == ([], None, False)


def test_it_counts_where_the_limit_is_for_this_process(told: list[str]) -> None:
    clock = Clock()
    dog = Watchdog({**LIMIT, "WATCHDOG_PID": str(os.getpid())}, clock)
    clock.now += 30
    dog.ping()
    assert told == ["WATCHDOG=1"]


def test_another_thread_says_nothing_for_a_loop_that_hangs(told: list[str]) -> None:
    clock = Clock()
    dog = Watchdog(LIMIT, clock)
    clock.now += 99
    thread = threading.Thread(target=dog.ping)
    thread.start()
    thread.join()
    assert told == []
