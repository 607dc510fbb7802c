"""The tables for covers and artists' images, as SQL text for one migration.

Limited to SQLite 3.40, as all of the schema.
"""

from __future__ import annotations

from typing import Final

ARTWORK_TABLES: Final = """
-- A picture file in a folder that was listed. A change of its stamp makes the facts NULL, until it
-- is opened for an album or an artist that may need it.
CREATE TABLE pictures (
    root_id INTEGER NOT NULL REFERENCES roots (id),
    folder BLOB NOT NULL,           -- with a slash at its end, empty for the root: in walk order
    name BLOB NOT NULL,
    path_is_text INTEGER NOT NULL,  -- whether folder and name are UTF-8
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    hash BLOB,                      -- BLAKE2b of the file, 16 bytes
    mime TEXT, width INTEGER, height INTEGER,
    PRIMARY KEY (root_id, folder, name)
) WITHOUT ROWID;

-- What a track that was opened for its picture holds, for its stamp at that time.
CREATE TABLE track_pictures (
    track_id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    hash BLOB,                      -- of the picture; NULL: it holds none
    mime TEXT, width INTEGER, height INTEGER,
    bytes INTEGER                   -- of the picture
);

-- The picture of an album or an artist: a row of pictures, or of track_pictures.
CREATE TABLE artwork_choices (
    kind TEXT NOT NULL,             -- album, artist
    owner_id INTEGER NOT NULL,      -- of catalog_albums or catalog_artists
    source TEXT NOT NULL,           -- file, track
    root_id INTEGER, folder BLOB, name BLOB,
    track_id INTEGER,
    PRIMARY KEY (kind, owner_id)
) WITHOUT ROWID;
CREATE INDEX artwork_choices_file ON artwork_choices (root_id, folder, name)
    WHERE source = 'file';
CREATE INDEX artwork_choices_track ON artwork_choices (track_id) WHERE source = 'track';

-- Whose picture is to be chosen again.
CREATE TABLE artwork_due (
    kind TEXT NOT NULL,
    owner_id INTEGER NOT NULL,
    PRIMARY KEY (kind, owner_id)
) WITHOUT ROWID;
-- Folders in which a picture came, changed or went.
CREATE TABLE artwork_due_folders (
    root_id INTEGER NOT NULL REFERENCES roots (id),
    folder BLOB NOT NULL,           -- as in pictures
    PRIMARY KEY (root_id, folder)
) WITHOUT ROWID;
INSERT INTO artwork_due SELECT 'album', id FROM catalog_albums;
INSERT INTO artwork_due SELECT 'artist', id FROM catalog_artists;

-- With problems of pictures: a track and the picture in it may have one each.
CREATE TABLE problems_of_all (
    root_id INTEGER NOT NULL REFERENCES roots (id),
    path BLOB NOT NULL,             -- of a file, or of a folder that cannot be listed
    is_picture INTEGER NOT NULL DEFAULT 0,  -- 1: of kind picture, which says nothing of a track
    kind TEXT NOT NULL,             -- content, environment, fault, picture
    reason TEXT NOT NULL,
    size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
    since INTEGER NOT NULL,
    reader_version INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (root_id, path, is_picture)
) WITHOUT ROWID;
INSERT INTO problems_of_all SELECT root_id, path, 0, kind, reason, size, mtime_ns, ctime_ns,
    inode, since, reader_version FROM problems;
DROP TABLE problems;
ALTER TABLE problems_of_all RENAME TO problems;
"""
"""Columns of a primary key come first: where they do not, `integrity_check` of SQLite 3.40 takes
columns of a table without a rowid for NULL.

It makes every album and artist due, and gives pictures problems of their own."""
