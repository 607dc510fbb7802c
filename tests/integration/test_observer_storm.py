"""Files and folders made, moved, swapped and deleted at random -> nothing of it is missed."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.programs import ENVIRONMENT
from watcher.events.watch_manager import Observers

STEPS = 1500
ROOT = 1


def storm(root: str, seed: int) -> None:
    """Change things at random, in a process of its own: it shares no lock with the observer."""
    dice = random.Random(seed)
    names = ["a", "b", "c", "d"]

    def anywhere() -> str:
        return os.path.join(root, *dice.choices(names, k=dice.randint(1, 4)))

    for _ in range(STEPS):
        with suppress(OSError):
            match dice.randrange(10):
                case 0 | 1 | 2:
                    os.makedirs(anywhere())
                case 3 | 4 | 5:
                    Path(anywhere(), dice.choice(names) + ".mp3").touch()
                case 6 | 7:
                    os.rename(anywhere(), anywhere())
                case 8:
                    ctypes.CDLL(None).renameat2(
                        -100, os.fsencode(anywhere()), -100, os.fsencode(anywhere()), 2
                    )
                case 9:
                    aside = os.path.join(root + " aside", str(dice.randrange(2)))
                    if dice.random() < 0.5:
                        os.rename(anywhere(), aside)
                    elif dice.random() < 0.5:
                        os.rename(aside, anywhere())
                    else:
                        shutil.rmtree(anywhere())


class Follower:
    """Knows of a tree only what the events made it look at."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)
        self.files = set[bytes]()
        self.observers = Observers(lambda: None)
        self.observers.watch(
            ROOT, self._root, wants_folder=lambda _: True, wants_name=lambda *_: True
        )

    def follow(self) -> None:
        """Look wherever something was seen."""
        assert self.observers.fence(10)
        drained = self.observers.drain()
        assert drained.faults == ()
        for one in drained.events:
            place = os.path.join(self._root, one.folder)
            if one.name is None:
                self.files -= {file for file in self.files if file.startswith(place + b"/")}
                self.files |= files_below(place)
            elif os.path.lexists(os.path.join(place, one.name)):
                self.files.add(os.path.join(place, one.name))
            else:
                self.files.discard(os.path.join(place, one.name))


def files_below(folder: bytes) -> set[bytes]:
    return {os.path.join(above, name) for above, _, names in os.walk(folder) for name in names}


def folders_below(root: bytes) -> set[bytes]:
    return {os.path.relpath(above, root) for above, _, _ in os.walk(root)} - {b"."} | {b""}


@pytest.mark.parametrize("seed", range(4))
def test_after_a_storm_every_folder_is_watched_and_every_file_is_known(
    music: Path, seed: int
) -> None:
    (music.parent / (music.name + " aside")).mkdir()
    follower = Follower(music)
    command = [sys.executable, "-m", __name__, str(music), str(seed)]
    with subprocess.Popen(command, env=ENVIRONMENT) as changing:
        while changing.poll() is None:
            follower.follow()
    assert changing.returncode == 0
    follower.follow()
    follower.follow()
    assert follower.files == files_below(bytes(music))
    assert follower.observers.watched_folders(ROOT) == folders_below(bytes(music))
    assert follower.observers.armed(ROOT).unwatched == {}
    follower.observers.close()


if __name__ == "__main__":
    storm(sys.argv[1], int(sys.argv[2]))
