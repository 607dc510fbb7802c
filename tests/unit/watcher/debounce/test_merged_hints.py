"""Hints and names of several folders: what becomes one look, and what is given up past the most."""

from __future__ import annotations

import pytest

from indexer.model import Hint
from tests.unit.watcher.debounce.test_debouncer import BUSY, QUIET, SONG, WHOLE, busy, see, whole
from watcher.debounce.debouncer import Debouncer, DueHint
from watcher.debounce.folder_buffer import Delays
from watcher.events.fs_event import FsEventKind

# Merging: names, folders, trees, and remaining names.


def test_more_names_than_the_most_are_their_folder() -> None:
    debouncer = Debouncer(most_names=3)
    for number in range(3):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"few"), now=0)
    for number in range(4):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"many"), now=0)
    few, many = debouncer.pop_due(1, whole)
    assert few.hint == Hint(1, b"few", (b"0", b"1", b"2"))
    assert many.hint == Hint(1, b"many")
    assert many.whole == {b"many/0", b"many/1", b"many/2", b"many/3"}


def test_names_asked_for_that_are_their_folder_take_along_what_is_ready() -> None:
    debouncer = Debouncer(Delays(quiet_s=2), most_names=3)
    for number in range(4):
        debouncer.offer(see(FsEventKind.CREATED, b"%d" % number), now=0)
    debouncer.offer(see(FsEventKind.CLOSED), now=1)
    (due,) = debouncer.pop_due(1, whole)
    assert due == DueHint(Hint(1, b"Debut"), frozenset([SONG]))
    assert debouncer.waiting_count == 0


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_hints_for_a_folder_the_recursive_one_counts(order: int) -> None:
    debouncer = Debouncer()
    for is_recursive in (False, True)[::order]:
        debouncer.offer_hint(Hint(1, b"a", recursive=is_recursive), now=0)
    assert [due.hint for due in debouncer.pop_due(1, whole)] == [Hint(1, b"a", recursive=True)]


def test_a_file_that_is_being_written_stays_behind_its_folder_and_comes_later() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer_hint(Hint(1, b"Debut"), now=0)
    assert debouncer.pop_due(QUIET, busy) == [
        DueHint(Hint(1, b"Debut"), unfinished=frozenset([SONG]))
    ]
    debouncer.offer(see(FsEventKind.CLOSED), now=1)
    (due,) = debouncer.pop_due(1 + QUIET, whole)
    assert due.whole == {SONG}


def test_a_recursive_hint_takes_along_what_is_ready_below_it_and_leaves_the_rest() -> None:
    debouncer = Debouncer(Delays(quiet_s=2))
    debouncer.offer_hint(Hint(1, b"a", recursive=True), now=0)
    debouncer.offer_hint(Hint(1, b"a/b", recursive=True), now=1)
    debouncer.offer(see(FsEventKind.CLOSED, b"x", b"a/c"), now=2)
    debouncer.offer(see(FsEventKind.WRITING, b"y", b"a/c"), now=2)
    debouncer.offer(see(FsEventKind.CLOSED, b"z", b"a-c"), now=2)
    debouncer.offer(see(FsEventKind.CLOSED, b"z", b"a/c", root_id=2), now=2)
    (due,) = debouncer.pop_due(2, lambda _, path, __: BUSY if path == b"a/c/y" else WHOLE)
    assert due.hint == Hint(1, b"a", recursive=True)
    assert due.whole == {b"a/c/x"}
    assert due.unfinished == {b"a/c/y"}
    later = debouncer.pop_due(4, whole)
    assert [due.hint.folder for due in later] == [b"a-c", b"a/c", b"a/c"]


def test_a_folder_beside_a_tree_does_not_part_it() -> None:
    """`a-c` is between `a` and `a/c` in byte order."""
    debouncer = Debouncer()
    for folder in (b"a", b"a-c", b"a/c"):
        debouncer.offer_hint(Hint(1, folder, recursive=True), now=0)
    assert {due.hint.folder for due in debouncer.pop_due(1, whole)} == {b"a", b"a-c"}


def test_the_root_itself_takes_along_everything() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CLOSED, b"x", b""), now=0)
    debouncer.offer(see(FsEventKind.CLOSED, b"x", b"a/b"), now=0)
    debouncer.offer_hint(Hint(1, recursive=True), now=0)
    (due,) = debouncer.pop_due(1, whole)
    assert due.whole == {b"x", b"a/b/x"}


@pytest.mark.parametrize("name", [b"b", None])
@pytest.mark.parametrize("kind", [FsEventKind.FOLDER_CAME, FsEventKind.FOLDER_WENT])
def test_a_folder_that_came_or_went_is_looked_at_with_all_below_it(
    kind: FsEventKind, name: bytes | None
) -> None:
    debouncer = Debouncer()
    debouncer.offer(see(kind, name, b"a" if name else b"a/b"), now=0)
    assert debouncer.pop_due(1, whole) == [DueHint(Hint(1, b"a/b", recursive=True))]


def test_what_was_written_in_a_folder_that_went_is_not_waited_for() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING, b"x", b"a/b"), now=0)
    debouncer.offer(see(FsEventKind.WRITING, b"x", b"a/bc"), now=0)
    debouncer.offer(see(FsEventKind.FOLDER_WENT, b"b", b"a"), now=0)
    (due,) = debouncer.pop_due(QUIET, lambda _, path, __: None if path == b"a/b/x" else BUSY)
    assert due == DueHint(Hint(1, b"a/b", recursive=True))
    assert debouncer.waiting_count == 1


def test_a_name_may_stand_deeper_than_its_hint() -> None:
    debouncer = Debouncer()
    debouncer.offer_hint(Hint(1, b"a", (b"b/x", b"y")), now=0)
    assert [due.hint for due in debouncer.pop_due(1, whole)] == [
        Hint(1, b"a", (b"y",)),
        Hint(1, b"a/b", (b"x",)),
    ]


def test_a_hint_does_not_make_a_file_due_that_is_being_written() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer_hint(Hint(1, b"Debut", (b"01.mp3",)), now=0)
    assert debouncer.pop_due(1, busy) == []


def test_what_is_to_be_read_again_merges_with_nothing() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer(see(FsEventKind.ATTRIBUTES, b"02.mp3"), now=0)
    rebuild = Hint(1, b"", recursive=True, reread=7)
    one = Hint(1, b"", (SONG, b"x"), reread=8)
    for hint in (rebuild, rebuild, one):
        debouncer.offer_hint(hint, now=0)
    assert debouncer.next_due() == 0
    assert debouncer.waiting_count == 4
    assert debouncer.pop_due(QUIET, busy) == [
        DueHint(Hint(1, b"Debut", (b"02.mp3",))),
        DueHint(rebuild, unfinished=frozenset([SONG])),
        DueHint(one, unfinished=frozenset([SONG])),
    ]
    assert debouncer.pop_due(1, busy) == []


def test_a_name_created_after_it_went_waits_to_be_whole() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.GONE), now=0)
    debouncer.offer(see(FsEventKind.CREATED), now=0.001)
    assert debouncer.pop_due(1, busy) == []


# Costs and reports.


def test_past_the_most_the_names_that_are_ready_become_their_folders() -> None:
    debouncer = Debouncer(most_waiting=10)
    for number in range(11):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"ab"[number % 2 :][:1]), now=0)
    debouncer.offer(see(FsEventKind.WRITING, b"x", b"a"), now=0)
    assert debouncer.waiting_count == 3
    assert debouncer.pop_due(1, busy) == [
        DueHint(Hint(1, b"a"), unfinished=frozenset([b"a/x"])),
        DueHint(Hint(1, b"b")),
    ]


def test_past_the_most_a_recursive_hint_stays_recursive() -> None:
    debouncer = Debouncer(most_waiting=4)
    debouncer.offer_hint(Hint(1, b"a", recursive=True), now=0)
    for number in range(4):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"a"), now=0)
    assert debouncer.pop_due(1, whole) == [DueHint(Hint(1, b"a", recursive=True))]


def test_past_the_most_again_everything_is_one_look_at_each_root() -> None:
    debouncer = Debouncer(most_waiting=10)
    for number in range(30):
        debouncer.offer(see(FsEventKind.WRITING, b"%d" % number, root_id=number % 2), now=0)
        assert debouncer.waiting_count <= 10
    dues = debouncer.pop_due(1, whole)
    assert {due.hint for due in dues if due.hint.recursive} == {
        Hint(0, recursive=True),
        Hint(1, recursive=True),
    }


def test_giving_up_detail_again_and_again_does_not_outlast_patience() -> None:
    debouncer = Debouncer(Delays(quiet_s=2, patience_s=30), most_waiting=10)
    for second in range(30):
        for number in range(20):
            debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"%d" % number), now=second)
        assert debouncer.pop_due(second, whole) == []
    assert [due.hint for due in debouncer.pop_due(30, whole)] == [Hint(1, recursive=True)]
