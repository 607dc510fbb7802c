"""A library -> what reading it costs others: the kernel's own limit, and `mutagen.File` alone.

`python -m tests.bench.reference kernel|mutagen DIR`, so that each is a process of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from tests.bench.catalogue import SHARES

HEAD = 64 * 1024
"""What other scanners read of a file."""


def audio_files(folder: str) -> Iterator[str]:
    """The path of every track below a folder."""
    for place, _, names in os.walk(folder):
        for name in names:
            if os.path.splitext(name)[1] in SHARES:
                yield os.path.join(place, name)


def read_head(path: str) -> None:
    """What no program that opens a file at all can go below."""
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, HEAD)
    os.close(fd)


def read_all(path: str) -> None:
    """To have the whole file in the page cache."""
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass


def main() -> int:
    """Read all tracks in one process."""
    how, folder = sys.argv[1:]
    read: Callable[[str], object]
    if how == "mutagen":
        from mutagen import File

        read = File
    else:
        read = {"kernel": read_head, "warm": read_all}[how]
    for path in audio_files(folder):
        read(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
