from __future__ import annotations

from pathlib import Path

import pytest

from indexer.library import Library
from tests.trees import (
    BAD,
    Plant,
    ask,
    faults,
    put,
    song,
)


def albums(library: Library) -> list[tuple[int, str, int]]:
    """(id, title, number of tracks) of each album."""
    return ask(
        library,
        "SELECT albums.id, albums.title, count(*) FROM albums JOIN tracks ON album_id = albums.id "
        "GROUP BY albums.id ORDER BY albums.id",
    )


def test_a_compilation_is_one_album(library: Library, plant: Plant) -> None:
    plant({
        f"Best of/{artist}.mp3": song("Hit", artist=artist, album="Best of", compilation="1")
        for artist in ("Björk", "Jónsi", "múm")
    })  # fmt: skip
    library.scan()
    assert [(title, tracks) for _, title, tracks in albums(library)] == [("Best of", 3)]


def test_the_discs_of_an_album_are_one_album(library: Library, plant: Plant) -> None:
    plant({"A/CD 1/1.mp3": song("One"), "A/CD 2/1.mp3": song("Two"), "B/1.mp3": song("Three")})
    library.scan()
    assert [tracks for _, _, tracks in albums(library)] == [2, 1]


def test_an_album_that_moves_as_a_whole_keeps_its_id(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({f"A/{number}.mp3": song() for number in range(3)})
    library.scan()
    before = albums(library)
    (music / "A").rename(music / "B")
    library.scan()
    assert albums(library) == before


def test_an_album_that_is_renamed_in_all_its_tags_keeps_its_id(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({f"A/{number}.mp3": song(album="Debut") for number in range(3)})
    library.scan()
    ((album_id, _, _),) = albums(library)
    for number in range(3):
        put(music, f"A/{number}.mp3", song(album="Post"))
    library.scan()
    assert albums(library) == [(album_id, "Post", 3)]


def test_a_track_that_leaves_an_album_leaves_the_rest_of_it_there(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({f"A/{number}.mp3": song(album="Debut") for number in range(3)})
    library.scan()
    ((album_id, _, _),) = albums(library)
    put(music, "A/0.mp3", song(album="Post"))
    library.scan()
    assert albums(library) == [(album_id, "Debut", 2), (album_id + 1, "Post", 1)]


@pytest.mark.parametrize("how", ["retagged", "deleted", "bad"])
def test_artists_albums_and_genres_that_nothing_uses_are_gone(
    library: Library, plant: Plant, music: Path, how: str
) -> None:
    plant({
        "1.mp3": song(artist=["Björk", "Jónsi"], album="Once", genre="Noise", albumartist="Both"),
        "2.mp3": song(artist="Björk", album="Debut", genre="Pop", albumartist="Björk"),
    })  # fmt: skip
    library.scan()
    match how:
        case "retagged":
            put(music, "1.mp3", song(artist="Björk", album="Debut", genre="Pop"))
        case "deleted":
            (music / "1.mp3").unlink()
        case _:
            put(music, "1.mp3", BAD)
    library.scan()
    assert ask(library, "SELECT name FROM artists") == [("Björk",)]
    assert ask(library, "SELECT name FROM genres") == [("Pop",)]
    assert ask(library, "SELECT DISTINCT title FROM albums") == [("Debut",)]
    assert faults(library) == []
