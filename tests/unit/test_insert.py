from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.engine import chunk_writer
from indexer.library import Library
from indexer.model import Hint, Problem, ProblemKind, RowState
from indexer.stages.batch import Batch
from indexer.stages.insert import Count, Inserter, Written
from indexer.stages.outcome import Outcome
from indexer.stages.recheck import Recheck
from indexer.stages.scan import Plan
from indexer.store import pending, problems, scans, tracks
from indexer.store.connection import Connection, write_transaction
from indexer.store.pending import PendingRow
from tests.stage_harness import ByHand, refuse_folder
from tests.trees import (
    BAD,
    Plant,
    at,
    dump,
    faults,
    ids,
    put_in_disguise,
    replayed,
    song,
    titles,
    told,
)

Planned = tuple[Plan, PendingRow, Batch]


@pytest.fixture
def planned(plant: Plant, by_hand: ByHand) -> Planned:
    """Two new files that are listed and read, but not inserted yet."""
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    plan, row = by_hand.plan()
    return plan, row, by_hand.read(plan)


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


def test_a_file_whose_stamp_changed_since_it_was_read_is_not_written_and_stays_pending(
    library: Library, by_hand: ByHand, planned: Planned, music: Path
) -> None:
    _, row, ready = planned
    put_in_disguise(music, "1.mp3", song("New"))
    written = by_hand.write(row, ready)
    assert titles(library) == {"2.mp3": "Two"}
    assert written.left is not None
    assert waiting(by_hand) == [(b"1.mp3",)]
    assert library.scan().pending == 0
    assert titles(library)["1.mp3"] == "New"


@pytest.mark.parametrize("kind", ["nothing", "a folder", "a FIFO", "a link"])
def test_a_file_that_is_none_any_more_is_not_written_and_stays_pending(
    library: Library, by_hand: ByHand, planned: Planned, music: Path, kind: str
) -> None:
    _, row, ready = planned
    (music / "1.mp3").unlink()
    match kind:
        case "a folder":
            (music / "1.mp3").mkdir()
        case "a FIFO":
            os.mkfifo(music / "1.mp3")
        case "a link":
            (music / "1.mp3").symlink_to("2.mp3")
    by_hand.write(row, ready)
    assert titles(library) == {"2.mp3": "Two"}
    assert waiting(by_hand) == [(b"1.mp3",)]
    library.scan()
    assert library.status().pending == 0


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


def test_a_move_is_undecided_until_insert_looks(
    library: Library, by_hand: ByHand, plant: Plant, music: Path
) -> None:
    """Planned as a move without reading; the file is moved back before the insert."""
    plant({"A/1.mp3": song("One")})
    library.scan()
    before = ids(library)
    (music / "A").rename(music / "B")
    plan, row = by_hand.plan()
    assert (plan.read, len(plan.unread)) == ((), 1)
    (music / "B").rename(music / "A")
    by_hand.write(row, by_hand.read(plan))
    assert ids(library) == before
    assert waiting(by_hand) == [(b"B/1.mp3",)]


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


@pytest.mark.parametrize("chunk_files", [1])
def test_chunks_that_share_a_transaction_are_written_all_or_none(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = chunk_writer._TOGETHER
    plant({f"{number}.mp3": song() for number in range(2 * together + 2)})
    settle, settled = pending.complete, [0]

    def fail_in_the_second(connection: Connection, row: PendingRow) -> bool:
        settled[0] += 1
        return settle(connection, row) if settled[0] < together + 3 else bool(1 / 0)

    with monkeypatch.context() as patch:
        patch.setattr(pending, "complete", fail_in_the_second)
        with pytest.raises(ZeroDivisionError):
            library.rebuild()
    assert len(titles(library)) == len(told(library)) == together
    assert library.rebuild().files_read == together + 2
    assert len(titles(library)) == 2 * together + 2
    assert faults(library) == []


@pytest.mark.parametrize("chunk_files", [1])
def test_where_reading_is_slow_each_chunk_is_written_by_itself(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({f"{number}.mp3": song() for number in range(3)})
    monkeypatch.setattr(chunk_writer, "_TOGETHER_S", -1.0)
    sizes = []
    write_all = Inserter.write_all

    def count(
        inserter: Inserter,
        chunks: Sequence[tuple[PendingRow, Batch]],
        now_ms: int,
        *,
        count: Count,
    ) -> list[Written | None]:
        sizes.append(len(chunks))
        return write_all(inserter, chunks, now_ms, count=count)

    monkeypatch.setattr(Inserter, "write_all", count)
    library.rebuild()
    assert sizes == [1, 1, 1]


def test_a_row_that_vanished_and_is_back_as_it_was_is_not_marked_missing(
    library: Library, by_hand: ByHand, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    library.scan()
    (music / "A").rename(music / ".A")
    scan = by_hand.scan()
    assert list(scan.plans()) == []
    (music / ".A").rename(music / "A")
    assert by_hand.absence.mark_missing(scan.vanished, 1) == []
    assert titles(library) == {"A/1.mp3": "One"}
    assert waiting(by_hand) == []


def test_a_row_that_vanished_and_is_back_with_another_stamp_is_hinted(
    library: Library, by_hand: ByHand, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    (music / "1.mp3").unlink()
    scan = by_hand.scan()
    assert list(scan.plans()) == []
    plant({"1.mp3": song("New")})
    assert by_hand.absence.mark_missing(scan.vanished, 1) == []
    assert waiting(by_hand) == [(b"1.mp3",)]


def test_a_row_that_vanished_from_an_unreadable_folder_is_not_marked_missing(
    library: Library,
    by_hand: ByHand,
    plant: Plant,
    music: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant({"A/1.mp3": song("One")})
    library.scan()
    (music / "A/1.mp3").unlink()
    scan = by_hand.scan()
    assert list(scan.plans()) == []
    refuse_folder(monkeypatch, b"A", errno.EIO)
    assert by_hand.absence.mark_missing(scan.vanished, 1) == []
    assert titles(library) == {"A/1.mp3": "One"}


def test_equal_inodes_on_two_disks_are_two_files_and_each_may_move(
    library: Library, by_hand: ByHand, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    (music / "a.mp3").rename(music / "b.mp3")
    os.link(at(music, "b.mp3"), at(music, "c.mp3"))
    plan, row = by_hand.plan()
    one, other = plan.read
    ready = by_hand.read(replace(plan, read=(one, replace(other, disk_id=one.disk_id + 1))))
    assert by_hand.write(row, ready).tally == {Outcome.MOVED: 1, Outcome.ADDED: 1}
    assert ids(library)["b.mp3"] == before["a.mp3"]


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


def test_new_files_are_written_together_just_as_one_by_one(
    by_hand: ByHand, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({
        "A/B/1.mp3": song("Zoë", artist="Björk", album="B", genre="Pop; Rock"),
        "A/B/2.mp3": song("Two", artist="Björk", album="B"),
        "A/B/bad.mp3": BAD,
        b"A/C\xff/3.mp3": song("Three", artist="A", albumartist="Björk", album="B"),
        "untold.mp3": song("", album="", artist=()),
    })  # fmt: skip
    plan, row = by_hand.plan()
    ready = by_hand.read(plan)

    def everything() -> dict[str, list[tuple[object, ...]]]:
        execute = by_hand.connection.execute
        found: dict[str, list[tuple[object, ...]]] = {}
        for (name,) in execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            if not str(name).startswith("track_search"):
                found[str(name)] = sorted(execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
        asked = "SELECT rowid FROM track_search WHERE track_search MATCH ?"
        words = {word: execute(asked, (word,)).fetchall() for word in ("zoe", "bjork", "pop", "b")}
        return {**found, **words}

    def written() -> dict[str, list[tuple[object, ...]]]:
        """The rows of all tables at the end of the transaction, which is then rolled back."""
        seen = {}

        def look_and_leave(_: Written) -> None:
            seen.update(everything())
            raise InterruptedError

        with pytest.raises(InterruptedError):
            by_hand.inserter.write(row, ready, 1, count=look_and_leave)
        return seen

    together = written()
    assert len(together["tracks"]) == 5
    assert len(together["changes"]) == len(together["zoe"]) + 3 == 4
    monkeypatch.setattr(Recheck, "_sort_out", lambda *_: ([], list(ready.findings)))
    assert written() == together
    assert everything()["tracks"] == []


def test_a_new_file_that_the_machine_could_not_read_at_first_loses_its_problem(
    library: Library, by_hand: ByHand, planned: Planned
) -> None:
    _, row, ready = planned
    trouble = Problem(ProblemKind.ENVIRONMENT, "Input/output error (EIO)")
    with write_transaction(by_hand.connection):
        problems.put(by_hand.connection, row.hint.root_id, b"1.mp3", trouble, None, 1)
    assert by_hand.write(row, ready).tally == {Outcome.ADDED: 2}
    assert list(library.problems()) == []


def test_only_some_of_many_paths_and_inodes_are_known(by_hand: ByHand, planned: Planned) -> None:
    plan, row, ready = planned
    by_hand.write(row, ready)
    others = [b"%d.flac" % number for number in range(1000)]
    connection = by_hand.connection
    asked = [*others, b"2.mp3"]
    assert tracks.heard_of(connection, plan.root_id, asked) == {b"2.mp3"}
    assert tracks.heard_of(connection, plan.root_id + 1, asked) == set()
    inodes = {entry.stamp.inode for entry in plan.read}
    assert tracks.inodes_met(connection, [*range(-900, 0), *inodes]) == inodes
    assert tracks.heard_of(connection, plan.root_id, []) == set()


def test_an_inode_that_many_rows_have_hides_no_other(
    by_hand: ByHand, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"1.mp3": song("One"), "other.mp3": song("Two")})
    for number in range(2, 6):
        os.link(at(music, "1.mp3"), at(music, f"{number}.mp3"))
    plan, row = by_hand.plan()
    by_hand.write(row, by_hand.read(plan))
    inodes = {entry.stamp.inode for entry in plan.read}
    monkeypatch.setattr(tracks, "_NEAR", 2)
    assert tracks.inodes_met(by_hand.connection, sorted(inodes)) == inodes


def test_what_is_known_of_a_chunk_is_found_among_few_neighbours_as_among_many(
    by_hand: ByHand, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, row, ready = planned
    by_hand.write(row, ready)
    connection = by_hand.connection
    for near in (200, 1, 0):
        monkeypatch.setattr(tracks, "_NEAR", near)
        asked = [b"0.mp3", b"2.mp3", b"3.mp3"]
        assert tracks.heard_of(connection, plan.root_id, asked) == {b"2.mp3"}
        entry = plan.read[0]
        assert tracks.inodes_met(connection, [0, entry.stamp.inode]) == {entry.stamp.inode}


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
