"""A service manager that started the daemon hears when it is ready, and when it ends."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import Daemon, watching
from tests.programs import AT_MOST_S, eventually


class Manager:
    """What systemd is to a unit with `Type=notify`: a socket, and what arrived there."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self.environment = {"NOTIFY_SOCKET": str(receiver.getsockname())}
        self._heard: list[str] = []

    @property
    def heard(self) -> list[str]:
        """All that has arrived until now."""
        while True:
            try:
                self._heard.append(self._receiver.recv(4096).decode())
            except BlockingIOError:
                return list(self._heard)

    def hears(self, *states: str) -> None:
        """Wait until just these have arrived."""
        eventually(lambda: len(self.heard) >= len(states))
        assert self.heard == list(states)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield Manager(receiver)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_says_once_that_it_is_ready_and_once_that_it_ends(
    music: Path, db: Path, manager: Manager, number: signal.Signals
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db, env=manager.environment) as daemon:
        daemon.shows({"a.mp3": "A"})
        assert manager.heard == ["READY=1"]
        assert daemon.end(number) == 0
        manager.hears("READY=1", "STOPPING=1")


def test_it_is_ready_before_it_has_looked_at_everything(
    music: Path, db: Path, manager: Manager
) -> None:
    def is_ready(daemon: Daemon) -> None:
        manager.hears("READY=1")
        assert not daemon.lines("watching root="), "it was ready only after the first look"

    plant(music, {f"{n // 50}/{n}.mp3": tagged(title=f"{n}") for n in range(500)})
    config = "workers = 1\nsmall_work = 0\nchunk_files = 10\n"
    with watching(music, db=db, config=config, env=manager.environment, until=is_ready):
        pass


def test_a_second_daemon_never_says_that_it_is_ready(
    music: Path, db: Path, manager: Manager
) -> None:
    with (
        watching(music, db=db),
        watching(db=db, env=manager.environment, until=None) as second,
    ):
        assert second.process.wait(AT_MOST_S) == 3
        assert manager.heard == []


def test_a_manager_that_is_gone_is_no_trouble(music: Path, db: Path, tmp_path: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    nobody = {"NOTIFY_SOCKET": str(tmp_path / "nobody")}
    with watching(music, db=db, env=nobody) as daemon:
        daemon.shows({"a.mp3": "A"})
        assert daemon.end() == 0


def test_a_manager_that_waits_for_it_hears_at_rest_that_the_loop_goes_on(
    music: Path, db: Path, manager: Manager
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    limit = {**manager.environment, "WATCHDOG_USEC": "400000"}
    with watching(music, db=db, config="probe_interval = 3600\n", env=limit) as daemon:
        already = len(manager.heard)
        eventually(lambda: len(manager.heard) >= already + 3)
        assert set(manager.heard) == {"READY=1", "WATCHDOG=1"}
        daemon.process.send_signal(signal.SIGABRT)  # as systemd does with a loop that hangs
        assert daemon.process.wait(AT_MOST_S) == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in daemon.log
        assert "in _take_turns" in daemon.log, "where it was stands in the log"
