"""Fifty kinds of oddities and more: each is a row or a problem, equal to mutagen, and read once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import mutagen
import pytest

from indexer.library import Library
from indexer.settings import Settings
from tests.integration.oddities import ODDITIES, Ends, Problem, Row, make
from tests.integration.test_mutagen_samples import mutagens
from tests.trees import ask, dump, faults

COMMENT_BYTES = 4096
OURS_ALONE = {b"F/adts.aac", b"F/really flac.mp3", b"F/really mp3.flac",
              b"T/lone surrogate.ape"}  # fmt: skip
"""What `mutagen.File` does not know: it lets the name and an ID3 tag mislead it, and refuses a file
for one item of its APE tag."""


class Place:
    """All oddities below one root, and an index that has seen them once."""

    def __init__(self, folder: Path, library: Library) -> None:
        self.music = folder / "R"
        self.ends = make(self.music)
        self.library = library
        library.add_root(os.fsencode(self.music))
        self.report = library.scan()

    @property
    def rows(self) -> dict[bytes, Row]:
        """What is shown, by path."""
        found = ask(
            self.library,
            "SELECT path, title, coalesce(artist, ''), album, suspect_encoding FROM tracks "
            "WHERE id IN (SELECT id FROM library)",
        )
        return {path: Row(*texts) for path, *texts in found}

    @property
    def problems(self) -> dict[bytes, str]:
        """What is not, and why; a bad picture in a track hides nothing of it."""
        told = "SELECT path, reason FROM problems WHERE kind <> 'picture'"
        return dict(ask(self.library, told))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("oddities")
    with Library(Settings(db=folder / "index" / "library.db", workers=1, still=0.05)) as library:
        yield Place(folder, library)


def test_each_ends_as_the_row_or_the_problem_that_it_should(place: Place) -> None:
    ended: dict[bytes, Ends] = {**dict.fromkeys(place.ends), **place.rows}
    for path, reason in place.problems.items():
        end = place.ends.get(path)
        right = isinstance(end, Problem) and end.words in reason
        ended[path] = end if right else Problem(reason)
    different = {
        path: (end, place.ends.get(path))
        for path, end in ended.items()
        if end != place.ends.get(path)
    }
    assert different == {}
    assert len(ended) == len(place.ends) > 100
    assert place.report.seen == place.report.added + place.report.problems - 1, "a bad line"


def test_what_mutagen_reads_is_what_stands_in_the_index(place: Place) -> None:
    """Where it finds no text, ours is a guess; a file that it refuses is a problem."""
    different: dict[bytes, tuple[object, object]] = {}
    compared = 0
    for path, end in place.ends.items():
        whole = place.music / os.fsdecode(path)
        if not whole.is_file() or end is None or b".indexignore" in path:
            continue
        theirs = _read(whole)
        ours = None if isinstance(end, Problem) else (end.title, end.artist, end.album)
        guessed = theirs and ours and tuple(map(_first_filled, theirs, ours))
        compared += 1
        if ours != (guessed or theirs):
            different[path] = (ours, theirs)
    assert {path for path, (_, theirs) in different.items() if theirs is None} == OURS_ALONE
    assert different.keys() == OURS_ALONE
    assert compared > 70


def _read(path: Path) -> tuple[str, str, str] | None:
    try:
        found = mutagens(path)
    except mutagen.MutagenError:
        return None
    return None if found is None else found[:3]


def _first_filled(theirs: str, ours: str) -> str:
    return theirs if theirs.strip(" \0") else ours


def test_a_second_scan_opens_nothing_and_writes_nothing(place: Place) -> None:
    before = dump(place.library)
    again = place.library.scan()
    assert (again.files_read, again.bytes_read, again.pending) == (0, 0, 0)
    assert again.unchanged == again.seen == place.report.seen
    assert dump(place.library) == before


def test_index_equals_disk_and_reading_all_again_changes_nothing(place: Place) -> None:
    verdict = place.library.verify(deep=True)
    assert verdict.ok, verdict.differences
    assert verdict.checked == place.report.seen
    before = place.rows, place.problems
    report = place.library.rebuild()
    assert (report.files_read, report.modified) == (place.report.files_read, 0)
    assert (place.rows, place.problems) == before
    assert faults(place.library) == []


def test_of_a_comment_of_a_megabyte_four_kilobytes_are_kept(place: Place) -> None:
    (kept,) = ask(place.library, "SELECT max(length(CAST(comment AS BLOB))) FROM library")
    assert kept == (COMMENT_BYTES,)


def test_the_literal_holds_them_all() -> None:
    kinds = {type(made).__name__ for made, _ in ODDITIES.values()}
    assert kinds == {"bytes", "NoneType", "Link", "HardLink", "Special", "Zeros"}
