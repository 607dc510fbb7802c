"""A watching program -> its memory and processor time at rest, and how soon it shows a new file."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.bench.figures import Watcher
from tests.bench.peers.peer import Watching
from tests.bench.process import Failed, cpu_of_tree, pss_of_tree
from tests.corpus import tagged

OURS = "zz bench of watchers"
"""The folder that is made for it, and removed at the end."""
REST_S = 10.0
SETTLED_S = 3.0
"""Longer than the pause between two looks of any of the programs."""
SETTLED_CPU_S = 0.03
START_S = 600.0
SEEN_S = 30.0
"""A file that is not shown after so long is counted as unseen."""
LEAST_TRIALS, ENOUGH_S = 3, 10.0
"""A program that waits on purpose is asked less often."""
POLL_S = 0.001


def watch(name: str, watching: Watching, music: Path, trials: int) -> Watcher:
    """Measure a program that was started, with at most so many new files. Raises Failed."""
    _settle(name, watching.pid)
    began, before_s = time.monotonic(), cpu_of_tree(watching.pid)
    time.sleep(REST_S)
    found = Watcher(name, rest_s=time.monotonic() - began)
    found.rest_cpu_s = cpu_of_tree(watching.pid) - before_s
    found.rest_pss = pss_of_tree(watching.pid)
    folder = music / OURS
    folder.mkdir()
    try:
        _trial(watching, folder, "first")  # also tells it of the folder; not counted
        began = time.monotonic()
        for number in range(trials):
            if number >= LEAST_TRIALS and time.monotonic() - began > ENOUGH_S:
                break
            taken_ms = _trial(watching, folder, f"{number}")
            if taken_ms is None:
                found.unseen += 1
            else:
                found.latencies_ms.append(taken_ms)
    finally:
        shutil.rmtree(folder)
    if not found.latencies_ms:
        found.absent = f"it showed none of {found.unseen} new files within {SEEN_S:g} s"
    return found


def _trial(watching: Watching, folder: Path, name: str) -> float | None:
    """Milliseconds from the close of a new file to an answer that has it."""
    path = folder / f"{name}.mp3"
    song = tagged(title=f"Title {name}", artist="Artist", album="Bench", picture=40_000)
    time.sleep(POLL_S * 100)  # it is at rest before each
    with path.open("wb", buffering=0) as file:
        file.write(song)
        began = time.perf_counter()
    relative = f"{OURS}/{path.name}"
    while not watching.shows(relative):
        if time.perf_counter() - began > SEEN_S:
            return None
        time.sleep(POLL_S)
    return (time.perf_counter() - began) * 1000


def _settle(name: str, pid: int) -> None:
    """Wait until it has done what it does at its start."""
    began = time.monotonic()
    used_s = cpu_of_tree(pid)
    while time.monotonic() - began < START_S:
        time.sleep(SETTLED_S)
        before_s, used_s = used_s, cpu_of_tree(pid)
        if used_s - before_s < SETTLED_CPU_S:
            return
    raise Failed(f"{name} is not at rest {START_S:g} s after its start")
