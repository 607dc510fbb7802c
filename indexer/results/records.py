"""The records of the public API: tracks, albums, artists, changes and the status of an index.

All are frozen. Times are `datetime` in UTC; a path is a `FilePath`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from indexer.model import ChangeKind
from indexer.results.status_report import HealthLineOf, RelayStatus, RunOf, StatusOf

FilePath = str | bytes
"""A path: `str` where it is UTF-8, else `bytes`. `open` and `os` take both."""


class Track(Struct, frozen=True):
    """One present, readable file, with its tags: a row of the view `library`.

    Texts are as in the tag; several values are joined with `; `; None where a tag is missing.
    """

    id: int
    """Never used twice; kept when the file is moved or changed."""
    root: str
    path: FilePath
    """Relative to the root."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Unix nanoseconds."""
    title: str | None
    artist: str | None
    albumartist: str | None
    album: str | None
    genre: str | None
    date: str | None
    year: int | None
    track: int | None
    track_total: int | None
    disc: int | None
    disc_total: int | None
    composer: str | None
    comment: str | None
    bpm: float | str | None
    isrc: str | None
    label: str | None
    compilation: bool
    mb_trackid: str | None
    mb_albumid: str | None
    mb_artistid: str | None
    mb_albumartistid: str | None
    mb_releasegroupid: str | None
    replaygain_track_gain: str | None
    replaygain_track_peak: str | None
    replaygain_album_gain: str | None
    replaygain_album_peak: str | None
    duration: float | None
    """Seconds."""
    bitrate: int | None
    """Bits per second."""
    sample_rate: int | None
    """Hz."""
    channels: int | None
    bit_depth: int | None
    """Bits per sample."""
    codec: str
    has_picture: bool
    guessed: bool
    """Whether title, album or artist came from the path, since the tags are silent."""
    added_at: datetime
    """When it was first seen."""
    indexed_at: datetime
    """When its tags were last read."""
    album_id: int
    """The `id` of its `Album`."""
    file: FilePath
    """The absolute path."""
    replaygain_track_gain_db: float | None
    """dB."""
    replaygain_track_peak_linear: float | None
    """1.0 is full scale."""
    replaygain_album_gain_db: float | None
    replaygain_album_peak_linear: float | None
    has_lyrics: bool
    """Whether lyrics are embedded."""
    has_cover: bool
    """Whether its album has artwork."""
    short: float | None
    """The share of the file that is there, below 1; None: it is whole, or that is not known."""
    essence: str | None
    """What its sound is, whatever its tags are, in hexadecimal; None if it is not known."""


class Album(Struct, frozen=True):
    """One album, with facts of its present tracks: a row of the view `albums`."""

    id: int
    title: str | None
    albumartist: str | None
    """Of the tags, else the artist, if all tracks have the same."""
    tracks: int
    discs: int
    year: int | None
    """Of its oldest track."""
    duration: float | None
    """Seconds."""
    added_at: datetime
    """When the newest of its tracks was first seen."""
    compilation: bool
    has_picture: bool
    mb_albumid: str | None
    artwork_root: str | None
    """Of the file that its cover is, or is in; None without one, as the next two."""
    artwork_path: FilePath | None
    artwork_hash: str | None
    """BLAKE2b of the picture's bytes, 16 bytes in hexadecimal."""


class Artist(Struct, frozen=True):
    """An artist or album artist: a row of the view `artists`."""

    id: int
    name: str
    tracks: int
    albums: int
    artwork_root: str | None
    """Of the file that its image is; None without one, as the next two."""
    artwork_path: FilePath | None
    artwork_hash: str | None


class Artwork(Struct, frozen=True):
    """The picture of an album or an artist: a row of the view `artwork`."""

    kind: str
    """`album` or `artist`."""
    album_id: int | None
    artist_id: int | None
    source: str
    """`file`, or `track` if it is embedded in one."""
    root: str
    path: FilePath
    """Of the file that it is, or is in; relative to the root."""
    mime: str
    width: int
    """Of the original in pixels, before any turn that EXIF asks for."""
    height: int
    bytes: int
    """Of the picture alone."""
    hash: str
    """BLAKE2b of the picture's bytes, 16 bytes in hexadecimal; `Index.thumbnail` takes it."""


class Playlist(Struct, frozen=True):
    """A playlist below a root: a row of the view `playlists`."""

    id: int
    root: str
    path: FilePath
    name: str
    """As its text names it, else that of the file."""


class PlaylistItem(Struct, frozen=True):
    """One item of a playlist: a row of the view `playlist_items`."""

    playlist_id: int
    position: int
    """From 1."""
    path: str
    """As it is written."""
    track_id: int | None
    """The present track to which it leads; None: nowhere, or it is a stream."""


class Change(Struct, frozen=True):
    """One thing that happened to a track: a row of the table `changes`."""

    seq: int
    """Grows with each change; give the last one that was handled to `changes` or `follow`."""
    at: datetime
    kind: ChangeKind
    track_id: int
    root: str
    path: FilePath
    old_root: str | None
    """Where a moved track came from, as the next."""
    old_path: FilePath | None
    before: dict[str, Any] | None
    """The columns that differ, as they were: the tags of a modified track before; None: none.

    Of a track that is missing for so long that its row is purged, all of them.
    """


class PastTrack(Struct, frozen=True):
    """A track as it was: the columns of `Track` of which that is known, and its further tags."""

    id: int
    root: str
    path: FilePath
    columns: dict[str, Any]
    """By name, as the view `library` has them: 0 and 1, times in ISO 8601."""
    tags: dict[str, tuple[str, ...]]
    """As `Index.tags`."""


class Root(Struct, frozen=True, kw_only=True):
    """One watched folder tree."""

    name: str
    path: FilePath
    """Absolute."""
    state: str
    """idle, scanning, watching, polling or offline."""
    reason: str | None
    """Why it is offline, or its disk seems to be missing, and what to do."""
    tracks: int
    file_system: str
    disk: str
    """The disk's identity: `uuid:...` or `fsid:...`."""
    stamp_fields: str
    """What is compared to tell whether a file has changed."""
    moves: str
    """How a moved file is known: by its `inode`, or, where these do not last, by its `content`."""
    relay: RelayStatus | None = None
    """Of a root that has one, or had one in the last week; in `Status` only."""


class Run(RunOf[datetime], frozen=True):
    """One run of `scan` or `rebuild`."""


class HealthLine(HealthLineOf[datetime], frozen=True):
    """One thing that is not well."""


class Status(StatusOf[Root, Run, HealthLine], frozen=True):
    """The state of an index at one moment."""
