"""The end of the first scan makes its indexes, and lets later changes merge the full text."""

from __future__ import annotations

import pytest

from indexer.store import tracks, upkeep
from indexer.store.connection import Connection, select_value, write_transaction
from indexer.store.schema.views import LATE_INDEXES
from indexer.store.search import index_rows
from tests.trees import known

SEED, LATER = 20, 600
"""Transactions: fewer than those after which a new full text merges them itself; and more."""


@pytest.fixture(autouse=True)
def _seeded(connection: Connection, root_id: int) -> None:
    assert root_id == 1
    for number in range(SEED):
        add(connection, number)
    assert segments(connection) == SEED


def add(connection: Connection, number: int) -> None:
    """A track in a transaction of its own."""
    with write_transaction(connection):
        row = known(b"%d.mp3" % number, number)
        track_id = tracks.add(connection, row, None, 1, tracks.NOTHING_READ)
        texts = (f"title{number}", "artist", None, None, None, None, None, None, None)
        index_rows.add_all(connection, [(track_id, texts)])


def end_seed(connection: Connection) -> None:
    upkeep.add_late_indexes(connection)
    upkeep.end_seldom_merging(connection)


def segments(connection: Connection) -> int:
    return int(select_value(connection, "SELECT count(DISTINCT segid) FROM track_search_idx"))


def found(connection: Connection, word: str) -> int:
    asked = "SELECT count(*) FROM track_search WHERE track_search MATCH ?"
    return int(select_value(connection, asked, (word,)))


def test_a_seed_ends_with_its_indexes_and_writes_no_word_again(connection: Connection) -> None:
    end_seed(connection)
    assert segments(connection) == SEED
    assert not index_rows.merges_seldom(connection)
    indexes = "SELECT count(*) FROM sqlite_schema WHERE name = ?"
    assert all(select_value(connection, indexes, (name,)) for name in LATE_INDEXES)


def test_it_is_done_once(connection: Connection) -> None:
    end_seed(connection)
    before = connection.total_changes()
    end_seed(connection)
    assert connection.total_changes() == before


def test_a_scan_whose_files_are_not_inserted_yet_puts_it_off(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO pending (generation, root_id, folder, recursive, reread, at, is_chunk)"
        " VALUES (1, 1, x'', 0, 0, 1, 1)"
    )
    end_seed(connection)
    assert index_rows.merges_seldom(connection)
    connection.execute("DELETE FROM pending")
    end_seed(connection)
    assert not index_rows.merges_seldom(connection)


def test_many_later_changes_are_merged_in_steps_and_never_all_at_once(
    connection: Connection,
) -> None:
    end_seed(connection)
    counts = []
    for number in range(SEED, SEED + LATER):
        add(connection, number)
        counts.append(segments(connection))
    assert max(counts) < 256
    assert counts[-1] < LATER / 4
    assert found(connection, "artist") == SEED + LATER


def test_words_that_are_made_again_later_are_merged_steadily_at_once(
    connection: Connection,
) -> None:
    """As by `indexer repair`, after which a daemon has no end of a first scan to come."""
    end_seed(connection)
    with write_transaction(connection):
        index_rows.refill(connection)
    assert not index_rows.merges_seldom(connection)
