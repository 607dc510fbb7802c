"""Stderr of a daemon: whatever becomes of its reader, no write waits."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from indexer.nonblocking_stream import NonblockingStream, nonblocking_stderr

Pipe = tuple[int, io.TextIOWrapper]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The reading end, and the other one as a stream."""
    end, other = os.pipe()
    with os.fdopen(other, "w", encoding="utf-8") as stream:
        yield end, stream
    os.close(end)


def lost(number: int) -> str:
    return f"{number} lost\n"


def read_until_drained(end: int, written: NonblockingStream) -> list[str]:
    """The lines that come out of the pipe until all is written."""
    os.set_blocking(end, False)
    text = b""
    is_drained = False
    while not is_drained:
        is_drained = written.drain(0.01)
        with suppress(BlockingIOError):
            while part := os.read(end, 1 << 20):
                text += part
    return text.decode().splitlines(keepends=True)


def test_what_is_read_comes_whole_and_in_order(pipe: Pipe) -> None:
    end, stream = pipe
    written = NonblockingStream(stream, lost)
    for number in range(500):
        assert written.write(f"Björk {number}\n") == len(f"Björk {number}\n")
    assert written.drain(30)
    assert os.read(end, 1 << 16).decode() == "".join(f"Björk {one}\n" for one in range(500))
    assert written.isatty() is False
    assert written.fileno() == stream.fileno()


def test_a_pipe_that_nothing_reads_holds_nothing_up_and_tells_later_what_is_lost(
    pipe: Pipe,
) -> None:
    end, stream = pipe
    written = NonblockingStream(stream, lost, most=10)
    line = "x" * 4095 + "\n"
    for _ in range(200):  # far more than a pipe and ten lines hold: waiting would never end
        written.write(line)
    assert not written.drain(0)
    *lines, told = read_until_drained(end, written)
    written.write("after\n")
    (after,) = read_until_drained(end, written)
    assert set(lines) == {line}
    assert (told, after) == (f"{200 - len(lines)} lost\n", "after\n")


def test_what_is_lost_last_is_told_at_the_end(pipe: Pipe) -> None:
    end, stream = pipe
    written = NonblockingStream(stream, lost, most=1)
    lines = [f"{number:04}" + "x" * 4095 + "\n" for number in range(100)]
    for line in lines:  # more than a pipe and one line hold
        written.write(line)
    *came, told = read_until_drained(end, written)
    assert came == lines[: len(came)]
    assert told == f"{100 - len(came)} lost\n"


def test_a_pipe_that_another_process_made_nonblocking_gets_all_of_each_line(pipe: Pipe) -> None:
    end, stream = pipe
    os.set_blocking(stream.fileno(), False)  # of the open file, which processes share
    written = NonblockingStream(stream, lost)
    lines = [f"{number:04}" + "x" * 4095 + "\n" for number in range(100)]
    for line in lines:
        written.write(line)
    assert read_until_drained(end, written) == lines


def test_a_stream_that_takes_nothing_at_all_is_no_error() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        written = NonblockingStream(full, lost)
        written.write("one\n")
        assert written.drain(30)


def test_stderr_is_the_same_again_afterwards() -> None:
    before = sys.stderr
    with nonblocking_stderr(lost):
        assert isinstance(sys.stderr, NonblockingStream)
    assert sys.stderr is before


def test_stderr_is_the_same_again_if_a_signal_ends_the_waiting_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_stream: NonblockingStream, _most_s: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(NonblockingStream, "drain", interrupted)
    before = sys.stderr
    with pytest.raises(KeyboardInterrupt), nonblocking_stderr(lost):
        pass
    assert sys.stderr is before
