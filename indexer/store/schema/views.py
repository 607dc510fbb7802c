"""The views that other programs read, and the indexes that answer their questions, as SQL text.

An index on an expression is used where a view has exactly this expression, so both are written here
from one text (sqlite.org/expridx.html). Limited to SQLite 3.40, as all of the schema.
"""

from __future__ import annotations

from typing import Final

from indexer.store.schema import musicbrainz_ids

_PATH: Final = "CASE WHEN {of}path_is_text THEN CAST({of}path AS TEXT) ELSE {of}path END"
SHOWN_PATH_OF_TRACKS: Final = _PATH.format(of="tracks.")
SHOWN_PATH: Final = _PATH.format(of="")
"""The path of a row of `tracks` as it is shown: TEXT where it is UTF-8, else BLOB.

`tracks_place` is in this order: all texts, then all BLOBs, each in the order of its bytes.
"""

_ISO: Final = "strftime('%Y-%m-%dT%H:%M:%fZ', {at} / 1000.0, 'unixepoch')"
"""Unix milliseconds as ISO 8601 in UTC."""
ADDED_AT: Final = _ISO.format(at="added_at")
"""When a track came into the view, as it is shown; `tracks_added` is in this order."""
MOMENT: Final = _ISO.format(at="?")
"""A parameter in Unix milliseconds, to be compared with it."""

WHOLE_SECONDS: Final = "CAST(duration AS INTEGER)"
WHOLE_BITRATE: Final = "CAST(bitrate AS INTEGER)"
"""A duration as a player shows it, and a bitrate as it is: `tracks_lengths` is in this order. Both
are expressions, so that it only serves questions that have them (store/search/lengths.py)."""

_MTIME: Final = """CASE WHEN tracks.mtime_ns > 9223372035781034018 THEN 9223372036854775807
        WHEN tracks.mtime_ns < -9223372035781034019 THEN -9223372036854775808
        ELSE tracks.mtime_ns END"""
"""A folded time (model.folded_ns) is shown as the end of the range."""

_FILE: Final = """CASE WHEN tracks.path_is_text AND roots.path_is_text
        THEN CAST({joined} AS TEXT) ELSE CAST({joined} AS BLOB) END""".format(
    joined="roots.path || CASE roots.path WHEN x'2f' THEN '' ELSE '/' END || tracks.path"
)

_NUMBER: Final = """CASE WHEN {text} GLOB '[0-9]*' OR {text} GLOB '[-+][0-9]*'
            OR {text} GLOB '.[0-9]*' OR {text} GLOB '[-+].[0-9]*'
        THEN CASE WHEN abs(CAST(replace({text}, ',', '.') AS REAL)) <= {most}
            THEN CAST(replace({text}, ',', '.') AS REAL) END END"""
"""The number at the start of a text such as `-7.32 dB`; NULL without one, or beyond `most`."""
_MOST_DB: Final = 1000
_MOST_PEAK: Final = 1000000

GAIN_COLUMNS: Final = (
    "replaygain_track_gain_db", "replaygain_track_peak_linear",
    "replaygain_album_gain_db", "replaygain_album_peak_linear",
)  # fmt: skip
"""ReplayGain as REAL: gains in dB, peaks as a ratio to full scale (ReplayGain 2.0)."""


def _gains() -> str:
    texts = (column.rpartition("_")[0] for column in GAIN_COLUMNS)
    return ",\n    ".join(
        _NUMBER.format(
            text=f"tracks.{text}", most=_MOST_DB if text.endswith("gain") else _MOST_PEAK
        )
        + f" AS {column}"
        for text, column in zip(texts, GAIN_COLUMNS, strict=True)
    )


def _ids() -> str:
    return ",\n    ".join(
        f"{musicbrainz_ids.shown(f'tracks.{column}')} AS {column}"
        for column in musicbrainz_ids.COLUMNS
    )


_LIBRARY: Final = f"""
CREATE VIEW library AS
SELECT
    tracks.id,
    roots.name AS root,
    {SHOWN_PATH_OF_TRACKS} AS path,
    tracks.size,
    {_MTIME} AS mtime_ns,
    tracks.title, tracks.artist, tracks.albumartist, tracks.album, tracks.genre,
    tracks.date, tracks.year,
    tracks.track, tracks.track_total, tracks.disc, tracks.disc_total,
    tracks.composer, tracks.comment, tracks.bpm, tracks.isrc, tracks.label, tracks.compilation,
    tracks.mb_trackid,
    {_ids()},
    tracks.replaygain_track_gain, tracks.replaygain_track_peak,
    tracks.replaygain_album_gain, tracks.replaygain_album_peak,
    tracks.duration, tracks.bitrate, tracks.sample_rate, tracks.channels, tracks.bit_depth,
    tracks.codec, tracks.has_picture,
    tracks.guessed <> 0 AS guessed,
    {_ISO.format(at="tracks.added_at")} AS added_at,
    {_ISO.format(at="tracks.indexed_at")} AS indexed_at,
    tracks.album_id,
    {_FILE} AS file,
    {_gains()}{{more}}
FROM tracks JOIN roots ON roots.id = tracks.root_id
WHERE tracks.place = 0 AND likelihood(roots.removed_at IS NULL, 0.1);
"""  # noqa: S608 - our own names
"""A track of the view is in a watched root, so `removed_at` excludes nothing: it tells the planner,
which knows no numbers, that roots are fewer than tracks. With 0.1 SQLite 3.40 to 3.54 go from roots
to paths, and from times to tracks."""

_RECENT: Final = """
CREATE VIEW recent AS SELECT * FROM library ORDER BY added_at DESC, id DESC;
"""
_ALBUMS: Final = f"""
CREATE VIEW albums AS
SELECT
    catalog_albums.id, catalog_albums.title,
    coalesce(catalog_albums.albumartist, CASE WHEN min(tracks.artist) = max(tracks.artist)
        THEN min(tracks.artist) END) AS albumartist,
    count(*) AS tracks,
    count(DISTINCT coalesce(tracks.disc, 1)) AS discs,
    min(tracks.year) AS year,
    sum(tracks.duration) AS duration,
    {_ISO.format(at="max(tracks.added_at)")} AS added_at,
    max(tracks.compilation) AS compilation,
    max(tracks.has_picture) AS has_picture,
    {musicbrainz_ids.shown("min(tracks.mb_albumid)")} AS mb_albumid{{more}}
FROM catalog_albums JOIN tracks ON tracks.album_id = catalog_albums.id
WHERE tracks.place = 0
GROUP BY catalog_albums.id;
"""  # noqa: S608 - our own names
"""Tracks of one album have the same release id, or none (`spelling.album_key`)."""
_LINKS_BEFORE: Final = "track_artists"
"""The table of the links to artists, up to the step `roles`."""
_ARTISTS: Final = """
CREATE VIEW artists AS
SELECT
    catalog_artists.id, catalog_artists.name,
    count(DISTINCT {links}.track_id) AS tracks,
    count(DISTINCT tracks.album_id) AS albums{more}
FROM catalog_artists JOIN {links} ON {links}.artist_id = catalog_artists.id
    JOIN tracks ON tracks.id = {links}.track_id
GROUP BY catalog_artists.id;
"""
_GONE: Final = f"""
CREATE VIEW missing AS
SELECT
    tracks.id,
    roots.name AS root,
    {SHOWN_PATH_OF_TRACKS} AS path,
    tracks.title, tracks.artist, tracks.album,
    {_ISO.format(at="tracks.missing_at")} AS missing_at
FROM tracks JOIN roots ON roots.id = tracks.root_id
WHERE tracks.place = 1 AND tracks.added_at IS NOT NULL AND roots.removed_at IS NULL;
"""  # noqa: S608 - our own names

TAGS_VIEW: Final = "track_tags"

_ARTWORK_OF_ONE: Final = ("artwork_root", "artwork_path", "artwork_hash")
"""Columns of an album and of an artist."""

OTHER_VIEWS: Final = {
    "albums": (
        "id", "title", "albumartist", "tracks", "discs", "year", "duration", "added_at",
        "compilation", "has_picture", "mb_albumid", *_ARTWORK_OF_ONE,
    ),
    "artists": ("id", "name", "tracks", "albums", *_ARTWORK_OF_ONE),
    "artwork": (
        "kind", "album_id", "artist_id", "source", "root", "path", "mime", "width", "height",
        "bytes", "hash",
    ),
    "duplicates": (
        "essence", "copies", "track_id", "root", "path", "size", "title", "artist", "album",
        "album_id",
    ),
    "missing": ("id", "root", "path", "title", "artist", "album", "missing_at"),
    "playlists": ("id", "root", "path", "name"),
    "playlist_items": ("playlist_id", "position", "path", "track_id"),
    "track_artists": ("track_id", "role", "position", "artist_id", "spelling"),
    TAGS_VIEW: ("track_id", "name", "position", "value"),
}  # fmt: skip
"""The columns of the public views beside `library` and `recent`, which has the same."""

PUBLIC_VIEWS: Final = (
    f"""
DROP VIEW library;
ALTER TABLE albums RENAME TO catalog_albums;
ALTER TABLE artists RENAME TO catalog_artists;
-- Whether the path is UTF-8.
ALTER TABLE roots ADD COLUMN path_is_text INTEGER NOT NULL DEFAULT 0;

-- In the order in which paths are shown, so that questions of other programs find them.
DROP INDEX tracks_place;
CREATE UNIQUE INDEX tracks_place ON tracks (root_id, {SHOWN_PATH}, gone);
-- With the root, so that the tracks of each are counted without their rows.
DROP INDEX tracks_album;
CREATE INDEX tracks_album ON tracks (album_id, root_id);
CREATE INDEX tracks_added ON tracks ({ADDED_AT}) WHERE place = 0;
CREATE INDEX tracks_missing ON tracks (missing_at) WHERE place = 1;
"""
    + _LIBRARY.format(more="")
    + _RECENT
    + _ALBUMS.format(more="")
    + _ARTISTS.format(links=_LINKS_BEFORE, more="")
    + _GONE
)
"""For views that other programs read. `migrate` fills `roots.path_is_text`."""

_DUPLICATES: Final = f"""
CREATE VIEW duplicates AS
SELECT
    lower(hex(several.essence)) AS essence, several.copies,
    tracks.id AS track_id,
    roots.name AS root,
    {SHOWN_PATH_OF_TRACKS} AS path,
    tracks.size, tracks.title, tracks.artist, tracks.album, tracks.album_id
FROM (SELECT same.essence, count(*) AS copies FROM tracks AS same
        WHERE same.place = 0 AND same.essence IS NOT NULL AND length(same.essence) > 0
        GROUP BY same.essence HAVING count(*) > 1) AS several
    JOIN tracks ON tracks.essence = several.essence AND tracks.place = 0
    JOIN roots ON roots.id = tracks.root_id;
"""  # noqa: S608 - our own names

_HAS_LYRICS: Final = ",\n    tracks.has_lyrics"

FURTHER_TAGS: Final = (
    """
DROP VIEW recent;
DROP VIEW library;
-- Whether lyrics are embedded. A set of further tags, which the tracks of an album mostly share.
ALTER TABLE tracks ADD COLUMN has_lyrics INTEGER DEFAULT 0;
ALTER TABLE tracks ADD COLUMN tag_set INTEGER REFERENCES tag_sets (id);
CREATE INDEX tracks_tag_set ON tracks (tag_set) WHERE tag_set IS NOT NULL;

CREATE TABLE tag_sets (
    id INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL       -- of its names and values (store/tag_sets.py)
);
CREATE INDEX tag_sets_checksum ON tag_sets (checksum);
CREATE TABLE tag_values (
    set_id INTEGER NOT NULL REFERENCES tag_sets (id),
    name TEXT NOT NULL,             -- as MusicBrainz Picard has it
    position INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (set_id, name, position)
) WITHOUT ROWID;
-- The values in the words that a search asks for.
CREATE TABLE tag_words (
    name TEXT NOT NULL,
    words TEXT NOT NULL,
    set_id INTEGER NOT NULL REFERENCES tag_sets (id),
    PRIMARY KEY (name, words, set_id)
) WITHOUT ROWID;
"""
    + _LIBRARY.format(more=_HAS_LYRICS)
    + _RECENT
    + """
CREATE VIEW track_tags AS
SELECT tracks.id AS track_id, tag_values.name, tag_values.position, tag_values.value
FROM tracks JOIN tag_values ON tag_values.set_id = tracks.tag_set
WHERE tracks.place = 0;
"""
)
"""For the tags that are no columns of `library`."""

_OF_FILES: Final = """
SELECT
    chosen.kind, {album_id} AS album_id, {artist_id} AS artist_id, chosen.source,
    roots.name AS root,
    CASE WHEN pictures.path_is_text THEN CAST(pictures.folder || pictures.name AS TEXT)
        ELSE CAST(pictures.folder || pictures.name AS BLOB) END AS path,
    pictures.mime, pictures.width, pictures.height, pictures.size AS bytes,
    lower(hex(pictures.hash)) AS hash
FROM artwork_choices AS chosen
    JOIN pictures ON pictures.root_id = chosen.root_id AND pictures.folder = chosen.folder
        AND pictures.name = chosen.name
    JOIN roots ON roots.id = pictures.root_id
WHERE chosen.kind = '{kind}' AND chosen.source = 'file'
"""
_OF_TRACKS: Final = f"""
SELECT
    chosen.kind, chosen.owner_id AS album_id, NULL AS artist_id, chosen.source,
    roots.name AS root,
    {SHOWN_PATH_OF_TRACKS} AS path,
    held.mime, held.width, held.height, held.bytes,
    lower(hex(held.hash)) AS hash
FROM artwork_choices AS chosen
    JOIN tracks ON tracks.id = chosen.track_id
    JOIN track_pictures AS held ON held.track_id = tracks.id
    JOIN roots ON roots.id = tracks.root_id
WHERE chosen.kind = 'album' AND chosen.source = 'track'
"""  # noqa: S608 - our own names
_ARTWORK: Final = (
    "CREATE VIEW artwork AS"
    + _OF_FILES.format(kind="album", album_id="chosen.owner_id", artist_id="NULL")
    + "UNION ALL"
    + _OF_TRACKS
    + "UNION ALL"
    + _OF_FILES.format(kind="artist", album_id="NULL", artist_id="chosen.owner_id").rstrip()
    + ";\n"
)
"""One part for each kind and source, so that a question for one album or artist is a search."""


_CHOSEN: Final = """
        FROM artwork_choices AS chosen
        LEFT JOIN pictures ON pictures.root_id = chosen.root_id
            AND pictures.folder = chosen.folder AND pictures.name = chosen.name
        LEFT JOIN tracks AS holder ON holder.id = chosen.track_id
        LEFT JOIN track_pictures AS held ON held.track_id = chosen.track_id"""
"""What is chosen for one album or artist. The view `artwork` has the same in parts, which would be
made in full for each row."""
_CHOSEN_FOR: Final = (
    ("root", "roots.name", "JOIN roots ON roots.id = coalesce(pictures.root_id, holder.root_id)"),
    (
        "path",
        f"""CASE WHEN pictures.path_is_text THEN CAST(pictures.folder || pictures.name AS TEXT)
            WHEN pictures.path_is_text = 0 THEN CAST(pictures.folder || pictures.name AS BLOB)
            ELSE {_PATH.format(of="holder.")} END""",
        "",
    ),
    ("hash", "lower(hex(coalesce(pictures.hash, held.hash)))", ""),
)


COVER: Final = f"""
SELECT {_CHOSEN_FOR[2][1]}{_CHOSEN}
WHERE chosen.kind = ? AND chosen.owner_id = ?
"""
"""(kind, id of an album or an artist) -> the hash of its picture."""


def _artwork_of(kind: str) -> str:
    """The artwork of one row, as further columns of the view of its kind."""
    return "".join(
        f""",
    (SELECT {value}{_CHOSEN} {join}
        WHERE chosen.kind = '{kind}' AND chosen.owner_id = catalog_{kind}s.id) AS artwork_{name}"""
        for name, value, join in _CHOSEN_FOR
    )


_HAS_COVER: Final = """,
    EXISTS (SELECT 1 FROM artwork_choices WHERE artwork_choices.kind = 'album'
        AND artwork_choices.owner_id = tracks.album_id) AS has_cover"""

_ESSENCE: Final = """,
    CASE WHEN length(tracks.essence) > 0 THEN lower(hex(tracks.essence)) END AS essence"""

ARTWORK_VIEWS: Final = (
    """
DROP VIEW artists;
DROP VIEW albums;
DROP VIEW library;
"""
    + _ARTWORK
    + _LIBRARY.format(more=_HAS_LYRICS + _HAS_COVER)
    + _ALBUMS.format(more=_artwork_of("album"))
    + _ARTISTS.format(links=_LINKS_BEFORE, more=_artwork_of("artist"))
)
"""For artwork in the views: the same, and what they say of it."""

HAS_LYRICS: Final = """(tracks.has_lyrics <> 0
        OR EXISTS (SELECT 1 FROM track_lyrics WHERE track_lyrics.track_id = tracks.id))"""
"""Lyrics in the tags, or in a file of the track's name beside it."""

_SHORT: Final = ",\n    tracks.short"

DAMAGE: Final = """
-- The share of the file that is there, below 1; NULL: it is whole, or that is not known, as of all
-- that was read before this column came.
ALTER TABLE tracks ADD COLUMN short REAL;
CREATE INDEX tracks_short ON tracks (root_id) WHERE short IS NOT NULL;

-- What `indexer scrub` found in the whole file of a track, for its stamp at that time.
CREATE TABLE scrubs (
    track_id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    hash BLOB,                      -- BLAKE2b of its bytes when they were good, 16 bytes
    good_at INTEGER,                -- when they were last so
    checked_at INTEGER NOT NULL,    -- when it was last read whole, or failed to be
    flaw TEXT                       -- what is wrong with it; NULL: nothing
);
CREATE INDEX scrubs_checked ON scrubs (checked_at);
CREATE INDEX scrubs_flaw ON scrubs (track_id) WHERE flaw IS NOT NULL;

DROP VIEW library;
""" + _LIBRARY.format(more=_HAS_LYRICS + _HAS_COVER + _SHORT)
"""For files that are cut short, and for those that decay."""

ESSENCE: Final = (
    """
DROP VIEW library;
-- What the sound is, whatever the tags are (tags/essence). Empty: it was not found. NULL: the file
-- was not read since; the daemon does so when it has nothing else to do.
ALTER TABLE tracks ADD COLUMN essence BLOB;
UPDATE roots SET reader_version = 0;
-- Of the files that are gone, for those that turn up elsewhere.
CREATE INDEX tracks_gone_size ON tracks (size) WHERE gone <> 0;
"""
    + _LIBRARY.format(more=_HAS_LYRICS + _HAS_COVER + _SHORT + _ESSENCE)
    + _DUPLICATES
)
"""For files that are the same track wherever they are, and for the view `duplicates`."""

LYRICS_VIEWS: Final = "\nDROP VIEW library;\n" + _LIBRARY.format(
    more=f",\n    {HAS_LYRICS} AS has_lyrics" + _HAS_COVER + _SHORT + _ESSENCE
)
"""For lyrics in files: the view `library` with them."""

ROLES_VIEW: Final = _ARTISTS.format(links="catalog_track_artists", more=_artwork_of("artist"))
"""For roles that are numbers (schema/roles.py): the view `artists` with the table that has them."""

MUSICBRAINZ_IDS: Final = (
    """
-- Ids of albums and artists in tracks (mb_...): a UUID is a BLOB of its 16 bytes, any other TEXT.
DROP VIEW albums;
"""
    + LYRICS_VIEWS.lstrip("\n")
    + _ALBUMS.format(more=_artwork_of("album"))
)
"""For ids that take less room. `migrate` shortens those that are there."""

LATE_INDEXES: Final = {
    "tracks_year": """
CREATE INDEX IF NOT EXISTS tracks_year ON tracks (year) WHERE place = 0 AND year IS NOT NULL
""",
    "tracks_mb_trackid": """
CREATE INDEX IF NOT EXISTS tracks_mb_trackid ON tracks (mb_trackid) WHERE mb_trackid IS NOT NULL
""",
    "tracks_lengths": f"""
CREATE INDEX IF NOT EXISTS tracks_lengths ON tracks ({WHOLE_SECONDS}, {WHOLE_BITRATE})
""",
    "tracks_essence": """
CREATE INDEX IF NOT EXISTS tracks_essence ON tracks (essence) WHERE essence IS NOT NULL
""",
}
"""Created when the first scan has ended. An index of random UUIDs that grows with each transaction
of a scan is rewritten as often: measured with 100 000 tracks, 300 MB written in place of 10.
There is none on the tracks of `changes`: it would cost a page for each retag, and all changes to
1 000 000 tracks are looked through in 100 ms, for a page of one album."""
