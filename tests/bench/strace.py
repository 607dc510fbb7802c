"""A command -> its system calls: the number by name, and the calls for each file."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

from msgspec import Struct

from tests.bench.catalogue import SHARES
from tests.bench.process import run

_CALL = re.compile(r"(\w+)\(")
_TRACK = re.compile(
    r"openat\(.* = (\d+)<((?:[^>\\]|\\.)*(?:" + "|".join(map(re.escape, SHARES)) + r"))>$"
)
"""With the path of the opened file: names are opened relative to the descriptor of a folder."""
_READ = re.compile(r"(?:read|pread64|readv|preadv2?)\((\d+)<.*>, .* = (\d+)$")


class Opened(Struct):
    """One opened track, and all calls of the process until it opened the next."""

    path: bytes
    fd: int
    calls: int = 1
    reads: int = 0
    """Reads that returned bytes."""
    bytes_read: int = 0


class Traced(Struct):
    """Number of system calls by name, and the opened tracks of each process in order."""

    calls: dict[str, int]
    tracks: list[list[Opened]]


class Habit(Struct, frozen=True):
    """The access pattern for tracks, as seen by disk and kernel."""

    files: int
    calls: float
    """Median per file, from its opening to that of the next file."""
    reads: float
    bytes_median: float
    bytes_p95: float
    forward: float
    """Fraction of the steps from one file to the next that go to a higher inode."""
    folder_visits: float
    """Visits per folder: 1 is folder by folder."""


def installed() -> bool:
    return shutil.which("strace") is not None


def trace(
    command: Sequence[str], *, cores: int | None, environment: Mapping[str, str], folder: Path
) -> Traced:
    """Run the command once more under strace, many times slower."""
    with tempfile.TemporaryDirectory() as place:
        outputs = ["strace", "-ff", "-y", "-s", "0", "-e", "signal=none", "-o", f"{place}/of", "--"]
        traced = [*outputs, *command]
        run(traced, cores=cores, environment=environment, folder=folder, sample_s=None)
        calls: Counter[str] = Counter()
        tracks = []
        for path in sorted(Path(place).iterdir()):
            with path.open(encoding="utf-8", errors="replace") as lines:
                opened = list(parse(lines, calls))
            if opened:
                tracks.append(opened)
        return Traced(dict(calls), tracks)


def parse(lines: Iterable[str], calls: Counter[str]) -> Iterator[Opened]:
    """Parse one process's output of `strace -ff -y`; its calls are added to `calls`."""
    track = None
    for line in lines:
        name = _CALL.match(line)
        if name is None:
            continue  # a line about the end of the process
        calls[name[1]] += 1
        if (opened := _TRACK.match(line)) is not None:
            if track is not None:
                yield track
            track = Opened(_unescaped(opened[2]), int(opened[1]))
        elif track is not None:
            track.calls += 1
            read = _READ.match(line)
            if read is not None and int(read[1]) == track.fd and read[2] != "0":
                track.reads += 1
                track.bytes_read += int(read[2])
    if track is not None:
        yield track


def habit(traced: Traced, music: Path) -> Habit | None:
    """The access pattern for tracks below a folder; None if none was read."""
    every = [track for process in traced.tracks for track in process]
    if len(every) < 2:
        return None
    read = [track.bytes_read for track in every]
    inodes = [
        [os.stat(os.path.join(os.fsencode(music), track.path)).st_ino for track in process]
        for process in traced.tracks
    ]
    folders = [[os.path.dirname(track.path) for track in process] for process in traced.tracks]
    return Habit(
        len(every),
        median(track.calls for track in every),
        median(track.reads for track in every),
        median(read),
        quantiles(read, n=20, method="inclusive")[-1],
        forward(inodes),
        folder_visits(folders),
    )


def forward(inodes: Sequence[Sequence[int]]) -> float:
    """Fraction of the steps of each process that go to a higher inode."""
    steps = [later > one for each in inodes for one, later in pairwise(each)]
    return sum(steps) / len(steps) if steps else 1.0


def folder_visits(folders: Sequence[Sequence[bytes]]) -> float:
    """Visits per folder, counting each change of folder."""
    visits = sum(one != before for each in folders for before, one in pairwise([None, *each]))
    return visits / len({folder for each in folders for folder in each})


def _unescaped(text: str) -> bytes:
    """Decode a name of strace's output: bytes beyond ASCII are in octal."""
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
