"""A folder that is swapped with a symbolic link, over and over, while it is indexed.

Whoever may write to the music can do so, and must not get tags of files that only the indexer may
read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from indexer.disk.identity import open_root
from indexer.disk.tree import Tree, mount_point_at
from indexer.library import Library
from indexer.model import Chunk, Evidence, Stamp
from indexer.settings import Settings
from indexer.stages.extract import extract, stamp_at
from tests.corpus import plant
from tests.trees import ask, song
from watcher.debounce.observation import observe

SWAPPER = """
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
one, other = map(os.fsencode, sys.argv[1:])
print("ready", flush=True)
while not select.select([0], [], [], 0)[0]:
    for _ in range(100):
        if libc.renameat2(-100, one, -100, other, 2):  # AT_FDCWD, RENAME_EXCHANGE
            sys.exit(os.strerror(ctypes.get_errno()))
"""
PATH = b"A/b/x.mp3"
ROUNDS = 1500
LED_OUT = 20
BOTH = pytest.mark.parametrize("follow_links", [False, True])
DEPTHS = pytest.mark.parametrize("swapped", ["A", "A/b", "A/b/x.mp3"])


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Two names are given to each other all the time. The caller proves that it did happen."""
    with subprocess.Popen(
        [sys.executable, "-c", SWAPPER, one, other],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            child.communicate("")
        assert child.returncode == 0


@pytest.fixture
def outside(music: Path) -> Path:
    """A file of the root, and a secret one at the same path below another folder."""
    plant(music, {"A/b/x.mp3": song("Public")})
    outside = music.parent / "outside"
    plant(outside, {"A/b/x.mp3": song("Secret")})
    return outside


def by_whole_path(music: Path) -> bool:
    """Whether this one open leads out: how it was done before, so that the race is seen to be."""
    try:
        file = os.open(music / os.fsdecode(PATH), os.O_RDONLY)
    except OSError:
        return False
    try:
        return b"Secret" in os.read(file, 1000)
    finally:
        os.close(file)


def title_read(music: Path, *, follow_links: bool) -> str | None:
    evidence = Evidence(still_s=0.0, leases=False)
    (reading,) = extract(
        Chunk(os.fsencode(music), (PATH,), evidence, follow_links), now_ns=lambda: 1 << 62
    )
    return None if reading.track is None else reading.track.title


def inode_lstated(music: Path, *, follow_links: bool) -> int | None:
    path = os.fsencode(music)
    top = mount_point_at(b"", open_root(path), 1, "ext4")
    tree = Tree(1, "", path, [top], {}, follow_links=follow_links)
    try:
        status = tree.lstat(PATH)
    finally:
        tree.close()
    return None if status is None else status.st_ino


def inode_stamped(music: Path, *, follow_links: bool) -> int | None:
    stamp: Stamp | None = stamp_at(os.fsencode(music), PATH, follow_links=follow_links)
    return None if stamp is None else stamp.inode


def size_observed(music: Path, *, follow_links: bool) -> int | None:
    seen = observe(
        os.fsencode(music), PATH, follow_links=follow_links, leases=False, granularity_ns=1
    )
    return None if seen is None else seen.size


@DEPTHS
@BOTH
@pytest.mark.parametrize(
    ("look", "seen_of"),
    [
        (title_read, lambda _: "Secret"),
        (inode_lstated, lambda secret: secret.stat().st_ino),
        (inode_stamped, lambda secret: secret.stat().st_ino),
        (size_observed, lambda secret: secret.stat().st_size),
    ],
)
def test_no_look_at_a_file_is_ever_led_out_of_the_root(
    music: Path,
    outside: Path,
    look: Callable[..., object],
    seen_of: Callable[[Path], object],
    swapped: str,
    *,
    follow_links: bool,
) -> None:
    secret = outside / os.fsdecode(PATH)
    secret.write_bytes(secret.read_bytes() + b"\0" * 100)  # another size
    (music / "link").symlink_to(outside / swapped)
    forbidden = seen_of(secret)
    found: set[object] = set()
    of_link = {None, (music / "link").lstat().st_ino}
    led_out = rounds = 0
    deadline = time.monotonic() + 30
    with swapping(music / swapped, music / "link"):
        while rounds < ROUNDS or led_out < LED_OUT or not found - of_link:
            if time.monotonic() > deadline:
                break
            found.add(look(music, follow_links=follow_links))
            led_out += by_whole_path(music)
            rounds += 1
    assert led_out >= LED_OUT
    assert forbidden not in found
    assert found - of_link, "the race was never won by the file"


@BOTH
def test_no_rebuild_brings_tags_of_a_file_outside_of_the_root(
    music: Path, outside: Path, settings: Settings, *, follow_links: bool
) -> None:
    plant(music, {f"B/{number}.mp3": song(f"{number}") for number in range(20)})
    (music / "link").symlink_to(outside / "A")
    led_out = rebuilds = 0
    deadline = time.monotonic() + 30
    settings = msgspec.structs.replace(settings, follow_links=follow_links)
    with Library(settings) as library, swapping(music / "A", music / "link"):
        while (rebuilds < 40 or led_out < LED_OUT) and time.monotonic() < deadline:
            rebuilds += 1
            library.rebuild([os.fsencode(music)])
            led_out += any(by_whole_path(music) for _ in range(20))
            assert ask(library, "SELECT path FROM tracks WHERE title = 'Secret'") == []
    assert led_out >= LED_OUT
