"""Numbers in names: digits, words, Roman numerals, and digits in place of a sound or a letter."""

from __future__ import annotations

import pytest

from indexer.store.search.number_words import (
    looking_like,
    number_of,
    sounding,
    spelled,
    ways_of_large,
)


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("forty one", 41),
        ("five hundred", 500),
        ("ten thousand", 10_000),
        ("two thousand one", 2001),
        ("nineteen eighty four", 1984),
        ("twenty twenty", 2020),
        ("one hundred twenty three thousand four hundred fifty six", 123_456),
        ("one two", None),
        ("seven forty", None),
        ("hundred five", None),
        ("five thousand thousand", None),
        ("one love", None),
        ("twenty twelve hundred", None),
    ],
)
def test_words_say_a_number_only_in_its_order(words: str, number: int | None) -> None:
    assert number_of(words.split()) == number


@pytest.mark.parametrize("number", [0, 13, 40, 99, 100, 101, 999, 1000, 1234, 99_999])
def test_a_number_is_read_as_it_is_spelled(number: int) -> None:
    assert number_of(spelled(number).split()) == number


def test_a_year_is_spelled_also_as_two_numbers() -> None:
    assert "nineteen eighty four" in ways_of_large("1984")
    assert "nineteen oh five" in ways_of_large("1905")
    assert ways_of_large("500") == ("five hundred",)
    assert ways_of_large("007") == ways_of_large("12") == ways_of_large("123456") == ()


@pytest.mark.parametrize(
    ("typed", "name"),
    [("tupac", "2pac"), ("2gether", "together"), ("forever", "4ever"), ("sk8er", "skater"),
     ("skater", "sk8r"), ("gr8", "great"), ("no1", "noone")],
)  # fmt: skip
def test_a_digit_stands_for_its_sound(typed: str, name: str) -> None:
    assert name in sounding(typed)


@pytest.mark.parametrize("typed", ["2", "44", "two", "for", "at"])
def test_what_is_a_number_or_a_word_by_itself_has_no_sound_in_it(typed: str) -> None:
    assert list(sounding(typed)) == []


def test_digits_and_letters_that_look_alike_are_tried_in_words_with_digits_only() -> None:
    assert "h2o" in looking_like("h20")
    assert "10cc" in looking_like("1occ")
    assert (
        list(looking_like("solo")) == list(looking_like("1999")) == list(looking_like("u2")) == []
    )
