from __future__ import annotations

from pathlib import Path

import pytest

from indexer.library import Library
from tests.trees import (
    BAD,
    Plant,
    faults,
    ids,
    put,
    song,
    titles,
    told,
)


def test_a_file_that_comes_back_whole_keeps_its_id_and_is_not_opened(
    library: Library, plant: Plant, music: Path, tmp_path: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/bad.mp3": BAD})
    library.scan()
    before = ids(library)
    (music / "A").rename(tmp_path / "aside")
    report = library.scan()
    assert report.missing == 1
    assert (list(library.problems()), titles(library)) == ([], {})
    (tmp_path / "aside").rename(music / "A")
    report = library.scan()
    assert (report.returned, report.added, report.problems) == (1, 0, 1)
    assert report.files_read == 1, "only the one whose refusal was forgotten"
    assert ids(library) == before
    assert [kind for kind, path in told(library)] == ["added", "missing", "returned"]


def test_a_file_that_comes_back_elsewhere_keeps_its_id(
    library: Library, plant: Plant, music: Path, tmp_path: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    library.scan()
    before = ids(library)
    (music / "A").rename(tmp_path / "aside")
    library.scan()
    (tmp_path / "aside").rename(music / "Z")
    report = library.scan()
    assert (report.returned, report.files_read) == (1, 0)
    assert ids(library) == {"Z/1.mp3": before["A/1.mp3"]}


@pytest.mark.parametrize("chunk_files", [1, 200])
def test_a_file_at_the_old_path_of_a_returned_file_is_another_track(
    library: Library, plant: Plant, music: Path, tmp_path: Path
) -> None:
    """Both would match its row: one by its inode, the other by its path."""
    plant({"b.mp3": song("Old")})
    library.scan()
    before = ids(library)
    (music / "b.mp3").rename(tmp_path / "aside")
    library.scan()
    (tmp_path / "aside").rename(music / "z.mp3")
    plant({"b.mp3": song("New", artist="Somebody else")})
    library.scan()
    assert titles(library) == {"b.mp3": "New", "z.mp3": "Old"}
    assert before["b.mp3"] in ids(library).values()
    assert faults(library) == []


def test_a_bad_file_whose_folder_is_renamed_stays_a_problem_and_out_of_the_view(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/bad.mp3": BAD})
    library.scan()
    (reason,) = (problem.reason for problem in library.problems())
    (music / "A").rename(music / "Z")
    assert library.scan().files_read == 0
    (problem,) = library.problems()
    assert (problem.path, problem.reason) == ("Z/bad.mp3", reason)
    assert titles(library) == {"Z/1.mp3": "One"}
    assert library.verify(deep=True).ok
    put(music, "Z/bad.mp3", song("Good"))
    assert library.scan().added == 1
    assert list(library.problems()) == []
