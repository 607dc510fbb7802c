"""The Music Player Daemon: its own database, a tag cache in one file (mpd.readthedocs.io)."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from tests.bench.peers.peer import Peer, Setup, Watching, between
from tests.bench.process import Cost, Failed, Watched, run


def scans(setup: Setup) -> tuple[Cost, Cost]:
    """The update of an empty database, and one without changes, by one server."""
    with _server(setup, auto_update=False) as server:
        with closing(_Client(setup.place / "socket")) as client:
            costs = []
            for _ in range(2):
                before_s = server.cpu_s()
                client.ask("update")
                seconds = server.await_true(client.is_idle, setup.limit_s)
                costs.append(between(server, before_s, seconds))
                if client.songs() < setup.files:
                    raise Failed(f"mpd knows {client.songs()} songs of {setup.files}")
        cost = server.end(signal.SIGTERM)
    first, unchanged = costs
    return replace(first, written_bytes=cost.written_bytes), unchanged


@contextmanager
def watching(setup: Setup) -> Iterator[Watching]:
    """It waits 5 s for further events before it looks (its InotifyQueue)."""
    with (
        _server(setup, auto_update=True) as server,
        closing(_Client(setup.place / "socket")) as client,
    ):
        yield Watching(server.pid, client.has)


@contextmanager
def _server(setup: Setup, *, auto_update: bool) -> Iterator[Watched]:
    place = setup.place
    (place / "playlists").mkdir(parents=True, exist_ok=True)
    (place / "socket").unlink(missing_ok=True)
    config = place / "mpd.conf"
    config.write_text(
        f'music_directory "{setup.music}"\n'
        f'playlist_directory "{place}/playlists"\n'
        f'db_file "{place}/database"\n'
        f'log_file "{place}/log"\n'
        f'bind_to_address "{place}/socket"\n'
        f'auto_update "{"yes" if auto_update else "no"}"\n'
        'audio_output {\n type "null"\n name "none"\n}\n'
    )
    command = [setup.program, "--no-daemon", str(config)]
    with Watched(command, cores=setup.cores, environment=setup.environment()) as server:
        server.await_true((place / "socket").exists, setup.limit_s)
        yield server


class _Client:
    """The required part of mpd's protocol (mpd.readthedocs.io, Protocol)."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._lines.readline()  # its greeting

    def is_idle(self) -> bool:
        """Whether no update runs."""
        return "updating_db" not in self.ask("status")

    def songs(self) -> int:
        """The number of songs in its database."""
        return int(self.ask("stats")["songs"])

    def has(self, path: str) -> bool:
        """Whether a path is in its database; an answer to another is an error of its protocol."""
        return "file" in self.ask(f'lsinfo "{path}"')

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def ask(self, words: str) -> dict[str, str]:
        """Send a command; the pairs of its answer, none for an error."""
        self._socket.sendall(f"{words}\n".encode())
        answer = {}
        for line in self._lines:
            if line.startswith(("OK", "ACK")):
                break
            name, _, value = line.rstrip("\n").partition(": ")
            answer[name] = value
        return answer


def version(program: str) -> str:
    """From `Music Player Daemon 0.23.12 (0.23.12)`."""
    return run([program, "--version"], sample_s=None, limit_s=60).output.split()[3]


MPD = Peer("mpd", "mpd", version, scans, watching)
