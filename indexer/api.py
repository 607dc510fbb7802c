"""The public API, which `import indexer` gives: an index -> typed records.

An `Index` belongs to one thread: that which uses it first, until it is closed. Reading takes no
lock, and holds no snapshot while an iterator waits, so what changes meanwhile may be seen or not.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import UnsetType

from indexer import errors
from indexer.closable import Closable
from indexer.library import Library
from indexer.model import ChangeKind
from indexer.results import report, status_report
from indexer.results.records import (
    Album,
    Artist,
    Artwork,
    Change,
    FilePath,
    HealthLine,
    PastTrack,
    Playlist,
    PlaylistItem,
    Root,
    Run,
    Status,
    Track,
)
from indexer.settings import settings_file
from indexer.store import changes, tag_sets, view_rows
from indexer.store.connection import select
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.sqlite_errors import explained

_Place = FilePath | os.PathLike[str]
_LARGEST: Final = 2**63 - 1
"""Of SQLite's whole numbers; no id, and no number of a change, is as large."""
_TRACKS: Final = "SELECT id FROM library WHERE added_at >= ? ORDER BY added_at, id"
_OF_ALBUM: Final = """
SELECT id FROM library WHERE album_id = ? AND added_at >= ? ORDER BY disc, track, path
"""
_ONE: Final = "SELECT * FROM library WHERE id = ?"
_ALBUMS: Final = "SELECT * FROM albums ORDER BY id"
_ARTISTS: Final = "SELECT * FROM artists ORDER BY id"
_PLAYLISTS: Final = "SELECT * FROM playlists ORDER BY id"
_PLAYLIST_ITEMS: Final = "SELECT * FROM playlist_items WHERE playlist_id = ? ORDER BY position"
_OF_ALBUM_ARTWORK: Final = "SELECT * FROM artwork WHERE kind = 'album' AND album_id = ?"
_OF_ARTIST_ARTWORK: Final = "SELECT * FROM artwork WHERE kind = 'artist' AND artist_id = ?"


def open(  # noqa: A001 - `indexer.open`, as `gzip.open`
    db: _Place | None = None, *, config: _Place | None = None
) -> Index:
    """Open an index as the commands do.

    `db` is a database file; None: that of $INDEXER_DB, the settings, or the usual place. `config`
    is a file of settings; None: that of $INDEXER_CONFIG, or the usual one.

    >>> with indexer.open(db) as index:
    ...     [track.title for track in index.tracks()]
    ['Hyperballad', 'Isobel']

    Raises DatabaseMissing if nothing was indexed yet, DatabaseError for a folder or the like,
    UsageError for an empty path, and SettingsError.
    """
    found = settings_file.load(
        None if config is None else _file(config), None if db is None else _file(db)
    )
    return Index(Library.open(found))


class Index(Closable):
    """One index; made by `open`. Use it as a context manager, or `close` it.

    Methods raise DatabaseError if the database cannot be used: DatabaseDamaged, DatabaseBusy,
    DatabaseNewer (made by a newer version). All errors are IndexerError, and end with what to do.
    """

    def __init__(self, library: Library) -> None:
        self._opened = library
        self._thread: threading.Thread | None = None
        """The one that uses it; None: none does."""
        self._claim = threading.Lock()
        """Guards `_thread`."""

    @property
    def _library(self) -> Library:
        """The library, for the thread that uses this index.

        SQLite's connection has no lock of its own: two threads in it at once would take what it
        reads for damage, or end the process.
        """
        here = threading.current_thread()
        with self._claim:
            if self._thread not in {None, here} and self._thread.is_alive():
                raise errors.UsageError(
                    f"this Index is used by the thread {self._thread.name}, and belongs to one "
                    "thread: call `indexer.open` in each, or `close` it there before"
                )
            self._thread = here
        return self._opened

    def close(self) -> None:
        """Close the database; the index can be used again, by any thread, which opens it."""
        self._library.close()
        self._thread = None

    def tracks(
        self, *, added_since: datetime | None = None, album_id: int | None = None
    ) -> Iterator[Track]:
        """The present tracks in the order in which they were added; of an album in its own order.

        `added_since` is a time with a zone. Raises UsageError if it has none.

        >>> [track.path for track in index.tracks(added_since=datetime(2020, 1, 1, tzinfo=UTC))]
        ['Björk/Post/02.mp3', 'Björk/Post/03.mp3']
        >>> [track.track for track in index.tracks(album_id=index.track(1).album_id)]
        [2, 3]
        """
        least = "" if added_since is None else _iso(added_since)
        with explained(self._library.database):
            connection = self._library.connection
            found = (
                select(connection, _TRACKS, (least,))
                if album_id is None
                else select(connection, _OF_ALBUM, (_known(album_id), least))
            )
            ids = [track_id for (track_id,) in found]
            for row in view_rows.rows(connection, ids):
                yield _track(dict(zip(LIBRARY_COLUMNS, row, strict=True)))

    def track(self, track_id: int) -> Track | None:
        """One track; None if there is none with this id, or its file is gone.

        >>> index.track(1).artist, index.track(1000)
        ('Björk', None)
        """
        with explained(self._library.database):
            for row in select(self._library.connection, _ONE, (_known(track_id),)):
                return _track(dict(zip(LIBRARY_COLUMNS, row, strict=True)))
        return None

    def tags(self, track_id: int) -> dict[str, tuple[str, ...]]:
        """The further tags of a track by their names in MusicBrainz Picard: sort names and others.

        Several values are in the order of the file. Which other tags there are, the setting
        `keep_tags` decides. Empty if no track has this id, or it has none.

        >>> index.tags(1)
        {}
        """
        with explained(self._library.database):
            if self.track(track_id) is None:
                return {}
            found = tag_sets.of_track(self._library.connection, track_id)
        return {name: tuple(several) for name, several in found.items()}

    def search(
        self, text: str, *, sort: str = "relevance", limit: int | None = 50
    ) -> Iterator[Track]:
        """The tracks that `indexer search` finds, the best first; `limit` None: all.

        `sort` is as its `--sort`. Raises UsageError for an unknown one, and a limit below 0.

        >>> [track.title for track in index.search("bjork hyper")]
        ['Hyperballad']
        """
        if limit is not None and limit < 0:
            raise errors.UsageError(f"limit={limit}: write 0 or more, or None for all")
        most = None if limit is None else _known(limit)
        for named in self._library.search([text], sort=sort, limit=most):
            yield _track(
                {
                    **named,
                    "path": _path(named["path"], named.get("path_b64")),
                    "file": _path(named["file"], named.get("file_b64")),
                }
            )

    def albums(self) -> Iterator[Album]:
        """All albums, in the order of their ids.

        >>> [(album.title, album.albumartist, album.tracks) for album in index.albums()]
        [('Post', 'Björk', 2)]
        """
        with explained(self._library.database):
            rows = list(select(self._library.connection, _ALBUMS))
        for row in rows:
            named = dict(zip(Album.__struct_fields__, row, strict=True))
            yield Album(**_typed(named, ("compilation", "has_picture"), ("added_at",)))

    def artists(self) -> Iterator[Artist]:
        """All artists and album artists, in the order of their ids.

        >>> [(artist.name, artist.tracks, artist.albums) for artist in index.artists()]
        [('Björk', 2, 1)]
        """
        with explained(self._library.database):
            rows = list(select(self._library.connection, _ARTISTS))
        for row in rows:
            yield Artist(*row)

    def artwork(
        self, *, album_id: int | None = None, artist_id: int | None = None
    ) -> Artwork | None:
        """The cover of an album, or the image of an artist; None without one.

        Raises UsageError unless one of the two is given.

        >>> cover = index.artwork(album_id=index.track(1).album_id)
        >>> cover.path, cover.mime, cover.width, cover.height
        ('Björk/Post/cover.png', 'image/png', 1000, 1000)
        """
        if (album_id is None) == (artist_id is None):
            raise errors.UsageError("give the id of one album, or that of one artist")
        statement = _OF_ARTIST_ARTWORK if album_id is None else _OF_ALBUM_ARTWORK
        owner = _known(album_id or artist_id or 0)
        with explained(self._library.database):
            for row in select(self._library.connection, statement, (owner,)):
                return Artwork(*row)
        return None

    def thumbnail(self, hash: str, size: int = 600) -> Path:  # noqa: A002 - as in the records
        """A JPEG of a picture, by its hash: at most `size` pixels (256 or 600) on its longest side.

        It is made on first demand, by a process that is kept until `close`. Of those with 600
        pixels, the ones that were not asked for longest are deleted: ask again each time.
        Raises UsageError for another size or an unknown hash, and CannotDo if the picture cannot be
        read now.

        >>> index.thumbnail(index.artwork(album_id=1).hash).suffix
        '.jpg'
        """
        return self._library.thumbnail(hash, size)

    def playlists(self) -> Iterator[Playlist]:
        """All playlists, in the order of their ids.

        >>> [(playlist.path, playlist.name) for playlist in index.playlists()]
        [('Lists/best.m3u8', 'The best')]
        """
        with explained(self._library.database):
            rows = list(select(self._library.connection, _PLAYLISTS))
        for row in rows:
            yield Playlist(*row)

    def playlist_items(self, playlist_id: int) -> Iterator[PlaylistItem]:
        """The items of one playlist, in their order; none for an unknown id.

        >>> [(item.position, item.path, item.track_id) for item in index.playlist_items(1)]
        [(1, '../Björk/Post/02.mp3', 1), (2, 'gone.mp3', None)]
        """
        with explained(self._library.database):
            rows = list(select(self._library.connection, _PLAYLIST_ITEMS, (_known(playlist_id),)))
        for row in rows:
            yield PlaylistItem(*row)

    def changes(self, since: int | datetime = 0) -> Iterator[Change]:
        """What happened after the change with the number `since`, or from a time on, oldest first.

        The time has a zone. Raises HistoryPruned if some of it is no longer kept: start from
        `tracks` and `last_seq`; and UsageError.

        >>> [(change.seq, str(change.kind), change.track_id) for change in index.changes(since=1)]
        [(2, 'added', 2)]
        """
        for row in self._library.changes(self._number(since)):
            yield _change(row)

    def as_of(self, when: datetime | int, words: str = "") -> Iterator[PastTrack]:
        """The tracks that were there at a time (with a zone), in the order of their paths.

        `when` may be the number of the last change before; `words` as `search`, over the tags of
        that time. A snapshot of the index is held until the last track is taken. Raises
        HistoryPruned if it is not known any more, and UsageError.

        >>> [track.columns["title"] for track in index.as_of(1)]
        ['Hyperballad']
        """
        if isinstance(when, datetime):
            _iso(when)  # it has a zone
        else:
            when = _known(when)
        for named in self._library.as_of(when, words.split()):
            yield _past_track(named)

    def follow(
        self, since: int | datetime | None = None, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Change]:
        """As `changes`, then each new change within 0.2 s of its commit, until `stop()` is true.

        `since` None: only what comes after this call.

        >>> next(index.follow(since=0)).path
        'Björk/Post/02.mp3'
        """
        after = self.last_seq() if since is None else self._number(since)
        return map(_change, self._library.follow(after, stop))

    def _number(self, since: int | datetime) -> int:
        """The number of the last change before; raises HistoryPruned if that time is not kept."""
        if not isinstance(since, datetime):
            return _known(since)
        _iso(since)  # it has a zone
        number, is_whole = self._library.change_before(since)
        if not is_whole:
            raise errors.HistoryPruned(
                f"changes since {since} are no longer all kept (only those after {number} are);"
                " start from a snapshot: `tracks`, then `changes(last_seq())`"
            )
        return number

    def last_seq(self) -> int:
        """The number of the newest change; 0: there was none.

        >>> index.last_seq()
        2
        """
        with explained(self._library.database):
            return changes.newest(self._library.connection)

    def scan(self, paths: _Place | Sequence[_Place] = ()) -> report.ScanReport:
        """Update the index from the disk as `indexer scan`: roots, folders, files; none: all.

        Raises UsageError for a path outside the roots; DatabaseBusy while another command scans.

        >>> index.scan().unchanged
        2
        """
        several = [paths] if isinstance(paths, str | bytes | os.PathLike) else paths
        return self._library.scan([_absolute(path) for path in several])

    def status(self) -> Status:
        """What `indexer status` tells. Sizes in bytes, ages in seconds.

        >>> index.status().tracks
        2
        >>> index.status().scans[0].started_at.tzinfo
        datetime.timezone.utc
        """
        return _status(self._library.status())

    def verify(self, *, deep: bool = False) -> report.VerifyReport:
        """Check the index, and compare it with the disk; `deep` reads all tags again.

        >>> index.verify().ok
        True
        """
        return self._library.verify(deep=deep)


def _track(named: Mapping[str, object]) -> Track:
    known = {column: named[column] for column in LIBRARY_COLUMNS}
    flags = ("compilation", "has_picture", "guessed", "has_lyrics", "has_cover")
    return Track(**_typed(known, flags, ("added_at", "indexed_at")))


def _typed(named: dict[str, Any], flags: Sequence[str], times: Sequence[str]) -> dict[str, Any]:
    """The same row with bool for 0 and 1, and datetime for ISO 8601."""
    for flag in flags:
        named[flag] = bool(named[flag])
    for time in times:
        named[time] = datetime.fromisoformat(named[time])
    return named


def _change(row: report.ChangeRow) -> Change:
    return Change(
        seq=row.seq,
        at=datetime.fromisoformat(row.at),
        kind=ChangeKind(row.kind),
        track_id=row.track_id,
        root=row.root,
        path=_path(row.path, row.path_b64),
        old_root=row.old_root,
        old_path=None if row.old_path is None else _path(row.old_path, row.old_path_b64),
        before=row.before,
    )


def _past_track(named: dict[str, Any]) -> PastTrack:
    path = _path(named["path"], named.pop("path_b64", None))
    tags = {name: tuple(values) for name, values in named.pop("tags", {}).items()}
    return PastTrack(named["id"], named["root"], path, {**named, "path": path}, tags)


def _status(found: status_report.Status) -> Status:
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    fields["roots"] = tuple(map(_root, found.roots))
    fields["scans"] = tuple(map(_run, found.scans))
    fields["health"] = tuple(map(_health_line, found.health))
    return Status(**fields)


def _health_line(found: status_report.HealthLine) -> HealthLine:
    since = None if found.since is None else datetime.fromisoformat(found.since)
    return HealthLine(level=found.level, text=found.text, since=since)


def _root(found: status_report.RootStatus) -> Root:
    return Root(
        name=found.name,
        path=_path(found.path, found.path_b64),
        state=found.state,
        reason=found.reason if isinstance(found.reason, str) else None,
        tracks=found.tracks,
        file_system=found.file_system,
        disk=found.disk,
        stamp_fields=found.stamp_fields,
        moves=found.moves,
        relay=None if isinstance(found.relay, UnsetType) else found.relay,
    )


def _run(found: status_report.ScanRow) -> Run:
    return Run(
        id=found.id,
        kind=found.kind,
        state=found.state,
        roots=found.roots,
        started_at=datetime.fromisoformat(found.started_at),
        ended_at=None if found.ended_at is None else datetime.fromisoformat(found.ended_at),
        counts=found.counts,
    )


def _path(text: object, b64: object) -> FilePath:
    return base64.b64decode(b64) if isinstance(b64, str) else str(text)


def _known(number: int) -> int:
    """A number that SQLite takes: one beyond is no id either, and after all changes."""
    return max(-_LARGEST, min(number, _LARGEST))


def _absolute(place: _Place) -> bytes:
    try:
        path = os.fsencode(place)
    except UnicodeEncodeError:
        raise errors.UsageError(
            f"{place!r} is no path; give that of a file as text or bytes"
        ) from None
    if b"\0" in path:
        raise errors.UsageError(f"{os.fsdecode(path)!r} has a NUL; give the path of a file")
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise errors.UsageError("the current folder was deleted; give whole paths") from None


def _file(place: _Place) -> Path:
    text = os.fsdecode(place)
    if not text:
        raise errors.UsageError("the path is empty; give that of a file, or None for the usual one")
    return Path(text)


def _iso(at: datetime) -> str:
    """A time as the views have it."""
    if at.tzinfo is None:
        raise errors.UsageError(
            f"{at} has no zone; give `datetime.now(UTC)` or the like, not `datetime.now()`"
        )
    try:
        utc = at.astimezone(UTC)
    except OverflowError:
        raise errors.UsageError(f"{at} is no time in UTC; give a year from 2 to 9998") from None
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
