"""Workers, daemons and a Redis that end in the middle: nothing is lost, and nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
import pytest
import redis

from indexer.queue.orders.jobs import our_queue
from indexer.queue.orders.queues import Queues
from indexer.results.report import ChangeRow
from tests.corpus import plant, tagged
from tests.daemons import Daemon, ids, shown, watching
from tests.halting import STAGES, Halts
from tests.odd_readers import ODD_READERS
from tests.programs import Running, Word, count, eventually, rows, run
from tests.programs import started as started_program
from tests.redis_servers import RedisServer
from tests.rq_workers import (
    Crew,
    alive,
    await_ends,
    crew,
    failed,
    held,
    is_quiet,
    kill,
    quick,
    serves,
    workers,
)
from tests.trees import put, replayed

SOON_S: Final = 20.0
"""Much less than the pause until something else would find it."""
SMALL: Final[dict[str, Any]] = {"chunk_files": 10, "queue_live_files": 10}
FILES: Final = 80
MANY: Final = int(os.environ.get("QUEUED_FILES", "2000"))
"""Files of a long rebuild."""


class System:
    """A folder of music, its daemon, its worker and their Redis."""

    def __init__(self, stack: ExitStack, music: Path, db: Path, server: RedisServer) -> None:
        self.music, self.db, self.server = music, db, server
        self.client = server.client()
        self.daemon: Daemon
        self.crew: Crew
        self.halts: Halts
        self._stack = stack
        self.config = quick(server.address)
        self._env: dict[str, str] = {}
        self._started = 0

    def configure(self, *, odd: bool = False, halting: bool = False, **more: Any) -> None:
        """Other settings, `odd` readers that do what a file's name tells them, or `halts`."""
        self.config = quick(self.server.address, **more)
        if odd:
            self._env = ODD_READERS
        if halting:
            self.halts = Halts(self.db.with_name("halts"))
            self._env = self.halts.env

    def employ(self, *words: str) -> Crew:
        """Start a worker, and wait until it works."""
        self._started += 1
        self.crew = self._stack.enter_context(
            crew(*words, db=self.db, config=self.config, client=self.client,
                 name=f"worker{self._started}", env=self._env)
        )  # fmt: skip
        return self.crew

    def watch(self, until: Callable[[Daemon], object] | None = Daemon.watches) -> Daemon:
        """Start the daemon."""
        self._started += 1
        log = self.db.with_name(f"watcher{self._started}.log")
        self.daemon = self._stack.enter_context(
            watching(self.music, db=self.db, config=self.config, log=log, until=until)
        )
        return self.daemon

    def is_right(self) -> None:
        """Nothing waits, and index equals disk, row by row and in the feed."""
        is_quiet(self.db, within_s=30)
        verified = run("verify", "--deep", "--json", db=self.db, check=None).object
        assert verified["ok"], verified
        assert verified["pending"] == 0
        assert rows(self.db, "SELECT count(*) FROM pending") == [(0,)]
        doubled = "SELECT root, path FROM library GROUP BY root, path HAVING count(*) > 1"
        assert rows(self.db, doubled) == []
        told = [
            msgspec.convert(one, ChangeRow) for one in run("changes", "--json", db=self.db).objects
        ]
        present = replayed(told)
        shown = {one: (root, path) for one, root, path in
                 rows(self.db, "SELECT id, root, path FROM library")}  # fmt: skip
        assert {one: place[:2] for one, place in present.items()} == shown


@pytest.fixture
def system(music: Path, db: Path, server: RedisServer) -> Iterator[System]:
    with ExitStack() as stack:
        yield System(stack, music, db, server)


def songs(
    files: int = FILES, *, name: str = "", in_folder: int = 10
) -> dict[str | bytes, bytes | None]:
    return {
        f"{n // in_folder}/{name}{n:03}.mp3": tagged(title=f"Song {n}", album=f"{n // in_folder}")
        for n in range(files)
    }


def caught(system: System, stage: str) -> tuple[psutil.Process, str]:
    """The owner, once it has stopped in the middle of a stage that `halts` asks for; its job."""
    system.halts.await_taken(stage)
    owner = system.crew.owner(system.client)
    eventually(lambda: owner.status() == psutil.STATUS_STOPPED)
    (registered,) = (one for one in workers(system.client) if one.pid == owner.pid)
    return owner, str(registered.get_current_job_id())


def run_id(client: redis.Redis) -> str:
    return str(client.info("server")["run_id"])


# ---- workers


def test_an_owner_that_is_killed_in_the_middle_of_each_stage_costs_nothing(system: System) -> None:
    system.configure(halting=True, **SMALL)
    plant(system.music, songs())
    crew = system.employ()
    for stage in STAGES:
        system.halts.ask(stage)
        if stage == STAGES[0]:
            system.watch(until=None)
        owner, job = caught(system, stage)
        assert count(system.db, "SELECT count(*) FROM pending") > 0
        kill(owner)
        assert job.startswith(f"{stage}-" if stage != "commit" else "insert-")
    crew.await_line("worker lost", "how=signal 9", times=len(STAGES))
    system.daemon.watches()
    assert len(shown(system.db)) == FILES
    before = ids(system.db)
    for stage in STAGES:
        system.halts.ask(stage)
        (system.music / "3").rename(system.music / f"3 {stage}")
        put(system.music, "4/040.mp3", tagged(title=f"Retagged {stage}"))
        owner, _ = caught(system, stage)
        kill(owner)
        eventually(lambda stage=stage: shown(system.db)["4/040.mp3"] == f"Retagged {stage}")  # type: ignore[misc]
        eventually(lambda stage=stage: f"3 {stage}/030.mp3" in shown(system.db))  # type: ignore[misc]
        (system.music / f"3 {stage}").rename(system.music / "3")
        eventually(lambda: "3/030.mp3" in shown(system.db))
    system.is_right()
    assert ids(system.db) == before


@pytest.mark.parametrize(("files", "chunk"), [(FILES, 10), (MANY, 50)])
def test_after_an_inserter_that_was_killed_in_a_rebuild_no_file_is_opened_again(
    files: int, chunk: int, system: System
) -> None:
    system.configure(halting=True, chunk_files=chunk, queue_live_files=chunk)
    plant(system.music, songs(files))
    crew = system.employ()
    system.halts.ask("insert")
    place = os.fspath(system.music)
    with started_program(
        "rebuild", place, "--queue", "--json", db=system.db, config=system.config
    ) as rebuild:
        owner, _ = caught(system, "insert")
        eventually(lambda: system.client.llen(our_queue("extract", system.client).key) == 0)
        kill(owner)
        crew.await_line("worker lost", "how=signal 9")
        report = rebuild.end().object
    assert (report["added"], report["pending"], report["files_read"]) == (files, 0, files)
    told = run("status", "--json", db=system.db, config=system.config).object["redis"]["cache"]
    in_hand = 2 * chunk
    assert told["hits"] > 0, "the chunk of the job that was lost"
    assert files <= told["misses"] <= files + in_hand
    system.is_right()


@pytest.mark.parametrize("profile", ["pi", "server"])
def test_kills_at_random_moments_cost_nothing(system: System, profile: str) -> None:
    system.configure(profile=profile, **SMALL)
    chance = random.Random(5)
    plant(system.music, songs())
    crew = system.employ()
    system.watch(until=None)
    for _ in range(6):
        done = count(system.db, "SELECT count(*) FROM tracks")
        most = min(FILES, done + chance.randrange(1, 20))
        eventually(lambda most=most: count(system.db, "SELECT count(*) FROM tracks") >= most)  # type: ignore[misc]
        kill(chance.choice(eventually(lambda: crew.children)))
        assert crew.owner(system.client).pid != crew.reader(system.client).pid
    system.daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == FILES


def test_a_reader_and_a_worker_that_are_killed_cost_a_second_reading(system: System) -> None:
    system.configure(odd=True, **SMALL)
    plant(system.music, songs(40, name="slow "))
    crew = system.employ("--jobs", "1")
    system.watch(until=None)

    worker = crew.reader(system.client)
    first = eventually(lambda: reader_of(worker))
    kill(first)
    victim = eventually(lambda: one if (one := reader_of(worker)) != first else None)
    assert worker.is_running(), "nothing but the reader has ended"
    kill(worker)
    await_ends([victim])
    crew.await_line("worker lost", "post=extract", "how=signal 9")
    system.daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == 40


def reader_of(worker: psutil.Process) -> psutil.Process | None:
    """The process that reads files for a worker, if it has one now."""
    return next(iter(alive(worker.children())), None)


def test_an_owner_that_sleeps_longer_than_its_lease_gives_a_late_answer_that_doubles_nothing(
    system: System,
) -> None:
    system.configure(lease=0.3, halting=True, **SMALL)
    plant(system.music, songs(60))
    system.employ()
    system.halts.ask("insert")
    system.watch(until=None)
    owner, job = caught(system, "insert")
    _, row, _, turn = job.split("-")

    def given_again() -> bool:
        """Whether its row waits once more: on a busy machine, it did so even before."""
        for one in (job for jobs in held(system.client).values() for job in jobs):
            stage, first, second, again, *_ = one.split("-")
            if (second if stage == "scan" else first) == row and again != turn:
                return True
        return False

    eventually(given_again)
    owner.resume()
    system.daemon.watches()
    system.is_right()
    assert alive([owner])
    assert len(shown(system.db)) == 60
    assert failed(system.client) == []


# ---- the daemon


def test_a_daemon_that_is_killed_goes_on_where_it_was(system: System) -> None:
    system.configure(**SMALL)
    plant(system.music, songs())
    system.employ()
    for most in (1, 40):
        first = system.watch(until=None)
        eventually(lambda most=most: count(system.db, "SELECT count(*) FROM tracks") >= most)  # type: ignore[misc]
        first.process.kill()
        assert first.process.wait() == -signal.SIGKILL
    before = ids(system.db)
    system.watch()
    system.is_right()
    assert len(shown(system.db)) == FILES
    assert ids(system.db).items() >= before.items()
    assert system.daemon.state() == "watching"


def test_what_is_held_back_without_a_daemon_is_found_by_the_next(system: System) -> None:
    system.configure(**SMALL)
    plant(system.music, songs(30))
    system.employ()
    first = system.watch()
    before = ids(system.db)
    first.process.kill()
    first.process.wait()
    (system.music / "0").rename(system.music / "zero")
    (system.music / "1/010.mp3").unlink()
    plant(system.music, {"new.mp3": tagged(title="New")})
    system.watch()
    system.is_right()
    kept = {str(path).replace("zero/", "0/"): one for path, one in ids(system.db).items()}
    new = kept.pop("new.mp3")
    assert {**kept, "1/010.mp3": before["1/010.mp3"]} == before
    assert new not in before.values()


# ---- Redis


def test_flushall_in_the_middle_costs_a_lease(system: System) -> None:
    system.configure(odd=True, **SMALL)
    plant(system.music, songs(40, name="slow "))
    crew = system.employ("--jobs", "1")
    crew.may_fail = True  # the job that was at work
    system.watch(until=None)
    eventually(lambda: len(held(system.client)["extract"]) >= 2)
    lost = held(system.client)["extract"]
    system.client.flushall()
    assert not set(lost) & set(held(system.client)["extract"])
    assert count(system.db, "SELECT count(*) FROM pending") > 0
    system.daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == 40
    plant(system.music, {"later.mp3": tagged(title="Later")})
    eventually(lambda: shown(system.db).get("later.mp3") == "Later", within_s=SOON_S)
    assert len(alive(crew.children)) == 2
    eventually(
        lambda: {one.pid for one in workers(system.client)} == {one.pid for one in crew.children},
        within_s=SOON_S,
    )


def test_a_redis_that_restarts_empty_gets_everything_again(system: System) -> None:
    system.configure(odd=True, **SMALL)
    plant(system.music, songs(40, name="slow "))
    system.employ("--jobs", "1")
    system.watch(until=None)
    eventually(lambda: count(system.db, "SELECT count(*) FROM tracks") > 0)
    before = run_id(system.client)
    system.server.kill()
    system.daemon.await_line("redis away")
    plant(system.music, {"while away.mp3": tagged(title="While away")})
    system.server.restart()
    assert run_id(system.server.client()) != before
    system.daemon.await_line("redis restarted")
    assert len(system.daemon.lines("redis away")) == 1, "it is said once"
    system.daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == 41
    serves(system.crew, system.server.client())


def test_a_redis_that_is_absent_at_the_start_is_waited_for(system: System) -> None:
    plant(system.music, songs(20))
    system.server.kill()
    daemon = system.watch(until=lambda daemon: daemon.await_line("redis away"))
    plant(system.music, {"early.mp3": tagged(title="Early")})
    eventually(lambda: daemon.state() == "scanning")
    assert shown(system.db) == {}
    assert daemon.process.poll() is None
    system.server.restart()
    system.employ()
    daemon.await_line("redis back")
    daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == 21
    assert daemon.end() == 0


def test_another_program_at_the_address_of_redis_ends_neither_daemon_nor_worker(
    system: System,
) -> None:
    plant(system.music, songs(1))
    crew = system.employ()
    daemon = system.watch()
    system.server.kill()
    system.server.socket.unlink()
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(os.fsencode(system.server.socket))
        other.listen()
        plant(system.music, {"meanwhile.mp3": tagged(title="Meanwhile")})
        other.settimeout(0.1)
        until = time.monotonic() + SOON_S
        while "Protocol Error" not in daemon.log or "Protocol Error" not in crew.log:
            assert time.monotonic() < until
            with suppress(OSError), closing(other.accept()[0]) as client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    system.server.socket.unlink()
    system.server.restart()
    daemon.await_line("redis back")
    system.is_right()
    assert len(shown(system.db)) == 2
    assert "Traceback" not in daemon.log + crew.log


@pytest.mark.parametrize("fault", ["replica", "memory", "rights"])
def test_a_redis_that_refuses_is_told_in_a_line_and_costs_nothing(
    system: System, fault: str
) -> None:
    refuse, allow = {
        "replica": (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
        "memory": (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
        "rights": (
            ["ACL", "SETUSER", "default", "-@write"],
            ["ACL", "SETUSER", "default", "+@all"],
        ),
    }[fault]
    plant(system.music, songs(1))
    crew = system.employ()
    daemon = system.watch()
    client: Any = system.client
    client.execute_command(*refuse)
    plant(system.music, {"meanwhile.mp3": tagged(title="Meanwhile")})
    daemon.await_line("Redis refuses")
    client.execute_command(*allow)
    daemon.await_line("redis back")
    system.is_right()
    assert len(shown(system.db)) == 2
    assert "Traceback" not in daemon.log + crew.log


@pytest.mark.parametrize(
    "key",
    ["music-indexer:batch-orders", "music-indexer:parked", "music-indexer:scans",
     "music-indexer:reading-counts", "music-indexer:totals", "rq:queues", "rq:workers",
     "rq:queue:scan", "rq:queue:extract", "rq:queue:batch", "rq:queue:insert",
     "rq:queue:extract:intermediate", "rq:wip:insert", "rq:failed:extract", "rq:scheduled:batch",
     "rq:finished:scan", "rq:workers:extract"],
)  # fmt: skip
def test_what_others_put_in_a_place_of_ours_is_renamed_and_told(system: System, key: str) -> None:
    system.configure(reconnect_longest=0.05)
    plant(system.music, songs(1))
    crew = system.employ()
    daemon = system.watch()
    system.client.set(key, "none of ours")
    titles = iter(range(2, 1000))

    def told() -> bool:
        number = next(titles)  # Redis is checked only while there is work, and not each time
        plant(system.music, {f"{number}.mp3": tagged(title=f"{number}")})
        time.sleep(0.2)
        return f"foreign key renamed key={key} " in daemon.log

    eventually(told, within_s=SOON_S)
    plant(system.music, {"last.mp3": tagged(title="Last")})
    daemon.await_line("added path=music/last.mp3")
    system.is_right()
    assert len(shown(system.db)) == next(titles)
    assert system.client.get(f"music-indexer:foreign:{key}") == b"none of ours"
    assert system.client.ttl(f"music-indexer:foreign:{key}") > 0
    assert "Traceback" not in daemon.log + crew.log


def test_workers_that_another_program_has_suspended_are_told(system: System) -> None:
    plant(system.music, songs(1))
    system.employ()
    daemon = system.watch()
    system.client.set("rq:suspended", 1)
    plant(system.music, {"meanwhile.mp3": tagged(title="Meanwhile")})
    daemon.await_line("workers suspended", "redis-cli del rq:suspended")
    system.client.delete("rq:suspended")
    system.is_right()
    assert len(shown(system.db)) == 2


def test_a_job_that_is_deleted_between_two_queues_is_given_out_again(system: System) -> None:
    system.configure(**SMALL)
    plant(system.music, songs(60))
    crew = system.employ("--jobs", "1")
    system.crew.reader(system.client).suspend()
    reader = crew.reader(system.client)
    system.watch(until=None)
    eventually(lambda: len(held(system.client)["extract"]) >= 4)
    one, other, third = held(system.client)["extract"][:3]
    queue = our_queue("extract", system.client)
    assert system.client.delete(f"rq:job:{one}") == 1
    assert system.client.lrem(queue.key, 0, other) == 1
    assert system.client.delete(f"rq:job:{third}") == 1
    assert system.client.lrem(queue.key, 0, third) == 1
    reader.resume()
    system.daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == 60
    rows_lost = {one.split("-")[1], other.split("-")[1], third.split("-")[1]}
    assert len(rows_lost) == 3


def test_a_scan_that_waits_for_room_is_not_forgotten_when_its_owner_is_killed(
    system: System,
) -> None:
    system.configure(queue_files=20, **SMALL)
    plant(system.music, songs(60))
    crew = system.employ("--jobs", "1")
    reader = crew.reader(system.client)
    reader.suspend()
    system.watch(until=None)
    eventually(lambda: Queues(system.client).parked())
    kill(crew.owner(system.client))
    reader.resume()
    system.daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == 60
    assert Queues(system.client).parked() == []


def test_a_scan_that_waits_for_room_goes_on_though_nobody_is_left_to_wake_it(
    system: System,
) -> None:
    """As after an owner that was killed right after the last insert."""
    plant(system.music, songs(10))
    system.watch(until=None)
    eventually(lambda: held(system.client)["scan"])
    generation = int(held(system.client)["scan"][0].split("-")[1])
    system.client.flushall()
    Queues(system.client).park(generation, 0, 1)
    system.employ()
    system.daemon.watches()
    system.is_right()
    assert len(shown(system.db)) == 10
    assert Queues(system.client).parked() == []


def test_a_chunk_that_has_become_smaller_is_known_while_it_waits(system: System) -> None:
    """It is asked for by the files that its row names, not by those that are left to be read."""
    system.configure(odd=True)
    plant(system.music, songs(5, name="slow "))
    worker = system.employ("--jobs", "1").reader(system.client)
    with started_command("rebuild", system.music, "--queue", "--json", system=system) as command:
        eventually(lambda: reader_of(worker))
        worker.suspend()
        (system.music / "0/slow 000.mp3").unlink()  # no daemon watches
        assert system.client.delete(*system.client.keys("rq:job:extract-*")) == 1
        eventually(lambda: held(system.client)["extract"])
        again = set(held(system.client)["extract"])
        until = time.monotonic() + 1.2
        while time.monotonic() < until:  # for two leases
            again |= set(held(system.client)["extract"])
        assert len(again) == 1, again
        worker.resume()
        assert command.end().object["added"] == 4
    system.is_right()


def started_command(*words: Word, system: System) -> AbstractContextManager[Running]:
    """A command of the system."""
    return started_program(*words, db=system.db, config=system.config)
