from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.evidence import AHEAD_NS, FileLease, coarse_now_ns, try_lease


@pytest.fixture(params=["the disk", "tmpfs"])
def song(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    shared_memory = Path("/dev/shm")
    if request.param == "tmpfs" and not os.access(shared_memory, os.W_OK):
        pytest.skip("no tmpfs here")
    with tempfile.TemporaryDirectory(
        dir=shared_memory if request.param == "tmpfs" else tmp_path
    ) as folder:
        path = Path(folder) / "song.mp3"
        path.write_bytes(b"x" * mmap.PAGESIZE)
        yield path


def lease_on(path: Path) -> FileLease:
    file_descriptor = os.open(path, os.O_RDONLY)
    try:
        return try_lease(file_descriptor)
    finally:
        os.close(file_descriptor)


def test_a_lease_is_granted_once_the_writer_has_closed(song: Path) -> None:
    with song.open("ab"):
        assert lease_on(song) is FileLease.REFUSED
    assert lease_on(song) is FileLease.GRANTED


def test_a_writable_mapping_refuses_the_lease_though_the_file_is_closed(song: Path) -> None:
    with song.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    assert lease_on(song) is FileLease.REFUSED
    mapping.close()
    assert lease_on(song) is FileLease.GRANTED


def test_another_reader_is_no_writer(song: Path) -> None:
    with song.open("rb"):
        assert lease_on(song) is FileLease.GRANTED


def test_a_lease_is_given_back_at_once(song: Path) -> None:
    """Else the writer's own descriptor would be refused: it opens without waiting."""
    with song.open("rb") as file:
        assert try_lease(file.fileno()) is FileLease.GRANTED
        os.close(os.open(song, os.O_WRONLY | os.O_NONBLOCK))


def test_a_descriptor_that_has_no_leases_says_so() -> None:
    read_end, write_end = os.pipe()
    try:
        assert try_lease(read_end) is FileLease.UNAVAILABLE
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_lease_on_anothers_file_is_not_to_be_had(song: Path) -> None:
    with song.open("rb") as file:
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            os._exit(0 if try_lease(file.fileno()) is FileLease.UNAVAILABLE else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_write_is_stamped_no_further_ahead_than_is_allowed_for(song: Path) -> None:
    for _ in range(1000):
        with song.open("ab") as file:
            file.write(b"x")
            file.flush()
            assert os.fstat(file.fileno()).st_ctime_ns - coarse_now_ns() < AHEAD_NS


LEASES_WITHOUT_END = """
import os, signal, sys
from indexer.evidence import ignore_lease_signal, try_lease
signal.signal(signal.SIGIO, signal.SIG_DFL)  # a parent that ignores it hands that down
if sys.argv[2] == "ignoring":
    ignore_lease_signal()
file = os.open(sys.argv[1], os.O_RDONLY)
print("begun", flush=True)
while True:
    try_lease(file)
"""


@pytest.fixture
def lease_taker(song: Path) -> Iterator[LeaseTaker]:
    taker = LeaseTaker(song)
    yield taker
    taker.end()


class LeaseTaker:
    """A process that takes leases on one file in a loop."""

    process: subprocess.Popen[str]

    def __init__(self, song: Path) -> None:
        self.song = song

    def start(self, how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEASES_WITHOUT_END, str(self.song), how],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "begun\n"

    def outlives(self, openings: int) -> bool:
        """Open the file for writing that often, as long as the process lives."""
        for _ in range(openings):
            os.close(os.open(self.song, os.O_WRONLY))
            if self.process.poll() is not None:
                return False
        return True

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def test_a_process_that_takes_leases_outlives_writers(lease_taker: LeaseTaker) -> None:
    lease_taker.start("ignoring")
    assert lease_taker.outlives(openings=20_000)


def test_without_ignoring_the_signal_a_writer_kills_it(lease_taker: LeaseTaker) -> None:
    """The control of the test above: the fault it survives does happen."""
    lease_taker.start("defenceless")
    assert not lease_taker.outlives(openings=200_000)
    assert lease_taker.process.wait() == -signal.SIGIO
