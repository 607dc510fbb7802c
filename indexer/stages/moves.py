"""A file at a path -> the row that it is: the same, moved, returned, or nobody yet (rule R7).

Scan asks to learn whether the file must be read, insert asks again inside its transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from indexer.disk.tree import Tree
from indexer.model import Entry, IndexedFile, RowState, Stamp, signed_inode
from indexer.store import tracks
from indexer.store.connection import Connection
from indexer.tags import READER_VERSION


def identify(
    entry: Entry,
    here: IndexedFile | None,
    movers: Collection[IndexedFile],
    gone: IndexedFile | None,
) -> IndexedFile | None:
    """Which row a file is.

    `here` stands at its path, `gone` left that path last, and `movers` are the rows of other
    places that are this file (see `is_file_of`) and no longer show it. One mover beats what stands
    or stood at the path: a file that was moved over another keeps its own id. Several movers are
    ambiguous, and the path decides.
    """
    if here is not None and here.stamp.inode == entry.stamp.inode:
        return here
    if len(movers) == 1:
        return next(iter(movers))
    return here or gone


def find(
    connection: Connection,
    trees: Mapping[int, Tree],
    entry: Entry,
    root_id: int,
    *,
    here: IndexedFile | None,
    may_move: bool = True,
    birth_ns: int | None = None,
) -> IndexedFile | None:
    """Which row in the index a file is; `may_move` False where it is not its inode's only taker.

    `birth_ns` is when its inode was made, once it was read: it is known then with other tags, too.
    """
    fields = trees[root_id].mount_point_of(entry.path).fields
    if here is not None and (not fields.stable_inodes or here.stamp.inode == entry.stamp.inode):
        return here
    movers = []
    if may_move and fields.stable_inodes:
        movers = [
            known
            for known in tracks.with_inode(connection, entry.disk_id, entry.stamp.inode)
            if is_file_of(known, entry.stamp, birth_ns) and _has_left(trees, known, entry, root_id)
        ]
        movers = [known for known in movers if _is_proved(known, entry.stamp, birth_ns)] or movers
    gone = None if here is not None else tracks.gone_from(connection, root_id, entry.path)
    return identify(entry, here, movers, gone)


def is_file_of(known: IndexedFile, stamp: Stamp, birth_ns: int | None) -> bool:
    """Whether a file that has the disk and inode of a row is the row's, and no later one.

    A freed inode is given to the next file, often at once. The time when it was made tells, since
    no indexed file shares its tick with the next owner of its inode (rule R2). Where it is not
    known of both, size and mtime must be equal.
    """
    if known.birth_ns is not None and birth_ns is not None:
        return known.birth_ns == birth_ns
    return known.stamp.size == stamp.size and known.stamp.mtime_ns == stamp.mtime_ns


def _is_proved(known: IndexedFile, stamp: Stamp, birth_ns: int | None) -> bool:
    """Whether a row that `is_file_of` takes for a file's needs no guess: its ctime tells, too."""
    return known.stamp == stamp if birth_ns is None else known.birth_ns == birth_ns


def _has_left(trees: Mapping[int, Tree], known: IndexedFile, entry: Entry, root_id: int) -> bool:
    """Whether a row's file is no longer at the row's own place."""
    if known.root_id == root_id and known.path == entry.path:
        return known.place is RowState.MISSING
    tree = trees.get(known.root_id)
    if tree is None or tree.is_offline(known.path):
        return known.place is RowState.MISSING
    try:
        status = tree.lstat(known.path)
        if status is None or signed_inode(status.st_ino) != entry.stamp.inode:
            return True
        return not tree.lists(known.path)
    except OSError:  # nobody can say whether it still stands there, so it has not left
        return known.place is RowState.MISSING


def must_read(
    entry: Entry, known: IndexedFile | None, trees: Mapping[int, Tree], root_id: int, reread: int
) -> bool:
    """Whether a file has to be opened, given the row that it is.

    Same stamp: not opened. Except by a rebuild that has not read it yet, when a newer reader may
    take what an older one refused, and when the row's tags prove nothing.
    """
    if known is None:
        return True
    if not trees[root_id].mount_point_of(entry.path).fields.same(known.stamp, entry.stamp):
        return True
    if known.scan_id < reread:
        return True
    if known.place is RowState.REFUSED:
        return known.reader_version < READER_VERSION
    return known.reader_version == 0
