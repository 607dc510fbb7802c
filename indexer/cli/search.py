"""`indexer search` and `indexer new`: find tracks, albums or artists by words, or the newest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from indexer.cli import answers
from indexer.cli.arguments import (
    Asking,
    examples,
    json_option,
    limit_option,
    moment_argument,
    sort_option,
    text_argument,
)
from indexer.cli.listing import More, listing_options
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import number
from indexer.errors import UsageError

if TYPE_CHECKING:
    from indexer.lookup import Lookup
    from indexer.results.report import SearchNote


_LINES: Final = {
    "tracks": answers.search_line,
    "albums": answers.album_line,
    "artists": answers.artist_line,
}


@click.command(
    cls=Asking,
    epilog=examples("indexer search bjork debut", "indexer search artist:bjork -live --albums"),
)
@click.argument("words", nargs=-1, required=True, type=text_argument, metavar="WORDS...")
@sort_option("relevance")
@limit_option(50)
@click.option("--albums", is_flag=True, help="List the albums of these tracks.")
@click.option("--artists", is_flag=True, help="List the artists of these tracks.")
@listing_options(with_words=True)
@json_option
@click.pass_obj
def search(
    session: Session, words: Sequence[str], sort: str, limit: int, *, albums: bool, artists: bool
) -> int:
    """Find tracks by title, artist and album, the best first.

    All WORDS must occur, else the most important ones; the last may be the beginning of one. Also:
    '"a phrase"', a OR b, -x, and fields: artist:x, path:x, year:1990-1999, year:80s,
    'duration:>10m', added:7d, has:picture, tag:NAME=VALUE, and other columns. Exit code 1: nothing
    found.
    """
    if albums and artists:
        raise UsageError("choose one of --albums and --artists")
    from indexer.cli.notices import notices  # late: `new` needs none of it
    from indexer.store.search.results import KINDS

    typed = " ".join(words)
    kind = "albums" if albums else "artists" if artists else "tracks"
    last: list[str] = []

    def note(search_note: SearchNote) -> None:
        for line in notices(search_note, typed, limit):
            if search_note.total is None:
                say(line)
            else:  # after the rows: at the end of the screen
                last.append(line)

    with session.lookup() as library:
        rows = library.search(words, of=kind, sort=sort, limit=limit or None, note=note)
        more = _of_view(session, library, kind)
        found = session.answer_rows(rows, _LINES[kind], KINDS[kind].columns, library, more=more)
    for line_below in last:
        say(line_below)
    return 0 if found else 1


@click.command(epilog=examples("indexer new", "indexer new --since 2026-11-01 --albums"))
@click.option(
    "--since",
    type=moment_argument,
    default="7d",
    show_default=True,
    metavar="WHEN",
    help="2h, 7d, yesterday, 2026-11-01.",
)
@click.option("--albums", is_flag=True, help="List the albums of these tracks.")
@limit_option(50)
@listing_options()
@json_option
@click.pass_obj
def new(session: Session, since: datetime, limit: int, *, albums: bool) -> int:
    """List what came into the index, the newest first.

    A track counts from when it was first indexed: one that was moved, retagged or came back is not
    new. Exit code 1: there is nothing.
    """
    from indexer.store.browse import NEW_ALBUM_COLUMNS
    from indexer.store.schema import LIBRARY_COLUMNS

    asked = limit or None
    with session.lookup() as library:
        rows = library.new_albums(since, asked) if albums else library.new(since, asked)
        line = answers.new_album_line if albums else answers.new_line
        fields = NEW_ALBUM_COLUMNS if albums else LIBRARY_COLUMNS
        more = _of_view(session, library, "albums" if albums else "tracks")
        found = session.answer_rows(rows, line, fields, library, more=more)
        if not found:
            _say_nothing(library, since)
        elif asked is not None and found == asked:
            every = library.count_new(since, albums=albums)
            if every > found:
                session.output.flush()
                say(f"{number(found)} of {number(every)}; --limit 0 shows all")
    return 0 if found else 1


def _of_view(session: Session, library: Lookup, kind: str) -> More | None:
    """The columns of the views `albums` and `artists`, where a pattern is asked for."""
    if kind == "tracks" or session.listing.pattern is None:
        return None
    return More(library.columns_of(kind), lambda row: library.row_of(kind, row["id"]))


def _say_nothing(library: Lookup, since: datetime) -> None:
    last = library.last_added()
    line = "the index is empty" if last is None else f"the last track came {_minute(last)}"
    say(f"nothing new since {_minute(since)}; {line}")


def _minute(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}"
