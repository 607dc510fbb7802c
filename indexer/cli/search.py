"""`indexer search`: find tracks, albums or artists."""

from __future__ import annotations

from collections.abc import Sequence

import click

from indexer.cli import answers
from indexer.cli.arguments import Asking, examples, json_option, sort_option, text_argument
from indexer.cli.session import Session
from indexer.errors import UsageError


@click.command(
    cls=Asking,
    epilog=examples("indexer search bjork debut", "indexer search artist:bjork -live --albums"),
)
@click.argument("words", nargs=-1, required=True, type=text_argument, metavar="WORDS...")
@sort_option("relevance")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Maximum number of results.",
)
@click.option("--albums", is_flag=True, help="List the albums of these tracks.")
@click.option("--artists", is_flag=True, help="List the artists of these tracks.")
@json_option
@click.pass_obj
def search(
    session: Session, words: Sequence[str], sort: str, limit: int, *, albums: bool, artists: bool
) -> int:
    """Find tracks by title, artist, album and genre, the best first.

    All WORDS must occur; the last may be the beginning of a word. Also: '"a phrase"', artist:x,
    albumartist:x, album:x, title:x, genre:x, year:1997, year:1990-1999, codec:flac, and -x to
    exclude x. Exit code 1: nothing was found.
    """
    if albums and artists:
        raise UsageError("choose one of --albums and --artists")
    with session.library() as library:
        if albums:
            rows, line = library.search_albums(words, sort=sort, limit=limit), answers.album_line
        elif artists:
            rows, line = library.search_artists(words, sort=sort, limit=limit), answers.artist_line
        else:
            rows, line = library.search(words, sort=sort, limit=limit), answers.search_line
        found = session.answer_rows(rows, line)
    return 0 if found else 1
