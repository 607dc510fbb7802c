"""A look opens the roots that it concerns, and others only when a file may have come from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from indexer.disk.tree import Tree
from indexer.engine.local import LocalEngine
from indexer.ignore_files import path_filter_of
from indexer.model import Hint
from indexer.roots import open_roots
from indexer.roots.open_roots import OpenRoots
from indexer.roots.opening import open_tree
from indexer.roots.registry import root_at
from indexer.runs.lock import DispatchLock, lock_info
from indexer.runs.result import Result
from indexer.settings import Settings
from indexer.store import roots
from indexer.store.connection import IndexConnection, select
from indexer.store.roots import RootRow
from tests.corpus import plant, tagged
from watcher.daemon import Daemon

IDS = "SELECT title, id FROM library ORDER BY id"
MANY = 12


@pytest.fixture
def watched(tmp_path: Path, settings: Settings, connection: IndexConnection) -> list[RootRow]:
    """Three roots of one disk, with a song each."""
    for name in ("a", "b", "c"):
        plant(tmp_path / name, {f"{name}.mp3": tagged(title=name)})
        root_at(connection, settings, os.fsencode(tmp_path / name))
    return roots.watched(connection)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of roots, as they are opened."""
    names: list[str] = []
    whole = open_tree

    def noted(root: RootRow, *arguments: object, **named: object) -> Tree:
        names.append(root.name)
        return whole(root, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(open_roots, "open_tree", noted)
    return names


Look = Callable[[RootRow], Result]


@pytest.fixture
def look(connection: IndexConnection, settings: Settings, watched: list[RootRow]) -> Look:
    """Look at all of one root."""

    @contextmanager
    def opening(root: RootRow) -> Iterator[OpenRoots]:
        found = open_roots.open_roots(connection, watched, about={root.id})
        try:
            yield found
        finally:
            found.close()

    def run(root: RootRow) -> Result:
        with opening(root) as found:
            engine = LocalEngine(
                connection, found.trees, settings, path_filter_of(settings), Result()
            )
            return engine.run([Hint(root.id, recursive=True)])

    return run


def test_a_look_opens_its_own_root_only(
    watched: list[RootRow], look: Look, opened: list[str]
) -> None:
    assert look(watched[1]).seen == 1
    assert opened == ["b"]


def test_a_root_from_which_a_file_has_moved_is_opened_when_it_is_asked_for(
    watched: list[RootRow],
    look: Look,
    opened: list[str],
    connection: IndexConnection,
    tmp_path: Path,
) -> None:
    for root in watched:
        look(root)
    before = list(select(connection, IDS))
    opened.clear()
    (tmp_path / "a" / "a.mp3").rename(tmp_path / "b" / "here.mp3")
    look(watched[1])
    assert sorted(set(opened)) == ["a", "b"]
    assert len(opened) == 2  # each once
    assert list(select(connection, IDS)) == before


def test_roots_are_opened_at_once_where_all_are_needed(
    connection: IndexConnection, watched: list[RootRow], opened: list[str]
) -> None:
    found = open_roots.open_roots(connection, watched)
    assert (opened, len(found.trees)) == (["a", "b", "c"], 3)
    found.close()


def test_roots_are_opened_one_by_one_where_it_is_not_known_which_are_needed(
    connection: IndexConnection, watched: list[RootRow], opened: list[str], tmp_path: Path
) -> None:
    (tmp_path / "c").rename(tmp_path / "away")
    found = open_roots.open_roots(connection, watched, lazily=True)
    assert opened == []
    assert found.trees.get(watched[0].id) is not None
    assert watched[2].id not in found.trees
    assert watched[2].id not in found.trees
    assert opened == ["a", "c"]
    assert list(found.offline) == [watched[2].id]
    found.close()
    assert watched[1].id not in found.trees  # nothing is opened that would not be closed
    assert opened == ["a", "c"]


def test_the_first_turn_of_a_daemon_opens_each_root_as_often_whatever_their_number(
    tmp_path: Path, settings: Settings, connection: IndexConnection, opened: list[str]
) -> None:
    for number in range(MANY):
        (tmp_path / f"r{number}").mkdir()  # a sound that is in several roots has them opened
        root_at(connection, settings, os.fsencode(tmp_path / f"r{number}"))
    lock = DispatchLock.acquire(settings.db, "daemon")
    assert lock is not None
    daemon = Daemon(connection, lock, settings, path_filter_of(settings))
    with closing(lock), closing(daemon):
        daemon.step(daemon.clock())
        told = lock_info(settings.db)
    assert told is not None
    assert list(told.states.values()) == ["watching"] * MANY
    assert len(opened) <= 3 * MANY
