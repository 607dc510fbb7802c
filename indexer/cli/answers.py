"""The library's answers -> lines for people; all text from disks and tags is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from indexer.cli.terminal import (
    BOLD,
    CYAN,
    DIM,
    GREEN,
    RED,
    YELLOW,
    byte_size,
    columns,
    count,
    escaped,
    local_time,
    local_time_ns,
    number,
    path_text,
    play_time,
    styled,
    time_span,
)
from indexer.paths import path_bytes, shell_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from indexer.report import (
        ChangeRow,
        Difference,
        ProblemRow,
        QueueStatus,
        RedisStatus,
        RepairReport,
        RootRemoved,
        RootRenamed,
        RootStatus,
        ScanReport,
        ScanRow,
        Status,
        VerifyReport,
        WorkerStatus,
    )
    from indexer.retags import Summary

_OF_KIND = {
    "added": GREEN, "returned": GREEN, "modified": YELLOW, "moved": CYAN, "missing": RED,
}  # fmt: skip
_OF_STATE = {"watching": GREEN, "offline": RED, "interrupted": YELLOW, "failed": RED}
_OUTCOMES = ("added", "modified", "moved", "returned", "missing", "unchanged")


def scan_lines(report: ScanReport, suffixes: Iterable[str]) -> Iterator[str]:
    """One line for what a scan did, and one for each thing that is left to do."""
    if _found_nothing(report):
        yield f"no audio file found; looked for {' '.join(suffixes)}"
        return
    if report.offline and not (report.seen or committed_files(report) or report.interrupted):
        yield "no file was looked at; nothing in the index changed"
        return
    read = f"{number(report.files_read)} read ({byte_size(report.bytes_read)})"
    yield (
        f"{count(report.seen, 'file')}: {_outcomes(report) or 'none indexed'}; "
        f"{read} in {time_span(report.seconds)}"
    )
    if report.problems:
        yield f"{count(report.problems, 'problem')}: see indexer problems"
    if report.damaged:
        yield f"{count(report.damaged, 'damaged file')}: see indexer problems"
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
    told = []
    if status.artwork_waiting:
        told.append(f"{number(status.artwork_waiting)} waiting")
    if status.rates.artwork:
        told.append(f"{number(round(status.rates.artwork))} a second")
    if status.picture_problems:
        told.append(f"{count(status.picture_problems, 'bad picture')}, see indexer problems")
    if told:
        yield "artwork", "; ".join(told)
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
        _outcomes(counts),
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


def removed_lines(removed: RootRemoved) -> Iterator[str]:
    """How many tracks leave with a root, and how they come back."""
    left = count(removed.tracks, "track")
    leave = "leaves" if removed.tracks == 1 else "leave"
    yield f"removed {escaped(removed.removed)}: {left} {leave} the index; no file was touched"
    if removed.tracks:
        yield "their ids are remembered until the folder is added again:"
        path = removed.path.encode()
        if isinstance(removed.path_b64, str):
            path = path_bytes(removed.path_b64)
        yield f"  indexer rebuild {shell_word(path)}"


def renamed_lines(renamed: RootRenamed) -> Iterator[str]:
    """The new name, and what a reader of the change feed will see."""
    told = f"; {count(renamed.tracks, 'track')} told as moved" if renamed.tracks else ""
    yield f"{escaped(renamed.renamed)} is now {escaped(renamed.name)}{told}"


def change_line(row: ChangeRow) -> str:
    """Number, time, kind and path; for a move, the old and the new path."""
    kind = styled(row.kind, _OF_KIND[row.kind]) + " " * (8 - len(row.kind))
    head = f"{styled(str(row.seq), DIM)}  {local_time(row.at)}  {kind}  "
    if row.old_path is None or not row.changed_place:
        return head + _place(row)
    old_path = path_text(row.old_path, row.old_path_b64)
    return f"{head}{escaped(row.old_root or row.root)}/{old_path} -> {_place(row)}"


def summary_lines(summary: Summary) -> Iterator[str]:
    """How many changes of each kind, in which columns, and in which folders most of them."""
    kinds = ", ".join(f"{number(many)} {kind}" for kind, many in summary.kinds.items() if many)
    if not kinds:
        yield "no change"
        return
    yield f"{kinds}; {count(summary.tracks, 'track')}"
    if summary.columns:
        yield "columns: " + ", ".join(
            f"{escaped(name)} {number(many)}" for name, many in summary.columns.items()
        )
    for folder in summary.folders:
        place = f"{escaped(folder.root)}/{escaped(folder.folder)}"
        yield f"{count(folder.changes, 'change')}  {styled(place, DIM)}"


def verify_lines(report: VerifyReport) -> Iterator[str]:
    """`ok`, or all differences and what to do about them."""
    damage = [one for one in report.differences if not one.root]
    for difference in report.differences:
        place = f"{_place(difference)}  " if difference.root else ""
        yield f"{place}{styled(difference.kind, RED)}  {escaped(difference.detail)}"
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
        yield f"{styled('ok', GREEN)}: {checked}, index equals disk"
    else:
        yield f"{styled('not ok', RED)}: {checked}"
    if report.unseen:
        what = f"{count(report.unseen, 'place')} could not be checked"
        yield f"{what}: see indexer problems"
    if report.pending:
        yield f"{count(report.pending, 'file')} pending, left out: not indexed yet"


def repair_lines(report: RepairReport) -> Iterator[str]:
    """What was damaged, what was made again, and what was lost."""
    for damage in report.damage:
        yield f"{styled(damage.kind, RED)}  {escaped(damage.detail)}"
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
    place = styled(_dict_place(row), DIM)
    parts = (_by(row, "artist", "title"), f"({album})" if album else "", place)
    return "  ".join(part for part in parts if part)


def album_line(row: Mapping[str, Any]) -> str:
    """`Artist - Album  (year)  tracks`, without the unknown parts."""
    year = f"({row['year']})" if row["year"] else ""
    parts = (_by(row, "albumartist", "album"), year, count(row["tracks"], "track"))
    return "  ".join(part for part in parts if part)


def artist_line(row: Mapping[str, Any]) -> str:
    """`Artist  tracks`."""
    return f"{styled(escaped(row['artist']), BOLD)}  {count(row['tracks'], 'track')}"


def new_line(row: Mapping[str, Any]) -> str:
    """The minute in which it came, then as in a search."""
    return f"{styled(local_time(row['added_at'])[:16], DIM)}  {search_line(row)}"


def new_album_line(row: Mapping[str, Any]) -> str:
    """The minute in which its newest track came, then as in a search."""
    return f"{styled(local_time(row['added_at'])[:16], DIM)}  {album_line(row)}"


def _by(row: Mapping[str, Any], artist: str, title: str) -> str:
    """What is known of both, the title in bold."""
    parts = (escaped(row.get(artist) or ""), styled(escaped(row.get(title) or ""), BOLD))
    return " \N{EN DASH} ".join(part for part in parts if part)


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
    "has_lyrics": _yes_no,
    "has_cover": _yes_no,
    "short": lambda value: f"{100 * value:.0f} % are there",
    "guessed": _yes_no,
    "suspect_encoding": _yes_no,
    "added_at": local_time,
    "indexed_at": local_time,
}
_NOT_SHOWN = frozenset({
    "root", "path", "path_b64", "artists", "albumartists", "genres", "problem", "tags",
    "missing_at", "moved_at", "moved_to",
    "file", "file_b64", "album_id", "replaygain_track_gain_db", "replaygain_track_peak_linear",
    "replaygain_album_gain_db", "replaygain_album_peak_linear",
})  # fmt: skip
"""Shown in another form, or joined in a column (`artist`, `genre`)."""
_LABELS = {"mtime_ns": "changed", "added_at": "added", "indexed_at": "indexed"}


def show_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """One field per line; empty fields are left out."""
    fields = [("path", _dict_place(row))]
    if row.get("missing_at"):
        fields.append(("gone", f"since {local_time(row['missing_at'])}; comes back with its file"))
    if row.get("moved_to"):
        fields.append(
            ("moved", f"{local_time(row['moved_at'])}, to {_dict_place(row['moved_to'])}")
        )
    if problem := row.get("problem"):
        from indexer.cli.problems import plain  # late: few tracks have one

        fields.append(("problem", escaped(plain(problem["reason"]))))
    fields += [
        (_LABELS.get(key, key), _value_text(key, value))
        for key, value in row.items()
        if value is not None and key not in _NOT_SHOWN
    ]
    tags: Mapping[str, Sequence[str]] = row.get("tags", {})
    fields += [(escaped(name), escaped("; ".join(several))) for name, several in tags.items()]
    yield from columns([(styled(name, DIM), value) for name, value in fields])


def _value_text(key: str, value: object) -> str:
    unit = _UNITS.get(key)
    return unit(value) if unit else escaped(str(value))
