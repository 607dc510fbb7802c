"""The state of the index, its roots, runs and queues -> lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from indexer.cli.answers import outcomes
from indexer.cli.terminal import (
    BOLD,
    DIM,
    GREEN,
    RED,
    YELLOW,
    byte_size,
    columns,
    count,
    escaped,
    local_time,
    number,
    path_text,
    styled,
    time_span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from indexer.results.status_report import (
        QueueStatus,
        RedisStatus,
        RootStatus,
        ScanRow,
        Status,
        WorkerStatus,
    )

_OF_STATE = {"watching": GREEN, "offline": RED, "interrupted": YELLOW, "failed": RED}


def status_lines(status: Status) -> Iterator[str]:
    """The index, its roots and its last scans."""
    fields = [
        *_health(status),
        ("tracks", _holdings(status)),
        ("missing", number(status.missing)),
        ("problems", _with_note(status.problems, "see indexer problems")),
        *_damage(status),
        ("pending", _with_note(status.pending, _age(status.oldest_pending_seconds))),
        *_artwork(status),
        ("daemon", _daemon(status)),
        ("database", _database(status)),
        *_vitals(status),
    ]
    yield from columns([(styled(name, DIM), value) for name, value in fields])
    yield ""
    yield from roots_lines(status.roots)
    yield from queue_tables(status)
    if status.scans:
        yield ""
        yield from columns([_scan_cells(scan) for scan in status.scans])


def _health(status: Status) -> Iterator[tuple[str, str]]:
    """A line for each thing that is not well."""
    for line in status.health:
        since = "" if line.since is None else f", since {local_time(line.since)}"
        colour = RED if line.level == "fault" else YELLOW
        yield line.level, styled(escaped(line.text), colour) + since


def _vitals(status: Status) -> Iterator[tuple[str, str]]:
    """Rates of the last minute, and the Redis; empty when idle and without queues."""
    if status.redis is not None:
        yield "redis", _redis(status.redis)
    if any((status.rates.discovery, status.rates.extraction, status.rates.insertion)):
        yield "last minute", rate_text(status)


def _redis(redis: RedisStatus) -> str:
    if not redis.answers:
        return escaped(redis.detail or "away")
    text = f"{escaped(redis.address)}, version {escaped(redis.version or '?')}"
    text += f", {byte_size(redis.memory or 0)}"
    if redis.cache is not None and redis.cache.hits:
        text += f"; {count(redis.cache.hits, 'file')} not opened again"
    return text if redis.detail is None else f"{text}; {escaped(redis.detail)}"


def rate_text(status: Status) -> str:
    """Throughput of the stages in the last minute."""
    rates = status.rates
    text = (
        f"{number(round(rates.discovery))} files/s seen, {number(round(rates.extraction))} read, "
        f"{number(round(rates.insertion))} written"
    )
    return text + (f", {status.error_rate:.1%} with a problem" if status.error_rate else "")


def queue_tables(status: Status) -> Iterator[str]:
    """The tables of queues and of workers, if there are any."""
    if status.queues:
        yield ""
        yield from queue_table(status.queues.values())
    if status.workers:
        yield ""
        titles = ("worker", "host", "process", "state", "jobs", "memory", "processor")
        yield from columns([_dim(titles), *map(_worker_cells, status.workers)], right={2, 4, 5, 6})


def queue_table(queues: Iterable[QueueStatus]) -> Iterator[str]:
    """A line for each queue, below a heading."""
    heading = ("queue", "queued", "started", "failed", "oldest", "workers")
    yield from columns([_dim(heading), *map(_queue_cells, queues)], right={1, 2, 3, 4, 5})


def _queue_cells(queue: QueueStatus) -> tuple[str, ...]:
    oldest = "" if queue.oldest_seconds is None else time_span(queue.oldest_seconds)
    counts = (queue.queued, queue.started, queue.failed)
    return (queue.name, *map(number, counts), oldest, number(queue.workers))


def _worker_cells(worker: WorkerStatus) -> tuple[str, ...]:
    return (
        escaped(" ".join(worker.queues)),
        escaped(worker.host),
        str(worker.pid),
        escaped(worker.state),
        number(worker.jobs_done),
        "" if worker.memory is None else byte_size(worker.memory),
        "" if worker.cpu_percent is None else f"{worker.cpu_percent:.1f} %",
    )


def _holdings(status: Status) -> str:
    albums, artists = count(status.albums, "album"), count(status.artists, "artist")
    return f"{number(status.tracks)} on {albums} by {artists}"


def _damage(status: Status) -> Iterator[tuple[str, str]]:
    """A line where there is any, and one for what was checked."""
    if status.damaged:
        yield "damaged", f"{count(status.damaged, 'file')}, see indexer problems"
    if status.scrubbed.oldest is not None and status.scrubbed.newest is not None:
        since, last = status.scrubbed.oldest[:10], status.scrubbed.newest[:10]
        read = count(status.scrubbed.files, "file")
        yield "scrubbed", f"{read} read whole since {since}, the last on {last}"


def _artwork(status: Status) -> Iterator[tuple[str, str]]:
    """A line where something of it is open."""
    parts = []
    if status.artwork_waiting:
        parts.append(f"{number(status.artwork_waiting)} waiting")
    if rate := round(status.rates.artwork):
        parts.append(f"{number(rate)} a second")
    if status.picture_problems:
        parts.append(f"{count(status.picture_problems, 'bad picture')}, see indexer problems")
    if parts:
        yield "artwork", "; ".join(parts)
    if status.playlist_problems:
        bad = count(status.playlist_problems, "bad playlist")
        yield "playlists", f"{bad}, see indexer problems"


def _with_note(value: int, note: str) -> str:
    return f"{number(value)} ({note})" if value and note else number(value)


def _age(seconds: float | None) -> str:
    return "" if seconds is None else f"the oldest for {time_span(seconds)}"


def _daemon(status: Status) -> str:
    daemon = status.daemon
    if not daemon.running:
        return "not running"
    text = f"running, process {daemon.pid}, {count(daemon.watched_folders, 'folder')} watched"
    if daemon.unwatched_folders:
        text += f", {number(daemon.unwatched_folders)} not watched"
    if daemon.queue_trouble:
        text += "; cannot dispatch work now, it stays pending in the index"
    if daemon.recoveries:
        reasons = ", ".join(f"{reason} {times}" for reason, times in daemon.recoveries.items())
        text += f"; everything was rescanned after: {reasons}"
    return text


def _database(status: Status) -> str:
    wal = f" and {byte_size(status.wal_size)} of log" if status.wal_size else ""
    if status.daemon.log_is_held:
        wal += ", which cannot shrink while another program keeps reading"
    return f"{escaped(status.database)} ({byte_size(status.size)}{wal})"


def _scan_cells(scan: ScanRow) -> tuple[str, ...]:
    counts = scan.counts
    return (
        local_time(scan.started_at),
        scan.kind,
        _in_its_colour(scan.state),
        time_span(counts.seconds) if scan.ended_at else "",
        escaped(" ".join(scan.roots)),
        outcomes(counts),
    )


def _in_its_colour(state: str) -> str:
    return styled(state, _OF_STATE[state]) if state in _OF_STATE else state


def roots_lines(roots: Sequence[RootStatus]) -> Iterator[str]:
    """The roots as a table, with a line below it for each that is offline."""
    if not roots:
        yield "no roots: add one with indexer rebuild FOLDER"
        return
    heading = ("root", "state", "tracks", "file system", "compared by", "path")
    yield from columns([_dim(heading), *map(_root_cells, roots)], right={2})
    for root in roots:
        if root.reason is not UNSET:
            yield escaped(str(root.reason))
        if root.relay is not UNSET:
            heard = f"{escaped(root.relay.host)}, last heard {_ago(root.relay.silent_seconds)}"
            away = "" if root.relay.alive else ": away, so changes are found by polling"
            yield f"relay of {escaped(root.name)}: {heard}{away}"


def _ago(seconds: float) -> str:
    return f"{time_span(seconds)} ago"


def _dim(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(styled(cell, DIM) for cell in cells)


def _root_cells(root: RootStatus) -> tuple[str, ...]:
    return (
        styled(escaped(root.name), BOLD),
        _in_its_colour(root.state),
        number(root.tracks),
        escaped(root.file_system),
        f"{root.stamp_fields} (moves by content)" if root.moves == "content" else root.stamp_fields,
        path_text(root.path, root.path_b64),
    )
