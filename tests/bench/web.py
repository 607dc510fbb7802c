"""Pages of `indexer web` -> processor time for each, and memory with 16 open pages.

    python -m tests.bench.web [--tracks 100000] [--database FILE] [--paint] [--check]

The rows are those of `tests.bench.search`. Each kind of page is asked for with other albums, words
and so on each time, so that no answer is kept from the time before; `after a change` writes to the
index before each page. With `--paint` Chromium tells when it first shows something.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from statistics import median
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from indexer.process import spent_by
from indexer.store.connection import open_index
from indexer.store.schema.views import LATE_INDEXES
from tests.bench.search import fill
from tests.bench.views import MOUNT
from tests.http_client import ask
from tests.integration.test_web import Served, events, read_until, web

LIMITS_MS: Final = {100_000: 20.0, 1_000_000: 200.0}
"""Tracks at most -> the limit of a page."""
MOST_MB: Final = 60
"""Of memory, whatever the number of tracks."""
STREAMS: Final = 16
TIMES: Final = 40
PAGES: Final = {
    "home": "/",
    "search, rare": "/search?q={word}",
    "search, common": "/search?q={common}",
    "search, misspelled": "/search?q={word}qq",
    "albums": "/albums?page={page}&sort=newest",
    "albums, a genre": "/albums?genre=Jazz&page={page}",
    "artists": "/artists?page={page}",
    "album": "/albums/{album}",
    "artist": "/artists/{artist}",
    "track": "/tracks/{track}",
    "problems": "/problems",
    "work": "/work",
}
COMMON: Final = ("love", "remix", "live", "night", "the", "day", "you", "heart", "world", "time")
_TELL: Final = """
INSERT INTO changes (at, kind, track_id, root, path)
SELECT added_at, 'added', id, 'music', CAST(path AS TEXT) FROM tracks
WHERE NOT EXISTS (SELECT 1 FROM changes) ORDER BY id
"""
"""Each track has been added, as far as the feed of changes knows."""
_WRITE: Final = "UPDATE tracks SET indexed_at = indexed_at + 1 WHERE id = ?"


class Taken(Struct, frozen=True):
    """One kind of page: milliseconds of a processor, at rest and after a change."""

    kind: str
    rest_ms: float
    changed_ms: float


class Numbers(Struct, frozen=True):
    """What there is to ask for."""

    tracks: int
    albums: int
    artists: int
    words: tuple[str, ...]


def numbers_of(database: Path, random: Random) -> Numbers:
    with closing(open_index(database, write=True)) as connection:
        connection.execute(MOUNT)
        connection.execute(_TELL)
        for statement in LATE_INDEXES.values():  # as the end of a run does
            connection.execute(statement)
        most = [
            int(connection.execute(statement).fetchone()[0])  # type: ignore[index]
            for statement in (
                "SELECT max(id) FROM tracks",
                "SELECT max(id) FROM catalog_albums",
                "SELECT max(id) FROM catalog_artists",
            )
        ]
        titles = [
            str(connection.execute("SELECT title FROM tracks WHERE id = ?", (one,)).fetchone()[0])  # type: ignore[index]
            for one in random.sample(range(1, most[0]), 4 * TIMES)
        ]
    words = tuple(max(title.split(), key=len) for title in titles)
    return Numbers(most[0], most[1], most[2], words)


def pages(served: Served, database: Path, numbers: Numbers, random: Random) -> Iterator[Taken]:
    """Ask for each kind of page."""
    for kind, path in PAGES.items():
        ask(served.url, _filled(path, numbers, random))
        rest = [_cost_ms(served, _filled(path, numbers, random)) for _ in range(TIMES)]
        changed = []
        with closing(open_index(database, write=True)) as connection:
            for _ in range(TIMES // 4):
                connection.execute(_WRITE, (random.randint(1, numbers.tracks),))
                changed.append(_cost_ms(served, _filled(path, numbers, random)))
        yield Taken(kind, sum(rest) / len(rest), sum(changed) / len(changed))


def _cost_ms(served: Served, path: str) -> float:
    before = _spent_s(served)
    answer = ask(served.url, path)
    assert answer.status == 200, (path, answer.status)
    return 1000 * (_spent_s(served) - before)


def _spent_s(served: Served) -> float:
    spent = spent_by(served.running.pid)
    assert spent is not None
    return spent[1]


def _filled(path: str, numbers: Numbers, random: Random) -> str:
    return path.format(
        word=quote(random.choice(numbers.words)),
        common=random.choice(COMMON),
        page=random.randint(1, 9),
        album=random.randint(1, numbers.albums),
        artist=random.randint(1, numbers.artists),
        track=random.randint(1, numbers.tracks),
    )


def memory_mb(served: Served) -> float:
    """Resident memory with all streams open."""
    with ExitStack() as stack:
        for _ in range(STREAMS):
            read_until(stack.enter_context(events(served.url, 0)), b"event: line")
        spent = spent_by(served.running.pid)
        assert spent is not None
        return spent[0] / 1e6


def first_paint_ms(served: Served) -> float:
    """When Chromium first shows something of the first page: the median of five."""
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as playwright:
        program = shutil.which("chromium")
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(5):
            page = chromium.new_page()
            page.goto(served.url)
            times.append(
                page.evaluate(
                    "new Promise(done => new PerformanceObserver(list => "
                    "done(list.getEntriesByName('first-contentful-paint')[0].startTime))"
                    ".observe({type: 'paint', buffered: true}))"
                )
            )
            page.close()
        chromium.close()
    return float(median(times))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill, ask, print; with `--check` exit with 1 if a page at rest or the memory was too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.web", description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000, help="in the index")
    parser.add_argument("--database", type=Path, help="a file to show, filled if there is none")
    parser.add_argument("--seed", type=int, default=1, help="of tracks and pages")
    parser.add_argument("--paint", action="store_true", help="also the first paint, in Chromium")
    parser.add_argument("--check", action="store_true", help="exit code 1 where it is too much")
    asked = parser.parse_args(arguments)
    random = Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        database = asked.database or Path(folder) / "library.db"
        if not database.exists():
            fill(database, asked.tracks, random)
        numbers = numbers_of(database, random)
        with web(database) as served:
            told = list(pages(served, database, numbers, random))
            megabytes = memory_mb(served)
            paint_ms = first_paint_ms(served) if asked.paint else None
    print(f"{'':20}{'CPU ms':>8}{'after a change':>16}")
    for one in told:
        print(f"{one.kind:20}{one.rest_ms:8.1f}{one.changed_ms:16.1f}")
    print(f"{megabytes:.0f} MB resident with {STREAMS} open pages")
    if paint_ms is not None:
        print(f"{paint_ms:.0f} ms to the first paint")
    size = next((most for most in LIMITS_MS if numbers.tracks <= most), max(LIMITS_MS))
    slow = [one for one in told if one.rest_ms > LIMITS_MS[size]]
    return int(asked.check and (bool(slow) or megabytes > MOST_MB))


if __name__ == "__main__":
    sys.exit(main())
