from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.engine import read_jobs
from indexer.library import Library
from indexer.model import RowState
from indexer.settings import Settings
from indexer.stages.moves import identify
from tests.stage_harness import PoolHere, refuse_folder
from tests.trees import (
    Plant,
    at,
    entry,
    ids,
    known,
    newest_change,
    put_in_disguise,
    replayed,
    shown,
    song,
    swap,
    titles,
    told,
)

HERE = known(b"a.mp3", 7, track_id=1)
GONE = known(b"a.mp3", 7, track_id=2, place=RowState.MISSING)
MOVER = known(b"b.mp3", 1, track_id=3)
OTHER_MOVER = known(b"c.mp3", 1, track_id=4)
FILE = entry(b"a.mp3", 1)

both_chunk_sizes = pytest.mark.parametrize("chunk_files", [1, 200])


def test_a_file_with_the_inode_of_its_row_is_that_row_even_if_others_had_it() -> None:
    same = replace(HERE, stamp=FILE.stamp)
    assert identify(FILE, same, [MOVER], GONE) == same


def test_a_file_that_was_moved_over_another_is_the_one_that_moved() -> None:
    assert identify(FILE, HERE, [MOVER], None) == MOVER


def test_a_file_that_replaced_another_has_its_row() -> None:
    assert identify(FILE, HERE, [], None) == HERE


def test_several_candidates_leave_it_to_the_path() -> None:
    assert identify(FILE, HERE, [MOVER, OTHER_MOVER], None) == HERE
    assert identify(FILE, None, [MOVER, OTHER_MOVER], GONE) == GONE
    assert identify(FILE, None, [MOVER, OTHER_MOVER], None) is None


def test_a_path_that_was_left_takes_its_row_back() -> None:
    assert identify(FILE, None, [], GONE) == GONE


def test_an_unknown_file_is_new() -> None:
    assert identify(FILE, None, [], None) is None


def test_a_folders_rename_opens_no_file_and_keeps_ids(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "B.mp3": song("B")})
    library.scan()
    before = ids(library)
    (music / "A").rename(music / "Z")
    report = library.scan()
    assert (report.files_read, report.moved, report.unchanged) == (0, 2, 1)
    assert ids(library) == {
        "Z/1.mp3": before["A/1.mp3"], "Z/2.mp3": before["A/2.mp3"], "B.mp3": before["B.mp3"],
    }  # fmt: skip


@both_chunk_sizes
def test_a_files_rename_opens_it_once_and_is_told_as_a_move(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("A"), "b.mp3": song("B")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    (music / "a.mp3").rename(music / "z.mp3")
    report = library.scan()
    assert (report.files_read, report.moved, report.unchanged) == (1, 1, 1)
    assert told(library, seq) == [("moved", "z.mp3")]
    assert ids(library)["z.mp3"] == before["a.mp3"]


@both_chunk_sizes
def test_a_swap_of_two_names_is_two_moves(library: Library, plant: Plant, music: Path) -> None:
    plant({"a.mp3": song("A"), "b.mp3": song("B")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    swap(music, "a.mp3", "b.mp3")
    report = library.scan()
    assert (report.moved, report.missing, report.added) == (2, 0, 0)
    assert [kind for kind, _ in told(library, seq)] == ["moved", "moved"]
    assert ids(library) == {"a.mp3": before["b.mp3"], "b.mp3": before["a.mp3"]}
    assert titles(library) == {"a.mp3": "B", "b.mp3": "A"}


@both_chunk_sizes
def test_names_that_change_round_in_a_ring_are_moves(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({f"{name}.mp3": song(name) for name in "abc"})
    library.scan()
    before = ids(library)
    swap(music, "a.mp3", "b.mp3")
    swap(music, "b.mp3", "c.mp3")
    report = library.scan()
    assert (report.moved, report.missing) == (3, 0)
    assert ids(library) == {
        "a.mp3": before["b.mp3"], "b.mp3": before["c.mp3"], "c.mp3": before["a.mp3"],
    }  # fmt: skip


@both_chunk_sizes
@pytest.mark.parametrize(("source", "target"), [("a.mp3", "b.mp3"), ("b.mp3", "a.mp3")])
def test_a_file_moved_over_another_keeps_its_own_id_and_the_other_goes_missing(
    library: Library, plant: Plant, music: Path, source: str, target: str
) -> None:
    plant({source: song("Comes"), target: song("Goes")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    (music / source).rename(music / target)
    report = library.scan()
    assert (report.moved, report.missing) == (1, 1)
    assert ids(library) == {target: before[source]}
    assert titles(library) == {target: "Comes"}
    assert sorted(told(library, seq)) == [("missing", target), ("moved", target)]
    replayed(library.changes())


@both_chunk_sizes
@pytest.mark.parametrize(("source", "target"), [("a.mp3", "b.mp3"), ("b.mp3", "a.mp3")])
def test_the_row_of_a_file_follows_it_though_another_stands_at_its_old_name(
    library: Library, plant: Plant, music: Path, source: str, target: str
) -> None:
    plant({source: song("Goes on")})
    library.scan()
    before = ids(library)
    (music / source).rename(music / target)
    plant({source: song("Is new")})
    report = library.scan()
    assert (report.moved, report.added, report.modified) == (1, 1, 0)
    assert ids(library)[target] == before[source]
    assert ids(library)[source] > before[source]


def test_it_follows_it_in_whatever_order_readers_answer(
    library: Library, plant: Plant, music: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"a.mp3": song("Goes on")})
    library.scan()
    before = ids(library)
    (music / "a.mp3").rename(music / "b.mp3")
    plant({"a.mp3": song("Is new")})
    monkeypatch.setattr(read_jobs, "ReaderPool", PoolHere)
    monkeypatch.setattr(PoolHere, "choose", staticmethod(lambda held: held - 1))  # the last one
    with Library(replace(settings, small_work=0, chunk_files=1)) as hurried:
        assert hurried.scan().moved == 1
    assert ids(library)["b.mp3"] == before["a.mp3"]


def test_hard_links_are_two_tracks_and_no_move(library: Library, plant: Plant, music: Path) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    os.link(at(music, "a.mp3"), at(music, "b.mp3"))
    report = library.scan()
    assert (report.added, report.moved, report.missing) == (1, 0, 0)
    assert ids(library)["a.mp3"] == before["a.mp3"]
    assert titles(library) == {"a.mp3": "A", "b.mp3": "A"}


def test_two_new_names_for_one_file_that_left_are_no_move(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    os.link(at(music, "a.mp3"), at(music, "b.mp3"))
    (music / "a.mp3").rename(music / "c.mp3")
    report = library.scan()
    assert (report.added, report.moved, report.missing) == (2, 0, 1)
    assert before["a.mp3"] not in ids(library).values()


def test_one_new_name_for_two_that_left_is_no_move(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("A")})
    os.link(at(music, "a.mp3"), at(music, "b.mp3"))
    library.scan()
    os.link(at(music, "a.mp3"), at(music, "c.mp3"))
    (music / "a.mp3").unlink()
    (music / "b.mp3").unlink()
    report = library.scan()
    assert (report.added, report.moved, report.missing) == (1, 0, 2)


def test_a_copy_that_kept_its_times_is_the_track_when_its_source_is_gone(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    shutil.copy2(at(music, "a.mp3"), at(music, "b.mp3"))
    (music / "a.mp3").unlink()
    report = library.scan()
    assert (report.added, report.missing, report.moved) == (0, 0, 1)
    assert ids(library) == {"b.mp3": before["a.mp3"]}


def test_a_move_between_two_roots_keeps_the_id(
    library: Library, plant: Plant, music: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    library.add_root(os.fsencode(other))
    plant({"A/1.mp3": song("One")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    (music / "A").rename(other / "A")
    report = library.scan()
    assert (report.files_read, report.moved, report.missing) == (0, 1, 0)
    (change,) = library.changes(seq)
    assert (change.kind, change.old_root, change.root) == ("moved", "music", "other")
    assert shown(library, "A/1.mp3")["id"] == before["A/1.mp3"]


def test_a_move_with_new_tags_is_moved_and_then_modified(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("One")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    (music / "a.mp3").rename(music / "b.mp3")
    put_in_disguise(music, "b.mp3", song("Two"))
    report = library.scan()
    assert (report.moved, report.modified) == (1, 0)
    assert told(library, seq) == [("moved", "b.mp3"), ("modified", "b.mp3")]
    assert ids(library) == {"b.mp3": before["a.mp3"]}


def test_a_rename_that_only_changes_case_is_a_move(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    (music / "a.mp3").rename(music / "A.mp3")
    library.scan()
    assert ids(library) == {"A.mp3": before["a.mp3"]}


def test_a_folder_that_left_a_link_behind_has_moved(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    library.scan()
    before = ids(library)
    (music / "A").rename(music / "Z")
    (music / "A").symlink_to("Z")
    report = library.scan()
    assert (report.moved, report.missing, report.files_read) == (1, 0, 0)
    assert ids(library) == {"Z/1.mp3": before["A/1.mp3"]}


def test_a_row_whose_place_cannot_be_looked_at_has_not_left_it(
    library: Library, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until that is known its file is a new track; after that it never counts as moved."""
    plant({"A/1.mp3": song("One"), "B/2.mp3": song("Two")})
    library.scan()
    before = ids(library)
    (music / "A/1.mp3").rename(music / "B/1.mp3")
    refuse_folder(monkeypatch, b"A")
    report = library.scan()
    assert (report.moved, report.missing, report.added) == (0, 0, 1)
    assert ids(library)["A/1.mp3"] == before["A/1.mp3"]
    assert [problem.path for problem in library.problems()] == ["A"]
