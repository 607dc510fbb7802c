"""`indexer new`: the tracks or albums that came into the index, the newest first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from indexer.cli import answers
from indexer.cli.arguments import examples, json_option, limit_option, moment_argument
from indexer.cli.listing import listing_options
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import number

if TYPE_CHECKING:
    from indexer.lookup import Lookup


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
        found = session.answer_rows(rows, line, fields, library)
        if not found:
            _say_nothing(library, since)
        elif asked is not None and found == asked:
            every = library.count_new(since, albums=albums)
            if every > found:
                session.output.flush()
                say(f"{number(found)} of {number(every)}; --limit 0 shows all")
    return 0 if found else 1


def _say_nothing(library: Lookup, since: datetime) -> None:
    last = library.last_added()
    line = "the index is empty" if last is None else f"the last track came {_minute(last)}"
    say(f"nothing new since {_minute(since)}; {line}")


def _minute(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}"
