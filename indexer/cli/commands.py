"""A command line -> a call of the library -> lines, JSON and an exit code.

0: done. 1: differences found, or nothing found. 2: wrong use. 3: it could not be done.
130: Ctrl-C (143: SIGTERM); what was committed stays.
Commands import only what they need: `indexer --help` loads no SQLite, mutagen or Rich.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from indexer.cli import answers
from indexer.cli.arguments import (
    HELP,
    LateCommands,
    MostUsed,
    config_option,
    database_option,
    examples,
    file_argument,
    files,
    folders,
    json_option,
    path_argument,
    queue_option,
    version_option,
    workers_option,
)
from indexer.cli.completion import run
from indexer.cli.output import prepare_streams, say
from indexer.cli.session import Session
from indexer.cli.terminal import count, file_text
from indexer.process import keep_own_rights, relax_collector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from indexer.library import Library
    from indexer.model import Listener
    from indexer.results.report import ScanReport
    from indexer.settings import Settings


_COMMANDS = LateCommands()


@click.group(
    cls=MostUsed,
    commands=_COMMANDS,
    context_settings=HELP,
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


@cli.command(epilog=examples("indexer rebuild ~/Music", "indexer rebuild --from library.bak"))
@click.argument("paths", nargs=-1, type=path_argument, shell_complete=folders, metavar="[ROOT]...")
@workers_option
@queue_option
@click.option(
    "--from",
    "copy",
    type=file_argument,
    shell_complete=files,
    metavar="BACKUP",
    help="Begin with this copy of the index; read only what differs from it.",
)
@json_option
@click.pass_obj
def rebuild(
    session: Session, paths: Sequence[bytes], workers: int | None, copy: Path | None, *, queue: bool
) -> int:
    """Read every file again, and index it.

    A ROOT is a folder of music; a new one is added and watched from then on. Without one, all
    roots are read. Tracks keep their ids. After Ctrl-C the same command goes on where it was.

    With --from, rows, ids and history are those of a copy that indexer backup made; the index that
    was there is kept beside it. Programs that follow the changes begin again.
    """

    def fill(library: Library, listener: Listener | None) -> ScanReport:
        if copy is not None:
            kept = library.restore(copy, session.interrupt)
            if kept is not None:
                say(f"the index that was there: {file_text(str(kept))}")
        return library.rebuild(
            paths,
            listener=listener,
            stop=session.interrupt,
            queued=queue,
            restored=copy is not None,
        )

    return _fill(session, workers, create=True, run=fill)


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
        paths=paths,
    )


def _fill(
    session: Session,
    workers: int | None,
    *,
    create: bool,
    run: Callable[[Library, Listener | None], ScanReport],
    paths: Sequence[bytes] = (),
) -> int:
    settings = session.settings(workers=workers)
    opened = session.library(settings, create=create)
    with session.interrupt, opened as library:
        with session.progress() as listener:
            report = run(library, listener)
        contradictions = library.contradictions()
        found_nothing = answers.found_nothing(report)
        why = [(path, library.why_left_out(path)) for path in paths if found_nothing]
    left_out = [f"{file_text(path)}: {reason}" for path, reason in why if reason is not None]
    session.answer(report, left_out or answers.scan_lines(report, _suffixes(settings)))
    for reason in (*contradictions, *report.offline):
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
    with session.lookup() as library:
        if watch:
            from indexer.cli.watch import follow

            return follow(session, library.status)
        answer = library.status()
        contradictions = library.contradictions()
    from indexer.cli.status_lines import status_lines  # late: of this command alone

    session.answer(answer, status_lines(answer))
    for contradiction in contradictions:
        say(contradiction)
    return 0


_COMMANDS.add_late("search", "indexer.cli.search")
_COMMANDS.add_late("new", "indexer.cli.search")
_COMMANDS.add_late("export", "indexer.cli.export")


@cli.command(epilog=examples("indexer show ~/Music/song.flac", "indexer show 42 --json"))
@click.argument("path", type=path_argument, shell_complete=files, metavar="PATH|ID")
@json_option
@click.pass_obj
def show(session: Session, path: bytes) -> int:
    """Show what the index knows of one file.

    A PATH may be written as the lists show it (ROOT/folder/file); a number is the id of a track.
    Exit code 1: it is not in the index now; of a track that is gone it tells when it went, and
    what it was.
    """
    with session.lookup() as library:
        row = library.show(path)
        gone = library.gone(path) if row is None else None
        known = row or gone
        if known is None:
            say(f"{file_text(path)}: {library.why_unknown(path)}")
            return 1
    session.answer(known, answers.show_lines(known))
    return 1 if row is None else 0


_COMMANDS.add_late("artwork", "indexer.cli.artwork")
_COMMANDS.add_late("playlists", "indexer.cli.artwork")
_COMMANDS.add_late("problems", "indexer.cli.problems")
_COMMANDS.add_late("changes", "indexer.cli.changes")
_COMMANDS.add_late("as-of", "indexer.cli.changes")
_COMMANDS.add_late("duplicates", "indexer.cli.duplicates")


@cli.command(epilog=examples("indexer verify", "indexer verify --deep --json"))
@click.option("--deep", is_flag=True, help="Read the tags of every file again.")
@json_option
@click.pass_obj
def verify(session: Session, *, deep: bool) -> int:
    """Check that the index equals the disk and is sound.

    Nothing is changed. The full text, artists, albums and genres are compared with the tracks, and
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


_COMMANDS.add_late("scrub", "indexer.cli.scrub")
_COMMANDS.add_late("doctor", "indexer.cli.service")
_COMMANDS.add_late("roots", "indexer.cli.roots")
_COMMANDS.add_late("worker", "indexer.cli.queues")
_COMMANDS.add_late("queues", "indexer.cli.queues")
_COMMANDS.add_late("dashboard", "indexer.cli.pages")
_COMMANDS.add_late("hooks", "indexer.cli.hooks")
_COMMANDS.add_late("web", "indexer.cli.pages")
_COMMANDS.add_late("backup", "indexer.cli.upkeep")
_COMMANDS.add_late("optimize", "indexer.cli.upkeep")
_COMMANDS.add_late("repair", "indexer.cli.upkeep")
_COMMANDS.add_late("metrics", "indexer.cli.service")
_COMMANDS.add_late("reload", "indexer.cli.service")
_COMMANDS.add_late("completion", "indexer.cli.completion")
cli.rare = frozenset((
    "artwork", "as-of", "playlists", "export", "duplicates", "worker", "queues", "dashboard",
    "web", "hooks", "scrub", "backup", "optimize", "repair", "metrics", "reload", "completion",
))  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` default to those of this process."""
    prepare_streams()
    keep_own_rights()
    session = Session()
    words = list(sys.argv[1:] if arguments is None else arguments)
    relax_collector()  # until this process ends
    return session.exit_code(lambda: run(cli, "indexer", words, session))


if __name__ == "__main__":
    sys.exit(main())
