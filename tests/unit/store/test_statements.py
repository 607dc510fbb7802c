"""A checkpoint never waits for another process, and never fails because of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from indexer.library import Library
from indexer.process import give_back
from indexer.settings import Settings
from indexer.store import upkeep
from indexer.store.connection import Connection, open_index, select_value
from indexer.store.statements import checkpoint, empty_log
from tests.trees import Plant, song
from tests.unit.test_architecture import FILES, name_of

TRUNCATE = 3
"""SQLITE_CHECKPOINT_TRUNCATE (sqlite3.h)."""


def write(connection: Connection, name: str) -> None:
    connection.execute("INSERT INTO catalog_artists (name) VALUES (?)", (name,))


@contextmanager
def reading(settings: Settings) -> Iterator[Connection]:
    """Another program in the middle of a long read."""
    with closing(open_index(settings.db, write=False)) as reader:
        reader.execute("BEGIN")
        assert select_value(reader, "SELECT count(*) FROM catalog_artists") is not None
        yield reader
        reader.execute("COMMIT")


def while_another_moves_the_log(settings: Settings, act: Callable[[], object]) -> int:
    """Act while another connection holds the checkpoint lock, waiting for a reader.

    Its busy handler calls `act`. Returns the number of calls.
    """
    called = 0

    def wait(_tries: int) -> bool:
        nonlocal called
        called += 1
        act()
        return False

    with closing(open_index(settings.db, write=True)) as other:
        write(other, "before")
        with reading(settings):
            write(other, "after")
            other.set_busy_handler(wait)
            assert not empty_log(other)  # the checkpoint must fail: the reader uses the log
            assert called == 0
            with pytest.raises(Exception, match="locked"):
                other.wal_checkpoint(mode=TRUNCATE)
    return called


@pytest.mark.parametrize("act", [give_back, checkpoint, empty_log, upkeep.tidy])
def test_a_checkpoint_that_another_process_makes_is_no_error(
    settings: Settings, connection: Connection, act: Callable[[Connection], object]
) -> None:
    connection.set_busy_timeout(0)
    assert while_another_moves_the_log(settings, lambda: act(connection)) == 1


def test_it_says_whether_all_of_the_log_was_moved(
    settings: Settings, connection: Connection
) -> None:
    write(connection, "A")
    assert checkpoint(connection)
    with reading(settings):
        write(connection, "B")
        assert not checkpoint(connection)
    assert checkpoint(connection)
    told: list[bool] = []
    while_another_moves_the_log(settings, lambda: told.append(checkpoint(connection)))
    assert told == [False]


def test_an_index_is_tidied_beside_a_program_that_reads_for_long(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({f"{n}.mp3": song(str(n)) for n in range(20)})
    library.scan()
    with reading(settings):
        assert library.optimize()[2] is False
    assert library.optimize()[2] is True
    assert len(list(library.search(["19"]))) == 1


def test_checkpoints_are_made_in_one_place() -> None:
    """Elsewhere a refusal by SQLite would not be handled."""
    told = {name_of(file) for file in FILES if "wal_checkpoint" in file.read_text("utf-8")}
    assert told == {"indexer.store.statements"}
