"""Fixtures: a music folder and an index for each test; profiles of property tests."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from indexer.disk.filesystem import Disk
from indexer.library import Library
from indexer.settings import Settings
from indexer.store import roots
from indexer.store.connection import Connection, open_index
from tests import corpus
from tests.stage_harness import ByHand, Planned
from tests.trees import Plant, song

for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    # A shell's `&` and nohup have them ignored, and the programs under test would inherit that.
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)

hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("long", deadline=None, database=None, max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


MOUNTS = ("mount", "mkfs.ext4", "namespace", "tmpfs", "fuse2fs", "bindfs")
"""Words in the reason of a skip which mean that no disk could be made for the test."""
NO_KERNEL_HAS_ALL = "unknown filesystem type"
"""Except this: the kernel was built without the file system."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all-mounts`: fail if a test was skipped because no disk could be made."""
    parser.addoption(
        "--all-mounts", action="store_true", help="fail if a test that needs mounts was skipped"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes, begin with what takes long, so that none has a long file at the end.

    Files with real processes wait more than they compute; of the unit tests the largest are first.
    """
    if not hasattr(config, "workerinput"):
        return
    unit = config.rootpath / "tests" / "unit"
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (unit in item.path.parents, -tests[item.path]))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run with `--all-mounts` that did not try all mounts."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if not session.config.getoption("--all-mounts") or reporter is None:
        return
    skipped = {
        f"{report.nodeid}: {report.longrepr[2]}"
        for report in reporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
        and NO_KERNEL_HAS_ALL not in report.longrepr[2]
        and any(word in report.longrepr[2] for word in MOUNTS)
    }
    if skipped:
        reporter.write_line("")
        for line in sorted(skipped):
            reporter.write_line(f"skipped, though all mounts were to be tried: {line}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty index: made once, since this starts a process."""
    path = tmp_path_factory.mktemp("empty") / "library.db"
    open_index(path, write=True).close()
    return path


@pytest.fixture
def chunk_files() -> int:
    """Files in one transaction; tests may parametrize it."""
    return 200


@pytest.fixture
def settings(tmp_path: Path, empty_index: Path, chunk_files: int) -> Settings:
    """Settings with waits of at most a twentieth of a second; the index exists."""
    db = tmp_path / "index" / "library.db"
    db.parent.mkdir()
    shutil.copyfile(empty_index, db)
    return Settings(
        db=db,
        workers=1,
        still=0.05,
        retry_first=0.001,
        retry_longest=0.01,
        chunk_files=chunk_files,
    )


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """The folder of the one root; empty."""
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


@pytest.fixture
def library(music: Path, settings: Settings) -> Iterator[Library]:
    """An index that watches `music`."""
    with Library(settings) as opened:
        opened.add_root(os.fsencode(music))
        yield opened


@pytest.fixture
def plant(music: Path) -> Plant:
    """`plant({"a/1.mp3": song()})` writes files below `music`."""

    def write(tree: dict[str | bytes, bytes | None]) -> None:
        corpus.plant(music, tree)

    return write


@pytest.fixture
def by_hand(library: Library, settings: Settings) -> Iterator[ByHand]:
    """The stages of `library` one by one, on the current disks of its roots."""
    assert library.status().roots
    with ByHand(settings) as stages:
        yield stages


@pytest.fixture
def planned(plant: Plant, by_hand: ByHand) -> Planned:
    """Two new files that are listed and read, but not inserted yet."""
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    plan, row = by_hand.plan()
    return plan, row, by_hand.read(plan)


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """A connection to an empty index, for writing."""
    opened = open_index(settings.db, write=True)
    yield opened
    opened.close()


@pytest.fixture
def root_id(connection: Connection) -> int:
    """The first root of `connection`, on its first disk, for made-up rows and entries."""
    root = roots.add(connection, "music", b"/music", now_ms=1)
    disk_id = roots.accept(connection, root.id, b"", Disk(uuid="made-up", fs_type="ext4"), inode=1)
    assert (root.id, disk_id) == (1, 1)
    return root.id
