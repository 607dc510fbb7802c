"""A changed file -> the other hard links to it, whose stamp has changed, too."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from indexer.model import Entry, RowState, Stamp
from indexer.sidecars import SidecarKind, kind_of
from indexer.stages.batch import Batch
from indexer.stages.sidecar_scan import SidecarChange
from indexer.store import track_matches, tracks
from indexer.store.connection import Connection
from indexer.store.sidecars import sidecar_rows

Link = tuple[int, bytes]
"""A root's id, and a path in it."""


def links_of(connection: Connection, disk_id: int, inode: int, stamp: Stamp | None) -> set[Link]:
    """(root id, path) of the rows with this inode and another stamp.

    There are no events for them: a write through one link causes an event for that link only.
    """
    return {
        (link.root_id, link.path)
        for link in track_matches.with_inode(connection, disk_id, inode)
        if link.place is not RowState.MISSING and link.stamp != stamp
    }


def links_of_batch(
    connection: Connection, batch: Batch, known_inodes: Collection[int], *, everything: bool
) -> set[Link]:
    """Likewise for all files of a written batch; `known_inodes` are those that had rows before.

    Without the batch's own files: an unreadable one keeps its row, which has the old stamp.
    """
    entries = [one.entry for one in batch.findings if one.entry.stamp.inode in known_inodes]
    links = links_of_entries(connection, batch.root_id, entries, everything=everything)
    return links - {(batch.root_id, finding.entry.path) for finding in batch.findings}


def links_of_entries(
    connection: Connection, root_id: int, entries: Iterable[Entry], *, everything: bool = False
) -> set[Link]:
    """Likewise for files that were listed."""
    changed = [(one.disk_id, one.stamp.inode, one.stamp, (root_id, one.path)) for one in entries]
    return _links_of_all(connection, changed, everything=everything)


def _links_of_all(
    connection: Connection,
    changed: Iterable[tuple[int, int, Stamp | None, Link]],
    *,
    everything: bool,
) -> set[Link]:
    """The other links of many files: (disk id, inode, stamp, the link that was seen to change).

    The rows of an inode are read once: a file may have thousands of links in one batch.
    """
    seen: dict[tuple[int, int], tuple[set[Stamp | None], list[Link]]] = {}
    for disk_id, inode, stamp, link in changed:
        stamps, places = seen.setdefault((disk_id, inode), (set(), []))
        stamps.add(stamp)
        places.append(link)
    links: set[Link] = set()
    for (disk_id, inode), (stamps, places) in seen.items():
        stamp = next(iter(stamps)) if len(stamps) == 1 else None  # it was changed meanwhile
        others = links_of(connection, disk_id, inode, stamp)
        if len(places) == 1:
            others.discard(places[0])
        if everything and len({root_id for root_id, _ in places}) == 1:
            others = passed(others, *max(places))
        links |= others
    return links


def links_of_replaced(
    connection: Connection, batch: Batch, *, everything: bool = False
) -> set[Link]:
    """Likewise for files whose paths other files have now; call it before those are written.

    A file that loses a link gets a new ctime, like a file that gains one.
    """
    found = {finding.entry.path: finding.entry for finding in batch.findings}
    replaced = [
        (known.disk_id, known.stamp.inode, None, (batch.root_id, path))
        for path in track_matches.heard_of(connection, batch.root_id, list(found))
        if (known := tracks.in_place(connection, batch.root_id, path)) is not None
        and known.stamp.inode != found[path].stamp.inode
    ]
    return _links_of_all(connection, replaced, everything=everything)


def links_of_vanished(
    connection: Connection, track_ids: Iterable[int], *, everything: bool = False
) -> set[Link]:
    """Likewise for rows that a listing lacks.

    Enqueue them before these rows are marked missing: a kill in between causes a needless check,
    but loses none.
    """
    vanished = [
        (known.disk_id, known.stamp.inode, None, (known.root_id, known.path))
        for track_id in track_ids
        if (known := tracks.by_id(connection, track_id)) is not None
    ]
    return _links_of_all(connection, vanished, everything=everything)


def links_of_sidecars(
    connection: Connection, changes: Collection[SidecarChange], *, everything: bool = False
) -> set[Link]:
    """Likewise for pictures and playlists; call it before the changes are written.

    A needless check, as of the inode of another disk, opens nothing. After a scan of `everything`
    only those are left that it saw before their other link was written.
    """
    changes = [one for one in changes if kind_of(one.path) is not SidecarKind.LYRICS]
    new = {change.stamp.inode: change.stamp for change in changes if change.stamp is not None}
    old: set[int] = set()
    if not everything:
        for change in changes:
            known = sidecar_rows.stamp_of(connection, change.root_id, change.path)
            if known is not None and known.inode not in new:
                old.add(known.inode)
    if not new and not old:
        return set()
    links = {
        (root_id, path)
        for root_id, path, stamp in sidecar_rows.with_inodes(connection, old | set(new))
        if stamp != new.get(stamp.inode)
    }
    return links - {(change.root_id, change.path) for change in changes}


def passed(links: Iterable[Link], root_id: int, path: bytes) -> set[Link]:
    """The links that a scan of a whole root had passed when it reached this path.

    It goes in byte order of the paths, so it sees the later ones in their new state. The passed
    ones may have been seen before their other link was written, created or removed.
    """
    return {link for link in links if link < (root_id, path) or link[0] != root_id}
