"""How long a process has waited for a processor, of looks that are made up."""

from __future__ import annotations

import pytest

from indexer.process import ProcessorWait

MS = 1_000_000


def waiting(monkeypatch: pytest.MonkeyPatch, *looks: tuple[str, int, int]) -> ProcessorWait:
    given = iter((("R", 0, 0), *looks))
    monkeypatch.setattr(ProcessorWait, "_look", lambda _: next(given))
    return ProcessorWait(1)


def test_a_wait_that_is_over_counts_whole_however_often_it_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = waiting(monkeypatch, ("R", 0, 0), ("R", 0, 0), ("R", 0, 0), ("S", 14 * MS, 2900 * MS))
    waits.begin(10.0)
    assert waits.waited_s(11.0) == 1.0
    assert waits.waited_s(12.0) == 2.0
    assert waits.waited_s(13.0) == pytest.approx(2.9)


def test_what_sleeps_does_not_wait_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = waiting(monkeypatch, ("S", 0, 0), ("S", 0, 0), ("D", 0, 0), ("R", 0, 0))
    waits.begin(0.0)
    assert waits.waited_s(5.0) == 0.0
    assert waits.waited_s(6.0) == 0.0
    assert waits.waited_s(7.0) == 0.0


def test_what_runs_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = waiting(monkeypatch, ("R", 0, 0), ("R", 900 * MS, 0), ("R", 1900 * MS, 0))
    waits.begin(0.0)
    assert waits.waited_s(1.0) == 0.0
    assert waits.waited_s(2.0) == 0.0


def test_no_more_than_the_time_that_has_passed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a pool stands while its caller works; the kernel's does not."""
    waits = waiting(monkeypatch, ("R", 0, 500 * MS), ("S", 1, 9000 * MS))
    waits.begin(0.0)
    assert waits.waited_s(1.0) == 1.0


def test_a_process_that_is_gone_waits_for_nothing() -> None:
    waits = ProcessorWait(2**22 + 1)  # above the most that the kernel gives
    waits.begin(1.0)
    assert waits.waited_s(3.0) == 0.0
