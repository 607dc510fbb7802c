from __future__ import annotations

import errno
import io
import os
from typing import BinaryIO, cast

import pytest

from indexer.tags import window as window_module
from indexer.tags.window import BLOCK, TAIL, Window

CONTENT = bytes(range(256)) * 300


class Dribbling(io.BytesIO):
    """An unbuffered file that returns fewer bytes than requested."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(min(size, 1000) if size is not None and size > 0 else size)


def test_a_window_reads_what_the_file_holds_in_any_order() -> None:
    window, file = Window(io.BytesIO(CONTENT)), io.BytesIO(CONTENT)
    for offset, size in [
        (0, 10),
        (5, 10),
        (BLOCK - 1, 2),
        (3, 1),
        (70_000, 9),
        (0, BLOCK),
        (1, -1),
    ]:
        window.seek(offset)
        file.seek(offset)
        assert window.read(size) == file.read(size)
        assert window.tell() == file.tell()


def test_a_read_ends_where_the_file_ends() -> None:
    window = Window(io.BytesIO(CONTENT))
    window.seek(-3, io.SEEK_END)
    assert window.read(2**32) == CONTENT[-3:]
    assert window.read(2**32) == b""
    window.seek(2**40)
    assert window.read(1) == b""
    assert window.tell() == 2**40


def test_seeking_before_the_start_is_refused_as_by_a_real_file() -> None:
    window = Window(io.BytesIO(CONTENT))
    with pytest.raises(OSError, match="Invalid argument"):
        window.seek(-len(CONTENT) - 1, io.SEEK_END)
    assert window.fault is None


def test_pieces_are_put_together() -> None:
    assert Window(Dribbling(CONTENT)).read() == CONTENT


def test_small_reads_beside_each_other_are_one_read_of_the_file() -> None:
    file = Dribbling(CONTENT[:900])
    window = Window(file)
    assert b"".join(window.read(9) for _ in range(100)) == CONTENT[:900]
    assert file.reads == 1


def test_the_head_and_the_end_of_a_file_are_read_once() -> None:
    file = io.BytesIO(CONTENT)
    reads: list[tuple[int, int]] = []

    class Counted:
        def seek(self, _offset: int, _whence: int) -> int:
            return len(CONTENT)

        def read_at(self, at: int, size: int) -> bytes:
            reads.append((at, size))
            file.seek(at)
            return file.read(size)

    window = Window(cast("BinaryIO", Counted()))
    end = len(CONTENT) - 500
    assert window.peek(0, 10) == CONTENT[:10]
    assert window.glance(end, 4) == CONTENT[end : end + 4]
    assert window.tail == CONTENT[-TAIL:]
    assert window.peek(20, 30) == window.glance(20, 30) == CONTENT[20:50]
    assert window.hold(BLOCK - 8, 8) == (CONTENT[:BLOCK], 0)
    assert window.glance(end + 90, 1000) == CONTENT[end + 90 :]
    assert reads == [(0, BLOCK), (end, 500)]


def test_a_file_that_was_cut_short_meanwhile_just_ends() -> None:
    file = io.BytesIO(CONTENT)
    window = Window(file)
    file.truncate(100)
    assert window.read(200) == CONTENT[:100]
    assert window.read(200) == b""


def test_the_tail_is_the_end_of_the_file_fetched_once() -> None:
    file = Dribbling(CONTENT)
    window = Window(file)
    assert window.read(10) == CONTENT[:10]
    reads = file.reads
    assert window.tail == window.tail == CONTENT[-TAIL:]
    assert file.reads == reads + 1
    assert window.read(10) == CONTENT[10:20]
    assert file.reads == reads + 1


def test_the_tail_of_a_short_file_is_all_of_it() -> None:
    assert Window(io.BytesIO(b"short")).tail == b"short"


def test_all_of_a_file_is_no_more_than_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_module, "MUCH", 100)
    window = Window(io.BytesIO(CONTENT))
    assert window.read() == CONTENT[:100]
    assert window.read(-24) == CONTENT[100:200]


def test_endless_seeking_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_module, "SEEKS", 3)
    window = Window(io.BytesIO(CONTENT))
    for _ in range(3):
        window.seek(0)
    with pytest.raises(RuntimeError, match="round in circles"):
        window.seek(0)


def test_a_file_that_can_be_read_at_a_place_is_read_there() -> None:
    class Placed(io.BytesIO):
        def read_at(self, at: int, size: int) -> bytes:
            return self.getbuffer()[at : at + min(size, 1000)].tobytes()

    file = Placed(CONTENT)
    window = Window(file)
    begin = file.tell()
    assert window.peek(5, 3000) == CONTENT[5:3005]
    assert file.tell() == begin


def test_glances_are_the_bytes_at_each_place_and_no_more_of_the_file() -> None:
    file = Dribbling(CONTENT)
    found = list(Window(file).glances(range(5000, 70_000, 4123), 40))
    assert found == [CONTENT[at : at + 40] for at in range(5000, 70_000, 4123)]
    assert file.reads == len(found)
    big = list(Window(Dribbling(CONTENT)).glances(range(0, 9000, 3000), 3000))
    assert b"".join(big) == CONTENT[:9000]


def test_glances_read_only_what_is_requested() -> None:
    file = Dribbling(CONTENT)
    assert next(Window(file).glances(range(5000, 70_000, 4123), 40)) == CONTENT[5000:5040]
    assert file.reads == 1


def test_a_fault_at_a_glance_is_remembered() -> None:
    class Failing(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    window = Window(Failing(CONTENT))
    with pytest.raises(OSError, match="Input/output"):
        list(window.glances(range(0, 900, 100), 10))
    assert window.fault is not None
