"""Whatever happens on the disk, and wherever a run is cut off: after the next scan index equals disk.

`CONVERGENCE=500 pytest tests/property/test_convergence.py` tries that many long histories, other
ones each time; `TMPDIR=/dev/shm` has them on tmpfs, which never gives an inode number twice.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import pytest
from hypothesis import HealthCheck, strategies as st
from hypothesis import settings as effort
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from indexer import verify
from indexer.engine import dispatch, local
from indexer.library import Library
from indexer.model import Chunk, Reading
from indexer.report import ScanReport
from indexer.settings import Settings
from indexer.stages import absence, rows
from indexer.stages.extract import extract
from indexer.store.connection import Connection, write_transaction
from indexer.tags import SUFFIXES, Refused, read_track
from tests.corpus import tagged
from tests.trees import ask, faults, replayed, song

FOLDERS: Final = (b"", b"A", b"A/CD 1", b"A/CD 2", b"B", b"B/x.mp3", b"\xff", b".hidden")
NAMES: Final = (b"1.mp3", b"2.mp3", b"3.mp3", b"a\nb.mp3", b"\xfe.mp3", b"X.mp3", b"x.mp3")
CONTENTS: Final = (
    song("One"),
    song("Two"),
    song("Six", artist="Jónsi"),
    song("Ten", artist=["Björk", "Jónsi"], genre=["Pop", "Noise"]),
    song("Oh!", albumartist="Sigur Rós", album="Ágætis byrjun"),
    song("Mix", compilation="1", album="Best of"),
    song("Mbi", mb_albumid="0e6b0d5c-6f52-4a3c-a9b6-6d4c9ae4a0e3"),
    tagged(title="Alone"),
    tagged(artist="Untitled"),
    tagged(),
    tagged(".flac", title="Flac"),
    b"",
    b"no music" * 50,
    b"NO MUSIC" * 50,
)
MANY: Final = 8
"""Below so many files none are taken away."""
EXAMPLES: Final = int(os.environ.get("CONVERGENCE", "0"))

folders = st.sampled_from(FOLDERS)
names = st.sampled_from(NAMES)
contents = st.sampled_from(CONTENTS)
picks = st.integers(0, 99)
both = st.integers(0, 1)


class PowerCut(BaseException):
    """The process ends here."""


class Cut:
    """Every commit of a run is counted, and one of them is the last thing that it does or not."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.commits = False

    def transaction(self, connection: Connection) -> Any:
        """`write_transaction`, or the end of the process before or after it."""
        return _Transaction(self, connection)


class _Transaction:
    def __init__(self, cut: Cut, connection: Connection) -> None:
        self._cut = cut
        self._inner = write_transaction(connection)

    def __enter__(self) -> None:
        if self._cut.left is not None and self._cut.left < 0:
            raise PowerCut
        self._inner.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ends = False
        if self._cut.left is not None:
            ends = self._cut.left == 0
            self._cut.left -= 1
        if ends and not self._cut.commits and kind is None:
            cut = PowerCut()
            self._inner.__exit__(PowerCut, cut, None)
            raise cut
        self._inner.__exit__(kind, error, traceback)
        if ends:
            raise PowerCut


class HereAndThere:
    """A pool without processes, whose answers come in any order."""

    order: ClassVar[random.Random] = random.Random(1)

    def __init__(self, workers: int, _timeout_s: float) -> None:
        self._workers = workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map_unordered(
        self, chunks: Iterable[tuple[Any, Chunk]]
    ) -> Iterator[tuple[Any, list[Reading]]]:
        given = iter(chunks)
        held: deque[tuple[Any, list[Reading]]] = deque()
        while True:
            while len(held) < 2 * self._workers and (more := next(given, None)) is not None:
                held.append((more[0], extract(more[1])))
            if not held:
                return
            held.rotate(self.order.randrange(len(held)))
            yield held.popleft()


class Convergence(RuleBasedStateMachine):
    """Two roots of one disk, a folder beside them, and an index of both."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.cut = Cut()
        for module in (rows, absence, local, dispatch):
            self.patch.setattr(module, "write_transaction", self.cut.transaction)
        for module in (verify, local):
            self.patch.setattr(module, "ReaderPool", HereAndThere)
        self.base = Path(tempfile.mkdtemp(prefix="convergence-"))
        self.roots = [self.base / "one", self.base / "two"]
        self.outside = self.base / "outside"
        for folder in (*self.roots, self.outside):
            folder.mkdir()
        self.settings = self.new_index("index")
        self.rows: dict[int, object] = {}

    def new_index(self, name: str) -> Settings:
        db = self.base / name / "library.db"
        shutil.rmtree(db.parent, ignore_errors=True)
        db.parent.mkdir()
        shutil.copyfile(self.template, db)
        return Settings(
            db=db, workers=2, still=0.2, retry_first=0.001, retry_longest=0.01, small_work=3
        )

    def teardown(self) -> None:
        try:
            self.scan_all(0, 200)
        finally:
            self.patch.undo()
            shutil.rmtree(self.base)

    # What stands on the disk now.

    def path(self, root: int, folder: bytes, name: bytes = b"") -> bytes:
        return b"/".join(filter(None, (os.fsencode(self.roots[root]), folder, name)))

    def listed(self, wanted: Callable[[int], bool]) -> list[bytes]:
        found = []
        for top in self.roots:
            for folder, below, files in os.walk(os.fsencode(top)):
                for name in sorted(below) + sorted(files):
                    path = os.path.join(folder, name)
                    if wanted(os.lstat(path).st_mode):
                        found.append(path)
        return sorted(found)

    def pick(self, number: int, wanted: Callable[[int], bool] = stat.S_ISREG) -> bytes | None:
        """Some file that is there, preferring others for other numbers; None where none is."""
        found = self.listed(wanted)
        return found[number % len(found)] if found else None

    @property
    def has_files(self) -> bool:
        return bool(self.listed(stat.S_ISREG))

    # What people and programs do to their files.

    @initialize(files=st.lists(st.tuples(both, folders, names, contents), min_size=8, max_size=20))
    def begin(self, files: list[tuple[int, bytes, bytes, bytes]]) -> None:
        for root, folder, name, content in files:
            self.plant(root, folder, name, content)
        with Library(self.settings) as library:
            library.rebuild([os.fsencode(root) for root in self.roots])

    @rule(files=st.lists(st.tuples(both, folders, names, contents), min_size=1, max_size=6))
    def create(self, files: list[tuple[int, bytes, bytes, bytes]]) -> None:
        for root, folder, name, content in files:
            self.plant(root, folder, name, content)

    def plant(self, root: int, folder: bytes, name: bytes, content: bytes) -> None:
        path = self.path(root, folder, name)
        if self._make_folder(root, folder) and not os.path.lexists(path):
            Path(os.fsdecode(path)).write_bytes(content)

    def _make_folder(self, root: int, folder: bytes) -> bool:
        try:
            os.makedirs(self.path(root, folder), exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            return False
        return True

    @precondition(lambda self: self.has_files)
    @rule(number=picks, content=contents)
    def write_over(self, number: int, content: bytes) -> None:
        path = self.pick(number)
        assert path is not None
        with open(path, "r+b") as file:
            file.write(content)
            file.truncate()

    @precondition(lambda self: self.has_files)
    @rule(number=picks, content=contents)
    def write_over_in_disguise(self, number: int, content: bytes) -> None:
        path = self.pick(number)
        assert path is not None
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.write(content[: before.st_size].ljust(before.st_size, b"\0"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    @precondition(lambda self: self.has_files)
    @rule(number=picks, content=contents)
    def replace_at_once(self, number: int, content: bytes) -> None:
        path = self.pick(number)
        assert path is not None
        aside = path + b".part"
        Path(os.fsdecode(aside)).write_bytes(content)
        os.rename(aside, path)

    @precondition(lambda self: self.has_files)
    @rule(number=picks, root=both, folder=folders, name=names)
    def rename(self, number: int, root: int, folder: bytes, name: bytes) -> None:
        path = self.pick(number)
        assert path is not None
        target = self.path(root, folder, name)
        if self._make_folder(root, folder) and not os.path.isdir(target):
            os.rename(path, target)

    @precondition(lambda self: self.has_files)
    @rule(number=picks, other=picks)
    def swap(self, number: int, other: int) -> None:
        one, two = self.pick(number), self.pick(other)
        assert one is not None
        assert two is not None
        if one != two:
            os.rename(one, one + b".aside")
            os.rename(two, one)
            os.rename(one + b".aside", two)

    @rule(number=picks, root=both, folder=folders)
    def rename_folder(self, number: int, root: int, folder: bytes) -> None:
        path = self.pick(number, stat.S_ISDIR)
        target = self.path(root, folder)
        if path is None or not folder or os.path.lexists(target):
            return
        if not target.startswith(path + b"/") and self._make_folder(root, os.path.dirname(folder)):
            os.rename(path, target)

    @precondition(lambda self: self.has_files)
    @rule(number=picks)
    def change_case(self, number: int) -> None:
        path = self.pick(number)
        assert path is not None
        folder, name = os.path.split(path)
        os.rename(path, os.path.join(folder, name.swapcase()))

    @precondition(lambda self: len(self.listed(stat.S_ISREG)) > MANY)
    @rule(number=picks)
    def delete(self, number: int) -> None:
        path = self.pick(number)
        assert path is not None
        os.unlink(path)

    @precondition(lambda self: len(self.listed(stat.S_ISREG)) > MANY)
    @rule(number=picks)
    def delete_folder(self, number: int) -> None:
        path = self.pick(number, stat.S_ISDIR)
        if path is not None:
            shutil.rmtree(path)

    @precondition(lambda self: self.has_files)
    @rule(number=picks, root=both, folder=folders, name=names)
    def link(self, number: int, root: int, folder: bytes, name: bytes) -> None:
        path, target = self.pick(number), self.path(root, folder, name)
        assert path is not None
        if self._make_folder(root, folder) and not os.path.lexists(target):
            os.link(path, target)

    @precondition(lambda self: self.has_files)
    @rule(number=picks, root=both, folder=folders, name=names)
    def copy_with_times(self, number: int, root: int, folder: bytes, name: bytes) -> None:
        path, target = self.pick(number), self.path(root, folder, name)
        assert path is not None
        if self._make_folder(root, folder) and not os.path.lexists(target):
            shutil.copy2(path, target)

    @precondition(lambda self: self.has_files)
    @rule(number=picks, mode=st.sampled_from([0o600, 0o644]))
    def chmod(self, number: int, mode: int) -> None:
        path = self.pick(number)
        assert path is not None
        os.chmod(path, mode)

    @precondition(lambda self: self.has_files)
    @rule(number=picks, kind=st.sampled_from(["folder", "fifo", "link"]))
    def replace_by_another_kind(self, number: int, kind: str) -> None:
        path = self.pick(number)
        assert path is not None
        os.rename(path, path + b".gone")
        match kind:
            case "folder":
                os.mkdir(path)
                os.rename(path + b".gone", path + b"/1.mp3")
            case "fifo":
                os.mkfifo(path)
            case _:
                os.symlink(path + b".gone", path)

    @precondition(lambda self: len(self.listed(stat.S_ISREG)) > MANY)
    @rule(number=picks)
    def take_away(self, number: int) -> None:
        """Out of the roots, a file or a folder or something odd, to come back some day."""
        path = self.pick(number, lambda mode: True)
        if path is not None:
            os.rename(path, os.path.join(os.fsencode(self.outside), b"%d" % number))

    @rule(number=picks, root=both, folder=folders, name=names)
    def bring_back(self, number: int, root: int, folder: bytes, name: bytes) -> None:
        there = sorted(os.listdir(os.fsencode(self.outside)))
        if there and self._make_folder(root, folder):
            path = os.path.join(os.fsencode(self.outside), there[number % len(there)])
            target = self.path(root, folder, name)
            if not os.path.lexists(target):
                os.rename(path, target)

    # What the index does about it.

    @rule(seed=picks, chunk_files=st.sampled_from([1, 2, 200]))
    def scan_all(self, seed: int, chunk_files: int) -> None:
        report = self.run(lambda library: library.scan(), seed, chunk_files)
        self.check_all(report)

    @rule(seed=picks, chunk_files=st.sampled_from([1, 2, 200]))
    def rebuild_all(self, seed: int, chunk_files: int) -> None:
        report = self.run(lambda library: library.rebuild(), seed, chunk_files)
        self.check_all(report)

    @rule(root=both, folder=folders, name=st.sampled_from((b"", *NAMES)), seed=picks)
    def scan_one_place(self, root: int, folder: bytes, name: bytes, seed: int) -> None:
        path = self.path(root, folder, name)
        report = self.run(lambda library: library.scan([path]), seed, 1 + seed % 3)
        assert not report.interrupted
        self.check_inside()

    @rule(polls=st.integers(0, 12), seed=picks, rebuild=st.booleans())
    def scan_until_stopped(self, polls: int, seed: int, rebuild: bool) -> None:
        left = iter(range(polls))

        def stop() -> bool:
            return next(left, None) is None

        def work(library: Library) -> ScanReport:
            return library.rebuild(stop=stop) if rebuild else library.scan(stop=stop)

        self.run(work, seed, 1)
        with Library(self.settings) as library:
            assert faults(library._reading()) == []

    @rule(after=st.integers(0, 12), commits=st.booleans(), seed=picks, chunk_files=st.integers(1, 2))
    def scan_until_power_is_cut(
        self, after: int, commits: bool, seed: int, chunk_files: int
    ) -> None:
        self.cut.left, self.cut.commits = after, commits
        try:
            self.run(lambda library: library.scan(), seed, chunk_files)
        except PowerCut:
            pass
        finally:
            self.cut.left = None
        with Library(self.settings) as library:
            assert faults(library._reading()) == []

    def run(
        self, work: Callable[[Library], ScanReport], seed: int, chunk_files: int
    ) -> ScanReport:
        HereAndThere.order = random.Random(seed)
        with Library(replace(self.settings, chunk_files=chunk_files)) as library:
            return work(library)

    # What has to be true then.

    def check_inside(self) -> None:
        """What holds after every run that came to its end, wherever it looked."""
        with Library(self.settings) as library:
            assert faults(library._reading()) == []
            present = {
                row["track_id"]: (row["root"], row["path"])
                for row in (
                    {"track_id": track_id, "root": root, "path": path}
                    for track_id, root, path in ask(library, "SELECT id, root, path FROM library")
                )
            }
            fed = {
                track_id: (root, path if isinstance(b64, str) is False else None)
                for track_id, (root, path, b64) in replayed(library.changes()).items()
            }
            assert fed == {
                track_id: (root, path if isinstance(path, str) else None)
                for track_id, (root, path) in present.items()
            }
            self.check_ids(library)

    def check_ids(self, library: Library) -> None:
        """No row ever ends, and a new one has an id above all that there were."""
        now = {row[0]: None for row in ask(library, "SELECT id FROM tracks ORDER BY id")}
        assert self.rows.keys() <= now.keys()
        fresh = now.keys() - self.rows.keys()
        assert not fresh or not self.rows or min(fresh) > max(self.rows)
        self.rows = dict(now)

    def check_all(self, report: ScanReport) -> None:
        assert not report.interrupted
        assert report.pending == 0
        self.check_inside()
        with Library(self.settings) as library:
            assert ask(library, "SELECT * FROM pending") == []
            verified = library.verify(deep=True)
            assert verified.ok, verified
            assert verified.pending == 0
            expected = self.expected()
            rows = ask(library, "SELECT root, path, title, artist, album, track FROM library")
            there = {(root, path if isinstance(path, bytes) else path.encode()): rest for root, path, *rest in rows}
            assert there.keys() == {place for place, tags in expected.items() if tags is not None}
            for place, tags in expected.items():
                for told, read in zip(there.get(place, ()), tags or (), strict=True):
                    assert read is None or told == read, (place, told, read)
            problems = {
                (root, bytes(path))
                for root, path in ask(
                    library,
                    "SELECT name, problems.path FROM problems JOIN roots ON roots.id = root_id",
                )
            }
            refused = {place for place, tags in expected.items() if tags is None}
            assert problems == refused
            second = library.scan()
            assert second.files_read == 0
            assert second.unchanged == second.seen == len(expected)
            assert self.content(library) == self.afresh()

    def expected(self) -> dict[tuple[str, bytes], tuple[Any, ...] | None]:
        """What the files say themselves: (root, path) -> tags, None for what cannot be read."""
        found: dict[tuple[str, bytes], tuple[Any, ...] | None] = {}
        for root in self.roots:
            top = os.fsencode(root)
            for folder, below, files in os.walk(top):
                below[:] = [name for name in below if not name.startswith(b".")]
                for name in files:
                    path = os.path.join(folder, name)
                    mode = os.lstat(path).st_mode
                    suffix = os.path.splitext(name)[1].lower()
                    if name.startswith(b".") or suffix not in SUFFIXES or stat.S_ISLNK(mode):
                        continue
                    place = (root.name, os.path.relpath(path, top))
                    found[place] = tags_of(path, suffix) if stat.S_ISREG(mode) else None
        return found

    def content(self, library: Library) -> list[tuple[Any, ...]]:
        """The view without ids and the times of indexing, and which tracks are one album."""
        rows = ask(library, "SELECT library.*, album_id FROM library JOIN tracks USING (id)")
        albums: dict[int, Any] = {}
        for row in sorted(rows, key=lambda row: (row[1], row[2] if isinstance(row[2], bytes) else row[2].encode())):
            albums.setdefault(row[-1], row[1:3])
        return sorted(
            ((*row[1:-3], albums[row[-1]]) for row in rows), key=lambda row: repr(row[:2])
        )

    def afresh(self) -> list[tuple[Any, ...]]:
        """The same of an index that never saw anything but what stands there now."""
        with Library(self.new_index("fresh")) as library:
            library.rebuild([os.fsencode(root) for root in self.roots])
            return self.content(library)


def tags_of(path: bytes, suffix: bytes) -> tuple[Any, ...] | None:
    with open(path, "rb") as file:
        try:
            track = read_track(file, suffix)
        except Refused:
            return None
    artist = "; ".join(track.artists) or None
    return track.title, artist, track.album, track.track


def test_after_every_scan_the_index_equals_the_disk(empty_index: Path) -> None:
    Convergence.template = empty_index
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Convergence,
        settings=effort(
            max_examples=EXAMPLES or 12,
            stateful_step_count=60 if EXAMPLES else 30,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
