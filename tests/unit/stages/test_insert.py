from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer import paths
from indexer.library import Library
from indexer.model import Hint, RowState
from indexer.stages.insert import Written
from indexer.stages.moves import Outcome
from indexer.store import tracks
from indexer.store.connection import write_transaction
from indexer.store.work import pending, scans
from tests.corpus import template
from tests.stage_harness import ByHand, Planned
from tests.trees import (
    BAD,
    Plant,
    assert_settled,
    at,
    dump,
    faults,
    ids,
    put,
    put_in_disguise,
    replayed,
    song,
    titles,
    told,
)


def waiting(by_hand: ByHand) -> list[tuple[bytes, ...] | None]:
    return [row.hint.names for row in pending.all_rows(by_hand.connection)]


def test_what_was_read_is_written_and_its_chunk_is_settled(
    library: Library, by_hand: ByHand, planned: Planned
) -> None:
    _, row, ready = planned
    written = by_hand.write(row, ready)
    assert (written.tally, written.left) == ({Outcome.ADDED: 2}, None)
    assert titles(library) == {"1.mp3": "One", "2.mp3": "Two"}
    assert waiting(by_hand) == []


def test_a_chunk_whose_pending_row_is_gone_writes_nothing(
    library: Library, by_hand: ByHand, planned: Planned
) -> None:
    _, row, ready = planned
    with write_transaction(by_hand.connection):
        assert pending.complete(by_hand.connection, row)
    before = dump(library)
    assert by_hand.write(row, ready).tally == {}
    assert dump(library) == before


def test_a_newer_row_that_names_the_file_wins(
    library: Library, by_hand: ByHand, planned: Planned
) -> None:
    _, row, ready = planned
    hint = Hint(row.hint.root_id, names=(b"1.mp3",))
    with write_transaction(by_hand.connection):
        pending.enqueue(by_hand.connection, hint, 1)
    by_hand.write(row, ready)
    assert titles(library) == {"2.mp3": "Two"}
    assert waiting(by_hand) == [(b"1.mp3",)]


@pytest.mark.parametrize("recursive", [False, True])
def test_a_newer_row_for_the_folder_stops_nothing_and_stays_open(
    library: Library, by_hand: ByHand, planned: Planned, recursive: bool
) -> None:
    _, row, ready = planned
    with write_transaction(by_hand.connection):
        pending.enqueue(by_hand.connection, Hint(row.hint.root_id, recursive=recursive), 1)
    by_hand.write(row, ready)
    assert len(titles(library)) == 2
    assert waiting(by_hand) == [None]


def test_an_older_row_that_names_the_file_stops_nothing(
    library: Library, by_hand: ByHand, plant: Plant
) -> None:
    plant({"1.mp3": song("One")})
    with write_transaction(by_hand.connection):
        pending.enqueue(by_hand.connection, Hint(min(by_hand.trees), names=(b"1.mp3",)), 1)
    plan, row = by_hand.plan()
    by_hand.write(row, by_hand.read(plan))
    assert titles(library) == {"1.mp3": "One"}


def test_a_row_that_cannot_be_written_takes_the_whole_chunk_back(
    library: Library, by_hand: ByHand, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, row, ready = planned
    before = dump(library)
    with monkeypatch.context() as patch:
        patch.setattr(pending, "complete", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            by_hand.write(row, ready)
    assert dump(library) == before
    assert by_hand.write(row, ready).tally == {Outcome.ADDED: 2}
    assert faults(library) == []


def test_the_bad_and_the_good_of_one_chunk_are_written_together(
    library: Library, by_hand: ByHand, plant: Plant
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": BAD})
    plan, row = by_hand.plan()
    written = by_hand.write(row, by_hand.read(plan))
    assert written.tally == {Outcome.ADDED: 1, Outcome.PROBLEM: 1}
    bad = tracks.in_place(by_hand.connection, plan.root_id, b"2.mp3")
    assert bad is not None
    assert (bad.place, bad.added_at) == (RowState.REFUSED, None)
    assert faults(library) == []


def test_a_rebuild_reads_everything_again_keeps_ids_and_tells_only_what_differs(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two"), "3.mp3": BAD})
    library.scan()
    before = ids(library)
    put_in_disguise(music, "2.mp3", song("New"))
    report = library.rebuild()
    assert (report.files_read, report.modified, report.unchanged) == (3, 1, 1)
    assert ids(library) == before
    assert told(library)[2:] == [("modified", "2.mp3")]


@pytest.mark.parametrize("chunk_files", [1])
def test_an_interrupted_rebuild_goes_on_where_it_stopped(library: Library, plant: Plant) -> None:
    plant({f"{number}/1.mp3": song() for number in range(4)})
    library.scan()
    left = iter([False, False])
    report = library.rebuild(stop=lambda: next(left, True))
    assert report.interrupted
    first = report.files_read
    report = library.rebuild()
    assert first + report.files_read == 4
    assert library.rebuild().files_read == 4, "a finished one is started again"


def test_a_root_that_is_removed_leaves_the_view_and_comes_back_with_its_ids(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": BAD})
    library.scan()
    before = ids(library)
    library.remove_root("music")
    assert (titles(library), list(library.problems())) == ({}, [])
    assert faults(library) == []
    library.add_root(os.fsencode(music))
    report = library.scan()
    assert (report.returned, report.added) == (1, 0)
    assert ids(library) == before
    replayed(library.changes())


def test_ids_are_never_used_twice(library: Library, plant: Plant, music: Path) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    (music / "1.mp3").unlink()
    library.scan()
    plant({"2.mp3": song("One")})
    library.scan([at(music, "2.mp3")])
    assert ids(library) == {"2.mp3": 2}


def test_what_a_batch_did_is_counted_in_its_own_transaction(
    library: Library, by_hand: ByHand, planned: Planned
) -> None:
    _, row, ready = planned
    with write_transaction(by_hand.connection):
        scan_id = scans.start(by_hand.connection, "scan", ["music"], 1)
    told: list[Written] = []

    def count(written: Written) -> None:
        told.append(written)
        assert by_hand.connection.in_transaction
        assert titles(library) == {}, "another connection sees nothing yet"
        scans.add(by_hand.connection, scan_id, {"added": written.tally[Outcome.ADDED]})

    written = by_hand.inserter.write(row, ready, 1, count=count)
    assert told == [written]
    assert scans.state_of(by_hand.connection, scan_id) == ("running", '{"added":2}')
    assert len(titles(library)) == 2


def test_a_batch_that_cannot_be_counted_is_not_written(
    library: Library, by_hand: ByHand, planned: Planned
) -> None:
    _, row, ready = planned
    before = dump(library)

    def count(_: Written) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        by_hand.inserter.write(row, ready, 1, count=count)
    assert dump(library) == before
    assert pending.is_open(by_hand.connection, row)


def test_a_chunk_that_is_completed_already_is_not_counted(
    library: Library, by_hand: ByHand, planned: Planned
) -> None:
    _, row, ready = planned
    assert by_hand.inserter.write(row, ready, 1) is not None
    told: list[Written] = []
    assert by_hand.inserter.write(row, ready, 2, count=told.append) is None
    assert told == []
    assert titles(library) == {"1.mp3": "One", "2.mp3": "Two"}


def test_what_was_guessed_by_other_rules_leaves_no_words_and_no_links(
    library: Library, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by an older version, whose files are read again: one has tags now."""
    plant({"Quux/1.mp3": template(".mp3"), "Quux/2.mp3": template(".mp3")})
    with monkeypatch.context() as patch:
        patch.setattr(paths, "guess", lambda *_: paths.Guess("Older", "Guesses", "Zappa"))
        library.scan()
    assert len(list(library.search(["zappa"]))) == 2
    put(music, "Quux/2.mp3", song("Two"))
    library.rebuild()
    assert list(library.search(["zappa"])) == []
    assert_settled(library)
