from __future__ import annotations

import zlib

import msgspec
import pytest
from msgspec.structs import replace

from indexer.model import Hint
from indexer.store import roots
from indexer.store.connection import Connection, select_value
from indexer.store.work import counted, pending
from indexer.store.work.covered import complete_covered, covers
from indexer.store.work.pending import Outline

EVERYTHING = Hint(1, recursive=True)


@pytest.fixture(autouse=True)
def _root(root_id: int) -> None:
    assert root_id == 1


def waiting(connection: Connection) -> list[Hint]:
    return [row.hint for row in pending.all_rows(connection)]


@pytest.mark.parametrize(
    "hint",
    [
        EVERYTHING,
        Hint(1, b"A/\xff"),
        Hint(1, b"A", (b"1.mp3", b"b/\xff\n.mp3"), reread=7),
        Hint(1, names=()),
    ],
)
def test_a_hint_comes_back_as_it_was_left(connection: Connection, hint: Hint) -> None:
    row = pending.enqueue(connection, hint, 5)
    assert pending.all_rows(connection) == [row]
    assert (row.hint, row.at, row.attempts) == (hint, 5, 0)


def test_generations_only_grow(connection: Connection) -> None:
    first = pending.enqueue(connection, EVERYTHING, 1)
    pending.complete(connection, first)
    second = pending.enqueue(connection, EVERYTHING, 1)
    assert second.generation > first.generation
    assert second.id > first.id


def test_a_chunk_has_the_generation_of_its_hint(connection: Connection) -> None:
    hint = pending.enqueue(connection, EVERYTHING, 1)
    pending.enqueue(connection, Hint(1, b"B"), 1)
    chunk = pending.add_chunk(connection, Hint(1, names=(b"1.mp3",)), hint.generation, 1)
    assert chunk.generation == hint.generation
    assert pending.is_open(connection, chunk)


def test_only_the_row_one_was_given_can_be_settled(connection: Connection) -> None:
    one = pending.enqueue(connection, EVERYTHING, 1)
    other = pending.enqueue(connection, EVERYTHING, 1)
    assert pending.complete(connection, one)
    assert not pending.complete(connection, one)
    assert not pending.is_open(connection, one)
    assert pending.all_rows(connection) == [other]


def test_a_row_under_another_generation_is_not_the_one_that_was_given(
    connection: Connection,
) -> None:
    row = pending.enqueue(connection, EVERYTHING, 1)
    connection.execute("UPDATE pending SET generation = generation + 1")
    assert not pending.is_open(connection, row)
    assert not pending.complete(connection, row)
    assert len(waiting(connection)) == 1


def test_many_names_take_a_fraction_of_their_bytes_and_come_back_as_they_were(
    connection: Connection,
) -> None:
    names = tuple(b"Artist/Album \xff/%03d Title.mp3" % number for number in range(400))
    row = pending.enqueue(connection, Hint(1, names=names), 1)
    assert pending.get(connection, row.id) == row
    assert pending.named_since(connection, 1, 0) == set(names)
    stored = select_value(connection, "SELECT names FROM pending")
    assert len(stored) < len(b"".join(names)) // 3
    assert pending.is_readable(stored)
    assert not pending.is_readable(stored[:-9])
    left = pending.keep_only(connection, row, names[1:])
    assert pending.all_rows(connection) == [left]


@pytest.mark.parametrize(
    "names",
    [
        zlib.compress(b"\x91\xc4\x01a")[:-5],
        b"x\x01" + b"\xff" * 40,
        zlib.compress(bytes(17 << 20)),
        zlib.compress(b"no names"),
    ],
    ids=["cut", "other bytes", "a bomb", "other content"],
)
def test_names_that_no_version_writes_are_an_error_of_what_was_read(
    connection: Connection, names: bytes
) -> None:
    pending.enqueue(connection, Hint(1, b"A", (b"1.mp3",)), 1)
    connection.execute("UPDATE pending SET names = ?", (names,))
    assert not pending.is_readable(names)
    with pytest.raises(msgspec.DecodeError):
        pending.all_rows(connection)


def test_names_that_are_too_long_to_be_compressed_come_back_too(connection: Connection) -> None:
    hint = Hint(1, b"A", tuple(b"%05d" % number + b"x" * 4000 for number in range(4300)))
    row = pending.enqueue(connection, hint, 1)
    assert pending.all_rows(connection) == [row]


def test_what_is_left_of_a_chunk_keeps_its_generation_and_is_one_attempt_older(
    connection: Connection,
) -> None:
    names = (b"1.mp3", b"2.mp3", b"3.mp3")
    row = pending.enqueue(connection, Hint(1, names=names, reread=3), 1)
    left = pending.keep_only(connection, row, {b"3.mp3", b"1.mp3"})
    assert pending.all_rows(connection) == [left]
    assert (left.id, left.generation, left.attempts) == (row.id, row.generation, 1)
    assert left.hint == Hint(1, names=(b"1.mp3", b"3.mp3"), reread=3)


def test_what_is_left_of_a_row_for_a_folders_names_is_relative_to_the_root(
    connection: Connection,
) -> None:
    row = pending.enqueue(connection, Hint(1, b"A", (b"1.mp3", b"2.mp3")), 1)
    pending.keep_only(connection, row, {b"A/2.mp3"})
    (left,) = pending.all_rows(connection)
    assert covers(left.hint, 1, b"A/2.mp3")
    assert not covers(left.hint, 1, b"A/1.mp3")


def test_only_newer_rows_of_this_root_that_name_files_stand_in_the_way(
    connection: Connection,
) -> None:
    connection.execute("INSERT INTO roots (name, path, added_at) VALUES ('other', x'2f', 1)")
    pending.enqueue(connection, Hint(1, names=(b"older.mp3",)), 1)
    mine = pending.enqueue(connection, EVERYTHING, 1)
    pending.add_chunk(connection, Hint(1, names=(b"mine.mp3",)), mine.generation, 1)
    pending.enqueue(connection, Hint(2, names=(b"of another root.mp3",)), 1)
    pending.enqueue(connection, Hint(1, b"A"), 1)
    pending.enqueue(connection, EVERYTHING, 1)
    pending.enqueue(connection, Hint(1, b"A", (b"1.mp3", b"b/2.mp3")), 1)
    assert pending.named_since(connection, 1, mine.generation) == {b"A/1.mp3", b"A/b/2.mp3"}


def test_a_note_that_a_file_is_being_written_answers_for_no_run(connection: Connection) -> None:
    """Else a run waits for its writer: nothing is done about a note until the file is closed."""
    mine = pending.enqueue(connection, EVERYTHING, 1)
    note = pending.add_open(connection, Hint(1, b"", (b"A/1.mp3",)), 1)
    assert pending.named_since(connection, 1, mine.generation) == set()
    assert pending.get(connection, note.id) == note


@pytest.mark.parametrize(
    ("hint", "covered", "not_covered"),
    [
        (EVERYTHING, [b"1.mp3", b"A/b/2.mp3", b"A"], []),
        (Hint(1, b"A", recursive=True), [b"A/1.mp3", b"A/b/2.mp3", b"A"], [b"B/1.mp3", b"AB"]),
        (Hint(1, b"A"), [b"A/1.mp3"], [b"A/b/2.mp3", b"1.mp3", b"A"]),
        (Hint(1), [b"1.mp3"], [b"A/1.mp3"]),
        (Hint(1, b"A", (b"1.mp3", b"b/2.mp3")), [b"A/1.mp3", b"A/b/2.mp3"], [b"A/2.mp3", b"A"]),
        (Hint(1, names=()), [], [b"1.mp3"]),
    ],
)
def test_a_hint_covers_what_looking_at_it_looks_at(
    hint: Hint, covered: list[bytes], not_covered: list[bytes]
) -> None:
    for path in covered:
        assert covers(hint, 1, path)
        assert not covers(hint, 2, path)
    for path in not_covered:
        assert not covers(hint, 1, path)


@pytest.mark.parametrize(
    ("finished", "answered", "open_still"),
    [
        (
            EVERYTHING,
            [EVERYTHING, Hint(1), Hint(1, b"A/b"), Hint(1, b"A", (b"1.mp3",))],
            [],
        ),
        (
            Hint(1, b"A", recursive=True),
            [Hint(1, b"A"), Hint(1, b"A/b", recursive=True), Hint(1, names=(b"A/1.mp3",))],
            [EVERYTHING, Hint(1), Hint(1, b"AB"), Hint(1, names=(b"1.mp3",))],
        ),
        (
            Hint(1, b"A"),
            [Hint(1, b"A"), Hint(1, b"A", (b"1.mp3",)), Hint(1, names=(b"A/1.mp3",))],
            [Hint(1, b"A", recursive=True), Hint(1, b"A/b"), Hint(1, b"A", (b"b/1.mp3",))],
        ),
        (
            Hint(1, b"A", (b"1.mp3", b"2.mp3")),
            [Hint(1, names=(b"A/2.mp3",)), Hint(1, b"A", (b"1.mp3", b"2.mp3"))],
            [Hint(1, b"A"), Hint(1, b"A", recursive=True), Hint(1, b"A", (b"3.mp3",))],
        ),
    ],
)
def test_a_finished_scan_settles_what_it_has_answered_and_nothing_else(
    connection: Connection, finished: Hint, answered: list[Hint], open_still: list[Hint]
) -> None:
    for hint in (*answered, *open_still):
        pending.enqueue(connection, hint, 1)
    complete_covered(connection, [finished], pending.newest_id(connection))
    assert waiting(connection) == open_still


def test_a_hint_that_came_while_a_scan_ran_is_not_answered_by_it(connection: Connection) -> None:
    pending.enqueue(connection, EVERYTHING, 1)
    before = pending.newest_id(connection)
    later = pending.enqueue(connection, EVERYTHING, 1)
    complete_covered(connection, [EVERYTHING], before)
    assert pending.all_rows(connection) == [later]


def test_of_a_row_only_the_names_that_were_looked_at_are_settled(connection: Connection) -> None:
    pending.enqueue(connection, Hint(1, b"A", (b"1.mp3", b"2.mp3")), 1)
    complete_covered(connection, [Hint(1, names=(b"A/1.mp3",))], 1)
    assert waiting(connection) == [Hint(1, names=(b"A/2.mp3",))]


def test_what_waits_is_counted_with_its_oldest(connection: Connection) -> None:
    assert pending.count(connection) == (0, None)
    pending.enqueue(connection, EVERYTHING, 7)
    pending.enqueue(connection, EVERYTHING, 5)
    assert pending.count(connection) == (2, 5)
    pending.delete_of_root(connection, 1)
    assert pending.count(connection) == (0, None)


# ---- generations of several hints, and their chunks


def test_hints_that_are_left_together_share_the_id_of_the_first_as_their_generation(
    connection: Connection,
) -> None:
    pending.enqueue(connection, EVERYTHING, 1)
    hints = [Hint(1, b"A"), Hint(1, b"B", (b"1.mp3",)), EVERYTHING]
    rows = pending.enqueue_all(connection, hints, 5, scan_id=3)
    assert [row.hint for row in rows] == hints
    assert {row.generation for row in rows} == {rows[0].id}
    assert len({row.id for row in rows}) == 3
    assert pending.of_generation(connection, rows[0].id) == rows
    assert [(row.scan_id, row.is_chunk, row.passes) for row in rows] == [(3, False, 0)] * 3


def test_no_hints_leave_nothing(connection: Connection) -> None:
    assert pending.enqueue_all(connection, [], 1) == []
    assert pending.all_rows(connection) == []


def test_no_hint_waits_of_a_root_that_was_removed_meanwhile(connection: Connection) -> None:
    other = roots.add(connection, "other", b"/other", 1)
    roots.remove(connection, other.id, 2)
    of_other = Hint(other.id, recursive=True)
    assert pending.enqueue_all(connection, [of_other], 3) == []
    (row,) = pending.enqueue_all(connection, [of_other, EVERYTHING], 3)
    assert pending.all_rows(connection) == [row]
    assert (row.hint, row.generation) == (EVERYTHING, row.id)


def test_a_generation_has_its_chunks_too_and_no_others(connection: Connection) -> None:
    one, other = (pending.enqueue(connection, EVERYTHING, 1) for _ in range(2))
    chunk = pending.add_chunk(connection, Hint(1, b"", (b"1.mp3",)), one.generation, 1, scan_id=7)
    assert pending.of_generation(connection, one.generation) == [one, chunk]
    assert pending.of_generation(connection, other.generation) == [other]
    assert pending.of_generation(connection, 99) == []
    assert (chunk.is_chunk, chunk.scan_id) == (True, 7)


def test_a_row_is_found_by_its_id_while_it_waits(connection: Connection) -> None:
    row = pending.enqueue(connection, Hint(1, b"A", (b"\xff.mp3",), reread=3), 1)
    assert pending.get(connection, row.id) == row
    pending.complete(connection, row)
    assert pending.get(connection, row.id) is None


def test_outlines_tell_of_all_that_waits_but_not_where(connection: Connection) -> None:
    hint = pending.enqueue(connection, EVERYTHING, 1, scan_id=3)
    chunk = pending.add_chunk(connection, Hint(1, b"", (b"1.mp3",)), hint.generation, 1, scan_id=3)
    pending.count_pass(connection, hint.generation)
    pending.retry_later(connection, chunk)
    assert pending.outlines(connection) == [
        Outline(hint.id, hint.id, 1, False, 0, 1, 3, is_everything=True),
        Outline(chunk.id, hint.id, 1, True, 1, 0, 3),
    ]


def test_a_pass_is_counted_for_all_hints_of_a_generation_and_for_no_chunk(
    connection: Connection,
) -> None:
    rows = pending.enqueue_all(connection, [Hint(1, b"A"), Hint(1, b"B")], 1)
    generation = rows[0].generation
    chunk = pending.add_chunk(connection, Hint(1, b"", (b"1.mp3",)), generation, 1)
    other = pending.enqueue(connection, EVERYTHING, 1)
    assert pending.passes_of(connection, generation) == 0
    pending.count_pass(connection, generation)
    pending.count_pass(connection, generation)
    assert pending.passes_of(connection, generation) == 2
    assert [row.passes for row in pending.all_rows(connection)] == [2, 2, 0, 0]
    assert pending.passes_of(connection, other.generation) == 0
    assert pending.get(connection, chunk.id) == chunk


def test_a_generation_without_hints_that_wait_has_no_passes(connection: Connection) -> None:
    hint = pending.enqueue(connection, EVERYTHING, 1)
    pending.add_chunk(connection, Hint(1, b"", (b"1.mp3",)), hint.generation, 1)
    pending.complete(connection, hint)
    assert pending.passes_of(connection, hint.generation) is None
    assert pending.passes_of(connection, 99) is None


def test_a_chunk_is_in_work_until_its_first_answer(connection: Connection) -> None:
    hint = pending.enqueue(connection, EVERYTHING, 1)
    assert not pending.has_chunks_in_work(connection, hint.generation)
    chunk = pending.add_chunk(connection, Hint(1, b"", (b"1.mp3",)), hint.generation, 1)
    assert pending.has_chunks_in_work(connection, hint.generation)
    assert not pending.has_chunks_in_work(connection, hint.generation + 1)
    pending.keep_only(connection, chunk, [b"1.mp3"])
    assert not pending.has_chunks_in_work(connection, hint.generation)


def test_a_run_waits_for_its_hints_and_chunks_but_not_for_files_that_are_not_whole(
    connection: Connection,
) -> None:
    pending.enqueue(connection, EVERYTHING, 1, scan_id=8)
    hint = pending.enqueue(connection, EVERYTHING, 1, scan_id=7)
    assert counted.waits_for(connection, 7)
    chunk = pending.add_chunk(connection, Hint(1, b"", (b"1.mp3",)), hint.generation, 1, scan_id=7)
    pending.complete(connection, hint)
    assert counted.waits_for(connection, 7)
    pending.keep_only(connection, chunk, [b"1.mp3"])
    assert not counted.waits_for(connection, 7)
    assert counted.waits_for(connection, 8)


def test_a_row_that_is_left_be_keeps_all_of_it_and_is_one_attempt_older(
    connection: Connection,
) -> None:
    row = pending.enqueue(connection, Hint(1, b"A", (b"1.mp3", b"2.mp3")), 1)
    pending.retry_later(connection, row)
    assert pending.get(connection, row.id) == replace(row, attempts=1)


def test_what_is_left_of_a_chunk_is_a_chunk_of_the_same_run(connection: Connection) -> None:
    chunk = pending.add_chunk(connection, Hint(1, b"", (b"1.mp3", b"2.mp3")), 5, 1, scan_id=7)
    left = pending.keep_only(connection, chunk, [b"2.mp3"])
    assert pending.all_rows(connection) == [left]
    assert (left.is_chunk, left.scan_id) == (True, 7)


@pytest.mark.parametrize("number", [2, 3, 201])
def test_a_chunk_that_is_split_has_a_chunk_for_each_of_its_names_in_its_place(
    connection: Connection, number: int
) -> None:
    names = tuple(b"%03d.mp3" % one for one in range(number))
    chunk = pending.add_chunk(connection, Hint(1, b"A", names, reread=3), 5, 1, scan_id=7)
    parts = pending.split(connection, chunk, 9)
    assert pending.all_rows(connection) == parts
    assert [part.hint.names for part in parts] == [(name,) for name in names]
    for part in parts:
        assert (part.hint.root_id, part.hint.folder, part.hint.reread) == (1, b"A", 3)
        assert (part.generation, part.scan_id, part.is_chunk, part.attempts) == (5, 7, True, 0)
    assert not pending.is_open(connection, chunk)


def test_hints_that_are_given_up_are_those_that_nothing_else_waits_for(
    connection: Connection,
) -> None:
    plain = [pending.enqueue(connection, Hint(1, b"%d" % number), 1) for number in range(3)]
    again = pending.enqueue(connection, Hint(1, b"A", reread=1), 1)
    of_run = pending.enqueue(connection, Hint(1, b"B"), 1, scan_id=5)
    chunk = pending.add_chunk(connection, Hint(1, b"0", (b"x",)), plain[0].generation, 1)
    begun, _ = (pending.enqueue(connection, EVERYTHING, 1) for _ in range(2))
    assert not pending.drop_hints_beyond(connection, 1, 5)
    assert pending.drop_hints_beyond(connection, 1, 4)
    assert pending.all_rows(connection) == [again, of_run, chunk, begun]
