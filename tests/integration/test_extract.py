from __future__ import annotations

import fcntl
import mmap
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from indexer.disk.mounts import mount_of, read_mounts
from indexer.evidence import SETTLED_NS, TICK_NS, coarse_now_ns, ignore_lease_signal
from indexer.model import Chunk, Evidence, ProblemKind, Reading, Stamp, Track, Waiting
from indexer.stages.extract import extract


def whole(file: BinaryIO, suffix: bytes) -> Track:
    return Track(codec=suffix.decode(), title=file.read().decode())


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"la la")
    return path


def read(song: Path, evidence: Evidence = Evidence()) -> Reading:  # noqa: B008 - a frozen value
    (reading,) = extract(
        Chunk(os.fsencode(song.parent), (os.fsencode(song.name),), evidence), whole
    )
    return reading


def test_a_file_is_read_a_moment_after_its_writer_closed_it(song: Path) -> None:
    assert read(song).track == Track(codec=".mp3", title="la la")


def test_a_file_that_is_being_written_waits(song: Path) -> None:
    with song.open("ab"):
        reading = read(song)
    assert (reading.waiting, reading.opened) == (Waiting.WRITER, False)


def test_a_file_that_is_held_but_stands_still_is_read_and_flagged(song: Path) -> None:
    with song.open("ab"):
        reading = read(song, Evidence(held_s=0))
    assert reading.track is not None
    assert reading.writer


def test_a_file_that_is_held_but_was_not_written_to_for_long_is_read_as_it_stands(
    song: Path,
) -> None:
    """No program is asked for news that the next stamp tells: some hold files open for days."""
    much_later = coarse_now_ns() + SETTLED_NS + 1_000_000_000
    chunk = Chunk(os.fsencode(song.parent), (os.fsencode(song.name),))
    with song.open("ab") as file:
        (reading,) = extract(chunk, whole, now_ns=lambda: much_later)
        assert (reading.track, reading.writer) == (Track(codec=".mp3", title="la la"), False)
        file.write(b" la")
        file.flush()
        assert Stamp.of(song.stat()) != reading.stamp


def test_a_write_through_a_mapping_changes_the_stamp_once_its_page_was_written_back(
    song: Path,
) -> None:
    """What a settled file rests on, where a writer has it mapped; tmpfs writes nothing back."""
    mount = mount_of(os.fsencode(song), read_mounts())
    if mount is None or mount.fs_type == "tmpfs":
        pytest.skip("tmpfs stamps no write through a mapping")
    with song.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0:1] = b"L"
        mapping.flush()
        before = Stamp.of(song.stat())
        time.sleep(2 * TICK_NS / 1e9)
        mapping[0:1] = b"l"
        assert Stamp.of(song.stat()) != before


def test_a_file_whose_writer_has_gone_is_not_flagged(song: Path) -> None:
    assert not read(song, Evidence(held_s=0)).writer


def test_a_file_under_anothers_write_lease_waits_instead_of_blocking(song: Path) -> None:
    """Samba takes such leases for its clients; to open the file would block for 45 s."""
    ignore_lease_signal()
    with song.open("r+b") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert read(song) == Reading(path=b"song.mp3", waiting=Waiting.WRITER)


def test_reading_leaves_the_access_time_alone(song: Path) -> None:
    os.utime(song, ns=(0, 0))
    assert read(song).track is not None
    assert song.stat().st_atime_ns == 0


@pytest.fixture
def open_song() -> Iterator[Path]:
    """A file of ours in a folder that everybody may enter, which pytest's own may not be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "song.mp3"
        path.write_bytes(b"la la")
        yield path


def as_nobody(song: Path, evidence: Evidence = Evidence()) -> Reading:  # noqa: B008
    """What a process reads that owns nothing."""
    answers, answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os.write(answer, msgspec.msgpack.encode(read(song, evidence)))
        os._exit(0)
    os.close(answer)
    with open(answers, "rb") as file:
        reading = msgspec.msgpack.decode(file.read(), type=Reading)
    os.waitpid(child, 0)
    return reading


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


@needs_root
def test_anothers_file_is_read_once_it_stood_still(open_song: Path) -> None:
    """Neither O_NOATIME nor a lease is allowed on it."""
    assert as_nobody(open_song).waiting is Waiting.YOUNG
    assert as_nobody(open_song, Evidence(still_s=0)).track == Track(codec=".mp3", title="la la")


@needs_root
def test_a_file_that_may_not_be_read_is_a_problem_of_the_environment(open_song: Path) -> None:
    open_song.chmod(0)
    problem = as_nobody(open_song).problem
    assert problem is not None
    assert problem.kind is ProblemKind.ENVIRONMENT
    assert problem.reason.startswith("permission denied (EACCES): let the user")


def test_without_descriptors_no_file_is_called_bad(song: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, hard))  # room for the root only
    try:
        problem = read(song).problem
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert problem is not None
    assert problem.kind is ProblemKind.ENVIRONMENT
    assert "EMFILE" in problem.reason
