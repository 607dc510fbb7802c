"""The words of the index in blocks: where a block ends makes no difference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import apsw
import pytest

from indexer.store.connection import Connection
from indexer.store.search import full_text, vocabulary
from indexer.store.search.folding import fold
from indexer.store.search.query import Question, Words, parse
from indexer.store.search.vocabulary import Meant, Vocabulary

TITLES = (
    "alpha beta",
    "beta gamma",
    "beta bethany",
    "中文 beta",
    "hyperballad",
    "zeta ωmega",
    "op 27 no 2",
    "w h o k i l l",
)
MEANT = {
    "betta": "beta", "gama": "gamma", "alpah": "alpha", "hyperbalad": "hyperballad", "zetta": "zeta"
}  # fmt: skip


UNKNOWN = tuple(f"qqqq{chr(97 + number)}xxxx" for number in range(20))
TABLES = """
CREATE VIRTUAL TABLE track_search USING fts5 (title);
CREATE TABLE tag_words (name, words, set_id);
CREATE TABLE tracks (id, title, artist, albumartist, album);
CREATE TABLE catalog_artists (name);
"""


@pytest.fixture(params=[1, 2, 3, 10_000])
def words(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vocabulary]:
    monkeypatch.setattr(vocabulary, "_IN_ONE_BLOCK", request.param)
    with closing(Connection(":memory:")) as connection:
        connection.execute(TABLES)
        rows = [(title,) for title in TITLES]
        connection.executemany("INSERT INTO track_search VALUES (?)", rows)
        yield Vocabulary(connection)


def likeliest(words: Vocabulary, typed: str) -> Meant:
    return next(words.meant(parse(typed)))


def only(question: Question) -> Words:
    ((one,),) = question.groups
    assert isinstance(one, Words)
    return one


@pytest.mark.parametrize(("typed", "meant"), MEANT.items())
def test_a_misspelled_word_is_taken_for_the_likeliest(
    words: Vocabulary, typed: str, meant: str
) -> None:
    assert likeliest(words, typed).instead == {typed: meant}


def test_words_that_hold_a_part_come_with_the_most_frequent_first(words: Vocabulary) -> None:
    assert only(likeliest(words, "eta").question).others == ("beta", "zeta")
    assert only(likeliest(words, "ethan").question).others == ("bethany",)


def test_two_words_are_joined_where_the_index_has_them_as_one(words: Vocabulary) -> None:
    assert only(likeliest(words, "hyper ballad").question).text == "hyperballad"
    assert only(likeliest(words, "alphabeta").question).text == "alpha beta"


@pytest.mark.parametrize(
    ("typed", "apart"),
    [("betagamma", "beta gamma"), ("op27no2", "op 27 no 2"), ("whokill", "w h o k i l l")],
)
def test_words_that_were_typed_as_one_are_taken_apart(
    words: Vocabulary, typed: str, apart: str
) -> None:
    assert only(likeliest(words, typed).question).text == apart


def test_a_word_too_long_for_a_name_is_not_taken_apart(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_cuts", lambda *_: pytest.fail("taken apart"))
    assert likeliest(words, "beta" * 250).instead == {}


def test_a_question_is_thought_about_once(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = likeliest(words, "betta zetta")
    every = list(words.meant(parse("betta zetta")))
    assert [one.mistyped for one in every] == [False, False, True]
    monkeypatch.setattr(words, "_like", lambda *_: pytest.fail("asked again"))
    assert list(words.meant(parse("betta zetta"))) == every
    assert every[0] is first


def test_a_word_that_was_cut_within_a_character_is_no_trouble_for_others() -> None:
    with closing(Connection(":memory:")) as connection:
        connection.execute(TABLES)
        for title in ("x" + "ж" * 20_000, "hyperballad"):
            connection.execute("INSERT INTO track_search VALUES (?)", (title,))
        meant = likeliest(Vocabulary(connection), "hyperbalad")
        assert meant.instead == {"hyperbalad": "hyperballad"}


def test_what_ends_the_reading_of_all_words_is_what_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_word: bytes) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(vocabulary, "_text", interrupted)
    with closing(Connection(":memory:")) as connection:
        connection.execute(TABLES)
        connection.execute("INSERT INTO track_search VALUES ('alpha')")
        with pytest.raises(KeyboardInterrupt):
            Vocabulary(connection)
        assert not connection.execute("SELECT name FROM sqlite_temp_schema").fetchall()


def test_a_question_that_an_error_has_ended_is_thought_about_anew(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise apsw.BusyError

    asked = parse("alpah gama")
    with monkeypatch.context() as failing:
        failing.setattr(full_text, "occurs", fail)
        with pytest.raises(apsw.BusyError):
            list(words.meant(asked))
    assert next(words.meant(asked)).instead == {"alpah": "alpha", "gama": "gamma"}


def test_a_pasted_text_that_is_in_no_name_is_not_compared_word_by_word(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    like = words._like

    def noted(typed: str, allowed: int) -> list[str]:
        compared.append(typed)
        return like(typed, allowed)

    monkeypatch.setattr(words, "_like", noted)
    asked = [f"qqqq{chr(97 + number // 26)}{chr(97 + number % 26)}xxxx" for number in range(80)]
    list(words.meant(parse(" ".join(asked))))
    assert len(set(compared)) == vocabulary._MOST_OF_LONG
    compared.clear()
    list(words.meant(parse(" ".join(asked[: vocabulary._MOST_COMPARED]))))
    assert len(set(compared)) == vocabulary._MOST_COMPARED
    compared.clear()
    ways = list(words.meant(parse(f"{asked[0]} betta zetta")))
    assert [one.mistyped for one in ways] == [False, False], "none has the first word"
    assert compared.count("betta") == 1


@pytest.mark.parametrize(
    "typed", [" OR ".join(UNKNOWN[:19]), " ".join(f"{one} OR {one}xx" for one in UNKNOWN[:9]),
              " ".join(f"{one}-{one}xx" for one in UNKNOWN[:9])]
)  # fmt: skip
def test_few_words_of_a_long_question_are_compared_also_with_others_between(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    compared: list[str] = []
    compare = words._compare

    def noted(typed: str, allowed: int) -> list[str]:
        compared.append(typed)
        return compare(typed, allowed)

    monkeypatch.setattr(words, "_compare", noted)
    assert not any(one.mistyped for one in words.meant(parse(typed)))
    assert len(set(compared)) <= vocabulary._MOST_COMPARED


def test_a_pasted_text_of_words_of_the_index_is_compared_with_none_of_it(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_like", lambda *_: pytest.fail("compared"))
    many = " ".join(f"alpha{number}" for number in range(vocabulary._MOST_COMPARED + 1))
    monkeypatch.setattr(full_text, "occurs", lambda *_: True)
    assert not any(one.mistyped for one in words.meant(parse(many)))


@pytest.mark.parametrize(
    ("initials", "artist"),
    [("gnr", "guns n roses"), ("csny", "crosby stills nash and young"), ("qxz", None)],
)
def test_an_artist_is_found_by_initials(
    words: Vocabulary, initials: str, artist: str | None
) -> None:
    for name in ("Guns N' Roses", "Crosby, Stills, Nash & Young", "Quiet Xylophone Zoo"):
        words._connection.execute("INSERT INTO catalog_artists VALUES (?)", (name,))
        if not name.startswith("Quiet"):  # all tracks of that one left
            title = fold(name)
            words._connection.execute("INSERT INTO track_search VALUES (?)", (title,))
    assert likeliest(words, initials).instead == ({} if artist is None else {initials: artist})


@pytest.mark.parametrize(
    ("typed", "meant"), [("hyper bal lad", "hyperballad"), ("o p 27", "op27"), ("forty one", "41")]
)
def test_several_neighbours_are_one_word_where_the_index_has_it(
    words: Vocabulary, typed: str, meant: str
) -> None:
    words._connection.execute("INSERT INTO track_search VALUES ('op27')")
    fresh = Vocabulary(words._connection)
    assert only(likeliest(fresh, typed).question).text == meant


def test_a_word_is_compared_once_though_a_question_is_asked_in_several_ways(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, int]] = []
    compare = words._compare

    def noted(typed: str, allowed: int) -> list[str]:
        compared.append((typed, allowed))
        return compare(typed, allowed)

    monkeypatch.setattr(words, "_compare", noted)
    ways = list(words.meant(parse("betta-zetta bethany")))
    assert [one.mistyped for one in ways].count(True) == 1, "also with the words apart"
    assert len(compared) == len(set(compared))


@pytest.mark.parametrize("typed", ["hyper OR ballad -zeta", "hyper OR ballad year:1999"])
def test_a_condition_beside_alternatives_is_no_part_of_one_word(
    words: Vocabulary, typed: str
) -> None:
    asked = parse(typed)
    for way in words.meant(asked):
        assert way.question.groups[1:] == asked.groups[1:]


def test_alternatives_beside_a_condition_say_no_number() -> None:
    asked = parse("forty OR one -live")
    assert list(vocabulary._numbered(asked.groups)) == list(asked.groups)


def test_a_word_that_tracks_have_is_not_taken_for_another_for_a_number_alone(
    words: Vocabulary,
) -> None:
    words._connection.execute("INSERT INTO track_search VALUES ('bta 777')")
    fresh = Vocabulary(words._connection)
    assert not any(one.mistyped for one in fresh.meant(parse("beta 777")))


@pytest.mark.parametrize(
    ("name", "taken"),
    [("Beta", {"betta": "beta"}), ("Gamma", {"gama": "gamma"}), ("Gama beta", {})],
)
def test_of_alternatives_the_one_that_was_taken_for_another_is_told(
    name: str, taken: dict[str, str]
) -> None:
    either = (Words("betta", others=("beta",)), Words("gama", others=("gamma",)))
    assert Meant(Question((either,)), {}, (), mistyped=True).taken([name]) == taken
