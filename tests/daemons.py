"""A folder of music -> a real `watcher run` that watches it, observed from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.programs import AT_MOST_S, ENVIRONMENT, Word, eventually, rows, run
from tests.running import RunningProgram

PROGRAM = (sys.executable, "-P", "-m", "watcher")
QUICK = """
workers = 1
still = 0.05
retry_longest = 0.2
probe_interval = 0.2
"""
"""Settings with short waits."""

_LOOKED = re.compile(r"^looked .* read=(\d+) bytes=(\d+) ", re.MULTILINE)

Shown = Mapping[Any, str | None]
"""Path in the view `library` (bytes if not UTF-8) -> title."""


class Daemon(RunningProgram):
    """One run of the daemon, and its index."""

    def __init__(self, process: subprocess.Popen[bytes], db: Path, log: Path) -> None:
        super().__init__(process, log)
        self.db = db

    def watches(self, times: int = 1) -> None:
        """Wait until it has scanned everything `times` times."""
        self.await_line("watching root=", times=times)

    def sleeps(self) -> None:
        """Wait until it was idle in fifty consecutive checks: a tenth of a second."""
        switches, looks = -1, 0

        def asleep() -> bool:
            nonlocal switches, looks
            before, switches = switches, context_switches(self.pid)
            polls = "poll" in Path(f"/proc/{self.pid}/wchan").read_text("ascii")
            looks = looks + 1 if polls and switches == before else 0
            return looks >= 50

        eventually(asleep)

    @property
    def files_read(self) -> int:
        """The number of files opened to read their tags; requires a verbose log."""
        return sum(int(files) for files, _ in _LOOKED.findall(self.log))

    def has_read(self, files: int) -> None:
        """Wait until it logs that it has read `files` files; rows are visible a little sooner."""
        eventually(lambda: self.files_read >= files)
        assert self.files_read == files

    @property
    def bytes_read(self) -> int:
        """The number of bytes read of them."""
        return sum(int(size) for _, size in _LOOKED.findall(self.log))

    def shows(self, expected: Shown, *, within_s: float = AT_MOST_S) -> None:
        """Wait until the view has exactly these files with these titles."""
        try:
            eventually(lambda: shown(self.db) == expected, within_s=within_s)
        except AssertionError:
            assert shown(self.db) == expected, self.log
            raise

    def status(self) -> dict[str, Any]:
        """The output of `indexer status --json`."""
        return run("status", "--json", db=self.db).object

    def state(self) -> str:
        """The state of the only root."""
        (root,) = self.status()["roots"]
        return str(root["state"])

    def recoveries(self) -> dict[str, int]:
        """Reason -> number of full rescans."""
        return dict(self.status()["daemon"]["recoveries"])

    def is_right(self) -> None:
        """Wait until nothing is pending, and check that index equals disk, with all tags."""
        eventually(lambda: rows(self.db, "SELECT count(*) FROM pending") == [(0,)])
        verified = run("verify", "--deep", "--json", db=self.db, check=None).object
        assert verified["ok"], (verified, self.log)
        assert verified["pending"] == 0


Watch = Callable[[], Daemon]
"""The fixture `watch`: begins to watch the folder `music`."""


@contextmanager
def watching(
    *words: Word,
    db: Path,
    config: str = QUICK,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    log: Path | None = None,
    stderr: Path | None = None,
    until: Callable[[Daemon], object] | None = Daemon.watches,
    may_fail: bool = False,
) -> Iterator[Daemon]:
    """Start `watcher run` and wait until it watches; it is killed at the end of the `with`.

    `log` is the file for its lines, unless `stderr` is given. `prefix` is a command that starts
    ours, and `until` the line to wait for first. With `may_fail` its log may contain tracebacks.
    """
    log = log or db.with_name("watcher.log")
    file = log.with_name("watcher.toml")
    file.write_text(config)
    command = [*prefix, *PROGRAM, "--db", db, "--config", file, "run", "--verbose", *words]
    with (
        (stderr or log).open("wb") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**ENVIRONMENT, **(env or {})},
        ) as process,
    ):
        daemon = Daemon(process, db, log)
        try:
            if until is not None:
                until(daemon)
            yield daemon
            assert may_fail or "Traceback" not in daemon.log
        finally:
            if prefix and process.poll() is None:  # killing strace alone would leave it running
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()


def shown(db: Path) -> Shown:
    """The contents of the view."""
    return dict(rows(db, "SELECT path, title FROM library"))


def ids(db: Path) -> dict[object, int]:
    """Path -> id of the tracks in the view."""
    return dict(rows(db, "SELECT path, id FROM library"))


def context_switches(pid: int) -> int:
    """Voluntary context switches of the threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/status")
    lines = (line for task in tasks for line in task.read_text("ascii").splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def cpu_ticks(pid: int) -> int:
    """User and system time of a process in clock ticks (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def io_of(pid: int) -> dict[str, int]:
    """The counters of proc_pid_io(5)."""
    lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
    return {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}


def ticks_per_second() -> int:
    return int(os.sysconf("SC_CLK_TCK"))
