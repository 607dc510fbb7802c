"""A file at a path -> its row (rule R7), and what happened to it since: moved, returned, modified.

Scan asks for the row to decide whether the file must be read; insert repeats it inside its
transaction. That a row's old and new state tell its outcome is pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from enum import StrEnum

from msgspec import Struct

from indexer.disk.tree import Tree
from indexer.model import ChangeKind, Entry, IndexedFile, RowState, Stamp, signed_inode
from indexer.paths import suffix_of
from indexer.store import track_matches, tracks
from indexer.store.connection import Connection
from indexer.tags import READER_VERSION
from indexer.tags.families import least_version


def identify(
    entry: Entry,
    here: IndexedFile | None,
    movers: Collection[IndexedFile],
    gone: IndexedFile | None,
) -> IndexedFile | None:
    """Choose the row of a file.

    `here` is the row at its path, `gone` the last row that left that path, and `movers` are rows
    with other paths for this file (see `is_file_of`), which is no longer there. A single mover
    takes precedence: a file that was moved over another keeps its own id. Several movers are
    ambiguous, and the path decides.
    """
    if here is not None and here.stamp.inode == entry.stamp.inode:
        return here
    if len(movers) == 1:
        return next(iter(movers))
    return here or gone


def file_of(entry: Entry) -> tuple[int, int]:
    """Which file it is, by whatever name: its disk and inode."""
    return entry.disk_id, entry.stamp.inode


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
    """Find the row of a file; `may_move` is False if other new files have the same inode.

    `birth_ns` is the time of birth of its inode, once read: it identifies a retagged file, too.
    """
    fields = trees[root_id].mount_point_of(entry.path).fields
    if here is not None and (not fields.stable_inodes or here.stamp.inode == entry.stamp.inode):
        return here
    movers = []
    if may_move and fields.stable_inodes:
        movers = [
            known
            for known in track_matches.with_inode(connection, entry.disk_id, entry.stamp.inode)
            if is_file_of(known, entry.stamp, birth_ns) and _has_left(trees, known, entry, root_id)
        ]
        movers = [known for known in movers if _is_proved(known, entry.stamp, birth_ns)] or movers
    gone = None if here is not None else tracks.gone_from(connection, root_id, entry.path)
    return identify(entry, here, movers, gone)


def is_file_of(known: IndexedFile, stamp: Stamp, birth_ns: int | None) -> bool:
    """Whether a file with the disk and inode of a row is the row's file, not a later one.

    A freed inode is reused, often at once. The time of birth distinguishes the files, since no
    indexed file shares its tick with the next owner of its inode (rule R2). If it is not known of
    both, size and mtime must be equal.
    """
    if known.birth_ns is not None and birth_ns is not None:
        return known.birth_ns == birth_ns
    return known.stamp.size == stamp.size and known.stamp.mtime_ns == stamp.mtime_ns


def _is_proved(known: IndexedFile, stamp: Stamp, birth_ns: int | None) -> bool:
    """Whether the match of `is_file_of` is certain, by time of birth or ctime."""
    return known.stamp == stamp if birth_ns is None else known.birth_ns == birth_ns


def _has_left(trees: Mapping[int, Tree], known: IndexedFile, entry: Entry, root_id: int) -> bool:
    """Whether a row's file is no longer at the row's own path."""
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
    except OSError:  # unknown: treated as still there
        return known.place is RowState.MISSING


def must_read(
    entry: Entry, known: IndexedFile | None, trees: Mapping[int, Tree], root_id: int, reread: int
) -> bool:
    """Whether a file must be opened, given its row.

    A file with the same stamp is not opened, except by a rebuild that has not read it yet, if a
    newer reader may accept what an older one refused, or find in it what that did not, if the
    row's tags are unconfirmed, and if the essence of its sound was never asked for. (A scan of a
    folder passes over rows that an older reader has read and that did not change: the daemon names
    them, see `store/outdated.py`.)
    """
    if known is None:
        return True
    if not trees[root_id].mount_point_of(entry.path).fields.same(known.stamp, entry.stamp):
        return True
    if known.scan_id < reread:
        return True
    if known.place in {RowState.REFUSED, RowState.SOUNDLESS}:
        return known.reader_version < READER_VERSION
    if known.essence is None and (known.root_id, known.path) == (root_id, entry.path):
        return True
    return known.reader_version == 0 or known.reader_version < least_version(suffix_of(entry.path))


class Outcome(StrEnum):
    """The category of one file in a scan's report."""

    ADDED = "added"
    MODIFIED = "modified"
    MOVED = "moved"
    RETURNED = "returned"
    MISSING = "missing"
    UNCHANGED = "unchanged"
    PROBLEM = "problems"


Tally = Counter[Outcome]


class Judgement(Struct, frozen=True):
    """Changes to append, in this order, and the file's category."""

    changes: tuple[ChangeKind, ...]
    outcome: Outcome


def judge(
    before: IndexedFile | None,
    *,
    moved: bool,
    readable: bool,
    differs: bool,
    soundless: bool = False,
) -> Judgement:
    """What happened to a file that is now present.

    `before` is its old row, `moved` whether that was at another path, `readable` whether it is in
    the view now, `differs` whether a column of the view differs, `soundless` that it has no sound:
    then nothing is said of it, but that it has left the view. The feed has `added` once for each
    id; leaving the view is `missing`, entering it again at any path is `returned`.
    """
    was_shown = before is not None and before.place is RowState.PRESENT
    unannounced = (
        before is not None and before.place is RowState.MISSING and before.missing_at is None
    )
    if not readable:
        changes = (ChangeKind.MISSING,) if was_shown or unannounced else ()
        return Judgement(changes, Outcome.UNCHANGED if soundless else Outcome.PROBLEM)
    if before is None or before.added_at is None:
        return Judgement((ChangeKind.ADDED,), Outcome.ADDED)
    if not (was_shown or unannounced):
        return Judgement((ChangeKind.RETURNED,), Outcome.RETURNED)
    more = (ChangeKind.MODIFIED,) if differs else ()
    if moved:
        return Judgement((ChangeKind.MOVED, *more), Outcome.MOVED)
    return Judgement(more, Outcome.MODIFIED if differs else Outcome.UNCHANGED)
