"""What an older reader has read is read again once, and only that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.model import Hint
from indexer.store import outdated
from indexer.store.connection import Connection, select, write_transaction
from indexer.tags import families
from tests.corpus import plant, tagged
from tests.unit.watcher.test_daemon import Stepped, changed, logged, stepped

__all__ = ("changed", "logged", "stepped")  # fixtures


def age(connection: Connection, version: int = 1) -> None:
    """Make the index one that an older version of the program has left."""
    with write_transaction(connection):
        connection.execute("UPDATE tracks SET reader_version = ?, bitrate = NULL", (version,))
        connection.execute("UPDATE roots SET reader_version = ?", (version,))


def bitrates(connection: Connection) -> list[Any]:
    return list(select(connection, "SELECT path, bitrate > 0 FROM library ORDER BY path"))


def rest(stepped: Stepped) -> int:
    """Steps until there is nothing to do at once; how many."""
    for count in range(100):
        if stepped.daemon.next_turn() > stepped.now:
            return count
        stepped.step()
    raise AssertionError("the daemon does not come to rest")


def test_rows_of_an_older_reader_are_read_again_when_all_was_looked_at(
    stepped: Stepped, music: Path, logged: Callable[[], list[str]]
) -> None:
    plant(music, {f"{n}.mp3": tagged(title=str(n)) for n in range(150)})
    stepped.step()
    age(stepped.connection)
    stepped.daemon._roots.probe_at = 0.0
    for root in stepped.daemon._roots:
        stepped.daemon._roots.mark_stale(root, "test", "")
    stepped.step()
    assert rest(stepped) > 1
    assert all(known for _, known in bitrates(stepped.connection))
    told = [line for line in logged() if line.startswith("reread")]
    assert told == ["reread", "reread done"]
    assert outdated.is_current(stepped.connection, 1)


def test_a_family_that_did_not_change_is_not_read_again(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b.flac": tagged(".flac", title="B")})
    stepped.step()
    age(stepped.connection, 4)
    monkeypatch.setitem(families.CHANGED_IN, "bare", 3)
    for root in stepped.daemon._roots:
        stepped.daemon._roots.mark_stale(root, "test", "")
    stepped.step()
    rest(stepped)
    assert bitrates(stepped.connection) == [("a.mp3", None), ("b.flac", 1)]


def test_a_scan_alone_reads_no_unchanged_file_of_an_older_reader_again(
    stepped: Stepped, music: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step()
    age(stepped.connection)
    (music / "b.txt").write_text("x")
    plant(music, {"c.mp3": tagged(title="C")})
    stepped.step(0.5)
    stepped.step(2.0)
    assert bitrates(stepped.connection) == [("a.mp3", None), ("c.mp3", 1)]


def test_a_change_comes_before_what_is_read_again(stepped: Stepped, music: Path) -> None:
    plant(music, {f"{n}.mp3": tagged(title=str(n)) for n in range(150)})
    stepped.step()
    age(stepped.connection)
    for root in stepped.daemon._roots:
        stepped.daemon._roots.mark_stale(root, "test", "")
    stepped.step()
    plant(music, {"new.mp3": tagged(title="New")})
    stepped.step()
    done = sum(1 for _, known in bitrates(stepped.connection) if known)
    stepped.step(0.2)
    assert sum(1 for _, known in bitrates(stepped.connection) if known) == done
    stepped.step(1.0)
    assert ("new.mp3", 1) in bitrates(stepped.connection)
    rest(stepped)
    assert all(known for _, known in bitrates(stepped.connection))


def test_a_new_root_is_current_and_one_that_returns_is_asked_for_again(
    connection: Connection, root_id: int
) -> None:
    assert outdated.is_current(connection, root_id)
    age(connection)
    assert not outdated.is_current(connection, root_id)
    part = outdated.outdated_after(connection, root_id, 0, 10)
    assert (part.names, part.is_last) == ((), True)


def test_rows_without_an_essence_get_one_while_there_is_nothing_else_to_do(
    stepped: Stepped, music: Path, logged: Callable[[], list[str]]
) -> None:
    plant(music, {f"{n}.mp3": tagged(title=str(n)) for n in range(150)})
    stepped.step()
    with write_transaction(stepped.connection):  # as the migration leaves an older index
        stepped.connection.execute("UPDATE tracks SET essence = NULL")
        stepped.connection.execute("UPDATE roots SET reader_version = 0")
    before = list(select(stepped.connection, "SELECT count(*) FROM changes"))
    for root in stepped.daemon._roots:
        stepped.daemon._roots.mark_stale(root, "test", "")
    stepped.step()
    assert rest(stepped) > 1
    lacking = "SELECT count(*) FROM library WHERE essence IS NULL"
    assert list(select(stepped.connection, lacking)) == [(0,)]
    assert list(select(stepped.connection, "SELECT count(*) FROM changes")) == before
    told = [line for line in logged() if line.startswith("reread")]
    assert told == ["reread", "reread done"]


def test_what_is_read_again_goes_on_when_a_root_that_went_is_back(
    stepped: Stepped, music: Path
) -> None:
    plant(music, {f"{n}.mp3": tagged(title=str(n)) for n in range(150)})
    stepped.step()
    age(stepped.connection)
    for root in stepped.daemon._roots:
        stepped.daemon._roots.mark_stale(root, "test", "")
    stepped.step()
    away = music.rename(music.with_name("away"))
    stepped.daemon._roots.probe_now()
    rest(stepped)
    assert stepped.state == "offline"
    assert not outdated.is_current(stepped.connection, 1)
    away.rename(music)
    stepped.daemon._roots.probe_now()
    rest(stepped)
    assert all(known for _, known in bitrates(stepped.connection))
    assert outdated.is_current(stepped.connection, 1)


def test_a_root_is_not_current_while_one_of_its_disks_is_away(
    stepped: Stepped, music: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step()
    age(stepped.connection)
    rereading = stepped.daemon._idle_work.rereading
    whole: set[int] = set()
    for is_whole in (False, True):
        whole |= {1} if is_whole else set()
        rereading.begin(1, "music")
        assert rereading.next_hint(whole.__contains__) == Hint(1, b"", (b"a.mp3",))
        assert rereading.next_hint(whole.__contains__) is None
        assert not rereading.has_more
        assert outdated.is_current(stepped.connection, 1) is is_whole
