"""A copy of the index -> the index, of which only what differs from the disk is read again."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from indexer import errors
from indexer.store import tracks, upkeep
from indexer.store.connection import check_not_emptied, open_index
from indexer.store.replacement import install, usable_copy


def restore(copy: Path, database: Path, group: str | None) -> Path | None:
    """Put a copy in the place of an index that is lost, or that was made anew.

    The caller holds the dispatch lock. An index with tracks is copied first, to a file beside it
    that is returned. Raises UsageError for a file that is no copy of another index, DatabaseDamaged
    for one that is damaged or of another program, and DatabaseNewer; then nothing was changed.
    """
    if not copy.is_file():
        raise errors.UsageError(f"{copy}: no such file; name a copy that `indexer backup` made")
    if database.exists() and copy.samefile(database):
        raise errors.UsageError(
            f"{copy}: is the index itself; name a copy that `indexer backup` made"
        )
    if not copy.stat().st_size:
        raise errors.DatabaseDamaged(f"{copy}: is empty (0 bytes); name another copy")
    with usable_copy(copy, database) as new:
        kept = None
        if database.exists():
            check_not_emptied(database)
            kept = _kept(database)
        install(new, database, group)
    return kept


def _kept(database: Path) -> Path | None:
    """Copy the index that is there, unless it has no track."""
    with closing(open_index(database, write=True)) as connection:
        if tracks.is_empty(connection):
            return None
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        kept = database.with_name(f"{database.name}.before-{stamp}")
        upkeep.copy_to(connection, kept)
        return kept
