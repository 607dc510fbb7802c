# ruff: noqa: RUF001 - letters that look like others are what this is about
from __future__ import annotations

import pytest

from indexer.errors import UsageError
from indexer.store.search.fields import Fact
from indexer.store.search.query import Question, Term, Words, parse


def asked(*terms: Term) -> Question:
    return Question(tuple((term,) for term in terms))


def words_of(typed: str) -> list[Words]:
    terms = [term for group in parse(typed).groups for term in group]
    return [term for term in terms if isinstance(term, Words)]


def test_all_words_are_wanted_and_the_last_may_be_a_beginning() -> None:
    assert parse("Best  debut") == asked(Words("best"), Words("debut", prefix=True))


@pytest.mark.parametrize(
    "typed", ['love "me"', "love artist:me", "love -me", "love year:1997", "love 東京"]
)
def test_only_a_word_and_no_more_may_be_a_beginning(typed: str) -> None:
    assert not any(words.prefix for words in words_of(typed))


def test_words_in_quotes_stand_side_by_side() -> None:
    assert parse('"Army of  Me" x') == asked(
        Words("army of me", quoted=True), Words("x", prefix=True)
    )


@pytest.mark.parametrize(
    ("typed", "text", "others"),
    [
        ("AC/DC", "ac dc", {"acdc"}),
        ("r.e.m.", "r e m", {"rem"}),
        ("Björk", "bjork", {"bjoerk"}),
        ("Ke$ha", "ke ha", {"kesha"}),
        ("Кино", "кино", {"kino"}),
        ("plain", "plain", set()),
    ],
)
def test_a_word_may_be_spelled_as_it_is_in_the_index(
    typed: str, text: str, others: set[str]
) -> None:
    (words,) = words_of(typed)
    assert words.text == text
    assert set(words.others) == others


@pytest.mark.parametrize("field", ["title", "artist", "albumartist", "album", "genre", "composer",
                                   "comment", "label"])  # fmt: skip
def test_a_field_takes_a_word_or_a_phrase(field: str) -> None:
    assert parse(f"{field}:Óne") == asked(Words("one", field))
    assert parse(f'{field.upper()}:"one two"') == asked(Words("one two", field, quoted=True))


def test_a_dash_before_anything_says_that_it_is_not_wanted() -> None:
    assert parse('-live -"in concert" -artist:x -genre:"a b"') == asked(
        Words("live", negated=True),
        Words("in concert", negated=True, quoted=True),
        Words("x", "artist", negated=True),
        Words("a b", "genre", negated=True, quoted=True),
    )


def test_or_joins_the_two_terms_beside_it_and_no_more() -> None:
    assert parse("love paris OR london OR year:1990 now").groups == (
        (Words("love"),),
        (
            Words("paris"),
            Words("london"),
            Fact("tracks.year = ?", (1990,)),
        ),
        (Words("now", prefix=True),),
    )


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("artist:", ["artist"]),
        ("artist: x", ["artist", "x"]),
        ("year:", ["year"]),
        ("12:51", ["12 51"]),
        ('"unclosed quote', ["unclosed", "quote"]),
        ('12" mix', ["12", "mix"]),
        ("title:(", ["（"]),
        ('say "" it', ["say", "it"]),
        ("OR x or y AND NOT z* OR", ["or", "x", "or", "not", "z", "or"]),
        ("NEAR(a b)", ["near a", "b"]),
    ],
)
def test_what_is_no_field_is_looked_for_as_words(typed: str, words: list[str]) -> None:
    met = dict.fromkeys(one.text for one in words_of(typed) if not one.optional)
    assert list(met) == list(dict.fromkeys(words))


@pytest.mark.parametrize("typed", ["love - peace", "- love peace", "love -- peace", "love … peace"])
def test_lines_among_words_are_not_looked_for(typed: str) -> None:
    assert [one.text for one in words_of(typed)] == ["love", "peace"]


@pytest.mark.parametrize("sign", ["&", "+", "and", "und", "et"])
def test_a_word_for_and_may_be_missing_or_another(sign: str) -> None:
    love, sign_asked, peace = words_of(f"love {sign} peace")
    assert (love.optional, sign_asked.optional, peace.optional) == (False, True, False)
    assert {sign_asked.text, *sign_asked.others} == {"and", "und", "et", "y", "n"}


def test_a_word_for_and_by_itself_is_looked_for() -> None:
    assert [one.optional for one in words_of("and")] == [False]


def test_symbols_by_themselves_are_looked_for() -> None:
    assert parse("!!!") == asked(Words("！！！", prefix=True))
    assert parse("love artist:!!!") == asked(Words("love"), Words("！！！", "artist"))
    assert parse("!!! love") == asked(Words("！！！"), Words("love", prefix=True))


@pytest.mark.parametrize("typed", ["", " \t", "\u3000"])
def test_nothing_typed_asks_for_nothing_in_particular(typed: str) -> None:
    assert parse(typed) == Question()


@pytest.mark.parametrize("typed", ['""', "\x00", '"\u00ad"', "\u200b", "\u0301", '-""'])
def test_a_text_of_nothing_visible_is_no_question(typed: str) -> None:
    with pytest.raises(UsageError, match="there is no word in "):
        parse(typed)


@pytest.mark.parametrize("typed", ['artist:""', 'year:""', '-root:""', 'date:""', 'foo:""'])
def test_an_empty_phrase_of_a_field_is_wrong_use(typed: str) -> None:
    with pytest.raises(UsageError, match="has nothing to look for"):
        parse(typed)


@pytest.mark.parametrize("typed", ["--", "-–", "- -", "---"])
def test_dashes_alone_are_looked_for_and_leave_out_nothing(typed: str) -> None:
    assert parse(typed).unwanted == ()
    assert parse(typed).wanted


@pytest.mark.parametrize("typed", ["artist:x", '"a b"', "title:(", 'artist:"x y"', "year:1990"])
def test_more_dashes_than_one_leave_out_as_one_does(typed: str) -> None:
    assert parse(f"love --{typed}") == parse(f"love ---{typed}") == parse(f"love -{typed}")


def test_an_emoji_is_not_the_beginning_of_the_word_for_it() -> None:
    ((words,),) = parse("🔥").groups
    assert isinstance(words, Words)
    assert (words.others, words.equivalents) == ((), ("fire",))


def test_a_sign_beside_words_may_be_missing_but_a_dash_says_nothing() -> None:
    assert parse("sheeran ÷") == asked(Words("sheeran"), Words("÷", prefix=True, optional=True))
    assert parse("sheeran - ÷ – / divide") == asked(
        Words("sheeran"), Words("÷", optional=True), Words("divide", prefix=True)
    )
    assert parse("sheeran -÷") == asked(Words("sheeran"))
