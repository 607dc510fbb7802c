"""A small library whose names and tags are as odd as disks have them, and an index of it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.corpus import Tree, noise, tagged

LATIN_1 = b"Bj\xf6rk/01 J\xf3ga.mp3"
TWO_LINES = "Two\nlines/\x1b[2Jred.flac"
TRACKS = 8
LIBRARY: Tree = {
    LATIN_1: tagged(title="Jóga", artist="Björk", album="Homogenic"),
    TWO_LINES: tagged(".flac", title="Esc\x1b[31m\nape", artist="Control", album="Two\nlines"),
    b"broken \xff\n.mp3": noise(),
    **{f"Many/{n:02}.mp3": tagged(title=f"Song {n}", artist="Many", album="A") for n in range(6)},
}


class Place:
    """An index of `LIBRARY`, shared by the tests that change nothing in it."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "library.db"
        self.music = folder / "music"

    def file(self, name: str | bytes) -> bytes:
        return os.path.join(os.fsencode(self.music), os.fsencode(name))
