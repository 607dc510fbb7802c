from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from indexer.cli import answers, status_lines
from indexer.cli.terminal import unstyled
from indexer.results.report import (
    ChangeRow,
    Difference,
    RepairReport,
    ScanReport,
    VerifyReport,
)
from indexer.results.status_report import DaemonStatus, RootStatus, ScanRow, Status
from indexer.web.site import ShownChange

DONE = ScanReport(
    seen=10_000,
    added=3,
    modified=1,
    moved=2,
    unchanged=9_994,
    files_read=6,
    bytes_read=96_000,
    seconds=0.4,
)
MUSIC = RootStatus(
    name="music",
    path="/srv/music",
    state="idle",
    tracks=9_999,
    file_system="ext4",
    stamp_fields="size,mtime,ctime,inode",
)
STATUS = Status(
    database="/home/ida/library.db",
    size=12_300_000,
    wal_size=0,
    tracks=9_999,
    albums=812,
    artists=1,
    missing=2,
    problems=0,
    pending=0,
    oldest_pending_seconds=None,
    daemon=DaemonStatus(),
    roots=(MUSIC,),
    scans=(),
)


def bare(lines: Iterable[str]) -> list[str]:
    """The lines without styles."""
    return [unstyled(line) for line in lines]


def scan_text(report: ScanReport) -> list[str]:
    return bare(answers.scan_lines(report, [".flac", ".mp3"]))


def test_a_scan_is_told_in_one_line() -> None:
    assert scan_text(DONE) == [
        "10 000 files: 3 added, 1 modified, 2 moved, 9 994 unchanged; 6 read (96 KB) in 0.4 s"
    ]


def test_the_time_for_covers_is_told_where_it_is_long() -> None:
    assert scan_text(replace(DONE, deferred_seconds=2.9)) == scan_text(DONE)
    (line,) = scan_text(replace(DONE, deferred_seconds=75.0))
    assert line.endswith("6 read (96 KB) in 0.4 s, then covers in 1 min 15 s")


def test_what_a_scan_left_over_is_told_below() -> None:
    assert scan_text(replace(DONE, problems=2, pending=1))[1:] == [
        "2 problems: see indexer problems",
        (
            "1 file stays pending (still being written, or not readable now); "
            "the next scan looks again"
        ),
    ]


def test_a_folder_without_music_names_what_was_looked_for() -> None:
    assert scan_text(ScanReport()) == ["no audio file found; looked for .flac .mp3"]


@pytest.mark.parametrize(
    "report",
    [ScanReport(interrupted=True), ScanReport(missing=1)],
)
def test_a_scan_that_could_not_see_does_not_say_that_nothing_is_there(report: ScanReport) -> None:
    assert scan_text(report)[0].startswith("0 files: ")


def test_every_outcome_counts_as_committed() -> None:
    report = ScanReport(added=1, modified=2, moved=4, returned=8, missing=16, unchanged=32)
    assert answers.committed_files(replace(report, problems=64)) == 127


def test_a_scan_whose_disks_are_away_says_that_nothing_changed() -> None:
    away = ScanReport(offline=("Music: its disk is away",))
    assert bare(answers.scan_lines(away, [])) == [
        "no file was looked at; nothing in the index changed"
    ]
    (line,) = answers.scan_lines(replace(away, seen=2, unchanged=2), [])
    assert line.startswith("2 files: 2 unchanged; ")
    (line,) = answers.scan_lines(replace(away, missing=2), [])
    assert line.startswith("0 files: 2 missing; ")


def test_status_is_aligned_and_names_what_to_do() -> None:
    scan = ScanRow(
        id=1,
        kind="rebuild",
        state="interrupted",
        roots=("music",),
        started_at="2025-07-01T12:00:00Z",
        ended_at="2025-07-01T12:00:01Z",
        counts=DONE,
    )
    usb = replace(
        MUSIC, name="usb", state="offline", reason="usb: not mounted; mount it", moves="content",
        file_system="vfat", stamp_fields="size,mtime",
    )  # fmt: skip
    status = replace(
        STATUS,
        problems=3,
        pending=1,
        oldest_pending_seconds=12.0,
        wal_size=4_000_000,
        daemon=DaemonStatus(running=True, pid=42, watched_folders=1, unwatched_folders=2),
        roots=(MUSIC, usb),
        scans=(scan,),
    )
    lines = bare(status_lines.status_lines(status))
    assert lines[:6] == [
        "tracks    9 999 on 812 albums by 1 artist",
        "missing   2",
        "problems  3 (see indexer problems)",
        "pending   1 (the oldest for 12 s)",
        "daemon    running, process 42, 1 folder watched, 2 not watched",
        "database  /home/ida/library.db (12 MB and 4.0 MB of log)",
    ]
    assert lines[7:11] == [
        "root   state    tracks  file system  compared by                    path",
        "music  idle      9 999  ext4         size,mtime,ctime,inode         /srv/music",
        "usb    offline   9 999  vfat         size,mtime (moves by content)  /srv/music",
        "usb: not mounted; mount it",
    ]
    assert lines[12].endswith(
        "rebuild  interrupted  0.4 s  music  3 added, 1 modified, 2 moved, 9 994 unchanged"
    )


def test_artwork_of_a_while_ago_is_no_rate_of_nothing() -> None:
    a_few = replace(STATUS, rates=replace(STATUS.rates, artwork=0.03))
    assert bare(status_lines.status_lines(a_few)) == bare(status_lines.status_lines(STATUS))


def test_an_index_without_roots_says_how_to_add_one() -> None:
    assert "no roots: add one with indexer rebuild FOLDER" in bare(
        status_lines.status_lines(replace(STATUS, roots=()))
    )


def test_a_move_tells_where_from_and_where_to() -> None:
    row = ChangeRow(
        seq=7,
        at="2025-07-01T12:00:00Z",
        kind="moved",
        track_id=1,
        root="usb",
        path="b.mp3",
        old_root="music",
        old_path="a\ufffd.mp3",
        old_path_b64="Yf8ubXAz",
    )
    assert unstyled(answers.change_line(row)).endswith(r"moved     music/a\xff.mp3 -> usb/b.mp3")


def test_a_file_that_returned_to_its_place_tells_one_path() -> None:
    row = ChangeRow(
        seq=7,
        at="2025-07-01T12:00:00Z",
        kind="returned",
        track_id=1,
        root="usb",
        path="b.mp3",
        old_root="usb",
        old_path="b.mp3",
    )
    line = unstyled(answers.change_line(row))
    assert line.endswith("returned  usb/b.mp3")
    assert "->" not in line
    assert ShownChange(row, None, None, None).place == "usb/b.mp3"
    elsewhere = replace(row, old_path="a.mp3")
    assert unstyled(answers.change_line(elsewhere)).endswith("returned  usb/a.mp3 -> usb/b.mp3")


def test_other_changes_tell_one_path() -> None:
    row = ChangeRow(
        seq=7, at="2025-07-01T12:00:00Z", kind="added", track_id=1, root="usb", path="b.mp3"
    )
    line = unstyled(answers.change_line(row))
    assert line.startswith("7  ")
    assert line.endswith("added     usb/b.mp3")


def test_an_equal_index_is_ok() -> None:
    report = VerifyReport(ok=True, checked=10_000, pending=1)
    assert bare(answers.verify_lines(report)) == [
        "ok: 10 000 files checked, index equals disk",
        "1 file pending, left out: not indexed yet",
    ]


def test_differences_are_listed_before_they_are_counted() -> None:
    stale = Difference(root="music", path="a.mp3", kind="stale", detail="size 3, not 4")
    report = VerifyReport(ok=False, checked=2, pending=0, differences=(stale,))
    assert bare(answers.verify_lines(report)) == [
        "music/a.mp3  stale  size 3, not 4",
        "1 difference, 2 files checked; indexer scan brings the index up to date",
    ]


def test_tags_that_differ_below_one_stamp_are_mended_by_a_rebuild() -> None:
    """After a change of the setting `keep_tags`, or one that the stamp does not show."""
    tags = Difference(root="music", path="a.mp3", kind="tags", detail="title is 'a', not 'b'")
    report = VerifyReport(ok=False, checked=2, pending=0, differences=(tags,))
    assert bare(answers.verify_lines(report))[-1] == (
        "1 difference, 2 files checked; indexer rebuild reads all files again; a scan takes those"
        " of other tags for unchanged"
    )


def test_nothing_is_ok_while_a_root_is_offline() -> None:
    report = VerifyReport(ok=True, checked=2, pending=0, offline=("usb: not mounted",))
    assert bare(answers.verify_lines(report)) == [
        "2 files checked, no difference among the files that could be checked"
    ]


def found(**fields: object) -> dict[str, Any]:
    return {"root": "music", "path": "d/01.mp3", "artist": None, "title": "Song", **fields}


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            found(artist="Ida", album="Debut", year=1993),
            "Ida \N{EN DASH} Song  (Debut, 1993)  music/d/01.mp3",
        ),
        (found(album="Debut", year=None), "Song  (Debut)  music/d/01.mp3"),
        (found(title="a\x9bb", path="\ufffd", path_b64="/w=="), r"a\x9bb  music/\xff"),
    ],
)
def test_a_found_track_is_told_as_far_as_it_is_known(row: dict[str, Any], line: str) -> None:
    assert unstyled(answers.search_line(row)) == line


def test_a_shown_track_has_units_and_no_blanks() -> None:
    row = found(
        size=96_000,
        artist="Ida; Bo",
        artists=["Ida", "Bo"],
        album=None,
        duration=225.2,
        bitrate=320_499,
        sample_rate=44_100,
        bit_depth=16,
        has_picture=1,
        guessed=0,
    )
    assert bare(answers.show_lines(row)) == [
        "path         music/d/01.mp3",
        "artist       Ida; Bo",
        "title        Song",
        "size         96 KB",
        "duration     3:45",
        "bitrate      320 kbit/s",
        "sample_rate  44 100 Hz",
        "bit_depth    16 bit",
        "has_picture  yes",
        "guessed      no",
    ]


def test_a_file_in_problems_shows_why() -> None:
    row = {"root": "music", "path": "a", "problem": {"kind": "content", "reason": "empty\nfile"}}
    assert bare(answers.show_lines(row)) == [
        "path     music/a",
        r"problem  empty\nfile",
    ]


def test_a_repair_says_that_it_counts_missing_tracks_too() -> None:
    (line,) = answers.repair_lines(RepairReport(tracks=1996))
    rows = "1 996 tracks, missing and unreadable ones included"
    assert line == f"nothing to repair: the index is sound ({rows})"
