from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from indexer.cli.output import Output, can_redraw, prepare_streams, say


@contextmanager
def stdout_is_a_pipe() -> Iterator[int]:
    """Yields its other end. Not a fixture: pytest restores its own stdout before the test."""
    reader, writer = os.pipe()
    with (
        open(writer, "w", encoding="utf-8") as stream,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdout", stream)
        yield reader


def ascii_stdout(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    prepare_streams()
    return raw


def test_what_the_encoding_lacks_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    Output().lines(["Björk"])
    assert raw.getvalue() == b"Bj\\xf6rk\n"


def test_our_own_dash_becomes_a_hyphen_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    Output().lines(["Ida \N{EN DASH} Song"])
    assert raw.getvalue() == b"Ida - Song\n"


def test_json_is_utf8_in_every_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    output = Output()
    output.json({"artist": "Björk\n"})
    output.flush()
    assert raw.getvalue() == '{"artist":"Björk\\n"}\n'.encode()


def test_rows_end_when_their_reader_leaves() -> None:
    with stdout_is_a_pipe() as reader:
        os.close(reader)
        output = Output()
        written = output.rows(iter(range(1_000_000)), lambda row: f"row {row}")
        output.flush()
    assert 0 < written < 100_000


def test_a_row_that_is_waited_for_is_pushed_out() -> None:
    def rows() -> Iterator[int]:
        yield 1
        assert select.select([reader], [], [], 0)[0]
        assert os.read(reader, 100) == b"1\n"
        yield 2

    with stdout_is_a_pipe() as reader:
        assert Output().rows(rows(), str, at_once=True) == 2
    os.close(reader)


def test_a_lost_reader_is_seen_without_writing() -> None:
    with stdout_is_a_pipe() as reader:
        output = Output()
        assert not output.reader_gone()
        os.close(reader)
        assert output.reader_gone()


def test_a_full_disk_is_told_with_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        output = Output()
        output.lines(["text"])
        with pytest.raises(OSError, match="No space left on device: 'standard output'"):
            output.flush()


def test_closed_streams_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    prepare_streams()
    Output().lines(["to nobody"])
    sys.stdout.close()


def test_a_message_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("no such file: a\nb\x1b[31m")
    assert capsys.readouterr().err == "indexer: no such file: a\\nb\\x1b[31m\n"


def test_a_message_to_a_closed_stderr_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys.stderr, "write", write)
    say("to nobody")


def test_a_dumb_terminal_is_not_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert not can_redraw()
    monkeypatch.setenv("TERM", "xterm")
    assert can_redraw()
