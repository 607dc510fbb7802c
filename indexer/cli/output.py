"""Lines and values -> bytes on stdout and stderr, as long as they are read."""

from __future__ import annotations

import atexit
import os
import select
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO, TypeVar

import msgspec

from indexer.cli.terminal import escaped, folded, shows_styles, unstyled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


Row = TypeVar("Row")
STANDARD_OUTPUT: Final = "standard output"
"""The name of the file in errors of writing to it."""


def prepare_streams() -> None:
    """Make stdout and stderr exist, and accept any text.

    A closed one is replaced, so that the next file opened does not get its descriptor. What stderr
    cannot take (its disk is full) is dropped at the end, and does not change the exit code.
    """
    atexit.register(_let_go_of_stderr)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_stderr() -> None:
    """Drop what stderr does not take: the interpreter would end with the exit code 120."""
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Let all that is written to a stream, and is in its buffer, go nowhere."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def can_redraw() -> bool:
    """Whether stderr is a terminal that can overwrite a line."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def say(message: str, program: str = "indexer") -> None:
    """Print one line on stderr, after the program's name."""
    line = f"{program}: {escaped(message)}"
    with suppress(OSError):  # `2>&1 | head`, a full disk: the exit code still reports it
        for part in _on_screen(line, sys.stderr):
            sys.stderr.write(part + "\n")


def note(message: str) -> None:
    """Print one line for a person on stderr, which is a terminal."""
    with suppress(OSError):
        for part in _on_screen(escaped(message), sys.stderr):
            sys.stderr.write(part + "\n")
        sys.stderr.flush()


def _on_screen(line: str, stream: TextIO, *, at_fields: bool = False) -> Iterable[str]:
    """The line itself, or, where a person looks at it, lines that fit the terminal."""
    if not stream.isatty():
        return (line,)
    import shutil  # late: it loads five modules of compression

    width = shutil.get_terminal_size().columns
    return folded(line, width, at_fields=at_fields)


class Output:
    """Standard output as lines for people or as JSON, until its reader closes it.

    `indexer changes | head` ends when head has read enough. That is not an error, and does not
    change the exit code: later output is dropped, and `reader_gone` is true.
    """

    def __init__(self) -> None:
        self._gone = False

    def lines(self, lines: Iterable[str], *, at_fields: bool = False) -> None:
        """Write lines for people, already escaped; on a terminal they break between words.

        `at_fields`: only between fields, so that a path can be copied.
        """
        is_styled = shows_styles(sys.stdout)
        for line in lines:
            fitting = _fitting(line if is_styled else unstyled(line), sys.stdout.encoding)
            for part in _on_screen(fitting, sys.stdout, at_fields=at_fields):
                if not self._write(part):
                    return

    def data(self, pieces: Iterable[bytes], *, at_once: bool = False) -> None:
        """Write bytes for a file; on a terminal they are escaped, like all other text.

        `at_once` flushes after each piece.
        """
        for piece in pieces:
            if sys.stdout.isatty():
                text = piece.decode("utf-8", "backslashreplace")
                self.lines(map(escaped, text.splitlines()), at_fields=True)
            else:
                self._write(piece)
            if at_once:
                self.flush()
            if self._gone:
                return

    def json(self, value: object) -> None:
        """Write one JSON value on one line: UTF-8 in any locale, as RFC 8259 requires."""
        self._write(msgspec.json.encode(value) + b"\n")

    def rows(
        self, rows: Iterable[Row], line_of: Callable[[Row], str] | None, *, at_once: bool = False
    ) -> int:
        """Write the lines of each row, or one JSON object if `line_of` is None; the number of rows.

        `at_once` flushes after each row, for a reader that waits for it.
        """
        count = 0
        for row in rows:
            count += 1
            if line_of is None:
                self.json(row)
            else:
                self.lines(line_of(row).split("\n"), at_fields=True)
            if at_once:
                self.flush()
            if self._gone:
                break
        return count

    def flush(self) -> None:
        """Write out the buffer. Raises OSError if that fails, but not for a closed pipe."""
        try:
            sys.stdout.flush()
        except OSError as error:
            self._failed(error)

    def reader_gone(self) -> bool:
        """Whether the other end of the pipe is closed; does not write to it."""
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
            raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error

    def close(self) -> None:
        """Redirect stdout to /dev/null, since the interpreter flushes it once more at exit."""
        self._gone = True
        _discard(sys.stdout)


def _fitting(line: str, encoding: str) -> str:
    r"""Print our dash as a hyphen if the encoding lacks it, rather than as `\u2013`."""
    if "utf" in encoding.lower():
        return line
    return line.replace("\N{EN DASH}", "-")
