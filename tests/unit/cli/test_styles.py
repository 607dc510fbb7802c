from __future__ import annotations

import io

import pytest

from indexer.cli import answers
from indexer.cli.terminal import BOLD, DIM, columns, escaped, folded, shows_styles, styled, unstyled
from indexer.results.report import ChangeRow


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("term", "no_color", "shown"),
    [
        ("xterm", None, True),
        ("xterm-256color", "", True),
        ("xterm", "1", False),
        ("xterm", "0", False),
        ("dumb", None, False),
        (None, None, False),
    ],
)
def test_a_terminal_shows_styles_unless_it_cannot_or_may_not(
    term: str | None, no_color: str | None, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TERM", term), ("NO_COLOR", no_color)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert shows_styles(Terminal()) is shown
    assert shows_styles(io.StringIO()) is False


def test_what_is_not_there_has_no_style() -> None:
    assert styled("", BOLD) == ""


def test_without_its_styles_a_text_is_as_before() -> None:
    text = f"a {styled('b', BOLD)}  {styled('c d', DIM)}"
    assert text != "a b  c d"
    assert unstyled(text) == "a b  c d"


def test_a_name_cannot_bring_a_style() -> None:
    assert unstyled(escaped("\x1b[31mred")) == r"\x1b[31mred"


def test_styles_take_no_room_in_columns() -> None:
    rows = [(styled("a", BOLD), "1"), ("bbb", styled("22", DIM))]
    assert [unstyled(line) for line in columns(rows, right={1})] == ["a     1", "bbb  22"]


@pytest.mark.parametrize("width", range(8, 40))
def test_styles_move_no_line_break(width: int) -> None:
    line = f"{styled('one two', BOLD)}  three  {styled('four/five six', DIM)}"
    for at_fields in (False, True):
        folds = [unstyled(part) for part in folded(line, width, at_fields=at_fields)]
        assert folds == list(folded(unstyled(line), width, at_fields=at_fields))


@pytest.mark.parametrize(
    ("kind", "colour"),
    [("added", 32), ("returned", 32), ("modified", 33), ("moved", 36), ("missing", 31)],
)
def test_each_kind_of_change_has_its_colour(kind: str, colour: int) -> None:
    row = ChangeRow(seq=7, at="2025-07-01T12:00:00Z", kind=kind, track_id=1, root="r", path="a")
    assert f"\x1b[{colour}m{kind}\x1b[0m" in answers.change_line(row)


def test_a_title_stands_out_and_its_path_stands_back() -> None:
    row = {"root": "r", "path": "a.mp3", "artist": "Ida", "title": "Song"}
    assert answers.search_line(row) == "Ida – \x1b[1mSong\x1b[0m  \x1b[2mr/a.mp3\x1b[0m"
