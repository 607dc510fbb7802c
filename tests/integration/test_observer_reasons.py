"""What watchdog's own observer does, and ours therefore does not build on.

Each of these is a fault of watchdog 7.1. The day one fails, that reason is gone.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, Mask, WatchDescriptor


class Hearing(FileSystemEventHandler):
    """What it is told of, by kind and name."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self._last = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        name = os.path.basename(os.fsdecode(event.src_path))
        self.heard.append((event.event_type, name))
        if name == "last":
            self._last.set()

    def await_last(self, root: Path) -> None:
        """Make a file, and wait until it is told of."""
        (root / "last").mkdir()
        assert self._last.wait(10)


Listen = Callable[[], tuple[Hearing, InotifyObserver]]


@pytest.fixture
def listen(music: Path) -> Iterator[Listen]:
    """`listen()` begins to watch the folder `music` as watchdog does it."""
    begun: list[InotifyObserver] = []

    def begin() -> tuple[Hearing, InotifyObserver]:
        hearing, observer = Hearing(), InotifyObserver()
        observer.schedule(hearing, str(music), recursive=True)
        observer.start()
        begun.append(observer)
        return hearing, observer

    yield begin
    for observer in begun:
        observer.stop()
        observer.join(10)


def test_it_is_told_of_reading(listen: Listen, music: Path) -> None:
    (music / "x.mp3").touch()
    hearing, _ = listen()
    (music / "x.mp3").read_bytes()
    hearing.await_last(music)
    assert ("closed_no_write", "x.mp3") in hearing.heard


def test_it_holds_everything_back_behind_a_move_out(listen: Listen, music: Path) -> None:
    (music / "x.mp3").touch()
    hearing, _ = listen()
    began = time.perf_counter()
    (music / "x.mp3").rename(music.parent / "x.mp3")
    hearing.await_last(music)
    assert time.perf_counter() - began > 0.4


def test_it_tells_of_a_folder_that_left_as_if_it_were_there(listen: Listen, music: Path) -> None:
    (music / "album").mkdir()
    hearing, _ = listen()
    (music / "album").rename(music.parent / "elsewhere")
    (music.parent / "elsewhere/x.mp3").touch()
    hearing.await_last(music)
    assert ("created", "x.mp3") in hearing.heard


def test_it_tells_nobody_of_an_overflow(listen: Listen, music: Path) -> None:
    hearing, observer = listen()
    overflow = InotifyEvent(WatchDescriptor(-1), InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    observer._inotify_fd.handle_event(overflow)
    hearing.await_last(music)
    assert {name for _, name in hearing.heard} == {"last", "music"}


def test_it_takes_a_watch_that_was_refused_for_one(
    listen: Listen, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, observer = listen()
    refused = "watchdog.observers.inotify_c.inotify_add_watch"
    monkeypatch.setattr(refused, lambda *_: WatchDescriptor(-1))
    monkeypatch.setattr("ctypes.get_errno", lambda: 13)  # EACCES
    watch = observer._inotify_fd._get_or_create_watch(bytes(music), Mask(0))
    assert watch.wd == -1
    del observer._inotify_fd._watch_for_wd[watch.wd]
