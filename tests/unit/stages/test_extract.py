from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from indexer.evidence import AHEAD_NS, TICK_NS
from indexer.model import Chunk, Evidence, ProblemKind, Reading, Stamp, Track, Waiting
from indexer.stages import extract as stage
from indexer.stages.extract import chunk_to_readings, extract, stamp_at
from indexer.tags import Declined, Refused, families, read_track
from indexer.tags.ape import apev2
from indexer.tags.vorbis import vorbis_file
from tests.descriptors import descriptors_below


def whole(file: BinaryIO, suffix: bytes) -> Track:
    """A reader whose title is the content of the file."""
    return Track(codec=suffix.decode(), title=file.read().decode())


def later() -> int:
    """A clock far beyond every file's ctime."""
    return 1 << 62


def read(root: Path, *paths: bytes, reader: stage.Read = whole) -> list[Reading]:
    return extract(Chunk(os.fsencode(root), paths), reader, now_ns=later)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"la la")
    return path


def raising(error: BaseException) -> stage.Read:
    def reader(_file: BinaryIO, _suffix: bytes) -> Track:
        raise error

    return reader


def test_a_whole_file_brings_its_track_its_stamp_and_what_it_cost(song: Path) -> None:
    (reading,) = read(song.parent, b"song.mp3")
    assert reading == Reading(
        path=b"song.mp3",
        stamp=Stamp.of(song.stat()),
        track=Track(codec=".mp3", title="la la"),
        opened=True,
        bytes_read=5,
    )


def test_the_suffix_is_the_names_and_not_a_folders(tmp_path: Path) -> None:
    (tmp_path / "No.1 hits").mkdir()
    (tmp_path / "No.1 hits" / "b.OGG").write_bytes(b"x")
    (reading,) = read(tmp_path, b"No.1 hits/b.OGG")
    assert reading.track is not None
    assert reading.track.codec == ".ogg"


def test_bytes_are_counted_as_often_as_they_are_read(song: Path) -> None:
    def head_twice(file: BinaryIO, _suffix: bytes) -> Track:
        file.read(3)
        file.seek(0)
        file.read()
        return Track(codec="")

    (reading,) = read(song.parent, b"song.mp3", reader=head_twice)
    assert reading.bytes_read == 3 + len("la la")


def test_readings_stand_in_the_order_of_the_chunk(tmp_path: Path) -> None:
    names = [b"c.mp3", b"a.mp3", b"b.mp3"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    assert [reading.path for reading in read(tmp_path, *names)] == names


@pytest.mark.parametrize(
    "path", [b"nothing.mp3", b"song.mp3/below.mp3", b"folder.mp3", b"link.mp3", b"pipe.mp3"]
)
def test_what_is_no_regular_file_now_is_gone(song: Path, path: bytes) -> None:
    (song.parent / "folder.mp3").mkdir()
    (song.parent / "link.mp3").symlink_to(song)
    os.mkfifo(song.parent / "pipe.mp3")
    assert read(song.parent, path) == [Reading(path=path, gone=True)]


def test_refused_bytes_are_a_problem_of_the_content_under_their_stamp(song: Path) -> None:
    (reading,) = read(song.parent, b"song.mp3", reader=raising(Refused("no frames")))
    assert reading.problem is not None
    assert (reading.problem.kind, reading.problem.reason) == (
        ProblemKind.CONTENT,
        "not an MP3: its content is text [no frames]",
    )
    assert reading.stamp == Stamp.of(song.stat())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, ""), "input/output error (EIO): the disk"),
        (OSError(errno.ESTALE, ""), "(ESTALE): the server"),
        (OSError(errno.EMFILE, ""), "too many open files (EMFILE): raise"),
        (MemoryError(), "cannot allocate memory (ENOMEM): give"),
        (OSError(errno.EBADE, ""), "invalid exchange (EBADE)"),
        (OSError("no number"), "no number"),
    ],
)
def test_the_machines_trouble_is_a_problem_of_the_environment(
    song: Path, error: BaseException, words: str
) -> None:
    (reading,) = read(song.parent, b"song.mp3", reader=raising(error))
    assert reading.problem is not None
    assert reading.problem.kind is ProblemKind.ENVIRONMENT
    assert words in reading.problem.reason


def test_a_file_whose_reader_is_being_replaced_by_an_update_is_tried_again(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(families.MODULES, "apev2", "gone")
    families.family_of.cache_clear()
    plays = song.rename(song.with_suffix(".mpc"))
    (reading,) = read(plays.parent, b"song.mpc", reader=read_track)
    families.family_of.cache_clear()
    assert reading.problem is not None
    assert reading.problem.kind is ProblemKind.ENVIRONMENT
    assert "No module named 'indexer.tags.gone'" in reading.problem.reason


@pytest.mark.parametrize("name", ["song.spx", "song.mpc"])
def test_a_reader_that_the_machine_could_not_load_says_nothing_of_the_file(
    song: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_window: object, _suffix: bytes) -> Track:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    for module in (vorbis_file, apev2):
        monkeypatch.setattr(module, "read", refused)
    families.family_of.cache_clear()
    plays = song.rename(song.with_name(name))
    (reading,) = read(plays.parent, os.fsencode(name), reader=read_track)
    families.family_of.cache_clear()
    assert reading.problem is not None
    assert reading.problem.kind is ProblemKind.ENVIRONMENT


@pytest.mark.parametrize("root", ["nowhere", "song.mp3"])
def test_a_root_that_cannot_be_opened_is_the_environments_fault_for_each_path(
    song: Path, root: str
) -> None:
    readings = read(song.parent / root, b"a.mp3", b"b.mp3")
    assert [reading.path for reading in readings] == [b"a.mp3", b"b.mp3"]
    for reading in readings:
        assert reading.problem is not None
        assert reading.problem.kind is ProblemKind.ENVIRONMENT


def test_one_bad_file_leaves_the_others_alone(song: Path) -> None:
    (song.parent / "bad.mp3").write_bytes(b"\xff")

    def picky(file: BinaryIO, suffix: bytes) -> Track:
        try:
            return whole(file, suffix)
        except UnicodeDecodeError:
            raise Refused("not text") from None

    bad, good = read(song.parent, b"bad.mp3", b"song.mp3", reader=picky)
    assert bad.problem is not None
    assert good.track is not None


def test_a_file_that_grows_while_it_is_read_is_changing(song: Path) -> None:
    def slow(file: BinaryIO, suffix: bytes) -> Track:
        with song.open("ab") as more:
            more.write(b"!")
        return whole(file, suffix)

    (reading,) = read(song.parent, b"song.mp3", reader=slow)
    assert (reading.waiting, reading.track, reading.stamp) == (Waiting.CHANGING, None, None)


def test_a_file_that_is_refused_while_it_is_written_is_not_called_bad(song: Path) -> None:
    def slow(_file: BinaryIO, _suffix: bytes) -> Track:
        song.write_bytes(b"")
        raise Refused("cut short")

    (reading,) = read(song.parent, b"song.mp3", reader=slow)
    assert (reading.waiting, reading.problem) == (Waiting.CHANGING, None)


class Clock:
    """A clock that only `sleep` advances."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += round(seconds * 1e9)


def logged(order: list[str]) -> stage.Read:
    def reader(file: BinaryIO, suffix: bytes) -> Track:
        track = whole(file, suffix)
        order.append(track.title or "")
        return track

    return reader


def test_a_file_of_this_tick_is_read_after_the_others_and_stands_first(tmp_path: Path) -> None:
    fresh, old = tmp_path / "fresh.mp3", tmp_path / "old.mp3"
    old.write_bytes(b"old")
    before = old.stat().st_ctime_ns
    while (fresh.write_bytes(b"fresh"), fresh.stat().st_ctime_ns)[1] <= before:
        pass
    clock = Clock(fresh.stat().st_ctime_ns)
    order: list[str] = []
    readings = extract(
        Chunk(os.fsencode(tmp_path), (b"fresh.mp3", b"old.mp3")),
        logged(order),
        now_ns=clock,
        sleep=clock.sleep,
    )
    assert order == ["old", "fresh"]
    assert [reading.path for reading in readings] == [b"fresh.mp3", b"old.mp3"]
    assert clock.slept == [TICK_NS / 1e9]


class Holder:
    """Holds every file, or none."""

    def __init__(self, *, holds: bool = True) -> None:
        self.holds = holds
        self.asked: list[int] = []

    def __call__(self, _descriptor: int, ctime_ns: int) -> bool:
        self.asked.append(ctime_ns)
        return self.holds


def in_its_tick(song: Path, hold: Holder, evidence: Evidence = Evidence()) -> Reading:  # noqa: B008 - a frozen value
    now_ns = song.stat().st_ctime_ns
    chunk = Chunk(os.fsencode(song.parent), (b"song.mp3",), evidence)
    (reading,) = extract(chunk, whole, now_ns=lambda: now_ns, sleep=lambda _: None, hold=hold)
    return reading


def test_a_file_of_this_tick_that_is_held_is_read_at_once(song: Path) -> None:
    hold = Holder()
    assert in_its_tick(song, hold).track is not None
    assert hold.asked == [song.stat().st_ctime_ns]
    assert in_its_tick(song, Holder(holds=False)).waiting is Waiting.YOUNG


def test_a_file_that_a_program_may_be_writing_is_not_held_for_its_tick(song: Path) -> None:
    """The program may have set its ctime before it was looked at, and write only then."""
    hold = Holder()
    with song.open("ab"):
        assert in_its_tick(song, hold).waiting is Waiting.WRITER
    assert in_its_tick(song, hold, Evidence(still_s=0, leases=False)).waiting is Waiting.YOUNG
    assert hold.asked == []


def test_a_file_of_a_coarse_clock_is_not_held_for_its_tick(song: Path) -> None:
    hold = Holder()
    coarse = Evidence(granularity_ns=10_000_000)
    assert in_its_tick(song, hold, coarse).waiting is Waiting.YOUNG
    assert hold.asked == []


def test_a_clock_that_stands_still_is_not_waited_for_for_ever(song: Path) -> None:
    slept: list[float] = []
    chunk = Chunk(os.fsencode(song.parent), (b"song.mp3",))
    now_ns = song.stat().st_ctime_ns
    (reading,) = extract(chunk, whole, now_ns=lambda: now_ns, sleep=slept.append)
    assert reading.waiting is Waiting.YOUNG
    assert len(slept) == stage.WAIT_TIMES


def test_a_coarse_tick_is_not_waited_for(song: Path) -> None:
    clock = Clock(song.stat().st_ctime_ns)
    evidence = Evidence(granularity_ns=2_000_000_000)
    (reading,) = extract(
        Chunk(os.fsencode(song.parent), (b"song.mp3",), evidence),
        whole,
        now_ns=clock,
        sleep=clock.sleep,
    )
    assert (reading.waiting, reading.opened, clock.slept) == (Waiting.YOUNG, False, [])


def test_without_leases_a_young_file_waits_and_an_old_one_is_read(song: Path) -> None:
    ctime_ns = song.stat().st_ctime_ns

    def at(now_ns: int) -> Reading:
        chunk = Chunk(os.fsencode(song.parent), (b"song.mp3",), Evidence(leases=False))
        return extract(chunk, whole, now_ns=lambda: now_ns)[0]

    assert at(ctime_ns + 1_999_999_999).waiting is Waiting.YOUNG
    assert at(ctime_ns + 2_000_000_000).track is not None
    assert at(ctime_ns - AHEAD_NS - 1).track is not None


def deep(root: Path, length: int, name: bytes) -> bytes:
    """Create folders down to a path of this length, and a file there; the path."""
    folder = b"d" * 250
    parts: list[bytes] = []
    here = os.open(root, os.O_RDONLY)
    while sum(len(part) + 1 for part in parts) + len(name) < length:
        os.mkdir(folder, dir_fd=here)
        inner = os.open(folder, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
        parts.append(folder)
    file = os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(file, b"deep")
    os.close(file)
    os.close(here)
    return b"/".join([*parts, name])


@pytest.mark.parametrize("length", [4090, 9000])
def test_a_path_longer_than_the_kernel_takes_is_read(tmp_path: Path, length: int) -> None:
    path = deep(tmp_path, length, b"x.mp3")
    assert len(path) >= length
    (reading,) = read(tmp_path, path)
    assert reading.track is not None
    assert reading.track.title == "deep"
    assert stamp_at(os.fsencode(tmp_path), path) == reading.stamp


def test_a_name_that_no_file_can_have_is_not_called_bad_content(tmp_path: Path) -> None:
    (reading,) = read(tmp_path, b"n" * 300 + b".mp3")
    assert reading.problem is not None
    assert reading.problem.kind is ProblemKind.ENVIRONMENT


@pytest.mark.parametrize("name", [b"caf\xe9.mp3", b"a\nb.mp3", b"n" * 251 + b".mp3"])
def test_any_name_is_read(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    (reading,) = read(tmp_path, name)
    assert reading.track is not None


def test_no_descriptor_stays_open(song: Path) -> None:
    read(song.parent, b"song.mp3", b"gone.mp3", b"a/" * 2500 + b"x.mp3")
    read(song.parent, b"song.mp3", reader=raising(Refused("")))
    stamp_at(os.fsencode(song.parent), b"song.mp3")
    assert descriptors_below(song.parent) == []


def test_a_beat_comes_before_each_file(song: Path) -> None:
    beats: list[int] = []
    chunk = Chunk(os.fsencode(song.parent), (b"song.mp3", b"gone.mp3"))
    extract(chunk, whole, now_ns=later, beat=beats.append)
    assert beats == [0, 1]


def test_what_our_own_readers_decline_is_left_with_the_stamp_it_had(song: Path) -> None:
    chunk = Chunk(os.fsencode(song.parent), (b"song.mp3",), plain=True)
    (reading,) = extract(chunk, raising(Declined()), now_ns=later)
    assert reading.waiting is Waiting.READER
    assert reading.stamp == Stamp.of(song.stat())
    assert not reading.opened  # it is counted when it is read


def test_only_a_plain_chunk_is_for_our_own_readers_alone(song: Path) -> None:
    told = []

    def tell(file: BinaryIO, _suffix: bytes) -> Track:
        told.append(getattr(file, "ours_only", None))
        return Track(codec="x")

    for plain in (True, False):
        chunk = Chunk(os.fsencode(song.parent), (b"song.mp3",), plain=plain)
        extract(chunk, tell, now_ns=later)
    assert told == [True, False]


LIMITED = """
import os, sys
from indexer.process import limit_memory
from indexer.model import Chunk, Track
from indexer.stages.extract import extract

asked = []

def read(file, suffix):
    asked.append(suffix)
    if suffix == b".flac" or len(asked) == 1:
        bytearray(10**9)
    return Track(codec="x")

if sys.argv[2] == "limited":
    limit_memory(64)
elif sys.argv[2] == "short":
    bytearray = lambda _: (_ for _ in ()).throw(MemoryError)
paths = (b"song.mp3", b"large.flac", b"last.mp3")
for reading in extract(Chunk(os.fsencode(sys.argv[1]), paths), read):
    print(reading.problem.kind if reading.problem else reading.track.codec)
print(len(asked))
"""


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("limited", ["x", "content", "x", "5"]),
        ("short", ["environment", "environment", "x", "3"]),
    ],
)
def test_too_little_memory_is_the_files_fault_only_alone_and_where_this_process_has_a_limit(
    song: Path, how: str, expected: list[str]
) -> None:
    for name in ("large.flac", "last.mp3"):
        (song.parent / name).write_bytes(b"x")
    for name in ("song.mp3", "large.flac", "last.mp3"):
        os.utime(song.parent / name, ns=(0, 0))
    command = [sys.executable, "-c", LIMITED, str(song.parent), how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_a_block_in_brings_the_same_readings_out(song: Path) -> None:
    os.utime(song, ns=(0, 0))
    chunk = Chunk(os.fsencode(song.parent), (b"song.mp3", b"gone.mp3"))
    block = chunk_to_readings(msgspec.msgpack.encode(chunk), whole)
    readings = msgspec.msgpack.decode(block, type=list[Reading])
    assert readings == extract(chunk, whole)


def test_no_stamp_is_seen_where_nothing_is(tmp_path: Path) -> None:
    assert stamp_at(os.fsencode(tmp_path), b"gone.mp3") is None
    assert stamp_at(os.fsencode(tmp_path / "nowhere"), b"gone.mp3") is None
