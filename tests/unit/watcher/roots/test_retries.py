"""The times of retries for unreadable places."""

from __future__ import annotations

from indexer.model import Hint
from watcher.roots.retries import Retries

ONE, OTHER = Hint(1, b"one"), Hint(1, b"other")


def test_a_place_is_tried_again_with_pauses_that_double_up_to_the_longest() -> None:
    retries = Retries(first_s=5, longest_s=20)
    tried = [now for now in range(100) if retries.due([ONE], now)]
    assert tried == [5, 15, 35, 55, 75, 95]


def test_a_few_places_are_looked_at_together_whichever_is_due() -> None:
    """Two files that swapped names while they could not be read are two moves, not two changes."""
    retries = Retries(first_s=5, longest_s=600)
    assert [now for now in range(30) if retries.due([ONE], now)] == [5, 15]
    tried = {now: retries.due([ONE, OTHER], now) for now in range(30, 80)}
    assert [now for now, places in tried.items() if places] == [35, 45, 65, 75]
    assert all(set(places) == {ONE, OTHER} for places in tried.values() if places)


def test_each_of_many_places_has_pauses_of_its_own() -> None:
    retries = Retries(first_s=5, longest_s=600)
    many = [Hint(1, b"%d" % number) for number in range(100)]
    assert [now for now in range(30) if retries.due(many, now)] == [5, 15]
    assert retries.due([*many, OTHER], 30) == []
    assert set(retries.due([*many, OTHER], 35)) == {*many, OTHER}
    assert retries.due([*many, OTHER], 45) == [OTHER]


def test_a_place_that_was_well_meanwhile_begins_anew() -> None:
    retries = Retries(first_s=5, longest_s=600)
    assert [now for now in range(16) if retries.due([ONE], now)] == [5, 15]
    assert retries.due([], 16) == []
    assert [now for now in range(17, 30) if retries.due([ONE], now)] == [22]
