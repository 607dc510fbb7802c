"""A number of files -> a library of that size on the disk: `python -m tests.bench.make DIR`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from functools import partial
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct

from tests.bench.catalogue import Album, Track, albums
from tests.bench.photograph import cover
from tests.bench.quick_tags import quickly
from tests.corpus import tagged

MARKER = ".bench-library.json"
"""Hidden, so that it is not indexed."""

CHUNK = 16
"""Albums that a process gets at once. A guess."""


class Made(Struct, frozen=True):
    """The content of a folder. `maker` changes if equal numbers no longer give an equal library."""

    files: int
    seed: int
    maker: int = 2
    whole: bool = False
    tiny: bool = False


def make(folder: Path, files: int, seed: int = 1, *, tiny: bool = False) -> bool:
    """Fill a folder with a library; False if it has the same one already.

    `tiny` files have no covers: a million take 5 GB.

    An incomplete library is completed. Raises FileExistsError if the folder has other content:
    nothing is ever deleted.
    """
    marker = folder / MARKER
    wanted = Made(files, seed, tiny=tiny)
    found = None
    if marker.exists():
        found = msgspec.json.decode(marker.read_bytes(), type=Made)
    elif folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty, and no library of ours; name another folder")
    if found == msgspec.structs.replace(wanted, whole=True):
        return False
    if found not in (None, wanted):
        raise FileExistsError(f"{folder} holds a library of {found}; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_bytes(msgspec.json.encode(wanted))
    spawning = multiprocessing.get_context("spawn")
    with spawning.Pool() as pool:
        made = albums(files, seed, tiny=tiny)
        for _ in pool.imap_unordered(partial(write, folder), made, CHUNK):
            pass
    marker.write_bytes(msgspec.json.encode(msgspec.structs.replace(wanted, whole=True)))
    return True


def write(folder: Path, album: Album) -> None:
    place = folder / album.folder
    place.mkdir(parents=True, exist_ok=True)
    for track in album.tracks:
        write_track(folder, album, track)
    if album.cover is not None:
        (place / "cover.jpg").write_bytes(cover(album.cover, _number(album, "file")))


def write_track(folder: Path, album: Album, track: Track) -> None:
    """Write one file of an album whose folder exists."""
    if album.picture is None:
        content = quickly(album.suffix, album.id3_version, track.tags)
    else:
        picture = cover(album.picture, _number(album, "tags"))
        content = tagged(album.suffix, picture=picture, id3_version=album.id3_version, **track.tags)
    path = folder / album.folder / track.name
    path.write_bytes(content)
    os.utime(path, (track.mtime_s, track.mtime_s))


def _number(album: Album, place: str) -> int:
    """Another one for each album and place, so that no two of them share a picture."""
    return crc32(f"{place} {album.folder}".encode())


def main() -> int:
    """Make a library for use by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.make", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="no covers: a million files in 5 GB")
    asked = parser.parse_args()
    began = time.monotonic()
    try:
        made = make(asked.folder, asked.files, asked.seed, tiny=asked.tiny)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 2
    how = f"made in {time.monotonic() - began:.1f} s" if made else "was there already"
    print(f"{asked.folder}: {asked.files} files, {how}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
