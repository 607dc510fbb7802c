"""When a daemon has whole files read, and of which roots."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.settings import Settings
from watcher.log import EventLog
from watcher.work.scrubbing import Scrubbing

ROOTS = (b"/awake", b"/asleep", b"/unknown")
STATES = {b"/awake": False, b"/asleep": True, b"/unknown": None}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, ...]]:
    """The places of each process that would be started."""
    found: list[tuple[bytes, ...]] = []

    def start(_self: Scrubbing, places: tuple[bytes, ...]) -> None:
        found.append(places)

    monkeypatch.setattr(Scrubbing, "_start", start)
    return found


def scrubbing(tmp_path: Path, *, scrub: bool = True) -> Scrubbing:
    settings = Settings(db=tmp_path / "library.db", scrub=scrub)
    return Scrubbing(settings, EventLog(), STATES.__getitem__)


def test_nothing_is_read_unless_it_is_set(tmp_path: Path, started: list[object]) -> None:
    off = scrubbing(tmp_path, scrub=False)
    off.step(1.0, ROOTS, is_idle=True)
    assert (started, off.next_turn()) == ([], None)


def test_a_disk_that_sleeps_is_left_alone(tmp_path: Path, started: list[object]) -> None:
    scrubbing(tmp_path).step(1.0, ROOTS, is_idle=True)
    assert started == [(b"/awake", b"/unknown")]


def test_where_all_disks_sleep_it_asks_again_later(tmp_path: Path, started: list[object]) -> None:
    waiting = scrubbing(tmp_path)
    waiting.step(1.0, [b"/asleep"], is_idle=True)
    at = waiting.next_turn()
    assert started == []
    assert at is not None
    assert at > 1.0
    waiting.step(at - 1, ROOTS, is_idle=True)
    assert started == []
    waiting.step(at, ROOTS, is_idle=True)
    assert len(started) == 1


def test_what_has_to_be_indexed_comes_first(tmp_path: Path, started: list[object]) -> None:
    busy = scrubbing(tmp_path)
    busy.step(1.0, ROOTS, is_idle=False)
    assert started == []
    assert busy.next_turn() == 0.0
