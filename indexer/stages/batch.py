"""A plan and its readings -> a batch: rows for one transaction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec import Struct

from indexer import paths, spelling
from indexer.faults import problem_of
from indexer.model import Entry, Problem, ProblemKind, Reading, Track, Waiting
from indexer.stages.scan import Plan
from indexer.store import catalog
from indexer.store.search.index_rows import Texts, shown_folder
from indexer.store.tracks import COLUMNS, Columns

_TITLE, _ALBUM, _ARTIST = 1, 2, 4
_SEVERAL_FIELDS: Final = ("artist", "albumartist", "genre")
_NAMED: Final = (*_SEVERAL_FIELDS, "several")
_AT: Final = {name: position for position, name in enumerate(COLUMNS)}
_ALBUMARTIST, _ALBUM_AT = _AT["albumartist"], _AT["album"]
_COMPOSER, _COMMENT, _LABEL = _AT["composer"], _AT["comment"], _AT["label"]
_COMPILATION, _MB_ALBUMID = _AT["compilation"], _AT["mb_albumid"]
_JOINED: Final = "; "


class Shaped(Struct, frozen=True, gc=False):
    """The row of a track: the tag columns, and the lists of multiple values."""

    columns: Columns
    artists: tuple[str, ...]
    albumartists: tuple[str, ...]
    genres: tuple[str, ...]

    def column(self, name: str) -> object:
        return self.columns[_AT[name]]

    def texts(self, path: bytes) -> Texts:
        """The texts for full-text search at this path."""
        return self.texts_in(shown_folder(paths.parent_of(path)))

    def texts_in(self, folder: str) -> Texts:
        """The texts for full-text search in this folder, as `shown_folder` has it."""
        columns = self.columns
        return (*columns[:5], columns[_COMPOSER], columns[_COMMENT], columns[_LABEL], folder)  # type: ignore[return-value]

    @property
    def album_name(self) -> tuple[str | None, str | None]:
        """The title and the album artist of its album."""
        return self.columns[_ALBUM_AT], self.columns[_ALBUMARTIST]  # type: ignore[return-value]


class Finding(Struct, frozen=True, gc=False):
    """The current state of one file: its tags, a refusal, or (neither) as in its row."""

    entry: Entry
    track: Track | None = None
    problem: Problem | None = None
    writer: bool = False
    """It is still open for writing, and must be checked again."""
    birth_ns: int | None = None
    """Time of birth of the inode that was read, if known."""
    opened: bool = False
    bytes_read: int = 0

    @property
    def is_damaged(self) -> bool:
        """Whether it was read, and is cut short."""
        return self.track is not None and self.track.short is not None


class Batch(Struct, frozen=True):
    """The input of one transaction. `waiting` files may not be whole; they stay pending."""

    root_id: int
    findings: tuple[Finding, ...]
    waiting: tuple[bytes, ...] = ()
    files_read: int = 0
    bytes_read: int = 0
    reread: int = 0
    declined: tuple[bytes, ...] = ()
    """Files that our own readers left to mutagen: they get their own pending rows."""

    @property
    def damaged(self) -> int:
        """How many of the files that were read are damaged."""
        tracks = [finding.track for finding in self.findings]
        return sum([track is not None and track.short is not None for track in tracks])


def batch(plan: Plan, readings: Iterable[Reading]) -> Batch:
    """Combine readings with the plan; files of an album are adjacent."""
    entries = {entry.path: entry for entry in plan.read}
    ordered = [(_album_order(one), one) for one in map(_unread, plan.unread)]
    waiting: list[bytes] = []
    declined: list[bytes] = []
    files_read = bytes_read = 0
    for reading in readings:
        files_read += reading.opened
        bytes_read += reading.bytes_read
        if reading.waiting is not None or reading.gone:
            is_declined = reading.waiting is Waiting.READER
            (declined if is_declined else waiting).append(reading.path)
            continue
        entry = entries[reading.path]
        if reading.stamp is not None and reading.stamp != entry.stamp:
            entry = Entry(entry.path, reading.stamp, entry.disk_id)
        finding = Finding(
            entry,
            reading.track,
            reading.problem,
            reading.writer,
            reading.birth_ns,
            reading.opened,
            reading.bytes_read,
        )
        try:
            place = _album_order(finding)
        except Exception as error:  # noqa: BLE001 - a problem of this file only (rule R9)
            problem = problem_of(error, "batch", entry.path)
            finding = Finding(
                entry, problem=problem, opened=reading.opened, bytes_read=reading.bytes_read
            )
            place = _album_order(finding)
        ordered.append((place, finding))
    ordered.sort(key=itemgetter(0))
    findings = tuple([finding for _, finding in ordered])
    return Batch(
        plan.root_id,
        findings,
        tuple(waiting),
        files_read,
        bytes_read,
        plan.reread,
        tuple(declined),
    )


def _unread(entry: Entry) -> Finding:
    if entry.special is None:
        return Finding(entry)
    reason = f"this is {entry.special}, not a file; give it another name, or take it away"
    return Finding(entry, problem=Problem(ProblemKind.CONTENT, reason))


def _album_order(finding: Finding) -> tuple[str, str, bytes]:
    track = finding.track
    if track is None:
        return ("", "", finding.entry.path)
    return (_JOINED.join(track.albumartists), track.album or "", finding.entry.path)


def shape(track: Track, path: bytes, root_name: str) -> Shaped:
    """The row of a track from its tags; its path supplies missing title, album and artist."""
    guessed = 0
    title, album, artists = track.title, track.album, track.artists
    if title is None or album is None or not artists:
        guess = paths.guess(path, root_name)
        if title is None:
            title, guessed = guess.title, guessed | _TITLE
        if album is None:
            album, guessed = guess.album, guessed | _ALBUM
        if not artists and guess.artist is not None:
            artists, guessed = (guess.artist,), guessed | _ARTIST
    columns = (
        title,
        _JOINED.join(artists) if artists else None,
        _JOINED.join(track.albumartists) if track.albumartists else None,
        album,
        _JOINED.join(track.genres) if track.genres else None,
        track.date,
        track.year,
        track.track,
        track.track_total,
        track.disc,
        track.disc_total,
        track.composer,
        track.comment,
        None if track.bpm is None else _number(track.bpm),
        track.isrc,
        track.label,
        int(track.compilation),
        track.mb_trackid,
        track.mb_albumid,
        track.mb_artistid,
        track.mb_albumartistid,
        track.mb_releasegroupid,
        track.replaygain_track_gain,
        track.replaygain_track_peak,
        track.replaygain_album_gain,
        track.replaygain_album_peak,
        track.duration,
        track.bitrate,
        track.sample_rate,
        track.channels,
        track.bit_depth,
        track.codec,
        int(track.has_picture),
        guessed,
        _several(artists, track.albumartists, track.genres),
        int(track.suspect_encoding),
        int(track.has_lyrics),
        track.short,
        track.tags,
    )
    return Shaped(columns, artists, track.albumartists, track.genres)


def reshape(columns: Columns, path: bytes, root_name: str) -> Shaped:
    """A row -> the same row at another path: only guessed values change.

    An artist that is neither in the tags nor guessed was not in the old path either.
    """
    row = list(columns)
    guessed: Any = row[_AT["guessed"]] or 0
    artists, albumartists, genres = names_of(columns)
    guesses_artist = guessed & _ARTIST or row[_AT["artist"]] is None
    if guessed or guesses_artist:
        guess = paths.guess(path, root_name)
        if guessed & _TITLE:
            row[_AT["title"]] = guess.title
        if guessed & _ALBUM:
            row[_AT["album"]] = guess.album
        if guesses_artist:
            row[_AT["artist"]] = guess.artist
            artists = () if guess.artist is None else (guess.artist,)
            guessed = guessed & ~_ARTIST if guess.artist is None else guessed | _ARTIST
            row[_AT["guessed"]] = guessed
    return Shaped(tuple(row), artists, albumartists, genres)


def album_key(shaped: Shaped, root_id: int, path: bytes) -> bytes:
    """The identity of a track's album; see `spelling.album_key`."""
    columns = shaped.columns
    return spelling.album_key(
        columns[_MB_ALBUMID],
        columns[_ALBUMARTIST],
        columns[_COMPILATION],
        columns[_ALBUM_AT],
        root_id,
        path,
    )


def album_of(shaped: Shaped, folder: bytes) -> tuple[object, ...]:
    """The inputs of `album_key` and of an album's name: equal for tracks of one album.

    So are their folders.
    """
    columns = shaped.columns
    return (
        columns[_MB_ALBUMID],
        columns[_ALBUMARTIST],
        columns[_ALBUM_AT],
        columns[_COMPILATION],
        folder,
    )


def names_of(columns: Columns) -> catalog.Names:
    """The artists, album artists and genres of a row, as lists."""
    return catalog.apart(*(columns[_AT[name]] for name in _NAMED))  # type: ignore[arg-type]


def _several(
    artists: tuple[str, ...], albumartists: tuple[str, ...], genres: tuple[str, ...]
) -> str | None:
    if len(artists) < 2 and len(albumartists) < 2 and len(genres) < 2:  # nearly always
        return None
    several = zip(_SEVERAL_FIELDS, (artists, albumartists, genres), strict=True)
    more = {name: values for name, values in several if len(values) > 1}
    return msgspec.json.encode(more).decode()


def _number(text: str) -> int | float | str:
    """A number in the type by which SQLite should sort it; other text is unchanged."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
