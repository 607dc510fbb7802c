from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from indexer.engine import read_jobs
from indexer.engine.local import DaemonRun, LocalEngine
from indexer.faults import FaultStreak
from indexer.library import Library
from indexer.model import Hint, Problem, ProblemKind, Reading
from indexer.runs.result import EventFacts, Result
from indexer.settings import Settings
from indexer.stages import scan
from indexer.stages.batch import batch
from indexer.stages.scan import Scan, ScanOptions
from tests.stage_harness import ByHand, PoolHere
from tests.trees import (
    BAD,
    Plant,
    at,
    dump,
    faults,
    ids,
    newest_change,
    put,
    put_in_disguise,
    put_in_place_of,
    shown,
    song,
    titles,
    told,
)


def test_a_second_scan_changes_nothing(library: Library, plant: Plant) -> None:
    plant({"A/1.mp3": song("One"), "A/bad.mp3": BAD, b"\xff.flac": BAD})
    library.scan()
    before = dump(library)
    report = library.scan()
    assert (report.files_read, report.seen, report.unchanged) == (0, 3, 3)
    assert dump(library) == before


def test_a_scan_writes_its_own_row_and_no_other(library: Library, plant: Plant) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    assert library.scan().unchanged == 1
    newest = library.status().scans[0]
    assert (newest.state, newest.counts.unchanged, newest.counts.seen) == ("done", 1, 1)


def test_a_chmod_opens_the_file_counts_as_unchanged_and_tells_nothing(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    seq = newest_change(library)
    (music / "1.mp3").chmod(0o600)
    report = library.scan()
    assert (report.files_read, report.unchanged, report.modified) == (1, 1, 0)
    assert told(library, seq) == []
    assert library.scan().files_read == 0


def test_a_touch_is_unchanged_and_its_new_time_shows(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    os.utime(music / "1.mp3", ns=(5, 5))
    assert library.scan().unchanged == 1
    assert shown(library, "1.mp3")["mtime_ns"] == 5


def test_new_tags_show_though_size_and_time_are_the_old_ones(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    put_in_disguise(music, "1.mp3", song("Two"))
    report = library.scan()
    assert (report.files_read, report.modified) == (1, 1)
    assert (titles(library), ids(library)) == ({"1.mp3": "Two"}, before)
    assert told(library, seq) == [("modified", "1.mp3")]


def test_a_file_that_another_replaced_keeps_the_id_of_its_place(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    before = ids(library)
    put_in_place_of(music, "1.mp3", song("Two"))
    report = library.scan()
    assert (report.files_read, report.modified, report.moved) == (1, 1, 0)
    assert (titles(library), ids(library)) == ({"1.mp3": "Two"}, before)


@pytest.mark.parametrize("where", ["A/1.mp3", "A", ""])
def test_a_scan_of_one_place_sees_what_happened_there_and_nowhere_else(
    library: Library, plant: Plant, music: Path, where: str
) -> None:
    plant({"A/1.mp3": song("One"), "B/2.mp3": song("Two")})
    library.scan()
    put(music, "A/1.mp3", song("New one"))
    put(music, "B/2.mp3", song("New two"))
    report = library.scan([at(music, where).rstrip(b"/")])
    assert report.modified == (1 if where else 2)
    assert report.seen == (1 if where else 2)
    assert titles(library)["A/1.mp3"] == "New one"


@pytest.mark.parametrize("where", ["A/1.mp3", "A"])
def test_a_scan_of_a_place_that_is_gone_marks_what_was_there(
    library: Library, plant: Plant, music: Path, where: str
) -> None:
    plant({"A/1.mp3": song("One"), "B/2.mp3": song("Two")})
    library.scan()
    (music / "A/1.mp3").unlink()
    (music / "A").rmdir()
    assert library.scan([at(music, where)]).missing == 1
    assert titles(library) == {"B/2.mp3": "Two"}


def test_a_file_that_was_deleted_is_missing_and_its_row_stays(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    (music / "1.mp3").unlink()
    report = library.scan()
    assert (report.missing, report.files_read) == (1, 0)
    assert told(library) == [("added", "1.mp3"), ("missing", "1.mp3")]
    assert (titles(library), library.status().missing) == ({}, 1)
    assert faults(library) == []


@pytest.mark.parametrize("kind", ["folder", "symbolic link", "hidden", "other suffix"])
def test_a_name_that_no_wanted_file_bears_any_more_is_missing(
    library: Library, plant: Plant, music: Path, kind: str
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    path = music / "1.mp3"
    match kind:
        case "folder":
            path.unlink()
            path.mkdir()
        case "symbolic link":
            path.rename(music / ".1.mp3")
            path.symlink_to(".1.mp3")
        case "hidden":
            path.rename(music / ".1.mp3")
        case _:
            path.rename(music / "1.txt")
    report = library.scan()
    assert (report.missing, report.problems) == (1, 0)
    assert titles(library) == {}


def test_a_folder_with_an_audio_files_name_is_a_folder(library: Library, plant: Plant) -> None:
    plant({"x.mp3/1.mp3": song("One")})
    assert library.scan().problems == 0
    assert titles(library) == {"x.mp3/1.mp3": "One"}


@pytest.mark.parametrize("chunk_files", [5])
def test_an_album_is_not_cut_in_two_where_it_fits(plant: Plant, by_hand: ByHand) -> None:
    plant({f"{album}/{number}.mp3": song() for album in "abc" for number in range(4)})
    assert [len(plan.read) for plan in by_hand.scan().plans()] == [4, 4, 4]


@pytest.mark.parametrize("chunk_files", [1, 2, 5])
def test_no_plan_is_larger_than_a_chunk(plant: Plant, by_hand: ByHand, chunk_files: int) -> None:
    plant({f"{number:02}.mp3": song() for number in range(7)})
    plans = list(by_hand.scan().plans())
    assert max(len(plan.read) for plan in plans) == chunk_files
    assert [name for plan in plans for name in plan.names] == [b"%02d.mp3" % n for n in range(7)]


def test_a_scan_that_is_stopped_keeps_what_it_has_and_the_next_one_does_the_rest(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({f"{number}.mp3": song() for number in range(4)})
    left = iter([False, False])
    with Library(replace(settings, chunk_files=1)) as stoppable:
        report = stoppable.scan(stop=lambda: next(left, True))
        assert (report.interrupted, report.added) == (True, 3)
        assert library.status().pending
        assert library.status().scans[0].state == "interrupted"
        report = stoppable.scan()
    assert (report.added, report.unchanged, library.status().pending) == (1, 3, 0)


def test_what_ends_a_run_while_its_readers_are_ended_is_not_lost(
    library: Library, plant: Plant, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that takes too long to end is killed at any point."""

    class CutOffError(BaseException):
        pass

    class SlowToEnd(PoolHere):
        def __exit__(self, *_: object) -> None:
            raise CutOffError

    monkeypatch.setattr(read_jobs, "ReaderPool", SlowToEnd)
    plant({f"{number}.mp3": song() for number in range(4)})
    with (
        Library(replace(settings, chunk_files=1, small_work=0)) as stoppable,
        pytest.raises(CutOffError),
    ):
        stoppable.scan(stop=lambda: True)
    assert library.status().pending


@pytest.mark.parametrize("how", ["written", "unlinked"])
def test_a_name_that_a_daemons_look_at_all_has_passed_is_looked_at_if_its_file_changes(
    library: Library,
    plant: Plant,
    music: Path,
    by_hand: ByHand,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """The event comes from another link, which the scan has found in its new state."""
    changed = [f"b/{number}.mp3" for number in range(6)]
    plant({"c/": None} | {name: song() for name in ["a/a.mp3", *changed]})
    os.link(music / "a/a.mp3", music / "c/c.mp3")
    library.scan()
    plant({name: song("Again") for name in changed})

    def change_meanwhile() -> bool:
        with suppress(FileNotFoundError):
            (os.utime if how == "written" else os.unlink)(music / "c/c.mp3")
        return False

    monkeypatch.setattr(read_jobs, "ReaderPool", PoolHere)
    settings = replace(by_hand.settings, chunk_files=1, small_work=0, workers=1)
    engine = LocalEngine(
        by_hand.connection, by_hand.trees, settings, by_hand.wanted, Result(),
        stop=change_meanwhile, daemon=DaemonRun(EventFacts(), FaultStreak()),
    )  # fmt: skip
    engine.run([Hint(min(by_hand.trees), recursive=True)])
    assert engine.writer.links == {(min(by_hand.trees), b"a/a.mp3")}


def test_a_scan_of_one_file_leaves_hints_for_other_places_open(
    library: Library, plant: Plant, music: Path, settings: Settings
) -> None:
    plant({f"{number}.mp3": song() for number in range(4)})
    with Library(replace(settings, chunk_files=1)) as stoppable:
        stoppable.scan(stop=lambda: True)
    before = library.status().pending
    library.scan([at(music, "0.mp3")])
    assert 0 < library.status().pending <= before
    library.scan()
    assert library.status().pending == 0


def test_a_file_that_is_being_written_stays_pending_until_its_writer_is_gone(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    with (music / "1.mp3").open("ab"):
        report = library.scan()
        assert (report.added, report.pending) == (1, 1)
        assert titles(library) == {"2.mp3": "Two"}
        verified = library.verify()
        assert (verified.ok, verified.pending) == (True, 1)
    assert library.scan().pending == 0
    assert len(titles(library)) == 2
    assert library.status().pending == 0


def test_files_that_become_whole_while_a_scan_waits_are_all_read(
    library: Library, plant: Plant, music: Path, settings: Settings
) -> None:
    """Also for a file that is replaced meanwhile, which is planned last."""
    names = ["a/1.mp3", "a/2.mp3", "a/3.mp3", "a/4.mp3", "b/1.mp3", "c/1.mp3"]
    plant({name: song("Old") for name in names})
    library.scan()
    for name in names:
        put(music, name, song("New"))
    writers = [(music / name).open("ab") for name in names]
    polls = iter([False])

    def stop() -> bool:
        """Polled after the one chunk, and then each time before the engine asks again."""
        if next(polls, True) and writers:
            put_in_place_of(music, "c/1.mp3", song("New"))
            while writers:
                writers.pop().close()
        return False

    with Library(replace(settings, still=10.0)) as patient:
        report = patient.scan(stop=stop)
    assert (report.pending, report.modified) == (0, len(names))
    assert set(titles(library).values()) == {"New"}
    assert library.status().pending == 0


# ---- scans in slices


def scan_of(by_hand: ByHand, chunk_files: int = 200, **how: Any) -> Scan:
    hint = Hint(min(by_hand.trees), recursive=True)
    beside = {name: how.pop(name) for name in ("keep_on", "unfinished") if name in how}
    options = ScanOptions(chunk_files, **how)
    return Scan(by_hand.connection, by_hand.trees, hint, by_hand.wanted, options, **beside)


def test_a_scan_that_breathes_gives_a_sign_where_nothing_is_found_for_long(
    library: Library, plant: Plant, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({f"{number}.mp3": song() for number in range(9)})
    library.scan()
    monkeypatch.setattr(scan, "_REPORT_EVERY_FILES", 2)
    breathing = scan_of(by_hand, breathes=True)
    assert [plan.names for plan in breathing.plans()] == [()] * 5
    assert (breathing.seen, breathing.unchanged) == (9, 9)
    assert list(scan_of(by_hand).plans()) == []


@pytest.mark.parametrize("unfinished", [frozenset(), frozenset({b"not there"})], ids=repr)
def test_folders_without_music_are_counted_for_progress_too(
    library: Library, music: Path, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch,
    unfinished: frozenset[bytes],
) -> None:  # fmt: skip
    for number in range(9):
        (music / f"{number}").mkdir()
    assert library.status().roots
    monkeypatch.setattr(scan, "_REPORT_EVERY_FILES", 2)
    beats: list[bool] = []

    def keep_on() -> bool:
        beats.append(True)
        return len(beats) < 3

    assert list(scan_of(by_hand, unfinished=unfinished, keep_on=keep_on).plans()) == []
    assert len(beats) == 3, "and it ends when it is to stop"


def test_breaths_change_nothing_of_what_is_planned(
    library: Library, plant: Plant, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({f"{folder}/{number}.mp3": song() for folder in "AB" for number in range(9)})
    assert library.status().roots
    monkeypatch.setattr(scan, "_REPORT_EVERY_FILES", 2)
    still = [plan.names for plan in scan_of(by_hand, 4).plans()]
    for unfinished, breaths in ((frozenset(), 4), (frozenset({b"not there"}), 10)):
        breathing = [
            plan.names for plan in scan_of(by_hand, 4, breathes=True, unfinished=unfinished).plans()
        ]
        assert breathing.count(()) == breaths
        assert [names for names in breathing if names] == still


@pytest.mark.parametrize("chunk_files", [1, 2, 3, 5, 8, 100])
@pytest.mark.parametrize("chunk_bytes", [1, 165, 340, 600, 1000, sys.maxsize])
@pytest.mark.parametrize("least_files", [None, 4])
def test_the_plans_of_a_first_scan_are_those_of_one_that_compares(
    library: Library,
    plant: Plant,
    music: Path,
    by_hand: ByHand,
    chunk_files: int,
    chunk_bytes: int,
    least_files: int | None,
) -> None:
    """Without rows, the first scan counts by folder, not by file."""
    places = ["1", "2", "A/1", "A/2", "A/3", "A/b/1", "A/b/2", "A/c", "B/1", "B!/1", "B/b/c/1"]
    plant({f"{place}.mp3": song() for place in [*places, *(f"C/{n}" for n in range(20))]})
    os.mkfifo(music / "A/2b.mp3")
    assert library.status().roots
    cut = {"chunk_bytes": chunk_bytes, "least_files": least_files, "keep_folders": True}
    first = scan_of(by_hand, chunk_files, **cut)
    nobody_is_there = frozenset({b"not there"})
    compared = scan_of(by_hand, chunk_files, **cut, unfinished=nobody_is_there)
    assert list(first.plans()) == list(compared.plans())
    seen = [(one.seen, one.to_read, one.folders, one.unlisted) for one in (first, compared)]
    assert seen[0] == seen[1]


def test_a_first_scan_that_is_told_to_stop_stops(
    library: Library, plant: Plant, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({f"{folder}/{number}.mp3": song() for folder in "ABC" for number in range(4)})
    assert library.status().roots
    monkeypatch.setattr(scan, "_REPORT_EVERY_FILES", 4)
    beats = iter((True, True, False))
    stopped = scan_of(by_hand, 4, keep_on=lambda: next(beats))
    assert [len(plan.read) for plan in stopped.plans()] == [4]


def test_without_retries_a_file_that_the_machine_could_not_read_is_left_as_it_is(
    library: Library, plant: Plant, by_hand: ByHand
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    plan, row = by_hand.plan()
    readings = [
        Reading(path=path, problem=Problem(ProblemKind.ENVIRONMENT, "EIO")) for path in plan.names
    ]
    by_hand.write(row, batch(plan, readings))
    assert len(list(library.problems())) == 2
    again = scan_of(by_hand)
    assert [plan.names for plan in again.plans()] == [(b"1.mp3", b"2.mp3")]
    patient = scan_of(by_hand, retries_trouble=False)
    assert list(patient.plans()) == []
    assert (patient.seen, patient.unchanged, patient.resolved_problems) == (2, 2, [])


def test_without_retries_a_file_whose_bytes_were_refused_is_read_when_they_change(
    library: Library, plant: Plant, by_hand: ByHand, music: Path
) -> None:
    plant({"1.mp3": BAD})
    library.scan()
    assert list(scan_of(by_hand, retries_trouble=False).plans()) == []
    put(music, "1.mp3", song("One"))
    (plan,) = scan_of(by_hand, retries_trouble=False).plans()
    assert [entry.path for entry in plan.read] == [b"1.mp3"]


def test_a_scan_says_whether_anything_is_to_be_read_late(
    library: Library, plant: Plant, by_hand: ByHand, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    put_in_place_of(music, "1.mp3", song("Two"))
    looked = scan_of(by_hand)
    assert (list(looked.plans()), looked.has_late_plans) == ([], True)
    assert [plan.names for plan in looked.late_plans()] == [(b"1.mp3",)]


def test_a_first_scan_plans_no_file_that_was_read_meanwhile(
    library: Library, plant: Plant, music: Path, by_hand: ByHand
) -> None:
    """A worker scans for long, and what a daemon's event is about is read meanwhile."""
    plant({f"{folder}/{number}.mp3": song() for folder in "AB" for number in range(3)})
    assert library.status().roots
    first = scan_of(by_hand, 3)
    plans = first.plans()
    assert next(plans).names == (b"A/0.mp3", b"A/1.mp3", b"A/2.mp3")
    assert library.scan([os.fsencode(music / "B/1.mp3")]).files_read == 1
    assert [plan.names for plan in plans] == [(b"B/0.mp3", b"B/2.mp3")]
    assert (first.seen, first.unchanged, first.to_read) == (6, 1, 5)
