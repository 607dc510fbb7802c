"""The program of a reader process for pictures and playlists: as `reader`, but with their facts.

Arguments before those of `reader.main`: the folder of the thumbnails, and their size in pixels.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import BinaryIO

from indexer.artwork.cache import ThumbnailCache
from indexer.model import PictureFacts, PlaylistFacts
from indexer.readers import reader
from indexer.sidecars import PLAYLIST_SUFFIXES
from indexer.sidecars.playlist import read_playlist

NICE = 19
"""Behind all other programs, and readers of tags."""


def read_sidecar(
    file: BinaryIO, suffix: bytes, cache: ThumbnailCache, size: int
) -> PictureFacts | PlaylistFacts | None:
    """What an open file says, by its suffix: a playlist, a picture, or a track with a picture."""
    if suffix in PLAYLIST_SUFFIXES:
        return read_playlist(file, suffix)
    from indexer.artwork.thumbnail import read_picture  # late: it loads what decodes pictures

    return read_picture(file, suffix, cache, size)


def main() -> None:
    folder, size = sys.argv[1:3]
    os.nice(NICE)
    reader.main(partial(read_sidecar, cache=ThumbnailCache(Path(folder)), size=int(size)))


if __name__ == "__main__":
    main()
