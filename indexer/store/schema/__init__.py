"""The schema of the index as SQL text, and its version.

Limited to SQLite 3.40, since Debian's own `sqlite3` reads and migrates the file. Times are INTEGER
Unix milliseconds in tables, ISO 8601 with Z in the view.
"""

from __future__ import annotations

from typing import Final

from indexer.store.schema.artwork_tables import ARTWORK_TABLES
from indexer.store.schema.playlist_tables import PLAYLISTS
from indexer.store.schema.roles import ROLES
from indexer.store.schema.views import (
    ARTWORK_VIEWS,
    DAMAGE,
    ESSENCE,
    FURTHER_TAGS,
    GAIN_COLUMNS,
    MUSICBRAINZ_IDS,
    PUBLIC_VIEWS,
)

SCHEMA_VERSION: Final = 23
"""The value of `PRAGMA user_version`: the number of applied migrations."""

TAG_COLUMNS: Final = (
    "title", "artist", "albumartist", "album", "genre", "date", "year",
    "track", "track_total", "disc", "disc_total", "composer", "comment", "bpm", "isrc", "label",
    "compilation", "mb_trackid", "mb_albumid", "mb_artistid", "mb_albumartistid",
    "mb_releasegroupid", "replaygain_track_gain", "replaygain_track_peak",
    "replaygain_album_gain", "replaygain_album_peak", "duration", "bitrate", "sample_rate",
    "channels", "bit_depth", "codec", "has_picture",
)  # fmt: skip
"""The columns of the view that are read from the file, in the order of the view."""

LIBRARY_COLUMNS: Final = (
    "id", "root", "path", "size", "mtime_ns", *TAG_COLUMNS, "guessed", "added_at", "indexed_at",
    "album_id", "file", *GAIN_COLUMNS, "has_lyrics", "has_cover", "short",
    "essence",
)  # fmt: skip
"""Every column of the view `library`."""

_ROOTS = """
CREATE TABLE disks (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL,
    fsid TEXT NOT NULL,
    fs_type TEXT NOT NULL,
    source TEXT NOT NULL
);

CREATE TABLE roots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    path BLOB NOT NULL UNIQUE,
    added_at INTEGER NOT NULL,
    removed_at INTEGER,             -- NULL while it is watched; its rows stay, with their ids
    present_days INTEGER NOT NULL DEFAULT 0,    -- on how many days it was seen to be there
    last_day INTEGER NOT NULL DEFAULT 0         -- the last of them, in days since 1970
);
CREATE UNIQUE INDEX roots_name ON roots (name) WHERE removed_at IS NULL;

-- The disk that stood at a folder when it was accepted; the root itself is the empty folder.
CREATE TABLE mounts (
    root_id INTEGER NOT NULL REFERENCES roots (id),
    folder BLOB NOT NULL,
    disk_id INTEGER NOT NULL REFERENCES disks (id),
    inode INTEGER NOT NULL,         -- of the mounted folder
    PRIMARY KEY (root_id, folder)
) WITHOUT ROWID;
"""

_TRACKS = """
CREATE TABLE albums (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,       -- release id, else (album artist, album, root and folder)
    title TEXT,
    albumartist TEXT
);

CREATE TABLE artists (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE genres (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE tracks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id INTEGER NOT NULL REFERENCES roots (id),
    path BLOB NOT NULL,             -- raw bytes, relative to the root
    gone INTEGER NOT NULL,          -- 0 while in place, else its own id: one index, unique places
    place INTEGER NOT NULL,         -- 0 present, 1 missing, 2 refused (model.Place)
    path_is_text INTEGER NOT NULL,  -- whether the path is UTF-8
    disk_id INTEGER NOT NULL REFERENCES disks (id),
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    scan_id INTEGER NOT NULL,       -- the rebuild that read it last, or 0
    reader_version INTEGER NOT NULL,-- of the reader that had the last word; 0: none had
    added_at INTEGER,               -- when it first came into the view; NULL: never yet
    indexed_at INTEGER,             -- when its tags were last read
    missing_at INTEGER,
    missing_days INTEGER,           -- its root's present_days when it left
    album_id INTEGER REFERENCES albums (id),
    title TEXT, artist TEXT, albumartist TEXT, album TEXT, genre TEXT,
    date TEXT, year INTEGER,
    track INTEGER, track_total INTEGER, disc INTEGER, disc_total INTEGER,
    composer TEXT, comment TEXT, bpm, isrc TEXT, label TEXT, compilation INTEGER,
    mb_trackid TEXT, mb_albumid TEXT, mb_artistid TEXT, mb_albumartistid TEXT,
    mb_releasegroupid TEXT,
    replaygain_track_gain TEXT, replaygain_track_peak TEXT,
    replaygain_album_gain TEXT, replaygain_album_peak TEXT,
    duration REAL, bitrate INTEGER, sample_rate INTEGER, channels INTEGER, bit_depth INTEGER,
    codec TEXT, has_picture INTEGER,
    guessed INTEGER,                -- bits: 1 title, 2 album, 4 artist came from the path
    several TEXT,                   -- JSON {field: [values]} where a field has more than one value
    suspect_encoding INTEGER        -- 1: its texts look as if their tag named the wrong encoding
);
CREATE UNIQUE INDEX tracks_place ON tracks (root_id, path, gone);
CREATE INDEX tracks_inode ON tracks (inode);
CREATE INDEX tracks_album ON tracks (album_id);
CREATE INDEX tracks_untold ON tracks (id) WHERE place = 1 AND missing_at IS NULL;

CREATE TABLE track_artists (
    track_id INTEGER NOT NULL REFERENCES tracks (id),
    role TEXT NOT NULL,             -- artist, albumartist
    position INTEGER NOT NULL,
    artist_id INTEGER NOT NULL REFERENCES artists (id),
    PRIMARY KEY (track_id, role, position)
) WITHOUT ROWID;
CREATE INDEX track_artists_artist ON track_artists (artist_id);

CREATE TABLE track_genres (
    track_id INTEGER NOT NULL REFERENCES tracks (id),
    position INTEGER NOT NULL,
    genre_id INTEGER NOT NULL REFERENCES genres (id),
    PRIMARY KEY (track_id, position)
) WITHOUT ROWID;
CREATE INDEX track_genres_genre ON track_genres (genre_id);
"""

_VIEW = """
CREATE VIEW library AS
SELECT
    tracks.id,
    roots.name AS root,
    CASE WHEN tracks.path_is_text THEN CAST(tracks.path AS TEXT) ELSE tracks.path END AS path,
    tracks.size, {mtime_ns},
    tracks.title, tracks.artist, tracks.albumartist, tracks.album, tracks.genre,
    tracks.date, tracks.year,
    tracks.track, tracks.track_total, tracks.disc, tracks.disc_total,
    tracks.composer, tracks.comment, tracks.bpm, tracks.isrc, tracks.label, tracks.compilation,
    tracks.mb_trackid, tracks.mb_albumid, tracks.mb_artistid, tracks.mb_albumartistid,
    tracks.mb_releasegroupid,
    tracks.replaygain_track_gain, tracks.replaygain_track_peak,
    tracks.replaygain_album_gain, tracks.replaygain_album_peak,
    tracks.duration, tracks.bitrate, tracks.sample_rate, tracks.channels, tracks.bit_depth,
    tracks.codec, tracks.has_picture,
    tracks.guessed <> 0 AS guessed,
    strftime('%Y-%m-%dT%H:%M:%fZ', tracks.added_at / 1000.0, 'unixepoch') AS added_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', tracks.indexed_at / 1000.0, 'unixepoch') AS indexed_at
FROM tracks JOIN roots ON roots.id = tracks.root_id
WHERE tracks.place = 0;
"""

_SEARCH = """
-- Folded texts (store/folding.py), of which `ascii` makes words at spaces. It keeps only the words:
-- what is deleted from it has to be told exactly as it was inserted.
CREATE VIRTUAL TABLE track_search USING fts5 (
    title, artist, albumartist, album, genre,
    content = '', tokenize = 'ascii'
);
"""

_WORK = """
-- What still has to be looked at. A hint becomes chunks, which keep its generation; an insert
-- deletes the row that it settles. Ids only grow, and a hint's generation is its own id.
CREATE TABLE pending (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    generation INTEGER NOT NULL,
    root_id INTEGER NOT NULL REFERENCES roots (id),
    folder BLOB NOT NULL,
    names BLOB,                     -- msgpack array of paths below the folder; NULL: the folder
    recursive INTEGER NOT NULL,
    reread INTEGER NOT NULL,        -- the rebuild that wants every file read again, or 0
    attempts INTEGER NOT NULL DEFAULT 0,
    at INTEGER NOT NULL
);

CREATE TABLE problems (
    root_id INTEGER NOT NULL REFERENCES roots (id),
    path BLOB NOT NULL,             -- of a file, or of a folder that cannot be listed
    kind TEXT NOT NULL,             -- content, environment, fault
    reason TEXT NOT NULL,
    size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
    since INTEGER NOT NULL,
    PRIMARY KEY (root_id, path)
) WITHOUT ROWID;

CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,             -- added, modified, moved, missing, returned
    track_id INTEGER NOT NULL,
    root TEXT NOT NULL,
    path,                           -- TEXT where it is UTF-8, else BLOB
    old_root TEXT,
    old_path
);

CREATE TABLE scans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,             -- scan, rebuild
    state TEXT NOT NULL,            -- running, done, interrupted, failed
    roots TEXT NOT NULL,            -- JSON array of root names
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    counts TEXT NOT NULL            -- JSON object
);
"""

FIRST_SCHEMA: Final = _ROOTS + _TRACKS + _VIEW.format(mtime_ns="tracks.mtime_ns") + _SEARCH + _WORK

QUEUED_WORK: Final = """
-- Of a chunk that a scan has made, 1; a hint has 0 and how often all of it was scanned. The hints
-- that are scanned together have one generation: the id of the first.
ALTER TABLE pending ADD COLUMN is_chunk INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pending ADD COLUMN passes INTEGER NOT NULL DEFAULT 0;
-- The row in scans that counts what comes of it, or 0.
ALTER TABLE pending ADD COLUMN scan_id INTEGER NOT NULL DEFAULT 0;
CREATE INDEX pending_generation ON pending (generation);

-- One row.
CREATE TABLE identity (
    token TEXT NOT NULL,            -- tells this index from every other one: work for it is refused
    changes_floor INTEGER NOT NULL  -- up to this seq, changes keeps only what is present: one added
);
INSERT INTO identity (token, changes_floor) VALUES (lower(hex(randomblob(8))), 0);
"""
"""Columns for work in other processes."""

_SATURATED_MTIME: Final = """
    CASE WHEN tracks.mtime_ns > 9223372035781034018 THEN 9223372036854775807
        WHEN tracks.mtime_ns < -9223372035781034019 THEN -9223372036854775808
        ELSE tracks.mtime_ns END AS mtime_ns"""
"""A folded time (model.folded_ns) is shown as the end of the range."""

ODD_FILES: Final = """
-- Of the reader that met a fault of this program's own (kind fault): the next version tries again.
ALTER TABLE problems ADD COLUMN reader_version INTEGER NOT NULL DEFAULT 0;

DROP VIEW library;
""" + _VIEW.format(mtime_ns=_SATURATED_MTIME.strip())
"""For files with numbers out of range, or that this program cannot handle."""

BIRTH_TIMES: Final = """
-- When the inode was made, as the reader was told: it tells a file from the next one that is given
-- its inode (rule R7). NULL if the file system keeps no such time, or the file was not read since.
ALTER TABLE tracks ADD COLUMN birth_ns INTEGER;
"""
"""For moves with changed tags."""

SUBVOLUMES: Final = """
-- Before, all subvolumes of one file system were one disk, with the fsid of the first. Where it may
-- have been another one's, only the UUID is known, until each is seen again.
UPDATE disks SET fsid = '' WHERE uuid <> '' AND fs_type IN ('btrfs', 'bcachefs', 'zfs') AND (
    (SELECT count(*) FROM mounts WHERE mounts.disk_id = disks.id) > 1
    OR EXISTS (SELECT 1 FROM roots WHERE removed_at IS NOT NULL)
);
"""
"""Distinguishes the subvolumes of a disk."""

TRIALS: Final = """
-- Files that a reader process was given and has not answered for: it, or all of this program, may
-- have died of one of them.
CREATE TABLE trials (
    root_id INTEGER NOT NULL REFERENCES roots (id),
    path BLOB NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    tries INTEGER NOT NULL,         -- how often it was given by itself; 0: only with others
    PRIMARY KEY (root_id, path)
) WITHOUT ROWID;
"""
"""Files that may crash their reader."""

LOOK_ALIKES: Final = """
-- One row stands for all spellings that look alike. Its name is that of most of its tracks; its key
-- is the plain spelling (indexer.spelling), NULL if that is the name.
ALTER TABLE artists ADD COLUMN key TEXT;
CREATE UNIQUE INDEX artists_key ON artists (key) WHERE key IS NOT NULL;
ALTER TABLE genres ADD COLUMN key TEXT;
CREATE UNIQUE INDEX genres_key ON genres (key) WHERE key IS NOT NULL;
-- How this track spells it; NULL: plainly.
ALTER TABLE track_artists ADD COLUMN spelling TEXT;
CREATE INDEX track_artists_spelling ON track_artists (artist_id) WHERE spelling IS NOT NULL;
ALTER TABLE track_genres ADD COLUMN spelling TEXT;
CREATE INDEX track_genres_spelling ON track_genres (genre_id) WHERE spelling IS NOT NULL;
"""
"""For names in several spellings. `migrate` joins existing rows and renews the keys of albums."""

OUTDATED_ROWS: Final = """
-- The reader for which no row of the root is too old, or 0 (indexer/store/outdated.py).
ALTER TABLE roots ADD COLUMN reader_version INTEGER NOT NULL DEFAULT 0;
"""
"""For rows that an older reader has read."""

SEARCH_WORDS: Final = """
-- Of the words in track_search: which versions made them (store/search_rows.py).
ALTER TABLE identity ADD COLUMN search_folding TEXT NOT NULL DEFAULT '';

DROP TABLE track_search;
CREATE VIRTUAL TABLE track_search USING fts5 (
    title, artist, albumartist, album, genre, composer, comment, label, path,
    content = '', tokenize = 'ascii'
);
"""
"""For more spellings and more texts in the full text. `migrate` fills it."""

SEARCH_TOKENS: Final = (
    r"""
DROP TABLE track_search;
-- The words are folded before they come here. The tokenizer folds once more what another program
-- asks for: case, and the accents of Latin letters. All but ASCII marks and spaces is in words.
CREATE VIRTUAL TABLE track_search USING fts5 (
    title, artist, albumartist, album, genre, composer, comment, label, path,
    content = '', tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N* P* S* Co Cn' """
    r"""separators '!""#$%&''()*+,-./:;<=>?@[\]^_`{|}~'"
);
"""
)
"""For programs that ask the full text themselves: `MATCH 'Björk'`. `migrate` fills it."""

HOOKS: Final = """
CREATE TABLE hooks (
    name TEXT PRIMARY KEY,
    cursor TEXT NOT NULL,           -- JSON, `Cursor` in store/hooks.py
    received_at INTEGER,            -- when the last message was received
    attempts INTEGER NOT NULL,      -- how often the next message failed since
    error TEXT,                     -- why it failed last
    disabled_at INTEGER             -- since when its receiver wants no more
) WITHOUT ROWID;
"""
"""For programs that are told of changes."""
HISTORY: Final = """
-- What was there before, as JSON: the columns of the track that differ (store/former.py). Of a
-- track whose row is purged, its last `missing` has all of them.
ALTER TABLE changes ADD COLUMN before TEXT;
-- Changes after this seq say what was there before; of older ones it is not known.
ALTER TABLE identity ADD COLUMN history_floor INTEGER NOT NULL DEFAULT 0;
UPDATE identity SET history_floor = (SELECT coalesce(max(seq), 0) FROM changes);
"""
"""For the library as it was."""

GUESSED_ARTISTS: Final = """
-- The name of a root is not taken for an artist any more: files of which it was are read again.
UPDATE tracks SET reader_version = 0
WHERE guessed & 4 AND artist = (SELECT name FROM roots WHERE roots.id = tracks.root_id);
"""
"""For albums directly in a root."""

MISSING_ROWS: Final = """
-- `tracks_missing` finds the same rows: those with place = 1 whose missing_at is NULL.
DROP INDEX tracks_untold;
"""
"""For new rows, each of which was compared with what the index holds."""

ARTWORK_NAMES: Final = """
ALTER TABLE identity ADD COLUMN artwork_names TEXT;
"""
"""The names of pictures by which all was chosen, as JSON; NULL: those of `Settings`."""

MIGRATIONS: Final = (
    ("first_schema", FIRST_SCHEMA),
    ("queued_work", QUEUED_WORK),
    ("odd_files", ODD_FILES),
    ("birth_times", BIRTH_TIMES),
    ("subvolumes", SUBVOLUMES),
    ("trials", TRIALS),
    ("look_alikes", LOOK_ALIKES),
    ("outdated_rows", OUTDATED_ROWS),
    ("search_words", SEARCH_WORDS),
    ("public_views", PUBLIC_VIEWS),
    ("search_tokens", SEARCH_TOKENS),
    ("further_tags", FURTHER_TAGS),
    ("artwork", ARTWORK_TABLES + ARTWORK_VIEWS),
    ("hooks", HOOKS),
    ("history", HISTORY),
    ("damage", DAMAGE),
    ("essence", ESSENCE),
    ("playlists", PLAYLISTS),
    ("guessed_artists", GUESSED_ARTISTS),
    ("musicbrainz_ids", MUSICBRAINZ_IDS),
    ("roles", ROLES),
    ("missing_rows", MISSING_ROWS),
    ("artwork_names", ARTWORK_NAMES),
)
"""Name and script of every migration, oldest first; a new index is created by all of them."""

MIGRATION_SET: Final = "music-indexer"
FAILED_BY_DAMAGE: Final = 9
"""Exit code of a migration that could not read the file as the older version wrote it."""
STEPS_TAKEN: Final = """
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
"""
"""The table in which sqlite-utils records migrations, exactly as it creates it."""


def statements(script: str) -> list[str]:
    """Split a script without triggers, in which a statement ends with its line.

    `executescript` would commit between them.
    """
    lines = [line.partition("--")[0].rstrip() for line in script.splitlines()]
    ends = "\n".join([*lines, ""]).split(";\n")
    return [text.strip() for text in ends if text.strip()]
