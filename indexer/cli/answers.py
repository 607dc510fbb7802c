"""The library's answers -> lines for people; all text from disks and tags is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    from indexer.reports.retags import Summary
    from indexer.results.report import (
        ChangeRow,
        Difference,
        ProblemRow,
        RepairReport,
        RootRemoved,
        RootRenamed,
        ScanReport,
        VerifyReport,
    )

_OF_KIND = {
    "added": GREEN, "returned": GREEN, "modified": YELLOW, "moved": CYAN, "missing": RED,
}  # fmt: skip
_LONG_S = 3.0
"""So long a person wonders what was done. A guess."""
_OUTCOMES = ("added", "modified", "moved", "returned", "missing", "unchanged")


def scan_lines(report: ScanReport, suffixes: Iterable[str]) -> Iterator[str]:
    """One line for what a scan did, and one for each thing that is left to do."""
    if found_nothing(report):
        yield f"no audio file found; looked for {' '.join(suffixes)}"
        return
    if report.offline and not (report.seen or committed_files(report) or report.interrupted):
        yield "no file was looked at; nothing in the index changed"
        return
    read = f"{number(report.files_read)} read ({byte_size(report.bytes_read)})"
    line = (
        f"{count(report.seen, 'file')}: {outcomes(report) or 'none indexed'}; "
        f"{read} in {time_span(report.seconds)}"
    )
    if report.deferred_seconds >= _LONG_S:
        line += f", then covers in {time_span(report.deferred_seconds)}"
    yield line
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


def found_nothing(report: ScanReport) -> bool:
    """Whether there are and were no files; false if some places could not be checked."""
    return not (report.seen or committed_files(report) or report.offline or report.interrupted)


def outcomes(report: ScanReport) -> str:
    """How many files had each outcome, without those that no file had."""
    return ", ".join(f"{number(value)} {outcome}" for value, outcome in _counts(report) if value)


def _counts(report: ScanReport) -> list[tuple[int, str]]:
    return [(getattr(report, outcome), outcome) for outcome in _OUTCOMES]


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
    moved = f"; {count(renamed.tracks, 'track')} told as moved" if renamed.tracks else ""
    yield f"{escaped(renamed.renamed)} is now {escaped(renamed.name)}{moved}"


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
        is_unseen_by_scans = any(one.kind == "tags" for one in report.differences)
        advice = (
            "indexer rebuild reads all files again; a scan takes those of other tags for unchanged"
            if is_unseen_by_scans
            else "indexer scan brings the index up to date"
        )
        yield f"{found}, {checked}; {advice}"
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
        rows = f"{count(report.tracks, 'track')}, missing and unreadable ones included"
        yield f"nothing to repair: the index is sound ({rows})"
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
