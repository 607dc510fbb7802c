"""A watched library -> latency of the index, and costs of the daemon at rest.

    python -m tests.bench.live [--files 10000] [--keep DIR]

The library is restored at the end. On a busy machine the times are longer: compare the load.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import cache
from pathlib import Path

import msgspec

from tests.bench import database
from tests.bench.bars import Bar, lines
from tests.bench.catalogue import albums
from tests.bench.make import make, write_track
from tests.bench.photograph import cover
from tests.bench.process import OF_A_SERVICE, pss_of_tree
from tests.corpus import plant, tagged
from tests.daemons import Daemon, cpu_ticks, io_of, watching
from tests.programs import eventually

MB = 1_000_000
TRIALS = 100
PAUSE_S = 0.1
"""Pause between trials, so that the daemon is at rest before each."""
ARTWORK_S = 600.0
"""The longest wait for covers, which a daemon chooses when nothing else is to be done."""
READER_S = 40.0
"""Longer than readers of pictures live without work; then the log of a seed is written back."""
TREE = 500
ALBUM = 12
ALBUMS = 10
TAGGER_S = 0.001
"""What a tagger takes for the tags of a file before it begins to write. A guess."""
REST_S = 60.0
PSS_MB = {10_000: 28, 100_000: 32}
OURS = "zz live bench"
"""The folder that the bench creates, and removes at its end."""
SETTINGS = ""
_CHANGED = "SELECT seq, track_id FROM changes WHERE seq > ? ORDER BY seq"
_NEWEST = "SELECT coalesce(max(seq), 0) FROM changes"
_PATH = "SELECT path FROM library WHERE id = ?"
_TITLE = "SELECT title FROM library WHERE id = ?"


class Bench:
    """One library, one index, and one daemon after another."""

    def __init__(self, music: Path, work: Path, files: int) -> None:
        self._music = music
        self._work = work
        self._files = files
        self._db = work / "library.db"
        self._ours = music / OURS
        self._albums = list(albums(files, seed=1))

    def bars(self, rest_s: float) -> Iterator[Bar]:
        """All figures, one after the other."""
        began = time.monotonic()
        with self._watching(self._music) as daemon:
            _tell(f"seeded in {time.monotonic() - began:.1f} s")
            yield from self._at_rest(daemon, rest_s)
            self._ours.mkdir()
            try:
                yield self._latency("closed", self._close)
                yield self._latency("moved in", self._move_in)
                yield self._burst()
                yield from self._albums_retagged(daemon)
                yield from self._renamed(daemon)
                yield from self._retagged(daemon)
            finally:
                shutil.rmtree(self._ours)
            daemon.is_right()
            _tell(f"PSS after all of it {pss_of_tree(daemon.pid) / MB:.1f} MB")
            daemon.end()
        yield from self._started_again()

    def _watching(self, *words: Path) -> AbstractContextManager[Daemon]:
        return watching(
            *words, db=self._db, config=SETTINGS, env=OF_A_SERVICE, log=self._work / "log"
        )

    def _at_rest(self, daemon: Daemon, rest_s: float) -> Iterator[Bar]:
        eventually(lambda: not daemon.status()["artwork_waiting"], within_s=ARTWORK_S)
        time.sleep(READER_S)
        daemon.sleeps()
        most = PSS_MB.get(self._files, 32)
        pss = pss_of_tree(daemon.pid) / MB
        yield Bar(f"at rest: {most} MB PSS or less", f"{pss:.1f} MB", pss <= most)
        ticks, written = cpu_ticks(daemon.pid), io_of(daemon.pid)["write_bytes"]
        time.sleep(rest_s)
        ticks = cpu_ticks(daemon.pid) - ticks
        written = io_of(daemon.pid)["write_bytes"] - written
        within = f"in {rest_s:g} s"
        yield Bar(f"at rest: 0 bytes written {within}", f"{written}", written == 0)
        yield Bar(f"at rest: 5 CPU ticks or less {within}", f"{ticks}", ticks <= 5)

    def _latency(self, how: str, act: Callable[[Path, int], float]) -> Bar:
        taken_ms = []
        with closing(sqlite3.connect(self._db, isolation_level=None)) as reader:
            (seq,) = reader.execute(_NEWEST).fetchone()
            for number in range(TRIALS):
                time.sleep(PAUSE_S)
                path = self._ours / f"{how} {number}.mp3"
                began = act(path, number)
                seq = _await_row(reader, f"{OURS}/{path.name}", seq)
                taken_ms.append((time.perf_counter() - began) * 1000)
        median, p95 = statistics.median(taken_ms), statistics.quantiles(taken_ms, n=20)[-1]
        return Bar(
            f"a file {how}, to its row visible: median 4 ms, 95th percentile 10 ms or less",
            f"{median:.1f} ms, {p95:.1f} ms",
            median <= 4 and p95 <= 10,
        )

    def _close(self, path: Path, number: int) -> float:
        with path.open("wb", buffering=0) as file:
            file.write(_song(number))
            return time.perf_counter()

    def _move_in(self, path: Path, number: int) -> float:
        aside = self._work_on_same_disk / "aside"
        aside.write_bytes(_song(number))
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        aside.rename(path)
        return began

    @property
    def _work_on_same_disk(self) -> Path:
        """A hidden folder: it is not watched, and a rename out of it is a move in."""
        folder = self._music / ".live bench"
        folder.mkdir(exist_ok=True)
        return folder

    def _burst(self) -> Bar:
        source = self._work_on_same_disk / "burst"
        plant(source, {f"{n // 100}/{n // 10}/{n}.mp3": _song(n) for n in range(TREE)})
        try:
            subprocess.run(["cp", "-r", source, self._ours], check=True)
            began = time.monotonic()
            like = f"{OURS}/burst/%"
            eventually(lambda: _count(self._db, like) == TREE)
            seconds = time.monotonic() - began
        finally:
            shutil.rmtree(self._work_on_same_disk)
        return Bar(
            f"{TREE} files in three new levels: all visible 1 s after the last close",
            f"{seconds:.2f} s",
            seconds <= 1,
        )

    def _albums_retagged(self, daemon: Daemon) -> Iterator[Bar]:
        """As by taggers that write a temporary file for each song, and that write in place."""
        names = [f"{number:02}.mp3" for number in range(ALBUM)]
        folder = self._ours / "album"
        plant(folder, {name: _song(number) for number, name in enumerate(names)})
        eventually(lambda: _count(self._db, f"{OURS}/album/%") == ALBUM)
        for how, write in (("by temporary files", _replace), ("in place", _overwrite)):
            looks, read, taken_ms = [], [], []
            for number in range(ALBUMS):
                time.sleep(3 * PAUSE_S)
                looked, opened = len(_readings(daemon)), daemon.files_read
                title = f"Album {how} {number}"
                songs = [tagged(title=f"{title} {name}", album="A", artist="B") for name in names]
                with closing(sqlite3.connect(self._db, isolation_level=None)) as reader:
                    (seq,) = reader.execute(_NEWEST).fetchone()
                    for name, song in zip(names, songs, strict=True):
                        time.sleep(TAGGER_S)
                        write(folder / name, song)
                    began = time.perf_counter()
                    _await_album(reader, title, seq)
                    taken_ms.append((time.perf_counter() - began) * 1000)
                time.sleep(PAUSE_S)
                looks.append(len(_readings(daemon)) - looked)
                read.append(daemon.files_read - opened)
            once, look = max(read) == ALBUM, statistics.median(looks)
            yield Bar(
                f"an album of {ALBUM} retagged {how}: each file read once, in one transaction",
                f"{max(read)} read, {look:g}",
                once and look == 1,
            )
            median = statistics.median(taken_ms)
            yield Bar(
                f"an album of {ALBUM} retagged {how}: all rows 20 ms after the last close",
                f"{median:.1f} ms",
                median <= 20,
            )

    def _renamed(self, daemon: Daemon) -> Iterator[Bar]:
        album = self._albums[len(self._albums) // 2]
        folder = self._music / album.folder
        other = folder.with_name(folder.name + " (remastered)")
        before, read = _ids(self._db, album.folder), daemon.files_read
        assert len(before) == len(album.tracks)
        folder.rename(other)
        began = time.monotonic()
        new = os.fspath(other.relative_to(self._music))
        eventually(lambda: _count(self._db, f"{new}/%") == len(before))
        seconds = time.monotonic() - began
        kept = _ids(self._db, new) == before
        other.rename(folder)
        eventually(lambda: _ids(self._db, album.folder) == before)
        time.sleep(PAUSE_S)
        read = daemon.files_read - read
        yield Bar("an album renamed: followed under 0.7 s", f"{seconds:.3f} s", seconds < 0.7)
        said = f"{read} opened, ids {'kept' if kept else 'lost'}"
        yield Bar("an album renamed: 0 files opened, ids kept", said, kept and read == 0)

    def _retagged(self, daemon: Daemon) -> Iterator[Bar]:
        album = self._albums[len(self._albums) // 2]
        track = album.tracks[0]
        path = f"{album.folder}/{track.name}"
        read, size = daemon.files_read, daemon.bytes_read
        tags = {**track.tags, "title": "Another title"}
        write_track(self._music, album, msgspec.structs.replace(track, tags=tags))
        eventually(lambda: _title(self._db, path) == "Another title")
        eventually(lambda: daemon.files_read > read)
        time.sleep(PAUSE_S)
        read, size = daemon.files_read - read, daemon.bytes_read - size
        write_track(self._music, album, track)
        eventually(lambda: _title(self._db, path) != "Another title")
        yield Bar(
            f"retag of one file of {self._files}: 1 file opened, under 200 KB read",
            f"{read} opened, {size / 1000:.1f} KB",
            read == 1 and size < 200_000,
        )

    def _started_again(self) -> Iterator[Bar]:
        before = self._work / "before.db"
        with self._watching() as daemon:  # the day is counted, and all is restored
            daemon.end()
        database.copy(self._db, before)
        began = time.monotonic()
        with self._watching() as daemon:
            seconds = time.monotonic() - began
            read = daemon.files_read
            daemon.end()
        written = database.rows_written(before, self._db)
        yield Bar("start, nothing changed: watching under 3 s", f"{seconds:.2f} s", seconds < 3)
        yield Bar("start, nothing changed: 0 files opened", f"{read}", read == 0)
        said = ", ".join(f"{rows} in {table}" for table, rows in written.items())
        yield Bar("start, nothing changed: 0 rows written", said or "0", not written)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.rename(path)


def _overwrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def _readings(daemon: Daemon) -> list[str]:
    """The lines of the looks that have opened a file: a transaction each."""
    return [line for line in daemon.lines("looked ") if " read=0 " not in line]


def _song(number: int) -> bytes:
    title = f"Title {number}"
    return tagged(title=title, artist="Artist", album="Live bench", picture=_cover())


@cache
def _cover() -> bytes:
    return cover(40_000, 1)


def _await_row(reader: sqlite3.Connection, path: str, after: int) -> int:
    """Query after every write, without a pause; as a program that follows `changes`.

    (A query for a path in the view reads all of it, which takes as long as the rest.)
    """
    version = None
    while True:
        (now,) = reader.execute("PRAGMA data_version").fetchone()
        if now == version:
            continue
        version = now
        for seq, track_id in reader.execute(_CHANGED, (after,)).fetchall():
            if reader.execute(_PATH, (track_id,)).fetchone() == (path,):
                return int(seq)


def _await_album(reader: sqlite3.Connection, title: str, after: int) -> None:
    """Until all of an album have this title; by `changes`, as above.

    (A query for all titles takes as long as all that the daemon does.)
    """
    shown: set[int] = set()
    version = None
    while len(shown) < ALBUM:
        (now,) = reader.execute("PRAGMA data_version").fetchone()
        if now == version:
            continue
        version = now
        for seq, track_id in reader.execute(_CHANGED, (after,)).fetchall():
            after = seq
            row = reader.execute(_TITLE, (track_id,)).fetchone()
            if row is not None and row[0].startswith(f"{title} "):
                shown.add(track_id)


def _count(db: Path, like: str) -> int:
    with closing(sqlite3.connect(db)) as connection:
        statement = "SELECT count(*) FROM library WHERE path LIKE ?"
        return int(connection.execute(statement, (like,)).fetchone()[0])


def _ids(db: Path, folder: str) -> dict[str, int]:
    """Name -> id of the tracks in a folder."""
    with closing(sqlite3.connect(db)) as connection:
        statement = "SELECT path, id FROM library WHERE path LIKE ?"
        found = connection.execute(statement, (f"{folder}/%",))
        return {path.rpartition("/")[2]: track_id for path, track_id in found}


def _title(db: Path, path: str) -> str | None:
    with closing(sqlite3.connect(db)) as connection:
        statement = "SELECT title FROM library WHERE path = ?"
        row = connection.execute(statement, (path,)).fetchone()
        return None if row is None else row[0]


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print required and measured values."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the library stays")
    parser.add_argument("--rest", type=float, default=REST_S, metavar="S", help="length of a rest")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        music = (asked.keep or Path(scratch)) / f"music-{asked.files}"
        make(music, asked.files)
        work = Path(scratch) / "index"
        work.mkdir()
        _tell(f"load before {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
        measured = list(Bench(music, work, asked.files).bars(asked.rest))
        _tell(f"load after {os.getloadavg()[0]:.2f}")
    for line in lines(measured):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
