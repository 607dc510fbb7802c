"""A size -> a library of it, and the figures of all programs with it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from tests.bench import peers
from tests.bench.figures import Library
from tests.bench.make import make
from tests.bench.process import GENTLE_S, SAMPLE_S, Failed
from tests.bench.scenario import Scenario
from tests.bench.watchers import watch

OURS = "this program"
TRIALS = 20
"""Of our watcher, that takes milliseconds."""
QUESTIONS = 30
LONG = 500_000
"""Files from which a run takes so long that its memory can be sampled while it is timed."""


class Plan(Struct, frozen=True):
    """What is measured of each library."""

    runs: int
    seed: int = 1
    cores: int = 2
    config: Path | None = None
    """Settings of our program."""
    tiny: bool = False
    cold: bool = False
    watch: bool = False
    """Also our daemon, and what it keeps busy."""
    peers: peers.Asked | None = None


def measure(folder: Path, files: int, plan: Plan, earlier: Sequence[Library] = ()) -> Library:
    """Make the library, unless the folder has it, and measure. Raises Failed, FileExistsError.

    `earlier` has the figures of smaller ones, by which too slow peers are left out.
    """
    music = folder / f"{'tiny' if plan.tiny else 'music'}-{files}"
    conditions = machine(plan)  # its load is not that of making files
    tell(f"{files} files: made")
    if make(music, files, plan.seed, tiny=plan.tiny):
        os.sync()  # pending writes would be measured, too
    with tempfile.TemporaryDirectory(dir=folder, prefix="index-") as work:
        scenario = Scenario(
            music,
            Path(work),
            files,
            plan.seed,
            cores=plan.cores,
            config=plan.config,
            tiny=plan.tiny,
        )
        _rounds(scenario, files, plan)
        if plan.watch:
            tell(f"{files} files: cores")
            scenario.seed()
        library = scenario.result()
        if plan.watch:
            _watch(scenario, library, plan, music)
        if plan.peers is not None and not plan.tiny:
            tell(f"{files} files: {', '.join(plan.peers.names)}")
            bench = peers.Bench(
                music, Path(work), library, plan.runs, plan.cores, plan.peers, earlier
            )
            bench.measure()
    library.machine = conditions
    tell("")
    return library


def _rounds(scenario: Scenario, files: int, plan: Plan) -> None:
    """Time, memory, system calls, and all of it again with a cold cache."""
    scenario.warm()
    scenario.sample_s = GENTLE_S if files >= LONG else None
    for number in range(plan.runs):
        tell(f"{files} files: run {number + 1} of {plan.runs}")
        scenario.round()
    if files < LONG:
        tell(f"{files} files: memory")
        scenario.sample_s = SAMPLE_S
        scenario.round()
    tell(f"{files} files: system calls")
    try:
        scenario.trace()
    except Failed as error:  # a container may forbid it; the other figures are valid
        print(error, file=sys.stderr)
    scenario.sample_s = None
    for number in range(plan.runs if plan.cold else 0):
        tell(f"{files} files: cold run {number + 1} of {plan.runs}")
        scenario.cold_round()


def _watch(scenario: Scenario, library: Library, plan: Plan, music: Path) -> None:
    tell(f"{library.files} files: a daemon")
    if plan.tiny:
        library.searches_ms = scenario.searches_ms(QUESTIONS)
    with scenario.watching() as watching:
        library.watchers.append(watch(OURS, watching, music, TRIALS))


def machine(plan: Plan) -> dict[str, str | int | float]:
    """The conditions of a run. The load is measured before: 0 is an idle machine."""
    return {
        "cores": min(plan.cores, len(os.sched_getaffinity(0))),
        "of": os.cpu_count() or 0,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "load before": round(os.getloadavg()[0], 2),
        **({} if plan.peers is None else peers.versions(plan.peers)),
    }


def tell(what: str) -> None:
    """Show progress on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
