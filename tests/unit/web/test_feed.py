"""The feed: each page gets each change once, and nothing is looked at while no page is open."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from indexer.library import Library
from indexer.reports.status import counts_of
from indexer.results.report import ChangeRow
from indexer.settings import Settings
from indexer.web import feed as feeds
from indexer.web.calm import Line, Standing
from indexer.web.feed import Feed, Stream
from indexer.web.pool import Kept, Pool
from tests.corpus import plant, tagged
from tests.programs import eventually


class World:
    """A library with one track, and a feed of it."""

    def __init__(self, folder: Path) -> None:
        self.music = folder / "Music"
        self.db = folder / "library.db"
        plant(self.music, {"1.mp3": tagged(".mp3", title="First")})
        with Library(Settings(db=self.db)) as library:
            library.rebuild([os.fsencode(self.music)])
        self.pool = Pool(Settings(db=self.db))
        self.disks = ThreadPoolExecutor(1)
        standing = Standing(self.pool, self.disks, Kept(self.pool, counts_of).now)
        self.feed = Feed(self.pool, standing, self.paths, self.text)
        self.streams: list[Stream] = []

    def is_looking(self) -> bool:
        return self.feed.is_looking

    @staticmethod
    def paths(_lookup: Any, rows: list[ChangeRow]) -> list[str]:
        return [row.path for row in rows]

    @staticmethod
    def text(line: Line) -> str:
        return line.text

    def add(self, name: str) -> None:
        plant(self.music, {name: tagged(".mp3", title=name)})
        with Library(Settings(db=self.db)) as library:
            library.scan()

    def open(self, after: int | None = None) -> Stream:
        stream = self.feed.open(after, lambda: False)
        assert stream is not None
        self.streams.append(stream)
        return stream

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        for thread in threading.enumerate():
            if thread.name == "feed":
                thread.join(30)
        self.pool.close()
        self.disks.shutdown()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def changes(stream: Stream, count: int) -> list[tuple[int, str]]:
    """(number, path) of the next changes."""
    found: list[tuple[int, str]] = []
    while len(found) < count:
        event = next(stream).decode()
        if "event: change" in event:
            number = re.search(r"^id: (\d+)$", event, re.MULTILINE)
            text = re.search(r"^data: (.+)$", event, re.MULTILINE)
            assert number is not None
            assert text is not None
            found.append((int(number[1]), json.loads(text[1])["html"]))
    return found


def test_a_page_gets_what_comes_after_it_was_opened(world: World) -> None:
    stream = world.open()
    next(stream)
    world.add("2.mp3")
    assert changes(stream, 1) == [(2, "2.mp3")]
    world.add("3.mp3")
    assert changes(stream, 1) == [(3, "3.mp3")]


def test_a_page_that_was_away_gets_what_it_missed(world: World) -> None:
    world.add("2.mp3")
    assert changes(world.open(0), 2) == [(1, "1.mp3"), (2, "2.mp3")]
    assert changes(world.open(1), 1) == [(2, "2.mp3")]


def test_a_page_from_the_future_spoils_nothing(world: World) -> None:
    first, second = world.open(10**12), world.open(0)
    next(first)
    assert changes(second, 1) == [(1, "1.mp3")]
    world.add("2.mp3")
    assert changes(first, 1) == [(2, "2.mp3")]
    assert changes(second, 1) == [(2, "2.mp3")]


def test_an_open_page_gets_what_comes_in_an_index_that_took_the_place(world: World) -> None:
    for name in ("2.mp3", "3.mp3"):
        world.add(name)
    stream = world.open()
    next(stream)  # it begins with the first look
    world.add("4.mp3")
    assert changes(stream, 1) == [(4, "4.mp3")]
    for name in ("1.mp3", "2.mp3", "3.mp3"):
        (world.music / name).unlink()
    other = world.db.with_name("other.db")
    with Library(Settings(db=other)) as library:
        library.rebuild([os.fsencode(world.music)])
    for file in world.db.parent.glob("library.db*"):
        file.unlink()
    other.rename(world.db)  # whole at once: else its first change may come as news, too
    eventually(lambda: world.feed.index == 1)
    world.add("5.mp3")
    assert changes(stream, 1) == [(2, "5.mp3")]


def test_of_very_many_changes_the_last_ones_are_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_MOST_AT_ONCE", 2)
    for number in range(2, 6):
        world.add(f"{number}.mp3")
    assert changes(world.open(0), 2) == [(4, "4.mp3"), (5, "5.mp3")]


def test_the_line_comes_first_of_all(world: World) -> None:
    stream = world.open(1)
    assert next(stream).startswith(b"retry:")
    assert b"nothing follows the disk" in next(stream)


def test_a_page_without_news_hears_a_heartbeat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "HEARTBEAT_S", 0.05)
    stream = world.open(1)
    told = [next(stream) for _ in range(4)]
    assert b": \n\n" in told


def test_the_seventeenth_page_gets_none_until_one_is_closed(world: World) -> None:
    streams = [world.open(0) for _ in range(16)]
    assert world.feed.open(0, lambda: False) is None
    streams[3].close()
    streams[3].close()  # again is no other one
    assert world.feed.open(0, lambda: False) is not None
    assert world.feed.open(0, lambda: False) is None
    world.feed.close_one()


def test_nothing_looks_while_no_page_is_open(world: World) -> None:
    assert not world.is_looking()
    stream = world.open(0)
    changes(stream, 1)
    assert world.is_looking()
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "feed":
            thread.join(30)
    assert not world.is_looking()
    assert changes(world.open(0), 1) == [(1, "1.mp3")]


def test_a_stream_ends_when_its_page_is_gone(world: World) -> None:
    gone = threading.Event()
    stream = world.feed.open(0, gone.is_set)
    assert stream is not None
    world.streams.append(stream)
    changes(stream, 1)
    gone.set()
    assert not [event for event in stream if b"change" in event]
