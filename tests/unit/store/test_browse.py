from __future__ import annotations

import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexer.library import Library
from indexer.stages import derive
from indexer.store.connection import open_index, write_transaction
from indexer.store.recovery.salvage import Salvage
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
        "SELECT id, title, tracks FROM albums ORDER BY id",
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
    assert ask(library, "SELECT name FROM catalog_artists") == [("Björk",)]
    assert ask(library, "SELECT name FROM genres") == [("Pop",)]
    assert ask(library, "SELECT DISTINCT title FROM catalog_albums") == [("Debut",)]
    assert faults(library) == []


ALIKE = ("Début", unicodedata.normalize("NFD", "Début"), "Début ", "\ufeffDébut", "DÉBUT")


def test_titles_that_look_alike_in_one_folder_are_one_album(library: Library, plant: Plant) -> None:
    plant({f"A/{n}.mp3": song(str(n), album=album) for n, album in enumerate(ALIKE)})
    plant({f"B/{n}.mp3": song(str(n), album=album) for n, album in enumerate(ALIKE[1:])})
    library.scan()
    assert [tracks for _, _, tracks in albums(library)] == [5, 4]
    assert faults(library) == []


def test_an_album_is_spelled_as_most_of_its_tracks_spell_it(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("1", album="debut"), "A/2.mp3": song("2", album="Debut")})
    library.scan()
    ((album_id, title, _),) = albums(library)
    assert title == "Debut"  # the first in the order of bytes
    plant({"A/3.mp3": song("3", album="debut")})
    library.scan()
    assert albums(library) == [(album_id, "debut", 3)]
    for number in (1, 3):
        (music / f"A/{number}.mp3").unlink()
    library.scan()
    assert albums(library) == [(album_id, "Debut", 1)]


def test_an_artist_is_spelled_as_most_tracks_spell_it_but_case_tells_artists_apart(
    library: Library, plant: Plant, music: Path
) -> None:
    def artists() -> list[Any]:
        return [name for (name,) in ask(library, "SELECT name FROM catalog_artists ORDER BY name")]

    plant({"1.mp3": song("1", artist="Muse "), "2.mp3": song("2", artist="muse")})
    library.scan()
    assert artists() == ["Muse ", "muse"]
    plant({"3.mp3": song("3", artist="Muse")})
    library.scan()
    assert artists() == ["Muse", "muse"]
    plant({"4.mp3": song("4", artist="Muse ")})
    library.scan()
    assert artists() == ["Muse ", "muse"]
    (music / "1.mp3").unlink()
    library.scan()
    assert artists() == ["Muse", "muse"]
    shown = ask(library, "SELECT artist FROM library ORDER BY path")
    assert shown == [("muse",), ("Muse",), ("Muse ",)]
    assert faults(library) == []


def test_a_repair_joins_the_same_spellings(library: Library, plant: Plant) -> None:
    tags = [("Début", "Muse"), (ALIKE[1], "Muse "), ("Début ", "Muse\u00a0"), ("Début", "Muse ")]
    plant({
        f"A/{n}.mp3": song(str(n), album=album, artist=artist, genre=f"{artist}x")
        for n, (album, artist) in enumerate(tags)
    })  # fmt: skip
    library.scan()
    tables = (
        "catalog_albums",
        "catalog_artists",
        "genres",
        "catalog_track_artists",
        "track_genres",
    )
    before = [ask(library, f"SELECT * FROM {table}") for table in tables]
    assert [len(rows) for rows in before[:3]] == [1, 1, 2]
    with (
        closing(open_index(library._settings.db, write=True)) as connection,
        write_transaction(connection),
    ):
        salvage = Salvage(connection)
        derive.catalogue(connection, derive.Known.of(salvage, connection), salvage)
    assert [ask(library, f"SELECT * FROM {table}") for table in tables] == before
