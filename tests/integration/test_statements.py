"""A change of a few files -> the statements of its look: none reads a table that grows with tracks.

Else a change in a large index would take longer than one in a small index.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from apsw.ext import query_info

from indexer.engine.local import LocalEngine
from indexer.library import Library
from indexer.model import Hint
from indexer.runs.result import Result
from indexer.store import tracks
from indexer.store.connection import Connection
from tests.stage_harness import ByHand
from tests.trees import Plant, song

GROWING: Final = (
    "tracks", "catalog_track_artists", "link", "track_genres", "changes", "catalog_albums",
    "catalog_artists", "genres", "tag_sets", "tag_values", "tag_words", "pictures",
    "track_pictures", "scrubs",
)  # fmt: skip
_SCAN: Final = re.compile(rf"SCAN ({'|'.join(GROWING)})\b")
_FIRST_ROW: Final = re.compile(r"SELECT 1 FROM (\w+)(?: LIMIT 1$|\))")
"""Of a table that is not read any further."""
_EXPLAINED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def scanned(connection: Connection, statements: set[str]) -> list[tuple[str, str]]:
    """(statement, step of its plan) where SQLite reads a whole table or index."""
    found = []
    for statement in sorted(statements):
        words = " ".join(statement.split())
        if not words.startswith(_EXPLAINED):
            continue
        values = [None] * query_info(connection, statement).bindings_count
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        steps = [scan for row in plan if (scan := _SCAN.match(str(row[3])))]
        found += [(words, step[0]) for step in steps if step[1] not in _FIRST_ROW.findall(words)]
    return found


def test_a_change_reads_no_table_that_grows_with_the_library(
    library: Library, plant: Plant, by_hand: ByHand, music: Path
) -> None:
    plant({
        f"{album}/{number}.mp3": song(f"{album} {number}", album=album, genre="Rock")
        for album in ("one", "two", "three")
        for number in range(4)
    })  # fmt: skip
    library.scan()
    statements: set[str] = set()
    by_hand.connection.set_profile(lambda statement, _ns: statements.add(statement))
    look = Hint(min(by_hand.trees), b"one"), Hint(min(by_hand.trees), b"two")

    (music / "one/0.mp3").unlink()
    (music / "one/1.mp3").rename(music / "two/moved.mp3")
    plant({
        "one/2.mp3": song("retagged", album="one"), "one/new.mp3": song("new", album="one"),
        "two/2.mp3": b"not a song", "two/3.mp3": None,
    })  # fmt: skip
    os.utime(music / "two/0.mp3")
    outcome = LocalEngine(
        by_hand.connection, by_hand.trees, by_hand.settings, by_hand.wanted, Result()
    ).run(look)

    by_hand.connection.set_profile(None)
    assert outcome.tally.total() >= 5
    assert tracks.count(by_hand.connection) == 13
    assert scanned(by_hand.connection, statements) == []
