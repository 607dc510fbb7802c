from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from indexer.model import Track
from indexer.tags import columns


def track(**values: list[str]) -> Track:
    return columns.track("mp3", None, values)


@pytest.mark.parametrize(
    ("number", "totals", "expected"),
    [
        (["3"], [], (3, None)),
        (["3/12"], [], (3, 12)),
        (["03 / 12"], [], (3, 12)),
        (["3"], ["12"], (3, 12)),
        (["3/12"], ["14"], (3, 12)),
        (["3/"], ["14"], (3, 14)),
        (["3/x"], ["14"], (3, 14)),
        (["/12"], [], (None, 12)),
        (["3 of 12"], [], (3, 12)),
        (["03 OF 12"], ["14"], (3, 12)),
        (["3of12"], [], (3, 12)),
        (["3 of"], ["14"], (3, 14)),
        (["of 12"], [], (None, None)),
        (["3."], ["12."], (3, 12)),
        (["#3"], [], (3, None)),
        (["# 3/12"], [], (3, 12)),
        (["03 -"], [], (3, None)),
        (["03-"], [], (3, None)),
        (["3 - 4"], [], (None, None)),
        (["#"], [], (None, None)),
        (["0"], [], (0, None)),
        (["A1"], [], (None, None)),
        (["7A"], [], (7, None)),
        (["90000A/12b"], [], (90000, 12)),
        (["7A8"], [], (None, None)),
        (["-1"], [], (None, None)),
        (["1.5"], [], (None, None)),
        ([""], ["12"], (None, 12)),
        (["", "4"], [], (4, None)),
        (["4", "5"], [], (4, None)),
        (["²"], [], (None, None)),
        (["2147483647"], [], (2147483647, None)),
        (["2147483648"], [], (None, None)),
        (["9" * 5000], [], (None, None)),
    ],
)
def test_a_number_and_its_total(
    number: list[str], totals: list[str], expected: tuple[int | None, int | None]
) -> None:
    got = track(track=number, track_total=totals, disc=number, disc_total=totals)
    assert (got.track, got.track_total) == expected
    assert (got.disc, got.disc_total) == expected


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("1993", 1993),
        ("1993-06-07", 1993),
        ("1993-06-07T10:20:30", 1993),
        ("19930607", 1993),
        (" 1993", 1993),
        ("07.06.1993", 1993),
        ("0007-06-1993", 1993),
        ("June 1993", 1993),
        ("c. 1993", 1993),
        ("1993?", 1993),
        ("[1993]", 1993),
        ("Jun 7, 1993", 1993),
        ("1993;2004", 1993),
        ("1993-06-07T00:00:00.000Z", 1993),
        ("0000", None),
        ("93", None),
        ("9999", None),
        ("soon", None),
        ("12345", 1234),
        ("x12345", None),
    ],
)
def test_the_year_of_a_date(date: str, year: int | None) -> None:
    assert columns.year(date) == year
    assert track(date=[date]).date == date


def test_values_that_are_not_blank_keep_their_white_space() -> None:
    assert track(title=["  Army of Me "]).title == "  Army of Me "


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", "\0", "\0 \0", "\u00a0", "\u3000\0"])
def test_white_space_and_nuls_are_blank(blank: str) -> None:
    got = track(title=[blank], artist=[blank], date=[blank])
    assert (got.title, got.artists, got.date) == (None, (), None)


def test_a_nul_is_no_part_of_a_text() -> None:
    got = track(title=["\0De\0but\0\0"], album=["De\0but"], artist=["Björk\0", "a\0b"])
    assert (got.title, got.album, got.artists) == ("Debut", "Debut", ("Björk", "ab"))


def test_lone_surrogates_become_replacement_characters() -> None:
    assert track(title=["a\ud800b\udfff"]).title == "a\ufffdb\ufffd"


def test_several_values_stay_apart_only_where_the_index_keeps_them_apart() -> None:
    two = ["a; b", "c/d, e"]
    got = track(artist=two, albumartist=two, genre=two, title=two, composer=two, label=two)
    assert got.artists == got.albumartists == got.genres == ("a; b", "c/d, e")
    assert got.title == got.composer == got.label == "a; b; c/d, e"


def test_a_long_comment_is_cut_between_two_characters() -> None:
    comment = track(comment=["x" + "ö" * 4000]).comment
    assert comment == "x" + "ö" * 2047
    assert len(comment.encode()) == 4095


def test_a_comment_of_just_the_limit_is_whole() -> None:
    assert track(comment=["x" * 4096]).comment == "x" * 4096


@pytest.mark.parametrize("text", ["1", "true", "Yes", " 1 ", "TRUE", "01", "2", "on", "y"])
def test_what_says_yes_is_a_compilation(text: str) -> None:
    assert track(compilation=[text]).compilation is True


@pytest.mark.parametrize("text", ["0", "00", "", "no", "false", "-1", "maybe"])
def test_what_does_not_say_yes_is_no_compilation(text: str) -> None:
    assert track(compilation=[text]).compilation is False


@pytest.mark.parametrize("length", [0, -1.5, math.nan, math.inf, -math.inf, None])
def test_a_length_that_says_nothing_is_absent(length: float | None) -> None:
    assert columns.track("mp3", SimpleNamespace(length=length), {}).duration is None


def test_zero_means_unknown_in_a_stream() -> None:
    info = SimpleNamespace(length=1, bitrate=0, sample_rate=0, channels=0, bits_per_sample=0)
    got = columns.track("flac", info, {}, lossless=True)
    assert (got.bitrate, got.sample_rate, got.channels, got.bit_depth) == (None,) * 4


def test_only_a_lossless_stream_has_a_bit_depth() -> None:
    info = SimpleNamespace(bits_per_sample=16)
    assert columns.track("aac", info, {}).bit_depth is None
    assert columns.track("alac", info, {}, lossless=True).bit_depth == 16


def test_parts_add_up_unless_two_fill_the_same_field() -> None:
    title, number = columns.part_of("title", ["x"]), columns.part_of("track", ["3/12"])
    entries = [("TIT2", ["x"], title), ("TRCK", ["3/12"], number)]
    assert columns.added([*entries, ("", [], {})]) == {"title": "x", "track": 3, "track_total": 12}
    total = columns.part_of("track_total", ["14"])
    assert columns.added([*entries, ("TXXX:total", ["14"], total)]) is None


@pytest.mark.parametrize(
    ("column", "text"),
    [("track", "A1"), ("track_total", "x"), ("compilation", "0"), ("date", "long ago")],
)
def test_a_value_that_says_nothing_is_still_seen_by_a_second_one(column: str, text: str) -> None:
    assert columns.part_of(column, [text])
    assert columns.part_of(column, [" "]) == {}
