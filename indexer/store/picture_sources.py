"""A picture file, or a track -> what the index knows of the picture in it, in one statement."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from indexer.artwork.model import PictureKey, PictureSource, Verdict
from indexer.model import PictureFacts, Stamp
from indexer.store.changes import told
from indexer.store.connection import Connection, select_one
from indexer.store.pictures import split
from indexer.store.views import TOLD_PATH_OF_TRACKS

_FILE: Final = """
SELECT size, mtime_ns, ctime_ns, inode, hash IS NOT NULL, hash, mime, width, height, size,
    hash IS NULL AND EXISTS (SELECT 1 FROM problems AS bad
        WHERE root_id = ?1 AND path = ?4 AND is_picture = 1 AND bad.size = pictures.size
        AND (bad.mtime_ns, bad.ctime_ns, bad.inode)
            = (pictures.mtime_ns, pictures.ctime_ns, pictures.inode))
FROM pictures WHERE root_id = ?1 AND folder = ?2 AND name = ?3
"""
_TRACK: Final = f"""
SELECT tracks.size, tracks.mtime_ns, tracks.ctime_ns, tracks.inode,
    held.track_id IS NOT NULL, held.hash, held.mime, held.width, held.height, held.bytes,
    held.track_id IS NULL AND EXISTS (SELECT 1 FROM problems AS bad
        WHERE root_id = ?1 AND path = ?3 AND is_picture = 1 AND bad.size = tracks.size
        AND (bad.mtime_ns, bad.ctime_ns, bad.inode)
            = (tracks.mtime_ns, tracks.ctime_ns, tracks.inode))
FROM tracks LEFT JOIN track_pictures AS held ON held.track_id = tracks.id
    AND (held.size, held.mtime_ns, held.ctime_ns, held.inode)
        = (tracks.size, tracks.mtime_ns, tracks.ctime_ns, tracks.inode)
WHERE root_id = ?1 AND {TOLD_PATH_OF_TRACKS} = ?2 AND gone = 0 AND place = 0
"""  # noqa: S608 - our own names


class Source(Struct, frozen=True, gc=False):
    """A picture file or a track as the index has it; both None: it has none, or no such track."""

    stamp: Stamp | None = None
    told: PictureFacts | Verdict | None = None
    """What is known of it for this stamp; None: it must be read."""


def source(connection: Connection, key: PictureKey) -> Source:
    """What is known of a source now."""
    if key.source is PictureSource.FILE:
        row = select_one(connection, _FILE, (key.root_id, *split(key.path), key.path))
    else:
        row = select_one(connection, _TRACK, (key.root_id, told(key.path), key.path))
    if row is None:
        return Source()
    *stamp, is_known, digest, mime, width, height, size, is_refused = row
    known: PictureFacts | Verdict | None = None
    if is_known:
        known = Verdict.EMPTY
        if digest is not None:
            known = PictureFacts(digest, mime, width, height, size)
    elif is_refused:
        known = Verdict.REFUSED
    return Source(Stamp(*stamp), known)
