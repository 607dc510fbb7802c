r"""Turn names, numbers and rows into text that is safe and easy to read on a terminal.

What comes from a disk or a tag is never trusted to be text: a file may be called `\x1b[2J`, and a
title may turn the rest of the line around. Every function that takes such a text gives it back
escaped, so that one name is one piece of one line.
"""

from __future__ import annotations

import base64
import os
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls (C0, DEL, C1), lone surrogates, line and paragraph separators."""
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What changes the direction of the text after it: Unicode Standard Annex 9, section 2."""


def escaped(text: str) -> str:
    r"""`text`, and what would move a cursor or hide a letter is written out: `\n`, `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(letter) for letter in text)


def _visible(letter: str) -> str:
    if letter in _TURNING or unicodedata.category(letter) in _HIDDEN_CATEGORIES:
        return letter.encode("unicode_escape").decode("ascii")
    return letter


def path_text(path: str, path_b64: str | UnsetType | None = UNSET) -> str:
    r"""A path for people: bytes that are not UTF-8 stand as `\xff`, not as U+FFFD."""
    if isinstance(path_b64, str):
        path = base64.b64decode(path_b64).decode("utf-8", "backslashreplace")
    return escaped(path)


def file_text(path: str | bytes) -> str:
    r"""A path as the system gives it, for people, bytes that are not UTF-8 as `\xff`."""
    return escaped(os.fsencode(path).decode("utf-8", "backslashreplace"))


def number(value: int) -> str:
    """1234567 as `1 234 567`."""
    return f"{value:,}".replace(",", " ")


def count(value: int, noun: str) -> str:
    """`1 file`, `10 000 files`."""
    return f"{number(value)} {noun}" if value == 1 else f"{number(value)} {noun}s"


def byte_size(size: int) -> str:
    """A size in decimal units, three digits at most: `96 KB`, `1.2 MB`."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def time_span(seconds: float) -> str:
    """How long something took: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def play_time(seconds: float) -> str:
    """How long a track plays: `0:07`, `3:45`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def local_time(iso: str) -> str:
    """An ISO 8601 time in UTC as this machine's clock shows it, to the second."""
    return _clock(datetime.fromisoformat(iso))


def local_time_ns(nanoseconds: int) -> str:
    """A time of the file system as this machine's clock shows it, to the second."""
    return _clock(datetime.fromtimestamp(nanoseconds // 1_000_000_000).astimezone())


def _clock(moment: datetime) -> str:
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")[:19]


def columns(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """Rows of escaped cells as lines, columns aligned two spaces apart; `right` are numbers."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            _padded(cell, width, to_right=index in right)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _padded(cell: str, width: int, *, to_right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if to_right else cell + space


def _width(text: str) -> int:
    """How many columns of a terminal the text takes: CJK two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )
