"""`indexer search`: find tracks, albums or artists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from indexer.cli import answers
from indexer.cli.arguments import (
    Asking,
    examples,
    json_option,
    limit_option,
    sort_option,
    text_argument,
)
from indexer.cli.listing import listing_options
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import escaped, number
from indexer.errors import UsageError

if TYPE_CHECKING:
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

    All WORDS must occur; the last may be the beginning of a word. Also: '"a phrase"', a OR b, -x,
    and fields: artist:x, path:x, year:1990-1999, year:80s, 'duration:>10m', 'bitrate:<192k',
    added:7d, has:picture, tag:NAME=VALUE, and other columns. Exit code 1: nothing found.
    """
    if albums and artists:
        raise UsageError("choose one of --albums and --artists")
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
        found = session.answer_rows(rows, _LINES[kind], KINDS[kind].columns, library)
    for line_below in last:
        say(line_below)
    return 0 if found else 1


def notices(note: SearchNote, typed: str, limit: int) -> Iterator[str]:
    """What is said beside the rows, on stderr."""
    from indexer.store.search.full_text import COUNTED  # late: `--help` needs none of it

    if note.total is not None:
        is_counted = note.total <= COUNTED
        total = number(note.total) if is_counted else f"more than {number(COUNTED)}"
        yield f"{number(limit)} of {total}; --limit 0 shows all"
    elif note.instead:
        for word, shown in note.instead.items():
            yield f"nothing for {escaped(word)}; showing {escaped(shown)}"
    elif note.nearest:
        yield f"nothing found for {escaped(typed)}; the nearest words are {', '.join(note.nearest)}"
    else:
        yield f"nothing found for {escaped(typed)}"
    for tag in map(escaped, note.absent_tags):
        yield f"no track has the tag {tag}; which are kept is the setting keep_tags"
