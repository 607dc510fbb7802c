"""Names of one folder: which files are complete, which are asked for, and when again."""

from __future__ import annotations

import pytest

from indexer.evidence import FileLease
from indexer.model import Hint
from tests.fake_fs import World
from tests.unit.watcher.debounce.test_debouncer import (
    FLAC,
    QUIET,
    QUIET_OF_NEW,
    SONG,
    busy,
    see,
    times_of,
    whole,
)
from watcher.debounce.debouncer import Debouncer, DueHint
from watcher.debounce.folder_buffer import Observation
from watcher.events.fs_event import FsEventKind

# Evidence: leases, unchanged files, held files, truncated files.


def test_a_file_that_went_or_has_other_attributes_is_not_asked_for() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.GONE, b"a.mp3"), now=0)
    debouncer.offer(see(FsEventKind.ATTRIBUTES, b"b.mp3"), now=0)

    def nobody(_root_id: int, path: bytes, _now: float) -> Observation:
        raise AssertionError(path)

    (due,) = debouncer.pop_due(QUIET, nobody)
    assert due == DueHint(Hint(1, b"Debut", (b"a.mp3", b"b.mp3")))


def test_attributes_of_a_file_that_is_being_written_do_not_make_it_due() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer(see(FsEventKind.ATTRIBUTES), now=1)
    assert debouncer.pop_due(5, busy) == []
    assert debouncer.waiting_count == 1


def test_a_closed_file_that_was_opened_again_is_not_whole() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CLOSED), now=0)
    assert debouncer.pop_due(QUIET, busy) == []
    (due,) = debouncer.pop_due(1, whole)
    assert due.hint.names == (b"01.mp3",)
    assert due.whole == frozenset()


def test_a_file_that_is_never_closed_is_checked_with_growing_pauses() -> None:
    world = World()
    world.create(SONG)
    created_at = world.now
    world.sleep(55)
    after = [round(at - created_at, 2) for at in world.asked[SONG]]
    assert after == [
        *[0.01, 0.03, 0.07, 0.15, 0.31, 0.63, 1.27, 2.55, 5.11, 10.23, 20.23],
        *[30.23, 40.23, 50.23],
    ]


def test_a_close_makes_the_pauses_short_again() -> None:
    world = World()
    world.create(FLAC)
    world.sleep(30)
    world.write(FLAC, "cut short")
    world.close(FLAC)
    closed_at = world.now
    world.sleep(0.1)
    after = [round(at - closed_at, 3) for at in world.asked[FLAC] if at > closed_at]
    assert after == [0.001, 0.011, 0.031, 0.071]


def test_writing_does_not_make_the_pauses_short_again() -> None:
    world = World()
    world.create(SONG)
    for _ in range(1000):
        world.write(SONG, "sound")
        world.sleep(0.03)
    assert len(world.asked[SONG]) == 11
    assert times_of(world, SONG) == []


def test_a_file_that_is_held_open_is_read_when_it_stood_still_for_long() -> None:
    world = World()
    world.create(SONG)
    world.sleep(5)
    world.write(SONG, "sound")
    written_at = world.now
    world.sleep(200)
    (read_at,) = times_of(world, SONG)
    assert written_at + 60 <= read_at <= written_at + 60 + 10.23
    assert world.debouncer.next_due() is None
    world.close(SONG)
    world.sleep(1)
    assert len(world.dues) == 2


def test_without_leases_a_close_is_evidence() -> None:
    world = World(leases=False)
    world.put(SONG, "sound")
    closed_at = world.now
    world.sleep(10)
    assert times_of(world, SONG) == [pytest.approx(closed_at + QUIET_OF_NEW)]


def test_without_leases_and_a_close_a_file_is_read_when_it_stood_still() -> None:
    world = World(leases=False)
    world.create(SONG)
    for _ in range(100):
        world.write(SONG, "sound")
        world.sleep(0.1)
    stopped_at = world.now - 0.1
    world.sleep(20)
    (read_at,) = times_of(world, SONG)
    assert stopped_at + 2 <= read_at <= stopped_at + 2 + 10.23
    assert world.is_in_step()


def test_a_change_that_only_the_stamp_tells_of_counts_as_one() -> None:
    world = World(leases=False)
    world.create(SONG)
    for _ in range(100):
        world.disk[SONG].content += "mapped"
        world.disk[SONG].changed_at = world.now
        world.sleep(0.1)
    assert times_of(world, SONG) == []
    world.sleep(20)
    assert world.is_in_step()


@pytest.mark.parametrize(
    ("kind", "seen", "still_s"),
    [
        (FsEventKind.WRITING, Observation(FileLease.UNAVAILABLE, 1, 1), 2),
        (FsEventKind.CLOSED, Observation(FileLease.GRANTED, 0, 1), 10),
    ],
)
def test_a_change_that_the_stamp_is_too_coarse_to_tell_of_counts_as_one(
    kind: FsEventKind, seen: Observation, still_s: float
) -> None:
    debouncer = Debouncer()
    debouncer.offer(see(kind), now=0)
    assert debouncer.pop_due(1, lambda *_: seen) == []
    debouncer.offer(see(kind), now=1.5)
    assert debouncer.pop_due(1.4 + still_s, lambda *_: seen) == []
    assert len(debouncer.pop_due(1.5 + still_s, lambda *_: seen)) == 1


@pytest.mark.parametrize(("path", "content"), [(SONG, ""), (FLAC, "cut short")])
def test_a_file_that_is_empty_or_cut_short_is_tried_for_10_s_and_then_read(
    path: bytes, content: str
) -> None:
    world = World()
    world.put(path, content)
    closed_at = world.now
    world.sleep(60)
    assert times_of(world, path) == [pytest.approx(closed_at + 10 + QUIET_OF_NEW)]
    assert len(world.asked[path]) <= 12
    assert world.dues[0][1].whole == {path}


def test_a_file_that_was_cut_short_is_read_soon_after_it_is_complete() -> None:
    world = World()
    world.put(FLAC, "cut ")
    world.sleep(1)
    world.open(FLAC)
    world.write(FLAC, "short.")
    world.close(FLAC)
    closed_at = world.now
    world.sleep(60)
    assert times_of(world, FLAC) == [pytest.approx(closed_at + QUIET_OF_NEW)]


def test_a_file_that_waits_does_not_hold_back_its_folder() -> None:
    world = World()
    world.put(FLAC, "cut short")
    world.put(SONG, "sound")
    world.sleep(QUIET)
    assert world.index.keys() == {SONG}


def test_a_coarse_clock_is_waited_for() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CLOSED), now=0)

    def until_2(_root_id: int, _path: bytes, now: float) -> Observation:
        return Observation(FileLease.GRANTED, 1, 1, tick_left_s=max(0, 2 - now))

    times: list[float] = []
    while not times or not debouncer.pop_due(times[-1], until_2):
        times.append(debouncer.next_due() or 0)
    assert times[-1] == 2
    assert len(times) < 12


def test_a_file_that_is_gone_when_it_is_asked_for_is_the_scans_to_judge() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CREATED), now=0)
    debouncer.offer(see(FsEventKind.CLOSED, b"02.mp3"), now=0.01)
    (due,) = debouncer.pop_due(1, lambda *_: None)
    assert due == DueHint(Hint(1, b"Debut", (b"01.mp3", b"02.mp3")))
