"""A file that is cut short stays a track, and is told of as damage."""

from __future__ import annotations

import os
from pathlib import Path

from indexer.library import Library
from tests.announced import flac, mp3
from tests.corpus import tagged
from tests.trees import Plant, ask, faults, put

PROBLEM = ("damage", "cut short: 5.0 of 25.4 KB are there")


def told(library: Library) -> dict[str, tuple[str, str]]:
    return {one.path: (one.kind, one.reason) for one in library.problems()}


def shorts(library: Library) -> dict[str, float | None]:
    return dict(ask(library, "SELECT path, short FROM library"))


def test_a_file_that_was_cut_stays_in_the_library_and_is_a_problem(
    library: Library, plant: Plant
) -> None:
    plant({"a/whole.mp3": mp3(), "b/cut.mp3": mp3()[:5000]})
    report = library.scan()
    assert (report.added, report.problems, report.damaged) == (2, 0, 1)
    assert shorts(library) == {"a/whole.mp3": None, "b/cut.mp3": 0.1966}
    assert told(library) == {"b/cut.mp3": PROBLEM}
    status = library.status()
    assert (status.tracks, status.problems, status.damaged) == (2, 0, 1)
    assert library.verify(deep=True).ok
    assert faults(library) == []


def test_what_is_known_of_it_is_shown_with_its_track(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"cut.mp3": mp3()[:5000]})
    library.scan()
    shown = library.show(os.fsencode(music / "cut.mp3"))
    assert shown is not None
    assert (shown["short"], shown["problem"]) == (
        0.1966,
        dict(zip(("kind", "reason"), PROBLEM, strict=True)),
    )


def test_the_damage_moves_with_its_file_and_goes_with_it(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": mp3()[:5000], "keep.mp3": mp3()})
    library.scan()
    (music / "a.mp3").rename(music / "b.mp3")
    library.scan()
    assert told(library) == {"b.mp3": PROBLEM}
    (music / "b.mp3").unlink()
    library.scan()
    assert (told(library), library.status().damaged) == ({}, 0)
    assert faults(library) == []


def test_a_whole_file_in_its_place_ends_the_damage(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": mp3()[:5000]})
    library.scan()
    put(music, "a.mp3", mp3())
    assert library.scan().damaged == 0
    assert (told(library), shorts(library)) == ({}, {"a.mp3": None})


def test_a_file_that_is_cut_where_it_is_is_modified(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.flac": flac()})
    library.scan()
    os.truncate(music / "a.flac", 60_000)
    report = library.scan()
    assert (report.modified, report.damaged) == (1, 1)
    assert [kind for kind, _ in told(library).values()] == ["damage"]


def test_of_ogg_the_least_that_is_missing_is_told(library: Library, plant: Plant) -> None:
    whole = tagged(".ogg", title="Hyperballad")
    plant({"a.ogg": whole[:-100]})
    library.scan()
    (reason,) = [reason for _, reason in told(library).values()]
    assert reason.startswith("cut short: ")
    assert " of at least " in reason


def test_a_track_of_a_root_that_is_removed_is_no_problem(library: Library, plant: Plant) -> None:
    plant({"a.mp3": mp3()[:5000]})
    library.scan()
    library.remove_root("music")
    assert (told(library), library.status().damaged) == ({}, 0)
