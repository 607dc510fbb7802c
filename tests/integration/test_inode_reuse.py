"""Files that get the inodes of deleted ones, as ext4 gives them out again at once.

None of them may take the row of the file that had its inode before, be its size and mtime the same;
and each file that is still there keeps its id through retags and moves.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from random import Random

import pytest

from indexer.disk.filesystem import disk_at
from indexer.library import Library
from indexer.settings import Settings
from tests.integration.conftest import MakeDisk, Mount
from tests.trees import ids, put, song

ROUNDS = 60
REUSED = 200


class World:
    """A folder, and which file stands where: a number for each file, for as long as it lives."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.dice = Random(seed)
        self.files: dict[str, int] = {}
        self.reused = 0
        self._inodes: set[int] = set()
        self._numbers = count(1)

    def fresh_path(self) -> str:
        """In a folder of its own or in one that is there; never had by another file."""
        folder = self.dice.choice(["", "A/", "B/", f"C{next(self._numbers)}/"])
        (self.root / folder).mkdir(exist_ok=True)
        return f"{folder}{next(self._numbers):06}.mp3"

    def content(self, title: str = "") -> bytes:
        """Of one of two sizes."""
        size = self.dice.choice([900, 1000])
        return song(f"{title}{next(self._numbers):06}").ljust(size, b"\0")

    def create(self) -> None:
        path = self.fresh_path()
        (self.root / path).write_bytes(self.content())
        self._came(path)

    def replace_elsewhere(self) -> None:
        """Delete one and make another, which has its size and mtime, too, and often its inode."""
        path = self.any_file()
        before = (self.root / path).stat()
        (self.root / path).unlink()
        del self.files[path]
        new, aside = self.fresh_path(), self.root / ".aside"
        aside.write_bytes(self.content()[: before.st_size].ljust(before.st_size, b"\0"))
        if self.dice.random() < 0.7:
            os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
        aside.rename(self.root / new)
        self._came(new)

    def retag_and_move(self) -> None:
        path = self.any_file()
        for _ in range(self.dice.randrange(1, 3)):
            put(self.root, path, self.content())
        self._move(path)

    def move(self) -> None:
        self._move(self.any_file())

    def move_folder(self) -> None:
        """None of its files is opened for it."""
        folders = sorted({path.partition("/")[0] for path in self.files if "/" in path})
        if not folders:
            return
        folder, new = self.dice.choice(folders), f"D{next(self._numbers)}"
        (self.root / folder).rename(self.root / new)
        for path in [path for path in self.files if path.startswith(f"{folder}/")]:
            self.files[new + path.removeprefix(folder)] = self.files.pop(path)

    def any_file(self) -> str:
        return self.dice.choice(sorted(self.files))

    def _move(self, path: str) -> None:
        new = self.fresh_path()
        (self.root / path).rename(self.root / new)
        self.files[new] = self.files.pop(path)

    def _came(self, path: str) -> None:
        self.files[path] = next(self._numbers)
        inode = (self.root / path).stat().st_ino
        self.reused += inode in self._inodes
        self._inodes.add(inode)


@pytest.fixture(params=["here", "ext4", "tmpfs"])
def root(request: pytest.FixtureRequest, music: Path) -> Path:
    """A root on one of several file systems."""
    if request.param != "here":
        mount: Mount = request.getfixturevalue("mount")
        if request.param == "ext4":
            make_disk: MakeDisk = request.getfixturevalue("make_disk")
            mount(music, "-o", "loop", make_disk("disk"))
        else:
            mount(music, "-t", "tmpfs", "tmpfs")
    return music


@pytest.mark.parametrize("chunk_files", [3, 200])
def test_no_new_file_takes_the_id_of_one_that_had_its_inode(root: Path, settings: Settings) -> None:
    world = World(root, seed=1)
    for _ in range(12):
        world.create()
    known: dict[int, int] = {}
    operations = [world.replace_elsewhere] * 6 + [
        world.retag_and_move, world.retag_and_move, world.move, world.move_folder,
    ]  # fmt: skip
    with Library(settings) as library:
        library.add_root(os.fsencode(root))
        library.scan()
        for _ in range(ROUNDS):
            now = {world.files[str(path)]: one for path, one in ids(library).items()}
            assert now.keys() == set(world.files.values())
            for file, track in now.items():
                if file in known:
                    assert track == known[file], f"file {file} lost its id"
                else:
                    assert track not in known.values(), f"file {file} took the id of another"
            known |= now
            for _ in range(10):
                world.dice.choice(operations)()
            library.scan()
        verdict = library.verify(deep=True)
        assert verdict.ok, verdict.differences
    fs_type = disk_at(os.fsencode(root)).fs_type
    if fs_type == "ext4":
        assert world.reused >= REUSED
