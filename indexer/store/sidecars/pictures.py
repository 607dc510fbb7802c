"""The rows of `pictures` and `track_pictures`: which pictures there are, and what each shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer import paths
from indexer.model import PictureFacts, Stamp
from indexer.store.changes import shown_path
from indexer.store.schema.views import SHOWN_PATH_OF_TRACKS
from indexer.store.statements import Connection, Row, select, select_one, select_value

if TYPE_CHECKING:  # commands that ask need no more of this module than how a path is split
    from indexer.artwork.model import PictureKey, Verdict  # noqa: TC004 - never decoded

_IN_FOLDER: Final = """
SELECT name, size, mtime_ns, ctime_ns, inode, hash, mime, width, height FROM pictures
WHERE root_id = ? AND folder = ? ORDER BY name
"""
_GET: Final = """
SELECT name, size, mtime_ns, ctime_ns, inode, hash, mime, width, height FROM pictures
WHERE root_id = ? AND folder = ? AND name = ?
"""
_PUT: Final = """
INSERT INTO pictures (root_id, folder, name, path_is_text, size, mtime_ns, ctime_ns, inode,
    hash, mime, width, height)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (root_id, folder, name) DO UPDATE SET size = excluded.size,
    mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, inode = excluded.inode,
    hash = excluded.hash, mime = excluded.mime, width = excluded.width, height = excluded.height
"""
_DELETE: Final = "DELETE FROM pictures WHERE root_id = ? AND folder = ? AND name = ?"
_OF_TRACK: Final = """
SELECT track_id, size, mtime_ns, ctime_ns, inode, hash, mime, width, height, bytes
FROM track_pictures WHERE track_id = ?
"""
_PUT_OF_TRACK: Final = "INSERT OR REPLACE INTO track_pictures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DROP_OF_TRACK: Final = "DELETE FROM track_pictures WHERE track_id = ?"
_HASHES: Final = """
SELECT hash FROM pictures WHERE hash IS NOT NULL
UNION SELECT hash FROM track_pictures WHERE hash IS NOT NULL
"""
_OPENED: Final = """
SELECT folder, name, size, mtime_ns, ctime_ns, inode, hash FROM pictures
WHERE root_id = ? AND hash IS NOT NULL ORDER BY folder, name
"""
_OPENED_TRACKS: Final = """
SELECT track_id, size, mtime_ns, ctime_ns, inode, hash FROM track_pictures ORDER BY track_id
"""
_COUNT: Final = "SELECT count(*) FROM pictures"
_DELETE_OF_ROOT: Final = (
    "DELETE FROM pictures WHERE root_id = ?1",
    "DELETE FROM track_pictures WHERE track_id IN (SELECT id FROM tracks WHERE root_id = ?1)",
)
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
WHERE root_id = ?1 AND {SHOWN_PATH_OF_TRACKS} = ?2 AND gone = 0 AND place = 0
"""  # noqa: S608 - our own names


class KnownPicture(Struct, frozen=True, gc=False):
    """A row of `pictures`, or of `track_pictures`; `name` is that of the file in its folder."""

    name: bytes
    stamp: Stamp
    facts: PictureFacts | None
    """None: it was not opened for this stamp; of a track also: it holds none."""


def split(path: bytes) -> tuple[bytes, bytes]:
    """(folder, name) of a picture, as `pictures` has them."""
    return paths.folder_key(paths.parent_of(path)), paths.name_of(path)


def in_folder(connection: Connection, root_id: int, folder: bytes) -> list[KnownPicture]:
    """The pictures directly in a folder, by name."""
    rows = select(connection, _IN_FOLDER, (root_id, paths.folder_key(folder)))
    return [_known(row) for row in rows]


def get(connection: Connection, root_id: int, path: bytes) -> KnownPicture | None:
    row = select_one(connection, _GET, (root_id, *split(path)))
    return None if row is None else _known(row)


def put(
    connection: Connection, root_id: int, path: bytes, stamp: Stamp, facts: PictureFacts | None
) -> None:
    """Write a picture with its stamp, and what is known of it for this stamp."""
    told = (None,) * 4 if facts is None else (facts.hash, facts.mime, facts.width, facts.height)
    connection.execute(
        _PUT,
        (
            root_id, *split(path), paths.fits_utf8(path),
            stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode, *told,
        ),
    )  # fmt: skip


def delete(connection: Connection, root_id: int, path: bytes) -> bool:
    """Delete the row of a picture that is gone; whether there was one."""
    connection.execute(_DELETE, (root_id, *split(path)))
    return bool(connection.changes())


def of_track(connection: Connection, track_id: int) -> KnownPicture | None:
    """What a track held when it was opened for its picture; None: it never was."""
    row = select_one(connection, _OF_TRACK, (track_id,))
    if row is None:
        return None
    *_, size = row
    return _known(row[:-1], b"", size)


def put_of_track(
    connection: Connection, track_id: int, stamp: Stamp, facts: PictureFacts | None
) -> None:
    """Write what a track with this stamp holds; None: no picture that counts."""
    told: tuple[object, ...] = (None,) * 5
    if facts is not None:
        told = (facts.hash, facts.mime, facts.width, facts.height, facts.size)
    fields = (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
    connection.execute(_PUT_OF_TRACK, (track_id, *fields, *told))


def drop_of_track(connection: Connection, track_id: int) -> None:
    """Forget what a track held: it has left, or must be opened again."""
    connection.execute(_DROP_OF_TRACK, (track_id,))


def hashes(connection: Connection) -> set[bytes]:
    """The hashes of all pictures that were opened and are there, chosen or not."""
    return {value for (value,) in select(connection, _HASHES)}


def opened(connection: Connection, root_id: int) -> list[tuple[bytes, Stamp, bytes]]:
    """(path, stamp, hash) of the picture files of a root that were opened."""
    rows = select(connection, _OPENED, (root_id,))
    return [(folder + name, Stamp(*stamp), hashed) for folder, name, *stamp, hashed in rows]


def opened_tracks(connection: Connection) -> list[tuple[int, Stamp, bytes | None]]:
    """(track id, stamp, hash) of the tracks that were opened; None: they hold no picture."""
    rows = select(connection, _OPENED_TRACKS)
    return [(track_id, Stamp(*stamp), hashed) for track_id, *stamp, hashed in rows]


def count(connection: Connection) -> int:
    return int(select_value(connection, _COUNT))


def delete_of_root(connection: Connection, root_id: int) -> None:
    """Drop the pictures of a root that is no longer watched, and what its tracks held."""
    for statement in _DELETE_OF_ROOT:
        connection.execute(statement, (root_id,))


def _known(row: Row, name: bytes | None = None, size: int | None = None) -> KnownPicture:
    own, *fields, hashed, mime, width, height = row
    stamp = Stamp(*fields)
    facts = None
    if hashed is not None:
        facts = PictureFacts(hashed, mime, width, height, stamp.size if size is None else size)
    return KnownPicture(own if name is None else name, stamp, facts)


class Source(Struct, frozen=True, gc=False):
    """A picture file or a track as the index has it; both None: it has none, or no such track."""

    stamp: Stamp | None = None
    told: PictureFacts | Verdict | None = None
    """What is known of it for this stamp; None: it must be read."""


def source(connection: Connection, key: PictureKey) -> Source:
    """What is known of a source now."""
    from indexer.artwork.model import PictureSource, Verdict

    if key.source is PictureSource.FILE:
        row = select_one(connection, _FILE, (key.root_id, *split(key.path), key.path))
    else:
        row = select_one(connection, _TRACK, (key.root_id, shown_path(key.path), key.path))
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
