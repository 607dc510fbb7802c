r"""Names, numbers and rows -> text that is safe and easy to read on a terminal.

Text from disks and tags is not trusted: a file may be called `\x1b[2J`, and a title may reverse the
direction of the rest of the line. Every function that takes such a text returns it escaped, so that
one name is one piece of one line.
"""

from __future__ import annotations

import os
import re
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from indexer.paths import path_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import TextIO


_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls (C0, DEL, C1), lone surrogates, line and paragraph separators."""
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of text: Unicode Standard Annex 9, section 2."""
_FIELDS = re.compile(r"(?<=\S)( {2,})")
_BLANKS = re.compile(r"(?<=\S)( +)")
_COMMAND = "`[^`]{1,50}`"
_TIE = "\0"
"""Stands for a blank at which a line must not break; no escaped text has it."""
BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
CYAN: Final = "36"
_SEQUENCE: Final = r"\x1b\[[0-9]*m"


def escaped(text: str) -> str:
    r"""Write out the characters that move a cursor or hide text: `\n`, `\x1b`."""
    if text.isprintable():  # has none of these categories, nor of Cf, in which all of _TURNING are
        return text
    return "".join(_visible(letter) for letter in text)


def _visible(letter: str) -> str:
    if letter in _TURNING or unicodedata.category(letter) in _HIDDEN_CATEGORIES:
        return letter.encode("unicode_escape").decode("ascii")
    return letter


def path_text(path: str, path_b64: str | UnsetType | None = UNSET) -> str:
    r"""A path for people: bytes that are not UTF-8 are shown as `\xff`, not as U+FFFD."""
    if isinstance(path_b64, str):
        path = path_bytes(path_b64).decode("utf-8", "backslashreplace")
    return escaped(path)


def file_text(path: str | bytes) -> str:
    r"""A path of the operating system, for people; bytes that are not UTF-8 as `\xff`."""
    return escaped(os.fsencode(path).decode("utf-8", "backslashreplace"))


def number(value: int) -> str:
    """1234567 as `1 234 567`."""
    return f"{value:,}".replace(",", " ")


def count(value: int, noun: str, plural: str | None = None) -> str:
    """`1 file`, `10 000 files`."""
    return f"{number(value)} {noun if value == 1 else plural or noun + 's'}"


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
    """A duration: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def play_time(seconds: float) -> str:
    """The duration of a track: `0:07`, `3:45`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def local_time(iso: str) -> str:
    """An ISO 8601 time in UTC as local time, to the second."""
    return _clock(datetime.fromisoformat(iso))


def local_time_ns(nanoseconds: int) -> str:
    """A time stamp of a file as local time, to the second."""
    return _clock(datetime.fromtimestamp(nanoseconds // 1_000_000_000).astimezone())


def _clock(moment: datetime) -> str:
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")[:19]


def columns(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """Rows of escaped cells as lines, in columns two spaces apart; `right` are right-aligned."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            _padded(cell, width, to_right=index in right)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def folded(line: str, width: int, *, at_fields: bool = False) -> Iterator[str]:
    """A line as lines of at most `width` columns, which break between words only.

    `at_fields`: only where two blanks separate fields, so that a path stays in one piece; a field
    without a slash that is wider than the screen breaks between words, too. A word that is wider
    than the screen stays whole, and so does a command in backticks. What goes on is
    indented: by two columns, as far as the line itself is, or to the second field, if the first is
    short.
    """
    if _width(line) <= width:
        yield line
        return
    gap = _FIELDS.search(line)
    first = _width(line[: gap.end()]) if gap else 0
    own = len(line) - len(line.lstrip(" "))
    indent = own if 2 < own <= width // 3 else 2
    if gap and not at_fields and first <= width // 3:
        indent = first
    bound = re.sub(_COMMAND, lambda command: command[0].replace(" ", _TIE), line)
    pieces = (_FIELDS if at_fields else _BLANKS).split(bound)
    part = ""
    for blank, word in zip(["", *pieces[1::2]], pieces[::2], strict=True):
        if not part.strip() or _width(part) + len(blank) + _width(word) <= width:
            part += blank + word
        else:
            yield part.replace(_TIE, " ")
            part = " " * indent + word
        if at_fields and "/" not in part and _width(part) > width:
            *whole, part = folded(part, width)
            yield from whole
    yield part.replace(_TIE, " ")


def _padded(cell: str, width: int, *, to_right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if to_right else cell + space


def _width(text: str) -> int:
    """The width of the text in terminal columns: CJK two, combining marks and styles none."""
    text = unstyled(text)
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def styled(text: str, style: str) -> str:
    """The text in a style; it must not have one already.

    A style helps the eye and says nothing that the words do not. It is written as the sequences of
    ECMA-48 (8.3.117, SGR), which no escaped text has; only `Output` knows whether they are shown.
    """
    return f"\x1b[{style}m{text}\x1b[0m" if text else text


def unstyled(text: str) -> str:
    """The text as it is without styles."""
    return re.sub(_SEQUENCE, "", text) if "\x1b" in text else text


def shows_styles(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows styles, and its user wants them (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()
