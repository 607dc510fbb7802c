"""When a place that could not be read is looked at again."""

from __future__ import annotations

from indexer.model import Hint
from watcher.retries import Retries

ONE, OTHER = Hint(1, b"one"), Hint(1, b"other")


def test_a_place_is_tried_again_with_pauses_that_double_up_to_the_longest() -> None:
    retries = Retries(first_s=5, longest_s=20)
    tried = [now for now in range(100) if retries.due([ONE], now)]
    assert tried == [5, 15, 35, 55, 75, 95]


def test_each_place_has_pauses_of_its_own() -> None:
    retries = Retries(first_s=5, longest_s=600)
    assert [now for now in range(30) if retries.due([ONE], now)] == [5, 15]
    assert retries.due([ONE, OTHER], 30) == []
    assert sorted(retries.due([ONE, OTHER], 35), key=repr) == [ONE, OTHER]
    assert retries.due([ONE, OTHER], 45) == [OTHER]


def test_a_place_that_was_well_meanwhile_begins_anew() -> None:
    retries = Retries(first_s=5, longest_s=600)
    assert [now for now in range(16) if retries.due([ONE], now)] == [5, 15]
    assert retries.due([], 16) == []
    assert [now for now in range(17, 30) if retries.due([ONE], now)] == [22]
