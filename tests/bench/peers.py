"""A library -> the costs of mpd and minidlna for scanning it, if they are installed."""

from __future__ import annotations

import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from tests.bench.figures import Step
from tests.bench.process import Cost, Failed, Watched

LIMIT_S = 1800.0
MPD_SCAN = "mpd: first scan"
MPD_RESCAN = "mpd: scan, nothing changed"
MINIDLNA_SCAN = "minidlna: first scan"
FINISHED = re.compile(r"finished \(\d+ files\)")
"""Log line of minidlna at the end of a scan."""


def measure(music: Path, work: Path, files: int, runs: int, cores: int) -> Iterator[Step]:
    """Measure each of them; a failure of one must not affect our own figures."""
    for name, program, scan in (
        (MPD_SCAN, "mpd", _mpd),
        (MINIDLNA_SCAN, "minidlnad", _minidlna),
    ):
        path = shutil.which(program)
        if path is None:
            yield Step(name, absent="not installed")
            continue
        try:
            yield from scan(path, music, work, files, runs, cores)
        except Failed as error:
            yield Step(name, absent=f"failed: {error}")


def _mpd(
    program: str, music: Path, work: Path, files: int, runs: int, cores: int
) -> Iterator[Step]:
    """The update of an empty database, and one without changes."""
    first, again = Step(MPD_SCAN), Step(MPD_RESCAN)
    for number in range(runs):
        place = work / f"mpd-{number}"
        (place / "playlists").mkdir(parents=True)
        config = place / "mpd.conf"
        config.write_text(
            f'music_directory "{music}"\n'
            f'playlist_directory "{place}/playlists"\n'
            f'db_file "{place}/database"\n'
            f'log_file "{place}/log"\n'
            f'bind_to_address "{place}/socket"\n'
            'auto_update "no"\n'
            'audio_output {\n type "null"\n name "none"\n}\n'
        )
        with Watched([program, "--no-daemon", str(config)], cores=cores) as server:
            server.await_true((place / "socket").exists, LIMIT_S)
            with closing(_MpdClient(place / "socket", server)) as client:
                first.runs.append(_measured(server, client.update))
                if client.songs() < files:
                    raise Failed(f"it knows {client.songs()} songs of {files}")
                again.runs.append(_measured(server, client.update))
            cost = server.end(signal.SIGTERM)
        first.runs[-1] = replace(first.runs[-1], written_bytes=cost.written_bytes)
    yield from (first, again)


def _minidlna(
    program: str, music: Path, work: Path, files: int, runs: int, cores: int
) -> Iterator[Step]:
    """The first scan, from the start of the program to a line in its log."""
    del files  # it does not index Opus, so their number is not checked
    step = Step(MINIDLNA_SCAN)
    for number in range(runs):
        place = work / f"minidlna-{number}"
        place.mkdir()
        config = place / "minidlna.conf"
        config.write_text(
            f"media_dir=A,{music}\ndb_dir={place}\nlog_dir={place}\n"
            f"port={_free_port()}\ninotify=no\n"
            f"minissdpdsocket={place}/ssdp\nnetwork_interface=lo\n"
        )
        command = [program, "-S", "-f", str(config), "-P", f"{place}/pid"]
        with Watched(command, cores=cores) as server:
            seconds = server.await_true(partial(_has_finished, place / "minidlna.log"), LIMIT_S)
            server.await_true(lambda: not server.has_children(), LIMIT_S)  # else their CPU is lost
            step.runs.append(replace(server.end(signal.SIGTERM), seconds=seconds, output=""))
    yield step


class _MpdClient:
    """The required part of mpd's protocol (mpd.readthedocs.io, Protocol)."""

    def __init__(self, path: Path, server: Watched) -> None:
        self._server = server
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._lines.readline()  # its greeting

    def update(self) -> float:
        """Run a full update and wait for its end; seconds."""
        self._ask("update")
        return self._server.await_true(lambda: "updating_db" not in self._ask("status"), LIMIT_S)

    def songs(self) -> int:
        """The number of songs in its database."""
        return int(self._ask("stats")["songs"])

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, word: str) -> dict[str, str]:
        self._socket.sendall(f"{word}\n".encode())
        answer = {}
        for line in self._lines:
            if line.startswith(("OK", "ACK")):
                break
            name, _, value = line.rstrip("\n").partition(": ")
            answer[name] = value
        return answer


def _free_port() -> int:
    """A free port, which minidlna needs to start."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _has_finished(log: Path) -> bool:
    return log.exists() and FINISHED.search(log.read_text("utf-8", "replace")) is not None


def _measured(server: Watched, update: Callable[[], float]) -> Cost:
    """The cost of one update; the bytes written are known only at the server's end."""
    before_s = server.cpu_s()
    seconds = update()
    return Cost(seconds, server.cpu_s() - before_s, server.peak_pss, 0, 0)
