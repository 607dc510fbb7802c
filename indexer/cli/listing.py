"""Rows of a list -> the form that was asked for: absolute paths, or a pattern of their fields.

Data for other programs, not lines for people: paths are the bytes on the disk, in any locale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import click
import msgspec
from msgspec import UNSET

from indexer.cli.arguments import text_argument
from indexer.cli.output import say
from indexer.cli.terminal import count
from indexer.errors import UsageError
from indexer.paths import path_bytes

Row = Mapping[str, Any]
_FORMS: Final = ("csv", "m3u", "m3u8", "json")
_ESCAPES: Final = {"\\t": "\t", "\\n": "\n", "\\\\": "\\"}
_WIDEST: Final = 1000
"""Columns of a field; far more than a line has. Without a bound one line could be all memory."""


class More(NamedTuple):
    """Further fields of rows, which are looked up where a pattern names one of them."""

    fields: Collection[str]
    of: Callable[[Row], Row]
    """A row -> these fields of it, as far as they are known."""


class Listing:
    """How the rows of this run are printed; without a choice, as lines for people or as JSON."""

    def __init__(self) -> None:
        self.paths = False
        self.null = False
        self.pattern: str | None = None

    @property
    def is_chosen(self) -> bool:
        return self.paths or self.null or self.pattern is not None

    def writer(
        self, fields: Collection[str], root_paths: RootPaths, more: More | None = None
    ) -> Writer:
        """What prints rows with these fields. Raises UsageError for a pattern with others."""
        end = b"\0" if self.null else b"\n"
        if self.pattern is None:
            if "path" not in fields:
                raise UsageError("--paths: albums and artists have none; list their tracks")
            return _Paths(root_paths, end)
        if self.paths:
            raise UsageError("choose one of --paths and --format")
        return _Pattern(self.pattern, fields, end, more)


RootPaths = Callable[[], Mapping[str, bytes]]
"""Name -> path of the roots."""
Writer = Callable[[Iterable[object]], Iterator[bytes]]


class _Paths:
    def __init__(self, root_paths: RootPaths, end: bytes) -> None:
        self._root_paths = root_paths
        self._end = end

    def __call__(self, rows: Iterable[object]) -> Iterator[bytes]:
        """One absolute path a row. Rows of a root that is gone are left out, and counted."""
        folders: Mapping[str, bytes] = {}
        left_out = 0
        for row in map(named, rows):
            if row["root"] not in folders:
                folders = self._root_paths()
            folder = folders.get(row["root"])
            if folder is None:
                left_out += 1
                continue
            yield b"%s/%s%s" % (folder.rstrip(b"/"), path_of(row), self._end)
        if left_out:
            say(f"{count(left_out, 'path')} left out: their root has another name now, or is gone")


class _Pattern:
    def __init__(
        self, pattern: str, fields: Collection[str], end: bytes, more: More | None = None
    ) -> None:
        further = () if more is None else [one for one in more.fields if one not in fields]
        self._parts = list(_parsed(pattern, [*fields, *further]))
        self._end = end
        self._more = more if any(field in further for _, field, _ in self._parts) else None

    def __call__(self, rows: Iterable[object]) -> Iterator[bytes]:
        """The pattern, filled in for each row; what is not known is empty."""
        for listed in map(named, rows):
            row = listed if self._more is None else {**self._more.of(listed), **listed}
            text = "".join(
                literal + _value(row, field, spec) for literal, field, spec in self._parts
            )
            yield text.encode("utf-8", "surrogateescape") + self._end


def _parsed(pattern: str, fields: Collection[str]) -> Iterator[tuple[str, str | None, str]]:
    from string import Formatter  # late: few lists have a pattern

    for escape, meant in _ESCAPES.items():
        pattern = pattern.replace(escape, meant)
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise UsageError(
            f"--format: {error}; try '{{artist}} - {{title}}' ({{{{ and }}}} are braces)"
        ) from None
    if all(field is None for _, field, _, _ in parts):
        of_export = "; indexer export has --csv, --m3u and --json" if pattern in _FORMS else ""
        raise UsageError(
            f"--format: {pattern!r} names no field; try '{{artist}} - {{title}}'{of_export}"
        )
    for literal, field, spec, conversion in parts:
        if field is not None and field not in fields:
            raise UsageError(f"--format: no field {field!r}; choose from {', '.join(fields)}")
        if conversion:
            raise UsageError(f"--format: leave out !{conversion}; a field is {{{field}}}")
        if spec and "{" in spec:
            raise UsageError(f"--format: {spec!r} cannot be in {field!r}; try {{track:02}}")
        if any(int(number) > _WIDEST for number in re.findall("[0-9]{1,99}", spec or "")):
            raise UsageError(f"--format: {spec!r} is wider than {_WIDEST}; try {{track:02}}")
        yield literal, field, spec or ""


def _value(row: Row, field: str | None, spec: str) -> str:
    if field is None:
        return ""
    if f"{field}_b64" in row:
        value: object = path_bytes(row[f"{field}_b64"]).decode("utf-8", "surrogateescape")
    else:
        value = row.get(field)
    if value is None:
        return ""
    try:
        return format(value, spec)
    except (ValueError, TypeError) as error:
        raise UsageError(f"--format: {{{field}:{spec}}}: {error}") from None


def named(row: object) -> Row:
    """A row as a mapping, without the fields that it does not have."""
    if isinstance(row, msgspec.Struct):
        fields = msgspec.structs.asdict(row)
        return {name: value for name, value in fields.items() if value is not UNSET}
    if not isinstance(row, Mapping):
        raise TypeError(f"not a row: {row!r}")
    return row


def path_of(row: Row) -> bytes:
    """The path of a row, relative to its root, as it is on the disk."""
    if "path_b64" in row:
        return path_bytes(row["path_b64"])
    return str(row["path"]).encode()


class _Keeper(Protocol):
    """What keeps the choice for the whole command: its session."""

    listing: Listing


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _option: click.Parameter, value: object) -> None:
        if value:
            keeper: _Keeper = context.obj
            setattr(keeper.listing, name, value)

    return keep


def listing_options(*, with_words: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """`--paths`, `--format` and `-0`, which the session keeps.

    `with_words`: for a command of the class `Asking`, in which `-07` is a word.
    """
    null = ("--print0",) if with_words else ("-0", "--print0")
    options = (
        click.option(
            "--paths", is_flag=True, expose_value=False, callback=_keep("paths"),
            help="Print absolute paths only.",
        ),
        click.option(
            "--format", type=text_argument, metavar="PATTERN", expose_value=False,
            callback=_keep("pattern"), help="Such as '{artist} - {title}': the fields of --json.",
        ),
        click.option(
            *null, "null", is_flag=True, expose_value=False, callback=_keep("null"),
            help="End each with a NUL, for xargs -0.",
        ),
    )  # fmt: skip

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated
