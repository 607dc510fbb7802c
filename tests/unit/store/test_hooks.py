"""How far a hook has been told, and from which index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.hooks.runner import Served
from indexer.model import Problem, ProblemKind
from indexer.store import hooks, problems
from indexer.store.connection import Connection, open_index, write_transaction
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


def refuse(connection: Connection, name: str, at_ms: int, reason: str = "no music") -> None:
    """A problem of a file, met at a time."""
    with write_transaction(connection):
        problem = Problem(ProblemKind.CONTENT, reason)
        problems.put(connection, 1, name.encode(), problem, None, at_ms)


@pytest.fixture
def root(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO roots (id, name, path, added_at) VALUES (1, 'music', x'2f78', 0)"
    )


def told(connection: Connection, cursor: Cursor) -> tuple[list[bytes], Cursor]:
    found, cursor = hooks.new_problems(connection, cursor)
    return [path for _, path, *_ in found], cursor


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("most", [1000, 0], ids=["by marks", "by times"])
def test_each_new_problem_is_told_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(hooks, "_MOST_KNOWN", most)
    refuse(connection, "before", 5)
    cursor = hooks.knowing_all_problems(connection, Cursor())
    assert told(connection, cursor) == ([], cursor)
    refuse(connection, "a", 5)
    refuse(connection, "b", 6)
    names, cursor = told(connection, cursor)
    assert names == [b"a", b"b"]
    refuse(connection, "b", 7, "another one")
    names, cursor = told(connection, cursor)
    assert names == [b"b"]
    with write_transaction(connection):
        problems.clear(connection, 1, b"b")
    assert told(connection, cursor) == ([], cursor)


@pytest.mark.usefixtures("root")
def test_a_clock_that_is_set_back_hides_no_problem(connection: Connection) -> None:
    refuse(connection, "before", 9_000)
    cursor = hooks.knowing_all_problems(connection, Cursor())
    refuse(connection, "a", 4_000)
    names, cursor = told(connection, cursor)
    assert names == [b"a"]
    with write_transaction(connection):
        problems.clear(connection, 1, b"a")
    refuse(connection, "a", 4_500)
    refuse(connection, "c", 3_000)
    names, cursor = told(connection, cursor)
    assert names == [b"c", b"a"]
    assert told(connection, cursor) == ([], cursor)


@pytest.mark.usefixtures("root")
def test_a_cursor_of_an_older_version_is_told_what_is_newer_and_knows_all_then(
    connection: Connection,
) -> None:
    refuse(connection, "before", 9_000)
    older = Cursor(problems_at=9_000, problems=("music/before: content",))
    names, cursor = told(connection, older)
    assert (names, cursor == older) == ([], False)
    refuse(connection, "a", 4_000)
    assert told(connection, cursor)[0] == [b"a"]


@pytest.mark.usefixtures("root")
def test_a_cursor_keeps_no_more_than_so_many_problems(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_MOST_KNOWN", 3)
    for number in range(3):
        refuse(connection, f"{number}", 10 + number)
    cursor = hooks.knowing_all_problems(connection, Cursor())
    assert cursor.known is not None
    assert len(cursor.known) == 3 * 8
    refuse(connection, "3", 13)
    names, cursor = told(connection, cursor)
    assert (names, cursor.known) == ([b"3"], None)
    assert (cursor.problems_at, cursor.problems) == (13, ("music/3: content",))
