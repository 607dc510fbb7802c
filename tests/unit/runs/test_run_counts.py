"""Results of chunks -> counts of runs: each file once, for any scan that answers it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from indexer.library import Library
from indexer.model import Hint
from indexer.runs import run_counts
from indexer.stages.insert import Written
from indexer.store.connection import Connection, write_transaction
from indexer.store.work import counted, pending, scans
from indexer.store.work.covered import complete_covered
from indexer.store.work.pending import PendingRow
from tests.stage_harness import ByHand
from tests.trees import Plant, song

NAMES = (b"1.mp3", b"2.mp3", b"3.mp3")


@pytest.fixture
def planted(library: Library, plant: Plant) -> Library:
    """Three files that are not in the index."""
    plant({name.decode(): song(name.decode()) for name in NAMES})
    return library


def begin(connection: Connection) -> int:
    with write_transaction(connection):
        return scans.start(connection, "scan", ["music"], 1, alone=False)


def chunk(connection: Connection, generation: int, *names: bytes, run: int = 0) -> PendingRow:
    with write_transaction(connection):
        hint = Hint(1, b"", names)
        return pending.add_chunk(connection, hint, generation, 1, scan_id=run)


def answer(by_hand: ByHand, row: PendingRow) -> Written | None:
    """Read the files of a chunk, write them, and count."""
    (plan,) = by_hand.scan(row.hint).plans()
    ready = by_hand.read(plan)
    return by_hand.inserter.write(
        row,
        ready,
        1,
        count=lambda written: _count(by_hand.connection, row, ready, written),
    )


def _count(connection: Connection, row: PendingRow, ready: Any, written: Written) -> None:
    run_counts.count_chunks(connection, [(row, ready)], [written])


def told(connection: Connection, run: int) -> dict[str, Any]:
    """The counts of a run, without zeros and bytes."""
    counts = scans.counts_of(connection, run)
    return {
        name: number
        for name, number in counts.items()
        if number and not isinstance(number, list) and name != "bytes_read"
    }


def test_a_chunk_counts_for_its_own_run(planted: Library, by_hand: ByHand) -> None:
    assert planted.status().roots
    run = begin(by_hand.connection)
    answer(by_hand, chunk(by_hand.connection, 1, *NAMES, run=run))
    assert told(by_hand.connection, run) == {"added": 3, "files_read": 3}
    assert not counted.waits_for(by_hand.connection, run)


def test_a_chunk_without_a_run_counts_for_none(planted: Library, by_hand: ByHand) -> None:
    assert planted.status().roots
    run = begin(by_hand.connection)
    answer(by_hand, chunk(by_hand.connection, 1, *NAMES))
    assert told(by_hand.connection, run) == {}


def test_what_a_newer_look_answers_first_counts_once_for_the_run_that_has_it_in_work(
    planted: Library, by_hand: ByHand
) -> None:
    assert planted.status().roots
    run = begin(by_hand.connection)
    own = chunk(by_hand.connection, 1, *NAMES, run=run)
    answer(by_hand, chunk(by_hand.connection, 2, NAMES[0]))
    assert told(by_hand.connection, run) == {"added": 1, "files_read": 1}
    ready = by_hand.read(next(iter(by_hand.scan(Hint(1, b"", NAMES[1:])).plans())))
    by_hand.inserter.write(
        own, ready, 1, count=lambda one: _count(by_hand.connection, own, ready, one)
    )
    assert told(by_hand.connection, run) == {"added": 3, "files_read": 3}


def test_a_file_that_was_read_twice_counts_once(planted: Library, by_hand: ByHand) -> None:
    """Its chunk is read before the newer one is written, and written after it."""
    assert planted.status().roots
    run = begin(by_hand.connection)
    own = chunk(by_hand.connection, 1, *NAMES, run=run)
    ready = by_hand.read(next(iter(by_hand.scan(own.hint).plans())))
    answer(by_hand, chunk(by_hand.connection, 2, NAMES[0]))
    by_hand.inserter.write(
        own, ready, 1, count=lambda one: _count(by_hand.connection, own, ready, one)
    )
    assert told(by_hand.connection, run) == {"added": 3, "files_read": 3}


def test_what_is_left_to_a_newer_row_counts_when_that_is_answered(
    planted: Library, by_hand: ByHand
) -> None:
    assert planted.status().roots
    connection = by_hand.connection
    run = begin(connection)
    own = chunk(connection, 1, *NAMES, run=run)
    newer = chunk(connection, 2, NAMES[0])
    answer(by_hand, own)
    assert [row.hint.names for row in pending.all_rows(connection) if row.passes] == [NAMES[:1]]
    assert told(connection, run) == {"added": 2, "files_read": 2}
    assert counted.waits_for(connection, run)

    ready = by_hand.read(next(iter(by_hand.scan(newer.hint).plans())))
    answered: list[set[tuple[int, int]]] = []

    def count(written: Written) -> None:
        answered.append(run_counts.count_chunks(connection, [(newer, ready)], [written]))

    by_hand.inserter.write(newer, ready, 1, count=count)
    assert told(connection, run) == {"added": 3, "files_read": 3}
    assert not counted.waits_for(connection, run)
    assert answered == [{(1, run)}]


def test_a_file_that_was_not_whole_counts_when_another_look_answers_it(
    planted: Library, by_hand: ByHand
) -> None:
    assert planted.status().roots
    connection = by_hand.connection
    run = begin(connection)
    with write_transaction(connection):
        hint = Hint(1, b"", NAMES[:2])
        left = pending.add_left(connection, hint, 1, 1, scan_id=run)
        run_counts.count_waiting(connection, left, 2)
    assert told(connection, run) == {"pending": 2}
    answer(by_hand, chunk(connection, 2, NAMES[0]))
    assert told(connection, run) == {"pending": 1, "added": 1, "files_read": 1}
    assert counted.left_of(connection, run)
    answer(by_hand, chunk(connection, 3, NAMES[1]))
    assert told(connection, run) == {"added": 2, "files_read": 2}
    assert not counted.left_of(connection, run)


def test_what_another_look_finds_unchanged_is_unchanged_for_the_run_that_waited(
    planted: Library, by_hand: ByHand
) -> None:
    planted.scan()
    connection = by_hand.connection
    run = begin(connection)
    chunk(connection, 1, *NAMES, b"gone.mp3", run=run)
    everything = Hint(1, recursive=True)
    with write_transaction(connection):
        closed = complete_covered(connection, [everything], 99, rereads_too=False)
        run_counts.count_closed(connection, closed)
    assert told(connection, run) == {"unchanged": 3}
    assert not counted.waits_for(connection, run)


def test_what_another_run_has_answered_is_not_counted_again_when_its_own_chunk_is_asked_for_again(
    planted: Library, by_hand: ByHand
) -> None:
    """The chunk's job was lost, and nothing of it is to be read any more."""
    assert planted.status().roots
    connection = by_hand.connection
    run = begin(connection)
    own = chunk(connection, 1, *NAMES, run=run)
    answer(by_hand, chunk(connection, 2, NAMES[0]))
    assert told(connection, run) == {"added": 1, "files_read": 1}
    with write_transaction(connection):
        run_counts.count_unplanned(connection, own, len(NAMES))
    assert told(connection, run) == {"added": 1, "files_read": 1, "unchanged": len(NAMES) - 1}


def test_a_file_whose_newer_chunk_is_in_work_waits_for_that(
    planted: Library, by_hand: ByHand
) -> None:
    assert planted.status().roots
    connection = by_hand.connection
    run = begin(connection)
    with write_transaction(connection):
        pending.add_left(connection, Hint(1, b"", NAMES), 1, 1, scan_id=run)
    newer = chunk(connection, 2, NAMES[0])
    everything = Hint(1, recursive=True)
    with write_transaction(connection):
        closed = complete_covered(
            connection, [everything], 99, before_generation=2, rereads_too=False
        )
    assert [one.paths for one in closed] == [set(NAMES[1:])]
    answer(by_hand, newer)
    assert told(connection, run)["added"] == 1


def test_what_another_look_leaves_open_since_it_is_being_written_waits_for_its_answer(
    planted: Library, by_hand: ByHand
) -> None:
    planted.scan()
    connection = by_hand.connection
    run = begin(connection)
    own = chunk(connection, 1, *NAMES, run=run)
    everything = Hint(1, recursive=True)
    with write_transaction(connection):
        written = {(1, name) for name in NAMES[:2]}
        closed = complete_covered(
            connection, [everything], 99, rereads_too=False, left_open=written
        )
        run_counts.count_closed(connection, closed)
    assert told(connection, run) == {"unchanged": 1}
    assert pending.get(connection, own.id) == own


def test_a_chunk_of_which_another_look_answers_a_part_is_in_work_as_before(
    planted: Library, by_hand: ByHand
) -> None:
    """Its run does not end before it is answered, and counts no file once more then."""
    planted.scan()
    connection = by_hand.connection
    run = begin(connection)
    own = chunk(connection, 1, *NAMES, run=run)
    for _ in range(2):
        with write_transaction(connection):
            some = Hint(1, b"", NAMES[:2])
            closed = complete_covered(connection, [some], 99, rereads_too=False)
            run_counts.count_closed(connection, closed)
        assert told(connection, run) == {"unchanged": 2}
        assert counted.waits_for(connection, run)
    with write_transaction(connection):
        run_counts.count_unplanned(connection, own, len(NAMES))
    assert told(connection, run) == {"unchanged": 3}


def test_the_hint_of_a_run_is_answered_by_that_run_alone(connection: Connection) -> None:
    run = begin(connection)
    everything = Hint(1, recursive=True)
    with write_transaction(connection):
        row = pending.enqueue(connection, everything, 1, scan_id=run)
        complete_covered(connection, [everything], 99, rereads_too=False)
        assert pending.is_open(connection, row)
        complete_covered(connection, [everything], 99, rereads_too=False, scan_id=run)
        assert not pending.is_open(connection, row)


def test_a_listing_does_not_count_again_what_a_killed_process_had_written(
    connection: Connection,
) -> None:
    run = begin(connection)
    with write_transaction(connection):
        scans.add(connection, run, {"added": 40, "problems": 2, "missing": 7, "files_read": 42})
        before = run_counts.answered(connection, run)
        run_counts.count_listing(connection, run, 100, 60, answered_before=before)
    assert told(connection, run) == {
        "added": 40, "problems": 2, "missing": 7, "files_read": 42, "seen": 100,
        "unchanged": 18, "listed": 18,
    }  # fmt: skip


def test_a_run_that_is_taken_up_is_listed_again_and_keeps_the_rest(connection: Connection) -> None:
    run = begin(connection)
    with write_transaction(connection):
        scans.add(connection, run, {"unchanged": 3, "added": 1})
        run_counts.count_listing(connection, run, 10, 6, answered_before=0)
        scans.go_on(connection, run)
    assert told(connection, run) == {"unchanged": 3, "added": 1}
    with write_transaction(connection):
        run_counts.count_listing(connection, run, 10, 10, answered_before=4)
        scans.end(connection, run, 5)
    counts = scans.counts_of(connection, run)
    assert (counts["seen"], counts["unchanged"], counts["added"]) == (10, 9, 1)
    assert counts.keys() <= {
        "seen", "unchanged", "added", "seconds", "files_per_second", "interrupted",
    }  # fmt: skip


def test_beside_a_daemon_a_run_that_goes_on_is_not_taken_for_killed(
    connection: Connection,
) -> None:
    killed, waiting = begin(connection), begin(connection)
    with write_transaction(connection):
        pending.enqueue(connection, Hint(1), 1, scan_id=waiting)
    begin(connection)
    states = {row.id: row.state for row in scans.newest(connection, 9)}
    assert (states[waiting], states[killed]) == ("running", "interrupted")


def test_what_a_run_has_counted_already_waits_in_a_row_that_no_run_counts(
    planted: Library, by_hand: ByHand
) -> None:
    """The run may end before that file is read again, and must not count it again then."""
    assert planted.status().roots
    connection = by_hand.connection
    run = begin(connection)
    own = chunk(connection, 1, *NAMES, run=run)
    answer(by_hand, chunk(connection, 2, NAMES[0]))
    with write_transaction(connection):
        run_counts.retry_later(connection, own, 1)
    assert told(connection, run) == {"added": 1, "files_read": 1, "pending": 2}
    rows = {row.hint.names: (row.scan_id, row.attempts) for row in pending.all_rows(connection)}
    assert rows[NAMES[1:]] == (run, 1)
    assert rows[NAMES[:1]] == (0, 1)


def test_an_incomplete_file_that_was_counted_by_another_result_is_left_without_its_run(
    planted: Library, by_hand: ByHand
) -> None:
    assert planted.status().roots
    connection = by_hand.connection
    run = begin(connection)
    own = chunk(connection, 1, *NAMES, run=run)
    ready = by_hand.read(next(iter(by_hand.scan(own.hint).plans())))
    answer(by_hand, chunk(connection, 2, NAMES[0]))
    others = tuple(one for one in ready.findings if one.entry.path != NAMES[0])
    waiting = replace(ready, findings=others, waiting=(NAMES[0],), files_read=len(others))
    by_hand.inserter.write(own, waiting, 1, count=lambda one: _count(connection, own, waiting, one))
    (left,) = (row for row in pending.all_rows(connection) if row.is_chunk)
    assert (left.hint.names, left.scan_id, left.attempts) == (NAMES[:1], 0, 1)
    assert told(connection, run) == {"added": 3, "files_read": 3}
