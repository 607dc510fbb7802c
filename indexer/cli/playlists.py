"""`indexer playlists`: the playlists below the roots, and what in them leads nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from indexer.cli.arguments import examples, json_option
from indexer.cli.session import Session
from indexer.cli.terminal import count, escaped, path_text

if TYPE_CHECKING:
    from indexer.results.report import BrokenItem, PlaylistRow


@click.command(epilog=examples("indexer playlists", "indexer playlists --broken"))
@click.option("--broken", is_flag=True, help="List the items that lead nowhere, a line each.")
@json_option
@click.pass_obj
def playlists(session: Session, *, broken: bool) -> int:
    """List the playlists below the roots, and how much in them is broken.

    An item leads to the track at its path, also if that is written in other case or with
    backslashes, and stays with it where the track moves. Streams are not broken.
    """
    with session.lookup() as library:
        if broken:
            found = session.answer_rows(library.broken_items(), broken_line)
        else:
            found = session.answer_rows(library.playlists(), playlist_line)
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


def _whole_b64(row: PlaylistRow | BrokenItem) -> str | None:
    """The path with its root as base64, if it is not UTF-8."""
    if not isinstance(row.path_b64, str):
        return None
    import base64  # late: few paths are not UTF-8

    return base64.b64encode(row.root.encode() + b"/" + base64.b64decode(row.path_b64)).decode()
