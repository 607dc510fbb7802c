"""`indexer duplicates`: the same sound or recording in several files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
from msgspec import UNSET

from indexer.cli.arguments import at_least, examples, json_option
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import byte_size, count, path_text

if TYPE_CHECKING:
    from indexer.reports.duplicates import Duplicates


@click.command(
    epilog=examples(
        "indexer duplicates",
        "indexer duplicates --by recording --json | jq -r '.files[1:][].path'",
    )
)
@click.option(
    "--by",
    type=click.Choice(("essence", "recording")),
    default="essence",
    show_default=True,
    help="The same sound, or the same recording in any quality.",
)
@click.option("--limit", type=at_least(0), default=0, metavar="N", help="Maximum number of groups.")
@json_option
@click.pass_obj
def duplicates(session: Session, by: str, limit: int) -> int:
    """List tracks that are there several times, the best file of each first.

    Of a recording: equal MusicBrainz ids, else artist, title and length (within 2 s). It says what
    deleting the others would free, and deletes nothing. Exit code 1: there are none.
    """
    with session.lookup() as library:
        groups = library.duplicates(by, limit or None)
        found = session.output.rows(groups, None) if session.as_json else _print(session, groups)
        unheard = library.unheard() if by == "essence" else 0
    if unheard:
        session.output.flush()
        say(
            f"the sound of {count(unheard, 'track')} is not known yet: `watcher run` reads their"
            " files when it has nothing else to do, `indexer rebuild` at once"
        )
    return 0 if found else 1


def _print(session: Session, groups: Iterable[Duplicates]) -> int:
    found = files = freed = 0
    for group in groups:
        found += 1
        files += len(group.files) - 1
        freed += group.freed
        session.output.lines(_lines(group), at_fields=True)
    summary = "no duplicates"
    if found:
        summary = f"{count(found, 'track')} in several files; deleting the others"
        summary += f" ({count(files, 'file')}) would free {byte_size(freed)}"
    session.output.lines([summary])
    return found


def _lines(group: Duplicates) -> Iterator[str]:
    best = group.files[0]
    yield path_text(f"{best['artist'] or '?'} \N{EN DASH} {best['title'] or '?'}")
    for row in group.files:
        rate = f" {round(row['bitrate'] / 1000)} kbit/s" if row["bitrate"] else ""
        album = f"  {row['album']}" if len(group.albums) > 1 and row["album"] else ""
        path = path_text(row["path"], row.get("path_b64", UNSET))
        size = byte_size(row["size"])
        yield f"  {path_text(row['root'])}/{path}  {row['codec']}{rate}  {size}{path_text(album)}"
