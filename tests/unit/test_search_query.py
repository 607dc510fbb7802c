# ruff: noqa: RUF001 - letters that look like others are what this is about
from __future__ import annotations

import pytest

from indexer.store.query import Codec, Question, Words, Years, parse


def asked(*words: Words) -> Question:
    return Question(words=words)


def test_all_words_are_wanted_and_the_last_may_be_a_beginning() -> None:
    assert parse("Björk  debut") == asked(Words("bjork"), Words("debut", prefix=True))


@pytest.mark.parametrize(
    "typed", ['love "me"', "love artist:me", "love -me", "love year:1997", "love 東京"]
)
def test_only_a_word_and_no_more_may_be_a_beginning(typed: str) -> None:
    assert [words.prefix for words in parse(typed).words] == [False] * len(parse(typed).words)


def test_words_in_quotes_stand_side_by_side() -> None:
    assert parse('"Army of  Me" x') == asked(Words("army of me"), Words("x", prefix=True))


def test_a_word_with_a_mark_inside_is_several_side_by_side() -> None:
    assert parse("AC/DC") == asked(Words("ac dc", prefix=True))


@pytest.mark.parametrize("field", ["title", "artist", "albumartist", "album", "genre"])
def test_a_field_takes_a_word_or_a_phrase(field: str) -> None:
    assert parse(f"{field}:Óne") == asked(Words("one", field))
    assert parse(f'{field.upper()}:"one two"') == asked(Words("one two", field))


@pytest.mark.parametrize(
    ("typed", "first", "last"),
    [
        ("1997", 1997, 1997),
        ("1990-1999", 1990, 1999),
        ("1999-1990", 1990, 1999),
        ("-1979", 0, 1979),
        ("2020-", 2020, 9999),
        ("1990–1999", 1990, 1999),
        ("１９９７", 1997, 1997),
    ],
)
def test_years_are_one_or_a_range(typed: str, first: int, last: int) -> None:
    assert parse(f"year:{typed}") == Question(years=(Years(first, last),))
    assert parse(f"-YEAR:{typed}") == Question(years=(Years(first, last, negated=True),))


def test_a_codec_is_asked_for_by_its_name() -> None:
    assert parse("codec:FLAC -codec:ac-3") == Question(
        codecs=(Codec("FLAC"), Codec("ac-3", negated=True))
    )


def test_a_dash_before_anything_says_that_it_is_not_wanted() -> None:
    assert parse('-live -"in concert" -artist:x -genre:"a b"') == asked(
        Words("live", negated=True),
        Words("in concert", negated=True),
        Words("x", "artist", negated=True),
        Words("a b", "genre", negated=True),
    )


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("foo:bar", ["foo", "bar"]),
        ("-foo:bar", ["foo", "bar"]),
        ('foo:"bar baz"', ["foo", "bar baz"]),
        ("a:b:c", ["a", "b c"]),
        ("artist:", ["artist"]),
        ("artist: x", ["artist", "x"]),
        ('artist:""', ["artist"]),
        ("year:", ["year"]),
        ("year:abc", ["year", "abc"]),
        ("year:-", ["year"]),
        ("year:19971998", ["year", "19971998"]),
        ("year:1990-1995-1999", ["year", "1990 1995 1999"]),
        ("codec:é", ["codec", "e"]),
        ('"unclosed quote', ["unclosed", "quote"]),
        ('12" mix', ["12", "mix"]),
        ("title:(", ["（"]),
        ('say "" it', ["say", "it"]),
        ("x OR y AND NOT z*", ["x", "or", "y", "and", "not", "z"]),
        ("NEAR(a b)", ["near a", "b"]),
    ],
)
def test_what_is_not_understood_is_looked_for_as_words(typed: str, words: list[str]) -> None:
    assert [one.text for one in parse(typed).words] == words


@pytest.mark.parametrize("typed", ["love & peace", "love - peace", "- love peace", "love -- peace"])
def test_symbols_among_words_are_not_looked_for(typed: str) -> None:
    assert [one.text for one in parse(typed).words] == ["love", "peace"]


def test_symbols_alone_are_looked_for() -> None:
    assert parse("!!!") == asked(Words("！！！", prefix=True))
    assert parse("love artist:!!!") == asked(Words("love"), Words("！！！", "artist"))


@pytest.mark.parametrize("typed", ["", " \t", '""', "\x00", '"\u00ad"', "\ud800"])
def test_nothing_typed_asks_for_nothing_in_particular(typed: str) -> None:
    assert parse(typed) == Question()
