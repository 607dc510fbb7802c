"""A root and another name -> its rows under that name, and the change feed that tells of it."""

from __future__ import annotations

from indexer import paths
from indexer.model import ChangeKind, RowState
from indexer.stages.rows import Rows
from indexer.store import changes, roots, tracks
from indexer.store.connection import Connection
from indexer.store.roots import RootRow


def rename_root(connection: Connection, rows: Rows, root: RootRow, name: str, now_ms: int) -> int:
    """Rename a root inside the caller's transaction; the number of tracks in the view.

    Who replays the change feed by (root, path) must learn the new place of each track, so each is
    told as moved. Where tags are silent, the name of the root is a guess of album or artist.
    """
    moved = 0
    for track_id in tracks.of_root(connection, root.id):
        known = tracks.by_id(connection, track_id)
        if known is None or known.place is not RowState.PRESENT:
            continue
        before = None
        if not paths.parent_of(paths.album_folder(known.path)):
            before = rows.guess_again(known, name)
        changes.append(
            connection,
            now_ms,
            ChangeKind.MOVED,
            track_id,
            (name, known.path),
            (root.name, known.path),
            before=before,
        )
        moved += 1
    roots.rename(connection, root.id, name)
    return moved
