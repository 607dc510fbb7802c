"""A Redis and an index -> a real `indexer worker` that serves the queues, and its processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import redis
from rq.worker import BaseWorker, Worker

from indexer.queue.orders.jobs import JobsJson, our_queue
from indexer.queue.workers.profiles import QUEUES
from tests.programs import AT_MOST_S, ENVIRONMENT, Word, count, eventually
from tests.running import RunningProgram

PROGRAM = (sys.executable, "-P", "-m", "indexer")


def quick(server_address: str, **more: object) -> str:
    """Settings with short waits, for all three programs."""
    values: dict[str, object] = {
        "redis": server_address,
        "workers": 1,
        "still": 0.05,
        "retry_longest": 0.2,
        "probe_interval": 0.2,
        "lease": 0.5,
        "queue_retry_first": 0.05,
        "queue_retry_longest": 0.2,
        "reconnect_longest": 0.2,
        **more,
    }
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


class Crew(RunningProgram):
    """One `indexer worker`: a parent and its children, one of which may write the database."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        super().__init__(process, log)
        self.may_fail = False
        """Whether jobs may fail, with tracebacks in the log."""

    @property
    def children(self) -> list[psutil.Process]:
        """The children that serve queues."""
        return psutil.Process(self.pid).children()

    @property
    def everybody(self) -> list[psutil.Process]:
        """All descendants of the parent, including readers."""
        return psutil.Process(self.pid).children(recursive=True)

    def members(self, client: redis.Redis) -> list[BaseWorker]:
        """Its children, as registered in Redis."""
        pids = {child.pid for child in self.children}
        return [one for one in workers(client) if one.pid in pids]

    def owner(self, client: redis.Redis) -> psutil.Process:
        """The child that writes the database."""
        return eventually(lambda: self._serving(client, "insert"))

    def reader(self, client: redis.Redis) -> psutil.Process:
        """A child that serves the queue extract."""
        return eventually(lambda: self._serving(client, "extract"))

    def _serving(self, client: redis.Redis, queue: str) -> psutil.Process | None:
        pids = {one.pid for one in workers(client) if queue in one.queue_names()}
        return next((child for child in self.children if child.pid in pids), None)

    def done(self, client: redis.Redis) -> int:
        """How many jobs it has done successfully."""
        return sum(int(one.successful_job_count) for one in self.members(client))


def workers(client: redis.Redis) -> list[BaseWorker]:
    return [
        one for one in Worker.all(connection=client, serializer=JobsJson) if one.pid is not None
    ]


@contextmanager
def crew(
    *words: Word,
    db: Path | None,
    config: str,
    name: str = "worker",
    folder: Path | None = None,
    client: redis.Redis | None = None,
    prefix: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Crew]:
    """Start `indexer worker`; it is killed at the end of the `with`.

    With a `client`, wait until all of its children are registered there.
    """
    folder = folder or (db.parent if db is not None else None)
    assert folder is not None
    log, file = folder / f"{name}.log", folder / f"{name}.toml"
    file.write_text(config)
    named: list[Word] = [] if db is None else ["--db", db]
    command = [*prefix, *PROGRAM, *named, "--config", file, "worker", *words]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env={**ENVIRONMENT, **(env or {})},
        ) as process,
    ):
        running = Crew(process, log)
        try:
            if client is not None:
                serves(running, client)
            yield running
            assert running.may_fail or "Traceback" not in running.log, running.log
        finally:
            below: list[psutil.Process] = []
            with suppress(psutil.NoSuchProcess):
                below = running.everybody
            process.kill()
            process.wait(AT_MOST_S)
            await_ends(below)


def serves(running: Crew, client: redis.Redis) -> None:
    """Wait until all children of a worker are registered."""

    def registered() -> bool:
        assert running.process.poll() is None, running.log
        children = {child.pid for child in running.children}
        return bool(children) and children <= {one.pid for one in workers(client)}

    eventually(registered)


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes that have not ended; a zombie has ended."""

    def lives(process: psutil.Process) -> bool:
        try:
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if lives(process)]


def await_ends(processes: Iterable[psutil.Process]) -> None:
    """Wait until all processes have ended."""
    eventually(lambda: not alive(processes))


def kill(process: psutil.Process) -> None:
    """Kill a process as the kernel does when memory is short, and wait for its end."""
    process.kill()
    await_ends([process])


def is_quiet(db: Path, *, within_s: float = AT_MOST_S) -> None:
    """Wait until nothing is pending."""
    eventually(lambda: count(db, "SELECT 1 + count(*) FROM pending") == 1, within_s=within_s)


def held(client: redis.Redis) -> dict[str, list[str]]:
    """Queue -> the ids of its jobs."""
    return {name: our_queue(name, client).get_job_ids() for name in QUEUES}


def failed(client: redis.Redis) -> list[str]:
    """The ids of all failed jobs."""
    return sorted(
        job_id
        for name in QUEUES
        for job_id in our_queue(name, client).failed_job_registry.get_job_ids(cleanup=False)
    )


def opens_database(pid: int, db: Path) -> bool:
    """Whether a process has SQLite loaded, or the database open."""
    maps = Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
    if re.search(r"apsw|sqlite", maps, re.IGNORECASE):
        return True
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if os.readlink(link).startswith(os.fspath(db)):
                return True
    return False
