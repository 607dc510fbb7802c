"""`indexer metrics`: the numbers of the index, its daemon and its queues for Prometheus."""

from __future__ import annotations

import os
from pathlib import Path

import click

from indexer.cli.arguments import examples, file_argument, files
from indexer.cli.session import Session


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
@click.pass_obj
def metrics(session: Session, textfile: Path | None) -> int:
    """Print the metrics for Prometheus once.

    With --textfile: for the textfile collector of node_exporter; the file's name ends in .prom.
    Needs the extra `metrics`: pip install 'music-indexer[metrics]'.
    """
    from indexer.exposition import exposition
    from indexer.version import versions

    with session.lookup() as library:
        text = exposition(library.measures(), versions())
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
