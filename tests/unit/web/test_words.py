"""Numbers, times and texts on a page."""

from __future__ import annotations

import pytest

from indexer.web import words

THIN = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (2000, f"2{THIN}000"),
        (1_234_567, f"1{THIN}234{THIN}567"),
        (None, ""),
    ],
)
def test_thousands_stand_apart_by_a_narrow_space_that_does_not_break(
    value: int | None, text: str
) -> None:
    assert words.number(value) == text


def test_one_is_no_plural() -> None:
    assert words.counted(1, "track") == "1 track"
    assert words.counted(0, "track") == "0 tracks"
    assert words.counted(2000, "discography", "discographies") == f"2{THIN}000 discographies"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, f"0{THIN}B"), (999, f"999{THIN}B"), (1000, f"1.0{THIN}KB"), (999_600, f"1.0{THIN}MB"),
        (12_345_678, f"12{THIN}MB"), (5 * 10**18, f"5000{THIN}PB"),
    ],
)  # fmt: skip
def test_sizes_have_two_digits_and_a_unit(value: int, text: str) -> None:
    assert words.size(value) == text


def test_lengths_are_written_as_on_a_record() -> None:
    assert [words.clock(one) for one in (0, 59.6, 245, 3723)] == ["0:00", "1:00", "4:05", "1:02:03"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "just now"), (3, f"3{THIN}s ago"), (150, f"2{THIN}min ago"),
        (90_000, f"25{THIN}h ago"), (864_000, f"10{THIN}days ago"),
    ],
)  # fmt: skip
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert words.ago(seconds) == text


def test_control_characters_are_seen_and_do_nothing() -> None:
    assert words.clean("a\x00b\x1bc\x7fd\ud800e\n") == "a\u2400b\u241bc\ufffdd\ufffde\n"


def test_a_title_of_a_million_letters_is_cut() -> None:
    assert words.short("x" * 1_000_000) == "x" * 300 + "…"
    assert words.short("x" * 300) == "x" * 300


@pytest.mark.parametrize(
    ("names", "letters"),
    [
        (("Salt Harbour",), "SH"), (("Debut",), "D"), (("夜明けの電車",), "夜"), ((None, ""), "♪"),
        (("!!!", "x"), "♪"), ((None, "björk"), "B"), (("  ", "Ada Lovelace"), "AL"),
    ],
)  # fmt: skip
def test_an_album_without_a_cover_has_its_letters(
    names: tuple[str | None, ...], letters: str
) -> None:
    assert words.initials(*names) == letters


@pytest.mark.parametrize("at_ns", [2**63 - 1, -(2**63), 0])
def test_any_time_that_a_file_may_have_can_be_shown(at_ns: int) -> None:
    assert words.day(at_ns)
