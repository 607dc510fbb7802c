"""Which files of a chunk the worker reads itself, and which a process reads for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.model import Chunk, Evidence, Reading
from indexer.queue.workers.chunk_reader import ChunkReader
from indexer.settings import Settings
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
