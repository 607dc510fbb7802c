"""A film without sound is neither a track nor a problem, and is read once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer.library import Library
from tests.mp4_files import mp4, numbers, track
from tests.trees import BAD, Plant, ask, faults, put, song, told

FILM = mp4(track(numbers(44_100), kind=b"vide"), brand=b"isom")
SOUND = mp4(track(numbers(44_100)), brand=b"isom")


def shown(library: Library) -> list[str]:
    return [path for (path,) in ask(library, "SELECT path FROM library ORDER BY path")]


def kinds_of(library: Library) -> list[str]:
    """The kinds of all changes so far."""
    return [kind for kind, _ in told(library)]


def test_it_is_read_once_and_told_of_nowhere(library: Library, plant: Plant) -> None:
    plant({"film.mp4": FILM, "a.mp3": song()})
    first = library.scan()
    assert (first.seen, first.added, first.unchanged, first.problems) == (2, 1, 1, 0)
    again = library.scan()
    assert (again.files_read, again.unchanged) == (0, 2)
    assert shown(library) == ["a.mp3"]
    assert ask(library, "SELECT * FROM problems") == []
    assert kinds_of(library) == ["added"]
    assert faults(library) == []
    assert not list(library.verify(deep=True).differences)


def test_it_stays_silent_where_it_is_moved_to(library: Library, plant: Plant, music: Path) -> None:
    plant({"film.mp4": FILM})
    library.scan()
    (music / "film.mp4").rename(music / "other.mp4")
    library.scan()
    assert (library.scan().files_read, shown(library)) == (0, [])
    (music / "other.mp4").unlink()
    library.scan()
    assert kinds_of(library) == []
    assert faults(library) == []


def test_one_that_gets_sound_becomes_a_track_and_leaves_when_it_loses_it(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"film.mp4": FILM})
    library.scan()
    put(music, "film.mp4", SOUND)
    assert library.scan().added == 1
    assert shown(library) == ["film.mp4"]
    put(music, "film.mp4", FILM)
    library.scan()
    assert (shown(library), kinds_of(library)) == ([], ["added", "missing"])
    put(music, "film.mp4", SOUND)
    library.scan()
    assert kinds_of(library) == ["added", "missing", "returned"]
    assert faults(library) == []


def test_its_problem_is_over_when_it_was_damaged_before(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"film.mp4": BAD})
    assert library.scan().problems == 1
    put(music, "film.mp4", FILM)
    library.scan()
    assert ask(library, "SELECT * FROM problems") == []
    put(music, "film.mp4", BAD)
    assert library.scan().problems == 1
    assert faults(library) == []


@pytest.mark.parametrize("name", ["film.m4a", "film.m4b"])
def test_a_name_that_promises_sound_makes_it_a_problem(
    library: Library, plant: Plant, name: str
) -> None:
    plant({name: FILM})
    assert library.scan().problems == 1
    ((reason,),) = ask(library, "SELECT reason FROM problems")
    assert "no audio track" in reason


def test_show_says_that_it_has_no_sound(library: Library, plant: Plant, music: Path) -> None:
    plant({"film.mp4": FILM})
    library.scan()
    assert library.show(os.fsencode(music / "film.mp4")) == {
        "root": "music",
        "path": "film.mp4",
        "has_audio": 0,
    }
