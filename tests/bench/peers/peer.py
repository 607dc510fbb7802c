"""Another program that indexes music -> how a benchmark starts it, and asks it what it shows."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

from msgspec import Struct

from tests.bench.process import Cost, Watched

Shows = Callable[[str], bool]
"""Whether the index has a path, which is relative to the folder of music."""


class Setup(Struct, frozen=True):
    """One run of a peer, in a folder of its own that is empty at first."""

    program: str
    music: Path
    place: Path
    files: int
    cores: int
    limit_s: float
    """Maximum for each of its commands."""

    def environment(self, **more: str) -> dict[str, str]:
        """Ours, but with a home of its own, where settings of this machine's user are not."""
        return {**os.environ, "HOME": str(self.place), **more}


class Watching(Struct, frozen=True):
    """A program that watches its index's folder."""

    pid: int
    shows: Shows


class Peer(Struct, frozen=True):
    """A program, and what it can do."""

    name: str
    program: str
    """The command that must be installed."""
    version: Callable[[str], str]
    """Of the program with this path."""
    scans: Callable[[Setup], tuple[Cost, Cost]]
    """A first scan, and one that finds nothing changed. Raises Failed."""
    watching: Callable[[Setup], AbstractContextManager[Watching]] | None
    """Start it as a service on the index of `scans`, if it can watch."""


def in_database(database: Path, statement: str, setup: Setup) -> Shows:
    """Ask its SQLite database by a statement that has a row for an absolute path."""

    def shows(path: str) -> bool:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            asked = (os.fspath(setup.music / path),)
            return connection.execute(statement, asked).fetchone() is not None

    return shows


def between(server: Watched, before_cpu_s: float, seconds: float) -> Cost:
    """The cost of what a server did; bytes written are known only at its end."""
    return Cost(seconds, server.cpu_s() - before_cpu_s, server.peak_pss, 0, 0)
