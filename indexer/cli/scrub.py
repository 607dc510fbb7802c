"""`indexer scrub`: whole files are read, and compared with what they were."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from indexer.cli.arguments import at_least, examples, files, json_option, path_argument
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import (
    BOLD,
    byte_size,
    count,
    escaped,
    number,
    path_text,
    styled,
    time_span,
)

if TYPE_CHECKING:
    from indexer.results.report import ScrubReport

_NICE: Final = 19
_RATE: Final = r"(\d{1,9}(?:\.\d{1,3})?)\s*([kmg]?)b?(?:/s)?"
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def rate_argument(word: str) -> int:
    """Bytes a second, as `20MB/s`."""
    found = re.fullmatch(_RATE, word.strip().lower())
    if found is None:
        raise click.BadParameter(f"{word!r} is no rate; write one such as 20MB/s, or 0: no limit")
    return round(float(found[1]) * _UNITS[found[2]])


@click.command(epilog=examples("indexer scrub", "indexer scrub ~/Music/Björk --rate 100MB/s"))
@click.argument("paths", nargs=-1, type=path_argument, shell_complete=files, metavar="[PATH]...")
@click.option(
    "--rate", type=rate_argument, default="20MB/s", show_default=True, metavar="RATE",
    help="Read no faster; 0: no limit.",
)  # fmt: skip
@click.option(
    "--days", type=at_least(0), default=90, show_default=True, metavar="N",
    help="Leave out what was read in the last N days.",
)  # fmt: skip
@json_option
@click.pass_obj
def scrub(session: Session, paths: Sequence[bytes], rate: int, days: int) -> int:
    """Read whole files, and find those whose bytes have decayed.

    The first time a file is read its hash is kept; later its bytes must be the same as long as its
    stamp is. FLAC is tested by `flac -t`, if that is installed. It runs at idle priority, beside
    anything, and goes on where it was stopped. Exit code 1: some are damaged; 3: a root is away.
    """
    from indexer.process import IO_IDLE, set_io_priority

    os.nice(_NICE)
    set_io_priority(IO_IDLE)
    with session.interrupt, session.library() as library, session.progress() as listener:
        report = library.scrub(
            paths, rate=rate, days=days, listener=listener, stop=session.interrupt
        )
    session.answer(report, scrub_lines(report))
    for reason in report.offline:
        say(reason)
    if report.interrupted:
        say("stopped; run the same command again to go on from there")
        return session.interrupt.exit_code
    return 1 if report.damaged else 3 if report.offline else 0


def scrub_lines(report: ScrubReport) -> Iterator[str]:
    """A line for each damaged file, and one for what was done."""
    for one in report.damaged:
        place = f"{escaped(one.root)}/{path_text(one.path, one.path_b64)}"
        yield f"{styled(place, BOLD)}  {escaped(one.reason)}"
    line = (
        f"{count(report.checked, 'file')} checked ({byte_size(report.bytes_read)}) "
        f"in {time_span(report.seconds)}; {number(len(report.damaged))} damaged"
    )
    if report.skipped:
        line += f"; {number(report.skipped)} left out: changing, gone, or not to be opened"
    yield line
