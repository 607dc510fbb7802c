"""Ignore files of any bytes have the same meaning as in git, in bounded time."""

from __future__ import annotations

import fnmatch
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.ignore import automaton, gitignore, wildmatch
from indexer.ignore.gitignore import Patterns
from indexer.ignore.path_filter import NO_RULES, IgnoreFile, PathFilter

PLAIN = (
    b"a",
    b"b",
    b"A",
    b"0",
    b"9",
    b"-",
    b".",
    b" ",
    b"!",
    b"#",
    b"^",
    b":",
    b"\xff",
    b"\xc3\xa9",
)
NAME_PIECES = (
    *PLAIN,
    b"a",
    b"b",
    b"ab",
    b"*",
    b"?",
    b"[",
    b"]",
    b"\\",
    b"\t",
    b"\r",
    b"\n",
    b"\x0b",
)
"""`a` and `b` are the most frequent, so that patterns match something."""
PATTERN_PIECES = (
    *NAME_PIECES[:-3], b"/", b"/", b"*", b"*", b"**", b"**/", b"/**/", b"/**", b"?", b"\\", b"\r",
    b"\t", b"\x0b", b"\\/", b"\\ ", b"[ab]", b"[!a]", b"[^b-]", b"[]a]", b"[a-", b"[9-0]",
    b"[2019-10]", b"[a-b0]", b"[\\]a]", b"[--0]", b"[a/b]", b"[!-\xff]", b"[[:alpha:]]",
    b"[[:space:]b]", b"[![:digit:]]", b"[[:punct:][:cntrl:]]", b"[[:graph:]]", b"[[:print:]]",
    b"[[:nonsense:]]", b"[[:", b":]", b"[:a:]", b"[[:]", b"[[:alnum:]-z]", b"[[:xdigit:]",
)  # fmt: skip

names = (
    st.lists(st.sampled_from(NAME_PIECES), min_size=1, max_size=5)
    .map(b"".join)
    .filter(lambda name: name not in {b".", b".."} and not name.lower().startswith(b".git"))
)
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
nonsense = st.lists(st.sampled_from(PATTERN_PIECES), max_size=8).map(b"".join)


@st.composite
def near(draw: st.DrawFn, path: bytes) -> bytes:
    """A pattern similar to a path."""
    cut = draw(st.integers(0, len(path)))
    end = draw(st.integers(cut, len(path)))
    new = draw(st.sampled_from(PATTERN_PIECES))
    kept = path if draw(st.booleans()) else path[path.rfind(b"/") + 1 :]
    ends = draw(st.sampled_from([b"", b"/", b" ", b"\\ ", b"\r", b" \r"]))
    return draw(st.sampled_from([b"", b"!", b"/", b"**/"])) + kept[:cut] + new + kept[end:] + ends


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[bytes, bytes], dict[bytes, bool]]:
    """(folder -> text of its ignore file, path -> whether it is a folder)."""
    tree: dict[bytes, bool] = {}
    for path in draw(st.lists(paths, min_size=1, max_size=6)):
        parts = path.split(b"/")
        above = [b"/".join(parts[:depth]) for depth in range(1, len(parts))]
        if all(tree.get(folder, True) for folder in above) and path not in tree:
            tree.update(dict.fromkeys(above, True))
            tree[path] = draw(st.booleans())
    lines = nonsense | st.sampled_from(sorted(tree)).flatmap(near)
    texts = st.lists(lines, max_size=4).map(b"\n".join)
    ends = st.sampled_from([b"", b"\n", b"\r\n", b" \n"])
    starts = st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"])
    text = st.tuples(starts, texts, ends).map(b"".join)
    folders = [b"", *(path for path, is_folder in tree.items() if is_folder)]
    where = draw(st.lists(st.sampled_from(folders), max_size=2, unique=True)) or [b""]
    return {folder: draw(text) for folder in where}, tree


def ignored_by_us(files: dict[bytes, bytes], tree: dict[bytes, bool]) -> set[bytes]:
    ignored = set()
    for path, is_folder in tree.items():
        rules = NO_RULES
        parts = path.split(b"/")
        for depth in range(len(parts)):
            folder = b"/".join(parts[:depth])
            if folder in files:
                rules = rules.and_(IgnoreFile.parse(folder, files[folder]))
            place = b"/".join(parts[: depth + 1])
            if rules.ignore(place, is_folder=is_folder or place != path):
                ignored.add(path)
                break
    return ignored


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("repository")
    git(place, "init", "--quiet")
    return place


def git(place: Path, *words: str, given: bytes = b"") -> bytes:
    mine = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env = {**mine, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", *words], cwd=place, env=env, input=given, capture_output=True, check=False
    )
    assert done.returncode in {0, 1}, done.stderr  # 1: nothing is ignored
    return done.stdout


def ignored_by_git(
    repository: Path, drawn: list[tuple[dict[bytes, bytes], dict[bytes, bool]]]
) -> list[set[bytes]]:
    with tempfile.TemporaryDirectory(dir=repository) as scratch:
        place = os.path.relpath(scratch, repository).encode()
        asked = []
        for number, (files, tree) in enumerate(drawn):
            case = os.path.join(os.fsencode(scratch), b"%d" % number)
            os.mkdir(case)
            for path, is_folder in tree.items():
                if is_folder:
                    os.mkdir(os.path.join(case, path))
                else:
                    os.close(os.open(os.path.join(case, path), os.O_WRONLY | os.O_CREAT))
            for folder, text in files.items():
                with open(os.path.join(case, folder, b".gitignore"), "wb") as file:
                    file.write(text)
            asked += [b"%s/%d/%s\0" % (place, number, path) for path in tree]
        said = git(repository, "check-ignore", "--no-index", "--stdin", "-z", given=b"".join(asked))
    found: list[set[bytes]] = [set() for _ in drawn]
    for one in said.split(b"\0")[:-1]:
        _, case_number, ignored = one.split(b"/", 2)
        found[int(case_number)].add(ignored)
    return found


@given(drawn=st.lists(cases(), min_size=1, max_size=8))
def test_an_ignore_file_of_any_bytes_says_what_git_says_of_it(
    repository: Path, drawn: list[tuple[dict[bytes, bytes], dict[bytes, bool]]]
) -> None:
    assert [ignored_by_us(*case) for case in drawn] == ignored_by_git(repository, drawn)


OURS = {module.__file__ for module in (automaton, gitignore, wildmatch)}

long_nonsense = st.lists(
    st.tuples(st.lists(st.sampled_from(PATTERN_PIECES), min_size=1, max_size=5).map(b"".join),
              st.integers(1, 60)).map(lambda drawn: drawn[0] * drawn[1]),
    max_size=6,
).map(b"".join)  # fmt: skip
KILLERS = (
    b"*a" * 40 + b"b", b"**/a/" * 40 + b"b", b"*" * 300 + b"b", b"**/*a*/" * 30 + b"b",
    b"*[!b]" * 50 + b"b", b"*?" * 80 + b"b", b"/**/" * 60 + b"b",
)  # fmt: skip


def steps_of(function: Callable[[], object]) -> int:
    """The number of executed lines of our code, independent of the machine's speed."""
    count = 0

    def trace_line(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace_line

    def trace_call(frame: FrameType, _event: str, _argument: object) -> Any:
        return trace_line if frame.f_code.co_filename in OURS else None

    before = sys.gettrace()
    sys.settrace(trace_call)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@given(
    texts=st.lists(long_nonsense | st.sampled_from(KILLERS), min_size=1, max_size=20),
    parts=st.lists(st.sampled_from([b"a", b"b", b"/a/", b"aaaa", b"\xff"]), min_size=1),
    times=st.integers(1, 30),
)
def test_no_pattern_makes_a_path_cost_more_than_its_length(
    texts: list[bytes], parts: list[bytes], times: int
) -> None:
    path = (b"a" + b"".join(parts) * times).replace(b"//", b"/").rstrip(b"/")
    patterns = Patterns(b"\n".join(texts))
    steps = steps_of(lambda: patterns.word_on(path, is_folder=True))
    assert 0 < steps < 200 + 60 * len(path)


@given(text=st.lists(long_nonsense | st.sampled_from(KILLERS), max_size=20).map(b"\n".join))
def test_no_ignore_file_takes_more_steps_to_read_than_its_length_explains(text: bytes) -> None:
    assert 0 < steps_of(lambda: Patterns(text)) < 5000 + 100 * len(text)


@given(text=st.binary(max_size=200), path=paths)
def test_no_bytes_raise(text: bytes, path: bytes) -> None:
    patterns = Patterns(text)
    assert patterns.word_on(path, is_folder=False) in {None, True, False}
    assert patterns.word_on(path, is_folder=True) in {None, True, False}


@given(
    chosen=st.lists(
        st.text(st.sampled_from("abé中*?[]!-^\\&|~(){}.+\u00ff\U0001f3b5"), min_size=1), max_size=4
    ),
    name=st.text(st.sampled_from("abé中[]!-^\\&|~\udcff\U0001f3b5"), min_size=1),
)
def test_ignored_names_of_any_text_mean_what_fnmatch_says_of_them(
    chosen: list[str], name: str
) -> None:
    sent = pickle.loads(pickle.dumps(PathFilter(frozenset(), chosen)))  # to the helper of a share
    said = sent.folder(os.fsencode(name))
    assert said == (not any(fnmatch.fnmatchcase(name, pattern) for pattern in chosen))


@given(
    chosen=st.lists(
        st.lists(st.sampled_from(["*", "?", "[1]", ".", ".mp3", ".MP3", "3", "p3", "1", "a"]))
        .map("".join)
        .filter(bool),
        max_size=4,
    ),
    stem=st.text(st.sampled_from("1a."), min_size=1, max_size=3),
    suffix=st.sampled_from([".mp3", ".MP3", ".mP3", ".m4a", ".mp33", ""]),
)
def test_music_is_left_out_by_the_ignored_names_that_fnmatch_says_it_has(
    chosen: list[str], stem: str, suffix: str
) -> None:
    name = stem + suffix
    wanted = PathFilter(frozenset({b".mp3", b".m4a"}), chosen).file(name.encode())
    is_music = name.lower().endswith((".mp3", ".m4a")) and not name.startswith(".")
    ignored = any(fnmatch.fnmatchcase(name, pattern) for pattern in chosen)
    assert wanted == (is_music and not ignored)
