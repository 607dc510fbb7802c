"""A running deployment -> one fault in it, for a while, and the proof that it happened.

Each is a generator: up to its `yield` the trouble begins, after it the trouble ends, and what it
returns tells what was seen of it. It raises `Skipped` where this deployment cannot have it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import psutil

from indexer.checks.scrub import SETTLED_S
from indexer.store.connection import open_index
from indexer.store.statements import empty_log
from tests.bombs import inflating, tiny_frames
from tests.faults.deployment import EVERY_TIMEOUT_S, Deployment, Skipped
from tests.faults.operations import perform
from tests.faults.world import wanted_paths
from tests.programs import eventually, rows
from tests.raising import injecting
from tests.rq_workers import kill

Course = Generator[None, None, str]
QUEUE: Final = Path("/proc/sys/fs/inotify/max_queued_events")
LOCAL, QUEUED, BOTH = ("local",), ("rq",), ("local", "rq")


_OF_REDIS: Final = ("redis.exceptions.", "rq.exceptions.")
"""What rq says of a job whose keys went while it was done."""
_OF_DATABASE: Final = ("apsw.FullError", "apsw.BusyError", "indexer.errors.Database")
"""What rq says of a job that the database did not take."""


class Fault(NamedTuple):
    """One kind of trouble."""

    course: Callable[[Deployment, Random], Course]
    engines: tuple[str, ...]
    own_disk: bool
    small_disk: bool
    root: bool
    """Whether it has to mount something."""


FAULTS: dict[str, Fault] = {}


def fault(
    engines: tuple[str, ...] = BOTH,
    *,
    own_disk: bool = False,
    small_disk: bool = False,
    root: bool = False,
) -> Callable[[Callable[[Deployment, Random], Course]], Callable[[Deployment, Random], Course]]:
    """Put a course on the list, under its name, for deployments that have what it needs."""

    def put(
        course: Callable[[Deployment, Random], Course],
    ) -> Callable[[Deployment, Random], Course]:
        FAULTS[course.__name__] = Fault(course, engines, own_disk, small_disk, root)
        return course

    return put


# ---- beside all


@fault()
def scrub(deployment: Deployment, dice: Random) -> Course:
    """Whole files are read while they are changed; none is told to have decayed."""
    time.sleep(SETTLED_S)  # it leaves younger files alone
    first = _scrubbed(deployment)
    if deployment.world.unheard:
        raise Skipped("bytes were changed that no stamp tells of")
    yield
    perform(deployment.world, "create_at_once", dice.randrange(10**6))
    second = _scrubbed(deployment)
    if not first["checked"] + second["checked"]:
        raise Skipped("all files were younger than a scrub wants them")
    # Not what the checksum in a FLAC file shows: some operations cut its sound.
    decayed = [one for one in second["damaged"] if one["reason"].startswith("decayed: its bytes")]
    assert deployment.world.unheard or not decayed, decayed
    return f"{first['checked']} and {second['checked']} files read"


def _scrubbed(deployment: Deployment) -> dict[str, Any]:
    """What a scrub tells; 1: some are damaged, 3: the disk is away."""
    ran = deployment.run("scrub", "--rate", "0", "--days", "0", "--json", check=None)
    assert ran.code in {0, 1, 3}, ran
    return ran.object


# ---- the daemon


def _again(deployment: Deployment, dice: Random) -> None:
    daemon = deployment.watch()
    if dice.random() < 0.5:
        daemon.watches()


@fault()
def kill_daemon(deployment: Deployment, dice: Random) -> Course:
    process = deployment.daemon.process
    process.kill()
    code = process.wait(10)
    assert code == -signal.SIGKILL
    yield
    _again(deployment, dice)
    return f"exit code {code}"


@fault()
def restart_daemon(deployment: Deployment, dice: Random) -> Course:
    is_up = bool(deployment.daemon.lines("watching root="))
    code = deployment.daemon.end()
    assert code == 0 or (code == -signal.SIGTERM and not is_up), f"exit code {code}"
    yield
    _again(deployment, dice)
    return f"exit code {code}"


@fault()
def stop_daemon(deployment: Deployment, dice: Random) -> Course:
    """For longer than every timeout."""
    del dice
    pid = deployment.daemon.pid
    deployment.stop(pid)
    begun = time.monotonic()
    yield
    time.sleep(max(0.0, begun + EVERY_TIMEOUT_S - time.monotonic()))
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    os.kill(pid, signal.SIGCONT)
    return f"stopped for {time.monotonic() - begun:.1f} s"


@fault()
def overflow(deployment: Deployment, dice: Random) -> Course:
    """More events than the kernel keeps for a daemon that sleeps."""
    del dice
    limit = int(QUEUE.read_text("ascii"))
    if limit > 100_000:
        raise Skipped("this machine's queue of events is too long to fill")
    deployment.rest()
    deployment.listen()
    deployment.stop(deployment.daemon.pid)
    names = [os.path.join(deployment.world.root, name) for name in (b"one.txt", b"two.txt")]
    for name in names:
        with open(name, "wb"):
            pass
    for _ in range(limit // 2 + 1):  # by turns, or the kernel merges them
        for name in names:
            os.utime(name)
    yield
    os.kill(deployment.daemon.pid, signal.SIGCONT)
    line = deployment.await_said("overflow root=")
    assert line is not None, "no overflow"
    return line


@fault()
def few_watches(deployment: Deployment, dice: Random) -> Course:
    """In a user namespace whose limit of watches is lower than the folders are many."""
    limit = dice.randrange(3, 8)
    for _ in range(limit + 2):
        os.mkdir(deployment.world.path(b"folder %d" % dice.randrange(10**6)))
    lower = f'echo {limit} > /proc/sys/user/max_inotify_watches && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", lower, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        raise Skipped("this machine does not let user namespaces be made")
    deployment.rest()
    if deployment.status()["daemon"]["watched_folders"] <= limit:
        raise Skipped("too many folders are ignored")
    assert deployment.daemon.end() == 0
    deployment.listen()
    deployment.watch(prefix)
    line = deployment.await_said("unwatched root=", within_s=20)
    assert line is not None, "all folders are watched"
    yield
    deployment.world.end_writing(all_of_it=True)
    deployment.rest()
    assert deployment.daemon.end() == 0
    deployment.watch()
    return line


# ---- who reads


@fault()
def kill_reader(deployment: Deployment, dice: Random) -> Course:
    """A child of the pool, in the middle of a burst."""
    deployment.rest()
    crew = deployment.crew
    parent = (
        psutil.Process(deployment.daemon.pid) if crew is None else crew.reader(deployment.client)
    )
    perform(deployment.world, "burst", dice.randrange(10**6))
    deadline = time.monotonic() + 5
    while not (children := _readers(parent)):
        if time.monotonic() > deadline:
            raise Skipped("no reader lived long enough")
        time.sleep(0.002)
    victim = dice.choice(children)
    kill(victim)
    yield
    return f"killed {victim.pid}"


def _readers(parent: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in parent.children():
        with suppress(psutil.Error):
            if any("reader" in word for word in child.cmdline()):
                found.append(child)
    return found


@fault(QUEUED)
def kill_reading_worker(deployment: Deployment, dice: Random) -> Course:
    del dice
    assert deployment.crew is not None
    victim = deployment.crew.reader(deployment.client)
    kill(victim)
    yield
    return f"killed {victim.pid}"


@fault(QUEUED)
def kill_owner(deployment: Deployment, dice: Random) -> Course:
    """The one who writes the database."""
    assert deployment.crew is not None
    if dice.random() < 0.5:
        perform(deployment.world, "burst", dice.randrange(10**6))
        time.sleep(dice.random() * 0.5)
    victim = deployment.crew.owner(deployment.client)
    kill(victim)
    yield
    return f"killed {victim.pid}"


@fault(QUEUED)
def stop_owner(deployment: Deployment, dice: Random) -> Course:
    """For longer than the lease, so that its answer comes late."""
    assert deployment.crew is not None
    victim = deployment.crew.owner(deployment.client)
    if dice.random() < 0.5:
        perform(deployment.world, "burst", dice.randrange(10**6))
        time.sleep(dice.random() * 0.3)
    deployment.stop(victim.pid)
    begun = time.monotonic()
    yield
    time.sleep(max(0.0, begun + EVERY_TIMEOUT_S - time.monotonic()))
    assert victim.status() == psutil.STATUS_STOPPED
    victim.resume()
    return f"stopped for {time.monotonic() - begun:.1f} s"


@fault(QUEUED)
def kill_crew(deployment: Deployment, dice: Random) -> Course:
    """The parent of all workers."""
    del dice
    assert deployment.crew is not None
    deployment.crew.process.kill()
    code = deployment.crew.process.wait(10)
    assert code == -signal.SIGKILL
    yield
    deployment.employ()
    return f"exit code {code}"


@fault(QUEUED)
def restart_crew(deployment: Deployment, dice: Random) -> Course:
    del dice
    assert deployment.crew is not None
    code = deployment.crew.end()
    assert code == 0, f"exit code {code}"
    yield
    deployment.employ()
    return f"exit code {code}"


# ---- Redis


@fault(QUEUED)
def flush_redis(deployment: Deployment, dice: Random) -> Course:
    deployment.expected.update(_OF_REDIS)
    if dice.random() < 0.5:
        perform(deployment.world, "burst", dice.randrange(10**6))
    before = eventually(deployment.client.dbsize)
    deployment.client.flushall()
    yield
    return f"{before} keys forgotten"


@fault(QUEUED)
def kill_redis(deployment: Deployment, dice: Random) -> Course:
    del dice
    deployment.expected.update(_OF_REDIS)
    assert deployment.server is not None
    deployment.server.kill()
    code = deployment.server.process.returncode
    assert code == -signal.SIGKILL
    yield
    deployment.server.restart()
    return f"exit code {code}"


@fault(QUEUED)
def stop_redis(deployment: Deployment, dice: Random) -> Course:
    del dice
    deployment.expected.update(_OF_REDIS)
    assert deployment.server is not None
    pid = deployment.server.process.pid
    deployment.stop(pid)
    begun = time.monotonic()
    yield
    time.sleep(max(0.0, begun + EVERY_TIMEOUT_S - time.monotonic()))
    os.kill(pid, signal.SIGCONT)
    return f"stopped for {time.monotonic() - begun:.1f} s"


# ---- the database


@fault()
def lock_database(deployment: Deployment, dice: Random) -> Course:
    """Another program in the middle of a write, for longer than anybody waits."""
    deployment.expected.update(_OF_DATABASE)
    deployment.rest()
    deployment.listen()
    with closing(sqlite3.connect(deployment.db, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        yield
        perform(deployment.world, "create_at_once", dice.randrange(10**6))
        line = deployment.await_said("database", "busy") or deployment.await_said(
            "locked", within_s=0.1
        )
        time.sleep(max(0.0, begun + EVERY_TIMEOUT_S - time.monotonic()))
        connection.execute("ROLLBACK")
    if line is None:
        raise Skipped("nobody wanted to write: what came may be ignored")
    return line


@fault(small_disk=True)
def fill_database_disk(deployment: Deployment, dice: Random) -> Course:
    deployment.expected.update(_OF_DATABASE)
    deployment.rest()
    deployment.listen()
    with closing(open_index(deployment.db, write=True)) as connection:
        eventually(lambda: empty_log(connection))  # it has room that was taken before
    ballast = deployment.db.with_name("ballast")
    full = _fill(ballast)
    yield
    for number in range(3):
        perform(deployment.world, "burst", dice.randrange(10**6) + number)
    line = deployment.await_said("database", "full")
    ballast.unlink()
    if line is None:
        raise Skipped("nobody needed more room: what came may be ignored")
    return f"{full}: {line}"


@fault(own_disk=True)
def fill_library_disk(deployment: Deployment, dice: Random) -> Course:
    del dice
    ballast = Path(os.fsdecode(deployment.world.aside)) / "away ballast"
    full = _fill(ballast)
    yield
    ballast.unlink(missing_ok=True)
    return full


def _fill(ballast: Path) -> str:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError as error:
                said = f"{error.strerror}"
    return said


# ---- odd files


@fault()
def odd_numbers(deployment: Deployment, dice: Random) -> Course:
    """Times that no 64 bits of nanoseconds hold, on files that are there and on new ones."""
    met: list[bytes] = []

    def set_odd() -> None:
        perform(deployment.world, "create_at_once", dice.randrange(10**6))
        before = deployment.world.look()
        for path in dice.sample(sorted(before), min(4, len(before))):
            far = dice.choice([_YEAR_2400, -_YEAR_2400 // 10]) + dice.randrange(10**9)
            os.utime(deployment.world.path(path), (0, far))
            if os.lstat(deployment.world.path(path)).st_mtime_ns // 10**9 == far:
                met.append(path)
        deployment.world.took_place(before, certain=False)

    set_odd()
    yield
    set_odd()
    if not any(abs(seen.mtime_ns) > 2**63 for seen in deployment.world.look().values()):
        raise Skipped("this file system holds no such times")
    ((odd,),) = rows(deployment.db, "SELECT count(*) FROM tracks WHERE inode < 0")
    assert bool(odd) == deployment.layout.odd_inodes
    return f"{len(met)} odd times, {odd} odd inodes"


@fault()
def tag_bomb(deployment: Deployment, dice: Random) -> Course:
    """Files of a few kilobytes whose tags would take a reader's memory, or its time."""
    made = {
        b"bomb %d.mp3" % dice.randrange(10**6): inflating(300),
        b"frames %d.mp3" % dice.randrange(10**6): tiny_frames(200_000),
    }
    before = deployment.world.look()
    for name, content in made.items():
        Path(os.fsdecode(deployment.world.path(name))).write_bytes(content)
    deployment.world.took_place(before, certain=False)
    yield
    peak_mb = 0
    for process in [
        deployment.daemon.pid,
        *([] if deployment.crew is None else [deployment.crew.pid]),
    ]:
        status = Path(f"/proc/{process}/status").read_text("ascii")
        peak_mb = max(peak_mb, int(status.partition("VmHWM:")[2].split()[0]) >> 10)
    assert peak_mb < 128, f"{peak_mb} MB in a process that must stay small"
    return f"{peak_mb} MB at the most"


@fault()
def raising_stage(deployment: Deployment, dice: Random) -> Course:
    """One stage raises on files of a chosen name, in every process."""
    stage = dice.choice(["walk", "scan", "extract", "batch", "insert"])
    error = dice.choice(["ValueError", "KeyError", "OverflowError", "RecursionError"])
    deployment.expected.add(error)
    deployment.rest()
    deployment.injected = injecting(stage, error)
    _start_anew(deployment)
    deployment.rest()
    names = [os.path.join(deployment.world.a_place(dice), b"raise %d.mp3" % n) for n in range(3)]
    before = deployment.world.look()
    for name in names:
        Path(os.fsdecode(deployment.world.path(name))).write_bytes(
            deployment.world.a_song(dice, name)
        )
    deployment.world.took_place(before, certain=False)
    yield
    perform(deployment.world, "create_at_once", dice.randrange(10**6))
    met = eventually(lambda: rows(deployment.db, _FAULTS_MET) or not _any_left(deployment, names))
    deployment.injected = {}
    _start_anew(deployment)
    before = deployment.world.look()
    for path in before:
        if b"raise" in path:
            os.utime(deployment.world.path(path))
    deployment.world.took_place(before, certain=False)
    if met is True:
        raise Skipped("its files are gone, or ignored")
    return f"{stage} {error}: {met}"


_YEAR_2400: Final = 13_569_465_600
_FAULTS_MET: Final = "SELECT path FROM problems WHERE kind = 'fault'"


def _any_left(deployment: Deployment, names: list[bytes]) -> bool:
    """Whether a program would still look at any of these."""
    found = wanted_paths(deployment.world.root)
    return any(name in found for name in names)


def _start_anew(deployment: Deployment) -> None:
    """The same programs with another environment."""
    assert deployment.daemon.end() == 0
    if deployment.crew is not None:
        assert deployment.crew.end() == 0
        deployment.employ()
    deployment.watch()
    deployment.daemon.watches()
