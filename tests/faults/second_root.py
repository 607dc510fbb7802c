"""A second root beside the library -> what goes wrong with its disk, while the library goes on.

Each makes the disk, has the root watched, and takes both away when it ends; the list of faults is
that of `faults`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from indexer.disk.mounts import has_expired, read_mounts
from tests.corpus import plant, tagged
from tests.faults.deployment import Deployment, Skipped
from tests.faults.world import wanted_paths
from tests.programs import CHECKOUT, eventually, rows
from tests.recordings import recording
from tests.shares import NoShare, Share, share_of

SONGS: Final = ("of another root 1.mp3", "of another root 2.mp3", "of another root 3.mp3")
BTRFS_BYTES: Final = 160 << 20
"""A smaller one cannot be made."""
SOON_S: Final = 20.0


def songs(where: Path, names: tuple[str, ...] = SONGS) -> None:
    """Files that stand nowhere in the library."""
    plant(where, {name: tagged(title=f"song {name}") for name in names})


def shown(deployment: Deployment, root: Path) -> set[str]:
    """What the index has of a root."""
    found = rows(deployment.db, "SELECT path FROM library WHERE root = ?", root.name)
    return {str(path) for (path,) in found}


def add(deployment: Deployment, root: Path) -> None:
    """Have it watched, and wait until all of it stands in the index."""
    deployment.run("roots", "add", root)
    eventually(lambda: shown(deployment, root) == set(SONGS), within_s=SOON_S)
    deployment.rest()


def remove(deployment: Deployment, root: Path) -> None:
    """Watch it no longer."""
    deployment.run("roots", "remove", root.name)
    eventually(lambda: not shown(deployment, root), within_s=SOON_S)


def goes_on(deployment: Deployment, dice: Random) -> None:
    """A new file of the library is indexed, whatever becomes of the other root."""
    name = f"goes on {dice.randrange(10**6)}.mp3"
    before = deployment.world.look()
    plant(Path(os.fsdecode(deployment.world.root)), {name: tagged(title="goes on")})
    deployment.world.took_place(before, certain=True)
    if name.encode() in wanted_paths(deployment.world.root):
        eventually(
            lambda: rows(deployment.db, "SELECT 1 FROM library WHERE path = ?", name),
            within_s=SOON_S,
        )


def moves_between(deployment: Deployment, other: Path, dice: Random) -> str:
    """Move a recording to the other root and back, in some order of its halves; its id is kept."""
    number = dice.randrange(10**6)
    library = Path(os.fsdecode(deployment.world.root))
    name, there = f"moves {number}.mp3", other / f"moved {number}.mp3"
    before = deployment.world.look()
    plant(library, {name: recording(number, seconds=2)})
    deployment.world.took_place(before, certain=True)
    if name.encode() not in wanted_paths(deployment.world.root):
        return "an ignore file keeps it out"
    track = _id_of(deployment, library.name, name)
    way = dice.choice(("at once", "copied first", "gone first"))
    before = deployment.world.look()
    _move(deployment, library / name, there, way)
    assert _id_of(deployment, other.name, there.name) == track, f"another id, moved {way}"
    deployment.world.took_place(before, certain=False)
    before = deployment.world.look()
    _move(deployment, there, library / name, way)
    assert _id_of(deployment, library.name, name) == track, f"another id, moved back {way}"
    deployment.world.took_place(before, certain=False, extra=4)
    return f"moved there and back {way}"


def _move(deployment: Deployment, source: Path, target: Path, way: str) -> None:
    """Move a file; in halves, each is seen before the next follows."""
    content = source.read_bytes()
    if way == "at once":
        shutil.move(source, target)
    elif way == "copied first":
        shutil.copyfile(source, target)
        eventually(lambda: _found(deployment, target.name), within_s=SOON_S)
        source.unlink()
    else:
        source.unlink()
        eventually(lambda: not _found(deployment, source.name), within_s=SOON_S)
        target.write_bytes(content)
    eventually(lambda: not _found(deployment, source.name), within_s=SOON_S)


def _found(deployment: Deployment, name: str) -> list[Any]:
    return list(rows(deployment.db, "SELECT id FROM library WHERE path = ?", name))


def _id_of(deployment: Deployment, root: str, name: str) -> int:
    """The id of a track, once it is there."""
    asked = "SELECT id FROM library WHERE root = ? AND path = ?"
    ((track,),) = eventually(lambda: rows(deployment.db, asked, root, name), within_s=SOON_S)
    return int(track)


def btrfs(deployment: Deployment) -> str:
    """The device of a btrfs with the subvolumes `music` and `backup`; made once a deployment."""
    image, top = deployment.base / "second.btrfs", deployment.base / "top"
    tool = shutil.which("mkfs.btrfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        raise Skipped("mkfs.btrfs is not installed")
    with image.open("wb") as file:
        file.truncate(BTRFS_BYTES)
    subprocess.run([tool, "-q", image], check=True, capture_output=True)
    device = deployment.loop(image)
    try:
        deployment.mount(top, device, "-t", "btrfs")
    except subprocess.CalledProcessError as error:
        raise Skipped(f"btrfs cannot be mounted: {error.stderr.decode().strip()}") from None
    for name in ("music", "backup"):
        command = ["btrfs", "subvolume", "create", os.fspath(top / name)]
        subprocess.run(command, check=True, capture_output=True)
    songs(top / "music")
    songs(top / "backup", ("of a backup.mp3",))
    os.sync()
    return device


@contextmanager
def automount(point: Path, what: Path, idle_s: float) -> Iterator[None]:
    """An automounter of a folder, which unmounts it when it was not used for a while."""
    point.mkdir(exist_ok=True)
    command: list[str | Path] = [sys.executable, "-m", "tests.automount", point, what, str(idle_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as program:
        try:
            assert program.stdout is not None
            said = program.stdout.readline().strip()
            if said != "ready":
                raise Skipped(f"this machine has no automounts: {said}")
            yield
        finally:
            program.kill()
            for _ in range(2):  # what is mounted there, and the automount itself
                subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


@contextmanager
def share(point: Path, what: Path) -> Iterator[Share]:
    """A folder that another program serves, which may hang."""
    try:
        with share_of(what, point) as made:
            yield made
    except NoShare as error:
        raise Skipped(str(error)) from None


def is_idle(point: Path) -> bool:
    """Whether nothing is mounted at an automount now; this does not mount it."""
    return has_expired(os.fsencode(point), read_mounts())


def wake(point: Path) -> None:
    """Use an automount, as a player would."""
    os.close(os.open(point, os.O_RDONLY | os.O_DIRECTORY))
