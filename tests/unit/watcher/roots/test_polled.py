"""When the times of folders are looked at, and which are kept."""

from __future__ import annotations

from indexer.model import Hint
from watcher.roots.polled import Passed, PolledPlaces, pass_pause_s


def test_a_cheap_pass_is_made_ten_times_in_a_poll_but_not_more_often_than_a_client_asks() -> None:
    assert pass_pause_s(3600.0, 0.01) == 360.0
    assert pass_pause_s(300.0, 0.01) == 30.0
    assert pass_pause_s(60.0, 0.01) == 30.0


def test_passes_take_a_hundredth_of_the_time_at_the_most() -> None:
    assert pass_pause_s(300.0, 1.5) == 150.0
    assert pass_pause_s(300.0, 3.0) is None, "the look at all files comes first"
    assert pass_pause_s(10.0, 0.0) is None


def test_a_disk_on_which_all_folders_seem_changed_each_time_is_asked_less_often() -> None:
    lies = Passed([Hint(1, b"%d" % number) for number in range(1000)], folders=1000, seconds=0.1)
    assert pass_pause_s(300.0, lies.cost_s) is None


def test_only_a_look_at_all_of_a_place_teaches_its_folders() -> None:
    places = PolledPlaces(lambda: 0.0)
    places.keep(1, [b"nas"])
    assert [*places.times_for(Hint(1, b"", recursive=True))] == [b"nas"]
    assert [*places.times_for(Hint(1, b"nas", recursive=True))] == [b"nas"]
    assert not places.times_for(Hint(1, b"nas/a", recursive=True))
    assert not places.times_for(Hint(1, b"nas"))
    assert not places.times_for(Hint(1, b"", (b"nas",)))
    assert not places.times_for(Hint(2, b"", recursive=True))


def test_what_is_not_polled_any_more_is_forgotten() -> None:
    places = PolledPlaces(lambda: 0.0)
    places.keep(1, [b"nas", b"usb"])
    places.note_all_times(1, {b"": 1, b"nas": 1, b"nas/a": 1, b"usb": 1})
    assert places.knows(1)
    places.keep(1, [b"usb"])
    assert [*places.times_for(Hint(1, b"", recursive=True))] == [b"usb"]
    places.keep(1, [])
    assert not places.knows(1)
    places.keep(2, [b""])
    places.keep_roots([1])
    assert not places.times_for(Hint(2, b"", recursive=True))
