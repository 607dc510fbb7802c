"""What nobody wants: by its name, by an ignore file, by a setting; and when that changes (R13)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from indexer.library import Library
from indexer.settings import Settings
from tests.trees import Plant, assert_settled, ids, newest_change, song, titles, told

Reopen = Callable[..., Library]

NOBODY_WANTS: dict[str, str] = {
    # network storage: thumbnails, bins, snapshots
    "A/@eaDir/1.mp3/SYNOAUDIO_01APIC_03.mp3": "Synology's index",
    "@tmp/upload.mp3": "Synology's uploads",
    "#recycle/deleted.mp3": "Synology's bin",
    "A/#snapshot/daily/1.mp3": "Synology's snapshots",
    "A/.@__thumb/default1.mp3": "QNAP's thumbnails",
    "@Recycle/deleted.mp3": "QNAP's bin",
    "@Recently-Snapshot/1.mp3": "QNAP's snapshots",
    ".zfs/snapshot/monday/1.mp3": "ZFS's snapshots",
    ".snapshots/1/snapshot/1.mp3": "snapper's snapshots",
    # what systems leave on every disk
    "$RECYCLE.BIN/S-1-5-21/$R1.mp3": "the bin of Windows",
    "RECYCLER/S-1-5-21/Dc1.mp3": "the bin of old Windows",
    "System Volume Information/1.mp3": "Windows",
    ".Trash-1000/files/1.mp3": "the bin of Linux desktops",
    "lost+found/#12.mp3": "fsck",
    ".AppleDouble/1.mp3": "netatalk",
    "A/._1.mp3": "the resource fork of macOS",
    "A/.hidden.mp3": "a hidden file",
    "A/.hidden/1.mp3": "a hidden folder",
    # what is not whole yet, or was once
    ".stfolder/1.mp3": "Syncthing's mark",
    ".stversions/A/1~20240101-120000.mp3": "Syncthing's old versions",
    "A/.syncthing.1.mp3.tmp": "Syncthing's temporary file",
    "A/.1.mp3.Xy12zQ": "rsync's temporary file",
    "A/.rsync-partial/1.mp3": "rsync's partial files",
    "A/.~tmp~/1.mp3": "rsync's delayed updates",
    "1.mp3.part": "Firefox",
    "2.mp3.crdownload": "Chrome",
    "3.mp3.opdownload": "Opera",
    "4.mp3.download/4.mp3": "Safari",
    "5.mp3.partial": "Edge",
    "6.mp3.aria2": "aria2",
    "7.mp3.!qB": "qBittorrent",
}
"""Path -> whose it is. Each holds a song that could be read."""

ALMOST: tuple[str, ...] = (
    "A/eaDir/1.mp3", "A/@eaDir 2/1.mp3", "#recycled/1.mp3", "#1.mp3", "@home/1.mp3", "$1.mp3",
    "Trash-1000/1.mp3", "lost+found 2/1.mp3", "recycle.bin/1.mp3", "snapshots/1.mp3", "_1.mp3",
    "A/1.part.mp3", "1.download.mp3", "~1.mp3",
)  # fmt: skip
"""What looks like those, and is music."""


@pytest.fixture
def reopened(library: Library, settings: Settings) -> Iterator[Reopen]:
    """`reopened(hidden=True)`: the index of `library` under changed settings."""
    assert library.status().roots
    with ExitStack() as stack:
        yield lambda **changed: stack.enter_context(
            Library(msgspec.structs.replace(settings, **changed))
        )


def shows(library: Library, *paths: str) -> None:
    """A scan opens nothing, and then just these stand in the view."""
    assert library.scan().files_read == 0
    assert set(titles(library)) == set(paths)


# ---- names


def test_what_nobody_wants_is_not_looked_at(library: Library, plant: Plant) -> None:
    plant(dict.fromkeys(NOBODY_WANTS, song()))
    plant(dict.fromkeys(ALMOST, song()))
    report = library.scan()
    assert set(titles(library)) == set(ALMOST)
    assert (report.seen, report.problems) == (len(ALMOST), 0)
    assert_settled(library)


@pytest.mark.parametrize("path", [name for name in NOBODY_WANTS if not name.startswith("A/.")])
def test_naming_what_nobody_wants_does_not_bring_it_in(
    library: Library, plant: Plant, music: Path, path: str
) -> None:
    plant({path: song()})
    for place in (path, os.path.dirname(path)):
        assert library.scan([os.fsencode(music / place)]).added == 0
    assert titles(library) == {}


# ---- .indexignore


def test_an_ignore_file_in_any_folder_rules_below_it_and_a_deeper_one_overrules_it(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({
        "A/1.mp3": song("One"), "A/live/2.mp3": song("Two"), "A/live/best.mp3": song("Best"),
        "A/demo/3.mp3": song("Three"), "A/demo/keep/4.mp3": song("Four"),
        "B/live/5.mp3": song("Five"), "B/1.mp3": song("Six"),
    })  # fmt: skip
    library.scan()
    before, everything = ids(library), titles(library)
    (music / ".indexignore").write_bytes(b"# what is not for the car\n\n1.mp3\n/A/live/\n")
    shows(library, "A/demo/3.mp3", "A/demo/keep/4.mp3", "B/live/5.mp3")
    (music / "A/.indexignore").write_bytes(b"!1.mp3\ndemo/*\n!demo/keep/\n")
    shows(library, "A/1.mp3", "A/demo/keep/4.mp3", "B/live/5.mp3")
    (music / ".indexignore").write_bytes(b"1.mp3\n/A/live/*\n!best.mp3\n")
    shows(library, "A/1.mp3", "A/live/best.mp3", "A/demo/keep/4.mp3", "B/live/5.mp3")
    (music / "A/.indexignore").unlink()
    (music / ".indexignore").unlink()
    shows(library, *map(str, everything))
    assert titles(library) == everything
    assert ids(library) == before
    assert_settled(library)


def test_what_is_ignored_leaves_and_returns_with_its_id_and_is_not_read_again(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.flac.mp3": song("Two"), "B/3.mp3": song("Three")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    (music / "A/.indexignore").write_bytes(b"*\n")
    report = library.scan()
    assert (report.missing, report.files_read) == (2, 0)
    (music / "A/.indexignore").write_bytes(b"2*\n")
    report = library.scan()
    assert (report.returned, report.files_read) == (1, 0)
    (music / "A/.indexignore").rename(music / "A/no more")
    report = library.scan()
    assert (report.returned, report.files_read) == (1, 0)
    assert ids(library) == before
    assert told(library, seq) == [
        ("missing", "A/1.mp3"), ("missing", "A/2.flac.mp3"),
        ("returned", "A/1.mp3"), ("returned", "A/2.flac.mp3"),
    ]  # fmt: skip


def test_an_ignore_file_moves_with_its_folder(library: Library, plant: Plant, music: Path) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "A/.indexignore": b"2*\n"})
    library.scan()
    before = ids(library)
    (music / "A").rename(music / "B")
    shows(library, "B/1.mp3")
    assert ids(library) == {"B/1.mp3": before["A/1.mp3"]}
    assert_settled(library)


def test_naming_an_ignore_file_looks_at_all_it_rules(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/b/2.mp3": song("Two"), "B/2.mp3": song("Three")})
    library.scan()
    (music / "A/.indexignore").write_bytes(b"2*\n")
    library.scan([os.fsencode(music / "A/.indexignore")])
    assert set(titles(library)) == {"A/1.mp3", "B/2.mp3"}
    (music / "A/.indexignore").unlink()
    library.scan([os.fsencode(music / "A/.indexignore")])
    assert set(titles(library)) == {"A/1.mp3", "A/b/2.mp3", "B/2.mp3"}


def test_a_bad_line_is_a_problem_at_its_file_until_it_is_mended_and_the_others_hold(
    library: Library, plant: Plant, music: Path
) -> None:
    names = ["A/#1.mp3", "A/(2).mp3", "A/3.mp3", "A/Z.mp3", "A/z/4.mp3"]
    plant({**dict.fromkeys(names, song()), "A/no.mp3": song("No")})
    plant({"A/.indexignore": b"no*\n\\\n!\n"})
    report = library.scan()
    assert set(titles(library)) == set(names)
    (problem,) = library.problems()
    assert (problem.path, problem.kind) == ("A/.indexignore", "content")
    assert "line 2: " in problem.reason
    assert report.problems == 1
    assert_settled(library)
    assert [one.reason for one in library.problems()] == [problem.reason]
    library.scan([os.fsencode(music / "A/.indexignore")])
    library.scan([os.fsencode(music / "A/3.mp3")])
    assert [one.reason for one in library.problems()] == [problem.reason]

    (music / "A/.indexignore").write_bytes(b"no*\n")
    library.scan()
    assert list(library.problems()) == []
    assert set(titles(library)) == set(names)


def test_no_pattern_stops_a_scan_and_what_is_not_obeyed_is_a_problem_with_its_line(
    library: Library, plant: Plant
) -> None:
    odd = b"[2019-10] Bootlegs/\n" + b"*a" * 10 + b"b\n" + b"**/a/" * 10 + b"b\n[z-a\n\xff[[:x:]]\n"
    plant({"A/.indexignore": odd, f"A/{'a' * 100}.mp3": song(), "A/9 Bootlegs/1.mp3": song()})
    plant({"B/.indexignore": b"no.mp3\n" + b"#" * 300_000, "B/1.mp3": song(), "B/no.mp3": song()})
    library.scan()
    assert set(titles(library)) == {f"A/{'a' * 100}.mp3", "B/1.mp3"}
    told = {problem.path: problem.reason for problem in library.problems()}
    assert set(told) == {"A/.indexignore", "B/.indexignore"}
    assert told["A/.indexignore"].startswith("line 4: ")
    assert "; line 5: " in told["A/.indexignore"]
    assert told["B/.indexignore"].startswith("line 2: ")
    assert_settled(library)
    plant({"C/.indexignore": b"a*b\n[\n"})
    (difference,) = (one for one in library.verify().differences if one.kind == "unlisted")
    assert difference.detail.startswith("line 2: ")


def test_an_ignore_file_of_windows_is_understood(library: Library, plant: Plant) -> None:
    plant({"A/1.mp3": song(), "A/2.mp3": song(), "A/3.mp3": song()})
    plant({"A/.indexignore": b"\xef\xbb\xbf1.mp3\r\n2.mp3\r\n"})
    library.scan()
    assert set(titles(library)) == {"A/3.mp3"}


def test_what_is_no_file_of_its_name_rules_nothing(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/.indexignore/": None, "A/1.mp3": song(), "B/1.mp3": song(), "C/1.mp3": song()})
    plant({"all": b"*\n", "D/.nomedia/": None, "D/1.mp3": song()})
    (music / "B/.indexignore").symlink_to("../all")
    os.mkfifo(music / "C/.indexignore")
    library.scan()
    assert set(titles(library)) == {"A/1.mp3", "B/1.mp3", "C/1.mp3", "D/1.mp3"}
    assert_settled(library)


# ---- .nomedia


def test_an_empty_nomedia_takes_its_folder_out_and_gives_it_back(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/b/2.mp3": song("Two"), "B/3.mp3": song("Three")})
    library.scan()
    before = ids(library)
    (music / "A/.nomedia").touch()
    shows(library, "B/3.mp3")
    (music / "A/b/.indexignore").write_bytes(b"!*\n")
    shows(library, "B/3.mp3")
    library.scan([os.fsencode(music / "A/1.mp3"), os.fsencode(music / "A/b")])
    assert set(titles(library)) == {"B/3.mp3"}
    (music / "A/.nomedia").write_bytes(b"a text")
    shows(library, "A/1.mp3", "A/b/2.mp3", "B/3.mp3")
    (music / "A/.nomedia").unlink()
    shows(library, "A/1.mp3", "A/b/2.mp3", "B/3.mp3")
    assert ids(library) == before
    assert_settled(library)


def test_a_nomedia_in_the_root_empties_the_index_and_loses_nothing(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "2.mp3": song("Two")})
    library.scan()
    before = ids(library)
    (music / ".nomedia").touch()
    shows(library)
    (music / ".nomedia").unlink()
    shows(library, "A/1.mp3", "2.mp3")
    assert ids(library) == before


def test_what_moves_out_of_an_ignored_folder_is_the_track_it_was(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    library.scan()
    before = ids(library)
    (music / "A/.nomedia").touch()
    shows(library)
    shutil.move(music / "A/1.mp3", music / "1.mp3")
    library.scan()
    assert ids(library) == {"1.mp3": before["A/1.mp3"]}


# ---- settings


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"ignored_names": ("Pod*",)}, {"A/1.mp3", "A/2.flac.mp3", "lost+found/3.mp3"}),
        ({"ignored_names": ()}, {"A/1.mp3", "A/2.flac.mp3", "Podcasts/4.mp3", "lost+found/3.mp3"}),
        ({"hidden": True}, {"A/1.mp3", "A/2.flac.mp3", "Podcasts/4.mp3", ".a/5.mp3", ".6.mp3"}),
        ({"suffixes": (".flac", ".ogg")}, set()),
    ],
    ids=["other names", "no names", "hidden", "other suffixes"],
)
def test_a_changed_setting_is_obeyed_by_the_next_scan(
    library: Library, reopened: Reopen, plant: Plant, changed: dict[str, object], shown: set[str]
) -> None:
    plant({
        "A/1.mp3": song("One"), "A/2.flac.mp3": song("Two"), "lost+found/3.mp3": song("Three"),
        "Podcasts/4.mp3": song("Four"), ".a/5.mp3": song("Five"), ".6.mp3": song("Six"),
        "._7.mp3": song("Seven"),
    })  # fmt: skip
    library.scan()
    first = ids(library)
    assert set(first) == {"A/1.mp3", "A/2.flac.mp3", "Podcasts/4.mp3"}
    other = reopened(**changed)
    report = other.scan()
    assert set(titles(other)) == shown
    assert (report.missing, report.files_read) == (len(first.keys() - shown), report.added)
    assert_settled(other)
    assert library.scan().files_read == 0
    assert ids(library) == first
    assert_settled(library)
