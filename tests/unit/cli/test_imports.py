"""A command that only asks loads no module that its answer does not need: each takes time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.library import Library
from indexer.settings import Settings
from tests.corpus import plant, tagged

NOTHING_NEEDS = (
    "rich", "mutagen", "rapidfuzz", "anyascii", "sqlite_utils", "rq", "redis", "watchdog",
    "logging", "subprocess", "ctypes", "difflib", "csv", "tomllib", "json", "shutil", "asyncio",
    "multiprocessing", "indexer.library", "indexer.verify", "indexer.engine", "indexer.readers",
    "indexer.stages", "indexer.walk", "indexer.cli.progress", "indexer.cli.log",
    "watcher",
)  # fmt: skip
DISKS = (
    "indexer.roots", "indexer.shares", "indexer.disk.mounts", "indexer.places", "indexer.status",
    "indexer.ignore.gitignore",
)  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    song = tagged(".mp3", title="Hyperballad", artist="Bj\xf6rk", album="Post")
    plant(folder / "Music", {"Bj\xf6rk/Post/02.mp3": song})
    with Library(Settings(db=folder / "library.db")) as library:
        library.rebuild([os.fsencode(folder / "Music")])
    return folder / "library.db"


def loaded_by(db: Path, *words: str) -> set[str]:
    """The modules in a fresh process after one command."""
    program = (
        "import sys; from indexer.cli import main; code = main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--db", db, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "needless"),
    [
        (("search", "bjork", "hyper"), (*NOTHING_NEEDS, *DISKS, "indexer.store.vocabulary")),
        (("search", "--albums", "post"), (*NOTHING_NEEDS, *DISKS, "indexer.store.vocabulary")),
        (("new",), (*NOTHING_NEEDS, *DISKS, "indexer.store.query")),
        (("show", "1"), (*NOTHING_NEEDS, "indexer.store.query", "indexer.store.search")),
        (("changes",), (*NOTHING_NEEDS, *DISKS, "indexer.store.query", "indexer.store.search")),
        (("problems",), (*NOTHING_NEEDS, *DISKS, "indexer.store.query")),
    ],
    ids=str,
)
def test_a_command_that_asks_loads_only_what_it_needs(
    words: tuple[str, ...], needless: tuple[str, ...], db: Path
) -> None:
    loaded = loaded_by(db, *words)
    assert {"apsw", "indexer.lookup"} <= loaded
    assert loaded & set(needless) == set()


def test_a_command_loads_no_other_command(db: Path) -> None:
    loaded = loaded_by(db, "search", "bjork")
    others = {"changes", "export", "new", "pages", "problems", "queues", "roots", "service"}
    assert loaded & {f"indexer.cli.{name}" for name in others} == set()


def test_the_status_loads_nothing_that_reads_files(db: Path) -> None:
    loaded = loaded_by(db, "status")
    assert loaded & set(NOTHING_NEEDS) == set()
