"""A file that changed -> other names of the same file, whose stamp is another one now, too."""

from __future__ import annotations

from indexer.model import Place, Stamp
from indexer.stages.batch import Batch
from indexer.store import tracks
from indexer.store.connection import Connection


def twins_of(
    connection: Connection, disk_id: int, inode: int, stamp: Stamp | None
) -> set[tuple[int, bytes]]:
    """(root id, path) of the rows that have this inode, and not this stamp.

    Nothing tells of them where they lie: a write through one name is an event at that name alone.
    """
    return {
        (twin.root_id, twin.path)
        for twin in tracks.with_inode(connection, disk_id, inode)
        if twin.place is not Place.MISSING and twin.stamp != stamp
    }


def twins_of_replaced(connection: Connection, batch: Batch) -> set[tuple[int, bytes]]:
    """The same of files at whose paths others stand now; to be asked before those are written.

    A file that loses a name has a new ctime, as one that gains a name has.
    """
    twins: set[tuple[int, bytes]] = set()
    for finding in batch.findings:
        path = finding.entry.path
        known = tracks.in_place(connection, batch.root_id, path)
        if known is not None and known.stamp.inode != finding.entry.stamp.inode:
            others = twins_of(connection, known.disk_id, known.stamp.inode, None)
            twins |= others - {(batch.root_id, path)}
    return twins


def twins_of_missing(connection: Connection, track_id: int) -> set[tuple[int, bytes]]:
    """The same of a row whose file is gone."""
    known = tracks.by_id(connection, track_id)
    if known is None or known.place is not Place.MISSING:
        return set()
    return twins_of(connection, known.disk_id, known.stamp.inode, None)
