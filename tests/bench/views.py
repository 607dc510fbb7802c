"""What programs ask the public views most -> durations, by the standard library's SQLite.

    python -m tests.bench.views [--tracks 1000000] [--database FILE] [--check]

The rows are those of `tests.bench.search`. A connection is open already, and each question has been
asked once for another row.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from msgspec import Struct

from indexer.lookup import Lookup
from indexer.settings import Settings
from indexer.store.connection import open_index
from indexer.store.schema.views import LATE_INDEXES
from tests.bench.search import fill

MOST_MS: Final = 1.0
"""The limit of each question, at 1 000 000 tracks."""
STATUS_MS: Final = 200.0
"""The limit of the status there."""
QUESTIONS: Final = {
    "path = ?": ("SELECT * FROM library WHERE path = ?", "path"),
    "root = ? AND path = ?": ("SELECT * FROM library WHERE root = 'music' AND path = ?", "path"),
    "below a folder": (
        "SELECT id FROM library WHERE path >= ? || '/' AND path < ? || '0'", "folder",
    ),
    "album_id = ?": ("SELECT * FROM library WHERE album_id = ?", "album_id"),
    "added_at > ?, ten": (
        "SELECT id FROM library WHERE added_at > ? ORDER BY added_at LIMIT 10", "added_at",
    ),
    "the ten newest": ("SELECT * FROM recent LIMIT 10", ""),
    "mb_trackid = ?": ("SELECT * FROM library WHERE mb_trackid = ?", "mb_trackid"),
    "id = ?": ("SELECT * FROM library WHERE id = ?", "id"),
}  # fmt: skip
"""Name -> statement, and the fact of a track that it asks for."""
MOUNT: Final = """
INSERT OR IGNORE INTO mounts (root_id, folder, disk_id, inode) VALUES (1, x'', 1, 1)
"""
"""The disk of the root, which made-up rows do not have. It is away, so `status` says offline."""
_KNOWN: Final = "SELECT id, path, album_id, added_at FROM library WHERE id = ?"


class Answered(Struct, frozen=True):
    """One kind of question: rows found on average, median and slowest in milliseconds."""

    kind: str
    found: float
    median_ms: float
    slowest_ms: float


def answers(database: Path, random: Random, count: int) -> Iterator[Answered]:
    """Ask each kind of question for as many tracks."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (most,) = connection.execute("SELECT max(id) FROM tracks").fetchone()
        chosen = [_facts(connection, random.randint(1, most)) for _ in range(count)]
        for kind, (statement, fact) in QUESTIONS.items():
            times, found = [], 0
            for facts in chosen:
                values = (facts[fact],) * statement.count("?") if fact else ()
                start = time.perf_counter()
                found += len(connection.execute(statement, values).fetchall())
                times.append((time.perf_counter() - start) * 1000)
            yield Answered(kind, found / count, median(times), max(times))


def _facts(connection: sqlite3.Connection, track_id: int) -> dict[str, object]:
    track, path, album, added = connection.execute(_KNOWN, (track_id,)).fetchone()
    return {
        "id": track, "path": path, "folder": path.rpartition("/")[0], "album_id": album,
        "added_at": added, "mb_trackid": f"{track:08x}-0000-4000-8000-000000000000",
    }  # fmt: skip


def status(database: Path, count: int) -> Answered:
    """How long `Lookup.status` takes, each time with a connection of its own."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        with Lookup.open(Settings(db=database)) as lookup:
            lookup.status()
        times.append((time.perf_counter() - start) * 1000)
    return Answered("status", 1, median(times), max(times))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill, ask, print; with `--check` exit with 1 if a median was too slow."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.views", description=__doc__)
    parser.add_argument("--tracks", type=int, default=1_000_000, help="in the index")
    parser.add_argument("--database", type=Path, help="a file to ask, filled if there is none")
    parser.add_argument("--questions", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of tracks and questions")
    parser.add_argument("--check", action="store_true", help="exit code 1 where it takes too long")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        database = asked.database or Path(folder) / "library.db"
        if not database.exists():
            fill(database, asked.tracks, Random(asked.seed))
        with closing(open_index(database, write=True)) as connection:  # an older one is migrated
            connection.execute(MOUNT)
            for statement in LATE_INDEXES.values():  # as the end of a run does
                connection.execute(statement)
        told = [*answers(database, Random(asked.seed), asked.questions), status(database, 10)]
    print(f"{'':24}{'found':>7}{'median ms':>11}{'slowest ms':>12}")
    for one in told:
        print(f"{one.kind:24}{one.found:7.1f}{one.median_ms:11.2f}{one.slowest_ms:12.2f}")
    slow = [one for one in told if one.median_ms > limit_of(one.kind)]
    return int(asked.check and bool(slow))


def limit_of(kind: str) -> float:
    """The limit in milliseconds."""
    return STATUS_MS if kind == "status" else MOST_MS


if __name__ == "__main__":
    sys.exit(main())
