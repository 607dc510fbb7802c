from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import indexer.cli
import watcher.cli
from indexer.library import Library
from indexer.settings import Settings
from tests.programs import CHECKOUT, ENVIRONMENT
from tests.trees import Plant, song

MAINS = {"indexer": indexer.cli.main, "watcher": watcher.cli.main}
PLACES = {
    "bash": ".local/share/bash-completion/completions/",
    "fish": ".config/fish/completions/",
}
Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Complete:
    """The completions of the last word for bash."""

    def ask(line: str) -> list[str]:
        program = line.split(" ", 1)[0]
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        monkeypatch.setenv(f"_{program.upper()}_COMPLETE", "bash_complete")
        code = MAINS[program]([])
        out, err = capfd.readouterr()
        assert (code, err) == (0, ""), err
        return out.splitlines()

    return ask


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("indexer sc", ["plain,scan", "plain,scrub"]),
        ("indexer re", ["plain,rebuild", "plain,repair", "plain,reload"]),
        ("indexer changes --fol", ["plain,--follow"]),
        ("indexer --db x.db search --al", ["plain,--albums"]),
        ("indexer roots a", ["plain,add", "plain,accept"]),
        ("indexer completion z", ["plain,zsh"]),
        ("indexer changes --kind mo", ["plain,modified", "plain,moved"]),
        ("indexer search x --sort a", ["plain,artist", "plain,album", "plain,added"]),
        ("indexer --db absent.db roots remove ", []),
        ("indexer scan ", ["file,"]),
        ("indexer show Bj", ["file,Bj"]),
        ("indexer rebuild mu", ["dir,mu"]),
        ("indexer --config ", ["file,"]),
        ("watcher r", ["plain,run", "plain,relay"]),
        ("watcher run --log", ["plain,--log-json"]),
        ("watcher run ", ["dir,"]),
    ],
)
def test_a_word_is_completed(line: str, completed: list[str], complete: Complete) -> None:
    assert [item for item in complete(line) if item] == completed


@pytest.mark.parametrize("command", ["remove", "rename", "accept"])
def test_a_root_is_completed_to_its_name(
    command: str, complete: Complete, library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"a.mp3": song()})
    library.scan()
    (name,) = library.root_paths()
    line = f"indexer --db {settings.db} roots {command} "
    assert complete(line) == [f"plain,{name}"]
    assert complete(line + name[:2]) == [f"plain,{name}"]
    assert [item for item in complete(line + "zz") if item] == []


def test_a_line_that_is_wrong_already_is_not_completed_and_is_no_crash(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COMP_WORDS", "indexer search --nonsense "), ("COMP_CWORD", "3")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("_INDEXER_COMPLETE", "bash_complete")
    assert indexer.cli.main([]) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("program", MAINS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_the_program_that_printed_it(
    program: str, shell: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAINS[program](["completion", shell]) == 0
    script, err = capfd.readouterr()
    assert err == ""
    assert f"_{program.upper()}_COMPLETE={shell}_complete" in script
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert MAINS[program](["completion", "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["shell"] == shell
    assert answer["script"].splitlines() == script.splitlines()


@pytest.mark.parametrize("program", MAINS)
def test_the_help_says_where_to_put_the_script(
    program: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert MAINS[program](["completion", "--help"]) == 0
    out = capfd.readouterr().out
    for shell, place in PLACES.items():
        assert f"{program} completion {shell} > ~/{place}{program}" in out
    assert f"_{program} in" in out


@pytest.mark.parametrize("shell", [None, "", "/bin/dash"])
def test_a_shell_that_is_none_of_the_three_has_to_be_named(
    shell: str | None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHELL", raising=False)
    if shell is not None:
        monkeypatch.setenv("SHELL", shell)
    assert indexer.cli.main(["completion"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ("indexer: name the shell: bash, zsh or fish (see: indexer completion --help)\n")


ODD_NAME = "My Music, 'b*d [x]"
QUOTED_NAME = r"My\ Music,\ \'b\*d\ \[x\]"


def in_shell(shell: str, typed: str, folder: Path, cwd: Path = CHECKOUT) -> list[str]:
    """The lines that a shell prints, where `indexer` is the program under test."""
    binary = shutil.which(shell)
    if binary is None:
        pytest.skip(f"{shell} is not installed")
    program = folder / "indexer"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m indexer "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [binary, *(("--norc",) if shell == "bash" else ()), "-c", typed],
        env={**ENVIRONMENT, "PATH": f"{folder}{os.pathsep}{ENVIRONMENT['PATH']}"},
        cwd=cwd, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_itself_completes_a_word(tmp_path: Path) -> None:
    typed = (
        "source <(indexer completion bash); COMP_WORDS=(indexer sca); COMP_CWORD=1; "
        '_indexer_completion indexer; echo "${COMPREPLY[@]}"; complete -p indexer'
    )
    assert in_shell("bash", typed, tmp_path)[0] == "scan"


@pytest.mark.parametrize(
    ("begun", "completed"),
    [
        ("My", QUOTED_NAME),
        (r"My\\ Mus", QUOTED_NAME),
        ('"My Mus', ODD_NAME),
        ("\\'My Mus", ODD_NAME.replace("'", r"'\''")),
    ],
)
def test_bash_gets_the_whole_name_of_a_root_as_it_has_to_be_typed(
    begun: str, completed: str, tmp_path: Path, odd_root: Path
) -> None:
    typed = (
        "source <(indexer completion bash); "
        f"COMP_WORDS=(indexer --db '{odd_root}' roots remove $'{begun}'); COMP_CWORD=5; "
        "_indexer_completion indexer; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    assert in_shell("bash", typed, tmp_path, odd_root.parent) == [completed]


def test_fish_gets_the_whole_name_of_a_root_and_whole_descriptions(
    tmp_path: Path, odd_root: Path
) -> None:
    typed = (
        "indexer completion fish | source; "
        f'complete -C "indexer --db {odd_root} roots remove My"; complete -C "indexer sear"'
    )
    name, search = in_shell("fish", typed, tmp_path, odd_root.parent)
    assert name == ODD_NAME
    assert search.startswith("search\tFind tracks by title, artist and album")


def test_the_script_for_fish_divides_an_answer_at_its_first_comma_only(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert indexer.cli.main(["completion", "fish"]) == 0
    assert 'string split --max 1 "," -- $completion' in capfd.readouterr().out


@pytest.fixture
def odd_root(tmp_path: Path) -> Path:
    """An index with a root whose name a shell would split and expand, in a folder without music."""
    music = tmp_path / ODD_NAME
    music.mkdir()
    (music / "a.mp3").write_bytes(song())
    db = tmp_path / "index" / "library.db"
    db.parent.mkdir()
    assert indexer.cli.main(["--db", str(db), "rebuild", str(music)]) == 0
    return db
