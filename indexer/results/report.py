"""The results of the library: reports of scan, verify and repair, and listed rows.

Every result is a frozen struct that msgspec encodes directly. Paths are text for people; a path
that is not UTF-8 is also given as base64 (`path_b64`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType


class ScanReport(Struct, frozen=True, kw_only=True):
    """What `scan` and `rebuild` did. Each file counts in exactly one outcome."""

    seen: int = 0
    added: int = 0
    modified: int = 0
    moved: int = 0
    returned: int = 0
    missing: int = 0
    unchanged: int = 0
    problems: int = 0
    files_read: int = 0
    bytes_read: int = 0
    seconds: float = 0.0
    files_per_second: float = 0.0
    interrupted: bool = False
    pending: int = 0
    """Files left for later: still being written, or with a problem that may be temporary."""
    offline: tuple[str, ...] = ()
    """Roots that could not be scanned, as `name: why and what to do`."""
    deferred_reads: int = 0
    """Files that were opened for artwork afterwards; not among `files_read`."""
    deferred_seconds: float = 0.0
    """How long that took; not among `seconds`."""
    damaged: int = 0
    """Of `files_read`, those that are cut short; they count among the outcomes as well."""
    goes_on: bool | UnsetType = UNSET
    """True: interrupted, but the daemon or workers continue it."""


class RootRemoved(Struct, frozen=True, kw_only=True):
    """A root that is no longer indexed."""

    removed: str
    path: str
    path_b64: str | UnsetType = UNSET
    tracks: int
    """Tracks that left the view. Their ids are kept; adding the folder again brings them back."""


class RootRenamed(Struct, frozen=True, kw_only=True):
    """A root that has another name."""

    renamed: str
    """Its old name."""
    name: str
    tracks: int
    """Tracks that the change feed tells as moved."""


class ScrubDamage(Struct, frozen=True, kw_only=True):
    """A file whose bytes are not what they were."""

    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    reason: str


class ScrubReport(Struct, frozen=True, kw_only=True):
    """What `indexer scrub` did."""

    checked: int = 0
    """Files that were read whole."""
    bytes_read: int = 0
    skipped: int = 0
    """Files that changed or went meanwhile, or cannot be opened."""
    damaged: tuple[ScrubDamage, ...] = ()
    offline: tuple[str, ...] = ()
    """Roots that could not be checked, as `name: why and what to do`."""
    interrupted: bool = False
    seconds: float = 0.0


class Difference(Struct, frozen=True, kw_only=True):
    """One difference between index and disk."""

    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    kind: str
    """unindexed, gone, stale, tags, picture, playlist, unlisted; for the index itself, without root
    and path: full text, catalog (artists, albums, genres), index, view, artwork, playlist, lyrics,
    damage (anything else)."""
    detail: str


class VerifyReport(Struct, frozen=True, kw_only=True):
    """Whether index equals disk."""

    ok: bool
    """All of it could be looked at, and there is no difference."""
    checked: int
    pending: int
    unseen: int = 0
    """Files and folders that could not be checked; they may or may not differ."""
    differences: tuple[Difference, ...] = ()
    offline: tuple[str, ...] = ()


class DamageFound(Struct, frozen=True, kw_only=True):
    """One kind of damage in the index itself."""

    kind: str
    """full text, catalog, index, view; or damage: data that cannot be derived from tracks."""
    detail: str


class RepairReport(Struct, frozen=True, kw_only=True):
    """What `repair` found and did. The index is sound afterwards."""

    damage: tuple[DamageFound, ...] = ()
    made_again: tuple[str, ...] = ()
    """Parts that were made again: index, view, catalog, full text; with `file`, all of them."""
    lost: tuple[str, ...] = ()
    """What could not be saved, and what to do, one line each."""
    kept: str | None = None
    """A copy of the damaged file, if a new one had to be made."""
    tracks: int = 0
    """Number of rows of tracks now, including missing ones."""
    to_scan: bool = False
    """Whether files must be scanned again; `pending` has the hints for it."""
    seconds: float = 0.0


class ProblemRow(Struct, frozen=True, kw_only=True):
    """One file or folder that could not be read."""

    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    kind: str
    reason: str
    since: str


class PlaylistRow(Struct, frozen=True, kw_only=True):
    """One playlist, and how many of its items lead where."""

    id: int
    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    name: str
    """As its text names it, else that of the file."""
    items: int
    tracks: int
    """Items that lead to a present track."""
    streams: int
    """Items that are no file."""
    broken: int
    """Items that lead nowhere."""
    waiting: bool
    """Whether it is still to be read, or to be looked up where its items lead."""
    problem: str | None
    """Why it cannot be read."""


class BrokenItem(Struct, frozen=True, kw_only=True):
    """One item of a playlist that leads nowhere."""

    playlist_id: int
    root: str
    path: str
    """Of the playlist."""
    path_b64: str | UnsetType = UNSET
    position: int
    """From 1."""
    item: str
    """As it is written."""


class ArtworkFile(Struct, frozen=True, kw_only=True):
    """The picture that was chosen for an album or an artist, as the view `artwork` has it."""

    source: str
    """`file`, or `track` if it is embedded in one."""
    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    mime: str
    width: int
    height: int
    bytes: int
    hash: str


class ArtworkCandidate(Struct, frozen=True, kw_only=True):
    """A source that was considered."""

    source: str
    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    state: str
    """`chosen`, `passed` (it does not count), `broken`, `empty` (the tags hold no picture), or
    `later` (another one was chosen before it was opened, or none yet)."""
    reason: str
    """Why it counts or does not, or what is wrong with it."""


class ArtworkRow(Struct, frozen=True, kw_only=True):
    """An album or an artist, its artwork, and what was considered for it."""

    kind: str
    """`album` or `artist`."""
    id: int
    name: str | None
    """Title of the album, or name of the artist."""
    albumartist: str | None = None
    year: int | None = None
    waiting: bool
    """It is to be chosen again: this is what was chosen before."""
    artwork: ArtworkFile | None
    candidates: tuple[ArtworkCandidate, ...] = ()
    """In the order of preference; only where words chose the albums, and for broken pictures."""
    copy: str | UnsetType = UNSET
    """The file to which the original was copied."""


class ChangeRow(Struct, frozen=True, kw_only=True):
    """One line of the change feed. Replay it by `track_id`."""

    seq: int
    at: str
    kind: str
    track_id: int
    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    old_root: str | None = None
    old_path: str | None = None
    old_path_b64: str | UnsetType = UNSET
    before: dict[str, Any] | None = None
    """The columns that differ, as they were; of a track whose row is purged all of them."""

    @property
    def changed_place(self) -> bool:
        """Whether it came from another path; a file that returned is often where it was."""
        former = (self.old_root or self.root, self.old_path, self.old_path_b64)
        return self.old_path is not None and former != (self.root, self.path, self.path_b64)


class FailedJob(Struct, frozen=True, kw_only=True):
    """One failed job, kept until it is requeued, dropped, or expires."""

    id: str
    queue: str
    description: str
    failed_at: str | None
    error: str
    """The last line of the traceback."""
    traceback: str


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds of a time with a zone."""
    return int(moment.timestamp() * 1000)


def iso(at_ms: int) -> str:
    """Unix milliseconds as ISO 8601 with Z, as in the view."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SearchNote(Struct, frozen=True):
    """What a person should know of the answer to a search, beside its rows."""

    total: int | None = None
    """How many there are, where the limit cut them off; of tracks, 10 001 stands for more."""
    instead: dict[str, str] = {}
    """Words that no track has, and the ones that were looked for instead."""
    nearest: tuple[str, ...] = ()
    """Where nothing was found: words that are a little like those that no track has."""
    absent_tags: tuple[str, ...] = ()
    """Where nothing was found: further tags that were asked for, and that no track has."""
    unread: int = 0
    """Characters at the end of a very long question that were not looked for."""
