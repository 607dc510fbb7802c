"""The tables and views for playlists, and for lyrics in files, as SQL text for one migration.

Limited to SQLite 3.40, as all of the schema.
"""

from __future__ import annotations

from typing import Final

from indexer.store.schema.views import LYRICS_VIEWS

PLAYLISTS: Final = (
    """
-- A playlist in a folder that was listed.
CREATE TABLE playlist_files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id INTEGER NOT NULL REFERENCES roots (id),
    folder BLOB NOT NULL,           -- with a slash at its end, empty for the root: in walk order
    name BLOB NOT NULL,
    path_is_text INTEGER NOT NULL,  -- whether folder and name are UTF-8
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    stem TEXT NOT NULL,             -- its name, if its text has none
    title TEXT,                     -- as its text names it
    is_read INTEGER NOT NULL,       -- 0: it is to be read for this stamp
    is_placed INTEGER NOT NULL      -- 0: where its items lead is to be found out again
);
CREATE UNIQUE INDEX playlist_files_place ON playlist_files (root_id, folder, name);

-- An item of a playlist, from position 1. It keeps its track where that moves.
CREATE TABLE playlist_entries (
    playlist_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    path TEXT NOT NULL,             -- as it is written
    line BLOB,                      -- the same in bytes, where these are not UTF-8
    is_stream INTEGER NOT NULL,
    parent_key BLOB,                -- the folded name of the folder to which it leads, and of
    other_key BLOB,                 -- another one (sidecars/targets.py)
    track_id INTEGER,
    PRIMARY KEY (playlist_id, position)
) WITHOUT ROWID;
CREATE INDEX playlist_entries_parent ON playlist_entries (parent_key)
    WHERE parent_key IS NOT NULL;
CREATE INDEX playlist_entries_other ON playlist_entries (other_key) WHERE other_key IS NOT NULL;
CREATE INDEX playlist_entries_track ON playlist_entries (track_id) WHERE track_id IS NOT NULL;

-- A file of lyrics in a folder that was listed; and the tracks that have one of their name.
CREATE TABLE lyrics_files (
    root_id INTEGER NOT NULL REFERENCES roots (id),
    folder BLOB NOT NULL,           -- as in playlist_files
    name BLOB NOT NULL,
    PRIMARY KEY (root_id, folder, name)
) WITHOUT ROWID;
CREATE TABLE track_lyrics (
    track_id INTEGER PRIMARY KEY
);

CREATE VIEW playlists AS
SELECT
    playlist_files.id, roots.name AS root,
    CASE WHEN playlist_files.path_is_text
        THEN CAST(playlist_files.folder || playlist_files.name AS TEXT)
        ELSE CAST(playlist_files.folder || playlist_files.name AS BLOB) END AS path,
    coalesce(playlist_files.title, playlist_files.stem) AS name
FROM playlist_files JOIN roots ON roots.id = playlist_files.root_id;
CREATE VIEW playlist_items AS
SELECT entries.playlist_id, entries.position, entries.path, tracks.id AS track_id
FROM playlist_entries AS entries
    LEFT JOIN tracks ON tracks.id = entries.track_id AND tracks.place = 0;
"""
    + LYRICS_VIEWS
)
