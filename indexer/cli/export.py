"""The tracks of a search -> a table, a playlist or JSON on standard output.

Data, not lines for people: UTF-8 in any locale, and paths as on the disk.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import click

from indexer.cli.arguments import (
    Asking,
    examples,
    json_option,
    limit_option,
    sort_option,
    text_argument,
)
from indexer.cli.listing import listing_options, path_of
from indexer.cli.notices import saying
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import count
from indexer.errors import UsageError

if TYPE_CHECKING:
    from indexer.lookup import Lookup
    from indexer.reports.retags import Retag


Row = Mapping[str, Any]
_RETAG_COLUMNS: Final = ("track_id", "at", "root", "path", "file", "tag", "before", "after")
_SEVERAL: Final = "; "


@click.command(
    cls=Asking,
    epilog=examples(
        "indexer export > library.csv", "indexer export --m3u genre:jazz year:-1965 > jazz.m3u8"
    ),
)
@click.argument("words", nargs=-1, type=text_argument, metavar="[WORDS]...")
@click.option("--csv", "as_csv", is_flag=True, help="A table with a header.  [default]")
@click.option("--m3u", "as_m3u", is_flag=True, help="A playlist (M3U8, absolute paths).")
@sort_option("path")
@limit_option(None)
@listing_options(with_words=True)
@json_option
@click.pass_obj
def export(
    session: Session, words: Sequence[str], sort: str, limit: int, *, as_csv: bool, as_m3u: bool
) -> int:
    """Write all tracks, or those that WORDS find, to stdout.

    WORDS are those of indexer search. Exit code 1: nothing was found.
    """
    from indexer.store.schema import LIBRARY_COLUMNS

    if as_csv + as_m3u + session.as_json + session.listing.is_chosen > 1:
        raise UsageError("choose one of --csv, --m3u, --json, --paths and --format")
    with session.lookup() as library:
        rows = library.search(words, sort=sort, limit=limit or None, note=saying(" ".join(words)))
        first = next(rows, None)
        found = rows if first is None else chain([first], rows)
        if session.listing.is_chosen:
            session.output.data(session.listing.writer(LIBRARY_COLUMNS, library.root_paths)(found))
        elif session.as_json:
            session.output.rows(found, None)
        else:
            session.output.data(playlist(found, library) if as_m3u else table(found))
    return 1 if first is None else 0


def table(rows: Iterable[Row]) -> Iterator[bytes]:
    """RFC 4180: the columns of the view `library`; U+FFFD for bytes of paths that are not UTF-8."""
    from indexer.store.schema import LIBRARY_COLUMNS

    line = io.StringIO()
    writer = csv.DictWriter(line, LIBRARY_COLUMNS, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    yield _taken(line)
    for row in rows:
        writer.writerow(row)
        yield _taken(line)


def _taken(line: io.StringIO) -> bytes:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text.encode()


def playlist(rows: Iterable[Row], library: Lookup) -> Iterator[bytes]:
    """Extended M3U. Names with a line break are left out; a message at the end counts them."""
    yield b"#EXTM3U\n"
    folders: Mapping[str, bytes] = {}
    left_out = 0
    for row in rows:
        if row["root"] not in folders:
            folders = library.root_paths()
        folder = folders.get(row["root"])
        if folder is None:
            continue  # the root was removed a moment ago
        path = b"%s/%s" % (folder, path_of(row))
        if path.splitlines() != [path]:
            left_out += 1
            continue
        yield f"#EXTINF:{_seconds(row)},{_name(row)}\n".encode() + path + b"\n"
    if left_out:
        say(f"{count(left_out, 'file')} left out: a playlist cannot hold a name with a line break")


def _seconds(row: Row) -> int:
    """Whole seconds; -1 where they are not known."""
    duration = row["duration"]
    return -1 if duration is None else round(duration)


def _name(row: Row) -> str:
    known = [row[column] for column in ("artist", "title") if row[column]]
    return " ".join(" - ".join(known).split())


def retag_table(rows: Iterable[Retag]) -> Iterator[bytes]:
    """RFC 4180, as `indexer export`: several values are joined, U+FFFD is in odd paths."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow(_RETAG_COLUMNS)
    for row in rows:
        yield _taken(line)
        before, after = _SEVERAL.join(row.before), _SEVERAL.join(row.after)
        known = (row.track_id, row.at, row.root, row.path, row.file, row.tag)
        writer.writerow((*known, before, after))
    yield _taken(line)
