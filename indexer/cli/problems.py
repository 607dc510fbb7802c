"""`indexer problems`: what could not be read, and why."""

from __future__ import annotations

import click

from indexer.cli.arguments import examples, json_option
from indexer.cli.listing import listing_options
from indexer.cli.reasons import grouped_lines, technical_line
from indexer.cli.session import Session


@click.command(epilog=examples("indexer problems", "indexer problems --json | jq -r .reason"))
@click.option("-v", "--verbose", is_flag=True, help="A line each, with what the reader said.")
@listing_options()
@json_option
@click.pass_obj
def problems(session: Session, *, verbose: bool) -> int:
    """List the files and folders that could not be read, and why.

    They are grouped by the reason, the most frequent first.
    """
    from indexer.report import ProblemRow

    with session.lookup() as library:
        rows = library.problems()
        if verbose or session.as_json or session.listing.is_chosen:
            fields = ProblemRow.__struct_fields__
            found = session.answer_rows(rows, technical_line, fields, library)
        else:
            found = session.output.rows(grouped_lines(rows), str)
    if not found and not (session.as_json or session.listing.is_chosen):
        session.output.lines(["no problems"])
    return 0
