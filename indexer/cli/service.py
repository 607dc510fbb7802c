"""`indexer doctor`, `indexer metrics` and `indexer reload`: the daemon as its operator sees it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from indexer.cli.arguments import (
    examples,
    file_argument,
    files,
    folders,
    json_option,
    path_argument,
    text_argument,
)
from indexer.cli.session import Session
from indexer.cli.terminal import count, escaped
from indexer.errors import CannotDo, SettingsError, UsageError

if TYPE_CHECKING:
    from indexer.doctor import Finding
    from indexer.runs.lock import LockInfo


_ANSWERS_S: Final = 30.0
"""A daemon that looks at a large root answers after it. A guess."""
_PAUSE_S: Final = 0.05


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

    for finding in counted():
        if session.as_json:
            session.output.json(finding)
        else:
            session.output.lines([_line(finding)])
            session.output.lines(_remedy(finding), at_fields=True)
        session.output.flush()
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
    return f"{finding.state:<8} {finding.check:<8} {escaped(finding.detail)}"


def _remedy(finding: Finding) -> Iterator[str]:
    """The command that mends it, which stays in one piece on a narrow screen."""
    if finding.remedy is not None:
        yield f"{'':17} {escaped(finding.remedy)}"


@click.command(
    epilog=examples(
        "indexer metrics | promtool check metrics",
        "indexer metrics --textfile /run/metrics/music-indexer.prom",
    )
)
@click.option(
    "--textfile",
    type=file_argument,
    shell_complete=files,
    metavar="FILE",
    help="Write them there, whole or not at all.",
)
@json_option
@click.pass_obj
def metrics(session: Session, textfile: Path | None) -> int:
    """Print the metrics for Prometheus once.

    With --textfile: for the textfile collector of node_exporter; the file's name ends in .prom.
    Needs the extra `metrics`: pip install 'music-indexer[metrics]'.
    """
    from indexer.reports.exposition import exposition, samples
    from indexer.version import versions

    if session.as_json and textfile is not None:
        raise UsageError("choose one of --json and --textfile: the collector reads no JSON")
    with session.lookup() as library:
        measures = library.measures()
    if session.as_json:
        session.output.rows(samples(measures, versions()), None)
        return 0
    text = exposition(measures, versions())
    if textfile is None:
        session.output.data([text])
    else:
        _replace(textfile, text)
    return 0


def _replace(file: Path, text: bytes) -> None:
    """Write a file that every user may read; node_exporter never sees a part of it.

    It reads names that end in .prom only, which the unfinished one does not.
    """
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with part.open("xb") as unfinished:
            os.fchmod(unfinished.fileno(), 0o644)
            unfinished.write(text)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _ask_to_reload(holder: LockInfo) -> None:
    """Send the daemon its signal, and no other process. Raises CannotDo."""
    pid = holder.pid_here()
    if pid is None:
        raise CannotDo(
            f"the daemon runs in another container, as process {holder.pid} of it; "
            "run `indexer reload` there"
        )
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        raise CannotDo(
            f"the daemon (process {pid}) belongs to another user: "
            "sudo systemctl reload music-watcher"
        ) from None


@click.command(epilog=examples("indexer reload", "indexer reload --json | jq .changed"))
@json_option
@click.pass_obj
def reload(session: Session) -> int:
    """Have the daemon read its settings again.

    What can change while it runs is changed: all but `db` and `group`. After a mistake in the file
    the daemon keeps the old settings. Workers read theirs when they start.
    """
    from indexer.ignore_files import path_filter_of
    from indexer.runs.lock import lock_info

    settings = session.settings()
    path_filter_of(settings)
    holder = lock_info(settings.db)
    if holder is None or holder.role != "daemon":
        raise CannotDo("no daemon runs: `watcher run` reads the settings when it starts")
    _ask_to_reload(holder)
    deadline = time.monotonic() + _ANSWERS_S
    while (now := lock_info(settings.db)) is None or now.reload.number == holder.reload.number:
        if now is None or now.pid != holder.pid:
            raise CannotDo("the daemon has ended: see its log")
        if time.monotonic() > deadline:
            raise CannotDo("the daemon is busy: it reads the settings when its look has ended")
        time.sleep(_PAUSE_S)
    reload = now.reload
    if reload.refused:
        raise SettingsError(f"{reload.refused}: the daemon keeps its old settings")
    lines = [f"reloaded: {', '.join(reload.changed) or 'nothing has changed'}"]
    if reload.restart:
        lines.append(f"changed by a restart only: {', '.join(reload.restart)}")
    session.answer({"changed": reload.changed, "restart": reload.restart}, lines)
    return 0
