from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import errors
from indexer.model import ChangeKind
from indexer.reports import queries
from indexer.store import changes
from indexer.store.connection import Connection

NOW_MS = 100


def tell(connection: Connection, path: bytes = b"1.mp3", old: bytes | None = None) -> None:
    kind = ChangeKind.ADDED if old is None else ChangeKind.MOVED
    came_from = None if old is None else ("music", old)
    changes.append(connection, 1, kind, 1, ("music", path), came_from)


def test_changes_come_back_in_order_from_any_point(connection: Connection) -> None:
    for number in range(4):
        tell(connection, b"%d.mp3" % number)
    assert [row[5] for row in changes.since(connection, 0)] == [f"{n}.mp3" for n in range(4)]
    assert [row[5] for row in changes.since(connection, 2)] == ["2.mp3", "3.mp3"]
    assert list(changes.since(connection, 4)) == []


def test_pages_lose_and_repeat_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        tell(connection)
    monkeypatch.setattr(changes, "_PAGE", 2)
    assert [row[0] for row in changes.since(connection, 0)] == [1, 2, 3, 4, 5]


def test_a_path_is_text_where_it_is_utf8_and_bytes_where_not(connection: Connection) -> None:
    tell(connection, "Björk.mp3".encode(), b"\xff.mp3")
    (row,) = changes.since(connection, 0)
    assert row[4:] == ("music", "Björk.mp3", "music", b"\xff.mp3", None)
    (change,) = queries.change_rows(connection, 0)
    assert (change.old_path, change.old_path_b64) == ("\ufffd.mp3", "/y5tcDM=")


def test_sequence_numbers_are_never_used_twice(connection: Connection) -> None:
    tell(connection)
    connection.execute("DELETE FROM changes")
    tell(connection)
    assert changes.newest(connection) == 2


def test_a_request_for_pruned_history_names_a_snapshot_to_start_from(
    connection: Connection,
) -> None:
    for number in range(5):
        tell_of(connection, number, ChangeKind.ADDED, b"a.mp3", at=number)
    assert changes.prune(connection, 3, NOW_MS) == 3
    with pytest.raises(errors.HistoryPruned, match="snapshot"):
        list(queries.change_rows(connection, 2))
    assert [change.seq for change in queries.change_rows(connection, 3)] == [4, 5]


def test_kinds_are_counted_from_a_point_on(connection: Connection) -> None:
    tell(connection)
    tell(connection)
    tell(connection, old=b"0.mp3")
    assert changes.counted_since(connection, 1) == {"added": 1, "moved": 1}
    assert changes.newest(connection) == 3


def test_an_empty_feed_has_no_newest_change(connection: Connection) -> None:
    assert (changes.newest(connection), changes.floor(connection)) == (0, 0)


def tell_of(
    connection: Connection, track_id: int, kind: ChangeKind, path: bytes, *, at: int
) -> None:
    old = ("music", b"before.mp3") if kind is ChangeKind.MOVED else None
    changes.append(connection, at, kind, track_id, ("music", path), old)


def replayed(connection: Connection) -> dict[int, object]:
    """Replay the feed: track id -> path of the present tracks."""
    present: dict[int, object] = {}
    for _, _, kind, track_id, _, path, *_ in changes.since(connection, 0):
        present[track_id] = path
        if kind == "missing":
            del present[track_id]
    return present


def test_what_is_pruned_keeps_one_added_for_each_track_that_was_present(
    connection: Connection,
) -> None:
    tell_of(connection, 1, ChangeKind.ADDED, b"a.mp3", at=1)
    tell_of(connection, 1, ChangeKind.MOVED, b"b.mp3", at=2)
    tell_of(connection, 2, ChangeKind.ADDED, b"c.mp3", at=3)
    tell_of(connection, 2, ChangeKind.MISSING, b"c.mp3", at=4)
    tell_of(connection, 1, ChangeKind.MODIFIED, b"b.mp3", at=5)
    tell_of(connection, 3, ChangeKind.ADDED, b"d.mp3", at=20)
    assert changes.prune(connection, 10, NOW_MS) == 5
    rows = list(changes.since(connection, 0))
    assert [(row[0], row[2], row[3], row[5], row[7]) for row in rows] == [
        (5, "added", 1, "b.mp3", None),
        (6, "added", 3, "d.mp3", None),
    ]


def test_nothing_old_is_nothing_pruned(connection: Connection) -> None:
    tell_of(connection, 1, ChangeKind.ADDED, b"a.mp3", at=20)
    assert changes.prune(connection, 10, NOW_MS) == 0
    assert len(list(changes.since(connection, 0))) == 1


def test_a_clock_that_was_wrong_for_a_while_prunes_no_gap(connection: Connection) -> None:
    tell_of(connection, 1, ChangeKind.ADDED, b"a.mp3", at=1)
    tell_of(connection, 2, ChangeKind.ADDED, b"b.mp3", at=99)
    tell_of(connection, 3, ChangeKind.ADDED, b"c.mp3", at=2)
    assert changes.prune(connection, 10, NOW_MS) == 1
    assert [row[0] for row in changes.since(connection, 1)] == [2, 3]


def test_a_clock_that_was_years_ahead_keeps_no_change_for_years(connection: Connection) -> None:
    for number, at in enumerate((1, 900, 2, 20), 1):
        tell_of(connection, number, ChangeKind.ADDED, b"%d.mp3" % number, at=at)
    assert changes.prune(connection, 10, NOW_MS) == 3
    assert changes.prune(connection, 25, NOW_MS) == 4


KINDS = st.sampled_from(["added", "modified", "moved", "missing", "returned"])


@given(
    steps=st.lists(st.tuples(st.integers(1, 4), KINDS, st.integers(0, 3)), max_size=30),
    cuts=st.lists(st.integers(0, 35), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_replay_gives_the_present_paths_however_often_it_was_pruned(
    connection: Connection, steps: list[tuple[int, str, int]], cuts: list[int]
) -> None:
    connection.execute("DELETE FROM changes")
    connection.execute("UPDATE identity SET changes_floor = 0")
    for at, (track_id, kind, path) in enumerate(steps):
        tell_of(connection, track_id, ChangeKind(kind), b"%d.mp3" % path, at=at)
    expected = replayed(connection)
    for cut in cuts:
        changes.prune(connection, cut, NOW_MS)
    assert replayed(connection) == expected
    kept = [row[0] for row in changes.since(connection, 0)]
    floor = changes.floor(connection)
    below = [row for row in changes.since(connection, 0) if row[0] <= floor]
    assert len({row[3] for row in below}) == len(below)
    assert all(row[2] == "added" for row in below)
    assert kept == sorted(kept)


def seqs(connection: Connection, **fields: Any) -> list[int]:
    return [row[0] for row in changes.since(connection, 0, changes.Choice(**fields))]


def test_a_choice_keeps_kinds_tracks_and_what_lies_below_a_folder(connection: Connection) -> None:
    tell_of(connection, 1, ChangeKind.ADDED, b"a/1.mp3", at=1)
    tell_of(connection, 2, ChangeKind.ADDED, b"a0.mp3", at=2)
    tell_of(connection, 3, ChangeKind.ADDED, b"a/\xff.mp3", at=3)
    tell_of(connection, 1, ChangeKind.MISSING, b"a/1.mp3", at=4)
    tell(connection, b"b/2.mp3", b"a/2.mp3")
    assert seqs(connection) == [1, 2, 3, 4, 5]
    assert seqs(connection, kinds=("missing", "moved")) == [4, 5]
    assert seqs(connection, track_ids=(2,)) == [2]
    assert seqs(connection, root="music", folder=b"a") == [1, 3, 4, 5]
    assert seqs(connection, root="music", folder=b"a0.mp3") == [2]
    assert seqs(connection, root="music") == [1, 2, 3, 4, 5]
    assert seqs(connection, root="usb") == []
    assert seqs(connection, root="music", folder=b"a", kinds=("added",)) == [1, 3]


def test_the_last_changes_are_the_newest_in_order(connection: Connection) -> None:
    for number in range(5):
        tell_of(connection, number, ChangeKind.ADDED, b"a.mp3", at=number)
    assert [row[0] for row in changes.last(connection, 2)] == [4, 5]
    chosen = changes.Choice(track_ids=(1,))
    assert [row[0] for row in changes.last(connection, 2, chosen)] == [2]


def test_all_changes_after_a_moment_are_told_though_a_clock_went_back(
    connection: Connection,
) -> None:
    for number, at in enumerate((10, 20, 5, 30)):
        tell_of(connection, number, ChangeKind.ADDED, b"a.mp3", at=at)
    assert changes.before(connection, 20, NOW_MS) == 1
    assert changes.before(connection, 0, NOW_MS) == 0
    assert changes.before(connection, 31, NOW_MS) == 4


def test_a_clock_that_was_years_ahead_spoils_no_later_moment(connection: Connection) -> None:
    for number, at in enumerate((10, 20, 900, 901, 30, 40)):
        tell_of(connection, number, ChangeKind.ADDED, b"a.mp3", at=at)
    assert [changes.before(connection, at, NOW_MS) for at in (20, 30, 31, 41)] == [1, 2, 5, 6]


def test_what_was_told_last_by_a_clock_ahead_is_of_any_time_until_now(
    connection: Connection,
) -> None:
    for number, at in enumerate((10, 900)):
        tell_of(connection, number, ChangeKind.ADDED, b"a.mp3", at=at)
    assert [changes.before(connection, at, NOW_MS) for at in (10, 50, 100)] == [0, 1, 1]


def test_a_moment_after_now_is_asked_for_by_a_clock_that_is_wrong_now(
    connection: Connection,
) -> None:
    for number, at in enumerate((10, 20, 30)):
        tell_of(connection, number, ChangeKind.ADDED, b"a.mp3", at=at)
    assert [changes.before(connection, at, now_ms=1) for at in (0, 20, 31)] == [0, 1, 3]
