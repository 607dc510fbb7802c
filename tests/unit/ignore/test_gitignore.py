"""The meaning of an ignore file's lines, and the lines that are reported as problems."""

from __future__ import annotations

import pytest

from indexer.ignore.gitignore import MOST_BYTES, MOST_LINES, Patterns


def word(text: bytes, path: bytes, *, is_folder: bool = False) -> bool | None:
    return Patterns(text).word_on(path, is_folder=is_folder)


def test_a_range_out_of_order_takes_what_it_can() -> None:
    text = b"[2019-10] Bootlegs/\n"
    assert Patterns(text).bad_lines == ()
    for name in (b"2 Bootlegs", b"0 Bootlegs", b"1 Bootlegs", b"9 Bootlegs"):
        assert word(text, name, is_folder=True)
    for name in (b"2019 Bootlegs", b"5 Bootlegs", b"- Bootlegs", b"[2019-10] Bootlegs"):
        assert word(text, name, is_folder=True) is None


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        (b"*a*b*c*", b"xaxbxcx"),
        (b"**/a/**/b", b"a/b"),
        (b"**/a/**/b", b"x/a/x/y/b"),
        (b"a/**", b"a/b/c"),
        (b"a/*/c", b"a/b/c"),
        (b"/a*", b"ab"),
        (b"[]a]", b"]"),
        (b"[!]a]", b"b"),
        (b"[^b]", b"a"),
        (b"[[:digit:][:upper:]]", b"Q"),
        (b"[[:a]x", b":x"),
        (b"[a\\]]", b"]"),
        (b"\\#1", b"#1"),
        (b"\\!1", b"!1"),
        (b"a\\ ", b"a "),
        (b"a   ", b"a"),
        (b"a\r", b"a"),
        (b"a\t", b"a\t"),
        (b"\\*", b"*"),
        (b"?\xff", b"\xfe\xff"),
        (b"foo**/bar", b"foo/x/bar"),
    ],
)
def test_a_glob_takes_what_git_has_it_take(glob: bytes, path: bytes) -> None:
    assert word(glob, path)
    assert word(b"*\n!" + glob, path) is False


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        (b"a/*", b"a/b/c"),
        (b"a/*/c", b"a/c"),
        (b"/a", b"x/a"),
        (b"a/b", b"x/a/b"),
        (b"a/**", b"a"),
        (b"a?b", b"a/b"),
        (b"x/a[!b]b", b"x/a/b"),
        (b"**a/b", b"x/a/b"),
        (b"a\\\\ ", b"a\\ "),
        (b"#a", b"#a"),
        (b"A", b"a"),
        (b"[a-c]", b"B"),
    ],
)
def test_a_glob_leaves_what_git_has_it_leave(glob: bytes, path: bytes) -> None:
    assert word(glob, path) is None


def test_the_last_line_that_matches_decides_whatever_its_kind() -> None:
    lines = [b"a.mp3", b"!*.mp3", b"a*", b"!a.[m]p3", b"*a.mp3", b"!?.mp3"]
    for count in range(1, len(lines) + 1):
        assert word(b"\n".join(lines[:count]), b"a.mp3") is (count % 2 == 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"a\\", "backslash"),
        (b"a\\/", "backslash"),
        (b"[ab", "not closed"),
        (b"[!]", "not closed"),
        (b"[a-\\", "not closed"),
        (b"[[:alpha:]", "not closed"),
        (b"[[:music:]]", "alnum"),
        (b"!", "the pattern is empty"),
        (b"/", "the pattern is empty"),
        (b"!//", "the pattern is empty"),
        (b"a\0b", "NUL"),
    ],
)
def test_a_line_that_can_match_nothing_is_told_with_its_number_and_the_others_hold(
    line: bytes, said: str
) -> None:
    patterns = Patterns(b"# a comment\n\n*.wav\n" + line + b"\n*.flac\n")
    (told,) = patterns.bad_lines
    assert told.startswith("line 4: ")
    assert said in told
    assert patterns.word_on(b"1.wav", is_folder=False)
    assert patterns.word_on(b"1.flac", is_folder=False)


@pytest.mark.parametrize(
    "line", [b"", b"   ", b"\r", b"#", b"# [", b"a//b", b"[z-a]", b"***", b"!!a"]
)
def test_a_line_that_git_has_a_meaning_for_is_no_problem(line: bytes) -> None:
    assert Patterns(line + b"\n").bad_lines == ()


def test_many_bad_lines_are_counted_and_not_all_told() -> None:
    told = Patterns(b"[\n" * 1000).bad_lines
    assert len(told) < 10
    assert told[0].startswith("line 1: ")
    assert told[-1] == f"and {1001 - len(told)} more such lines"


@pytest.mark.parametrize("line", [b"[[:" + b"x" * 10_000 + b":]]", b"[[:\x1b[2J:]]", b"\x1b[2J"])
def test_what_is_told_of_a_line_is_short_and_has_nothing_of_it(line: bytes) -> None:
    (told,) = Patterns(line).bad_lines
    assert len(told) < 200
    assert told.isprintable()


def test_a_file_in_another_encoding_is_a_problem_and_ignores_nothing() -> None:
    patterns = Patterns("*\n*.flac\n".encode("utf-16"))
    assert patterns.bad_lines[0].startswith("line 1: ")
    assert "UTF-8" in patterns.bad_lines[0]
    assert patterns.word_on(b"1.flac", is_folder=False) is None


def test_lines_beyond_the_bound_are_told_by_the_first_of_them_and_not_obeyed() -> None:
    lines = [b"%d.mp3" % number for number in range(MOST_LINES)]
    whole = Patterns(b"\n".join([*lines, b"", b""]))
    assert whole.bad_lines == ()
    assert whole.word_on(lines[-1], is_folder=False)
    longer = Patterns(b"\n".join([*lines, b"last.mp3", b"more.mp3"]))
    (told,) = longer.bad_lines
    assert told.startswith(f"line {MOST_LINES + 1}: ")
    assert longer.word_on(lines[-1], is_folder=False)
    assert longer.word_on(b"last.mp3", is_folder=False) is None


def test_bytes_beyond_the_bound_are_told_by_the_first_line_that_is_cut() -> None:
    line = b"x" * 1023 + b"\n"
    count = MOST_BYTES // len(line)
    assert Patterns(line * count).bad_lines == ()
    longer = Patterns(line * count + b"last.mp3\n")
    (told,) = longer.bad_lines
    assert told.startswith(f"line {count + 1}: ")
    assert longer.word_on(b"x" * 1023, is_folder=False)
    assert longer.word_on(b"last.mp3", is_folder=False) is None
    (told,) = Patterns(b"y" * (MOST_BYTES + 1)).bad_lines
    assert told.startswith("line 1: ")


def test_what_is_remembered_of_paths_is_bounded_and_dropping_it_changes_no_answer() -> None:
    text = b"\n".join(b"*%d*%d?\n!/%d*/x%d*" % (n, n * 7, n, n) for n in range(100))
    asked = [b"%d/x%d" % (n % 120, n * 13) for n in range(3000)]
    patterns = Patterns(text)
    assert patterns._globs is not None
    most = patterns._globs._most_states
    for at, path in enumerate(asked):
        said = patterns.word_on(path, is_folder=False)
        if at % 7 == 0:  # a fresh automaton for each takes long; 7 and the 120 folders are coprime
            assert said == word(text, path)
        assert len(patterns._globs._states) <= most
