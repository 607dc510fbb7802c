"""Events of a root -> its state: lost events always win, and an absent disk waits."""

from __future__ import annotations

import pytest

from watcher.roots.root import RootEvent, RootState, next_state


def after(*events: RootEvent, polled: bool = False) -> RootState:
    """The state of a root after these events since the start."""
    state = RootState.OFFLINE
    for event in events:
        state = next_state(state, event, polled=polled)
    return state


FOUND, LOST, MISSED = RootEvent.FOUND, RootEvent.LOST, RootEvent.MISSED
BEGAN, DONE = RootEvent.SCAN_BEGAN, RootEvent.SCAN_DONE


def test_a_root_that_was_scanned_is_watched() -> None:
    assert after(FOUND) is RootState.STALE
    assert after(FOUND, BEGAN) is RootState.SCANNING
    assert after(FOUND, BEGAN, DONE) is RootState.WATCHING
    assert after(FOUND, BEGAN, DONE, polled=True) is RootState.POLLING


def test_losing_events_beats_finishing_the_scan() -> None:
    assert after(FOUND, BEGAN, MISSED, DONE) is RootState.STALE
    assert after(FOUND, BEGAN, MISSED, DONE, BEGAN, DONE) is RootState.WATCHING


def test_a_scan_that_did_not_begin_cannot_be_done() -> None:
    assert after(FOUND, DONE) is RootState.STALE


@pytest.mark.parametrize("before", [(), (FOUND,), (FOUND, BEGAN), (FOUND, BEGAN, DONE)])
def test_a_disk_that_goes_takes_the_root_offline_from_anywhere(
    before: tuple[RootEvent, ...],
) -> None:
    assert after(*before, LOST) is RootState.OFFLINE


@pytest.mark.parametrize("event", [MISSED, BEGAN, DONE, LOST])
def test_nothing_but_its_disk_brings_an_absent_root_back(event: RootEvent) -> None:
    assert after(event) is RootState.OFFLINE


def test_a_root_that_is_there_already_is_not_found_again() -> None:
    assert after(FOUND, BEGAN, DONE, FOUND) is RootState.WATCHING


def test_a_stale_root_is_shown_as_being_scanned() -> None:
    words = {state.shown for state in RootState}
    assert words == {"offline", "scanning", "watching", "polling"}
    assert RootState.STALE.shown == "scanning"
