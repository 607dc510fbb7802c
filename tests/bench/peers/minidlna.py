"""MiniDLNA (ReadyMedia): a DLNA server with an SQLite database."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from msgspec.structs import replace

from tests.bench.peers.peer import Peer, Setup, Watching, in_database
from tests.bench.process import Cost, Watched, run

SCANNED = re.compile(r"finished \(\d+ files\)")
RESCANNED = re.compile(r"Rescan completed")
"""Log lines at the end of a scan of an empty database, and of `-r`."""
_SHOWN = "SELECT 1 FROM DETAILS WHERE PATH = ?"


def scans(setup: Setup) -> tuple[Cost, Cost]:
    """Both from the start of the program to a line of its log.

    It does not index Opus, so the number of its files is not checked.
    """
    return _scan(setup, SCANNED), _scan(setup, RESCANNED, "-r")


@contextmanager
def watching(setup: Setup) -> Iterator[Watching]:
    """It looks at once."""
    with Watched(_command(setup, inotify=True), cores=setup.cores) as server:
        yield Watching(server.pid, in_database(setup.place / "files.db", _SHOWN, setup))


def _scan(setup: Setup, end: re.Pattern[str], *words: str) -> Cost:
    (setup.place / "minidlna.log").unlink(missing_ok=True)
    command = [*_command(setup, inotify=False), *words]
    with Watched(command, cores=setup.cores) as server:
        seconds = server.await_true(partial(_said, setup, end), setup.limit_s)
        server.await_true(lambda: not server.has_children(), setup.limit_s)  # else CPU is lost
        return replace(server.end(signal.SIGTERM), seconds=seconds, output="")


def _said(setup: Setup, end: re.Pattern[str]) -> bool:
    log = setup.place / "minidlna.log"
    return log.exists() and end.search(log.read_text("utf-8", "replace")) is not None


def _command(setup: Setup, *, inotify: bool) -> list[str]:
    place = setup.place
    config = place / "minidlna.conf"
    config.write_text(
        f"media_dir=A,{setup.music}\ndb_dir={place}\nlog_dir={place}\n"
        f"log_level=general,artwork,database,inotify,metadata,http,ssdp,tivo=warn,scanner=info\n"
        f"port={_free_port()}\ninotify={'yes' if inotify else 'no'}\n"
        f"minissdpdsocket={place}/ssdp\nnetwork_interface=lo\n"
    )
    return [setup.program, "-S", "-f", str(config), "-P", f"{place}/pid"]


def _free_port() -> int:
    """A free port, which it needs to start."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def version(program: str) -> str:
    """From `Version 1.3.0`."""
    return run([program, "-V"], sample_s=None, limit_s=60).output.split()[-1]


MINIDLNA = Peer("minidlna", "minidlnad", version, scans, watching)
