"""The library as of a time is what was read at that time, after any later changes."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from indexer.checks import verify
from indexer.cli.listing import path_of
from indexer.engine import read_jobs
from indexer.library import Library
from indexer.reports import past
from indexer.results.report import SearchNote
from indexer.settings import Settings
from indexer.store import roots as root_rows
from indexer.store.connection import open_index, write_transaction
from indexer.store.upkeep import purge_missing
from tests.corpus import tagged
from tests.further_tags import with_tags
from tests.property.fs_state_machine import Upheaval, picks, roots
from tests.stage_harness import PoolHere
from tests.trees import faults, put, song

EXAMPLES: Final = int(os.environ.get("CONVERGENCE", "0"))
QUESTIONS: Final = ('"one"', "artist:bjork", "-two", "artistsort:jonsi", "root:one", "track:>1")
RETAGGED: Final = {
    "one": with_tags(".mp3", {"artistsort": ["Jónsi"], "mood": ["dark"]}),
    "two": with_tags(".mp3", {"artistsort": ["Jónsi", "Alex"], "work": ["Two"]}),
    "none": tagged(),
    "some": song("One", track="7", comment="x" * 40),
    "many": song("Ten", artist=["Björk", "Alex"], genre=["Pop", "Rock"]),
}

Row = dict[str, Any]


class AsOf(Upheaval):
    """An index of both roots, and what was read from it at some times."""

    empty_index: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module in (verify, read_jobs):
            self.patch.setattr(module, "ReaderPool", PoolHere)
        self.settings = Settings(
            db=self.base / "index" / "library.db",
            workers=2, still=0.01, retry_first=0.001, retry_longest=0.01, small_work=3,
        )  # fmt: skip
        self.settings.db.parent.mkdir()
        shutil.copyfile(self.empty_index, self.settings.db)
        self.read: list[tuple[datetime, str, list[Row]]] = []
        self.has_roots = False

    def teardown(self) -> None:
        try:
            if self.has_roots:  # Hypothesis may give a history up before its first step
                self.scan_all()
                with Library(self.settings) as library:
                    self.look_back(library, last=len(self.read))
        finally:
            self.patch.undo()
            super().teardown()

    @initialize()
    def index(self) -> None:
        with Library(self.settings) as library:
            for root in self.roots:
                library.add_root(os.fsencode(root))
        self.has_roots = True

    @rule()
    def scan_all(self) -> None:
        with Library(self.settings) as library:
            assert library.scan().pending == 0
            assert faults(library) == []
            self.look_back(library)
            self.look(library)

    @rule()
    def rebuild_all(self) -> None:
        with Library(self.settings) as library:
            library.rebuild()
            self.look_back(library)
            self.look(library)

    @rule(root=roots)
    def purge(self, root: int) -> None:
        """Delete the rows of all missing tracks of a root, as after 30 days."""
        connection = open_index(self.settings.db, write=True)
        try:
            (row,) = (
                row for row in root_rows.watched(connection)
                if row.path == os.fsencode(self.roots[root])
            )  # fmt: skip
            with write_transaction(connection):
                purge_missing(connection, row.id, 0)
        finally:
            connection.close()
        with Library(self.settings) as library:
            self.look_back(library)

    @precondition(Upheaval.has)
    @rule(number=picks, content=st.sampled_from(sorted(RETAGGED)))
    def retag(self, number: int, content: str) -> None:
        put(self.base, self.pick(number), RETAGGED[content])

    @rule(root=roots, name=st.sampled_from(["one", "two", "three"]))
    def rename_root(self, root: int, name: str) -> None:
        with Library(self.settings) as library:
            names = {path: name for name, path in library.root_paths().items()}
            if name not in names.values():
                library.rename_root(names[os.fsencode(self.roots[root])], name)
            self.look_back(library)

    def look(self, library: Library) -> None:
        """Remember what the library is now, and which tracks one question finds."""
        for question in ("", QUESTIONS[len(self.read) // 2 % len(QUESTIONS)]):
            told: list[SearchNote] = []
            rows = list(library.search([question], sort="path", limit=None, note=told.append))
            if any(note.instead for note in told):
                rows = []  # a correction is for people, of what is there now
            kept = [
                {name: row[name] for name in (*past.COLUMNS, "path_b64", "tags") if name in row}
                for row in sorted(rows, key=lambda row: (row["root"], path_of(row)))
            ]
            self.read.append((_next_moment(), question, kept))

    def look_back(self, library: Library, last: int = 6) -> None:
        """Ask again what was read; the last ones, since each costs time."""
        for when, question, rows in self.read[-last:]:
            words = question.split()
            assert list(library.as_of(when, words)) == rows, (when, question)


def _next_moment() -> datetime:
    """Now, after the milliseconds of all earlier changes, and not after those of later ones."""
    last = time.time_ns() // 1_000_000
    while (now := time.time_ns() // 1_000_000) == last:
        pass
    return datetime.fromtimestamp(now / 1000, UTC)


def test_the_library_as_of_a_time_is_what_was_read_then(empty_index: Path) -> None:
    AsOf.empty_index = empty_index
    run_state_machine_as_test(
        AsOf,
        settings=effort(
            max_examples=EXAMPLES or 8,
            stateful_step_count=30,
            phases=[Phase.generate] if EXAMPLES else list(Phase),
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
