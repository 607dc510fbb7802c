"""`indexer artwork` and `indexer playlists`: what the files beside the music are good for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from indexer.cli.arguments import (
    Asking,
    examples,
    file_argument,
    folders,
    json_option,
    limit_option,
    text_argument,
)
from indexer.cli.notices import as_typed, say_instead
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import byte_size, count, escaped, path_text
from indexer.errors import UsageError

if TYPE_CHECKING:
    from indexer.library import Library
    from indexer.results.report import (
        ArtworkCandidate,
        ArtworkFile,
        ArtworkRow,
        BrokenItem,
        PlaylistRow,
    )


_MOST_ALIKE: Final = 3
"""Candidates shown of those that were passed for one reason: an album has many tracks, and an
artist many albums with covers. With `--json` all are there."""
_MARKS: Final = {"chosen": "*", "broken": "!"}
_WORDS: Final = {"chosen": "chosen: ", "broken": "broken: "}


@click.command(
    cls=Asking,
    epilog=examples("indexer artwork bjork debut", "indexer artwork --extract ~/covers"),
)
@click.argument("words", nargs=-1, type=text_argument, metavar="[WORDS]...")
@click.option("--missing", is_flag=True, help="Only albums without a cover.")
@click.option("--broken", is_flag=True, help="Only where a picture is broken or too large.")
@click.option(
    "--extract",
    type=file_argument,
    shell_complete=folders,
    metavar="DIR",
    help="Copy the originals to this folder, named after the albums.",
)
@limit_option(None)
@json_option
@click.pass_obj
def artwork(
    session: Session,
    words: Sequence[str],
    extract: Path | None,
    limit: int,
    *,
    missing: bool,
    broken: bool,
) -> int:
    """Show the covers of albums and the images of artists.

    With WORDS, those of indexer search, also all that was considered for each, the preferred first,
    and why it was not chosen. Exit code 1: nothing was found; 3: a picture could not be copied.
    """
    if extract is not None and (missing or broken):
        raise UsageError("--extract copies what was chosen; leave --missing and --broken out")
    settings = session.settings()
    if not settings.artwork:
        say("artwork is not looked at: the setting `artwork` is false")
    with session.library(settings) as library:
        found_rows = library.artwork(words, missing=missing, broken=broken, note=say_instead)
        rows = islice(found_rows, limit or None)
        if extract is not None:
            return _copy(session, library, rows, extract)
        found = 0
        for row in rows:
            found += 1
            session.answer(row, lines_of(row), at_fields=True)
    if not found and not (missing or broken):
        say(f"nothing found for {as_typed(' '.join(words))}" if words else "no artwork yet")
    elif not found and not session.as_json:
        session.output.lines([_nothing(broken=broken)])
    return 0 if found or missing or broken else 1


def lines_of(row: ArtworkRow) -> Iterator[str]:
    """An album or artist with its picture, then what was considered."""
    year = f"({row.year})" if row.year else ""
    names = [escaped(part) for part in (row.albumartist, row.name) if part]
    title = " \N{EN DASH} ".join(names) or f"{row.kind} {row.id}"
    if row.kind == "artist":
        title += " (artist)"
    none = "no image" if row.kind == "artist" else "no cover"
    shown = none if row.artwork is None else _file(row.artwork)
    if row.waiting:
        shown += "; waits to be chosen again" if row.artwork else " yet"
    yield "  ".join(part for part in (title, year, shown) if part)
    alike: Counter[tuple[str, str, str]] = Counter()
    for one in row.candidates:
        look = one.source, one.state, one.reason
        alike[look] += 1
        if one.state in _MARKS or alike[look] <= _MOST_ALIKE:
            yield _candidate(one)
    for source, word in (("file", "picture"), ("track", "track")):
        hidden = sum(
            number - _MOST_ALIKE
            for (of, state, _), number in alike.items()
            if of == source and state not in _MARKS and number > _MOST_ALIKE
        )
        if hidden:
            yield f"    and {count(hidden, f'more {word}')}"


def _file(chosen: ArtworkFile) -> str:
    path = path_text(f"{chosen.root}/{chosen.path}", _whole_b64(chosen))
    return f"{path}  {chosen.width} x {chosen.height}  {byte_size(chosen.bytes)}"


def _candidate(one: ArtworkCandidate) -> str:
    path = path_text(f"{one.root}/{one.path}", _whole_b64(one))
    reason = escaped(one.reason)
    if one.state == "later":
        reason = f"not opened, since another comes first: {reason}"
    return f"  {_MARKS.get(one.state, ' ')} {path}  {_WORDS.get(one.state, '')}{reason}"


def _whole_b64(one: ArtworkFile | ArtworkCandidate | PlaylistRow | BrokenItem) -> str | None:
    """The path with its root as base64, if it is not UTF-8."""
    if not isinstance(one.path_b64, str):
        return None
    import base64  # late: few paths are not UTF-8

    whole = f"{one.root}/".encode() + base64.b64decode(one.path_b64)
    return base64.b64encode(whole).decode("ascii")


def _nothing(*, broken: bool) -> str:
    return "no broken pictures" if broken else "no album without a cover"


def _copy(session: Session, library: Library, rows: Iterator[ArtworkRow], folder: Path) -> int:
    copied: set[str] = set()
    failed = 0
    for row, why in library.copy_artwork(rows, folder):
        if why is not None:
            failed += 1
            say(f"{row.name or row.id}: not copied: {why}")
        elif isinstance(row.copy, str):
            is_printed = row.copy in copied  # two albums of one name and picture have one copy
            copied.add(row.copy)
            session.answer(row, [] if is_printed else [escaped(row.copy)], at_fields=True)
    if not copied and not failed:
        say("nothing to copy: no artwork was found; see indexer artwork --missing")
        return 1
    return 3 if failed else 0


@click.command(epilog=examples("indexer playlists", "indexer playlists --broken"))
@click.option("--broken", is_flag=True, help="List the items that lead nowhere, a line each.")
@limit_option(None)
@json_option
@click.pass_obj
def playlists(session: Session, limit: int, *, broken: bool) -> int:
    """List the playlists below the roots, and how much in them is broken.

    An item leads to the track at its path, also if that is written in other case or with
    backslashes, and stays with it where the track moves. Streams are not broken.
    """
    with session.lookup() as library:
        if broken:
            items = islice(library.broken_items(), limit or None)
            found = session.answer_rows(items, broken_line)
        else:
            playlists = islice(library.playlists(), limit or None)
            found = session.answer_rows(playlists, playlist_line)
    if not found and not session.as_json:
        session.output.lines(["nothing is broken" if broken else "no playlists"])
    return 0


def playlist_line(row: PlaylistRow) -> str:
    """`ROOT/path  name  12 items, 1 stream, 2 broken`."""
    path = path_text(f"{row.root}/{row.path}", _whole_b64(row))
    if row.problem is not None:
        return f"{path}  cannot be read, see indexer problems"
    parts = [count(row.items, "item")]
    if row.streams:
        parts.append(count(row.streams, "stream"))
    if row.broken:
        parts.append(f"{row.broken} broken")
    line = ", ".join(parts)
    if row.waiting:
        line = "waits to be read" if not row.items else f"{line}; waits to be read again"
    return f"{path}  {escaped(row.name)}  {line}"


def broken_line(row: BrokenItem) -> str:
    """`ROOT/path:position  the path as it is written`."""
    path = path_text(f"{row.root}/{row.path}", _whole_b64(row))
    return f"{path}:{row.position}  {escaped(row.item)}"
