"""Which files of a chunk the worker reads itself, and which a process reads for it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from msgspec.structs import replace

from indexer.model import Chunk, Evidence, Reading
from indexer.queue.workers import chunk_reader
from indexer.queue.workers.chunk_reader import ChunkReader
from indexer.settings import Settings
from indexer.stages.extract import Beat, extract
from indexer.tags import read_track
from tests.corpus import tagged
from tests.trees import Plant, song


@pytest.fixture
def reader(settings: Settings) -> Iterator[ChunkReader]:
    with ChunkReader(replace(settings, small_work=3)) as reader:
        yield reader


def chunk(music: Path, *names: bytes, may_hang: bool = False) -> Chunk:
    return Chunk(os.fsencode(music), names, Evidence(still_s=0.0), may_hang=may_hang)


def titles(readings: list[Reading]) -> list[tuple[bytes, str | None]]:
    return [(one.path, one.track.title if one.track else None) for one in readings]


def test_a_few_usual_files_need_no_process(reader: ChunkReader, plant: Plant, music: Path) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    begun = []
    reader.begins = lambda: begun.append(True)
    readings = reader.read(chunk(music, b"1.mp3", b"2.mp3", b"3.mp3"))
    assert titles(readings) == [(b"1.mp3", "One"), (b"2.mp3", "Two"), (b"3.mp3", None)]
    assert readings[2].gone
    assert reader.reader_pids == ()
    assert begun, "if the worker is lost now, these files may be at fault"


def test_only_what_our_own_readers_decline_goes_to_a_process_and_the_order_is_kept(
    reader: ChunkReader, plant: Plant, music: Path
) -> None:
    plant({"1.wma": tagged(".wma", title="One"), "2.mp3": song("Two"), "3.wma": tagged(".wma")})
    readings = reader.read(chunk(music, b"1.wma", b"2.mp3", b"3.wma"))
    assert [path for path, _ in titles(readings)] == [b"1.wma", b"2.mp3", b"3.wma"]
    assert [one.track is not None and one.opened for one in readings] == [True] * 3
    assert titles(readings)[:2] == [(b"1.wma", "One"), (b"2.mp3", "Two")]
    assert len(reader.reader_pids) == 1


@pytest.mark.parametrize(("files", "may_hang"), [(4, False), (1, True)])
def test_many_files_and_those_of_a_server_are_read_by_a_process(
    reader: ChunkReader, plant: Plant, music: Path, files: int, may_hang: bool
) -> None:
    plant({f"{number}.mp3": song(str(number)) for number in range(files)})
    names = [b"%d.mp3" % number for number in range(files)]
    readings = reader.read(chunk(music, *names, may_hang=may_hang))
    assert titles(readings) == [(name, name[:1].decode()) for name in names]
    assert len(reader.reader_pids) == 1


class SlowDisk:
    """A disk of this process that answers when it is told to; those of others are as they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        monkeypatch.setattr(chunk_reader, "extract", self._extract)

    def _extract(self, chunk: Chunk, *, beat: Beat) -> list[Reading]:
        def read(file: BinaryIO, suffix: bytes) -> Any:
            assert self.answers.wait(20)
            return read_track(file, suffix)

        return extract(chunk, read, beat=beat)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    slow = SlowDisk(monkeypatch)
    yield slow
    slow.answers.set()


def test_a_job_shows_life_while_a_slow_disk_reads_one_file(
    reader: ChunkReader, plant: Plant, music: Path, disk: SlowDisk
) -> None:
    plant({"1.mp3": song("One")})
    beats = []

    def beat() -> None:
        beats.append(True)
        if len(beats) == 3:
            disk.answers.set()

    reader.beat = beat
    assert titles(reader.read(chunk(music, b"1.mp3"))) == [(b"1.mp3", "One")]
    assert len(beats) == 3
    assert reader.reader_pids == ()


def test_a_file_that_never_comes_is_left_to_the_process_and_others_are_until_it_came(
    settings: Settings, plant: Plant, music: Path, disk: SlowDisk
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    with ChunkReader(replace(settings, small_work=3, reader_timeout=0.3)) as reader:
        assert titles(reader.read(chunk(music, b"1.mp3"))) == [(b"1.mp3", "One")]
        pids = reader.reader_pids
        assert len(pids) == 1
        began = time.monotonic()
        assert titles(reader.read(chunk(music, b"2.mp3"))) == [(b"2.mp3", "Two")]
        assert time.monotonic() < began + 0.3, "no second thread waits for this disk"
        reader.end_reader()
        disk.answers.set()
        stuck = reader._stuck
        assert stuck is not None
        assert stuck.wait(20)
        assert titles(reader.read(chunk(music, b"2.mp3"))) == [(b"2.mp3", "Two")]
        assert reader.reader_pids == ()


def test_what_the_stage_raises_is_raised_by_the_job(
    reader: ChunkReader, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(_chunk: Chunk, *, beat: Beat) -> list[Reading]:
        beat(0)
        raise LookupError("odd")

    monkeypatch.setattr(chunk_reader, "extract", odd)
    with pytest.raises(LookupError, match="odd"):
        reader.read(chunk(music, b"1.mp3"))


def test_a_writer_that_opens_a_file_on_which_a_lease_is_held_does_not_end_the_worker(
    settings: Settings,
) -> None:
    before = signal.signal(signal.SIGIO, signal.SIG_DFL)
    try:
        with ChunkReader(settings):
            assert signal.getsignal(signal.SIGIO) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGIO, before)
