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
from indexer.store.connection import Connection, IndexConnection
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


def test_a_look_at_a_file_ends_a_first_scan_that_was_put_off_and_then_asks_no_more(
    plant: Plant, by_hand: ByHand
) -> None:
    plant({"album/0.mp3": song("first")})
    connection = by_hand.connection
    assert isinstance(connection, IndexConnection)
    asked: list[str] = []
    connection.set_profile(lambda statement, _ns: asked.append(statement))
    root_id = min(by_hand.trees)

    def look(hint: Hint) -> int:
        """How often it is asked for an index that a first scan does without."""
        asked.clear()
        LocalEngine(connection, by_hand.trees, by_hand.settings, by_hand.wanted, Result()).run(
            [hint]
        )
        return sum("NOT EXISTS (SELECT 1 FROM sqlite_schema" in statement for statement in asked)

    connection.execute(
        "INSERT INTO pending (generation, root_id, folder, recursive, reread, at, is_chunk)"
        " VALUES (999, ?, x'', 0, 0, 1, 1)",
        (root_id + 1,),  # of another root: a look at this one does not answer it
    )
    assert look(Hint(root_id, recursive=True))
    assert [connection.is_tended] == [False]  # another chunk is being read
    connection.execute("DELETE FROM pending")
    plant({"album/1.mp3": song("second")})
    assert look(Hint(root_id, b"album", (b"1.mp3",)))
    assert [connection.is_tended] == [True]
    plant({"album/2.mp3": song("third")})
    assert not look(Hint(root_id, b"album", (b"2.mp3",)))
    assert tracks.count(connection) == 3
    assert look(Hint(root_id, recursive=True))
