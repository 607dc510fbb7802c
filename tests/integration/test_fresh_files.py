"""No second write is missed of a file that was read in the tick of its first one (rule R2).

On each type of file system that gives changes within a tick different ctimes here; a kernel before
Linux 6.13 has none.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from indexer.disk.filesystem import disk_at, distinct_types
from indexer.disk.identity import open_root
from indexer.disk.tree import Tree, mount_point_at
from indexer.evidence import coarse_now_ns, ignore_lease_signal
from indexer.model import Chunk, Reading, Stamp, Track
from indexer.stages.extract import extract
from indexer.stages.fresh_files import FreshFiles
from tests.corpus import tagged
from tests.daemons import QUICK, watching
from tests.integration.conftest import MakeDisk, Mount, tool
from tests.programs import eventually

TRIES = 2000
ROUNDS = 100
_SIZE = 8
"""Of each text that is written: no stamp shows it."""


@pytest.fixture(params=["the disk", "tmpfs", "ext4", "btrfs"])
def music(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "the disk":
        (tmp_path / "music").mkdir()
        yield tmp_path / "music"
    elif request.param == "tmpfs":
        if not os.access("/dev/shm", os.W_OK):
            pytest.skip("no tmpfs here")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            yield Path(folder)
    else:
        mount: Mount = request.getfixturevalue("mount")
        package = "btrfs-progs" if request.param == "btrfs" else "e2fsprogs"
        disk = tmp_path / "disk"
        with disk.open("wb") as file:
            file.truncate(128 << 20)
        subprocess.run([tool(f"mkfs.{request.param}", of=package), "-q", disk], check=True)
        yield mount(tmp_path / "mnt", "-o", "loop", disk)


class Reader:
    """Reads one file again and again as a daemon does."""

    def __init__(self, folder: Path) -> None:
        ignore_lease_signal()
        root = os.fsencode(folder)
        top = mount_point_at(b"", open_root(root), 1, disk_at(root).fs_type)
        self.tree = Tree(1, "music", root, [top], {})
        self.fresh = FreshFiles(distinct_types(folder))
        self.waits = 0
        self._chunk = Chunk(root, (b"song.mp3",))

    def read(self) -> Reading:
        hold = self.fresh.holder(self.tree)
        (reading,) = extract(self._chunk, _text, sleep=self._sleep, hold=hold)
        return reading

    def _sleep(self, seconds: float) -> None:
        self.waits += 1
        time.sleep(seconds)

    def close(self) -> None:
        self.fresh.close()
        self.tree.close()


@pytest.fixture
def reader(music: Path) -> Iterator[Reader]:
    reader = Reader(music)
    yield reader
    reader.close()


def _text(file: BinaryIO, suffix: bytes) -> Track:
    return Track(codec=suffix.decode(), title=file.read().decode())


def _write(song: Path, number: int) -> str:
    """In place: a file that is cut to nothing first is written to the disk when it is closed."""
    text = f"{number:{_SIZE}}"
    file = os.open(song, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(file, text.encode())
    os.close(file)
    return text


def _replace(song: Path, number: int) -> str:
    """Another file of that name, which may get the inode of the old one."""
    song.unlink()
    return _write(song, number)


@pytest.mark.parametrize("again", [_write, _replace])
def test_a_write_right_after_a_reading_shows_in_the_stamp(
    music: Path, reader: Reader, again: Callable[[Path, int], str]
) -> None:
    """In the same tick, nearly always, where ctimes differ within one; after a wait elsewhere."""
    song = music / "song.mp3"
    is_fine = bool(distinct_types(music))
    tries = TRIES if is_fine else 100
    in_a_tick = 0
    for number in range(tries):
        first = _write(song, 2 * number)
        reading = reader.read()
        assert reading.track is not None
        assert reading.stamp is not None
        assert reading.track.title == first
        again(song, 2 * number + 1)
        in_a_tick += coarse_now_ns() <= reading.stamp.ctime_ns
        assert Stamp.of(song.stat()) != reading.stamp
        reader.fresh.release(time.monotonic())
    if is_fine:
        assert reader.waits < tries / 10
        assert in_a_tick > tries / 10


def test_writes_beside_a_reading_show_in_the_stamp_or_are_in_what_was_read(
    music: Path, reader: Reader
) -> None:
    song = music / "song.mp3"
    _write(song, 0)
    chance = random.Random(1)
    go, done = threading.Barrier(2), threading.Barrier(2)
    last = ""
    over = False

    def writer() -> None:
        nonlocal last
        number = 0
        while True:
            go.wait()
            if over:
                return
            for _ in range(chance.randint(1, 3)):
                number += 1
                last = _write(song, number)
                time.sleep(chance.choice((0.0, 0.0, 0.00005, 0.0002)))
            done.wait()

    thread = threading.Thread(target=writer)
    thread.start()
    equal = 0
    try:
        for _ in range(TRIES if distinct_types(music) else 100):
            go.wait()
            reading = reader.read()
            done.wait()
            reader.fresh.release(time.monotonic())
            if reading.track is not None and reading.stamp == Stamp.of(song.stat()):
                equal += 1
                assert reading.track.title == last
    finally:
        over = True
        go.wait()
        thread.join()
    assert equal or not distinct_types(music)


def test_where_ctimes_are_whole_seconds_nothing_is_held(
    tmp_path: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    """The type has fine ctimes, but not this disk: each stamp shows it."""
    folder = mount(tmp_path / "mnt", "-o", "loop", make_disk("disk", "-I", "128"))
    reader = Reader(folder)
    reader.fresh = FreshFiles(frozenset({"ext4"}))
    _write(folder / "song.mp3", 1)
    assert reader.read().track is None
    assert reader.fresh.next_turn() is None
    reader.close()


def test_a_disk_of_whole_seconds_is_not_found_to_have_distinct_ctimes(
    tmp_path: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    folder = mount(tmp_path / "mnt", "-o", "loop", make_disk("disk", "-I", "128"))
    assert distinct_types(folder) == frozenset()


def test_a_file_system_without_unnamed_files_is_not_tried(tmp_path: Path) -> None:
    assert distinct_types(Path("/proc")) == frozenset()
    assert distinct_types(tmp_path / "gone") == frozenset()


def test_trying_leaves_nothing_in_the_folder(tmp_path: Path) -> None:
    distinct_types(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_shows_the_last_of_writes_that_follow_each_other_within_a_tick(
    music: Path, empty_index: Path
) -> None:
    """Writes of one size, at any time after the reading of the one before."""
    db = music / ".index" / "library.db"  # on the same file system, which is tried there
    db.parent.mkdir()
    shutil.copyfile(empty_index, db)
    chance = random.Random(2)
    song = music / "song.mp3"
    songs = {text: tagged(title=text) for text in (f"{number:06}" for number in range(8))}
    assert len({len(data) for data in songs.values()}) == 1

    def write(text: str) -> None:
        if chance.random() < 0.3:
            song.unlink(missing_ok=True)
        file = os.open(song, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(file, songs[text])
        os.close(file)

    config = QUICK + "quiet = 0.0\n"  # each write is looked at at once
    with watching(music, db=db, config=config) as daemon, closing(sqlite3.connect(db)) as reader:
        for _ in range(ROUNDS):
            for text in chance.sample(sorted(songs), chance.randint(1, 4)):
                write(text)
                time.sleep(chance.random() * 0.006)
            eventually(partial(_shows, reader, text))
        assert daemon.files_read > ROUNDS / 2


def _shows(reader: sqlite3.Connection, title: str) -> bool:
    return reader.execute("SELECT title FROM library").fetchall() == [(title,)]
