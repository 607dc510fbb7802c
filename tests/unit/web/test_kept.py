"""What takes long to make is made after a change, but not all the time, nor much later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.errors import DatabaseBusy
from indexer.library import Library
from indexer.settings import Settings
from indexer.store.connection import Connection
from indexer.web.pool import Kept, Pool
from tests.corpus import plant, tagged


class World:
    """An index that changes, and a clock that is played."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 100.0
        self.takes_s = 0.0
        self.made = 0
        self.change("1.mp3")
        self.pool = Pool(Settings(db=folder / "library.db"))
        self.kept = Kept(self.pool, self.make, lambda: self.now_s)

    def change(self, name: str) -> None:
        plant(self.folder / "Music", {name: tagged(".mp3", title=name)})
        with Library(Settings(db=self.folder / "library.db")) as library:
            library.rebuild([os.fsencode(self.folder / "Music")])

    def make(self, _connection: Connection) -> int:
        self.made += 1
        self.now_s += self.takes_s
        return self.made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.pool.close()


def test_without_a_change_it_is_made_once(world: World) -> None:
    assert [world.kept.now(), world.kept.now()] == [1, 1]
    world.now_s += 10_000
    assert world.kept.now() == 1


def test_what_is_made_at_once_is_made_after_each_change(world: World) -> None:
    assert world.kept.now() == 1
    world.change("2.mp3")
    assert world.kept.now() == 2


def test_what_takes_a_second_is_made_every_four(world: World) -> None:
    world.takes_s = 1.0
    assert world.kept.now() == 1
    world.change("2.mp3")
    world.now_s += 3.5
    assert world.kept.now() == 1
    world.now_s += 1.0
    assert world.kept.now() == 2


def test_what_takes_a_minute_shows_a_change_after_ten_seconds(world: World) -> None:
    world.takes_s = 60.0
    assert world.kept.now() == 1
    world.change("2.mp3")
    world.now_s += 9.5
    assert world.kept.now() == 1
    world.now_s += 1.0
    assert world.kept.now() == 2


def test_after_a_failure_it_is_made_when_it_is_asked_for_again(world: World) -> None:
    answers: Iterator[int | DatabaseBusy] = iter([1, DatabaseBusy("locked"), 2])

    def make(_connection: Connection) -> int:
        answer = next(answers)
        if isinstance(answer, int):
            return answer
        raise answer

    kept = Kept(world.pool, make, lambda: world.now_s)
    assert kept.now() == 1
    world.change("2.mp3")
    with pytest.raises(DatabaseBusy):
        kept.now()
    assert kept.now() == 2
