from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.spelling import album_key, letters_of, plain


@pytest.mark.parametrize(
    "text",
    [
        unicodedata.normalize("NFD", "Björk"),
        "Björk ",
        " Björk",
        "\ufeffBjörk",
        "Björk\u200b",
        "Björk\u00a0",
        "Björk\x00",
        "\u200eBjörk\u200f",
    ],
)
def test_what_looks_alike_has_one_plain_spelling(text: str) -> None:
    assert plain(text) == "Björk"


@pytest.mark.parametrize("text", ["Björk", "björk", "Bjork", "!!!", "Sigur Rós", "می‌خواهم", "👩‍🎤"])
def test_what_looks_different_keeps_its_spelling(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("text", ["The\u00a0Cure", "The  Cure", "The\tCure", "The\r\nCure "])
def test_every_kind_of_blank_is_one_blank(text: str) -> None:
    assert plain(text) == "The Cure"


@pytest.mark.parametrize("text", ["", " ", "\ufeff", "\x00"])
def test_a_text_of_nothing_visible_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


@given(st.text())
def test_a_plain_spelling_is_its_own_plain_spelling(text: str) -> None:
    assert plain(plain(text)) == plain(text)


def key(
    album: str | None = "Debut", artist: str | None = "Björk", path: bytes = b"A/1.mp3"
) -> bytes:
    return album_key(None, artist, 0, album, 1, path)


def test_an_album_is_the_same_in_upper_and_lower_case_within_its_folder() -> None:
    assert key("DEBUT", "BJÖRK") == key("debut", unicodedata.normalize("NFD", "björk "))
    assert key("Straße") == key("STRASSE")
    assert key(path=b"B/1.mp3") != key()
    assert key("Debuts") != key()


def test_a_release_id_alone_decides_where_there_is_one() -> None:
    assert album_key("id", "A", 0, "B", 1, b"x/1") == album_key("id", "C", 1, "D", 2, b"y/1")


def test_a_compilation_without_an_album_artist_is_by_various_artists() -> None:
    various = album_key(None, "various artists", 0, "Hits", 1, b"A/1")
    assert album_key(None, None, 1, "Hits", 1, b"A/2") == various
    assert album_key(None, None, 0, "Hits", 1, b"A/2") != various


@pytest.mark.parametrize(
    ("one", "other"),
    [("AC/DC", "ac_dc"), ("Björk", "BJORK"), ("Sigur Rós", "Sigur  Ros"), ("!!!", "!!!")],
)
def test_names_that_differ_in_signs_only_have_the_same_letters(one: str, other: str) -> None:
    assert letters_of(one) == letters_of(other)


def test_names_of_signs_alone_are_told_apart() -> None:
    assert len({letters_of(name) for name in ("!!!", "???", "a", "b", "1")}) == 5
