"""`indexer as-of`: the library as it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from indexer.cli import answers
from indexer.cli.arguments import Asking, at_least, examples, json_option, text_argument
from indexer.cli.listing import listing_options
from indexer.cli.moments import since_argument
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import number

if TYPE_CHECKING:
    from indexer.report import SearchNote


@click.command(
    "as-of",
    cls=Asking,
    epilog=examples("indexer as-of yesterday", "indexer as-of '2026-11-01 18:30' artist:bjork"),
)
@click.argument("when", type=since_argument, metavar="WHEN|SEQ")
@click.argument("words", nargs=-1, type=text_argument, metavar="[WORDS]...")
@click.option(
    "--limit",
    type=at_least(0),
    default=50,
    show_default=True,
    metavar="N",
    help="Maximum number of results; 0: all.",
)
@listing_options(with_words=True)
@json_option
@click.pass_obj
def as_of(session: Session, when: int | datetime, words: Sequence[str], limit: int) -> int:
    """List the library as it was, by path, or what WORDS find in it.

    WHEN is a time (2h, 7d, yesterday, 2026-11-01), SEQ the number of a change; WORDS are those of
    indexer search. Paths and tags are those of that time; what else there was (sizes, covers,
    lyrics) is not kept. How far back it goes is the setting keep_changes. Exit code 1: nothing
    found; 3: it is not known any more.
    """
    from indexer.past import COLUMNS

    last: list[str] = []

    def note(told: SearchNote) -> None:
        if told.total is not None:
            last.append(f"{number(limit)} of {number(told.total)}; --limit 0 shows all")

    with session.lookup() as library:
        rows = library.as_of(when, words, limit=limit or None, note=note)
        found = session.answer_rows(rows, answers.search_line, COLUMNS, library)
        session.output.flush()
    for line in last:
        say(line)
    if not found:
        say("nothing found" if words else "the library was empty")
    return 0 if found else 1
