"""Further tags from the files to every command that tells of them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import indexer
from indexer.cli import main
from indexer.errors import UsageError
from indexer.library import Library
from indexer.model import Track
from indexer.settings import Settings
from indexer.store import tag_sets, upkeep, view_rows
from indexer.store.connection import (
    Connection,
    open_index,
    select,
    select_value,
    write_transaction,
)
from indexer.store.search import results
from indexer.store.search.index_rows import versions
from indexer.store.search.query import parse
from tests import corpus
from tests.further_tags import with_tags
from tests.rows import MadeUp

Plant = Callable[[dict[str | bytes, bytes | None]], None]

DEBUT = {"artistsort": ["Björk"], "albumartistsort": ["Björk", "Hooper, Nellee"], "mood": ["Dark"]}


def rows_of(library: Library, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(library.database)) as db:
        return db.execute(statement, values).fetchall()


TAGS = "SELECT name, position, value FROM track_tags WHERE track_id = ? ORDER BY name, position"
COUNTS = """
SELECT (SELECT count(*) FROM tag_sets), (SELECT count(*) FROM tag_values),
    (SELECT count(*) FROM tag_words)
"""


def test_other_programs_read_them_in_the_order_of_the_file(library: Library, plant: Plant) -> None:
    plant(
        {"1.flac": with_tags(".flac", {**DEBUT, "lyrics": ["x"]}), "2.flac": corpus.tagged(".flac")}
    )
    library.scan()
    ((track_id,),) = rows_of(library, "SELECT id FROM library WHERE path = '1.flac'")
    assert rows_of(library, TAGS, track_id) == [
        ("albumartistsort", 0, "Björk"),
        ("albumartistsort", 1, "Hooper, Nellee"),
        ("artistsort", 0, "Björk"),
        ("mood", 0, "Dark"),
    ]
    columns = rows_of(library, "SELECT name FROM pragma_table_info('track_tags')")
    assert [name for (name,) in columns] == ["track_id", "name", "position", "value"]
    lyrics = dict(rows_of(library, "SELECT path, has_lyrics FROM library"))
    assert lyrics == {"1.flac": 1, "2.flac": 0}


def test_tracks_with_the_same_tags_share_a_set_that_ends_with_the_last_of_them(
    library: Library, plant: Plant
) -> None:
    plant({f"{one}.flac": with_tags(".flac", DEBUT, track=one) for one in (1, 2)})
    library.scan()
    assert rows_of(library, COUNTS) == [(1, 4, 4)]
    plant({"1.flac": with_tags(".flac", {"mood": ["Bright"]}, track=1)})
    library.scan()
    assert rows_of(library, COUNTS) == [(2, 5, 5)]
    plant({"2.flac": corpus.tagged(".flac", track=2)})
    library.scan()
    assert rows_of(library, COUNTS) == [(1, 1, 1)]
    assert library.verify(deep=True).ok


def test_a_changed_tag_is_a_modification_and_an_equal_one_is_not(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.flac": with_tags(".flac", DEBUT)})
    library.scan()
    os.utime(music / "1.flac", (1, 1))
    library.scan()
    assert [row.kind for row in library.changes(0)] == ["added"]
    plant({"1.flac": with_tags(".flac", {**DEBUT, "mood": ["Bright"]})})
    library.scan()
    assert [row.kind for row in library.changes(0)] == ["added", "modified"]
    plant({"1.flac": with_tags(".flac", {**DEBUT, "mood": ["Bright"], "lyrics": ["x"]})})
    library.scan()
    assert [row.kind for row in library.changes(0)] == ["added", "modified", "modified"]


def test_they_go_along_with_a_moved_file_and_come_back_with_a_missing_one(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.flac": with_tags(".flac", DEBUT)})
    library.scan()
    (music / "1.flac").rename(music / "2.flac")
    assert library.scan().moved == 1
    assert rows_of(library, "SELECT count(*) FROM track_tags") == [(4,)]
    (music / "2.flac").rename(music.parent / "2.flac")
    library.scan()
    assert rows_of(library, "SELECT count(*) FROM track_tags") == [(0,)]
    (music.parent / "2.flac").rename(music / "2.flac")
    library.scan()
    assert rows_of(library, "SELECT count(*) FROM track_tags") == [(4,)]
    assert library.verify(deep=True).ok


def test_a_purged_track_leaves_no_set(library: Library, plant: Plant, music: Path) -> None:
    plant({"1.flac": with_tags(".flac", DEBUT), "2.flac": with_tags(".flac", {"mood": ["Dark"]})})
    library.scan()
    (music / "1.flac").unlink()
    library.scan()
    library.close()
    with closing(open_index(library.database, write=True)) as connection:
        with write_transaction(connection):
            assert upkeep.purge_missing(connection, 1, 0) == 1
        assert list(select(connection, COUNTS)) == [(1, 1, 1)]


def test_what_keep_tags_names_is_kept_by_a_rebuild(
    settings: Settings, library: Library, plant: Plant
) -> None:
    plant({"1.flac": with_tags(".flac", {"barcode": ["042"], "asin": ["B0"], "mood": ["Dark"]})})
    library.scan()
    library.close()
    names = []
    for keep in (("barcode",), ("BARCODE", "x"), ("*",), ()):
        with Library(replace(settings, keep_tags=keep)) as again:
            again.rebuild()
            names.append(rows_of(again, "SELECT name FROM track_tags ORDER BY name"))
    two, every, one = [("barcode",), ("mood",)], [("asin",), ("barcode",), ("mood",)], [("mood",)]
    assert names == [two, two, every, one]


def test_verify_deep_finds_a_changed_value(library: Library, plant: Plant) -> None:
    plant({"1.flac": with_tags(".flac", DEBUT)})
    library.scan()
    assert library.verify(deep=True).ok
    with closing(sqlite3.connect(library.database)) as db:
        db.execute("UPDATE tag_values SET value = 'Bark' WHERE value = 'Dark'")
        db.commit()
    differences = library.verify(deep=True).differences
    assert any("further tags" in one.detail for one in differences)
    assert any("Bark" in one.detail for one in differences)


@pytest.fixture
def shelf(connection: Connection) -> Connection:
    """Made-up tracks, and one without any further tag."""

    def track(title: str, **tags: list[str]) -> tuple[bytes, Track]:
        told = tag_sets.encoded(dict(sorted(tags.items())))
        return title.encode(), Track(codec="mp3", title=title, tags=told, has_lyrics="mood" in tags)

    MadeUp(connection).add(
        track("Ride", conductor=["Herbert von Karajan", "James Levine"], key=["C#"]),
        track(
            "Song",
            conductor=["Jiří Bělohlávek"],
            mood=["Dark, Heroic"],
            originaldate=["1969-09-26"],
        ),
        track("Tune", key=["C"], originaldate=["1984"], barcode=["042284"]),
        track("Plain"),
    )
    return connection


def found(connection: Connection, typed: str) -> list[str]:
    question = parse(typed)
    ids = results.track_ids(connection, question, "title", None)
    return [row[5] for row in view_rows.rows(connection, ids)]


@pytest.mark.parametrize(
    ("typed", "titles"),
    [
        ("conductor:karajan", ["Ride"]), ("conductor:levine", ["Ride"]), ("conductor:lev", []),
        ('conductor:"von karajan"', ["Ride"]), ('conductor:"karajan von"', []),
        ("conductor:belohlavek", ["Song"]), ("tag:CONDUCTOR=karajan", ["Ride"]),
        ('tag:conductor="von karajan"', ["Ride"]), ('tag:"conductor=von karajan"', ["Ride"]),
        ("tag:barcode=042284", ["Tune"]), ("tag:barcode", ["Tune"]), ("tag:nosuch", []),
        ("-tag:conductor", ["Plain", "Tune"]), ("mood:dark", ["Song"]), ("MOOD:heroic", ["Song"]),
        ("key:c", ["Tune"]), ("key:C#", ["Ride"]), ("tag:key=C#", ["Ride"]),
        ("originaldate:1969", ["Song"]), ("originaldate:1969-09", ["Song"]),
        ("originaldate:60s", ["Song"]), ("originaldate:1960..1970", ["Song"]),
        ("originaldate:>=1970", ["Tune"]), ("originaldate:<1970", ["Song"]),
        ("has:mood", ["Song"]), ("missing:conductor", ["Plain", "Tune"]), ("has:lyrics", ["Song"]),
        ("has_lyrics:no", ["Plain", "Ride", "Tune"]), ("ride conductor:karajan", ["Ride"]),
        ("mood:dark OR key:C", ["Song", "Tune"]),
        ("tag:title=ride", ["Ride"]), ("tag:composer", []),
        ("-tag:title=ride tag:codec=mp3", ["Plain", "Song", "Tune"]), ("song -mood:dark", []),
    ],
)  # fmt: skip
def test_they_are_searched_by_name(shelf: Connection, typed: str, titles: list[str]) -> None:
    assert found(shelf, typed) == titles


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("tag:title=", "write tag:mood=dark"), ("tag:year=x", "write year:1997"),
        ("tag:=x", "write tag:mood=dark"), ("tag:mood=", "write tag:mood=dark"),
        ("conducter:x", "there is no field conducter; .*conductor"),
        ("has_lyrics:maybe", "write has_lyrics:yes"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_said_with_an_example(
    shelf: Connection, typed: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        found(shelf, typed)


def test_a_search_by_name_goes_through_an_index(shelf: Connection) -> None:
    statement = """EXPLAIN QUERY PLAN SELECT id FROM tracks WHERE place = 0
        AND tracks.tag_set IN (SELECT set_id FROM tag_words WHERE name = 'mood')"""
    plan = " ".join(row[3] for row in select(shelf, statement))
    assert "tracks_tag_set" in plan
    assert "SEARCH tag_words USING PRIMARY KEY" in plan


def test_words_of_another_version_are_made_again_before_a_set_ends(connection: Connection) -> None:
    tracks = MadeUp(connection)
    (one,) = tracks.add((b"1", Track(codec="mp3", title="Song", tags='{"mood":["Dark"]}')))
    with write_transaction(connection):
        connection.execute("UPDATE tag_words SET words = 'old ' || words")
        connection.execute("UPDATE identity SET search_folding = 'older'")
    assert found(connection, 'mood:"old dark"') == ["Song"]
    tracks.change(one, Track(codec="mp3", title="Song"))
    assert list(select(connection, COUNTS)) == [(0, 0, 0)]
    assert select_value(connection, "SELECT search_folding FROM identity") == versions()


def test_the_commands_and_the_api_tell_them(
    settings: Settings,
    library: Library,
    plant: Plant,
    music: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant(
        {
            "1.flac": with_tags(".flac", {**DEBUT, "lyrics": ["x"]}, title="One"),
            "2.flac": corpus.tagged(".flac"),
        }
    )
    library.scan()
    library.close()

    def run(*words: str) -> str:
        assert main(["--db", os.fspath(settings.db), *words]) == 0
        return capsys.readouterr().out

    shown = run("show", os.fspath(music / "1.flac"))
    assert "albumartistsort  Björk; Hooper, Nellee\n" in shown
    assert "has_lyrics       yes\n" in shown
    assert json.loads(run("show", "--json", os.fspath(music / "1.flac")))["tags"] == DEBUT
    assert "tags" not in json.loads(run("show", "--json", os.fspath(music / "2.flac")))
    for command in (["search", "one"], ["export", "one"], ["new"]):
        rows = [json.loads(line) for line in run(*command, "--json").splitlines()]
        assert [row.get("tags") for row in rows if row["title"] == "One"] == [DEBUT]
    assert "tags" not in run("export", "one")
    with indexer.open(db=settings.db) as index:
        (track,) = index.search("one")
        assert track.has_lyrics is True
        assert index.tags(track.id) == {name: tuple(texts) for name, texts in DEBUT.items()}
