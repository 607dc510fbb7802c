"""The state of an index at one moment: its roots, daemon, runs, queues and health."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType

from indexer.results.report import ScanReport

_Time = TypeVar("_Time")
"""Text here, `datetime` in `records`, which has the same fields for programs in Python."""
_Root = TypeVar("_Root")
_Run = TypeVar("_Run")
_Line = TypeVar("_Line")


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
    trouble: str | None = None
    """Why changes wait: what keeps it from reading or writing the index."""


class RelayStatus(Struct, frozen=True, kw_only=True):
    """A `watcher relay` on the machine that has the disk of a root."""

    host: str
    alive: bool
    """False: what changes there is found by polling alone."""
    silent_seconds: float
    """How long ago it was heard."""


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
    moves: str = "inode"
    """How a moved file is known: by its `inode`, or where these do not last by its `content`."""
    relay: RelayStatus | UnsetType = UNSET
    """Of a root that has one, or had one in the last week."""


class HealthLineOf(Struct, Generic[_Time], frozen=True, kw_only=True):
    """One thing that is not well."""

    level: str
    """`fault`: something is not done until it is mended; `warning`: all goes on beside it."""
    text: str
    since: _Time | None
    """As far as it is known."""


class HealthLine(HealthLineOf[str], frozen=True):
    """The same in JSON."""


class RunOf(Struct, Generic[_Time], frozen=True, kw_only=True):
    """One run of `scan` or `rebuild`, newest first in `status`."""

    id: int
    kind: str
    state: str
    """running, done, interrupted or failed."""
    roots: tuple[str, ...]
    started_at: _Time
    ended_at: _Time | None
    counts: ScanReport


class ScanRow(RunOf[str], frozen=True):
    """The same in JSON."""


class CacheStatus(Struct, frozen=True, kw_only=True):
    """Readings in Redis that are not inserted yet, so that no file is opened twice."""

    hits: int
    """Files that were not opened again, since this Redis was started."""
    misses: int
    bytes: int


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
    cache: CacheStatus | None = None


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
    working_seconds: float = 0.0
    """In which it has done jobs."""


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
    artwork: float = 0.0
    """Albums and artists a second whose picture was chosen."""


class ScrubStatus(Struct, frozen=True, kw_only=True):
    """How many files were read whole by `indexer scrub`, and when."""

    files: int = 0
    oldest: str | None = None
    newest: str | None = None


class StatusOf(Struct, Generic[_Root, _Run, _Line], frozen=True, kw_only=True):
    """The state of the index at one moment. Sizes in bytes, ages in seconds."""

    database: str
    size: int
    wal_size: int
    tracks: int
    albums: int
    artists: int
    missing: int
    problems: int
    pending: int
    """Files and folders that are still to be looked at."""
    oldest_pending_seconds: float | None
    daemon: DaemonStatus
    roots: tuple[_Root, ...]
    scans: tuple[_Run, ...]
    """The last ones, the newest first."""
    rates: Rates = Rates()
    """Of the daemon and workers in the last minute, while there was work."""
    last_scan_rates: Rates = Rates()
    """Of the newest scan in `scans` that has ended."""
    error_rate: float = 0.0
    """Fraction of the files read in the last minute that are in `problems`: 0 to 1."""
    processes: tuple[ProcessStatus, ...] = ()
    redis: RedisStatus | None = None
    """None if the settings have no Redis."""
    queues: dict[str, QueueStatus] = {}
    workers: tuple[WorkerStatus, ...] = ()
    picture_problems: int = 0
    """Pictures that cannot be used; not among `problems`, since their tracks are fine."""
    artwork_waiting: int = 0
    """Albums and artists whose picture is still to be chosen, folders of which it is not known yet
    which of them they concern, and playlists that are still to be read."""
    playlist_problems: int = 0
    """Playlists that cannot be read; not among `problems`."""
    health: tuple[_Line, ...] = ()
    """What is not well, the worst first."""
    damaged: int = 0
    """Tracks whose file is cut short or decayed; not among `problems`: they are in the index."""
    scrubbed: ScrubStatus = ScrubStatus()


class Status(StatusOf[RootStatus, ScanRow, HealthLine], frozen=True):
    """The same in JSON."""
