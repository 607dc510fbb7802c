"""A library indexed by workers through Redis -> throughput, latency, memory, and convergence.

    python -m tests.bench.queues [--files 10000] [--keep DIR] [--runs 3] [--storm 60]

Times depend on the load of the machine, so the rebuilds are compared in pairs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil

from tests.bench.bars import Bar, lines
from tests.bench.make import make
from tests.bench.process import pss_of_tree
from tests.corpus import tagged
from tests.daemons import watching
from tests.programs import eventually, run
from tests.redis_servers import RedisServer, redis_server
from tests.rq_workers import Crew, crew

MB = 1_000_000
TRIALS = 60
PAUSE_S = 0.15
REST_S = 45.0
"""Longer than the idle time after which a reader ends."""
OURS = "zz queue bench"
CALM_S = 30.0
"""Maximum time to convergence after the last fault."""


class Bench:
    """One library, one Redis, and one index after another."""

    def __init__(self, music: Path, work: Path, files: int, runs: int) -> None:
        self._music = music
        self._work = work
        self._files = files
        self._runs = runs

    def bars(self, storm_s: float) -> Iterator[Bar]:
        """All figures, one after the other."""
        with redis_server(self._work / "redis") as server:
            yield from self._rebuilds(server)
        with redis_server(self._work / "redis") as server:
            yield from self._live(server)
        if storm_s:
            with redis_server(self._work / "redis") as server:
                yield self._storm(server, storm_s)

    def _rebuilds(self, server: RedisServer) -> Iterator[Bar]:
        local_s, queued_s = [], []
        config = f'redis = "{server.address}"\n'
        peaks = []
        for number in range(self._runs):
            _tell(f"rebuild {number + 1} of {self._runs}")
            local_s.append(self._rebuild(f"local-{number}", "workers = 2\n"))
            db = self._work / f"queued-{number}.db"
            run("roots", "add", self._music, db=db, config=config)
            with crew("--jobs", "2", db=db, config=config, client=server.client()):
                queued_s.append(self._rebuild(f"queued-{number}", config, "--queue"))
                peaks.append(int(server.client().info()["used_memory_peak"]))
        ratio = statistics.median(
            local / queued for local, queued in zip(local_s, queued_s, strict=True)
        )
        rates = [self._files / statistics.median(one) for one in (queued_s, local_s)]
        yield Bar(
            f"rebuild of {self._files} through Redis, 2 readers: 0.6 of the local engine or more",
            f"{ratio:.2f} ({rates[0]:.0f} against {rates[1]:.0f} files/s)",
            ratio >= 0.6,
        )
        peak = max(peaks) / MB
        yield Bar("Redis memory at its peak: 8 MB or less", f"{peak:.1f} MB", peak <= 8)

    def _rebuild(self, name: str, config: str, *more: str) -> float:
        """Seconds by the program's own clock, without its start."""
        db = self._work / f"{name}.db"
        ran = run("rebuild", self._music, *more, "--json", db=db, config=config)
        assert ran.object["files_read"] == self._files, ran.object
        return float(ran.object["seconds"])

    def _live(self, server: RedisServer) -> Iterator[Bar]:
        db = self._work / "live.db"
        config = f'redis = "{server.address}"\n'
        ours = self._music / OURS
        with (
            watching(self._music, db=db, config=config, until=None) as daemon,
            crew(db=db, config=config, client=server.client()) as workers,
        ):
            daemon.watches()
            _tell("latency")
            ours.mkdir()
            try:
                yield self._latency(db, ours)
            finally:
                shutil.rmtree(ours)
            _tell(f"at rest for {REST_S:g} s")
            time.sleep(REST_S)
            held = [pss_of_tree(pid) / MB for pid in (daemon.pid, workers.pid, server.process.pid)]
            daemon.is_right()
        yield Bar(
            "at rest, daemon + worker + Redis: 110 MB PSS or less together",
            f"{sum(held):.1f} MB ({' + '.join(f'{one:.1f}' for one in held)})",
            sum(held) <= 110,
        )

    def _latency(self, db: Path, ours: Path) -> Bar:
        taken_ms = []
        with closing(sqlite3.connect(db, isolation_level=None)) as reader:
            for number in range(TRIALS):
                time.sleep(PAUSE_S)
                path = ours / f"{number}.mp3"
                with path.open("wb", buffering=0) as file:
                    file.write(tagged(title=f"song {number}"))
                began = time.perf_counter()
                _await_row(reader, f"{OURS}/{path.name}")
                taken_ms.append((time.perf_counter() - began) * 1000)
        median, p95 = statistics.median(taken_ms), statistics.quantiles(taken_ms, n=20)[-1]
        return Bar(
            "one changed file, event to visible row: median 60 ms or less",
            f"{median:.1f} ms (95th percentile {p95:.1f} ms)",
            median <= 60,
        )

    def _storm(self, server: RedisServer, seconds: float) -> Bar:
        """Continuous changes, with a process killed every second."""
        asked = (
            f"kill -9 every second of {seconds:g} s of changes: verify --deep ok in {CALM_S:g} s"
        )
        chance = random.Random(1)
        music, db = self._work / "storm", self._work / "storm.db"
        music.mkdir()
        config = (
            f'redis = "{server.address}"\nlease = 3.0\nreconnect_longest = 1.0\n'
            "queue_retry_first = 0.2\nqueue_retry_longest = 1.0\nretry_longest = 1.0\n"
        )
        ended = threading.Event()
        changer = threading.Thread(target=_change, args=(music, chance, ended))
        killed: dict[str, int] = {}
        with suppress(AssertionError), crew(db=db, config=config) as workers:
            daemon = _daemon(music, db, config)
            changer.start()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(1)
                what = chance.choice(("daemon", "worker", "worker", "redis"))
                killed[what] = killed.get(what, 0) + 1
                if what == "daemon":
                    daemon.kill()
                    daemon.wait()
                    daemon = _daemon(music, db, config)
                elif what == "redis":
                    server.restart()
                else:
                    _kill_one(workers, chance)
            ended.set()
            changer.join()
            began = time.monotonic()
            try:
                eventually(lambda: _is_right(db), within_s=CALM_S)
                calm_s = f"{time.monotonic() - began:.1f} s"
                ok = _has_no_doubles(db)
            except AssertionError:
                calm_s, ok = "not", False
            finally:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait()
        kills = ", ".join(f"{what} {times}" for what, times in sorted(killed.items()))
        return Bar(asked, f"{calm_s} ({kills})", ok)


def _daemon(music: Path, db: Path, config: str) -> subprocess.Popen[bytes]:
    file = db.with_suffix(".toml")
    file.write_text(config)
    places = map(str, ("--db", db, "--config", file, "run", music))
    command = [sys.executable, "-P", "-m", "watcher", *places]
    with db.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)


def _kill_one(workers: Crew, chance: random.Random) -> None:
    """Kill a child of the worker, or the reader process of one."""
    everybody = workers.everybody
    if everybody:
        with suppress(psutil.NoSuchProcess):
            chance.choice(everybody).kill()


def _change(music: Path, chance: random.Random, ended: threading.Event) -> None:
    """Create, retag, move and remove files and folders."""
    number = 0
    while not ended.wait(0.02):
        number += 1
        folder = music / f"album {chance.randrange(12)}"
        folder.mkdir(exist_ok=True)
        files = [file for file in music.rglob("*.mp3") if file.is_file()]
        what = chance.randrange(10)
        with suppress(OSError):
            if what < 5 or len(files) < 10:
                (folder / f"{number}.mp3").write_bytes(tagged(title=f"song {number}"))
            elif what < 7:
                chance.choice(files).write_bytes(tagged(title=f"retagged {number}"))
            elif what < 8:
                chance.choice(files).rename(folder / f"moved {number}.mp3")
            elif what < 9:
                folder.rename(music / f"album {chance.randrange(12)}")
            else:
                chance.choice(files).unlink()


def _is_right(db: Path) -> bool:
    ran = run("verify", "--deep", "--json", db=db, check=None)
    told = json.loads(ran.out) if ran.out else {}
    return ran.code == 0 and told.get("ok") is True and told.get("pending") == 0


def _has_no_doubles(db: Path) -> bool:
    with closing(sqlite3.connect(db)) as reader:
        query = "SELECT count(*), count(DISTINCT root || '/' || path) FROM library"
        rows, places = reader.execute(query).fetchone()
    return bool(rows == places)


def _await_row(reader: sqlite3.Connection, path: str) -> None:
    until = time.monotonic() + 10
    query = "SELECT 1 FROM library WHERE path = ?"
    while reader.execute(query, (path,)).fetchone() is None:
        if time.monotonic() > until:
            raise SystemExit(f"{path} did not show up in 10 s")
        time.sleep(0.0005)


def _tell(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and exit with 1 if a figure is not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.queues", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--storm", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--keep", type=Path, help="where the library is kept for the next run")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        music = (asked.keep or Path(scratch)).absolute() / f"music-{asked.files}"
        make(music, asked.files, 1)
        with tempfile.TemporaryDirectory(dir=music.parent, prefix="index-") as work:
            bars = []
            for bar in Bench(music, Path(work), asked.files, asked.runs).bars(asked.storm):
                bars.append(bar)
                print(*lines([bar]), sep="\n", flush=True)
    return 1 if any(bar.ok is False for bar in bars) else 0


if __name__ == "__main__":
    sys.exit(main())
