"""Watched folders -> costs of watching them, and latency of events.

    python -m tests.bench.observer [--folders 10000] [--files 50000]

Everything is in memory (/dev/shm), so the disk has no influence.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from watcher.events.fs_event import FsEvent, FsEventKind
from watcher.events.watch_manager import Observers

_REST_S = 10
_TRIALS = 500
_WRITER = """
import os, sys
for folder in range(500):
    path = f"{sys.argv[1]}/burst {folder}"
    os.mkdir(path)
    for file in range(int(sys.argv[2]) // 500):
        with open(f"{path}/{file}.mp3", "wb", buffering=0) as new:
            new.write(b"x")
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=50_000)
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        for number in range(wanted.folders - wanted.folders // 10):
            os.makedirs(f"{root}/{number // 9}/{number}")
        print(json.dumps(measured(Path(root), wanted.files), indent=2))


def measured(root: Path, files: int) -> dict[str, float]:
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    observers = Observers(lambda: os.eventfd_write(bell, 1))
    before = pss_kb()
    began = time.perf_counter()
    armed = observers.watch(1, bytes(root), wants_folder=lambda _: True, wants_name=lambda *_: True)
    figures: dict[str, float] = {"folders": armed.watched, "arm_s": time.perf_counter() - began}
    figures |= {"watches_kb": pss_kb() - before, "process_kb": pss_kb()}
    figures |= latency_of(observers, root, bell)
    switches = context_switches()
    time.sleep(_REST_S)
    figures["switches_at_rest"] = context_switches() - switches
    figures |= burst_of(observers, root, bell, files)
    began = time.perf_counter()
    observers.renew(1)
    figures["renew_s"] = time.perf_counter() - began
    observers.close()
    return figures


def latency_of(observers: Observers, root: Path, bell: int) -> dict[str, float]:
    """Time from before a change until its event was drained."""
    file = root / "0/0/x.mp3"
    file.touch()
    observers.fence(10)
    drain(observers, bell)
    taken_ms = []
    for _ in range(_TRIALS):
        time.sleep(0.002)
        began = time.perf_counter()
        os.utime(file)
        select.select([bell], [], [], 10)
        assert len(drain(observers, bell)) == 1
        taken_ms.append(1000 * (time.perf_counter() - began))
    percentiles = statistics.quantiles(taken_ms, n=20)
    return {"median_ms": statistics.median(taken_ms), "p95_ms": percentiles[-1]}


def burst_of(observers: Observers, root: Path, bell: int, files: int) -> dict[str, float]:
    """Many files in new folders, as fast as possible: number and latency of their events."""
    came, told = 0, set[tuple[bytes, bytes]]()
    with subprocess.Popen([sys.executable, "-c", _WRITER, root, str(files)]) as writer:
        began = time.perf_counter()
        wrote_s = 0.0
        while not wrote_s:
            if writer.poll() is not None:
                wrote_s = time.perf_counter() - began
                assert observers.fence(60)
            select.select([bell], [], [], 0.01)
            for one in drain(observers, bell):
                came += one.kind is FsEventKind.FOLDER_CAME
                if one.name is not None:
                    told.add((one.folder, one.name))
    return {
        "burst_files": files,
        "burst_told_alone": len(told),
        "burst_folders_told": came,
        "burst_write_s": wrote_s,
        "burst_behind_s": time.perf_counter() - began - wrote_s,
    }


def drain(observers: Observers, bell: int) -> Sequence[FsEvent]:
    """The available events; there may be no watch fault."""
    try:
        os.eventfd_read(bell)
    except BlockingIOError:
        return ()
    drained = observers.drain()
    assert not drained.faults, drained.faults
    return drained.events


def context_switches() -> int:
    """Voluntary context switches of the threads of this process."""
    tasks = Path("/proc/self/task").glob("*/status")
    lines = (line for task in tasks for line in task.read_text(encoding="ascii").splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def pss_kb() -> int:
    """The memory of this process."""
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
