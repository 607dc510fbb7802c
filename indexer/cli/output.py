"""Turn lines and values into bytes on stdout and stderr, for as long as somebody reads them."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, TypeVar

import msgspec

from indexer.cli.terminal import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Row = TypeVar("Row")


def prepare_streams() -> None:
    """Make stdout and stderr take any text, and exist.

    A closed one is replaced, so that the next file to be opened does not become it.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def can_redraw() -> bool:
    """Whether stderr is a terminal on which a line can be drawn over."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def say(message: str, program: str = "indexer") -> None:
    """One line on stderr, signed with the program's name."""
    with suppress(BrokenPipeError):  # `2>&1 | head`: the exit code still tells
        sys.stderr.write(f"{program}: {escaped(message)}\n")


class Output:
    """Standard output as lines for people or as JSON, until nobody reads it any more.

    `indexer changes | head` ends when head has seen enough. That is no error, and no reason to
    change the exit code: what is written after it is dropped, and `reader_gone` says so.
    """

    def __init__(self) -> None:
        self._gone = False

    def lines(self, lines: Iterable[str]) -> None:
        """Lines for people, already escaped."""
        for line in lines:
            if not self._write(_fitting(line, sys.stdout.encoding)):
                return

    def data(self, pieces: Iterable[bytes]) -> None:
        """Bytes for a file; on a terminal they are escaped, as everything else is."""
        for piece in pieces:
            if sys.stdout.isatty():
                self.lines(map(escaped, piece.decode("utf-8", "backslashreplace").splitlines()))
            else:
                self._write(piece)
            if self._gone:
                return

    def json(self, value: object) -> None:
        """One JSON value on one line: UTF-8 whatever the locale says, as RFC 8259 wants it."""
        self._write(msgspec.json.encode(value) + b"\n")

    def rows(
        self, rows: Iterable[Row], line_of: Callable[[Row], str] | None, *, at_once: bool = False
    ) -> int:
        """A line a row, or a JSON object a row where `line_of` is None; how many there were.

        `at_once` pushes each row out for a reader that waits for it.
        """
        count = 0
        for row in rows:
            count += 1
            if line_of is None:
                self.json(row)
            else:
                self.lines([line_of(row)])
            if at_once:
                self.flush()
            if self._gone:
                break
        return count

    def flush(self) -> None:
        """Push out what is buffered. Raises OSError where that fails, but not for a lost reader."""
        try:
            sys.stdout.flush()
        except OSError as error:
            self._failed(error)

    def reader_gone(self) -> bool:
        """Whether the other end of the pipe is closed, found without writing to it."""
        if not self._gone:
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)
            if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
                self.close()
        return self._gone

    def _write(self, line: str | bytes) -> bool:
        if self._gone:
            return False
        try:
            if isinstance(line, str):
                sys.stdout.write(line + "\n")
            else:
                sys.stdout.buffer.write(line)
        except OSError as error:
            self._failed(error)
        return not self._gone

    def _failed(self, error: OSError) -> None:
        self.close()
        if not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, error.strerror, "standard output") from error

    def close(self) -> None:
        """Point stdout at nothing: the interpreter flushes it once more as it ends."""
        self._gone = True
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def _fitting(line: str, encoding: str) -> str:
    r"""Our own dash as a hyphen where the terminal knows no other, rather than as `\u2013`."""
    if "utf" in encoding.lower():
        return line
    return line.replace("\N{EN DASH}", "-")
