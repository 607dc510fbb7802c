from __future__ import annotations

from indexer.cli.problems import grouped_lines, plain, technical_line
from indexer.cli.terminal import unstyled
from indexer.results.report import ProblemRow


def problem(path: str, reason: str) -> ProblemRow:
    return ProblemRow(
        root="music", path=path, kind="content", reason=reason, since="2025-07-01T12:00:00Z"
    )


def test_problems_stand_below_their_reason_the_most_frequent_first() -> None:
    rows = [
        problem("a.mp3", "the file is empty"),
        problem("b.mp3", "cut short: 1.2 of 4.7 MB are there [id3 error: it ends]"),
        problem("c.m4a", "cut short: 3 of 9 KB are there [ValueError: no moov box]"),
        problem("d.mp3", "permission denied (EACCES): let the user that runs the indexer read it"),
    ]
    assert [unstyled(line) for line in grouped_lines(rows)] == [
        "2  cut short",
        "  music/b.mp3  1.2 of 4.7 MB are there",
        "  music/c.m4a  3 of 9 KB are there",
        "1  the file is empty",
        "  music/a.mp3",
        "1  you may not read it: chmod o+r (a folder: o+rx)",
        "  music/d.mp3",
    ]


def test_the_technical_word_stays_in_the_long_form_whatever_the_name() -> None:
    row = problem("a\nb.mp3", "not an MP3: its content is text [can't sync\x1b]")
    assert technical_line(row) == (
        r"music/a\nb.mp3  content  not an MP3: its content is text [can't sync\x1b]"
    )
    assert plain(row.reason) == "not an MP3: its content is text"


def test_a_reason_that_has_no_plain_words_stays_as_it_is() -> None:
    for reason in ("takes more memory than allowed", "Too many levels (EXYZ)", "a [b] c"):
        assert plain(reason) == reason
