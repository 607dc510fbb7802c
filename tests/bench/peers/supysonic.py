"""Supysonic: a Subsonic server in Python, with SQLite, mediafile (mutagen) and watchdog.

What is measured is its command line's scan and its daemon, which watches; the web server is a
program of its own, and is not started. Its setting `scanner_extensions` is left as it is: with it,
and watchdog 7.1.0, the daemon of 0.7.9 sees no event.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from tests.bench.peers.peer import Peer, Setup, Watching, in_database
from tests.bench.process import Cost, Failed, Watched, run

_SHOWN = "SELECT 1 FROM track WHERE path = ?"


def scans(setup: Setup) -> tuple[Cost, Cost]:
    """It commits each file on its own."""
    place = setup.place
    (place / ".supysonic").write_text(
        f"[base]\ndatabase_uri = sqlite:///{place}/supysonic.db\n"
        f"[webapp]\ncache_dir = {place}/cache\n"
        f"[daemon]\nsocket = {place}/supysonic.sock\nrun_watcher = yes\n"
    )
    _run(setup, "add", "music", str(setup.music))
    first, unchanged = (_run(setup, "scan", "--foreground") for _ in range(2))
    if f", {setup.files} tracks" not in first.output:
        raise Failed(f"supysonic did not add {setup.files} tracks: {first.output}")
    return replace(first, output=""), replace(unchanged, output="")


@contextmanager
def watching(setup: Setup) -> Iterator[Watching]:
    """It waits until there were no events for 5 s (its setting `wait_delay`)."""
    command = [str(Path(setup.program).with_name("supysonic-daemon"))]
    socket = setup.place / "supysonic.sock"
    socket.unlink(missing_ok=True)
    with Watched(command, cores=setup.cores, environment=setup.environment()) as server:
        server.await_true(socket.exists, setup.limit_s)
        shows = in_database(setup.place / "supysonic.db", _SHOWN, setup)
        yield Watching(server.pid, shows)


def _run(setup: Setup, *words: str) -> Cost:
    return run(
        [setup.program, "folder", *words],
        cores=setup.cores,
        environment=setup.environment(),
        limit_s=setup.limit_s,
    )


def version(program: str) -> str:
    """Of the package: its commands do not say it."""
    interpreter = Path(program).read_text("utf-8").partition("\n")[0].removeprefix("#!")
    ask = "from importlib.metadata import version; print(version('supysonic'))"
    return run([interpreter, "-c", ask], sample_s=None, limit_s=60).output.strip()


SUPYSONIC = Peer("supysonic", "supysonic-cli", version, scans, watching)
