"""Words of a command line -> what a person sees on a terminal of a given width.

The real program runs on a pseudo-terminal, which has both stdout and stderr.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.programs import AT_MOST_S, ENVIRONMENT, PROGRAM, Word

_ROWS: Final = 24
_MEASURES: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), "WHEN"),
    (re.compile(r"\b[\d.]+ s\b"), "N s"),
)
_LIVE_LINE: Final = re.compile(r"[^\n]*\n\r*\x1b\[1A\x1b\[2K")
"""A line that Rich has drawn, and then went back to erase."""


def screen(
    *words: Word,
    db: Path | None,
    columns: int,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    program: tuple[Word, ...] = PROGRAM,
) -> str:
    """All that one run writes to its terminal; times and durations as `WHEN` and `N s`."""
    options: tuple[Word, ...] = () if db is None else ("--db", db)
    return seen(drawn_by(*program, *options, *words, columns=columns, cwd=cwd, env=env))


def drawn_by(
    *command: Word, columns: int, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """All that one run of a program writes to its terminal."""
    with on_terminal(*command, columns=columns, cwd=cwd, env=env) as shown:
        drawn = _all_of(shown.ours)
        shown.process.wait(AT_MOST_S)
    return drawn


def screen_until(
    text: str, *command: Word, columns: int, env: Mapping[str, str] | None = None
) -> str:
    """The same of a command that runs until Ctrl-C, which comes when the text is seen."""
    with on_terminal(*command, columns=columns, env=env) as shown:
        drawn = ""
        while text not in drawn:
            ready, _, _ = select.select([shown.ours], [], [], AT_MOST_S)
            assert ready, f"not seen within {AT_MOST_S} s: {drawn}"
            drawn += os.read(shown.ours, 65536).decode()
        shown.process.send_signal(signal.SIGINT)
        drawn += _all_of(shown.ours)
        assert shown.process.wait(AT_MOST_S) == 0
    return seen(drawn)


class Shown(NamedTuple):
    """A program and our end of its terminal."""

    process: subprocess.Popen[bytes]
    ours: int


@contextmanager
def on_terminal(
    *command: Word, columns: int, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Shown]:
    """Run a program on a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env={
            **ENVIRONMENT,
            "TERM": "dumb",
            **(env or {}),
        },  # without a progress line, if it is slow
    ) as process:
        os.close(theirs)
        try:
            yield Shown(process, ours)
        finally:
            process.kill()
            os.close(ours)


def _all_of(terminal: int) -> str:
    """What is written to a pseudo-terminal until its other end is closed (EIO on Linux)."""
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return b"".join(parts).decode()


def without_progress(drawn: str) -> str:
    """Terminal output without a live line, which a slow run shows and erases again."""
    return _LIVE_LINE.sub("", drawn)


def seen(drawn: str) -> str:
    """Terminal output as lines, with what differs from run to run replaced."""
    text = without_progress(drawn).replace("\r\n", "\n")
    for pattern, name in _MEASURES:
        text = pattern.sub(name, text)
    return text
