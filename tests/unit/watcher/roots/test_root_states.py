"""The time of full rescans; whether the disk sleeps is simulated."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.roots.root_states import HOUR_S, may_look, pause_s, probe

NOON = datetime(2026, 3, 1, 12, 0, 0)  # noqa: DTZ001 - local time is what is meant


def test_without_an_hour_the_interval_alone_counts() -> None:
    assert pause_s(24, None, NOON) == 24 * HOUR_S


def test_an_interval_of_0_is_never() -> None:
    assert pause_s(0, 4, NOON) is None


def test_an_hour_is_waited_for_when_half_the_interval_has_passed() -> None:
    assert pause_s(24, 4, NOON) == 16 * HOUR_S
    assert pause_s(24, 23, NOON) == 35 * HOUR_S


@given(
    st.integers(1, 168),
    st.integers(0, 23),
    st.integers(0, 10**7).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_it_ends_at_that_hour_and_never_too_soon(
    interval_h: int, hour: int, later: timedelta
) -> None:
    now = NOON + later
    pause = pause_s(interval_h, hour, now)
    assert pause is not None
    at = now + timedelta(seconds=pause)
    assert (at.hour, at.minute, at.second) == (hour, 0, 0)
    assert interval_h / 2 * HOUR_S <= pause < (interval_h / 2 + 24) * HOUR_S


def test_a_sleeping_disk_is_left_alone_until_the_proof_is_too_old() -> None:
    assert not may_look(True, age_s=10, most_age_s=100)
    assert may_look(True, age_s=100, most_age_s=100)


@pytest.mark.parametrize("asleep", [False, None])
def test_a_disk_that_is_awake_or_silent_is_looked_at(asleep: bool | None) -> None:
    assert may_look(asleep, age_s=0, most_age_s=100)


@pytest.mark.parametrize(("code", "asleep"), [(0, True), (1, False), (2, None)])
def test_the_commands_exit_code_is_the_answer(code: int, asleep: bool | None) -> None:
    script = f"import sys; sys.exit({code} if sys.argv[1] == '/music' else 9)"
    assert probe([sys.executable, "-c", script])(b"/music") is asleep


def test_a_command_that_cannot_be_run_is_no_answer() -> None:
    assert probe(["/nowhere/hdparm"])(b"/music") is None
    assert probe([])(b"/music") is None
