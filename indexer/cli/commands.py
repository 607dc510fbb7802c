"""A command line -> a call of the library -> lines, JSON and an exit code.

0: done. 1: differences found, or nothing found. 2: wrong use. 3: it could not be done.
130: Ctrl-C (143: SIGTERM); what was committed stays.
Commands import only what they need: `indexer --help` loads no SQLite, mutagen or Rich.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import click

from indexer.cli import answers
from indexer.cli.arguments import (
    InOrder,
    config_option,
    database_option,
    examples,
    files,
    folders,
    json_option,
    path_argument,
    queue_option,
    version_option,
    workers_option,
)
from indexer.cli.completion import completion_of, run
from indexer.cli.dashboard import dashboard
from indexer.cli.export import export
from indexer.cli.output import prepare_streams, say
from indexer.cli.queues import queues
from indexer.cli.roots import roots
from indexer.cli.search import search
from indexer.cli.session import Session
from indexer.cli.terminal import count, escaped, file_text
from indexer.cli.upkeep import backup, optimize, repair
from indexer.cli.worker import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from indexer.library import Library
    from indexer.model import Listener
    from indexer.report import ScanReport
    from indexer.settings import Settings


@click.group(
    cls=InOrder,
    invoke_without_command=True,
    epilog=examples("indexer rebuild ~/Music", "indexer search bjork debut"),
)
@database_option
@config_option
@version_option
@click.pass_context
def cli(context: click.Context, db: Path | None, config: Path | None) -> int:
    """Keep a searchable index of a music library equal to the disk."""
    context.obj.db, context.obj.config = db, config
    if context.invoked_subcommand is None:
        sys.stderr.write(context.get_help() + "\n")
        return 2
    return 0


@cli.command(epilog=examples("indexer rebuild ~/Music", "indexer rebuild --workers 2"))
@click.argument("paths", nargs=-1, type=path_argument, shell_complete=folders, metavar="[ROOT]...")
@workers_option
@queue_option
@json_option
@click.pass_obj
def rebuild(session: Session, paths: Sequence[bytes], workers: int | None, *, queue: bool) -> int:
    """Read every file again, and index it.

    A ROOT is a folder of music; a new one is added and watched from then on. Without one, all
    roots are read. Tracks keep their ids. After Ctrl-C the same command goes on where it was.
    """
    return _fill(
        session,
        workers,
        create=True,
        run=lambda library, listener: library.rebuild(
            paths, listener=listener, stop=session.interrupt, queued=queue
        ),
    )


@cli.command(epilog=examples("indexer scan", "indexer scan ~/Music/Bjork --json"))
@click.argument("paths", nargs=-1, type=path_argument, shell_complete=files, metavar="[PATH]...")
@workers_option
@queue_option
@json_option
@click.pass_obj
def scan(session: Session, paths: Sequence[bytes], workers: int | None, *, queue: bool) -> int:
    """Index what is new, changed, moved or gone; read nothing else.

    A PATH is a root, a folder or one file in a root. Without one, all roots are scanned.
    """
    return _fill(
        session,
        workers,
        create=False,
        run=lambda library, listener: library.scan(
            paths, listener=listener, stop=session.interrupt, queued=queue
        ),
    )


def _fill(
    session: Session,
    workers: int | None,
    *,
    create: bool,
    run: Callable[[Library, Listener | None], ScanReport],
) -> int:
    settings = session.settings(workers=workers)
    opened = session.library(settings, create=create)
    with session.interrupt, opened as library, session.progress() as listener:
        report = run(library, listener)
    session.answer(report, answers.scan_lines(report, _suffixes(settings)))
    for reason in report.offline:
        say(reason)
    if report.goes_on is True:
        say(
            "no longer followed: the daemon or the workers go on with it;"
            " indexer status --watch shows how far it is"
        )
        return session.interrupt.exit_code
    if report.interrupted:
        done = count(answers.committed_files(report), "file")
        say(f"stopped: {done} committed; run the same command again to go on from there")
        return session.interrupt.exit_code
    return 3 if report.offline else 0


def _suffixes(settings: Settings) -> list[str]:
    from indexer.tags import SUFFIXES

    return sorted(settings.suffixes or (suffix.decode() for suffix in SUFFIXES))


@cli.command(epilog=examples("indexer status --watch", "indexer status --json | jq .pending"))
@click.option("--watch", is_flag=True, help="Show it live, until Ctrl-C.")
@json_option
@click.pass_obj
def status(session: Session, *, watch: bool) -> int:
    """Show what the index holds, its roots, and how the work goes.

    With --watch: a bar for each queue, and the files per second of each stage. When stdout is not
    a terminal, and with --json, one line per update.
    """
    with session.library() as library:
        if watch:
            from indexer.cli.watch import follow

            return follow(session, library.status)
        answer = library.status()
    session.answer(answer, answers.status_lines(answer))
    return 0


cli.add_command(search)
cli.add_command(export)


@cli.command(epilog=examples("indexer show ~/Music/song.flac", "indexer show song.flac --json"))
@click.argument("path", type=path_argument, shell_complete=files, metavar="PATH")
@json_option
@click.pass_obj
def show(session: Session, path: bytes) -> int:
    """Show what the index knows of one file.

    Exit code 1: it knows nothing of it.
    """
    with session.library() as library:
        row = library.show(path)
    if row is None:
        say(f"{file_text(path)}: not in the index; see indexer roots, indexer status")
        return 1
    session.answer(row, answers.show_lines(row))
    return 0


@cli.command(epilog=examples("indexer problems", "indexer problems --json | jq -r .reason"))
@json_option
@click.pass_obj
def problems(session: Session) -> int:
    """List the files and folders that could not be read, and why."""
    with session.library() as library:
        found = session.answer_rows(library.problems(), answers.problem_line)
    if not found and not session.as_json:
        session.output.lines(["no problems"])
    return 0


@cli.command(epilog=examples("indexer changes --since 1200", "indexer changes --follow --json"))
@click.option(
    "--since",
    type=click.IntRange(min=0),
    default=0,
    metavar="SEQ",
    help="Only what came after this number.",
)
@click.option("--follow", is_flag=True, help="Wait for more, until Ctrl-C.")
@json_option
@click.pass_obj
def changes(session: Session, since: int, *, follow: bool) -> int:
    """List what was added, modified, moved or went missing.

    The oldest comes first. Every change has a number: give --since the last one you saw, and the
    answer goes on from there.
    """
    with session.library() as library:
        if follow:
            rows = library.follow(since, session.output.reader_gone)
        else:
            rows = library.changes(since)
        session.answer_rows(rows, answers.change_line, at_once=follow)
    return 0


@cli.command(epilog=examples("indexer verify", "indexer verify --deep --json"))
@click.option("--deep", is_flag=True, help="Read the tags of every file again.")
@json_option
@click.pass_obj
def verify(session: Session, *, deep: bool) -> int:
    """Check that the index equals the disk and is sound.

    Nothing is written. The full text, artists, albums and genres are compared with the tracks, and
    SQLite checks its file; with --deep also each index, name and word. Exit code 1: there are
    differences; 3: some files could not be checked.
    """
    interrupt = session.interrupt
    with interrupt, session.library() as library, session.progress() as listener:
        report = library.verify(deep=deep, listener=listener, stop=interrupt)
    if interrupt():
        say(f"stopped after {count(report.checked, 'file')}: the others were not checked")
        return interrupt.exit_code
    session.answer(report, answers.verify_lines(report))
    for reason in report.offline:
        say(reason)
    if report.offline or report.unseen:
        return 3
    return 0 if report.ok else 1


cli.add_command(roots)
cli.add_command(worker)
cli.add_command(queues)
cli.add_command(dashboard)
cli.add_command(backup)
cli.add_command(optimize)
cli.add_command(repair)
cli.add_command(completion_of("indexer"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` default to those of this process."""
    prepare_streams()
    _log_to_stderr()
    session = Session()
    words = list(sys.argv[1:] if arguments is None else arguments)
    return session.exit_code(lambda: run(cli, "indexer", words, session))


class _LogLine(logging.Formatter):
    """One line per record, except for tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging names it so
        return f"indexer: {escaped(super().formatMessage(record))}"


class _LogHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which a progress line replaces while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


def _log_to_stderr() -> None:
    logger = logging.getLogger("indexer")
    if not logger.handlers:
        handler = _LogHandler()
        handler.setFormatter(_LogLine())
        logger.addHandler(handler)


if __name__ == "__main__":
    sys.exit(main())
