"""The passes of a generation: what each of them retries, and when they end."""

from __future__ import annotations

from pathlib import Path

import msgspec

from indexer.library import Library
from indexer.model import Hint, Problem, ProblemKind
from indexer.queue.scan_passes import Pass
from indexer.runs.result import EventFacts
from indexer.store import problems, tracks
from indexer.store.connection import write_transaction
from indexer.store.work import pending, scans
from tests.stage_harness import ByHand
from tests.trees import BAD, Plant, put_in_place_of, song


def names_of(by_hand: ByHand, generation: int) -> list[tuple[bytes, ...]]:
    """The chunks of one pass."""
    rows = pending.of_generation(by_hand.connection, generation)
    one = Pass(
        by_hand.connection, by_hand.settings, by_hand.wanted, rows, by_hand.guarded, EventFacts()
    )
    found = [planned.plan.names for planned in one.steps() if planned is not None]
    one.end()
    return found


def test_a_file_in_anothers_place_that_could_not_be_read_is_tried_when_its_turn_comes(
    library: Library, plant: Plant, music: Path, by_hand: ByHand
) -> None:
    """It is handled by the second pass, which used to skip it, and to close older rows."""
    plant({"1.mp3": song("One")})
    library.scan()
    put_in_place_of(music, "1.mp3", song("Another"))
    with write_transaction(by_hand.connection):
        known = tracks.in_place(by_hand.connection, 1, b"1.mp3")
        assert known is not None
        trouble = Problem(ProblemKind.ENVIRONMENT, "EIO")
        problems.put(by_hand.connection, 1, b"1.mp3", trouble, known.stamp, 1)
        older = pending.enqueue(by_hand.connection, Hint(1, b"", (b"1.mp3",)), 1)
        hint = pending.enqueue(by_hand.connection, Hint(1), 1)
    assert names_of(by_hand, hint.generation) == []
    assert pending.get(by_hand.connection, older.id) is not None
    assert names_of(by_hand, hint.generation) == [(b"1.mp3",)]


def test_a_chunk_that_an_older_scan_made_meanwhile_is_answered_too(
    library: Library, plant: Plant, by_hand: ByHand
) -> None:
    """Otherwise it would insert files that are ignored now: it does not know the newer rule."""
    plant({"a/1.mp3": song("One")})
    library.scan()
    with write_transaction(by_hand.connection):
        older = pending.enqueue(by_hand.connection, Hint(1, recursive=True), 1)
        newer = pending.enqueue(by_hand.connection, Hint(1, recursive=True), 1)
        names = Hint(1, b"", (b"a/2.mp3",))
        chunk = pending.add_chunk(by_hand.connection, names, older.generation, 1)
    assert names_of(by_hand, newer.generation) == []
    assert pending.get(by_hand.connection, chunk.id) is None


def test_a_chunk_that_an_older_scan_makes_after_the_pass_began_stays(
    library: Library, plant: Plant, by_hand: ByHand
) -> None:
    plant({"a/1.mp3": song("One")})
    library.scan()
    with write_transaction(by_hand.connection):
        older = pending.enqueue(by_hand.connection, Hint(1, recursive=True), 1)
        newer = pending.enqueue(by_hand.connection, Hint(1, recursive=True), 1)
    rows = pending.of_generation(by_hand.connection, newer.generation)
    one = Pass(
        by_hand.connection, by_hand.settings, by_hand.wanted, rows, by_hand.guarded, EventFacts()
    )
    with write_transaction(by_hand.connection):
        names = Hint(1, b"", (b"a/2.mp3",))
        chunk = pending.add_chunk(by_hand.connection, names, older.generation, 1)
    assert list(one.steps()) == []
    one.end()
    assert pending.get(by_hand.connection, chunk.id) is not None


def test_a_refused_file_that_comes_back_before_its_row_is_missing_keeps_its_problem(
    library: Library, plant: Plant, music: Path, by_hand: ByHand
) -> None:
    plant({"1.mp3": BAD})
    library.scan()
    with write_transaction(by_hand.connection):
        hint = pending.enqueue(by_hand.connection, Hint(1), 1)
    rows = pending.of_generation(by_hand.connection, hint.generation)
    one = Pass(
        by_hand.connection, by_hand.settings, by_hand.wanted, rows, by_hand.guarded, EventFacts()
    )
    (music / "1.mp3").rename(music.parent / "away.mp3")
    assert list(one.steps()) == []
    (music.parent / "away.mp3").rename(music / "1.mp3")
    one.end()
    assert problems.get(by_hand.connection, 1, b"1.mp3") is not None


def test_what_another_hint_came_to_mark_missing_first_is_counted_in_the_run_that_looks_for_it(
    library: Library, plant: Plant, music: Path, by_hand: ByHand
) -> None:
    """A new file got the inode of one that is gone: the old name is checked alone."""
    plant({"a/1.mp3": song("One"), "a/2.mp3": song("Two"), "b/3.mp3": song("Three")})
    library.scan()
    for name in ("a/1.mp3", "a/2.mp3", "b/3.mp3"):
        (music / name).unlink()
    with write_transaction(by_hand.connection):
        run, other = (scans.start(by_hand.connection, "scan", ["music"], 1) for _ in range(2))
        hint = Hint(1, b"a", recursive=True)
        looked_for = pending.enqueue(by_hand.connection, hint, 1, scan_id=run)
        elsewhere = Hint(1, b"b", recursive=True)
        pending.enqueue(by_hand.connection, elsewhere, 1, scan_id=other)
        twin = pending.enqueue(by_hand.connection, Hint(1, b"", (b"a/1.mp3",)), 1)
    assert names_of(by_hand, twin.generation) == []
    assert names_of(by_hand, looked_for.generation) == []
    told = {run_id: scans.state_of(by_hand.connection, run_id) for run_id in (run, other)}
    counts = {
        run_id: msgspec.json.decode(one[1]).get("missing", 0)
        for run_id, one in told.items()
        if one is not None
    }
    assert counts == {run: 2, other: 0}
