from __future__ import annotations

import pytest
from msgspec.structs import replace

from indexer.store import catalog, tracks
from indexer.store import names as names_of_kind
from indexer.store.catalog import Catalog
from indexer.store.connection import Connection, select
from indexer.store.schema.roles import Role
from tests.trees import known


@pytest.fixture(autouse=True)
def _root(root_id: int) -> None:
    assert root_id == 1


@pytest.fixture
def names(connection: Connection) -> Catalog:
    return Catalog(connection)


def a_track(connection: Connection, path: bytes, album_id: int | None = None) -> int:
    return tracks.add(connection, known(path), album_id, 1, tracks.NOTHING_READ)


def in_table(connection: Connection, table: str, column: str = "name") -> list[object]:
    statement = f"SELECT {column} FROM {table} ORDER BY id"
    return [value for (value,) in select(connection, statement)]


def test_names_are_kept_once_and_apart_in_their_order(
    connection: Connection, names: Catalog
) -> None:
    one, two = a_track(connection, b"1.mp3"), a_track(connection, b"2.mp3")
    names.link(one, ["Jónsi", "Björk"], ["Björk"], ["Pop", "Noise"])
    names.link(two, ["Björk"], [], ["Noise"])
    assert in_table(connection, "catalog_artists") == ["Jónsi", "Björk"]
    assert in_table(connection, "genres") == ["Pop", "Noise"]
    assert catalog.names_of(connection, one, Role.ARTIST) == ["Jónsi", "Björk"]
    assert catalog.names_of(connection, one, Role.ALBUMARTIST) == ["Björk"]
    assert catalog.genres_of(connection, two) == ["Noise"]


def test_a_name_twice_on_one_track_is_linked_twice(connection: Connection, names: Catalog) -> None:
    one = a_track(connection, b"1.mp3")
    names.link(one, ["Björk", "Björk"], ["Björk"], ["Pop", "Pop"])
    assert catalog.names_of(connection, one, Role.ARTIST) == ["Björk", "Björk"]
    names.unlink(one)
    names.end_orphans()
    assert in_table(connection, "catalog_artists") == in_table(connection, "genres") == []


def test_names_that_differ_in_case_or_accents_are_different(
    connection: Connection, names: Catalog
) -> None:
    names.link(a_track(connection, b"1.mp3"), ["Björk", "björk", "Bjork"], [], [])
    assert len(in_table(connection, "catalog_artists")) == 3


def test_what_lost_its_last_track_ends_and_what_is_used_stays(
    connection: Connection, names: Catalog
) -> None:
    album_id = names.album_id(b"key", "Debut", None)
    one, two = a_track(connection, b"1.mp3", album_id), a_track(connection, b"2.mp3")
    names.link(one, ["Björk", "Jónsi"], [], ["Pop", "Noise"])
    names.link(two, ["Björk"], [], ["Pop"])
    connection.execute("UPDATE tracks SET album = 'Debut' WHERE id = ?", (one,))
    names.unlink(one)
    names.detach_from_album(album_id)
    names.end_orphans()
    assert in_table(connection, "catalog_artists") == ["Björk"]
    assert in_table(connection, "genres") == ["Pop"]
    assert in_table(connection, "catalog_albums", "title") == ["Debut"], "its track is still there"
    tracks.mark_missing(connection, one, 1)
    names.detach_from_album(album_id)
    names.end_orphans()
    assert in_table(connection, "catalog_albums", "title") == []


def test_a_name_that_ended_is_made_anew_under_a_new_id(
    connection: Connection, names: Catalog
) -> None:
    one = a_track(connection, b"1.mp3")
    names.link(one, ["Björk"], [], [])
    (before,) = in_table(connection, "catalog_artists", "id")
    names.unlink(one)
    names.end_orphans()
    names.link(one, ["Björk"], [], [])
    (after,) = in_table(connection, "catalog_artists", "id")
    assert (before, after) == (1, 2)


def test_ids_of_a_transaction_that_was_rolled_back_are_forgotten(
    connection: Connection, names: Catalog
) -> None:
    one = a_track(connection, b"1.mp3")
    connection.execute("BEGIN")
    names.link(one, ["Björk"], [], ["Pop"])
    names.album_id(b"key", "Debut", None)
    connection.execute("ROLLBACK")
    names.forget()
    names.link(one, ["Jónsi", "Björk"], [], ["Pop"])
    assert catalog.names_of(connection, one, Role.ARTIST) == ["Jónsi", "Björk"]


def test_an_album_has_one_row_and_is_created_with_the_name_of_its_first_track(
    connection: Connection, names: Catalog
) -> None:
    first = names.album_id(b"key", "Debut", None)
    assert names.album_id(b"key", "Debut (remastered)", "Björk") == first
    assert names.album_id(b"other", "Debut", None) != first
    rows = list(select(connection, "SELECT title, albumartist FROM catalog_albums ORDER BY id"))
    assert rows == [("Debut", None), ("Debut", None)]


def test_an_album_is_rekeyed_when_all_of_its_tracks_move(
    connection: Connection, names: Catalog
) -> None:
    album_id = names.album_id(b"old", "Debut", None)
    for number in range(2):
        a_track(connection, b"%d.mp3" % number, album_id)
    assert not names.rekey_album(album_id, b"new", 1), "one stays behind"
    assert names.rekey_album(album_id, b"new", 2)
    assert names.album_id(b"new", "Debut", None) == album_id
    assert names.album_id(b"old", "Debut", None) != album_id


def test_an_album_is_not_rekeyed_onto_another(connection: Connection, names: Catalog) -> None:
    album_id = names.album_id(b"old", "Debut", None)
    names.album_id(b"new", "Debut", None)
    a_track(connection, b"1.mp3", album_id)
    assert not names.rekey_album(album_id, b"new", 1)


def test_more_names_than_are_remembered_are_still_found(
    connection: Connection, names: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names_of_kind, "_REMEMBERED", 2)
    for number in range(3):
        one = tracks.add(
            connection, replace(known(b"%d.mp3" % number)), None, 1, tracks.NOTHING_READ
        )
        names.link(one, [f"Artist {other}" for other in range(5)], [], [])
    assert len(in_table(connection, "catalog_artists")) == 5


def test_an_album_keeps_no_name_that_only_the_track_had_which_left_it(
    connection: Connection, names: Catalog
) -> None:
    album_id = names.album_id(b"release", "Debut", None)
    one, two = (a_track(connection, path, album_id) for path in (b"1.mp3", b"2.mp3"))
    connection.execute("UPDATE tracks SET album = 'Debut' WHERE id = ?", (one,))
    connection.execute("UPDATE tracks SET album = 'Debut (Deluxe)' WHERE id = ?", (two,))
    assert names.album_id(b"release", "Debut (Deluxe)", None) == album_id
    tracks.mark_missing(connection, two, 1)
    names.detach_from_album(album_id)
    names.end_orphans()
    assert in_table(connection, "catalog_albums", "title") == ["Debut"]
