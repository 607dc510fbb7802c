from __future__ import annotations

import errno
import io
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexer.cli.log import log_to_stderr
from indexer.cli.output import Output, can_redraw, prepare_streams, say
from indexer.cli.session import Session


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


def test_each_line_of_a_row_is_fitted_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert Output().rows(["fault    what is wrong\n         what to do"], str) == 1
    assert capsys.readouterr().out == "fault    what is wrong\n         what to do\n"


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


def test_any_error_of_stdout_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(error: int) -> Callable[[str], int]:
        def write(_: str) -> int:
            raise OSError(error, os.strerror(error))

        return write

    def command() -> int:
        session.output.lines(["text"])
        return 0

    with open(os.devnull, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        for error in (errno.EBADF, errno.EAGAIN, errno.EFBIG, errno.ECONNRESET):
            session = Session()
            monkeypatch.setattr(stream, "write", fail(error))
            assert session.exit_code(command) == 3
            said = f"indexer: standard output: {os.strerror(error)}\n"
            assert capsys.readouterr().err == said


def test_a_thread_that_the_system_does_not_allow_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def command() -> int:
        threading.Thread().start()
        return 0

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Session().exit_code(command) == 3
    assert "ulimit -u" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    log_to_stderr()
    monkeypatch.setattr(sys.stderr, "write", write)
    logging.getLogger("indexer").warning("a message")
    say("another")


def test_a_full_disk_below_stderr_leaves_the_exit_code_as_it_is(tmp_path: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "indexer", "--db", tmp_path / "none.db", "status"],
            stderr=full,
            check=False,
        )
    assert ended.returncode == 3


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
