"""The command line as a process of its own, with a library that is made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, types
from indexer.paths import text_of
from indexer.results.report import ChangeRow

class Lookup:
    open = classmethod(lambda cls, settings, create=False: cls())
    __enter__ = lambda self: self
    __exit__ = lambda self, *exc_info: None
    search = lambda self, words, of, sort, limit, note: [
        {"root": "music", "path": words[0], "artist": "Ida", "title": words[0]}]
    choice = lambda self, kinds, under: None
    changes = lambda self, since, choice, limit=None: (
        ChangeRow(seq=seq, at="2025-07-01T12:00:00Z", kind="added", track_id=1, root="r", path="a")
        for seq in range(100_000))

    def show(self, path):
        text, path_b64 = text_of(path)
        return {"root": "music", "path": text, "path_b64": path_b64}

sys.modules["indexer.lookup"] = types.ModuleType("indexer.lookup")
sys.modules["indexer.lookup"].Lookup = Lookup

from indexer.cli import main
code = main()
if "LOADED" in __import__("os").environ:
    print(sorted({"apsw", "mutagen", "rich", "sqlite_utils", "watchdog", "rq"} & set(sys.modules)))
sys.exit(code)
"""


def start(*arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("show", "x")], ids=" ".join)
def test_what_is_not_needed_is_not_loaded(arguments: tuple[str, ...]) -> None:
    assert start(*arguments, LOADED="1").stdout.splitlines()[-1] == b"[]"


def test_names_that_are_not_utf8_work_in_the_c_locale() -> None:
    shown = start("show", b"Bj\xf6rk/\n.mp3", LC_ALL="C", PYTHONUTF8="0")
    assert shown.stderr == b""
    assert shown.stdout == b"path  music/Bj\\xf6rk/\\n.mp3\n"


def test_words_in_utf8_work_in_the_c_locale() -> None:
    found = start("search", "Björk".encode(), LC_ALL="C", PYTHONUTF8="0")
    assert found.stdout == b"Ida - Bj\\xf6rk  music/Bj\\xf6rk\n"
    found = start("search", "Björk".encode(), "--json", LC_ALL="C", PYTHONUTF8="0")
    assert json.loads(found.stdout)["path"] == "Björk"


def test_a_reader_that_leaves_is_no_error() -> None:
    command = [sys.executable, "-c", PROGRAM, "changes"]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"0  ")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0
