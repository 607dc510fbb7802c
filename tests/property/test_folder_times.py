"""Whatever happens to names, and however coarse the clock: passes over times of folders find it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from indexer.disk.filesystem import disk_at
from indexer.disk.identity import FOLDER_FLAGS
from indexer.disk.tree import Tree, mount_point_at
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.stages.folder_times import FolderTimes, look_at_times
from indexer.walk import Listed, Run, walk

TICK_NS: Final = 2_000_000_000
"""Of the clock that is played: FAT's."""
SETTLED_TICKS: Final = 2
WANTED: Final = PathFilter(frozenset({b".mp3"}), ())
NAMES: Final = [b"a", b"b", b"c"]

places = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["make", "write", "remove"]), places, st.just(b"")),
        st.tuples(st.just("move"), places, places),
        st.tuples(st.just("wait"), st.just(b""), st.just(b"")),
        st.tuples(st.just("pass"), st.just(b""), st.just(b"")),
    ),
    max_size=25,
)


class Disk:
    """A folder whose folders have the times of a coarse clock, and what is known of it."""

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)
        fd = os.open(root, FOLDER_FLAGS)
        spot = mount_point_at(b"", fd, 1, disk_at(self.root).fs_type)
        self.tree = Tree(1, "music", self.root, [spot], {})
        self.tick = 1_000
        self._passed_at = self.tick
        self._touch(b"")
        self.known = self._listed(Hint(1, recursive=True))
        self.times = FolderTimes(now_ns=self.tick * TICK_NS)
        self.times.add(b"", self.tick * TICK_NS)
        self.times.end()

    def close(self) -> None:
        self.tree.close()

    def do(self, what: str, place: bytes, other: bytes) -> None:
        """One step, where the disk allows it."""
        path = os.path.join(self.root, place)
        touched = {os.path.dirname(place)}
        try:
            match what:
                case "make":
                    os.mkdir(path)
                    touched.add(place)
                case "write":
                    os.close(os.open(path + b".mp3", os.O_CREAT | os.O_EXCL))
                case "remove":
                    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path + b".mp3")
                case "move" if other in self.known and self._holds_folders(path):
                    return  # only a look at all files tells two such trees of equal times apart
                case "move":
                    os.rename(path, os.path.join(self.root, other))
                    touched |= {os.path.dirname(other), other}  # it has another ctime
                case "wait":
                    self.tick += 1
                    return
                case _:
                    self.look()
                    return
        except OSError:
            return
        for folder in touched:
            self._touch(folder)

    def look(self) -> None:
        """A pass, and the looks that it asks for."""
        settles = self.tick - self._passed_at >= SETTLED_TICKS
        found = look_at_times(self.tree, self.times, WANTED, settles=settles, goes_on=lambda: True)
        self.times, self._passed_at = found.times, self.tick
        for hint in found.hints(1):
            gone = [one for one in self.known if _concerns(hint, one)]
            for one in gone:
                del self.known[one]
            self.known |= self._listed(hint)

    def everything(self) -> dict[bytes, set[bytes]]:
        """What is there: folder -> its files."""
        return self._listed(Hint(1, recursive=True))

    def _listed(self, hint: Hint) -> dict[bytes, set[bytes]]:
        found: dict[bytes, set[bytes]] = {}
        for one in walk(self.tree, hint.folder, WANTED, recursive=hint.recursive):
            if isinstance(one, Listed):
                found[one.path] = set()
            elif isinstance(one, Run):
                _put(found, (path for path, _, _ in one.files))
        return found

    @staticmethod
    def _holds_folders(path: bytes) -> bool:
        return any(entry.is_dir() for entry in os.scandir(path))

    def _touch(self, folder: bytes) -> None:
        path = os.path.join(self.root, folder)
        if os.path.isdir(path):
            os.utime(path, ns=(0, self.tick * TICK_NS))


def _put(found: dict[bytes, set[bytes]], files: Iterable[bytes]) -> None:
    for path in files:
        found[os.path.dirname(path)].add(path)


def _concerns(hint: Hint, folder: bytes) -> bool:
    if not hint.recursive:
        return folder == hint.folder
    return folder == hint.folder or folder.startswith(hint.folder + b"/")


def _tick_of(status: os.stat_result) -> int:
    return status.st_mtime_ns  # all that a test can set


@given(steps)
def test_two_passes_some_seconds_apart_find_every_name_that_came_or_went(
    asked: list[tuple[str, bytes, bytes]],
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("indexer.walk.folder_time_ns", _tick_of),
        patch("indexer.stages.folder_times.folder_time_ns", _tick_of),
    ):
        disk = Disk(Path(folder))
        try:
            for step in asked:
                disk.do(*step)
            for _ in range(2):
                disk.tick += SETTLED_TICKS
                disk.look()
            assert disk.known == disk.everything()
            disk.tick += SETTLED_TICKS
            before = disk.times
            disk.look()
            assert disk.times is before, "at rest nothing is looked at"
        finally:
            disk.close()
