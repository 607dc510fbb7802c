"""The wall of albums: facets, counts and orders are those of the index."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from indexer.library import Library
from indexer.settings import Settings
from indexer.web.shelf import Directory, Shelf
from tests.corpus import plant, tagged

TREE: dict[str, dict[str, Any]] = {
    "A/One/1.mp3": {"artist": "Zoe", "album": "One", "date": "1994", "genre": "Folk"},
    "A/One/2.mp3": {"artist": "Zoe", "album": "One", "date": "1994", "genre": "Jazz"},
    "A/Two/1.flac": {"artist": "Ádám", "album": "Two", "date": "1999", "genre": "Folk"},
    "A/Three/1.flac": {"artist": "Bea", "album": "Three"},
}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    for path, tags in TREE.items():
        plant(tmp_path / "Music", {path: tagged(Path(path).suffix, **tags)})
    with Library(Settings(db=tmp_path / "library.db")) as library:
        library.rebuild([os.fsencode(tmp_path / "Music")])
        yield library


def titles(library: Library, ids: Sequence[int]) -> list[str]:
    known: dict[Any, Any] = dict(library.connection.execute("SELECT id, title FROM albums"))
    return [known[one] for one in ids]


def chosen(library: Library, order: str = "artist", **wanted: str) -> list[str]:
    return titles(library, Shelf(library.connection).chosen(wanted, order, 0, 60).ids)


def test_orders_go_by_folded_names(library: Library) -> None:
    assert chosen(library) == ["Two", "Three", "One"]
    assert chosen(library, "title") == ["One", "Three", "Two"]
    assert chosen(library, "year") == ["Two", "One", "Three"]


def test_facets_choose_together(library: Library) -> None:
    assert chosen(library, genre="Folk") == ["Two", "One"]
    assert chosen(library, genre="Folk", format="mp3") == ["One"]
    assert chosen(library, decade="1990s", genre="Jazz") == ["One"]
    assert chosen(library, cover="yes") == []
    assert chosen(library, genre="no such") == []
    assert chosen(library, decade="no such") == []


def test_each_value_tells_how_many_albums_there_would_be(library: Library) -> None:
    facets = Shelf(library.connection).chosen({"genre": "Jazz"}, "artist", 0, 60).facets
    assert facets["genre"] == [("Folk", 2), ("Jazz", 1)]
    assert facets["format"] == [("mp3", 1)]
    assert facets["decade"] == [("1990s", 1)]
    assert facets["cover"] == [("no", 1)]


def test_an_album_of_several_genres_is_counted_once_in_each(library: Library) -> None:
    facets = Shelf(library.connection).chosen({}, "artist", 0, 60).facets
    assert facets["genre"] == [("Folk", 2), ("Jazz", 1)]
    assert facets["decade"] == [("1990s", 2), ("unknown", 1)]


def test_a_page_is_a_part_and_the_total_is_all(library: Library) -> None:
    found = Shelf(library.connection).chosen({}, "artist", 1, 1)
    assert (titles(library, found.ids), found.total) == (["Three"], 3)


def test_an_empty_index_has_an_empty_shelf(tmp_path: Path) -> None:
    (tmp_path / "Music").mkdir()
    with Library(Settings(db=tmp_path / "empty.db")) as library:
        library.rebuild([os.fsencode(tmp_path / "Music")])
        assert Shelf(library.connection).chosen({}, "newest", 0, 60).total == 0


def artists(library: Library, letter: str = "") -> list[tuple[str, int]]:
    directory = Directory(library.connection)
    rows = directory.rows(library.connection, directory.of_letter(letter))
    return [(name, tracks) for _, name, tracks in rows]


def test_artists_stand_under_their_first_letter(library: Library) -> None:
    assert Directory(library.connection).letters == ["A", "B", "Z"]
    assert artists(library) == [("Ádám", 1), ("Bea", 1), ("Zoe", 2)]
    assert artists(library, "Z") == [("Zoe", 2)]
    assert artists(library, "Q") == []


def test_an_artist_that_left_since_is_left_out(library: Library, tmp_path: Path) -> None:
    directory = Directory(library.connection)
    os.unlink(tmp_path / "Music" / "A" / "Three" / "1.flac")
    library.scan()
    rows = directory.rows(library.connection, directory.of_letter(""))
    assert [name for _, name, _ in rows] == ["Ádám", "Zoe"]
