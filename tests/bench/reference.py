"""A library -> reference costs: `mutagen.File` alone, and SQLite with plain rows.

`python -m tests.bench.reference warm|mutagen MUSIC`, or `sqlite DATABASE FOLDER`: each runs in its
own process, and prints the time of its work without its start.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

from tests.bench.catalogue import SHARES
from tests.bench.clock import Took

_COLUMNS = "SELECT name FROM pragma_table_info('tracks')"


def audio_files(folder: str) -> Iterator[str]:
    """The path of every track below a folder."""
    for place, _, names in os.walk(folder):
        for name in names:
            if os.path.splitext(name)[1] in SHARES:
                yield os.path.join(place, name)


def warm(folder: str) -> Took:
    """Read all files into the page cache."""
    took = Took()
    for path in audio_files(folder):
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass
    return took


def mutagen_alone(folder: str) -> Took:
    """Read all tags one after the other, without keeping them."""
    from mutagen import File

    paths = list(audio_files(folder))
    took = Took(files=len(paths))
    with took.timed():
        for path in paths:
            File(path)
    return took


def plain_sqlite(database: str, folder: str) -> Took:
    """Write the rows of the index's `tracks` to a bare table, in one transaction of one statement.

    No index, no text search, no second table: the lower bound of SQLite for as many bytes.
    """
    with closing(sqlite3.connect(database)) as source:
        names = [name for (name,) in source.execute(_COLUMNS)]
        rows = source.execute("SELECT * FROM tracks").fetchall()
    took = Took(files=len(rows))
    place = os.path.join(folder, "plain.db")
    with closing(sqlite3.connect(place, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = WAL")
        target.execute("PRAGMA synchronous = NORMAL")
        target.execute(f"CREATE TABLE plain ({', '.join(names)})")
        with took.timed():
            target.execute("BEGIN")
            target.executemany(f"INSERT INTO plain VALUES ({', '.join('?' * len(names))})", rows)
            target.execute("COMMIT")
    took.database_bytes = os.stat(place).st_size
    os.unlink(place)
    return took


def main() -> int:
    """Run one of them, and print its measurements."""
    how, *words = sys.argv[1:]
    references: dict[str, Callable[..., Took]] = {
        "warm": warm,
        "mutagen": mutagen_alone,
        "sqlite": plain_sqlite,
    }
    references[how](*words).tell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
