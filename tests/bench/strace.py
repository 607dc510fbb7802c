"""A command -> its system calls: how many of each name, and what went on file by file."""

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
    r'openat\([^"]*"((?:[^"\\]|\\.)*(?:' + "|".join(map(re.escape, SHARES)) + r'))".* = (\d+)$'
)
_READ = re.compile(r"(?:read|pread64|readv|preadv2?)\((\d+),.* = (\d+)$")


class Opened(Struct):
    """One track that a process opened, and all that the process did until it opened the next."""

    path: bytes
    fd: int
    calls: int = 1
    reads: int = 0
    """Those that brought bytes."""
    bytes_read: int = 0


class Traced(Struct):
    """System calls by name, and the opened tracks of each process in order."""

    calls: dict[str, int]
    tracks: list[list[Opened]]


class Habit(Struct, frozen=True):
    """How tracks are read, as a disk and a kernel see it."""

    files: int
    calls: float
    """Of each file at the median, from its own opening to the next file's."""
    reads: float
    bytes_median: float
    bytes_p95: float
    forward: float
    """Of all steps from a file to the next one, the share that goes on to a higher inode."""
    folder_visits: float
    """How often a folder is come to: 1 is folder by folder."""


def installed() -> bool:
    """Whether there is a strace to count with."""
    return shutil.which("strace") is not None


def trace(
    command: Sequence[str], *, cores: int | None, environment: Mapping[str, str], folder: Path
) -> Traced:
    """Run the command once more, many times slower, and write down all it asks the kernel for."""
    with tempfile.TemporaryDirectory() as place:
        outputs = ["strace", "-ff", "-s", "0", "-e", "signal=none", "-o", f"{place}/of", "--"]
        traced = [*outputs, *command]
        run(traced, cores=cores, environment=environment, folder=folder, sample=False)
        calls: Counter[str] = Counter()
        tracks = []
        for path in sorted(Path(place).iterdir()):
            with path.open(encoding="utf-8", errors="replace") as lines:
                opened = list(parse(lines, calls))
            if opened:
                tracks.append(opened)
        return Traced(dict(calls), tracks)


def parse(lines: Iterable[str], calls: Counter[str]) -> Iterator[Opened]:
    """One process's lines as `strace -ff` writes them; its calls are added to those given."""
    track = None
    for line in lines:
        name = _CALL.match(line)
        if name is None:
            continue  # it says that the process ended
        calls[name[1]] += 1
        if (opened := _TRACK.match(line)) is not None:
            if track is not None:
                yield track
            track = Opened(_unescaped(opened[1]), int(opened[2]))
        elif track is not None:
            track.calls += 1
            read = _READ.match(line)
            if read is not None and int(read[1]) == track.fd and read[2] != "0":
                track.reads += 1
                track.bytes_read += int(read[2])
    if track is not None:
        yield track


def habit(traced: Traced, music: Path) -> Habit | None:
    """How the tracks below a folder were read; None if none was."""
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
    """Of the steps that each process takes, the share that goes on to a higher inode."""
    steps = [later > one for each in inodes for one, later in pairwise(each)]
    return sum(steps) / len(steps) if steps else 1.0


def folder_visits(folders: Sequence[Sequence[bytes]]) -> float:
    """How often a folder is come to from another one, or first."""
    visits = sum(one != before for each in folders for before, one in pairwise([None, *each]))
    return visits / len({folder for each in folders for folder in each})


def _unescaped(text: str) -> bytes:
    """A name as strace prints it: bytes that are no ASCII in octal."""
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
