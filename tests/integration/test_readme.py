"""What the README shows is what the program does: each command line, its answer, and every list."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import click
import psutil
import pytest

from indexer.cli.commands import cli as indexer_cli
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.tags import SUFFIXES
from tests.corpus import plant, tagged, truncated
from tests.programs import AT_MOST_S, CHECKOUT, ENVIRONMENT, eventually
from watcher.cli import cli as watcher_cli

README: Final = (CHECKOUT / "README.md").read_text()
DEBUT = ("Human Behaviour", "Crying", "Venus as a Boy", "There's More to Life Than This")
POST = ("Army of Me", "Hyperballad", "Isobel")
GEOGADDI = ("Ready Lets Go", "Music Is Math", "Beware the Friendly Stranger")
ASYNC = ("andata", "disintegration")
SQLITE3: Final = """
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]):
    print(*row, sep="|")
"""
"""Stands in where the shell of SQLite is not installed."""


class Line(NamedTuple):
    """One command line of a console block, and what the README says that it answers."""

    typed: str
    answer: tuple[str, ...]


def blocks() -> Iterator[list[Line]]:
    """The console blocks, in order."""
    for block in re.findall(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        parts = re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)
        yield [
            Line(typed, tuple(line for line in answer.split("\n") if line))
            for typed, _, answer in (part.partition("\n") for part in parts[1:])
        ]


def album(
    folder: str, suffix: str, titles: tuple[str, ...], artist: str, name: str, date: str
) -> dict[str | bytes, bytes | None]:
    return {
        f"{folder}/{number:02} {title}{suffix}": tagged(
            suffix, title=title, artist=artist, albumartist=artist, album=name, date=date,
            track=number,
        )
        for number, title in enumerate(titles, 1)
    }  # fmt: skip


@pytest.fixture
def home() -> Iterator[Path]:
    """A user with a small library in ~/Music, and the programs on the PATH.

    Its path is short, since that of a socket holds 107 bytes (unix(7)).
    """
    with TemporaryDirectory(prefix="home-") as folder:
        yield furnished(Path(folder))


def furnished(home: Path) -> Path:
    plant(
        home / "Music",
        {
            **album("Björk/Debut", ".mp3", DEBUT, "Björk", "Debut", "1993"),
            **album("Björk/Post", ".flac", POST, "Björk", "Post", "1995"),
            **album("Geogaddi", ".ogg", GEOGADDI, "Boards of Canada", "Geogaddi", "2002"),
            **album("async", ".opus", ASYNC, "Ryuichi Sakamoto", "async", "2017"),
            "Incoming/half.m4a": truncated(".m4a", 0.2),
        },
    )
    python = shlex.quote(sys.executable)
    programs = {
        "indexer": f'{python} -P -m indexer "$@"',
        "watcher": f'{python} -P -m watcher "$@"',
        "sqlite-utils": f'{python} -m sqlite_utils "$@"',
    }
    if shutil.which("sqlite3", path=ENVIRONMENT["PATH"]) is None:
        programs["sqlite3"] = f'{python} -c {shlex.quote(SQLITE3)} "$@"'
    for name, command in programs.items():
        program = home / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\nexec {command}\n")
        program.chmod(0o755)
    return home


def without_measures(line: str) -> str:
    """A line but for what differs from run to run: when, how long, how many bytes."""
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", line)
    return re.sub(r"\b[\d.]+ (s|B|KB|MB)\b", r"N \1", line)


def test_every_command_line_answers_what_the_readme_says(home: Path) -> None:
    cwd = CHECKOUT
    environment = {
        **ENVIRONMENT, "HOME": str(home), "PATH": f"{home}/bin:{ENVIRONMENT['PATH']}",
    }  # fmt: skip
    lines = [line for block in blocks() for line in block]
    assert len(lines) >= 8
    for typed, answer in lines:
        if typed.startswith("cd "):
            cwd = Path(typed.removeprefix("cd ").replace("~", str(home)))
            continue
        done = subprocess.run(
            ["sh", "-c", typed], env=environment, cwd=cwd, capture_output=True, text=True,
            check=False, timeout=AT_MOST_S,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), typed
        shown = [without_measures(line) for line in done.stdout.splitlines()]
        assert shown == [without_measures(line) for line in answer], typed


def queue_blocks() -> dict[str, list[str]]:
    """The blocks of the section on the queues by language, in order."""
    section = README.partition("\n## The queues\n")[2].partition("\n## ")[0]
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        found.setdefault(language, []).append(block)
    return found


def in_session(leader: int) -> list[psutil.Process]:
    """The processes of a session. Its leader may be gone, with programs of it in the background."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader:
                found.append(process)
    return found


@contextmanager
def typed(block: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that does what a block says; all that it has started ends with it."""
    with subprocess.Popen(
        ["sh", "-e", "-c", block], env=environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            yield shell
        finally:
            everybody = in_session(shell.pid)
            for process in everybody:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(everybody, AT_MOST_S)


def said(environment: dict[str, str], command: str) -> str:
    """What a command answers; it must be done well."""
    done = subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, check=False,
        timeout=AT_MOST_S,
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def readers(queues: str) -> int:
    """How many workers serve the queue `extract`."""
    lines = [json.loads(line) for line in queues.splitlines()]
    return sum(line["workers"] for line in lines if line["name"] == "extract")


def test_the_commands_of_the_queues_work_on_a_fresh_machine(home: Path) -> None:
    (home / "Music/Incoming").rename(home / "Incoming")
    environment = {
        **ENVIRONMENT, "HOME": str(home), "PATH": f"{home}/bin:{ENVIRONMENT['PATH']}",
    }  # fmt: skip
    blocks = queue_blocks()
    first, on_another_machine = blocks["sh"]
    (address,) = re.findall(r"^export INDEXER_REDIS=(\S+)$", first, re.MULTILINE)
    queued = {**environment, "INDEXER_REDIS": address.replace("$HOME", str(home))}
    with typed(first, environment):
        tracks = "indexer status --json 2>/dev/null || echo {}"
        eventually(lambda: json.loads(said(queued, tracks)).get("tracks") == 12)
        (settings,) = blocks["toml"]
        remote = home / "remote.toml"
        assert '"rediss://' in settings
        settings = re.sub(r'"rediss://[^"]*"', json.dumps(queued["INDEXER_REDIS"]), settings)
        remote.write_text(settings.replace("/mnt/nas/Music", str(home / "Music")))
        other = {**environment, "INDEXER_CONFIG": str(remote)}
        with typed(on_another_machine, other):
            eventually(lambda: readers(said(queued, "indexer queues --json")) >= 2)
            report = json.loads(said(queued, "indexer rebuild --json"))
        assert (report["files_read"], report["unchanged"]) == (12, 12)
        assert said(queued, "indexer queues failed").strip() in ("", "no failed jobs")
        said(queued, "indexer verify --deep")


def test_the_queues_are_used_without_a_daemon_as_the_readme_says(home: Path) -> None:
    environment = {
        **ENVIRONMENT, "HOME": str(home), "PATH": f"{home}/bin:{ENVIRONMENT['PATH']}",
    }  # fmt: skip
    first = queue_blocks()["sh"][0]
    without_daemon = first.replace("watcher run ~/Music", "indexer rebuild --queue ~/Music --json")
    assert without_daemon != first
    with typed(without_daemon + "indexer scan --queue\necho done\n", environment) as shell:
        assert shell.stdout is not None
        told = iter(shell.stdout.readline, b"done\n")
        text = b"".join(told).decode()
    assert '"added":12' in text.replace(" ", ""), text
    assert "13 files: 13 unchanged" in text, text


def commands_of(group: click.Group) -> set[str]:
    """The names of its commands, as its help lists them."""
    with click.Context(group) as context:
        listed = group.list_commands(context)
        return {name for name in listed if not group.commands[name].hidden}


def test_the_table_names_every_command_and_no_other() -> None:
    table = README.partition("## The commands")[2].partition("\n\n`--db")[0]
    named = re.findall(r"`(indexer|watcher) ([a-z-]+)", table)
    assert {name for program, name in named if program == "indexer"} == commands_of(indexer_cli)
    assert {name for program, name in named if program == "watcher"} <= commands_of(watcher_cli)
    groups = re.findall(r"`indexer ([a-z]+) \[([a-z\\|]+)\]`", table)
    for name, choices in groups:
        command = indexer_cli.commands[name]
        if isinstance(command, click.Group):
            assert set(choices.split("\\|")) == commands_of(command)


def test_every_option_in_the_table_is_one() -> None:
    table = README.partition("## The commands")[2].partition("\n\n`--db")[0]
    for row in table.splitlines():
        found = re.match(r"\| `indexer ([a-z]+)", row)
        if found:
            options = {
                option for parameter in indexer_cli.commands[found[1]].params
                for option in parameter.opts
            }  # fmt: skip
            assert set(re.findall(r"--[a-z0-9]+", row)) <= options | {"--help"}, row


def test_it_names_every_column_of_the_view() -> None:
    section = README.partition("`library` has one row")[2].partition("`duration` is")[0]
    (columns,) = re.findall(r"`([^`]*)`", section)
    assert columns.replace("\n", " ").split(", ") == list(LIBRARY_COLUMNS)


def test_it_names_every_suffix_that_is_read_and_no_other() -> None:
    section = README.partition("## What is read\n")[2].partition("\nThe setting `suffixes`")[0]
    named = [suffix for cell in re.findall(r"`(\.[^`]*)`", section) for suffix in cell.split()]
    assert sorted(named) == sorted(suffix.decode() for suffix in SUFFIXES)


def test_the_script_prints_what_was_added_since_yesterday(home: Path) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    environment = {**ENVIRONMENT, "HOME": str(home), "PATH": f"{home}/bin:{ENVIRONMENT['PATH']}"}
    indexed = ["sh", "-c", "indexer rebuild ~/Music"]
    subprocess.run(indexed, env=environment, check=True, capture_output=True, cwd=home)
    command = [sys.executable, "-c", script]
    environment["PYTHONPATH"] = str(CHECKOUT)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=home
    )
    assert len(script.splitlines()) <= 10
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 12
    assert sum("Björk – Hyperballad  " in line for line in lines) == 1
    assert all(str(home / "Music") in line for line in lines)
