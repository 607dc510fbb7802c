"""After any changes of files, and any interrupted run, the next scan makes index equal disk.

`CONVERGENCE=500 pytest tests/property/test_convergence.py` tries that many histories, different
ones each time. With `TMPDIR=/dev/shm` they are on tmpfs, which does not reuse inodes at once.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from msgspec.structs import replace

from indexer import errors
from indexer.checks import verify
from indexer.engine import coordinator, local, read_jobs
from indexer.library import Library
from indexer.results.report import ChangeRow, ScanReport
from indexer.settings import Settings
from indexer.stages import finish, rows
from indexer.store.connection import Connection, write_transaction
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.tags import SUFFIXES, Refused, read_track
from tests.property.fs_state_machine import Place, Upheaval, folders, names, picks, roots
from tests.stage_harness import PoolHere
from tests.trees import ask, faults, replayed

EXAMPLES: Final = int(os.environ.get("CONVERGENCE", "0"))

chunk_sizes = st.sampled_from([1, 2, 200])
Tags = tuple[object, ...]


class PowerCut(BaseException):
    """The process ends here."""


class Power:
    """Ends a run after a number of commits: with its last transaction, or just before."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.last_commits = False

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Replaces `write_transaction`."""
        if self.left is None:
            with write_transaction(connection):
                yield
            return
        self.left -= 1
        if self.left < 0:
            raise PowerCut
        with write_transaction(connection):
            yield
            if self.left == 0 and not self.last_commits:
                raise PowerCut
        if self.left == 0:
            raise PowerCut


def replaced(changes: Iterable[ChangeRow]) -> set[int]:
    """The rows of copies whose places older rows took, which R7 allows, as the feed tells it."""
    return {
        copy.track_id
        for copy, old in pairwise(changes)
        if (copy.kind, old.kind) == ("missing", "moved")
        and (copy.root, copy.path, copy.path_b64) == (old.root, old.path, old.path_b64)
        and old.track_id < copy.track_id
    }


class Convergence(Upheaval):
    """An index of both roots."""

    empty_index: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.power = Power()
        self.patch = pytest.MonkeyPatch()
        for module in (rows, finish, local, read_jobs, coordinator):
            self.patch.setattr(module, "write_transaction", self.power.transaction)
        for module in (verify, read_jobs):
            self.patch.setattr(module, "ReaderPool", PoolHere)
        self.settings = self.new_index("index")
        self.ids: set[int] = set()
        self.has_roots = False

    def teardown(self) -> None:
        try:
            if self.has_roots:  # Hypothesis may give a history up before its first step
                self.scan_all(seed=0, chunk_files=200)
        finally:
            self.patch.undo()
            super().teardown()

    def new_index(self, name: str) -> Settings:
        db = self.base / name / "library.db"
        shutil.rmtree(db.parent, ignore_errors=True)
        db.parent.mkdir()
        shutil.copyfile(self.empty_index, db)
        return Settings(
            db=db, workers=2, still=0.2, retry_first=0.001, retry_longest=0.01, small_work=3
        )

    @initialize()
    def index(self) -> None:
        with Library(self.settings) as library:
            for root in self.roots:
                library.add_root(os.fsencode(root))
        self.has_roots = True

    @rule(seed=picks, chunk_files=chunk_sizes)
    def scan_all(self, seed: int, chunk_files: int) -> None:
        self.check_all(self.run(lambda library: library.scan(), seed, chunk_files))

    @rule(seed=picks, chunk_files=chunk_sizes)
    def rebuild_all(self, seed: int, chunk_files: int) -> None:
        self.check_all(self.run(lambda library: library.rebuild(), seed, chunk_files))

    @rule(root=roots, folder=folders, name=st.one_of(st.just(b""), names), seed=picks)
    def scan_one_place(self, root: int, folder: bytes, name: bytes, seed: int) -> None:
        place: Place = (root, folder, name)
        try:
            report = self.run(lambda library: library.scan([self.path(place)]), seed, 1 + seed % 3)
        except errors.UsageError:  # neither the disk nor the index knows it
            assert not os.path.lexists(self.path(place))
            return
        assert not report.interrupted
        with Library(self.settings) as library:
            self.check_inside(library)

    @rule(polls=st.integers(0, 12), seed=picks, rebuild=st.booleans())
    def scan_until_stopped(self, polls: int, seed: int, rebuild: bool) -> None:
        left = iter(range(polls))

        def work(library: Library) -> ScanReport:
            run = library.rebuild if rebuild else library.scan
            return run(stop=lambda: next(left, None) is None)

        self.run(work, seed, chunk_files=1)
        with Library(self.settings) as library:
            assert faults(library) == []

    @rule(commits=st.integers(1, 12), last=st.booleans(), seed=picks, chunk_files=chunk_sizes)
    def scan_until_power_is_cut(
        self, commits: int, last: bool, seed: int, chunk_files: int
    ) -> None:
        self.power.left, self.power.last_commits = commits, last
        with contextlib.suppress(PowerCut):
            self.run(lambda library: library.scan(), seed, chunk_files)
        self.power.left = None
        with Library(self.settings) as library:
            assert faults(library) == []

    def run(self, work: Callable[[Library], ScanReport], seed: int, chunk_files: int) -> ScanReport:
        """Run `work` on the index; the seed determines the order of the readers' results."""
        self.patch.setattr(PoolHere, "choose", staticmethod(random.Random(seed).randrange))
        with Library(replace(self.settings, chunk_files=chunk_files)) as library:
            return work(library)

    def check_inside(self, library: Library) -> None:
        """Invariants after every complete run, of any scope."""
        assert faults(library) == []
        changes = list(library.changes())
        fed = {track_id: place[:2] for track_id, place in replayed(changes).items()}
        shown = ask(library, "SELECT id, root, path FROM library")
        assert fed == {track_id: (root, _text(path)) for track_id, root, path in shown}
        ids = {track_id for (track_id,) in ask(library, "SELECT id FROM tracks")}
        assert self.ids - ids <= replaced(changes), "a row ended that no older one replaced"
        assert all(track_id > max(self.ids, default=0) for track_id in ids - self.ids)
        self.ids = ids

    def check_all(self, report: ScanReport) -> None:
        """Invariants after a scan of everything."""
        assert (report.interrupted, report.pending) == (False, 0)
        with Library(self.settings) as library:
            self.check_inside(library)
            assert ask(library, "SELECT * FROM pending") == []
            verified = library.verify(deep=True)
            assert (verified.ok, verified.pending) == (True, 0), verified
            on_disk = self.on_disk()
            self.check_tags(library, on_disk)
            problems = ask(
                library,
                "SELECT name, problems.path FROM problems JOIN roots ON roots.id = root_id",
            )
            assert set(problems) == {place for place, tags in on_disk.items() if tags is None}
            second = library.scan()
            assert second.files_read == 0
            assert second.unchanged == second.seen == len(on_disk)
            assert content(library) == self.content_afresh()

    def check_tags(self, library: Library, on_disk: dict[tuple[str, bytes], Tags | None]) -> None:
        """The view has exactly the readable files, with their tags."""
        shown = {
            (root, _bytes(path)): tags
            for root, path, *tags in ask(
                library, "SELECT root, path, title, artist, album, track FROM library"
            )
        }
        readable = {place: tags for place, tags in on_disk.items() if tags is not None}
        assert shown.keys() == readable.keys()
        for place, tags in readable.items():
            for told, read in zip(shown[place], tags, strict=True):
                assert read in (None, told), place

    def on_disk(self) -> dict[tuple[str, bytes], Tags | None]:
        """The files on the disk: (root, path) -> tags, None for an unreadable one."""
        found: dict[tuple[str, bytes], Tags | None] = {}
        for root in self.roots:
            top = os.fsencode(root)
            for folder, below, files in os.walk(top):
                below[:] = [name for name in below if not name.startswith(b".")]
                for name in files:
                    path = os.path.join(folder, name)
                    mode = os.lstat(path).st_mode
                    suffix = os.path.splitext(name)[1].lower()
                    if suffix in SUFFIXES and not name.startswith(b".") and not stat.S_ISLNK(mode):
                        place = (root.name, os.path.relpath(path, top))
                        found[place] = tags_of(path, suffix) if stat.S_ISREG(mode) else None
        return found

    def content_afresh(self) -> list[Tags]:
        """The content of a new index of the same files."""
        with Library(self.new_index("fresh")) as library:
            library.rebuild([os.fsencode(root) for root in self.roots])
            return content(library)


OWN_COLUMNS = {"id", "added_at", "indexed_at", "album_id"}
"""Those that do not come from the files."""


def content(library: Library) -> list[Tags]:
    """The view without ids and times of indexing, with the grouping into albums."""
    of_files = [name for name in LIBRARY_COLUMNS if name not in OWN_COLUMNS]
    rows = ask(library, f"SELECT {', '.join(of_files)}, album_id FROM library")
    rows.sort(key=lambda row: (row[0], _bytes(row[1])))
    first_of: dict[int, tuple[object, ...]] = {}
    for row in rows:
        first_of.setdefault(row[-1], row[:2])
    return [(*row[:-1], first_of[row[-1]]) for row in rows]


def tags_of(path: bytes, suffix: bytes) -> Tags | None:
    with open(path, "rb") as file:
        try:
            track = read_track(file, suffix)
        except Refused:
            return None
    return track.title, "; ".join(track.artists) or None, track.album, track.track


def _bytes(path: str | bytes) -> bytes:
    return path.encode() if isinstance(path, str) else path


def _text(path: Any) -> str:
    return _bytes(path).decode("utf-8", "replace")


def test_after_every_scan_the_index_equals_the_disk(empty_index: Path) -> None:
    Convergence.empty_index = empty_index
    run_state_machine_as_test(
        Convergence,
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
