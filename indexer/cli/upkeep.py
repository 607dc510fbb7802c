"""`indexer backup`, `indexer optimize` and `indexer repair`."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.cli.answers import repair_lines
from indexer.cli.arguments import at_least, examples, file_argument, files, json_option
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import byte_size, count, file_text


@click.command(
    epilog=examples("indexer backup /mnt/usb/library.db", "indexer backup --keep 7 /mnt/usb/copies")
)
@click.argument("file", type=file_argument, shell_complete=files, metavar="FILE|FOLDER")
@click.option(
    "--keep",
    type=at_least(1),
    metavar="N",
    help="A copy named after the time, in FOLDER; keep the last N there.",
)
@json_option
@click.pass_obj
def backup(session: Session, file: Path, keep: int | None) -> int:
    """Write a complete copy of the index to a new FILE.

    It can run during a scan or beside the daemon. The copy is one file, without a log.
    """
    with session.library() as library:
        if keep is None:
            copy, size, removed = file, library.backup(file), 0
        else:
            copy, size, removed = library.backup_series(file, keep)
    line = f"{file_text(str(copy))}: {byte_size(size)}; `indexer --db` reads it"
    if removed:
        line += f"; {count(removed, 'older copy', 'older copies')} removed"
    answer: dict[str, object] = {"file": str(copy), "size": size}
    if keep is not None:
        answer["removed"] = removed
    session.answer(answer, [line])
    return 0


@click.command(epilog=examples("indexer optimize", "indexer optimize --json"))
@json_option
@click.pass_obj
def optimize(session: Session) -> int:
    """Tidy the index: merge the full-text index, release free space.

    It is optional; run it once after a large library was indexed for the first time.
    """
    with session.library() as library:
        before, after, is_all = library.optimize()
    if not is_all:
        say("another program reads the index; its file shrinks when that program has ended")
    session.answer(
        {"size_before": before, "size_after": after},
        [f"{byte_size(before)} before, {byte_size(after)} now"],
    )
    return 0


@click.command(epilog=examples("indexer repair", "indexer repair --json | jq .lost"))
@json_option
@click.pass_obj
def repair(session: Session) -> int:
    """Repair a damaged index, and keep all ids.

    Full text, artists, albums, genres, indexes and the view are made again from the tracks. If the
    file itself is damaged, its readable rows are copied into a new one, and the damaged file stays
    beside it. It can run beside the daemon.
    """
    with session.interrupt, session.library() as library:
        report = library.repair(session.interrupt)
    session.answer(report, repair_lines(report))
    return 0
