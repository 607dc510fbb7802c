"""The results of the library: reports of scan, status, verify, and listed rows.

Every result is a frozen struct that msgspec encodes directly. Paths are text for people; a path
that is not UTF-8 is also given as base64 (`path_b64`).
"""

from __future__ import annotations

from datetime import UTC, datetime

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
    goes_on: bool | UnsetType = UNSET
    """True: interrupted, but the daemon or workers continue it."""


class DaemonStatus(Struct, frozen=True, kw_only=True):
    """Whether a daemon is running, known from its lock, and its state."""

    running: bool = False
    pid: int | None = None
    watched_folders: int = 0
    unwatched_folders: int = 0
    recoveries: dict[str, int] = {}
    """Reason (`overflow` and the like) -> number of full rescans because of it."""
    engine: str = "local"
    """What does the work: `local`, the daemon itself; `rq`, workers through the queues."""
    queue_trouble: str | None = None
    """Why it cannot dispatch work now."""
    log_is_held: bool = False
    """Whether a long read keeps SQLite's log (`wal_size`) from shrinking."""


class RootStatus(Struct, frozen=True, kw_only=True):
    """One watched folder tree."""

    name: str
    path: str
    path_b64: str | UnsetType = UNSET
    state: str
    """idle, scanning, watching, polling or offline."""
    reason: str | UnsetType = UNSET
    """Why it is offline, or its disk seems to be missing, and what to do."""
    tracks: int = 0
    file_system: str = ""
    disk: str = ""
    """The disk's identity: `uuid:...` or `fsid:...`."""
    stamp_fields: str = ""
    moves: bool = True


class ScanRow(Struct, frozen=True, kw_only=True):
    """One run of `scan` or `rebuild`, newest first in `status`."""

    id: int
    kind: str
    state: str
    """running, done, interrupted or failed."""
    roots: tuple[str, ...]
    started_at: str
    ended_at: str | None
    counts: ScanReport


class RedisStatus(Struct, frozen=True, kw_only=True):
    """The Redis of the settings."""

    address: str
    """Without its password."""
    answers: bool
    detail: str | None = None
    """The problem with it, and what to do."""
    version: str | None = None
    memory: int | None = None
    """Bytes in use."""


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """One process that serves queues, on this machine or another."""

    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    state: str
    """started, busy, idle or suspended."""
    readers: tuple[int, ...] = ()
    """The processes that read files for it."""
    memory: int | None
    """Bytes used, including its readers; null if it never reported them."""
    cpu_seconds: float | None
    cpu_percent: float | None
    """Of one processor, since its start."""
    jobs_done: int
    jobs_failed: int
    silent_seconds: float
    """Since its last heartbeat."""


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """One process of ours on this machine."""

    role: str
    """`daemon`, the queues that a worker serves, or `reader` of one."""
    pid: int
    memory: int
    cpu_seconds: float
    cpu_percent: float


class QueueStatus(Struct, frozen=True, kw_only=True):
    """One queue at one moment."""

    name: str
    queued: int
    started: int
    failed: int
    oldest_seconds: float | None
    """Age of the next job; null: the queue is empty."""
    workers: int
    """Processes that take jobs from it."""


class Rates(Struct, frozen=True, kw_only=True):
    """Files a second."""

    discovery: float = 0.0
    """Seen by scans."""
    extraction: float = 0.0
    """Opened and read."""
    insertion: float = 0.0
    """Written to the index, or found unchanged by insert."""


class Status(Struct, frozen=True, kw_only=True):
    """The state of the index at one moment."""

    database: str
    size: int
    wal_size: int
    tracks: int
    albums: int
    artists: int
    missing: int
    problems: int
    pending: int
    oldest_pending_seconds: float | None
    daemon: DaemonStatus
    roots: tuple[RootStatus, ...]
    scans: tuple[ScanRow, ...]
    rates: Rates = Rates()
    """Over the last minute, for the daemon and workers."""
    last_scan_rates: Rates = Rates()
    """Of the newest scan in `scans` that has ended."""
    error_rate: float = 0.0
    """Fraction of the files read in the last minute that are in `problems`: 0 to 1."""
    processes: tuple[ProcessStatus, ...] = ()
    redis: RedisStatus | None = None
    """None if the settings have no Redis."""
    queues: dict[str, QueueStatus] = {}
    workers: tuple[WorkerStatus, ...] = ()


class Difference(Struct, frozen=True, kw_only=True):
    """One difference between index and disk."""

    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    kind: str
    """unindexed, gone, stale, tags, unlisted; for the index itself, without root and path:
    full text, catalog (artists, albums, genres), index, view, damage (anything else)."""
    detail: str


class VerifyReport(Struct, frozen=True, kw_only=True):
    """Whether index equals disk."""

    ok: bool
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


class FailedJob(Struct, frozen=True, kw_only=True):
    """One failed job, kept until it is requeued, dropped, or expires."""

    id: str
    queue: str
    description: str
    failed_at: str | None
    error: str
    """The last line of the traceback."""
    traceback: str


def iso(at_ms: int) -> str:
    """Unix milliseconds as ISO 8601 with Z, as in the view."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
