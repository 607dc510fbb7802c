"""A test's name -> an index of its own, disks to mount, and users with less rights."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.corpus import plant
from tests.daemons import Daemon, Watch, watching
from tests.integration.odd_names import LIBRARY, Place
from tests.programs import AT_MOST_S, can_be_root, run
from tests.redis_servers import RedisServer, redis_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Mount = Callable[..., Path]
MakeDisk = Callable[..., Path]

_SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


@pytest.fixture
def db(tmp_path: Path, empty_index: Path) -> Path:
    """An index in which nothing stands, but that is made already: that takes longest of all."""
    path = tmp_path / "index" / "library.db"
    path.parent.mkdir(mode=0o700)
    shutil.copyfile(empty_index, path)
    path.chmod(0o600)
    return path


@pytest.fixture
def no_db(tmp_path: Path) -> Path:
    """Where an index might be; nothing is there yet."""
    return tmp_path / "index" / "library.db"


@pytest.fixture
def watch(music: Path, db: Path) -> Iterator[Watch]:
    """`watch()` begins to watch the folder `music`; at the end index must equal disk."""
    with ExitStack() as stack:
        daemons: list[Daemon] = []

        def begin() -> Daemon:
            daemons.append(stack.enter_context(watching(music, db=db)))
            return daemons[-1]

        yield begin
        for daemon in daemons:
            daemon.is_right()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for this test alone."""
    with redis_server(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def mount() -> Iterator[Mount]:
    """`mount(point, *arguments of mount)` -> the point; all are unmounted at the end."""
    if not can_be_root():
        pytest.skip("only root may mount")
    points: list[Path] = []

    def mount(point: Path, *arguments: str | Path) -> Path:
        if not point.exists():
            point.mkdir(parents=True)
        command = ["mount", *arguments, point]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine does not let root mount: {done.stderr.strip()}")
        points.append(point)
        return point

    yield mount
    for point in reversed(points):  # lazily, since a failed test may still hold a file open;
        # and unasked, since `os.path.ismount` knows no bind mount within one disk
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def tool(name: str, *, of: str) -> str:
    """Where a program for disks is; the test is skipped where its package is not installed."""
    found = shutil.which(name, path=_SBIN)
    if found is None:
        pytest.skip(f"{name} (of {of}) is not installed")
    return found


def unmount(point: Path, *, within_s: float = AT_MOST_S) -> None:
    """Take a disk away; a look under way has a folder open for a moment, and nothing for long."""
    deadline = time.monotonic() + within_s
    while (
        done := subprocess.run(["umount", point], capture_output=True, text=True, check=False)
    ).returncode:
        assert "busy" in done.stderr, done.stderr
        assert time.monotonic() < deadline, f"{point} stays busy: {_open_below(point)}"
        time.sleep(0.05)


def _open_below(point: Path) -> list[str]:
    """What any process has open there: its number and name, and the file."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if Path(target := os.readlink(link)).is_relative_to(point):
                process = link.parent.parent
                found.append(f"{process.name} {(process / 'comm').read_text().strip()} {target}")
    return found


def fill(folder: Path, *, leave: int = 0) -> Path:
    """A file that takes all room of a disk but `leave` bytes, whatever else is written to it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(file.tell() - leave)
    return ballast


@pytest.fixture
def make_disk(tmp_path: Path) -> MakeDisk:
    """`make_disk(name, *options of mkfs)` -> a file with a small ext4, to mount with `-o loop`."""
    tool = shutil.which("mkfs.ext4", path=_SBIN)
    if tool is None:
        pytest.skip("mkfs.ext4 is not installed")

    def make(name: str, *options: str) -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(4 << 20)
        subprocess.run([tool, "-q", "-F", *options, path], check=True, stderr=subprocess.DEVNULL)
        return path

    return make


@pytest.fixture
def powerless() -> list[str]:
    """What starts a program without root's rights: whose files it may read is then asked again.

    For an ordinary user nothing is needed. Root stays user 0, so that it still reaches a Python
    below /root, but the kernel grants it no more than that.
    """
    if not can_be_root():
        return []
    tool = shutil.which("setpriv")
    if tool is None:
        pytest.skip("setpriv is not installed")
    return [tool, "--inh-caps=-all", "--bounding-set=-all", "--ambient-caps=-all"]


@pytest.fixture
def nobody() -> tuple[int, int]:
    """The ids of a stranger, for files that are not ours."""
    if not can_be_root():
        pytest.skip("only root may give files away")
    return 65534, 65534


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An index that many tests ask, and none changes."""
    place = Place(tmp_path_factory.mktemp("odd"))
    plant(place.music, LIBRARY)
    run("rebuild", place.music, db=place.db)
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module."""
    from playwright.sync_api import sync_playwright  # late: few tests look at a page

    program = shutil.which("chromium")
    assert program is not None, "chromium is not installed: deploy/test installs it"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()
