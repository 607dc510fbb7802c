from __future__ import annotations

from itertools import count as counting

import pytest
from msgspec.structs import replace

from indexer.model import IndexedFile, RowState, Stamp
from indexer.store import roots, tracks, tracks_below
from indexer.store.connection import Connection, select, write_transaction
from indexer.store.schema import LIBRARY_COLUMNS
from tests.trees import known, stamp


@pytest.fixture(autouse=True)
def _root(root_id: int) -> None:
    assert root_id == 1


def add(connection: Connection, row: IndexedFile) -> IndexedFile:
    return replace(row, id=tracks.add(connection, row, None, 1, tracks.NOTHING_READ))


def test_a_row_comes_back_as_it_was_written(connection: Connection) -> None:
    row = IndexedFile(
        0, 1, b"\xff/1.mp3", Stamp(1, 2**62, -5, 2**63 - 1), RowState.REFUSED, 1, 3, 4, 5, None
    )
    written = add(connection, row)
    assert tracks.in_place(connection, 1, b"\xff/1.mp3") == written
    assert tracks.by_id(connection, written.id) == written


def test_a_place_holds_one_row_and_any_number_that_left_it(connection: Connection) -> None:
    for number in range(3):
        row = add(connection, known(b"1.mp3", number))
        tracks.mark_missing(connection, row.id, number)
    here = add(connection, known(b"1.mp3", 3))
    assert tracks.in_place(connection, 1, b"1.mp3") == here
    gone = tracks.gone_from(connection, 1, b"1.mp3")
    assert gone is not None
    assert (gone.id, gone.place, gone.missing_at) == (3, RowState.MISSING, 2)
    with pytest.raises(Exception, match="UNIQUE"):
        add(connection, known(b"1.mp3", 4))


def test_a_row_frees_its_place_until_it_is_written_again(connection: Connection) -> None:
    one, two = add(connection, known(b"1.mp3")), add(connection, known(b"2.mp3"))
    for row in (one, two):
        tracks.free_path(connection, row.id)
    tracks.write(connection, replace(one, path=b"2.mp3"), None, None, tracks.NOTHING_READ)
    tracks.write(connection, replace(two, path=b"1.mp3"), None, None, tracks.NOTHING_READ)
    assert [row.id for row in tracks_below.below(connection, 1, b"")] == [two.id, one.id]


def test_a_refused_row_that_left_is_read_again_when_its_file_comes_back(
    connection: Connection,
) -> None:
    """The reason of the refusal is deleted with its problem."""
    good, bad = add(connection, known(b"1.mp3")), add(connection, known(b"2.mp3"))
    tracks.write(connection, replace(bad, place=RowState.REFUSED), None, None, tracks.NOTHING_READ)
    for row in (good, bad):
        tracks.mark_missing(connection, row.id, 5)
    versions = [tracks.by_id(connection, row.id) for row in (good, bad)]
    assert [row.reader_version for row in versions if row is not None] == [1, 0]


def test_a_new_stamp_leaves_the_time_of_the_last_reading_unless_told(
    connection: Connection,
) -> None:
    row = add(connection, known(b"1.mp3"))
    for at, expected in ((None, "1970-01-01T00:00:00.001Z"), (5, "1970-01-01T00:00:00.005Z")):
        tracks.restamp(connection, replace(row, stamp=stamp(9)), at)
        shown = tracks.view_row(connection, row.id)
        assert shown is not None
        assert shown[LIBRARY_COLUMNS.index("indexed_at")] == expected
    restamped = tracks.by_id(connection, row.id)
    assert restamped is not None
    assert restamped.stamp == stamp(9)


def test_untold_rows_are_those_that_left_and_were_not_told(connection: Connection) -> None:
    rows = [add(connection, known(b"%d.mp3" % number)) for number in range(3)]
    tracks.mark_missing(connection, rows[0].id, None)
    tracks.mark_missing(connection, rows[1].id, 5)
    assert [row.id for row in tracks.unannounced(connection)] == [rows[0].id]
    tracks.tell_missing(connection, rows[0].id, 6)
    assert tracks.unannounced(connection) == []


def test_counts_are_of_the_view_and_of_what_was_in_it(connection: Connection) -> None:
    connection.execute("INSERT INTO catalog_albums (id, key) VALUES (7, x'31')")
    tracks.add(connection, known(b"1.mp3"), 7, 1, tracks.NOTHING_READ)
    add(connection, known(b"2.mp3", place=RowState.REFUSED, added_at=None))
    for number, added_at in ((3, 1), (4, None)):
        row = add(connection, known(b"%d.mp3" % number, added_at=added_at))
        tracks.mark_missing(connection, row.id, 5)
    assert tracks.counts(connection) == (1, 1)
    assert tracks.count_by_root(connection) == {1: 1}
    assert tracks.count_missing_by_root(connection) == {1: 1}


def test_tracks_are_counted_for_each_root_that_is_watched(connection: Connection) -> None:
    connection.execute("INSERT INTO catalog_albums (id, key) VALUES (7, x'31')")
    for root_id in (2, 3, 4):
        roots.add(connection, f"root {root_id}", b"/%d" % root_id, now_ms=1)
    for number, root_id in enumerate((1, 1, 1, 3, 3, 4)):
        row = replace(known(b"%d.mp3" % number), root_id=root_id)
        tracks.add(connection, row, 7, 1, tracks.NOTHING_READ)
    assert tracks.count_by_root(connection) == {1: 3, 2: 0, 3: 2, 4: 1}
    tracks.mark_missing(connection, 6, 5)
    roots.remove(connection, 4, now_ms=2)
    assert tracks.count_by_root(connection) == {1: 3, 2: 0, 3: 2}
    for root_id in (1, 2, 3):
        roots.remove(connection, root_id, now_ms=2)
    assert tracks.count_by_root(connection) == {}


def test_tracks_of_a_root_that_is_lost_are_counted_for_no_other_root(
    connection: Connection,
) -> None:
    connection.execute("INSERT INTO catalog_albums (id, key) VALUES (7, x'31')")
    roots.add(connection, "root 2", b"/2", now_ms=1)
    for number, root_id in enumerate((1, 2, 2)):
        row = replace(known(b"%d.mp3" % number), root_id=root_id)
        tracks.add(connection, row, 7, 1, tracks.NOTHING_READ)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("DELETE FROM roots WHERE id = 2")
    assert tracks.count_by_root(connection) == {1: 1}


def test_tracks_of_many_roots_are_counted_in_one_pass(connection: Connection) -> None:
    connection.execute("INSERT INTO catalog_albums (id, key) VALUES (7, x'31')")
    for root_id in range(2, 10):
        roots.add(connection, f"root {root_id}", b"/%d" % root_id, now_ms=1)
    for number in range(20):
        row = replace(known(b"%d.mp3" % number), root_id=1 + number % 8)
        tracks.add(connection, row, 7, 1, tracks.NOTHING_READ)
    roots.remove(connection, 1, now_ms=2)
    expected = {root_id: 3 if root_id <= 4 else 2 for root_id in range(2, 9)} | {9: 0}
    assert tracks.count_by_root(connection) == expected
    reads = [row[3] for row in select(connection, f"EXPLAIN QUERY PLAN {tracks._COUNT_EACH}")]
    assert sum(" tracks " in f"{one} " for one in reads) == 1


def test_missing_tracks_are_counted_without_a_look_at_those_that_are_there(
    connection: Connection,
) -> None:
    with write_transaction(connection):
        for number in range(1000):
            add(connection, known(b"%d.mp3" % number, number))
    tracks.mark_missing(connection, 1, 5)
    steps = counting(1)
    connection.set_progress_handler(lambda: next(steps) > 1000, 1)  # true: it is interrupted
    assert tracks.count_missing_by_root(connection) == {1: 1}


def test_all_columns_are_those_of_the_table_in_its_order(connection: Connection) -> None:
    """`add_all` does not name them."""
    table = select(connection, "SELECT name FROM pragma_table_info('tracks') ORDER BY cid")
    assert tuple(name for (name,) in table) == tracks.ALL_COLUMNS
