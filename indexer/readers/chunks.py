"""Files of one root -> the chunk that a reader gets of them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from indexer import paths
from indexer.disk.tree import Tree
from indexer.model import Chunk, Entry, Evidence
from indexer.settings import Settings

_INODE: Final = attrgetter("stamp.inode")


def chunk_of(
    tree: Tree,
    entries: Sequence[Entry],
    settings: Settings,
    closed: frozenset[bytes] = frozenset(),
    *,
    plain: bool = False,
) -> Chunk:
    """The chunk for a reader: paths in the order that the disk has the files, and their evidence.

    `plain`: mutagen reads none of them.
    """
    if len(tree.mount_points) == 1:
        mount_points = set(tree.mount_points)
    else:
        folders = {paths.parent_of(entry.path) for entry in entries}  # a mount point is a folder
        mount_points = {tree.mount_point_of(folder) for folder in folders}
    coarsest = max((spot.granularity_ns for spot in mount_points), default=0)
    evidence = Evidence(
        settings.still,
        settings.held,
        max(coarsest, int(settings.clock_granularity * 1e9)),
        settings.leases and all(spot.leases for spot in mount_points),
        all(spot.fields.stable_inodes for spot in mount_points),
    )
    in_disk_order = sorted(entries, key=_INODE)
    named = tuple([entry.path for entry in in_disk_order])
    known = closed.intersection(named) if closed else closed
    return Chunk(
        tree.path,
        named,
        evidence,
        tree.follow_links,
        known,
        plain,
        tree.may_hang,
        frozenset(name.lower() for name in settings.keep_tags),
    )
