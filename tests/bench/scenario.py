"""A library -> the costs of all operations of the program on it, run after run."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from indexer.lookup import Lookup
from indexer.settings import Settings
from tests.bench import clock, cold, cores, database, kernel, search, strace
from tests.bench.catalogue import three
from tests.bench.figures import (
    COLD_KERNEL,
    COLD_REBUILD,
    COLD_UNCHANGED,
    FIND,
    KERNEL,
    KERNEL_TWO,
    MUTAGEN,
    REBUILD,
    RENAMED,
    RETAGGED,
    SEARCH,
    SEED,
    SQLITE,
    STAGES,
    UNCHANGED,
    VERIFY,
    Library,
    Step,
)
from tests.bench.make import make, write_track
from tests.bench.peers.peer import Watching
from tests.bench.process import OF_A_SERVICE, Cost, Failed, run
from tests.daemons import watching

CHECKOUT = Path(__file__).parents[2]
MOST_TRACED = 10_000
"""Maximum files of a library run under strace, which takes many times as long."""
FEW = 500
"""Files of the warm-up library, enough for each process to meet each format."""
START_S = 900.0
"""Maximum until the daemon watches, which takes a look at everything."""
SEARCHES = ("two words of a track", "two frequent words", "a misspelled word")
_CHANGED = """
SELECT changes.seq, library.path FROM changes JOIN library ON library.id = changes.track_id
WHERE changes.seq > ? ORDER BY changes.seq
"""
AGAIN = 3
"""How often a round repeats very short steps."""


class Changes:
    """A program that follows `changes`: a query of the view for a path would read all of it."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader
        (self._seq,) = reader.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()

    def shows(self, path: str) -> bool:
        """Whether a track of this path came since it was asked last."""
        rows = self._reader.execute(_CHANGED, (self._seq,)).fetchall()
        self._seq = rows[-1][0] if rows else self._seq
        return any(row[1] == path for row in rows)


class Scenario:
    """One library, and one database that is recreated for each round."""

    def __init__(
        self,
        music: Path,
        work: Path,
        files: int,
        seed: int,
        *,
        cores: int,
        config: Path | None,
        tiny: bool = False,
    ) -> None:
        self._music = music
        self._database = work / "library.db"
        self._files = files
        self._cores = cores
        self._config = config
        self._environment = _environment(work)
        self._tiny = tiny
        self._first, self._middle, self._last = three(files, seed, tiny=tiny)
        self._limit = kernel.build(work)
        self._steps: dict[str, Step] = {}
        self.sample_s: float | None = None
        """How often rounds sample memory, if they do; they are timed where that is seldom."""

    def result(self) -> Library:
        """The measurements so far."""
        return Library(self._files, list(self._steps.values()), self._tiny)

    def warm(self) -> None:
        """Read the library into the page cache, as far as it fits, and compile all code."""
        self._run_few()
        self._reference("warm", str(self._music))

    def round(self) -> None:
        """Run everything once, and restore the library. Raises Failed if an answer is wrong.

        For a library of tiny files only the steps that grow with their number are measured.
        """
        self._kernel()
        if self._tiny:
            self._rebuild()
            self._scan_unchanged()
            self._search()
            return
        self._inside(MUTAGEN, self._reference("mutagen", str(self._music)))
        if self.sample_s is None:  # memory is not measured for stages
            for stage, name in STAGES.items():
                self._stage(stage, name)
        self._rebuild()
        self._scan_unchanged()
        for _ in range(AGAIN if self.sample_s is None else 0):
            folder = str(self._database.parent)
            self._inside(SQLITE, self._reference("sqlite", str(self._database), folder))
        with self._retagged() as count:
            self._scan(RETAGGED, files_read=count, modified=count)
        with self._renamed() as count:
            self._scan(RENAMED, files_read=0, moved=count)
            self._search()
            cost = self._index("verify")
            self._note(VERIFY, cost)
            self._expect(cost, checked=self._files)

    def seed(self) -> None:
        """Measure the fraction of the cores that a rebuild keeps busy while it reads tags.

        Artwork comes after it, and waits for processors that nothing else wants.
        """
        self._forget_database()
        config = self._database.with_name("seed.toml")
        config.write_text(f"artwork = false\n{self._settings}", "utf-8")
        cost, samples = cores.sampled(
            self._command(["rebuild", str(self._music)], config),
            cores=self._cores,
            environment=self._environment,
            folder=CHECKOUT,
        )
        self._expect(cost, seen=self._files, added=self._files, problems=0)
        self._note(SEED, cost).busy = cores.busy(samples, self._cores)

    @contextmanager
    def watching(self) -> Iterator[Watching]:
        """The daemon with the settings of the program, on the index of the last round."""
        log = self._database.with_name("watcher.log")
        with (
            watching(
                self._music,
                db=self._database,
                config=self._settings,
                env=OF_A_SERVICE,
                log=log,
                until=lambda daemon: daemon.await_line("watching root=", within_s=START_S),
            ) as daemon,
            closing(sqlite3.connect(self._database, isolation_level=None)) as reader,
        ):
            yield Watching(daemon.pid, Changes(reader).shows)
            daemon.end()

    def searches_ms(self, count: int) -> dict[str, float]:
        """Kind of question -> median, asked of the index of the last round by one process."""
        with Lookup.open(Settings(db=self._database)) as library:
            asked = search.questions(library, Random(1), count)
            kinds = {kind: typed for kind, typed in asked if kind in SEARCHES}
            return {kind: search.ask(library, kind, typed).median for kind, typed in kinds.items()}

    def trace(self) -> None:
        """Count the system calls of a rebuild and of an unchanged scan."""
        if not strace.installed() or self._files > MOST_TRACED:
            return
        self._forget_database()
        for name, words in ((REBUILD, ["rebuild", str(self._music)]), (UNCHANGED, ["scan"])):
            traced = strace.trace(
                self._command(words),
                cores=self._cores,
                environment=self._environment,
                folder=CHECKOUT,
            )
            self._steps[name].calls = traced.calls
            self._steps[name].habit = strace.habit(traced, self._music)

    def cold_round(self) -> None:
        """A rebuild and an unchanged scan, each with a cold cache."""
        reason = cold.why_not(self._music)
        if reason:
            self._steps[COLD_REBUILD] = Step(COLD_REBUILD, absent=reason)
            return
        if self._limit is not None:
            with self._cold(COLD_KERNEL):
                cost = self._run(kernel.read_heads(self._limit, self._music, 1))
                self._note(COLD_KERNEL, cost)
        with self._cold(COLD_REBUILD):
            self._rebuild(COLD_REBUILD)
        with self._cold(COLD_UNCHANGED):
            self._scan(COLD_UNCHANGED, files_read=0)

    def _kernel(self) -> None:
        """The lower bounds: list everything, and open and read every track."""
        for _ in range(AGAIN):
            self._note(FIND, self._run(kernel.find(self._music)))
            for name, threads in ((KERNEL, 1), (KERNEL_TWO, 2)):
                if self._limit is None:
                    self._steps[name] = Step(name, absent=kernel.NO_COMPILER)
                    continue
                cost = self._run(kernel.read_heads(self._limit, self._music, threads))
                self._note(name, cost)
                if int(cost.output) != self._files:
                    raise Failed(f"{name}: {cost.output.strip()} files instead of {self._files}")

    def _stage(self, stage: str, name: str) -> None:
        words = ["-m", "tests.bench.stages", stage, str(self._music), str(self._database.parent)]
        self._inside(name, self._run([sys.executable, *words], cores=1))

    def _inside(self, name: str, cost: Cost) -> None:
        """Record the cost measured inside the process, without the start of Python."""
        took = clock.told(cost.output)
        if took.files != self._files:
            raise Failed(f"{name}: {took.files} files instead of {self._files}")
        its = {"seconds": took.seconds, "cpu_s": took.cpu_s, "written_bytes": took.written_bytes}
        step = self._note(name, msgspec.structs.replace(cost, **its))
        step.read_bytes, step.database_bytes = took.read_bytes, took.database_bytes

    def _run_few(self) -> None:
        """Compile and load our code, by running everything once with another, small library."""
        few = self._database.with_name("few")
        make(few, FEW, seed=1)  # its first artist is that of every library
        kept = self._database
        self._database = kept.with_name("few.db")
        try:
            self._index("rebuild", str(few))
            self._index("scan")
            self._index("search", *self._first.folder.partition("/")[0].split())
            self._index("verify")
        finally:
            self._database = kept

    @contextmanager
    def _cold(self, name: str) -> Iterator[None]:
        """Drop the caches, and record the requests to the disk; the last run is kept."""
        cold.drop_caches()
        self._run_few()
        before = cold.asked_of(self._music)
        yield
        self._steps[name].asked = cold.asked_of(self._music).since(before)

    def _rebuild(self, name: str = REBUILD) -> None:
        self._forget_database()
        cost = self._index("rebuild", str(self._music))
        step = self._note(name, cost)
        report = self._expect(cost, seen=self._files, added=self._files, problems=0)
        step.opened, step.read_bytes = report["files_read"], report["bytes_read"]
        step.database_bytes = database.size(self._database)

    def _search(self) -> None:
        words = self._middle.folder.replace("/", " ").split()
        self._note(SEARCH, self._index("search", words[0], words[1]))

    def _scan_unchanged(self) -> None:
        if self._tiny:  # its index may have gigabytes: its rows are not compared
            self._scan(UNCHANGED, files_read=0, unchanged=self._files)
            return
        before = self._database.with_suffix(".before")
        database.copy(self._database, before)
        cost = self._index("scan")
        step = self._note(UNCHANGED, cost)
        report = self._expect(cost, seen=self._files, unchanged=self._files)
        step.opened, step.read_bytes = report["files_read"], report["bytes_read"]
        step.rows = database.rows_written(before, self._database)
        before.unlink()

    def _scan(self, name: str, **expected: int) -> None:
        cost = self._index("scan")
        step = self._note(name, cost)
        report = self._expect(cost, seen=self._files, pending=0, **expected)
        step.opened, step.read_bytes = report["files_read"], report["bytes_read"]

    @contextmanager
    def _retagged(self) -> Iterator[int]:
        """Change the titles of three files; yields their number."""
        chosen = {
            (album.folder, album.tracks[0].name): (album, album.tracks[0])
            for album in (self._first, self._middle, self._last)
        }
        try:
            for album, track in chosen.values():
                tags = {**track.tags, "title": "Another title"}
                write_track(self._music, album, msgspec.structs.replace(track, tags=tags))
            yield len(chosen)
        finally:
            for album, track in chosen.values():
                write_track(self._music, album, track)

    @contextmanager
    def _renamed(self) -> Iterator[int]:
        """Rename one album's folder; yields its number of files.

        The files that `_retagged` has restored are read first, by a scan that is not measured.
        """
        self._index("scan")
        folder = self._music / self._middle.folder
        other = folder.with_name(folder.name + " (remastered)")
        folder.rename(other)
        try:
            yield len(self._middle.tracks)
        finally:
            other.rename(folder)

    def _forget_database(self) -> None:
        for name in ("library.db", "library.db-wal", "library.db-shm"):
            self._database.with_name(name).unlink(missing_ok=True)

    def _reference(self, *words: str) -> Cost:
        return self._run([sys.executable, "-m", "tests.bench.reference", *words], cores=1)

    def _index(self, *words: str) -> Cost:
        return self._run(self._command(words))

    def _command(self, words: Sequence[str], config: Path | None = None) -> list[str]:
        file = config or self._config
        settings = [] if file is None else ["--config", str(file)]
        head = [sys.executable, "-m", "indexer", "--db", str(self._database), *settings]
        return [*head, words[0], "--json", *words[1:]]

    @property
    def _settings(self) -> str:
        """The text of the settings that were asked for."""
        return "" if self._config is None else self._config.read_text("utf-8")

    def _run(self, command: list[str], *, cores: int | None = None) -> Cost:
        return run(
            command,
            cores=cores or self._cores,
            environment=self._environment,
            folder=CHECKOUT,
            sample_s=self.sample_s,
        )

    def _note(self, name: str, cost: Cost) -> Step:
        step = self._steps.setdefault(name, Step(name))
        step.runs.append(msgspec.structs.replace(cost, output=""))
        return step

    def _expect(self, cost: Cost, **expected: int) -> dict[str, Any]:
        """The output as JSON. Raises Failed if the program did not do the expected work."""
        report: dict[str, Any] = msgspec.json.decode(cost.output)
        told = {name: report[name] for name in expected}
        if told != expected:
            raise Failed(f"{self._files} files: expected {expected}, the program says {told}")
        return report


def _environment(work: Path) -> dict[str, str]:
    """Our environment without variables for settings, and with compiled code as if installed."""
    left_out = ("INDEXER_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "XDG_CONFIG_HOME": str(work), "PYTHONPYCACHEPREFIX": str(work / "pycache")}
