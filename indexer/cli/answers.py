"""The library's answers -> lines for people; all text from disks and tags is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from indexer.cli.terminal import (
    byte_size,
    columns,
    count,
    escaped,
    local_time,
    local_time_ns,
    number,
    path_text,
    play_time,
    time_span,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from indexer.report import (
        ChangeRow,
        Difference,
        ProblemRow,
        QueueStatus,
        RedisStatus,
        RepairReport,
        RootStatus,
        ScanReport,
        ScanRow,
        Status,
        VerifyReport,
        WorkerStatus,
    )

_OUTCOMES = ("added", "modified", "moved", "returned", "missing", "unchanged")


def scan_lines(report: ScanReport, suffixes: Iterable[str]) -> Iterator[str]:
    """One line for what a scan did, and one for each thing that is left to do."""
    if _found_nothing(report):
        yield f"no audio file found; looked for {' '.join(suffixes)}"
        return
    read = f"{number(report.files_read)} read ({byte_size(report.bytes_read)})"
    yield (
        f"{count(report.seen, 'file')}: {_outcomes(report) or 'none indexed'}; "
        f"{read} in {time_span(report.seconds)}"
    )
    if report.problems:
        yield f"{count(report.problems, 'problem')}: see indexer problems"
    if report.pending:
        stay = "stays" if report.pending == 1 else "stay"
        yield (
            f"{count(report.pending, 'file')} {stay} pending (still being written, or not readable "
            "now); the next scan looks again"
        )


def committed_files(report: ScanReport) -> int:
    """The number of files that an interrupted scan has finished."""
    return sum(value for value, _ in _counts(report)) + report.problems


def _found_nothing(report: ScanReport) -> bool:
    """Whether there are and were no files; false if some places could not be checked."""
    return not (report.seen or committed_files(report) or report.offline or report.interrupted)


def _outcomes(report: ScanReport) -> str:
    return ", ".join(f"{number(value)} {outcome}" for value, outcome in _counts(report) if value)


def _counts(report: ScanReport) -> list[tuple[int, str]]:
    return [(getattr(report, outcome), outcome) for outcome in _OUTCOMES]


def status_lines(status: Status) -> Iterator[str]:
    """The index, its roots and its last scans."""
    yield from columns(
        [
            ("tracks", _holdings(status)),
            ("missing", number(status.missing)),
            ("problems", _with_note(status.problems, "see indexer problems")),
            ("pending", _with_note(status.pending, _age(status.oldest_pending_seconds))),
            ("daemon", _daemon(status)),
            ("database", _database(status)),
            *_vitals(status),
        ]
    )
    yield ""
    yield from roots_lines(status.roots)
    yield from queue_tables(status)
    if status.scans:
        yield ""
        yield from columns([_scan_cells(scan) for scan in status.scans])


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
        yield from columns([titles, *map(_worker_cells, status.workers)], right={2, 4, 5, 6})


def queue_table(queues: Iterable[QueueStatus]) -> Iterator[str]:
    """A line for each queue, below a heading."""
    heading = ("queue", "queued", "started", "failed", "oldest", "workers")
    yield from columns([heading, *map(_queue_cells, queues)], right={1, 2, 3, 4, 5})


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
        scan.state,
        time_span(counts.seconds) if scan.ended_at else "",
        escaped(" ".join(scan.roots)),
        _outcomes(counts),
    )


def roots_lines(roots: Sequence[RootStatus]) -> Iterator[str]:
    """The roots as a table, with a line below it for each that is offline."""
    if not roots:
        yield "no roots: add one with indexer rebuild FOLDER"
        return
    heading = ("root", "state", "tracks", "file system", "compared by", "path")
    yield from columns([heading, *map(_root_cells, roots)], right={2})
    for root in roots:
        if root.reason is not UNSET:
            yield escaped(str(root.reason))


def _root_cells(root: RootStatus) -> tuple[str, ...]:
    return (
        escaped(root.name),
        root.state,
        number(root.tracks),
        escaped(root.file_system),
        root.stamp_fields if root.moves else f"{root.stamp_fields} (no moves)",
        path_text(root.path, root.path_b64),
    )


def problem_line(row: ProblemRow) -> str:
    """File or folder, kind of problem, and reason."""
    return f"{_place(row)}  {row.kind}  {escaped(row.reason)}"


def change_line(row: ChangeRow) -> str:
    """Number, time, kind and path; for a move, the old and the new path."""
    head = f"{row.seq}  {local_time(row.at)}  {row.kind:<8}  "
    if row.old_path is None:
        return head + _place(row)
    old_path = path_text(row.old_path, row.old_path_b64)
    return f"{head}{escaped(row.old_root or row.root)}/{old_path} -> {_place(row)}"


def verify_lines(report: VerifyReport) -> Iterator[str]:
    """`ok`, or all differences and what to do about them."""
    damage = [one for one in report.differences if not one.root]
    for difference in report.differences:
        place = f"{_place(difference)}  " if difference.root else ""
        yield f"{place}{difference.kind}  {escaped(difference.detail)}"
    checked = f"{count(report.checked, 'file')} checked"
    if damage:
        found = count(len(report.differences), "difference")
        yield (
            f"{found}, {checked}; the index itself is damaged: indexer repair restores what can be"
            " restored"
        )
    elif report.differences:
        found = count(len(report.differences), "difference")
        yield f"{found}, {checked}; indexer scan brings the index up to date"
    elif report.offline or report.unseen:
        yield f"{checked}, no difference among the files that could be checked"
    elif report.ok:
        yield f"ok: {checked}, index equals disk"
    else:
        yield f"not ok: {checked}"
    if report.unseen:
        what = f"{count(report.unseen, 'place')} could not be checked"
        yield f"{what}: see indexer problems"
    if report.pending:
        yield f"{count(report.pending, 'file')} pending, left out: not indexed yet"


def repair_lines(report: RepairReport) -> Iterator[str]:
    """What was damaged, what was made again, and what was lost."""
    for damage in report.damage:
        yield f"{damage.kind}  {escaped(damage.detail)}"
    if not report.made_again:
        yield f"nothing to repair: {count(report.tracks, 'track')}, the index is sound"
        return
    again = "a new file, with" if report.made_again[0] == "file" else "made again:"
    parts = ", ".join(part for part in report.made_again if part != "file")
    yield f"{again} {parts}; {count(report.tracks, 'track')} with their ids, the index is sound"
    for lost in report.lost:
        yield f"not saved: {escaped(lost)}"
    if report.kept is not None:
        yield f"{escaped(report.kept)}: the damaged file; delete it when nothing is missing"
    if report.to_scan:
        yield "run indexer scan to check all files again (a daemon does so by itself)"


def _place(row: ProblemRow | ChangeRow | Difference) -> str:
    return f"{escaped(row.root)}/{path_text(row.path, row.path_b64)}"


def _dict_place(row: Mapping[str, Any]) -> str:
    return f"{escaped(row['root'])}/{path_text(row['path'], row.get('path_b64'))}"


def search_line(row: Mapping[str, Any]) -> str:
    """`Artist - Title  (Album, year)  path`, without the unknown parts."""
    album = ", ".join(escaped(str(text)) for text in (row.get("album"), row.get("year")) if text)
    parts = (_by(row, "artist", "title"), f"({album})" if album else "", _dict_place(row))
    return "  ".join(part for part in parts if part)


def album_line(row: Mapping[str, Any]) -> str:
    """`Artist - Album  (year)  tracks`, without the unknown parts."""
    year = f"({row['year']})" if row["year"] else ""
    parts = (_by(row, "albumartist", "album"), year, count(row["tracks"], "track"))
    return "  ".join(part for part in parts if part)


def artist_line(row: Mapping[str, Any]) -> str:
    """`Artist  tracks`."""
    return f"{escaped(row['artist'])}  {count(row['tracks'], 'track')}"


def _by(row: Mapping[str, Any], *names: str) -> str:
    return " \N{EN DASH} ".join(escaped(text) for text in map(row.get, names) if text)


def _yes_no(value: int) -> str:
    return "yes" if value else "no"


_UNITS: Mapping[str, Callable[[Any], str]] = {
    "size": byte_size,
    "mtime_ns": local_time_ns,
    "duration": play_time,
    "bitrate": lambda value: f"{number(round(value / 1000))} kbit/s",
    "sample_rate": lambda value: f"{number(value)} Hz",
    "bit_depth": lambda value: f"{value} bit",
    "compilation": _yes_no,
    "has_picture": _yes_no,
    "guessed": _yes_no,
    "suspect_encoding": _yes_no,
    "added_at": local_time,
    "indexed_at": local_time,
}
_NOT_SHOWN = frozenset({"root", "path", "path_b64", "artists", "albumartists", "genres", "problem"})
"""Shown in another form, or joined in a column (`artist`, `genre`)."""
_LABELS = {"mtime_ns": "changed", "added_at": "added", "indexed_at": "indexed"}


def show_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """One field per line; empty fields are left out."""
    fields = [("path", _dict_place(row))]
    if problem := row.get("problem"):
        fields.append(("problem", f"{problem['kind']}: {escaped(problem['reason'])}"))
    fields += [
        (_LABELS.get(key, key), _value_text(key, value))
        for key, value in row.items()
        if value is not None and key not in _NOT_SHOWN
    ]
    yield from columns(fields)


def _value_text(key: str, value: object) -> str:
    unit = _UNITS.get(key)
    return unit(value) if unit else escaped(str(value))
