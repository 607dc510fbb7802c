"""The rows of all files beside the music, whatever their kind: places and stamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from indexer import paths
from indexer.model import Stamp
from indexer.sidecars import NO_STAMP, SidecarKind, kind_of
from indexer.store.sidecars import lyrics, pictures, playlists
from indexer.store.statements import Connection, Row, select

_PAGE: Final = 2000
_OF_ONE: Final = """
SELECT folder, name, {stamp} FROM {table}
WHERE root_id = ?1 AND (folder, name) > (?2, ?3) AND folder < ?4
"""
_STAMP: Final = "size, mtime_ns, ctime_ns, inode"
_BELOW: Final = (
    "UNION ALL".join(
        _OF_ONE.format(stamp=stamp, table=table)
        for table, stamp in (
            ("pictures", _STAMP), ("playlist_files", _STAMP), ("lyrics_files", "0, 0, 0, 0"),
        )
    )
    + "ORDER BY folder, name LIMIT ?5"
)  # fmt: skip
_WITH_INODES: Final = """
SELECT root_id, folder, name, size, mtime_ns, ctime_ns, inode FROM pictures
WHERE inode IN (SELECT value FROM json_each(?1))
UNION ALL SELECT root_id, folder, name, size, mtime_ns, ctime_ns, inode FROM playlist_files
WHERE inode IN (SELECT value FROM json_each(?1))
"""
"""Without an index: asked once for many, it takes 10 ms for 100 000 files."""


def rows_below(
    connection: Connection, root_id: int, folder: bytes, *, recursive: bool
) -> Iterator[Row]:
    """(folder, name, size, mtime_ns, ctime_ns, inode) in a folder, and below it if `recursive`.

    In walk order, page by page: a long snapshot would make the WAL grow.
    """
    low = paths.folder_key(folder)
    high = paths.below_range(folder)[1] if recursive else low + b"\0"
    after = (low, b"")
    while page := list(select(connection, _BELOW, (root_id, *after, high, _PAGE))):
        yield from page
        after = (page[-1][0], page[-1][1])


def stamp_of(connection: Connection, root_id: int, path: bytes) -> Stamp | None:
    """The stamp that the index has of a wanted file; None: it has none of the file."""
    match kind_of(path):
        case SidecarKind.PICTURE:
            picture = pictures.get(connection, root_id, path)
            return None if picture is None else picture.stamp
        case SidecarKind.PLAYLIST:
            playlist = playlists.get(connection, root_id, path)
            return None if playlist is None else playlist.stamp
        case SidecarKind.LYRICS:
            return NO_STAMP if lyrics.has(connection, root_id, path) else None


def with_inodes(
    connection: Connection, inodes: Iterable[int]
) -> Iterator[tuple[int, bytes, Stamp]]:
    """(root id, path, stamp) of the files with one of these inodes, on any disk."""
    listed = f"[{','.join(map(str, inodes))}]"  # the module `json` is slow to import
    for root_id, folder, name, *numbers in select(connection, _WITH_INODES, (listed,)):
        yield root_id, folder + name, Stamp(*numbers)
