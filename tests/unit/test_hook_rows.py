"""How far a hook has been told, and from which index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.hooks.served import Served
from indexer.store import hooks
from indexer.store.connection import Connection, open_index
from indexer.store.hooks import Cursor


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with closing(open_index(tmp_path / "library.db", write=True)) as connection:
        yield connection


def cursor_of(connection: Connection) -> Cursor:
    row = hooks.get(connection, "web")
    assert row is not None
    return row.cursor


@pytest.mark.parametrize("received_ms", [None, 5])
def test_a_thread_that_was_left_behind_takes_no_cursor_back(
    connection: Connection, received_ms: int | None
) -> None:
    hooks.add(connection, "web", Cursor(seq=1))
    assert hooks.move_on(connection, "web", Cursor(seq=1), Cursor(seq=9), received_ms)
    assert not hooks.move_on(connection, "web", Cursor(seq=1), Cursor(seq=3), received_ms)
    assert cursor_of(connection) == Cursor(seq=9)


def test_a_cursor_that_an_older_version_wrote_moves_on(connection: Connection) -> None:
    hooks.add(connection, "web", Cursor())
    connection.execute("""UPDATE hooks SET cursor = '{"seq":4,"scans":[2]}'""")
    assert hooks.move_on(connection, "web", Cursor(seq=4, scans=(2,)), Cursor(seq=5))
    assert cursor_of(connection) == Cursor(seq=5)


def test_from_which_index_hooks_were_served_outlives_the_program(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        served = Served(fd)
        assert served.token_of("web") is None
        served.note("web", "a" * 40)
        served.note("mpd", "b")
        served.note("web", "c")
        again = Served(fd)
        assert [again.token_of(name) for name in ("web", "mpd", "new")] == ["c", "b", None]
        os.ftruncate(fd, 5)  # killed in the middle of a write
        assert Served(fd).token_of("web") is None
    finally:
        os.close(fd)
