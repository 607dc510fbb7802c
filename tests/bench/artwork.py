"""Libraries with pictures -> what artwork costs, in processor time, memory and latency.

    python -m tests.bench.artwork [--files 100000] [--albums 1000] [--pairs 5] [--keep DIR]

Whatever is compared runs in turn with the other, as a process of its own on one core; a ratio is
the median of those of the pairs. On a busy machine more pairs tell more. Libraries are made in
memory (/dev/shm), so that no disk is measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from indexer.library import Library
from indexer.model import Progress
from indexer.settings import Settings
from tests.bench.bars import Bar, lines
from tests.bench.make import make
from tests.bench.photograph import photograph
from tests.bench.process import SAMPLE_S, Cost, run
from tests.corpus import tagged
from tests.daemons import watching
from tests.programs import eventually

MB: Final = 1_000_000
SIDE: Final = 1400
"""Pixels of a cover, on each side."""
COVERS_S: Final = 20.0
SLOWER: Final = 1.05
"""Of the tags of a seed, while artwork waits."""
SCAN_SLOWER: Final = 1.10
"""Of a scan that finds nothing changed."""
LIVE_S: Final = 2.0
LARGE_MS: Final = 40.0
PEAK_MB: Final = 256
PICTURES: Final = 10_000
TRIALS: Final = 20
CHECKOUT: Final = Path(__file__).parents[2]
_HASHES: Final = "SELECT hash FROM artwork WHERE kind = 'album'"


def covers(work: Path, albums: int) -> Iterator[Bar]:
    """The artwork of albums with large covers: processor time and memory; one of 600 pixels."""
    music = work / "covers"
    for number in range(albums):
        folder = music / f"Artist {number // 3}" / f"Album {number}"
        folder.mkdir(parents=True)
        artist, title = f"Artist {number // 3}", f"Album {number}"
        (folder / "1.mp3").write_bytes(tagged(".mp3", title="One", artist=artist, album=title))
        (folder / "cover.jpg").write_bytes(photograph(SIDE, number))
    database = work / "covers.db"
    cost = _run("whole", music, database, artwork=True)
    without = _run("whole", music, work / "plain.db", artwork=False)
    limit_s = COVERS_S * albums / 1000
    spent_s = cost.cpu_s - without.cpu_s
    asked = f"{albums} covers of {SIDE} pixels: {limit_s:g} s of one core or less"
    yield Bar(asked, f"{spent_s:.1f} s", spent_s <= limit_s)
    peak = cost.peak_pss / MB
    yield Bar(f"all processes meanwhile: {PEAK_MB} MB or less", f"{peak:.0f} MB", peak <= PEAK_MB)
    yield _large(database)


def _large(database: Path) -> Bar:
    """The first demand of large thumbnails, with a reader that is up."""
    me = psutil.Process()
    with (
        closing(sqlite3.connect(database)) as asking,
        Library(Settings(db=database)) as library,
    ):
        hashes = [digest for (digest,) in asking.execute(f"{_HASHES} LIMIT ?", (TRIALS + 1,))]
        library.thumbnail(hashes[0], 600)
        (reader,) = me.children()
        before_s = _spent_s(me, reader)
        for digest in hashes[1:]:
            library.thumbnail(digest, 600)
        spent_ms = 1000 * (_spent_s(me, reader) - before_s) / (len(hashes) - 1)
    asked = f"first demand of 600 pixels: {LARGE_MS:g} ms of processors or less"
    return Bar(asked, f"{spent_ms:.1f} ms", spent_ms <= LARGE_MS)


def _spent_s(*processes: psutil.Process) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def live(work: Path) -> Iterator[Bar]:
    """From a cover that was replaced to its hash in the view, with the settings of a user."""
    music, index = work / "live", work / "index"
    album = music / "Artist" / "Album"
    album.mkdir(parents=True)
    index.mkdir()
    (album / "1.mp3").write_bytes(tagged(".mp3", title="One", artist="Artist", album="Album"))
    (album / "cover.jpg").write_bytes(photograph(SIDE, 0))
    database = index / "library.db"
    taken_s = []
    with watching(music, db=database, config="", log=work / "log") as daemon:
        with closing(sqlite3.connect(database, isolation_level=None)) as asking:

            def shown() -> list[tuple[str]]:
                return asking.execute(_HASHES).fetchall()

            def await_cover(data: bytes) -> None:
                wanted = [(blake2b(data, digest_size=16).hexdigest(),)]
                eventually(lambda: shown() == wanted)

            await_cover(photograph(SIDE, 0))
            for number in range(1, TRIALS + 1):
                data = photograph(SIDE, number)
                (album / "cover.jpg").write_bytes(data)
                written_s = time.monotonic()
                await_cover(data)
                taken_s.append(time.monotonic() - written_s)
        daemon.end()
    worst_s = max(taken_s)
    asked = f"a changed cover has its new hash in {LIVE_S:g} s (the slowest of {TRIALS})"
    yield Bar(asked, f"{worst_s:.2f} s", worst_s <= LIVE_S)


def scans(work: Path, files: int, pairs: int) -> Iterator[Bar]:
    """Tags of a seed while artwork waits, and a scan that finds nothing changed."""
    music = work / "library"
    make(music, files, tiny=True)
    pictures = PICTURES * files // 100_000
    folders = sorted({Path(folder) for folder, _, names in os.walk(music) if names} - {music})
    for number in range(pictures):
        name = "cover.jpg" if number < len(folders) else f"back {number}.jpg"
        (folders[number % len(folders)] / name).write_bytes(photograph(40, number))
    ratio = _ratio("tags", work, music, pairs)
    asked = f"tags of a seed of {files}, {pictures} pictures wait: {SLOWER:.2f} times or less"
    yield Bar(asked, f"{ratio:.3f}", ratio <= SLOWER)
    for artwork in (True, False):
        _run("whole", music, _database(work, artwork=artwork), artwork=artwork)
    ratio = _ratio("scan", work, music, pairs)
    asked = f"unchanged scan of {files}, {pictures} pictures: {SCAN_SLOWER:.2f} times or less"
    yield Bar(asked, f"{ratio:.3f}", ratio <= SCAN_SLOWER)
    told = _run("scan", music, _database(work, artwork=True), artwork=True)
    opened = int(told.output.split()[1])
    yield Bar("unchanged scan: no picture opened", f"{opened} opened", opened == 0)


def _database(work: Path, *, artwork: bool) -> Path:
    return work / ("with.db" if artwork else "without.db")


def _ratio(what: str, work: Path, music: Path, pairs: int) -> float:
    """Processor time with artwork, in times that without it: the median of pairs."""
    ratios = []
    for _ in range(pairs):
        spent_s = {}
        for artwork in (True, False):
            database = _database(work, artwork=artwork)
            if what == "tags":
                for path in work.glob(f"{database.name}*"):
                    if path.is_file():
                        path.unlink()
            told = _run(what, music, database, artwork=artwork, sample=False)
            spent_s[artwork] = float(told.output.split()[0])
        ratios.append(spent_s[True] / spent_s[False])
    return median(ratios)


def _run(what: str, music: Path, database: Path, *, artwork: bool, sample: bool = True) -> Cost:
    """Have `one` done by another process on one core."""
    words = [sys.executable, "-m", "tests.bench.artwork", "--one", what, music, database]
    command = [os.fspath(word) for word in (*words, *(("--artwork",) if artwork else ()))]
    return run(command, cores=1, folder=CHECKOUT, sample_s=SAMPLE_S if sample else None)


def one(what: str, music: Path, database: Path, *, artwork: bool) -> None:
    """Do one thing, and print what it took of processors, and how many files artwork opened.

    `tags` ends when artwork would begin, `whole` with it; `scan` is one of what is there already.
    """
    spent_s: list[float] = []

    def note(progress: Progress) -> None:
        if progress.phase == "artwork":
            spent_s.append(_spent_here_s())

    settings = Settings(db=database, workers=1, artwork=artwork)
    with Library(settings) as library:
        if what == "scan":
            told = library.scan()
        else:
            stop = (lambda: bool(spent_s)) if what == "tags" else (lambda: False)
            told = library.rebuild([os.fsencode(music)], listener=note, stop=stop)
    print(spent_s[0] if spent_s else _spent_here_s(), told.deferred_reads)


def _spent_here_s() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each figure; 1 if one is not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.artwork", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--albums", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty folder, kept at the end")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--artwork", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.one is not None:
        what, music, database = asked.one
        one(what, Path(music), Path(database), artwork=asked.artwork)
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-artwork-", dir="/dev/shm") as folder:
        work = asked.keep or Path(folder)
        bars = [
            *covers(work, asked.albums),
            *live(work),
            *scans(work, asked.files, asked.pairs),
        ]
    print("\n".join(lines(bars)))
    return 0 if all(bar.ok for bar in bars) else 1


if __name__ == "__main__":
    raise SystemExit(main())
