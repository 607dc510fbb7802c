from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from indexer.cli import main
from indexer.cli.arguments import at_least, file_argument
from indexer.cli.commands import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def indexer(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Runs a command for a user without settings; returns exit code, stdout and stderr."""
    for name in ("INDEXER_DB", "INDEXER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))

    def run(*arguments: str) -> tuple[int, str, str]:
        return main(arguments), *capfd.readouterr()

    return run


def every_command() -> Iterator[tuple[str, ...]]:
    def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from walk(inner, (*path, name))

    yield from walk(cli, ())


@pytest.mark.parametrize("command", list(every_command()), ids=" ".join)
def test_help_fits_a_terminal_and_shows_two_examples(
    command: tuple[str, ...], indexer: Run
) -> None:
    code, out, err = indexer(*command, "--help")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert not command or "  -h, --help" in out
    assert indexer(*command, "-h") == (code, out, err)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "..." not in out[out.find("Commands:") :]
    assert not re.search(r"_ARGUMENT|TEXT|INTEGER|>=", out), "words of programmers"
    examples = lines[lines.index("  Examples:") + 1 :]
    assert len(examples) == 2
    assert all(line.startswith(f"    {' '.join(('indexer', *command))}") for line in examples)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("changes", "--since"), "indexer changes"),
        (("search", "x", "--limit"), "indexer search"),
        (("--db", "x.db", "roots", "add", "--name"), "indexer roots add"),
        (("--db",), "indexer"),
    ],
)
def test_an_option_without_its_value_names_the_help_of_its_command(
    words: tuple[str, ...], command: str, indexer: Run
) -> None:
    assert indexer(*words) == (
        2, "", f"indexer: Option '{words[-1]}' requires an argument (see: {command} --help)\n"
    )  # fmt: skip


def test_no_command_shows_the_help_on_stderr(indexer: Run) -> None:
    code, out, err = indexer()
    assert (code, out) == (2, "")
    assert "Examples:" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("scan", "--nonsense"),
        ("scan", "--workers", "0"),
        ("scan", ""),
        ("show",),
        ("search",),
        ("search", "x", "--limit", "none"),
        ("changes", "--since", "-1"),
        ("roots", "add"),
        ("--db", "", "status"),
        ("--config", "not\nthere.toml", "status"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: tuple[str, ...], indexer: Run) -> None:
    code, out, err = indexer(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("indexer: ")
    assert err.count("\n") == 1


def test_version_names_all_that_takes_part(indexer: Run) -> None:
    code, out, err = indexer("--version")
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines()]
    assert names == ["music-indexer", "Python", "SQLite", "watchdog", "rq", "schema"]


def test_a_number_beyond_all_counts_is_the_largest_one() -> None:
    assert at_least(0)("9" * 30) == at_least(0)("9" * 20) < 2**63
    with pytest.raises(click.BadParameter, match="not a whole number of 0 or more"):
        at_least(0)("-" + "9" * 30)


def test_a_folder_without_a_name_is_no_file(indexer: Run) -> None:
    for words in (("--db", "/", "status"), ("--db", "//", "scan"), ("metrics", "--textfile", "/")):
        code, out, err = indexer(*words)
        assert (code, out) == (2, "")
        assert "names no file" in err
    assert file_argument(".") == Path()
