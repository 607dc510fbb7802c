"""A layout -> the real programs around one folder of music, and its disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import psutil

from tests.daemons import Daemon, watching
from tests.faults.io_faults import Trouble
from tests.faults.world import World
from tests.programs import Ran, eventually, rows, run
from tests.redis_servers import RedisServer, redis_server
from tests.rq_workers import Crew, crew, serves

SETTINGS: Final[dict[str, object]] = {
    "workers": 1,
    "still": 0.05,
    "held": 1.0,
    "retry_longest": 0.2,
    "reader_timeout": 5.0,
    "small_work": 8,
    "chunk_files": 20,
    "busy_timeout": 0.2,
    "patience": 0.5,
    "incomplete": 0.1,
    "probe_interval": 0.2,
    "poll_interval": 0.3,
    "lease": 0.5,
    "queue_files": 200,
    "queue_live_files": 20,
    "queue_retry_first": 0.05,
    "queue_retry_longest": 0.2,
    "reconnect_longest": 0.2,
}
"""Every wait that a user would sit through is shrunk."""
QUEUED_POLL_S: Final = 2.0
"""The `poll_interval` where workers do the looking: each look stands in `pending` until its jobs
are done, a quarter of a second or more, and all must have been still for a while to be at rest.
"""
EVERY_TIMEOUT_S: Final = 1.2
"""Longer than all of them but `reader_timeout`."""
REST_S: Final = 60.0
QUIET_S: Final = 0.8
"""Longer than a file may be waited for before it is noted as pending: half a second, and what is
looked at every fifth of one. Until then nobody outside knows of it."""
ROOT_SIZE: Final = 24 << 20
SBIN: Final = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


Program = TypeVar("Program", Daemon, Crew)


class Layout(NamedTuple):
    """How one run is set up."""

    engine: str = "local"
    own_disk: bool = False
    """The root lies on an ext4 of its own, which can be unmounted."""
    small_disk: bool = False
    """The database lies on a tmpfs that can be filled."""
    powerless: bool = False
    """Root's rights are taken from our programs, so that `chmod` means something to them."""
    odd_inodes: bool = False
    """Inode numbers fill 64 bits, as on mergerfs, GlusterFS and cifs."""


class Skipped(Exception):
    """A fault could not be made to happen here; the message says why."""


class NotRestingError(AssertionError):
    """The bound was reached, and it says what is still going on."""


class Deployment:
    """All that one seed needs; `close` takes it down."""

    def __init__(self, base: Path, layout: Layout, empty_index: Path) -> None:
        self.base, self.layout = base, layout
        self._stack = ExitStack()
        self._started = 0
        self.logs: list[Path] = []
        self._heard: dict[Path, int] = {}
        self._other: str | None = None
        self.how = ""
        """What the fault that is under way has seen so far."""
        self.point = base / "disk"
        self.point.mkdir()
        self.device: str | None = None
        self.server: RedisServer | None = None
        self.expected: set[str] = set()
        """How the errors begin that jobs may fail with, after what was done to them."""
        self.crew: Crew | None = None
        self.daemon: Daemon
        try:
            if layout.own_disk:
                self.device = self._device("library.ext4", ROOT_SIZE)
                self.mount(self.point, self.device)
            store = base / "index"
            store.mkdir()
            if layout.small_disk:
                self.mount(store, "tmpfs", "-t", "tmpfs", "-o", "size=64m")
            self.root = self.point / "music"
            self.root.mkdir()
            self.db = store / "library.db"
            shutil.copyfile(empty_index, self.db)
            aside = self.point / "aside"
            aside.mkdir()
            self.world = World(self.root, aside, self._abroad())
            self.world.obeys_rights = layout.powerless
            self.trouble = Trouble.make(base, self.root, odd_inodes=layout.odd_inodes)
            self.injected: dict[str, str] = {}
            """What makes a stage of the programs that are started raise (tests/raising)."""
            values = dict(SETTINGS)
            if layout.engine == "rq":
                self.server = self._stack.enter_context(redis_server(base / "redis"))
                self.client = self.server.client()
                values["redis"] = self.server.address
                values["poll_interval"] = QUEUED_POLL_S
            self.config = _toml(values)
            self.local_config = _toml({**SETTINGS, "busy_timeout": REST_S})
        except BaseException:
            self.close()
            raise

    # ---- disks

    def mount(self, point: Path, what: str | Path, *options: str) -> None:
        """Mount something, to be taken away when the deployment is closed."""
        point.mkdir(exist_ok=True)
        subprocess.run(["mount", *options, what, point], check=True, capture_output=True)
        away = ["umount", "--lazy", os.fspath(point)]
        self._stack.callback(subprocess.run, away, capture_output=True, check=False)

    def unmount(self, point: Path) -> str:
        """Take a disk away; lazily where somebody has something open on it. How it went."""
        for _ in range(40):
            done = subprocess.run(["umount", point], capture_output=True, check=False)
            if done.returncode == 0:
                return "unmounted"
            time.sleep(0.05)
        subprocess.run(["umount", "--lazy", point], check=True)
        return "unmounted lazily"

    def another_device(self) -> str:
        """A second disk, with songs of its own in the same folder; made once."""
        if self._other is None:
            self._other = self._device("other.ext4", 4 << 20)
        return self._other

    def _device(self, name: str, size: int) -> str:
        path = self.base / name
        with path.open("wb") as file:
            file.truncate(size)
        tool = shutil.which("mkfs.ext4", path=SBIN)
        assert tool is not None, "mkfs.ext4 is not installed"
        subprocess.run([tool, "-q", "-F", path], check=True)
        return self.loop(path)

    def loop(self, image: Path) -> str:
        """A device of an image, until the deployment is closed."""
        loop = shutil.which("losetup", path=SBIN)
        assert loop is not None, "losetup is not installed"
        made = subprocess.run([loop, "--find", "--show", image], check=True, capture_output=True)
        device = made.stdout.decode().strip()
        detach = [loop, "--detach", device]
        self._stack.callback(subprocess.run, detach, capture_output=True, check=False)
        return device

    def _abroad(self) -> Path | None:
        """A folder on another disk than the root's."""
        for place in (Path("/dev/shm"), self.base):
            if place.is_dir() and place.stat().st_dev != self.root.stat().st_dev:
                folder = place / f"faults-{self.base.name}"
                folder.mkdir(exist_ok=True)
                self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
                return folder
        return None

    # ---- programs

    @property
    def prefix(self) -> list[str]:
        """What starts our programs."""
        if not self.layout.powerless:
            return []
        return ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--ambient-caps=-all"]

    @property
    def environment(self) -> dict[str, str]:
        """What our programs are started with."""
        return {**self.trouble.environment, **self.injected}

    def start(self) -> None:
        """Start all of it, and wait until all was looked at."""
        if self.layout.engine == "rq":
            self.employ()
        self.watch()
        self.rest()

    def watch(self, prefix: Sequence[str] | None = None) -> Daemon:
        """Start the daemon; it is not waited for."""
        self._started += 1
        log = self.base / f"watcher{self._started}.log"
        self.logs.append(log)
        self.daemon = self._stack.enter_context(
            _quiet(watching(
                self.root, db=self.db, config=self.config, log=log, until=None,
                prefix=self.prefix if prefix is None else prefix, env=self.environment,
            ))
        )  # fmt: skip
        return self.daemon

    def employ(self) -> Crew:
        """Start a worker, and wait until it works."""
        self._started += 1
        name = f"worker{self._started}"
        self.logs.append(self.base / f"{name}.log")
        self.crew = self._stack.enter_context(
            _quiet(crew(
                db=self.db, config=self.config, name=name, folder=self.base,
                prefix=self.prefix, env=self.environment,
            ))
        )  # fmt: skip
        serves(self.crew, self.client)
        return self.crew

    def run(self, *words: str | Path, db: Path | None = None, check: int | None = 0) -> Ran:
        """Run `indexer` as our programs run, but without a Redis."""
        return run(
            *("--config", self._local_file(), *words), db=db or self.db, check=check,
            prefix=self.prefix, env=self.trouble.environment,
        )  # fmt: skip

    def _local_file(self) -> Path:
        file = self.base / "local.toml"
        if not file.exists():
            file.write_text(self.local_config)
        return file

    def status(self) -> dict[str, Any]:
        """What `indexer status` says."""
        return self.run("status", "--json").object

    def log(self) -> str:
        """All that all of them have said."""
        return "".join(log.read_text("utf-8", "replace") for log in self.logs if log.exists())

    def await_said(self, *words: str, within_s: float = 10.0) -> str | None:
        """A line with all of these words, said since we `listen`; None: none came."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for log in self.logs:
                text = log.read_text("utf-8", "replace") if log.exists() else ""
                for line in text[self._heard.get(log, 0) :].splitlines():
                    if all(word in line for word in words):
                        return line
            time.sleep(0.02)
        return None

    def listen(self) -> None:
        """Forget what was said so far."""
        self._heard = {
            log: len(log.read_text("utf-8", "replace")) for log in self.logs if log.exists()
        }

    def stop(self, pid: int) -> None:
        """SIGSTOP, and see that it has stopped."""
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)

    # ---- rest

    def rest(
        self, *, calm: bool = False, quiet_s: float = QUIET_S, within_s: float = REST_S
    ) -> float:
        """Wait until nothing waits and all is watched; how many seconds that took.

        `calm` says that nothing keeps a file from being read any more, so that what could not be
        read must have been tried again (rule R9).
        """
        self.world.end_writing(all_of_it=True)  # what is held open stays pending
        begun = time.monotonic()
        since, before = begun, -1
        told: Any = None
        while time.monotonic() < begun + within_s:
            now = self._waiting(calm=calm)
            if now is None or now != before:
                since, before = time.monotonic(), -1 if now is None else now
            elif time.monotonic() - since >= quiet_s:
                told = self.status()
                states = {one["state"] for one in told["roots"]}  # none before the first start
                is_watched = bool(states) and states <= {"watching", "polling"}
                if told["pending"] == 0 and is_watched and self._waiting(calm=calm) == before:
                    return time.monotonic() - begun - quiet_s
                since = time.monotonic()
            time.sleep(0.03)
        with suppress(Exception):
            told = self.status()
        waiting = rows(self.db, "SELECT * FROM pending LIMIT 10")
        due = rows(self.db, "SELECT * FROM artwork_due LIMIT 10")
        refused = rows(self.db, "SELECT * FROM problems WHERE kind = 'environment' LIMIT 10")
        raise NotRestingError(
            f"not at rest within {within_s:g} s: pending={waiting} due={due} unreadable={refused}"
            " status="
            + json.dumps({key: (told or {}).get(key) for key in ("pending", "daemon", "roots")})
        )

    def _waiting(self, *, calm: bool) -> int | None:
        """The newest change when nothing is pending; None when something is, or nobody knows."""
        try:
            ((waits, newest),) = rows(
                self.db,
                "SELECT (SELECT count(*) FROM pending)"
                " + ?1 * (SELECT count(*) FROM problems WHERE kind = 'environment'"
                "     OR is_picture = 1 AND reader_version = -1)"
                " + ?1 * (SELECT count(*) FROM artwork_due)"
                " + ?1 * (SELECT count(*) FROM artwork_due_folders),"
                " (SELECT coalesce(max(seq), 0) FROM changes)",
                calm,
            )
        except Exception:  # noqa: BLE001 - a full disk, a locked file: not at rest, whatever it is
            return None
        return None if waits else int(newest)

    def ids(self) -> dict[bytes, int]:
        """Path -> id of the view."""
        return {
            path.encode() if isinstance(path, str) else bytes(path): int(one)
            for path, one in rows(self.db, "SELECT path, id FROM library")
        }

    def unread(self) -> set[bytes]:
        """What the machine could not read: of these the index shows what it showed before."""
        unread = "SELECT path FROM problems WHERE kind NOT IN ('content', 'picture', 'playlist')"
        return {bytes(path) for (path,) in rows(self.db, unread)}

    def close(self) -> None:
        """Kill what runs, and unmount."""
        with suppress(AttributeError):
            for one in self.world.writing:
                os.close(one.descriptor)
            self.world.writing = []
        self._stack.close()


@contextmanager
def _quiet(inner: AbstractContextManager[Program]) -> Iterator[Program]:
    """A program whose log is judged elsewhere: that it spoke of an error is none here."""
    with suppress(AssertionError), inner as program:
        yield program


def _toml(values: dict[str, object]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
