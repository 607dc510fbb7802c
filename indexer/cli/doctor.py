"""`indexer doctor`: is everything as it must be, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from indexer.cli.arguments import examples, folders, json_option, path_argument, text_argument
from indexer.cli.session import Session
from indexer.cli.terminal import count, escaped
from indexer.errors import SettingsError

if TYPE_CHECKING:
    from indexer.doctor import Finding


@click.command(epilog=examples("indexer doctor", "indexer doctor /mnt/usb/Music --json"))
@click.argument(
    "places", nargs=-1, type=path_argument, shell_complete=folders, metavar="[FOLDER]..."
)
@click.option(
    "--user", type=text_argument, metavar="NAME", help="Try to read the music as this user."
)
@json_option
@click.pass_obj
def doctor(session: Session, places: Sequence[bytes], user: str | None) -> int:
    """Check the machine, the settings, the index and the music.

    Each line is ok, a warning or a fault, with the command that mends it. A FOLDER is checked
    though it is no root yet. As root, the music is read as the owner of the index. Nothing is
    changed. Exit code 1: there are faults.
    """
    from indexer.doctor import State

    faults = 0
    warnings = 0

    def counted() -> Iterator[Finding]:
        nonlocal faults, warnings
        for finding in _findings(session, places, user):
            faults += finding.state is State.FAULT
            warnings += finding.state is State.WARNING
            yield finding

    session.answer_rows(counted(), _line, at_once=True)
    if not session.as_json:
        found = f"{count(faults, 'fault')}, {count(warnings, 'warning')}"
        session.output.lines([found if faults or warnings else "all is well"])
    return 1 if faults else 0


def _findings(session: Session, places: Sequence[bytes], user: str | None) -> Iterator[Finding]:
    from indexer.doctor import Doctor, config_fault, config_ok

    try:
        settings = session.settings()
        checks = Doctor(settings, places, user)
    except SettingsError as error:
        yield config_fault(error)
        return
    yield config_ok(settings)
    yield from checks.findings()


def _line(finding: Finding) -> str:
    line = f"{finding.state:<8} {finding.check:<8} {escaped(finding.detail)}"
    if finding.remedy is not None:
        line += f"\n{'':17} {escaped(finding.remedy)}"
    return line
