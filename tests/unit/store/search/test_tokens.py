"""The tokenizer of the full text: it leaves folded words alone, and folds what programs ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from indexer.library import Library
from indexer.store import schema
from indexer.store.search.spellings import searchable
from tests.trees import Plant, put, song

TABLE = schema.statements(schema.SEARCH_TOKENS)[-1]
ADD = "INSERT INTO track_search (rowid, title) VALUES (?, ?)"
ASK = "SELECT rowid FROM track_search WHERE track_search MATCH ?"
WORDS = """
CREATE VIRTUAL TABLE temp.words USING fts5vocab (main, track_search, instance)
"""
CODES = (
    *range(1, 0x3100), *range(0x3100, 0xF900, 11), *range(0xF900, 0x10000),
    *range(0x10000, 0x20000, 5), *range(0x20000, 0x110000, 1009), *range(0xE0000, 0xE0200),
)  # fmt: skip


@pytest.fixture(params=[apsw.Connection, sqlite3.connect])
def connection(request: pytest.FixtureRequest) -> Iterator[Any]:
    """That of this program, and one as other programs have it, with the table."""
    with closing(request.param(":memory:")) as connection:
        connection.execute(TABLE)
        yield connection


def texts() -> Iterator[str]:
    for code in CODES:
        if not 0xD800 <= code < 0xE000:
            yield searchable(chr(code))
            yield searchable(f"a{chr(code)}b {chr(code) * 3}")


def test_folded_words_are_indexed_as_they_are(connection: Any) -> None:
    folded = sorted({text for text in texts() if text})
    connection.executemany(ADD, enumerate(folded))
    connection.execute(WORDS)
    found: dict[int, list[str]] = {}
    for doc, word in connection.execute("SELECT doc, term FROM temp.words ORDER BY doc, offset"):
        found.setdefault(doc, []).append(word)
    differing = [text for doc, text in enumerate(folded) if found.get(doc) != text.split(" ")]
    assert list(map(ascii, differing)) == []


@pytest.mark.parametrize(
    "asked",
    ["björk", "Björk", "BJÖRK", "bjork", "bjo\u0308rk", "Bjö*", "КИНО", "Кино", '"don\'t stop"',
     '"AC/DC"', "\"AC;DC's\" OR ACDC", "title : José"],
)  # fmt: skip
def test_a_program_that_asks_need_not_fold(connection: Any, asked: str) -> None:
    connection.execute(ADD, (7, searchable("Björk: Кино, Don't Stop, AC/DC, José")))
    connection.execute(ADD, (8, searchable("Sigur Rós")))
    assert [rowid for (rowid,) in connection.execute(ASK, (asked,))] == [7]


def test_words_of_any_length_are_what_verify_expects_and_can_be_taken_out_again(
    library: Library, plant: Plant, music: Path
) -> None:
    """FTS5 would cut them at 32 768 bytes, within a character of more than one."""
    words = ["a" * 40_000, "x" + "ж" * 40_000, "z" * 999, "y" * 1001, "y" * 1002]
    plant({f"{number}.mp3": song(f"Song {word}") for number, word in enumerate(words)})
    library.scan()
    assert library.verify(deep=True).ok
    assert len(list(library.search(["a" * 900]))) == 1
    assert len(list(library.search(["z" * 999]))) == 1
    put(music, "0.mp3", song("Short"))
    (music / "1.mp3").unlink()
    library.scan()
    assert library.verify(deep=True).ok
