"""A file that changed -> other names of the same file, whose stamp is another one now, too."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from indexer.model import RowState, Stamp
from indexer.stages.batch import Batch
from indexer.store import tracks
from indexer.store.connection import Connection


def links_of(
    connection: Connection, disk_id: int, inode: int, stamp: Stamp | None
) -> set[tuple[int, bytes]]:
    """(root id, path) of the rows that have this inode, and not this stamp.

    Nothing tells of them where they lie: a write through one name is an event at that name alone.
    """
    return {
        (twin.root_id, twin.path)
        for twin in tracks.with_inode(connection, disk_id, inode)
        if twin.place is not RowState.MISSING and twin.stamp != stamp
    }


def links_of_batch(
    connection: Connection, batch: Batch, met: Collection[int], *, everything: bool
) -> set[tuple[int, bytes]]:
    """The same of all files in a batch that was written; `met` are the inodes that had rows before.

    Not the batch's own: a file that could not be read keeps its row, which stays behind.
    """
    links: set[tuple[int, bytes]] = set()
    for finding in batch.findings:
        entry = finding.entry
        if entry.stamp.inode in met:
            others = links_of(connection, entry.disk_id, entry.stamp.inode, entry.stamp)
            links |= passed(others, batch.root_id, entry.path) if everything else others
    return links - {(batch.root_id, finding.entry.path) for finding in batch.findings}


def links_of_replaced(
    connection: Connection, batch: Batch, *, everything: bool = False
) -> set[tuple[int, bytes]]:
    """The same of files at whose paths others stand now; to be asked before those are written.

    A file that loses a name has a new ctime, as one that gains a name has.
    """
    links: set[tuple[int, bytes]] = set()
    found = {finding.entry.path: finding.entry for finding in batch.findings}
    for path in tracks.heard_of(connection, batch.root_id, list(found)):
        known = tracks.in_place(connection, batch.root_id, path)
        if known is not None and known.stamp.inode != found[path].stamp.inode:
            others = links_of(connection, known.disk_id, known.stamp.inode, None)
            others -= {(batch.root_id, path)}
            links |= passed(others, batch.root_id, path) if everything else others
    return links


def links_of_vanished(
    connection: Connection, track_ids: Iterable[int], *, everything: bool = False
) -> set[tuple[int, bytes]]:
    """The same of rows that a listing lacks.

    To be left before these go missing: whoever is killed in between has said too much, and not too
    little.
    """
    links: set[tuple[int, bytes]] = set()
    for track_id in track_ids:
        known = tracks.by_id(connection, track_id)
        if known is not None:
            others = links_of(connection, known.disk_id, known.stamp.inode, None)
            others -= {(known.root_id, known.path)}
            links |= passed(others, known.root_id, known.path) if everything else others
    return links


def passed(links: Iterable[tuple[int, bytes]], root_id: int, path: bytes) -> set[tuple[int, bytes]]:
    """Those that a look at all of a root had behind it when it came to this path.

    It goes in byte order of the paths, so the others it has found as they are since. These it may
    have seen before their other name was written, linked or taken away.
    """
    return {twin for twin in links if twin < (root_id, path) or twin[0] != root_id}
