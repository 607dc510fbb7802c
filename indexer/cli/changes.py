"""`indexer changes` and `indexer as-of`: what has changed, and the library as it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import click

from indexer.cli import answers
from indexer.cli.arguments import (
    Asking,
    at_least,
    examples,
    files,
    json_option,
    limit_option,
    one_of,
    path_argument,
    since_argument,
    text_argument,
)
from indexer.cli.listing import More, Row, listing_options
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import file_text, number
from indexer.errors import UsageError
from indexer.model import ChangeKind
from indexer.results.report import ChangeRow

if TYPE_CHECKING:
    from indexer.lookup import Lookup
    from indexer.results.report import SearchNote


Moment = int | datetime
"""A time, or the number of the last change before it."""
_FIRST_YEAR: Final = 1990
"""Of those that are taken for a mistake in place of a number. A guess."""
KINDS = tuple(map(str, ChangeKind))


def _kinds(_context: click.Context, _option: click.Parameter, words: Sequence[str]) -> list[str]:
    """`--kind a --kind b` or `--kind a,b`."""
    kinds = [kind for word in words for kind in word.replace(" ", "").split(",") if kind]
    for kind in kinds:
        if kind not in KINDS:
            raise click.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}")
    return kinds


@click.command(
    epilog=examples(
        "indexer changes --since yesterday --follow", "indexer changes --since 2h --tags > tags.csv"
    )
)
@click.option(
    "--since",
    type=since_argument,
    metavar="WHEN|SEQ",
    help="yesterday, 2h, 7d, 2026-11-01; or the number of a change.",
)
@click.option(
    "--between",
    type=since_argument,
    nargs=2,
    metavar="A B",
    help="From A on, and before B.",
)
@click.option("--summary", is_flag=True, help="Sums, by kinds, columns and folders.")
@click.option("--tags", is_flag=True, help="Which tag held what before and after (CSV, or --json).")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    callback=_kinds,
    shell_complete=one_of(*KINDS),
    metavar="KIND",
    help=", ".join(KINDS) + ".",
)
@click.option(
    "--under",
    type=path_argument,
    shell_complete=files,
    metavar="PATH|ID",
    help="Only in this folder, or of this track.",
)
@click.option("--limit", type=at_least(0), metavar="N", help="N changes at the most; 0: all.")
@click.option("--follow", is_flag=True, help="Wait for more, until Ctrl-C.")
@listing_options()
@json_option
@click.pass_obj
def changes(
    session: Session,
    since: int | datetime | None,
    kinds: Sequence[str],
    under: bytes | None,
    limit: int | None,
    *,
    follow: bool,
    between: tuple[Moment, Moment] | None,
    summary: bool,
    tags: bool,
) -> int:
    """List what was added, modified, moved or went missing.

    In the order of their numbers (SEQ); --limit or --follow alone: the newest.
    """
    _say_if_year(session, since, *(between or ()))
    with session.lookup() as library:
        if between is not None or summary or tags:
            if kinds or under or limit or follow or (between and since is not None):
                raise UsageError(
                    "--between, --summary and --tags are for all changes of a time: without"
                    " --kind, --under, --limit and --follow"
                )
            first, last = between or (since or 0, None)
            return _print_period(session, library, first, last, summary=summary, tags=tags)
        rows = _asked(session, library, since, kinds, under, limit, follow=follow)
        unknown = None if under is None else library.why_no_change(under)
        if under is not None and unknown is not None:
            say(f"{file_text(under)}: {unknown}")
            if not follow:  # what is followed may come
                return 1
        _print_rows(session, library, rows, at_once=follow)
    return 0


def _print_rows(
    session: Session, library: Lookup, rows: Iterable[ChangeRow], *, at_once: bool = False
) -> None:
    """Print changes; a pattern may name what their tracks are, or were when they went."""
    from indexer.store.schema import LIBRARY_COLUMNS  # late: `--help` needs none of it

    def track_of(row: Row) -> Row:
        return library.track(row["track_id"])

    session.answer_rows(
        rows,
        answers.change_line,
        ChangeRow.__struct_fields__,
        library,
        more=More(LIBRARY_COLUMNS, track_of),
        at_once=at_once,
    )


def _print_period(
    session: Session,
    library: Lookup,
    first: Moment,
    last: Moment | None,
    *,
    summary: bool,
    tags: bool,
) -> int:
    """The changes from one moment to another (None: now): all, their sums, or the tags."""
    if summary and tags:
        raise UsageError("choose one of --summary and --tags")
    if tags:
        from indexer.cli.export import retag_table

        after = library.change_kept(first)
        until = None if last is None else _number(library, last)
        rows = library.retags(after, until)
        if session.as_json:
            session.output.rows(rows, None)
        else:
            session.output.data(retag_table(rows))
        return 0
    after = _number(library, first)
    until = None if last is None else _number(library, last)
    if summary:
        answer = library.summary(after, until)
        session.answer(answer, answers.summary_lines(answer))
        return 0
    found = takewhile(lambda row: until is None or row.seq <= until, library.changes(after))
    _print_rows(session, library, found)
    return 0


def _say_if_year(session: Session, *moments: Moment | None) -> None:
    """Tell a person how a year is written, where what was typed may be one, and is a number."""
    for when in moments:
        is_year = isinstance(when, int) and _FIRST_YEAR <= when <= datetime.now(UTC).year
        if not is_year or session.as_json:
            continue
        say(f"{when} is the number of a change here; the year is written {when}-01")


def _number(library: Lookup, when: Moment) -> int:
    """The number of the last change before a moment; says so where the first ones are not kept."""
    if not isinstance(when, datetime):
        return when
    number, is_whole = library.change_before(when)
    if not is_whole:
        say(
            f"what happened before change {number} is not kept any more (the setting"
            " keep_changes); tracks that are still there: indexer new"
        )
    return number


def _asked(
    session: Session,
    library: Lookup,
    since: int | datetime | None,
    kinds: Sequence[str],
    under: bytes | None,
    limit: int | None,
    *,
    follow: bool,
) -> Iterable[ChangeRow]:
    choice = library.choice(kinds, under)
    number = None if since is None else _number(library, since)
    if limit == 0:  # as of the other lists: all of them
        number, limit = number or 0, None
    if follow:
        return library.follow(number, session.output.reader_gone, choice, last=limit or 10)
    if number is None and limit is not None:
        return library.last_changes(limit, choice)
    return library.changes(number or 0, choice, limit=limit)


@click.command(
    "as-of",
    cls=Asking,
    epilog=examples("indexer as-of yesterday", "indexer as-of '2026-11-01 18:30' artist:bjork"),
)
@click.argument("when", type=since_argument, metavar="WHEN|SEQ")
@click.argument("words", nargs=-1, type=text_argument, metavar="[WORDS]...")
@limit_option(50)
@listing_options(with_words=True)
@json_option
@click.pass_obj
def as_of(session: Session, when: int | datetime, words: Sequence[str], limit: int) -> int:
    """List the library as it was, by path, or what WORDS find in it.

    WHEN is a time (2h, 7d, yesterday, 2026-11-01), SEQ the number of a change; WORDS are those of
    indexer search, in any spelling, the last also as the beginning of a word; parts of words and
    mistyped ones find nothing. Paths and tags are those of that time; what else there was
    (sizes, covers, lyrics) is not kept. How far back it goes is the setting keep_changes. Exit code
    1: nothing found; 3: it is not known any more.
    """
    from indexer.cli.notices import as_typed, say_instead  # late: `changes` needs none of it
    from indexer.reports.past import COLUMNS

    last: list[str] = []

    def note(search_note: SearchNote) -> None:
        if search_note.total is not None:
            last.append(f"{number(limit)} of {number(search_note.total)}; --limit 0 shows all")
        else:
            say_instead(search_note)

    with session.lookup() as library:
        if isinstance(when, int):
            library.check_is_reached(when)
        _say_if_year(session, when)
        rows = library.as_of(when, words, limit=limit or None, note=note)
        found = session.answer_rows(rows, answers.search_line, COLUMNS, library)
        session.output.flush()
    for line in last:
        say(line)
    if not found:
        typed = as_typed(" ".join(words))
        say(f"nothing found for {typed}" if words else "the library was empty")
    return 0 if found else 1
