from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.library import Library
from indexer.model import Hint, Problem, ProblemKind
from indexer.store import problems
from indexer.store.connection import write_transaction
from tests.stage_harness import ByHand, refuse_folder
from tests.trees import (
    BAD,
    Plant,
    at,
    dump,
    faults,
    ids,
    put,
    song,
    titles,
    told,
)


def test_a_fifo_in_place_of_a_file_is_a_problem_and_never_opened(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    (music / "1.mp3").unlink()
    os.mkfifo(music / "1.mp3")
    report = library.scan()
    assert (report.problems, report.files_read) == (1, 0)
    assert told(library)[-1] == ("missing", "1.mp3")
    assert [problem.path for problem in library.problems()] == ["1.mp3"]
    assert library.scan().unchanged == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_no_row_goes_missing_below_a_folder_that_cannot_be_listed(
    library: Library,
    plant: Plant,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant({"A/1.mp3": song("One"), "A/b/2.mp3": song("Two"), "A/bad.mp3": BAD, "C.mp3": song("C")})
    library.scan()
    rows = titles(library)
    with monkeypatch.context() as patch:
        refuse_folder(patch, b"A", number)
        report = library.scan()
        assert (report.missing, report.problems, report.unchanged) == (0, 1, 1)
        assert titles(library) == rows
        assert [problem.path for problem in library.problems()] == ["A", "A/bad.mp3"]
        before = dump(library)
        library.scan()
        assert dump(library) == before, "the same trouble is written once"
    assert library.scan().unchanged == 4
    assert [problem.path for problem in library.problems()] == ["A/bad.mp3"]


@pytest.mark.parametrize("where", ["A/1.mp3", "A/b", "A/gone.mp3"])
def test_no_row_goes_missing_when_only_a_place_in_it_is_looked_at(
    library: Library, plant: Plant, music: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/b/2.mp3": song("Two"), "A/gone.mp3": song("Gone")})
    library.scan()
    (music / "A/gone.mp3").unlink()
    refuse_folder(monkeypatch, b"A")
    assert library.scan([at(music, where)]).missing == 0
    assert len(titles(library)) == 3


def test_a_bad_file_leaves_the_view_keeps_its_id_and_comes_back(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    before = ids(library)
    put(music, "1.mp3", BAD)
    assert library.scan().problems == 1
    (problem,) = library.problems()
    assert (problem.path, problem.kind) == ("1.mp3", "content")
    assert titles(library) == {}
    assert faults(library) == []
    put(music, "1.mp3", song("Two"))
    assert library.scan().returned == 1
    assert list(library.problems()) == []
    assert (ids(library), titles(library)) == (before, {"1.mp3": "Two"})
    assert [kind for kind, _ in told(library)] == ["added", "missing", "returned"]


def test_a_bad_file_that_was_never_good_is_added_when_it_becomes_so(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": BAD})
    report = library.scan()
    assert (report.problems, report.added, told(library)) == (1, 0, [])
    assert library.scan().files_read == 0
    put(music, "1.mp3", song("One"))
    assert library.scan().added == 1
    assert told(library) == [("added", "1.mp3")]


def test_a_bad_file_that_is_deleted_is_no_problem_any_more_and_was_never_there(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": BAD})
    library.scan()
    (music / "1.mp3").unlink()
    assert library.scan().missing == 0
    assert (list(library.problems()), told(library)) == ([], [])


def failing(number: int) -> object:
    def read(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return read


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM])
def test_trouble_of_the_machine_keeps_the_row_and_is_tried_again_at_every_scan(
    library: Library, plant: Plant, music: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"1.mp3": song("One"), "new.mp3": song("New")})
    with monkeypatch.context() as patch:
        library.scan([at(music, "1.mp3")])
        before = dump(library)["tracks"]
        put(music, "1.mp3", song("Two"))
        patch.setattr("indexer.stages.extract._Files._judge_and_read", failing(number))
        assert library.scan().problems == 2
        assert library.scan().problems == 2, "tried again"
        assert dump(library)["tracks"] == before
        assert {problem.kind for problem in library.problems()} == {"environment"}
        assert library.verify().ok
    report = library.scan()
    assert (report.modified, report.added) == (1, 1)
    assert list(library.problems()) == []
    assert titles(library) == {"1.mp3": "Two", "new.mp3": "New"}


def test_trouble_that_a_rebuild_met_is_tried_again_though_the_stamp_is_the_old_one(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"1.mp3": song("One"), "bad.mp3": BAD})
    library.scan()
    with monkeypatch.context() as patch:
        patch.setattr("indexer.stages.extract._Files._judge_and_read", failing(errno.EIO))
        assert library.rebuild().problems == 2
    report = library.scan()
    assert (report.files_read, report.problems) == (2, 1)
    assert [(problem.path, problem.kind) for problem in library.problems()] == [
        ("bad.mp3", "content")
    ]
    assert library.scan().files_read == 0


def test_a_look_at_a_folders_own_files_leaves_its_trouble_and_that_of_its_folders_alone(
    plant: Plant, by_hand: ByHand
) -> None:
    """Problems below an unlisted folder are kept, since anything there may have changed."""
    plant({"1.mp3": song("One"), "A/2.mp3": song("Two")})
    trouble = Problem(ProblemKind.ENVIRONMENT, "made up")
    (root_id,) = by_hand.trees
    with write_transaction(by_hand.connection):
        problems.put(by_hand.connection, root_id, b"A", trouble, None, 1)
        problems.put(by_hand.connection, root_id, b"", trouble, None, 1)
    scan = by_hand.scan(Hint(root_id))
    assert [plan.names for plan in scan.plans()] == [(b"1.mp3",)]
    assert scan.resolved_problems == []
    scan = by_hand.scan(Hint(root_id, recursive=True))
    assert [plan.names for plan in scan.plans()] == [(b"1.mp3", b"A/2.mp3")]
    assert set(scan.resolved_problems) == {b"", b"A"}


def test_the_trouble_of_a_folder_is_not_over_because_no_file_bears_its_name(
    plant: Plant, by_hand: ByHand
) -> None:
    """The requester could not see its type, and it was not scanned."""
    plant({"A/1.mp3": song("One")})
    trouble = Problem(ProblemKind.ENVIRONMENT, "made up")
    (root_id,) = by_hand.trees
    with write_transaction(by_hand.connection):
        problems.put(by_hand.connection, root_id, b"A", trouble, None, 1)
        problems.put(by_hand.connection, root_id, b"gone", trouble, None, 1)
    scan = by_hand.scan(Hint(root_id, names=(b"A", b"gone")))
    assert list(scan.plans()) == []
    assert scan.resolved_problems == [b"gone"]
    scan = by_hand.scan(Hint(root_id, b"A", recursive=True))
    assert [plan.names for plan in scan.plans()] == [(b"A/1.mp3",)]
    assert scan.resolved_problems == [b"A"]


def test_a_file_that_cannot_be_read_at_the_place_that_another_left_is_tried_again(
    library: Library, plant: Plant, music: Path, by_hand: ByHand
) -> None:
    """Two files swap names, and one of them is unreadable: no event would trigger a retry."""
    plant({"a.mp3": song("A"), "b.mp3": song("B")})
    library.scan()
    for old, new in (("a.mp3", "between"), ("b.mp3", "a.mp3"), ("between", "b.mp3")):
        os.rename(music / old, music / new)
    plan, row = by_hand.plan()
    ready = by_hand.read(plan)
    trouble = Problem(ProblemKind.ENVIRONMENT, "made up")
    findings = [
        replace(one, track=None, problem=trouble) if one.entry.path == b"b.mp3" else one
        for one in ready.findings
    ]
    by_hand.write(row, replace(ready, findings=tuple(findings)))
    assert [path for _, path, _ in problems.unreadable(by_hand.connection)] == [b"b.mp3"]
    library.scan()
    assert titles(library) == {"a.mp3": "B", "b.mp3": "A"}
    assert list(library.problems()) == []


def test_a_file_that_is_no_music_keeps_its_problem_when_its_folder_was_away_for_a_moment(
    library: Library, plant: Plant, music: Path, by_hand: ByHand
) -> None:
    """The scan did not find it, but it was there when it was to be marked missing."""
    plant({"A/bad.mp3": BAD})
    library.scan()
    (root_id,) = by_hand.trees
    (music / "A").rename(music.parent / "away")
    scan = by_hand.scan()
    assert list(scan.plans()) == []
    (music.parent / "away").rename(music / "A")
    assert by_hand.absence.mark_missing(scan.vanished, 1) == []
    by_hand.absence.note_folders(root_id, scan.unlisted, scan.resolved_problems, 1)
    assert [problem.path for problem in library.problems()] == ["A/bad.mp3"]
    assert list(faults(library)) == []
