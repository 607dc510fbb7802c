from __future__ import annotations

import pytest

from indexer import errors, queries
from indexer.model import ChangeKind
from indexer.store import changes
from indexer.store.connection import Connection


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
    assert row[4:] == ("music", "Björk.mp3", "music", b"\xff.mp3")
    (change,) = queries.change_rows(connection, 0)
    assert (change.old_path, change.old_path_b64) == ("\ufffd.mp3", "/y5tcDM=")


def test_sequence_numbers_are_never_used_twice(connection: Connection) -> None:
    tell(connection)
    connection.execute("DELETE FROM changes")
    tell(connection)
    assert changes.newest(connection) == 2


def test_who_asks_for_history_that_is_gone_is_told_to_start_from_a_snapshot(
    connection: Connection,
) -> None:
    for _ in range(5):
        tell(connection)
    connection.execute("DELETE FROM changes WHERE seq < 4")
    with pytest.raises(errors.HistoryPruned, match="snapshot"):
        list(queries.change_rows(connection, 2))
    assert [change.seq for change in queries.change_rows(connection, 3)] == [4, 5]


def test_kinds_are_counted_from_a_point_on(connection: Connection) -> None:
    tell(connection)
    tell(connection)
    tell(connection, old=b"0.mp3")
    assert changes.counted_since(connection, 1) == {"added": 1, "moved": 1}
    assert (changes.oldest(connection), changes.newest(connection)) == (1, 3)


def test_an_empty_feed_has_no_newest_change(connection: Connection) -> None:
    assert (changes.newest(connection), changes.oldest(connection)) == (0, 1)
