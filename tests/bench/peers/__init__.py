"""A library -> what other programs take to index it and to watch it, if they are installed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from tests.bench.figures import Library, Step, Watcher
from tests.bench.peers.beets import BEETS
from tests.bench.peers.minidlna import MINIDLNA
from tests.bench.peers.mpd import MPD
from tests.bench.peers.peer import Peer, Setup
from tests.bench.peers.supysonic import SUPYSONIC
from tests.bench.process import Failed
from tests.bench.watchers import watch

ALL = {peer.name: peer for peer in (MPD, MINIDLNA, BEETS, SUPYSONIC)}
NOT_INSTALLED = "not installed"
TRIALS = 20
"""New files, at most, for a program that watches."""


def first_scan(name: str) -> str:
    """The name of a peer's step."""
    return f"{name}: first scan"


def unchanged_scan(name: str) -> str:
    return f"{name}: scan, nothing changed"


MPD_SCAN = first_scan("mpd")


class Asked(Struct, frozen=True):
    """Which peers are measured, and for how long."""

    names: Sequence[str]
    folder: Path | None = None
    """Where commands are looked for, before PATH."""
    budget_s: float = 180.0
    """Of the scans of one peer of one library: a slow one is run less often, or not at all."""

    def find(self, peer: Peer) -> str | None:
        """The path of its command."""
        path = os.environ.get("PATH", os.defpath)
        if self.folder is not None:
            path = f"{self.folder}{os.pathsep}{path}"
        return shutil.which(peer.program, path=path)


def versions(asked: Asked) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for name in asked.names:
        program = asked.find(ALL[name])
        if program is not None:
            with suppress(Failed):
                found[name] = ALL[name].version(program)
    return found


class Bench(Struct):
    """One library, and the figures of smaller ones that were measured before."""

    music: Path
    work: Path
    library: Library
    runs: int
    cores: int
    asked: Asked
    earlier: Sequence[Library] = ()

    def measure(self) -> None:
        """Add the figures of each; a failure of one must not affect the others'."""
        for name in self.asked.names:
            peer = ALL[name]
            program = self.asked.find(peer)
            reason = NOT_INSTALLED if program is None else self._too_slow(name)
            if program is None or reason:
                self.library.steps.append(Step(first_scan(name), absent=reason))
                continue
            setup = self._setup(peer, program)
            try:
                self.library.steps.extend(self._scan(peer, setup))
                if peer.watching is not None:
                    with peer.watching(setup) as watching:
                        found = watch(name, watching, self.music, TRIALS)
                    self.library.watchers.append(found)
            except (Failed, OSError) as error:
                self._failed(name, f"failed: {error}")

    def _failed(self, name: str, why: str) -> None:
        if self.library.step(first_scan(name)) is None:
            self.library.steps.append(Step(first_scan(name), absent=why))
        else:
            self.library.watchers.append(Watcher(name, absent=why))

    def _setup(self, peer: Peer, program: str) -> Setup:
        # A server that needs twice its budget is ended.
        limit_s = 2 * self.asked.budget_s
        place = self.work / peer.name
        files = self.library.files
        return Setup(program, self.music, place, files, self.cores, limit_s)

    def _scan(self, peer: Peer, setup: Setup) -> Iterator[Step]:
        first, unchanged = Step(first_scan(peer.name)), Step(unchanged_scan(peer.name))
        began = time.monotonic()
        for number in range(1, self.runs + 1):
            shutil.rmtree(setup.place, ignore_errors=True)
            setup.place.mkdir()
            one, other = peer.scans(setup)
            first.runs.append(one)
            unchanged.runs.append(other)
            if (time.monotonic() - began) * (number + 1) / number > self.asked.budget_s:
                break
        yield from (first, unchanged)

    def _too_slow(self, name: str) -> str:
        """By its rate with the largest of the smaller libraries; empty if it is not."""
        rates = {
            library.files: step.seconds / library.files
            for library in self.earlier
            if library.files < self.library.files and (step := library.step(first_scan(name)))
        }
        if not rates:
            return ""
        largest = max(rates)
        seconds = rates[largest] * self.library.files
        if seconds <= self.asked.budget_s:
            return ""
        return f"not run: about {seconds:.0f} s at its rate with {largest} files"
