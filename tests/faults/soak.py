"""A daemon under steady work for a long time -> whether it stays as small as it was.

    python -m tests.faults.soak [--minutes 30] [--engine rq] [--rate FILES_A_SECOND]

With `--rate` instead: how many changed files a second the index follows for a minute, at most 5 s
behind; the rate is doubled until it does not.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
from msgspec import Struct

from tests.corpus import plant, tagged
from tests.daemons import Daemon, watching
from tests.programs import eventually
from tests.redis_servers import redis_server
from tests.rq_workers import crew

MB = 1_000_000
FILES = 2_000
A_SECOND = 5
"""Small changes a second in the soak: somebody tags all day."""
SAMPLE_S = 10.0
WARM_UP = 0.2
"""The part of the run that is not judged: caches fill."""
FLAT = 1.05
RATE_S = 60.0
BEHIND_S = 5.0


class Sample(Struct, frozen=True):
    """What all processes hold at one moment."""

    memory: int
    descriptors: int
    threads: int
    log: int


def soak(folder: Path, minutes: float, engine: str) -> bool:
    """Change files for so long; whether memory, descriptors and threads stayed flat."""
    samples: list[Sample] = []
    with _Run(folder, engine) as (daemon, music, pids):
        chance = random.Random(1)
        until, sample_at, number = time.monotonic() + minutes * 60, 0.0, 0
        while time.monotonic() < until:
            number += 1
            _change(music, chance, number)
            time.sleep(1 / A_SECOND)
            if time.monotonic() >= sample_at:
                sample_at = time.monotonic() + SAMPLE_S
                samples.append(_sample(pids, daemon))
                print(f"\r{len(samples)} samples, {samples[-1]}", end="", file=sys.stderr)
        eventually(lambda: daemon.status()["pending"] == 0, within_s=60)
        daemon.is_right()
    print(file=sys.stderr)
    return _judge(samples, number)


def _judge(samples: Sequence[Sample], changes: int) -> bool:
    judged = samples[int(len(samples) * WARM_UP) :]
    middle = len(judged) // 2
    flat = True
    print(f"{changes} changes, {len(samples)} samples, every {SAMPLE_S:g} s")
    for name in ("memory", "descriptors", "threads"):
        early, late = (
            statistics.median(getattr(one, name) for one in part)
            for part in (judged[:middle], judged[middle:])
        )
        is_flat = late <= early * FLAT
        flat &= is_flat
        shown = (early / MB, late / MB) if name == "memory" else (early, late)
        print(
            f"{name}: {shown[0]:.1f} in the first half, {shown[1]:.1f} in the second: "
            f"{'flat' if is_flat else 'NOT FLAT'}"
        )
    log = max(one.log for one in judged) / MB
    print(f"the log of SQLite: {log:.1f} MB at the most")
    return flat and log < 40


def hold(folder: Path, engine: str, first: float) -> None:
    """Double the rate of changed files until the index does not follow it."""
    rate = first
    with _Run(folder, engine) as (daemon, music, _):
        while True:
            late_s, done = _follow(daemon, music, rate)
            print(
                f"{rate:g} files/s for {RATE_S:g} s ({done} written): at most {late_s:.1f} s behind"
            )
            if late_s > BEHIND_S:
                began = time.monotonic()
                eventually(lambda: daemon.status()["pending"] == 0, within_s=600)
                daemon.is_right()
                print(
                    f"past it: it caught up {time.monotonic() - began:.1f} s after the last change"
                )
                return
            rate *= 2


def _follow(daemon: Daemon, music: Path, rate: float) -> tuple[float, int]:
    """Write files at a rate; how far behind the index was at the worst, and how many they were."""
    sent: list[tuple[float, str]] = []
    worst, shown, began = 0.0, 0, time.monotonic()
    folder = music / f"rate {rate:g}"
    folder.mkdir()
    with closing(sqlite3.connect(daemon.db, isolation_level=None)) as reader:
        number, look_at = 0, began
        while (now := time.monotonic()) < began + RATE_S:
            if number < (now - began) * rate:
                path = folder / f"{number}.mp3"
                path.write_bytes(tagged(title=f"{number}"))
                sent.append((time.monotonic(), path.name))
                number += 1
            else:
                time.sleep(0.001)
            if now >= look_at:
                look_at = now + 0.25
                query = "SELECT count(*) FROM library WHERE path LIKE ?"
                (shown,) = reader.execute(query, (f"{folder.name}/%",)).fetchone()
                if shown < len(sent):
                    worst = max(worst, now - sent[shown][0])
    return worst, number


class _Run:
    """A daemon on a library, and where it is asked for, workers and Redis."""

    def __init__(self, folder: Path, engine: str) -> None:
        self._folder = folder
        self._engine = engine
        self._open = ExitStack()

    def __enter__(self) -> tuple[Daemon, Path, list[int]]:
        music, db = self._folder / "music", self._folder / "library.db"
        plant(music, {f"{n // 100}/{n}.mp3": tagged(title=f"song {n}") for n in range(FILES)})
        config, pids = "", []
        if self._engine == "rq":
            server = self._open.enter_context(redis_server(self._folder / "redis"))
            config = f'redis = "{server.address}"\n'
            workers = self._open.enter_context(crew(db=db, config=config))
            pids.append(workers.pid)
        daemon = self._open.enter_context(watching(music, db=db, config=config))
        return daemon, music, [*pids, daemon.pid]

    def __exit__(self, *error: object) -> None:
        self._open.close()


def _change(music: Path, chance: random.Random, number: int) -> None:
    path = music / str(chance.randrange(FILES // 100)) / f"{chance.randrange(FILES)}.mp3"
    what = chance.randrange(4)
    if what == 0 and path.exists():
        path.unlink()
    elif what == 1 and path.exists():
        path.rename(path.with_name(f"moved {number % 50}.mp3"))
    else:
        path.write_bytes(tagged(title=f"change {number}"))


def _sample(pids: Sequence[int], daemon: Daemon) -> Sample:
    processes = [one for pid in pids for one in _tree(pid)]
    held = [figures for one in processes if (figures := _held(one)) is not None]
    log = daemon.db.with_name(daemon.db.name + "-wal")
    return Sample(
        sum(memory for memory, _, _ in held),
        sum(descriptors for _, descriptors, _ in held),
        sum(threads for _, _, threads in held),
        log.stat().st_size if log.exists() else 0,
    )


def _held(process: psutil.Process) -> tuple[int, int, int] | None:
    """Memory, descriptors and threads; None of one that has just ended, as a reader does."""
    try:
        with process.oneshot():
            return process.memory_info().rss, process.num_fds(), process.num_threads()
    except psutil.NoSuchProcess:
        return None


def _tree(pid: int) -> Iterator[psutil.Process]:
    parent = psutil.Process(pid)
    yield parent
    yield from parent.children(recursive=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, and say by the exit code whether it stayed as it was."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--engine", choices=("local", "rq"), default="local")
    parser.add_argument("--rate", type=float, metavar="FILES_A_SECOND")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if asked.rate:
            hold(Path(scratch), asked.engine, asked.rate)
            return 0
        return 0 if soak(Path(scratch), asked.minutes, asked.engine) else 1


if __name__ == "__main__":
    os.environ.pop("INDEXER_REDIS", None)
    sys.exit(main())
