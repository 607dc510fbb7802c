from __future__ import annotations

import base64

import pytest

from indexer.cli.terminal import (
    byte_size,
    columns,
    count,
    escaped,
    file_text,
    folded,
    local_time,
    local_time_ns,
    number,
    path_text,
    play_time,
    time_span,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("two\nlines\r", r"two\nlines\r"),
        ("del\x7f", r"del\x7f"),
        ("c1\x9b31m", r"c1\x9b31m"),
        ("evil\u202e3pm.exe", r"evil\u202e3pm.exe"),
        ("\u2066isolate", r"\u2066isolate"),
        ("para\u2029graph", r"para\u2029graph"),
        ("lone \udcff", r"lone \udcff"),
    ],
)
def test_what_moves_a_cursor_or_turns_the_text_is_written_out(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize(
    "text", ["Björk", "東京事変", "AC\\DC", "עברית", "e\u0301", "👩\u200d🎤", "a b"]
)
def test_letters_of_every_script_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text


def test_bytes_that_are_not_utf8_stand_in_hex() -> None:
    raw = b"Bj\xf6rk/\n.mp3"
    assert path_text("Bj\ufffdrk/\n.mp3", base64.b64encode(raw).decode()) == r"Bj\xf6rk/\n.mp3"
    assert file_text(raw) == r"Bj\xf6rk/\n.mp3"


def test_a_path_that_is_utf8_stands_as_it_is() -> None:
    assert path_text("Björk/\x1b.mp3") == r"Björk/\x1b.mp3"


def test_numbers_are_grouped_by_threes() -> None:
    assert [number(value) for value in (0, 999, 1000, 1234567)] == [
        "0",
        "999",
        "1 000",
        "1 234 567",
    ]


def test_one_thing_has_no_plural() -> None:
    assert [count(value, "file") for value in (0, 1, 10_000)] == [
        "0 files",
        "1 file",
        "10 000 files",
    ]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (96_400, "96 KB"),
        (999_600, "1.0 MB"),
        (12_345_678, "12 MB"),
        (3_200_000_000, "3.2 GB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_a_size_has_the_unit_that_keeps_it_short(size: int, shown: str) -> None:
    assert byte_size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (0.4, "0.4 s"),
        (9.97, "10 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_span_has_the_units_that_matter(seconds: float, shown: str) -> None:
    assert time_span(seconds) == shown


def test_a_track_plays_in_minutes_and_seconds() -> None:
    assert [play_time(value) for value in (6.6, 225.2, 3723)] == ["0:07", "3:45", "1:02:03"]


@pytest.mark.usefixtures("berlin")
def test_times_are_shown_by_this_machines_clock() -> None:
    assert local_time("2025-07-01T22:30:59.999Z") == "2025-07-02 00:30:59"
    assert local_time_ns(1_751_409_059_999_999_999) == "2025-07-02 00:30:59"


def test_columns_line_up_for_wide_and_combining_letters() -> None:
    rows = [("東京", "1", "x"), ("e\u0301t\u0301", "12", "y"), ("plain", "123", "z")]
    assert list(columns(rows, right={1})) == [
        "東京     1  x",
        "e\u0301t\u0301      12  y",
        "plain  123  z",
    ]


def test_no_line_ends_in_blanks() -> None:
    assert list(columns([("a", ""), ("b", "long")])) == ["a", "b  long"]


def test_no_rows_make_no_lines() -> None:
    assert list(columns([])) == []


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert list(folded("a b  c", 6)) == ["a b  c"]


def test_a_long_line_breaks_between_words_and_goes_on_below_its_second_field() -> None:
    line = "note  the quick brown fox jumps over it"
    assert list(folded(line, 21)) == [
        "note  the quick brown",
        "      fox jumps over",
        "      it",
    ]
    assert list(folded("the quick brown fox", 10)) == ["the quick", "  brown", "  fox"]


def test_a_row_breaks_between_fields_only() -> None:
    line = "Björk - Isobel  (Post, 1995)  Music/Björk/03 Isobel.flac"
    assert list(folded(line, 30, at_fields=True)) == [
        "Björk - Isobel  (Post, 1995)",
        "  Music/Björk/03 Isobel.flac",
    ]


def test_a_word_that_is_wider_than_the_screen_stays_whole() -> None:
    assert list(folded("see /a/very/long/path/to/see now", 10)) == [
        "see",
        "  /a/very/long/path/to/see",
        "  now",
    ]
    assert list(folded("/a/very/long/path", 4)) == ["/a/very/long/path"]


def test_an_indented_line_goes_on_as_far_in() -> None:
    assert list(folded("    start it, or stop it", 16)) == ["    start it, or", "    stop it"]
    assert list(folded("    Music/a b.jpg  its name", 20, at_fields=True)) == [
        "    Music/a b.jpg",
        "    its name",
    ]
    assert list(folded("        start it, or stop it", 18)) == ["        start it,", "  or stop it"]


def test_a_fold_counts_columns_and_not_letters() -> None:
    assert list(folded("東京 事変 live", 9)) == ["東京 事変", "  live"]


def test_between_fields_a_path_stays_whole_and_a_long_sentence_breaks_between_words() -> None:
    line = "  * Music/Two Words/a long name.jpg  chosen: it is the only picture in its folder"
    assert list(folded(line, 30, at_fields=True)) == [
        "  * Music/Two Words/a long name.jpg",
        "  chosen: it is the only",
        "  picture in its folder",
    ]
    assert list(folded("one two three  Music/a b c d", 10, at_fields=True)) == [
        "one two",
        "  three",
        "  Music/a b c d",
    ]
