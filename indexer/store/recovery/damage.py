"""The consistency rules between the rows of an index, and the part that each rule belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Part(StrEnum):
    """Which part of an index is damaged."""

    FILE = "damage"
    """The file's structure, or rows that cannot be derived from others."""
    INDEX = "index"
    VIEW = "view"
    FULL_TEXT = "full text"
    CATALOG = "catalog"
    """Artists, albums, genres, and their links to tracks."""

    @property
    def is_derived(self) -> bool:
        """Whether it can be made again from the rows of `tracks`."""
        return self is not Part.FILE


class Damage(Struct, frozen=True):
    """One kind of damage that was found."""

    part: Part
    detail: str


RULES: Final = (
    (Part.FILE, "rows of tracks hold invalid values",
     """SELECT count(*) FROM tracks WHERE NOT (
            id > 0 AND typeof(path) = 'blob' AND place IN (0, 1, 2, 3) AND gone IN (0, id)
            AND (gone = 0) = (place <> 1) AND path_is_text IN (0, 1)
            AND typeof(size) = 'integer' AND typeof(mtime_ns) = 'integer'
            AND typeof(ctime_ns) = 'integer' AND typeof(inode) = 'integer'
            AND typeof(scan_id) = 'integer' AND typeof(reader_version) = 'integer'
            AND typeof(root_id) = 'integer' AND typeof(disk_id) = 'integer'
            AND (place <> 0 OR added_at IS NOT NULL)
            AND (several IS NULL OR CASE WHEN json_valid(several)
                THEN json_type(several) = 'object' ELSE 0 END))"""),
    (Part.FILE, "tracks in place have an empty path",
     "SELECT count(*) FROM tracks WHERE length(path) = 0"),
    (Part.FILE, "`sqlite_sequence` is behind the ids of tracks",
     """SELECT count(*) FROM tracks WHERE id > coalesce(
            (SELECT max(seq) FROM sqlite_sequence WHERE name = 'tracks'), 0)"""),
    (Part.FILE, "rows of roots hold invalid values",
     """SELECT count(*) FROM roots WHERE NOT (typeof(name) = 'text' AND typeof(path) = 'blob'
            AND substr(path, 1, 1) = x'2f' AND path_is_text IN (0, 1)
            AND typeof(present_days) = 'integer'
            AND typeof(last_day) = 'integer' AND typeof(added_at) = 'integer'
            AND (removed_at IS NULL OR typeof(removed_at) = 'integer'))"""),
    (Part.FILE, "watched roots have no disk",
     """SELECT count(*) FROM roots WHERE removed_at IS NULL AND NOT EXISTS
            (SELECT 1 FROM mounts WHERE root_id = roots.id AND folder = x'')"""),
    (Part.FILE, "rows of mounts hold invalid values",
     """SELECT count(*) FROM mounts WHERE NOT (typeof(folder) = 'blob'
            AND typeof(inode) = 'integer')"""),
    (Part.FILE, "rows of problems hold invalid values",
     """SELECT count(*) FROM problems WHERE NOT (typeof(path) = 'blob'
            AND typeof(kind) = 'text' AND typeof(reason) = 'text' AND typeof(since) = 'integer'
            AND typeof(coalesce(size, 0)) = 'integer' AND typeof(coalesce(inode, 0)) = 'integer'
            AND typeof(coalesce(mtime_ns, 0)) = 'integer'
            AND typeof(coalesce(ctime_ns, 0)) = 'integer')"""),
    (Part.FILE, "rows of pictures hold invalid values",
     """SELECT count(*) FROM pictures WHERE NOT (typeof(folder) = 'blob' AND typeof(name) = 'blob'
            AND typeof(size) = 'integer' AND typeof(mtime_ns) = 'integer'
            AND typeof(ctime_ns) = 'integer' AND typeof(inode) = 'integer'
            AND typeof(coalesce(hash, x'')) = 'blob' AND (hash IS NULL OR (typeof(mime) = 'text'
                AND typeof(width) = 'integer' AND typeof(height) = 'integer')))"""),
    (Part.FILE, "rows of track_pictures hold invalid values",
     """SELECT count(*) FROM track_pictures WHERE NOT (typeof(size) = 'integer'
            AND typeof(mtime_ns) = 'integer' AND typeof(ctime_ns) = 'integer'
            AND typeof(inode) = 'integer' AND typeof(coalesce(hash, x'')) = 'blob'
            AND (hash IS NULL OR (typeof(mime) = 'text' AND typeof(width) = 'integer'
                AND typeof(height) = 'integer' AND typeof(bytes) = 'integer')))"""),
    (Part.FILE, "rows of scrubs hold invalid values",
     """SELECT count(*) FROM scrubs WHERE NOT (typeof(size) = 'integer'
            AND typeof(mtime_ns) = 'integer' AND typeof(ctime_ns) = 'integer'
            AND typeof(inode) = 'integer' AND typeof(coalesce(hash, x'')) = 'blob'
            AND typeof(coalesce(good_at, 0)) = 'integer' AND typeof(checked_at) = 'integer'
            AND typeof(coalesce(flaw, '')) = 'text')"""),
    (Part.FILE, "rows of playlist_files hold invalid values",
     """SELECT count(*) FROM playlist_files WHERE NOT (typeof(folder) = 'blob'
            AND typeof(name) = 'blob' AND typeof(size) = 'integer' AND typeof(mtime_ns) = 'integer'
            AND typeof(ctime_ns) = 'integer' AND typeof(inode) = 'integer'
            AND typeof(stem) = 'text' AND typeof(coalesce(title, '')) = 'text'
            AND path_is_text IN (0, 1) AND is_read IN (0, 1) AND is_placed <= 1)"""),
    (Part.FILE, "rows of playlist_entries hold invalid values",
     """SELECT count(*) FROM playlist_entries WHERE NOT (typeof(position) = 'integer'
            AND typeof(path) = 'text' AND typeof(coalesce(line, x'')) = 'blob'
            AND is_stream IN (0, 1) AND typeof(coalesce(parent_key, x'')) = 'blob'
            AND typeof(coalesce(other_key, x'')) = 'blob'
            AND typeof(coalesce(track_id, 0)) = 'integer'
            AND EXISTS (SELECT 1 FROM playlist_files WHERE id = playlist_id))"""),
    (Part.FILE, "rows of lyrics_files hold invalid values",
     """SELECT count(*) FROM lyrics_files WHERE NOT (typeof(folder) = 'blob'
            AND typeof(name) = 'blob')"""),
    (Part.CATALOG, "artwork is chosen that is not known",
     """SELECT count(*) FROM artwork_choices AS chosen WHERE NOT (kind IN ('album', 'artist')
            AND CASE source
                WHEN 'file' THEN EXISTS (SELECT 1 FROM pictures WHERE root_id = chosen.root_id
                    AND folder = chosen.folder AND name = chosen.name AND hash IS NOT NULL)
                WHEN 'track' THEN EXISTS (SELECT 1 FROM track_pictures
                    WHERE track_id = chosen.track_id AND hash IS NOT NULL)
                ELSE 0 END)"""),
    (Part.FILE, "rows of pending hold invalid values",
     """SELECT count(*) FROM pending WHERE NOT (typeof(folder) = 'blob'
            AND typeof(generation) = 'integer' AND recursive IN (0, 1)
            AND typeof(coalesce(names, x'')) = 'blob' AND typeof(reread) = 'integer'
            AND typeof(attempts) = 'integer' AND is_chunk IN (0, 1))"""),
    (Part.FILE, "rows of changes hold invalid values",
     """SELECT count(*) FROM changes WHERE NOT (seq > 0 AND typeof(at) = 'integer'
            AND kind IN ('added', 'modified', 'moved', 'missing', 'returned')
            AND typeof(track_id) = 'integer' AND typeof(root) = 'text'
            AND typeof(path) IN ('text', 'blob')
            AND typeof(coalesce(old_path, '')) IN ('text', 'blob'))"""),
    (Part.FILE, "rows of scans hold invalid values",
     """SELECT count(*) FROM scans WHERE NOT (typeof(roots) = 'text'
            AND typeof(counts) = 'text'
            AND typeof(started_at) = 'integer'
            AND (ended_at IS NULL OR typeof(ended_at) = 'integer'))"""),
    (Part.FILE, "the index has no identity, several, or one that no version writes",
     """SELECT count(*) <> 1 OR count(*) <> sum(typeof(token) = 'text'
            AND changes_floor BETWEEN 0 AND seq AND history_floor BETWEEN 0 AND seq)
        FROM identity, (SELECT coalesce(
            (SELECT max(seq) FROM sqlite_sequence WHERE name = 'changes'), 0) AS seq)"""),
    (Part.FILE, "sets of further tags have no track",
     """SELECT count(*) FROM tag_sets
            WHERE NOT EXISTS (SELECT 1 FROM tracks WHERE tag_set = tag_sets.id)"""),
    (Part.FULL_TEXT, "tracks of the view are not in the full text",
     """SELECT count(*) FROM tracks WHERE place = 0
            AND NOT EXISTS (SELECT 1 FROM track_search_docsize WHERE id = tracks.id)"""),
    (Part.FULL_TEXT, "tracks are in the full text and not in the view",
     """SELECT count(*) FROM track_search_docsize AS told
            WHERE NOT EXISTS (SELECT 1 FROM tracks WHERE id = told.id AND place = 0)"""),
    (Part.FULL_TEXT, "the full text cannot be read",
     "SELECT max(0, rowid * 0) FROM track_search WHERE track_search MATCH 'a' LIMIT 1"),
    (Part.CATALOG, "tracks of the view have no album, or a missing album",
     """SELECT count(*) FROM tracks WHERE place = 0
            AND NOT EXISTS (SELECT 1 FROM catalog_albums AS one WHERE one.id = tracks.album_id)"""),
    (Part.CATALOG, "tracks that are not in the view have an album",
     "SELECT count(*) FROM tracks WHERE place <> 0 AND album_id IS NOT NULL"),
    (Part.CATALOG, "albums have names that none of their tracks has",
     """SELECT count(*) FROM catalog_albums WHERE NOT EXISTS (SELECT 1 FROM tracks
            WHERE album_id = catalog_albums.id AND tracks.album IS catalog_albums.title
            AND tracks.albumartist IS catalog_albums.albumartist)"""),
    (Part.CATALOG, "artists have no track",
     """SELECT count(*) FROM catalog_artists
            WHERE id NOT IN (SELECT artist_id FROM catalog_track_artists)"""),
    (Part.CATALOG, "genres have no track",
     "SELECT count(*) FROM genres WHERE id NOT IN (SELECT genre_id FROM track_genres)"),
)  # fmt: skip
"""The part, the message, and a query for the number of violations."""


def deletions(tables: Collection[str]) -> Iterator[tuple[str, str]]:
    """(table, statement) that deletes the rows of these tables that break a rule of rows."""
    for _, _, question in RULES:
        for table in tables:
            if question.startswith(f"SELECT count(*) FROM {table} WHERE NOT ("):  # noqa: S608 - our own text
                yield table, question.replace("SELECT count(*)", "DELETE", 1)
