"""Files that changed, moved or are known by the time that their batch is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.library import Library
from indexer.model import Problem, ProblemKind
from indexer.stages.insert import Written
from indexer.stages.moves import Outcome
from indexer.stages.recheck import Recheck
from indexer.store import problems, track_matches
from indexer.store.connection import write_transaction
from indexer.store.work import pending
from tests.stage_harness import ByHand, Planned
from tests.trees import (
    BAD,
    Plant,
    at,
    ids,
    put_in_disguise,
    song,
    titles,
)


def waiting(by_hand: ByHand) -> list[tuple[bytes, ...] | None]:
    return [row.hint.names for row in pending.all_rows(by_hand.connection)]


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
    assert track_matches.heard_of(connection, plan.root_id, asked) == {b"2.mp3"}
    assert track_matches.heard_of(connection, plan.root_id + 1, asked) == set()
    inodes = {entry.stamp.inode for entry in plan.read}
    assert track_matches.inodes_met(connection, [*range(-900, 0), *inodes]) == inodes
    assert track_matches.heard_of(connection, plan.root_id, []) == set()


def test_an_inode_that_many_rows_have_hides_no_other(
    by_hand: ByHand, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"1.mp3": song("One"), "other.mp3": song("Two")})
    for number in range(2, 6):
        os.link(at(music, "1.mp3"), at(music, f"{number}.mp3"))
    plan, row = by_hand.plan()
    by_hand.write(row, by_hand.read(plan))
    inodes = {entry.stamp.inode for entry in plan.read}
    monkeypatch.setattr(track_matches, "_NEAR", 2)
    assert track_matches.inodes_met(by_hand.connection, sorted(inodes)) == inodes


def test_what_is_known_of_a_chunk_is_found_among_few_neighbours_as_among_many(
    by_hand: ByHand, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, row, ready = planned
    by_hand.write(row, ready)
    connection = by_hand.connection
    for near in (200, 1, 0):
        monkeypatch.setattr(track_matches, "_NEAR", near)
        asked = [b"0.mp3", b"2.mp3", b"3.mp3"]
        assert track_matches.heard_of(connection, plan.root_id, asked) == {b"2.mp3"}
        entry = plan.read[0]
        assert track_matches.inodes_met(connection, [0, entry.stamp.inode]) == {entry.stamp.inode}
