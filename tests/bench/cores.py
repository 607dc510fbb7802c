"""A running command -> the fraction of the cores that it and its children keep busy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.bench.process import Cost, Failed, Watched, cpu_of_tree

EVERY_S = 0.05
"""Each sample takes 1 to 2 ms of a core."""
MIDDLE = 0.8
"""The fraction of the run that counts: neither its start nor its end."""


class Sample(Struct, frozen=True):
    """Processor time used until a moment of a run, in seconds."""

    at_s: float
    cpu_s: float


def sampled(
    command: Sequence[str], *, cores: int, environment: Mapping[str, str], folder: Path
) -> tuple[Cost, list[Sample]]:
    """Run a command to its end, and sample it. Raises Failed if its exit code is not 0."""
    samples = [Sample(0.0, 0.0)]
    with Watched(command, cores=cores, environment=environment, folder=folder) as watched:
        while watched.wait(EVERY_S):
            samples.append(Sample(watched.seconds(), cpu_of_tree(watched.pid)))
        cost = watched.end()
    if cost.exit_code != 0:
        raise Failed(f"{' '.join(command)}: exit code {cost.exit_code}: {cost.output.strip()}")
    return msgspec.structs.replace(cost, sampled=False), [
        *samples,
        Sample(cost.seconds, cost.cpu_s),
    ]


def busy(samples: Sequence[Sample], cores: int) -> float:
    """The fraction of the cores over the middle of the run."""
    end_s = samples[-1].at_s
    begin_s, until_s = end_s * (1 - MIDDLE) / 2, end_s * (1 + MIDDLE) / 2
    return (_used(samples, until_s) - _used(samples, begin_s)) / (until_s - begin_s) / cores


def _used(samples: Sequence[Sample], at_s: float) -> float:
    """Processor time until a moment, by a line between the samples around it."""
    for before, after in pairwise(samples):
        if before.at_s <= at_s <= after.at_s:
            share = (at_s - before.at_s) / (after.at_s - before.at_s)
            return before.cpu_s + share * (after.cpu_s - before.cpu_s)
    return samples[-1].cpu_s
