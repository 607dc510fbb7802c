"""An index -> one that says of files beside the music that the machine could not read them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from indexer.store.problems import BY_MACHINE

_LIKE_NEW = {
    "picture": (
        "DELETE FROM artwork_choices WHERE source = 'file'",
        "UPDATE pictures SET hash = NULL",
    ),
    "playlist": ("DELETE FROM playlist_entries",),
}
_TABLES = {"picture": "pictures", "playlist": "playlist_files"}


def make_unread(db: Path, kind: str) -> None:
    """Give all files of a kind, `picture` or `playlist`, a problem, and forget what is in them."""
    with closing(sqlite3.connect(db)) as connection, connection:
        for statement in _LIKE_NEW[kind]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO problems SELECT root_id, CAST(folder || name AS BLOB), 1, ?, 'EIO', size,"
            f" mtime_ns, ctime_ns, inode, 0, ? FROM {_TABLES[kind]}",
            (kind, BY_MACHINE),
        )
