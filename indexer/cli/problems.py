"""`indexer problems`: what could not be read, and why, in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import click

from indexer.cli.arguments import examples, json_option
from indexer.cli.listing import More, Row, listing_options, path_of
from indexer.cli.session import Session
from indexer.cli.terminal import BOLD, DIM, escaped, number, path_text, styled

if TYPE_CHECKING:
    from indexer.results.report import ProblemRow
_TECHNICAL: Final = r"(?s) \[.*\]$"
"""What a reader said, which `indexer.stages.extract` puts after the plain words."""
_CODE: Final = r"\((E[A-Z0-9]+)\)"
_OF_CODES: Final = {
    "EACCES": "you may not read it: chmod o+r (a folder: o+rx)",
    "EPERM": "you may not read it: chmod o+r (a folder: o+rx)",
    "EIO": "the disk could not be read: it or its cable may be failing, look at dmesg",
    "ESTALE": "its server replaced the share: mount it again",
    "ENODEV": "its disk was unplugged: plug it in, and mount it again",
    "ENXIO": "its disk was unplugged: plug it in, and mount it again",
    "ETIMEDOUT": "its file server does not answer: see whether it is up",
    "ENOMEM": "too little memory: give this machine more, or the indexer fewer workers",
    "EMFILE": "too many open files: raise the limit, ulimit -n",
    "ENFILE": "too many open files: raise the system's limit, sysctl fs.file-max",
    "ENAMETOOLONG": "its name is too long: give it or its folders shorter ones",
    "ELOOP": "its link leads round in circles",
}
_DIFFERS: Final = r"(?s)((?:damaged or )?cut short): (.*)"
"""Words of a group, and what differs from file to file."""


@click.command(epilog=examples("indexer problems", "indexer problems --json | jq -r .reason"))
@click.option("-v", "--verbose", is_flag=True, help="A line each, with what the reader said.")
@listing_options()
@json_option
@click.pass_obj
def problems(session: Session, *, verbose: bool) -> int:
    """List the files and folders that could not be read, and why.

    They are grouped by the reason, the most frequent first.
    """
    from indexer.results.report import ProblemRow
    from indexer.store.schema import LIBRARY_COLUMNS

    with session.lookup() as library:
        rows = library.problems()

        def track_of(row: Row) -> Row:
            return library.track_at(row["root"], path_of(row))

        if verbose or session.as_json or session.listing.is_chosen:
            fields = ProblemRow.__struct_fields__
            more = More(LIBRARY_COLUMNS, track_of)
            found = session.answer_rows(rows, technical_line, fields, library, more=more)
        else:
            found = session.output.rows(grouped_lines(rows), str)
    if not found and not (session.as_json or session.listing.is_chosen):
        session.output.lines(["no problems"])
    return 0


def plain(reason: str) -> str:
    """The reason without what only a programmer understands."""
    code = re.search(_CODE, reason)
    if code is not None and code[1] in _OF_CODES:
        return _OF_CODES[code[1]]
    return re.sub(_TECHNICAL, "", reason)


def technical_line(row: ProblemRow) -> str:
    """File or folder, kind of problem, and the whole reason."""
    return f"{_place(row)}  {row.kind}  {escaped(row.reason)}"


def grouped_lines(rows: Iterable[ProblemRow]) -> Iterator[str]:
    """The problems by their reason, the most frequent first, each below it."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        words = plain(row.reason)
        differs = re.fullmatch(_DIFFERS, words)
        heading, detail = (
            (differs[1], "  " + styled(escaped(differs[2]), DIM)) if differs else (words, "")
        )
        groups.setdefault(heading, []).append(f"  {_place(row)}{detail}")
    for heading, lines in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        yield f"{number(len(lines))}  {styled(escaped(heading), BOLD)}"
        yield from lines


def _place(row: ProblemRow) -> str:
    return f"{escaped(row.root)}/{path_text(row.path, row.path_b64)}"
