"""A file at a path -> the row that it is: the same, moved, returned, or nobody yet (rule R7).

Scan asks to learn whether the file must be read, insert asks again inside its transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from indexer.model import Entry, Known, Place, signed_inode
from indexer.store import tracks
from indexer.store.connection import Connection
from indexer.tags import READER_VERSION
from indexer.tree import Tree


def identify(
    entry: Entry, here: Known | None, movers: Collection[Known], gone: Known | None
) -> Known | None:
    """Which row a file is.

    `here` stands at its path, `gone` left that path last, and `movers` are the rows of other
    places that had its inode, size and mtime and no longer show it. One mover beats what stands
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
    here: Known | None,
    may_move: bool = True,
) -> Known | None:
    """Which row in the index a file is; `may_move` False where it is not its inode's only taker."""
    fields = trees[root_id].spot_of(entry.path).fields
    if here is not None and (not fields.stable_inodes or here.stamp.inode == entry.stamp.inode):
        return here
    movers = []
    if may_move and fields.stable_inodes:
        movers = [
            known
            for known in tracks.with_inode(connection, entry.disk_id, entry.stamp.inode)
            if _has_left(trees, known, entry, root_id)
        ]
    gone = None if here is not None else tracks.gone_from(connection, root_id, entry.path)
    return identify(entry, here, movers, gone)


def _has_left(trees: Mapping[int, Tree], known: Known, entry: Entry, root_id: int) -> bool:
    """Whether a row with this inode is this very file, and no longer at the row's own place."""
    if (known.stamp.size, known.stamp.mtime_ns) != (entry.stamp.size, entry.stamp.mtime_ns):
        return False
    if known.root_id == root_id and known.path == entry.path:
        return known.place is Place.MISSING
    tree = trees.get(known.root_id)
    if tree is None or tree.is_offline(known.path):
        return known.place is Place.MISSING
    try:
        status = tree.lstat(known.path)
        if status is None or signed_inode(status.st_ino) != entry.stamp.inode:
            return True
        return not tree.lists(known.path)
    except OSError:  # nobody can say whether it still stands there, so it has not left
        return known.place is Place.MISSING


def must_read(
    entry: Entry, known: Known | None, trees: Mapping[int, Tree], root_id: int, reread: int
) -> bool:
    """Whether a file has to be opened, given the row that it is.

    Same stamp: not opened. Except by a rebuild that has not read it yet, when a newer reader may
    take what an older one refused, and when the row's tags prove nothing.
    """
    if known is None:
        return True
    if not trees[root_id].spot_of(entry.path).fields.same(known.stamp, entry.stamp):
        return True
    if known.scan_id < reread:
        return True
    if known.place is Place.REFUSED:
        return known.reader_version < READER_VERSION
    return known.reader_version == 0
