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
    "multiprocessing", "base64", "string", "tempfile", "random", "shlex", "socket",
    "sqlite3", "watcher",
)  # fmt: skip
"""Modules of others that no command needs which only asks."""
EVERY = """
indexer indexer.cli indexer.cli.answers indexer.cli.arguments indexer.cli.commands
indexer.cli.completion indexer.cli.listing indexer.cli.output indexer.cli.session
indexer.cli.terminal indexer.closable indexer.errors indexer.ignore indexer.lookup indexer.paths
indexer.process indexer.remembered indexer.results indexer.results.report indexer.runs
indexer.runs.lock
indexer.runs.throughput indexer.settings indexer.settings.hooks indexer.settings.settings_file
indexer.starting
indexer.store indexer.store.beside indexer.store.changes indexer.store.connection
indexer.store.open_log
indexer.store.schema indexer.store.schema.artwork_tables
indexer.store.schema.musicbrainz_ids indexer.store.schema.playlist_tables
indexer.store.schema.roles indexer.store.schema.views indexer.store.sqlite_errors
indexer.store.statements
"""
"""Modules of ours that every command needs which asks the index."""
WORDS = """
indexer.spelling indexer.store.names indexer.store.search indexer.store.search.folding
indexer.store.search.index_rows indexer.store.search.spellings indexer.store.tag_sets
"""
ROWS = f"{WORDS} indexer.store.view_rows"
SEARCH = f"""{ROWS}
indexer.cli.notices indexer.cli.search indexer.store.search.fields indexer.store.search.full_text
indexer.store.search.lengths indexer.store.search.query indexer.store.search.results
indexer.tag_names
"""
TRACKS = f"""{WORDS}
indexer.model indexer.store.catalog indexer.store.damaged indexer.store.problems
indexer.store.tracks
"""
DISKS = """
indexer.disk indexer.disk.descent indexer.disk.filesystem indexer.disk.identity
indexer.disk.mounts indexer.disk.tree indexer.roots indexer.roots.automounts
indexer.roots.open_roots indexer.roots.opening indexer.shares indexer.shares.hanging
indexer.store.roots indexer.store.tracks_below
"""
QUERIES = f"""{TRACKS} {ROWS}
indexer.reports indexer.reports.queries indexer.store.former
"""


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
    ("words", "needed"),
    [
        (("search", "bjork", "hyper"), SEARCH),
        (("search", "--albums", "post"), SEARCH),
        (("new",), f"{ROWS} indexer.cli.search indexer.store.browse"),
        (("show", "1"), f"""{QUERIES} indexer.places indexer.reports.history
            indexer.store.roots indexer.store.tracks_below"""),
        (("changes",), f"{QUERIES} indexer.cli.changes"),
        (("problems",), f"{QUERIES} indexer.cli.problems"),
        (("status",), f"""{TRACKS} {DISKS} indexer.cli.status_lines indexer.reports
            indexer.reports.metrics indexer.reports.status indexer.results.status_report
            indexer.store.scrubs indexer.store.sidecars indexer.store.sidecars.artwork
            indexer.store.sidecars.pictures indexer.store.sidecars.playlists indexer.store.work
            indexer.store.work.pending indexer.store.work.scans"""),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)  # fmt: skip
def test_a_command_that_asks_loads_only_what_it_needs(
    words: tuple[str, ...], needed: str, db: Path
) -> None:
    loaded = loaded_by(db, *words)
    assert {"apsw", "indexer.lookup"} <= loaded
    assert loaded & set(NOTHING_NEEDS) == set()
    ours = {name for name in loaded if name.partition(".")[0] == "indexer"}
    assert ours - set(f"{EVERY} {needed}".split()) == set()


def test_a_scan_that_finds_nothing_loads_neither_searches_nor_checks_nor_artwork(db: Path) -> None:
    loaded = loaded_by(db, "scan")
    assert "indexer.engine.local" in loaded
    unneeded = {
        "indexer.checks.verify", "indexer.readers.artwork", "indexer.reports.history",
        "indexer.stages.artwork", "indexer.store.recovery.health",
        "indexer.store.search.full_text", "indexer.store.search.query", "indexer.store.scratch",
        "json", "shutil", "socket", "sqlite3", "tempfile",
    }  # fmt: skip
    if sys.version_info < (3, 14):  # from then on, logging needs it
        unneeded.add("dataclasses")
    assert loaded & unneeded == set()


def test_settings_in_a_file_load_only_its_parser(db: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('quiet = 1.0\n[roots.other]\npath = "other"\n')
    loaded = loaded_by(db, "--config", str(config), "search", "bjork")
    assert loaded & set(NOTHING_NEEDS) - {"string"} == {"tomllib"}  # its parser may need the other


def test_a_command_loads_no_other_command(db: Path) -> None:
    loaded = loaded_by(db, "search", "bjork")
    others = {"changes", "export", "pages", "problems", "queues", "roots", "service"}
    assert loaded & {f"indexer.cli.{name}" for name in others} == set()


def test_the_help_of_all_loads_only_the_commands_that_it_describes(db: Path) -> None:
    loaded = loaded_by(db, "--help")
    rare = {"artwork", "duplicates", "export", "hooks", "pages", "playlists", "queues", "scrub"}
    assert loaded & {f"indexer.cli.{name}" for name in rare} == set()


def test_a_command_that_asks_never_looks_for_garbage(db: Path) -> None:
    program = (
        "import gc, sys; from indexer.cli import main; seen = [];"
        "gc.callbacks.append(lambda *_: seen.append(_)); main(sys.argv[1:]);"
        "gc.callbacks.clear(); print(len(seen), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--db", db, "search", "bjork"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    assert done.stderr == "0\n"


def test_a_daemon_without_redis_loads_none_of_the_commands_reports_and_large_libraries() -> None:
    program = "import sys, watcher.cli, watcher.daemon; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    needless = {
        "PIL", "anyascii", "indexer.cli.answers", "indexer.cli.commands", "indexer.results.report",
        "mutagen", "redis", "rich", "rq",
    }  # fmt: skip
    assert set(done.stdout.split()) & needless == set()
