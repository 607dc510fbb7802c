"""Tracks that stay away are forgotten: after days on which their root was there, not before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from indexer import errors
from indexer.library import Library
from indexer.settings import Settings
from tests.corpus import plant as plant_at
from tests.trees import BAD, Plant, ask, faults, ids, song, told

DAY_NS = 86_400 * 10**9
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2
KEEP = 30


class Clock:
    """The time of day, which only the test moves."""

    def __init__(self) -> None:
        self.now_ns = NOON_NS

    def __call__(self) -> int:
        return self.now_ns

    def move(self, days: float) -> None:
        self.now_ns += round(days * DAY_NS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time_ns", made)
    return made


@pytest.fixture
def kept(clock: Clock, library: Library, plant: Plant, music: Path) -> Library:
    """An index of two tracks, of which `gone.mp3` went missing today."""
    assert clock() == NOON_NS
    plant({"here.mp3": song("Here"), "gone.mp3": song("Gone")})
    library.scan()
    (music / "gone.mp3").unlink()
    assert library.scan().missing == 1
    return library


@pytest.fixture
def reopened(settings: Settings) -> Iterator[Callable[..., Library]]:
    """`reopened(keep_missing=3)`: the same index under changed settings."""
    with ExitStack() as stack:
        yield lambda **changed: stack.enter_context(
            Library(msgspec.structs.replace(settings, **changed))
        )


def pass_days(library: Library, clock: Clock, days: int) -> None:
    """Scan once a day."""
    for _ in range(days):
        clock.move(1)
        library.scan()


def remembered(library: Library) -> set[str]:
    """The paths of all rows, missing ones too."""
    return {bytes(path).decode() for (path,) in ask(library, "SELECT path FROM tracks")}


def test_a_missing_track_is_remembered_until_its_root_was_there_for_thirty_days(
    kept: Library, clock: Clock
) -> None:
    pass_days(kept, clock, KEEP - 1)
    assert remembered(kept) == {"here.mp3", "gone.mp3"}
    pass_days(kept, clock, 1)
    assert remembered(kept) == {"here.mp3"}
    assert faults(kept) == []
    assert kept.verify(deep=True).ok


def test_a_track_that_comes_back_in_time_keeps_its_id(
    kept: Library, plant: Plant, clock: Clock
) -> None:
    pass_days(kept, clock, KEEP - 1)
    plant({"gone.mp3": song("Gone")})
    assert kept.scan().returned == 1
    assert ids(kept)["gone.mp3"] == 1
    pass_days(kept, clock, KEEP + 1)
    assert set(ids(kept)) == {"here.mp3", "gone.mp3"}


def test_a_track_that_leaves_again_is_remembered_as_long_again(
    kept: Library, plant: Plant, music: Path, clock: Clock
) -> None:
    pass_days(kept, clock, KEEP - 1)
    plant({"gone.mp3": song("Gone")})
    kept.scan()
    (music / "gone.mp3").unlink()
    kept.scan()
    pass_days(kept, clock, KEEP - 1)
    assert "gone.mp3" in remembered(kept)
    pass_days(kept, clock, 1)
    assert "gone.mp3" not in remembered(kept)


def test_the_id_of_a_forgotten_track_is_never_used_again(
    kept: Library, plant: Plant, music: Path, clock: Clock
) -> None:
    """Not even that of the newest row there was."""
    (music / "here.mp3").unlink()
    kept.scan()
    pass_days(kept, clock, KEEP)
    assert remembered(kept) == set()
    plant({"gone.mp3": song("Gone"), "here.mp3": song("Here")})
    kept.scan()
    assert set(ids(kept).values()) == {3, 4}
    assert [kind for kind, _ in told(kept)] == ["added"] * 2 + ["missing"] * 2 + ["added"] * 2


def test_a_file_that_could_not_be_read_is_forgotten_as_others_are(
    kept: Library, plant: Plant, music: Path, clock: Clock
) -> None:
    plant({"bad.mp3": BAD})
    kept.scan()
    (music / "bad.mp3").unlink()
    kept.scan()
    pass_days(kept, clock, KEEP)
    assert remembered(kept) == {"here.mp3"}


def test_many_scans_on_one_day_are_one_day(kept: Library, clock: Clock) -> None:
    for _ in range(KEEP + 1):
        kept.scan()
    clock.move(0.4)
    for _ in range(KEEP + 1):
        kept.scan()
    assert "gone.mp3" in remembered(kept)


def test_a_clock_that_jumps_a_year_ahead_counts_one_day(kept: Library, clock: Clock) -> None:
    clock.move(365)
    kept.scan()
    pass_days(kept, clock, KEEP - 2)
    assert "gone.mp3" in remembered(kept)
    pass_days(kept, clock, 1)
    assert "gone.mp3" not in remembered(kept)


def test_a_clock_that_jumps_back_counts_no_day_and_goes_on_counting(
    kept: Library, clock: Clock
) -> None:
    pass_days(kept, clock, 10)
    clock.move(-5)
    kept.scan()
    pass_days(kept, clock, KEEP - 11)
    assert "gone.mp3" in remembered(kept)
    pass_days(kept, clock, 1)
    assert "gone.mp3" not in remembered(kept)


def test_a_clock_that_begins_in_1970_at_each_start_counts_no_days(
    kept: Library, clock: Clock
) -> None:
    """A Raspberry Pi asks the network what time it is, some seconds after its start."""
    for _ in range(KEEP + 1):
        clock.move(-20_000)
        kept.scan()
        clock.move(20_000)
        kept.scan()
    assert "gone.mp3" in remembered(kept)


def test_days_on_which_the_root_was_away_do_not_count(
    kept: Library, music: Path, clock: Clock
) -> None:
    pass_days(kept, clock, KEEP - 1)
    music.rename(music.with_name("unplugged"))
    pass_days(kept, clock, KEEP)
    assert remembered(kept) == {"here.mp3", "gone.mp3"}
    music.with_name("unplugged").rename(music)
    pass_days(kept, clock, 1)
    assert remembered(kept) == {"here.mp3"}


def test_days_of_one_root_are_not_days_of_another(
    kept: Library, music: Path, clock: Clock, reopened: Callable[..., Library]
) -> None:
    """Not even when the setting is lowered meanwhile: who is away is not judged."""
    other = music.with_name("other")
    plant_at(other, {"stays.mp3": song(), "gone too.mp3": song()})
    kept.add_root(os.fsencode(other))
    kept.scan()
    (other / "gone too.mp3").unlink()
    kept.scan()
    pass_days(kept, clock, 5)
    other.rename(other.with_name("unplugged"))
    pass_days(kept, clock, KEEP)
    assert remembered(kept) == {"here.mp3", "stays.mp3", "gone too.mp3"}
    impatient = reopened(keep_missing=3)
    pass_days(impatient, clock, 2)
    assert "gone too.mp3" in remembered(impatient)
    other.with_name("unplugged").rename(other)
    pass_days(impatient, clock, 1)
    assert remembered(impatient) == {"here.mp3", "stays.mp3"}


def test_the_tracks_of_a_removed_root_wait_for_it(kept: Library, music: Path, clock: Clock) -> None:
    before = ids(kept)
    other = music.with_name("other")
    plant_at(other, {"else.mp3": song()})
    kept.add_root(os.fsencode(other))
    kept.remove_root("music")
    pass_days(kept, clock, 2 * KEEP)
    assert remembered(kept) == {"here.mp3", "gone.mp3", "else.mp3"}
    kept.add_root(os.fsencode(music))
    report = kept.scan()
    assert (report.returned, report.files_read) == (1, 0)
    assert ids(kept)["here.mp3"] == before["here.mp3"]


@pytest.mark.parametrize("days", [0, 1, 3])
def test_how_long_a_track_is_remembered_is_a_setting(
    kept: Library, clock: Clock, reopened: Callable[..., Library], days: int
) -> None:
    assert "gone.mp3" in remembered(kept)
    short = reopened(keep_missing=days)
    if days > 1:
        pass_days(short, clock, days - 1)
        assert "gone.mp3" in remembered(short)
    pass_days(short, clock, 1)
    assert remembered(short) == {"here.mp3"}


def test_a_scan_of_a_day_that_was_counted_writes_nothing_of_it(kept: Library, clock: Clock) -> None:
    pass_days(kept, clock, 1)
    before = ask(kept, "SELECT * FROM roots"), ask(kept, "SELECT * FROM tracks")
    clock.move(0.1)
    kept.scan()
    assert (ask(kept, "SELECT * FROM roots"), ask(kept, "SELECT * FROM tracks")) == before


# The change feed


def feed(library: Library) -> list[tuple[int, str]]:
    return [(row.seq, row.kind) for row in library.changes()]


def test_the_feed_is_pruned_after_its_days_and_says_so(
    clock: Clock, kept: Library, reopened: Callable[..., Library]
) -> None:
    library = reopened(keep_changes=5)
    assert feed(kept) == [(1, "added"), (2, "added"), (3, "missing")]
    for _ in range(6):
        clock.move(days=1)
        library.scan()
    kinds = [kind for _, kind in feed(library)]
    assert kinds == ["added"]
    assert len(list(library.changes(3))) == 0
    with pytest.raises(errors.HistoryPruned, match="snapshot"):
        list(library.changes(1))


def test_a_jump_of_the_clock_prunes_nothing_on_its_day(
    clock: Clock, kept: Library, reopened: Callable[..., Library]
) -> None:
    library = reopened(keep_changes=5)
    clock.move(days=400)
    library.scan()
    assert len(feed(kept)) == 3


def test_a_feed_without_limit_keeps_everything(
    clock: Clock, kept: Library, reopened: Callable[..., Library]
) -> None:
    library = reopened(keep_changes=0)
    for _ in range(3):
        clock.move(days=1)
        library.scan()
    clock.move(days=1)
    library.scan()
    assert len(feed(kept)) == 3
