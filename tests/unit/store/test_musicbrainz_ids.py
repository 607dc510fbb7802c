"""MusicBrainz ids are stored short, and come back as they were wherever an index is asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.library import Library
from indexer.model import Track
from indexer.repair import repair
from indexer.settings import Settings
from indexer.store import tracks
from indexer.store.connection import Connection, open_index, select, write_transaction
from indexer.store.recovery import health
from indexer.store.schema import musicbrainz_ids
from indexer.store.schema.musicbrainz_ids import COLUMNS
from tests.programs import run
from tests.rows import MadeUp
from tests.trees import Plant, ask, newest_change, put, song

UUID = "0123456f-89ab-4cde-8f01-23456789abcd"
OTHER = "fedcba98-7654-4210-8edc-ba9876543210"
AS_TEXT = {
    "in upper case": UUID.upper(),
    "in one letter of upper case": UUID.replace("f", "F", 1),
    "without hyphens": UUID.replace("-", ""),
    "with hyphens elsewhere": "01234-567-89ab-4cde-8f01-23456789abcd",
    "in braces": "{" + UUID + "}",
    "as a URN": "urn:uuid:" + UUID,
    "several": f"{UUID}; {OTHER}",
    "with a line feed": UUID + "\n",
    "with a NUL and more": UUID + "\0more",
    "shorter": UUID[:-1],
    "longer": UUID + "0",
    "with digits of another script": UUID.replace("0", "\u0660"),
    "with another letter": UUID.replace("a", "g"),
    "as long as a stored one": "sixteen letters!",
    "empty": "",
}
TEXTS = {"canonical": UUID, **AS_TEXT}
IDS = dict(zip(COLUMNS, (OTHER, f"{UUID}; {OTHER}", UUID.upper(), "of my own"), strict=True))
"""One of each kind."""


@pytest.fixture(scope="module", params=["sqlite3", "apsw"])
def database(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Both copies of SQLite: that of Python, with which other programs read, and ours."""
    opened = sqlite3.connect if request.param == "sqlite3" else apsw.Connection
    with closing(opened(":memory:")) as connection:
        connection.execute("CREATE TABLE ids (id TEXT)")
        yield connection


def shown_again(database: Any, text: str) -> tuple[object, ...]:
    """What SQL shows of a stored id, and whether it calls it wrong."""
    asked = f"SELECT {musicbrainz_ids.shown('id')}, {musicbrainz_ids.wrong('id')} FROM ids"
    database.execute("DELETE FROM ids")
    database.execute("INSERT INTO ids VALUES (?)", (musicbrainz_ids.stored(text),))
    (row,) = database.execute(asked)
    return tuple(row)


def test_a_uuid_is_stored_in_its_16_bytes_and_any_other_text_as_it_is() -> None:
    assert musicbrainz_ids.stored(UUID) == bytes.fromhex(UUID.replace("-", ""))
    assert {what: musicbrainz_ids.stored(text) for what, text in AS_TEXT.items()} == AS_TEXT


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_sql_shows_the_text_that_was_stored(database: Any, text: str) -> None:
    assert shown_again(database, text) == (text, 0)


@given(st.uuids())
def test_sql_shows_any_uuid_as_python_writes_it(database: Any, uuid: Any) -> None:
    assert musicbrainz_ids.stored(str(uuid)) == uuid.bytes
    assert shown_again(database, str(uuid)) == (str(uuid), 0)


@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text("0123456789abcdefABF-", min_size=30, max_size=40)
    | st.from_regex(r"[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[\n\0; ]?", fullmatch=True)
)
def test_sql_shows_any_text_as_it_was(database: Any, text: str) -> None:
    assert shown_again(database, text) == (text, 0)


@pytest.mark.parametrize("value", [UUID, b"", b"\0" * 15, b"\0" * 17], ids=repr)
def test_a_value_that_is_never_stored_is_wrong(database: Any, value: object) -> None:
    asked = f"SELECT {musicbrainz_ids.wrong('id')} FROM ids"
    database.execute("DELETE FROM ids")
    database.execute("INSERT INTO ids VALUES (?)", (value,))
    assert list(database.execute(asked)) == [(1,)]


def rows_of_table(connection: Connection) -> list[tuple[object, ...]]:
    return list(select(connection, f"SELECT {', '.join(COLUMNS)} FROM tracks ORDER BY id"))


def stored(ids: Mapping[str, str]) -> tuple[object, ...]:
    return tuple(musicbrainz_ids.stored(ids[column]) for column in COLUMNS)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_way_to_write_and_read_a_row_keeps_the_text(settings: Settings, text: str) -> None:
    ids = dict.fromkeys(COLUMNS, text)
    with closing(open_index(settings.db, write=True)) as connection:
        made = MadeUp(connection)
        (one,) = made.add((b"1.mp3", Track(codec="mp3", **ids)))  # type: ignore[arg-type]
        (other,) = made.add((b"2.mp3", Track(codec="mp3")))
        made.change(other, Track(codec="mp3", **ids))  # type: ignore[arg-type]
        assert rows_of_table(connection) == [stored(ids)] * 2
        for track_id in (one, other):
            columns = dict(
                zip(tracks.COLUMNS, tracks.columns_of(connection, track_id), strict=True)
            )
            assert {name: columns[name] for name in COLUMNS} == ids
        for column in COLUMNS:
            asked = f"SELECT count(*), min({column}) FROM library WHERE {column} = ?"
            assert list(select(connection, asked, (text,))) == [(2, text)]
        assert list(select(connection, "SELECT mb_albumid FROM albums")) == [(text,)]
        (found,) = health.check(connection, deep=True)
        assert found.detail == "watched roots have no disk (1)"  # MadeUp gives them none


@pytest.fixture
def both(library: Library, plant: Plant) -> Library:
    """An index of a track with one id of each kind, and one without any."""
    plant({"1.mp3": song("One", **IDS), "2.mp3": song("Two")})
    library.scan()
    return library


def test_files_have_their_ids_in_the_short_form_and_in_every_view(both: Library) -> None:
    assert rows_of_table(both.connection) == [stored(IDS), (None,) * len(COLUMNS)]
    for view in ("library", "recent"):
        assert ask(both, f"SELECT {', '.join(COLUMNS)} FROM {view} WHERE title = 'One'") == [
            tuple(IDS.values())
        ]
    assert ask(both, "SELECT mb_albumid FROM albums WHERE mb_albumid IS NOT NULL") == [(OTHER,)]
    assert both.verify(deep=True).ok


@pytest.mark.parametrize("column", COLUMNS)
def test_a_search_finds_ids_in_any_case_and_what_has_some(both: Library, column: str) -> None:
    def found(*words: str) -> list[object]:
        return [row["title"] for row in both.search(words)]

    for sought in (IDS[column], IDS[column].upper(), IDS[column].lower()):
        assert found(f'{column}:"{sought}"') == ["One"], sought
        assert found(f'-{column}:"{sought}"') == ["Two"], sought
        assert found("one", f'{column}:"{sought}"') == ["One"], sought
        assert found(f'tag:{column}="{sought}"') == ["One"], sought
    assert found(f"{column}:{UUID[:-1]}0") == []
    assert found(f"has:{column}") == ["One"]
    assert found(f"missing:{column}") == ["Two"]
    (row,) = both.search([f"has:{column}"])
    assert row[column] == IDS[column]


def test_commands_print_the_ids_as_text(both: Library, settings: Settings) -> None:
    texts = "\t".join(f"{{{column}}}" for column in COLUMNS)
    (row,) = both.search(["one"])
    shown, found, exported = (
        json.loads(run(*words, "--json", db=settings.db).out)
        for words in (("show", str(row["id"])), ("search", "one"), ("export", "title:one"))
    )
    for told in (shown, found, exported):
        assert {column: told[column] for column in COLUMNS} == IDS
    formatted = run("search", "one", "--format", texts, db=settings.db).out
    assert formatted.rstrip("\n").split("\t") == list(IDS.values())


def test_history_tells_the_ids_that_were(both: Library, music: Path) -> None:
    later = {**IDS, "mb_albumid": UUID, "mb_albumartistid": UUID}
    at = newest_change(both)
    put(music, "1.mp3", song("One", **later))
    both.scan()
    changed = {"mb_albumid": OTHER, "mb_albumartistid": UUID.upper()}
    (change,) = both.changes(at)
    assert change.before == changed
    (then,) = both.as_of(at, ["one"])
    assert {column: then[column] for column in COLUMNS} == IDS
    assert [row["title"] for row in both.as_of(at, [f"mb_albumid:{OTHER}"])] == ["One"]
    assert list(both.as_of(at, [f"mb_albumid:{UUID}"])) == []
    told = {one.tag: (one.before, one.after) for one in both.retags(at)}
    assert told == {name: ((text,), (later[name],)) for name, text in changed.items()}


@pytest.mark.parametrize("value", [OTHER, b"\0" * 15])
def test_an_id_in_another_form_is_damage_and_is_repaired(
    both: Library, settings: Settings, value: object
) -> None:
    both.close()
    with closing(open_index(settings.db, write=True)) as connection:
        with write_transaction(connection):
            connection.execute("UPDATE tracks SET mb_albumid = ? WHERE title = 'One'", (value,))
        (found,) = health.check(connection, deep=False)
        assert found.detail == "rows of tracks hold values of another kind (1)"
    repair(settings.db)
    both.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        assert rows_of_table(connection) == [stored(IDS), (None,) * len(COLUMNS)]
        assert health.check(connection, deep=True) == []


def test_a_rescued_index_has_the_ids_that_it_had(both: Library, settings: Settings) -> None:
    both.close()
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute("UPDATE tracks SET size = 'x' WHERE title = 'Two'")  # it is copied
    assert repair(settings.db).tracks == 2
    with closing(open_index(settings.db, write=True)) as connection:
        asked = f"SELECT {', '.join(COLUMNS)} FROM library WHERE title = 'One'"
        assert list(select(connection, asked)) == [tuple(IDS.values())]
        assert rows_of_table(connection)[0] == stored(IDS)
