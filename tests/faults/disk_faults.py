"""Faults of disks, shares and second roots, and reads that fail or are slow."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Generator
from pathlib import Path
from random import Random
from typing import Final

from tests.corpus import plant, tagged
from tests.faults import second_root
from tests.faults.deployment import Deployment, Skipped
from tests.faults.faults import QUEUED, Course, fault
from tests.faults.operations import perform
from tests.programs import eventually, rows
from tests.relays import relaying

ANSWERED_S: Final = 2.5
"""A command that waits for no disk is answered within so long, its start and a busy machine
included. A guess."""


# ---- disks


def _elsewhere(deployment: Deployment, dice: Random) -> tuple[Path, bool]:
    """Take the root's disk from its place; the operations find it at another one, which is given.

    And whether all was at rest before: a daemon that had not yet seen it come says nothing when it
    goes again.
    """
    deployment.world.end_writing(all_of_it=True)
    rested = dice.random() < 0.7
    if rested:
        deployment.rest()
    deployment.listen()
    deployment.how = deployment.unmount(deployment.point)
    behind = deployment.base / "behind"
    assert deployment.device is not None
    deployment.mount(behind, deployment.device)
    deployment.world.root = os.fsencode(behind / "music")
    deployment.world.aside = os.fsencode(behind / "aside")
    assert not os.path.ismount(deployment.point)
    return behind, rested


def _back(deployment: Deployment, behind: Path) -> None:
    deployment.world.end_writing(all_of_it=True)
    deployment.unmount(behind)
    assert deployment.device is not None
    deployment.mount(deployment.point, deployment.device)
    deployment.world.root = os.fsencode(deployment.root)
    deployment.world.aside = os.fsencode(deployment.point / "aside")
    assert os.path.ismount(deployment.point)


@fault(own_disk=True)
def unmount(deployment: Deployment, dice: Random) -> Course:
    behind, rested = _elsewhere(deployment, dice)
    yield
    line = deployment.await_said("offline root=", within_s=10 if rested else 0.5)
    before = rows(deployment.db, "SELECT max(seq) FROM changes")
    time.sleep(dice.choice([0.0, 0.3]))
    assert rows(deployment.db, "SELECT max(seq) FROM changes") == before, "a row changed meanwhile"
    _back(deployment, behind)
    assert line is not None or not rested, "nobody said that the root is offline"
    return f"{deployment.how}: {line}"


@fault(own_disk=True)
def another_disk(deployment: Deployment, dice: Random) -> Course:
    """At the root's place for a while, with a folder of the same name."""
    device = deployment.another_device()
    behind, rested = _elsewhere(deployment, dice)
    deployment.mount(deployment.point, device)
    deployment.root.mkdir(exist_ok=True)
    plant(deployment.root, {"strange.mp3": tagged(title="From another disk")})
    yield
    line = deployment.await_said("offline root=", within_s=10 if rested else 0.5)
    strange = rows(deployment.db, "SELECT path FROM library WHERE path = 'strange.mp3'")
    deployment.unmount(deployment.point)
    _back(deployment, behind)
    assert line is not None or not rested, "nobody said that the root is offline"
    assert not strange, "a song of another disk was taken in"
    return f"{deployment.how}: {line}"


# ---- a second root


@fault()
def move_to_another_root(deployment: Deployment, dice: Random) -> Course:
    """A recording moves to a root on another disk, if there is one, and back: with one id."""
    abroad = deployment.world.abroad
    other = (deployment.base if abroad is None else Path(os.fsdecode(abroad))) / "another root"
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    second_root.songs(other)
    second_root.add(deployment, other)
    yield
    told = second_root.moves_between(deployment, other, dice)
    second_root.remove(deployment, other)
    shutil.rmtree(other)
    return told


@fault(root=True)
def another_subvolume(deployment: Deployment, dice: Random) -> Course:
    """Another one of the same btrfs in the place of a root: one UUID, one inode of the root."""
    device = second_root.btrfs(deployment)
    point = deployment.base / "of btrfs"
    deployment.mount(point, device, "-t", "btrfs", "-o", "subvol=music")
    second_root.add(deployment, point)
    deployment.listen()
    deployment.unmount(point)
    deployment.mount(point, device, "-t", "btrfs", "-o", "subvol=backup")
    yield
    line = deployment.await_said("offline root=", "of btrfs", within_s=20)
    assert line is not None, "nobody said that another subvolume stands there"
    second_root.goes_on(deployment, dice)
    assert second_root.shown(deployment, point) == set(second_root.SONGS), "a row changed"
    deployment.unmount(point)
    deployment.mount(point, device, "-t", "btrfs", "-o", "subvol=music")
    eventually(lambda: "offline" not in {one["state"] for one in deployment.status()["roots"]})
    second_root.remove(deployment, point)
    deployment.unmount(point)
    deployment.unmount(deployment.base / "top")
    return line


@fault(root=True)
def automount_expires(deployment: Deployment, dice: Random) -> Course:
    """A root behind an automount is unmounted when nothing uses it, and comes back when used."""
    point, what = deployment.base / "automounted", deployment.base / "behind the automount"
    shutil.rmtree(what, ignore_errors=True)
    what.mkdir()
    second_root.songs(what)
    with second_root.automount(point, what, idle_s=0.5):
        second_root.add(deployment, point)
        deployment.listen()
        eventually(lambda: second_root.is_idle(point))
        yield
        second_root.goes_on(deployment, dice)
        eventually(lambda: second_root.is_idle(point))
        assert deployment.await_said("offline root=", "automounted", within_s=0.5) is None
        assert second_root.shown(deployment, point) == set(second_root.SONGS), "a row changed"
        second_root.songs(what, ("of another root 4.mp3",))
        second_root.wake(point)
        eventually(lambda: len(second_root.shown(deployment, point)) == len(second_root.SONGS) + 1)
        second_root.remove(deployment, point)
    return "it expired, and came back"


@fault(root=True)
def hanging_share(deployment: Deployment, dice: Random) -> Course:
    """The server of a root answers nothing any more, and later all again."""
    point, what = deployment.base / "share", deployment.base / "behind the share"
    shutil.rmtree(what, ignore_errors=True)
    what.mkdir()
    second_root.songs(what)
    with second_root.share(point, what) as share:
        second_root.add(deployment, point)
        deployment.listen()
        share.hang()
        yield
        line = deployment.await_said("offline root=share", within_s=20)
        assert line is not None, "nobody said that the share does not answer"
        second_root.goes_on(deployment, dice)
        began = time.monotonic()
        states = {one["name"]: one["state"] for one in deployment.status()["roots"]}
        assert time.monotonic() - began < ANSWERED_S, "status waits for the share"
        assert states["share"] == "offline"
        assert second_root.shown(deployment, point) == set(second_root.SONGS), "a row changed"
        second_root.songs(what, ("of another root 4.mp3",))
        (what / second_root.SONGS[0]).unlink()
        expected = {*second_root.SONGS[1:], "of another root 4.mp3"}
        share.go_on()
        eventually(lambda: second_root.shown(deployment, point) == expected)
        second_root.remove(deployment, point)
    return line


@fault(QUEUED, root=True)
def kill_relay(deployment: Deployment, dice: Random) -> Course:
    """The relay of a share is killed, and a new one comes; polling finds what neither has told."""
    point, what = deployment.base / "share", deployment.base / "behind the share"
    shutil.rmtree(what, ignore_errors=True)
    what.mkdir()
    second_root.songs(what)
    with second_root.share(point, what):
        second_root.add(deployment, point)
        given = _relayed(deployment, what, dice, signal.SIGKILL, "of another root 4.mp3")
        yield
        (what / second_root.SONGS[0]).unlink()
        second_root.songs(what, ("of another root 5.mp3",))
        expected = {*second_root.SONGS[1:], "of another root 4.mp3", "of another root 5.mp3"}
        eventually(lambda: second_root.shown(deployment, point) == expected)
        _relayed(deployment, what, dice, signal.SIGTERM, "of another root 6.mp3")
        expected.add("of another root 6.mp3")
        eventually(lambda: second_root.shown(deployment, point) == expected)
        deployment.rest()
        second_root.remove(deployment, point)
    return given


def _relayed(
    deployment: Deployment, what: Path, dice: Random, number: signal.Signals, name: str
) -> str:
    """Run a relay that has told of something, while a file comes; end it. What it has told."""
    folder = deployment.base / f"server {dice.randrange(10**9)}"
    with relaying(f"share={what}", folder=folder, config=deployment.config) as relay:
        told = relay.await_line("given hints=")
        second_root.songs(what, (name,))
        time.sleep(dice.random() / 10)
        code = relay.end(number)
    assert code == (0 if number == signal.SIGTERM else -number), f"exit code {code}: {relay.log}"
    return told


# ---- reads


@fault()
def failing_reads(deployment: Deployment, dice: Random) -> Course:
    """EIO at every read of a song."""
    yield from _reads(deployment, dice, "eio")
    return f"{deployment.how} reads failed"


@fault()
def slow_reads(deployment: Deployment, dice: Random) -> Course:
    """Each read of a song takes 0.3 s."""
    yield from _reads(deployment, dice, "slow")
    return f"{deployment.how} slow reads"


def _reads(deployment: Deployment, dice: Random, kind: str) -> Generator[None, None, None]:
    if not deployment.trouble.environment:
        raise Skipped("there is no compiler to make the shim")
    deployment.trouble.begin(kind)
    yield
    for _ in range(5):
        perform(deployment.world, "create_at_once", dice.randrange(10**6))
        deadline = time.monotonic() + 2
        while not deployment.trouble.met and time.monotonic() < deadline:
            time.sleep(0.02)
        if deployment.trouble.met:
            break
    deployment.how = str(deployment.trouble.end())
    if deployment.how == "0":
        raise Skipped("nothing was read: what came may be ignored")
