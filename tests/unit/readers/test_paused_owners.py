from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from indexer.artwork.model import PictureKey
from indexer.readers.paused_owners import OFFLINE_S, PausedOwners
from indexer.store.sidecars.artwork import Owner, OwnerKind
from tests.clock import Clock

ALBUM = Owner(OwnerKind.ALBUM, 1)
KEY = PictureKey(1, b"a/cover.jpg")


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def paused(clock: Clock) -> PausedOwners:
    return PausedOwners(clock, first_s=1.0, longest_s=3.0)


def test_pauses_of_one_owner_grow_to_the_longest(paused: PausedOwners, clock: Clock) -> None:
    for due_at in (1.0, 3.0, 6.0, 9.0):
        paused.put(ALBUM)
        assert paused.next_turn() == due_at
        assert paused.over() == []
        clock.now = due_at
        assert paused.over() == [ALBUM]


def test_a_pause_begins_short_again_after_it_was_ended(paused: PausedOwners) -> None:
    paused.put(ALBUM)
    paused.put(ALBUM)
    paused.end(ALBUM)
    assert ALBUM not in paused
    paused.put(ALBUM)
    assert paused.next_turn() == 1.0


def test_an_owner_for_which_a_picture_is_read_has_no_turn(
    paused: PausedOwners, clock: Clock
) -> None:
    paused.put(ALBUM)
    paused.hold(ALBUM)
    clock.now = 100.0
    assert (paused.next_turn(), paused.over()) == (None, [])


@pytest.mark.parametrize("is_offline", [True, False])
def test_a_disk_that_is_there_again_ends_the_pause(
    paused: PausedOwners, *, is_offline: bool
) -> None:
    paused.put_away(ALBUM, KEY)
    assert not paused.wait_for_evidence
    tree: Any = SimpleNamespace(is_offline=lambda _path: is_offline)
    paused.note_disks({2: tree})
    assert paused.next_turn() == OFFLINE_S
    paused.note_disks({KEY.root_id: tree})
    assert paused.next_turn() == (OFFLINE_S if is_offline else 0.0)


def test_only_short_pauses_wait_for_evidence(paused: PausedOwners) -> None:
    paused.put(ALBUM)
    assert paused.wait_for_evidence
