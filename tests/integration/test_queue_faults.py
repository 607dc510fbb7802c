"""Workers, daemons and a Redis that end in the middle: nothing is lost, and nothing doubled."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
import pytest
import redis

from indexer.queue.orders.jobs import our_queue
from indexer.queue.orders.queues import Queues
from indexer.results.report import ChangeRow
from tests.bombs import MB, large_tag
from tests.corpus import plant, tagged
from tests.daemons import Daemon, ids, shown, watching
from tests.halting import STAGES, Halts
from tests.odd_readers import ODD_READERS
from tests.programs import Running, Word, count, eventually, rows, run
from tests.programs import started as started_program
from tests.redis_servers import RedisServer, redis_server
from tests.rq_workers import (
    Crew,
    alive,
    await_ends,
    crew,
    failed,
    held,
    is_quiet,
    kill,
    opens_database,
    quick,
    serves,
    workers,
)
from tests.trees import put, replayed, swap

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


# ---- files that kill their readers


def test_a_file_that_kills_its_reader_is_found_and_the_rest_of_its_chunk_is_indexed(
    system: System,
) -> None:
    system.configure(odd=True)
    plant(system.music, {**songs(7), "0/poison.mp3": tagged(title="Poison")})
    system.employ()
    system.watch()
    assert len(shown(system.db)) == 7
    ((path, kind, reason),) = rows(system.db, "SELECT path, kind, reason FROM problems")
    assert (path, kind) == (b"0/poison.mp3", "content")
    assert reason == "the reader died (signal 9) twice on this file"
    assert failed(system.client) == [], "its worker has found it, within one job"
    assert rows(system.db, "SELECT count(*) FROM pending") == [(0,)]


def test_a_file_on_which_its_reader_hangs_is_found_too(system: System) -> None:
    system.configure(odd=True, reader_timeout=0.3)
    plant(system.music, {**songs(3), "0/hang.mp3": tagged(title="Hang")})
    system.employ()
    system.watch()
    assert len(shown(system.db)) == 3
    ((path, kind, reason),) = rows(system.db, "SELECT path, kind, reason FROM problems")
    assert (path, kind) == (b"0/hang.mp3", "content")
    assert reason == "the reader took longer than 0.3 s twice on this file"
    assert failed(system.client) == []


def test_a_file_that_takes_too_much_memory_is_at_fault_and_its_worker_stays_small(
    system: System,
) -> None:
    system.configure(worker_memory=64)
    plant(system.music, {"large.mp3": large_tag(100 * MB), "song.wma": tagged(".wma", title="S")})
    worker = system.employ("--jobs", "1").reader(system.client)
    system.watch()
    assert shown(system.db) == {"song.wma": "S"}
    ((kind, reason),) = rows(system.db, "SELECT kind, reason FROM problems")
    assert kind == "content"
    assert reason.startswith("takes more memory to read than the setting")
    assert worker.is_running()
    assert worker.memory_info().rss < 64 * MB


def test_a_file_that_takes_its_worker_along_is_found_file_by_file(system: System) -> None:
    system.configure(odd=True)
    plant(system.music, {**songs(7), "0/plague.mp3": tagged(title="Plague")})
    system.employ("--jobs", "1")
    system.watch(until=None)
    eventually(lambda: rows(system.db, "SELECT path FROM problems"))
    is_quiet(system.db)
    system.daemon.watches()
    assert len(shown(system.db)) == 7
    ((path, kind, reason),) = rows(system.db, "SELECT path, kind, reason FROM problems")
    assert (path, kind) == (b"0/plague.mp3", "content")
    assert reason == "the whole worker that read it was lost 3 times in a row"
    assert system.daemon.lines("condemned", "music/0/plague.mp3")


def test_a_poisonous_file_is_tried_again_when_it_changes(system: System) -> None:
    system.configure(odd=True)
    plant(system.music, {"poison.mp3": tagged(title="Poison")})
    system.employ()
    system.watch()
    assert rows(system.db, "SELECT count(*) FROM problems") == [(1,)]
    (system.music / "poison.mp3").rename(system.music / "cured.mp3")
    eventually(lambda: shown(system.db) == {"cured.mp3": "Poison"}, within_s=SOON_S)
    is_quiet(system.db)
    assert rows(system.db, "SELECT count(*) FROM problems") == [(0,)]


def test_a_reader_is_kept_between_jobs_and_loads_neither_redis_nor_the_database(
    system: System,
) -> None:
    worker = system.employ("--jobs", "1").reader(system.client)
    system.watch()
    assert reader_of(worker) is None, "nothing was to be read yet"
    plant(system.music, {"a.mp3": tagged(title="A")})
    eventually(lambda: shown(system.db) == {"a.mp3": "A"})
    reader = reader_of(worker)
    assert reader is not None
    plant(system.music, {"b.mp3": tagged(title="B")})
    eventually(lambda: shown(system.db) == {"a.mp3": "A", "b.mp3": "B"})
    assert reader_of(worker) == reader
    assert not opens_database(reader.pid, system.db)
    assert reader.net_connections("all") == []
    status = run("status", "--json", db=system.db, config=system.config).object
    (told,) = [one for one in status["workers"] if one["queues"] == ["extract"]]
    assert told["readers"] == [reader.pid]
    assert told["memory"] > worker.memory_info().rss
    assert [one["pid"] for one in status["processes"] if one["role"] == "reader"] == [reader.pid]


def test_a_redis_that_goes_while_a_file_is_read_does_not_end_the_reader(system: System) -> None:
    system.configure(odd=True)
    plant(system.music, {"slow.mp3": tagged(title="Slow")})
    system._env = {**system._env, "SLOW_S": "7"}  # longer than the time between two heartbeats
    worker = system.employ("--jobs", "1").reader(system.client)
    system.crew.may_fail = True
    system.watch(until=None)
    reader = eventually(lambda: reader_of(worker))
    system.server.kill()
    system.crew.await_line("redis away")
    time.sleep(0.2)
    assert alive([worker, reader]) == [worker, reader]
    system.server.restart()
    system.daemon.watches()
    assert shown(system.db) == {"slow.mp3": "Slow"}


# ---- live


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, empty_index: Path) -> Iterator[System]:
    """A system in which nothing goes wrong; each test has a folder of its own in it."""
    folder = tmp_path_factory.mktemp("calm")
    music, db = folder / "music", folder / "index" / "library.db"
    for path in (music, db.parent):
        path.mkdir()
    shutil.copyfile(empty_index, db)
    with redis_server(folder / "redis") as server, ExitStack() as stack:
        system = System(stack, music, db, server)
        system.employ()
        system.watch()
        yield system
        system.is_right()


def soon(system: System, folder: str, expected: dict[str, str]) -> None:
    """Within a moment the view holds just these files in a folder, with these titles."""

    def there() -> dict[str, str | None]:
        return {
            path.removeprefix(f"{folder}/"): title
            for path, title in shown(system.db).items()
            if path.startswith(f"{folder}/")
        }

    try:
        eventually(lambda: there() == expected, within_s=SOON_S)
    except AssertionError:
        assert there() == expected, system.daemon.log
        raise


def test_what_happens_to_files_is_soon_seen(calm: System) -> None:
    folder = calm.music / "files"
    plant(folder, {"a/1.mp3": tagged(title="1"), "a/2.mp3": tagged(title="2")})
    soon(calm, "files", {"a/1.mp3": "1", "a/2.mp3": "2"})
    before = ids(calm.db)
    put(folder, "a/1.mp3", tagged(title="1 again"))
    soon(calm, "files", {"a/1.mp3": "1 again", "a/2.mp3": "2"})
    (folder / "a").rename(folder / "b")
    soon(calm, "files", {"b/1.mp3": "1 again", "b/2.mp3": "2"})
    swap(folder, "b/1.mp3", "b/2.mp3")
    soon(calm, "files", {"b/1.mp3": "2", "b/2.mp3": "1 again"})
    now = ids(calm.db)
    assert now["files/b/1.mp3"] == before["files/a/2.mp3"]
    assert now["files/b/2.mp3"] == before["files/a/1.mp3"]
    (folder / "b/1.mp3").unlink()
    soon(calm, "files", {"b/2.mp3": "1 again"})
    assert calm.daemon.state() == "watching"


def test_a_file_that_is_held_open_is_pending_and_indexed_when_it_is_closed(calm: System) -> None:
    is_quiet(calm.db)
    folder, content = calm.music / "open", tagged(title="Whole")
    folder.mkdir()
    with (folder / "a.mp3").open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        eventually(lambda: count(calm.db, "SELECT count(*) FROM pending") == 1)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:  # for two leases
            soon(calm, "open", {})
            assert calm.daemon.status()["pending"] >= 1
        file.write(content[len(content) // 2 :])
    soon(calm, "open", {"a.mp3": "Whole"})
    is_quiet(calm.db, within_s=SOON_S)


def test_a_file_that_was_open_during_a_rebuild_is_pending_until_it_is_closed(calm: System) -> None:
    folder = calm.music / "rebuilt"
    plant(folder, {"a.mp3": tagged(title="A")})
    soon(calm, "rebuilt", {"a.mp3": "A"})
    with (folder / "a.mp3").open("r+b"):
        report = run("rebuild", "--json", db=calm.db).object
        assert report["pending"] == 1
        assert count(calm.db, "SELECT count(*) FROM pending") >= 1
    is_quiet(calm.db, within_s=SOON_S)


def test_the_other_links_of_a_file_follow_it(calm: System) -> None:
    folder = calm.music / "links"
    plant(folder, {"a/x.mp3": tagged(title="One"), "b/": None})
    os.link(folder / "a/x.mp3", folder / "b/y.mp3")
    soon(calm, "links", {"a/x.mp3": "One", "b/y.mp3": "One"})
    put(folder, "b/y.mp3", tagged(title="Two"))
    soon(calm, "links", {"a/x.mp3": "Two", "b/y.mp3": "Two"})
    (folder / "a/x.mp3").unlink()
    soon(calm, "links", {"b/y.mp3": "Two"})
    is_quiet(calm.db, within_s=SOON_S)


def test_a_root_that_is_added_beside_the_daemon_is_looked_at_and_watched(
    calm: System, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    plant(other, {"o.mp3": tagged(title="O")})
    run("roots", "add", other, db=calm.db)
    calm.daemon.await_line("watching root=other")
    assert shown(calm.db)["o.mp3"] == "O"
    states = {root["name"]: root["state"] for root in calm.daemon.status()["roots"]}
    assert states == {"music": "watching", "other": "watching"}
    put(other, "o.mp3", tagged(title="O again"))
    eventually(lambda: shown(calm.db).get("o.mp3") == "O again", within_s=SOON_S)
    assert run("rebuild", "--json", db=calm.db).object["seen"] == len(shown(calm.db))


def test_a_file_that_is_held_open_at_the_start_is_indexed_when_it_is_closed(system: System) -> None:
    plant(system.music, {"b.mp3": tagged(title="B")})
    content = tagged(title="Whole")
    with (system.music / "a.mp3").open("wb") as file:
        file.write(content)
        file.flush()
        system.employ()
        system.watch()
        eventually(lambda: shown(system.db) == {"b.mp3": "B"})
        assert count(system.db, "SELECT count(*) FROM pending") >= 1
    eventually(lambda: shown(system.db).get("a.mp3") == "Whole", within_s=SOON_S)
    system.is_right()


def test_a_root_is_scanning_until_the_workers_are_done(system: System) -> None:
    plant(system.music, songs(5))
    daemon = system.watch(until=None)
    eventually(lambda: daemon.state() == "scanning" if house_has_root(system.db) else False)
    assert daemon.lines("watching root=") == []
    system.employ()
    daemon.watches()
    assert daemon.state() == "watching"
    assert len(shown(system.db)) == 5


def house_has_root(db: Path) -> bool:
    return count(db, "SELECT count(*) FROM roots") > 0


def test_what_waits_of_a_root_that_is_away_waits_and_keeps_nobody_busy(system: System) -> None:
    plant(system.music, songs(5))
    system.employ("--jobs", "1")
    daemon = system.watch()
    reader = system.crew.reader(system.client)
    reader.suspend()
    plant(system.music, {"new.mp3": tagged(title="New")})
    eventually(lambda: any("extract" in job for job in held(system.client)["extract"]))
    aside = system.music.with_name("aside")
    system.music.rename(aside)
    daemon.await_line("offline root=music")
    eventually(lambda: count(system.db, "SELECT count(*) FROM pending") == 1)
    daemon.sleeps()
    reader.resume()
    daemon.sleeps()
    assert len(shown(system.db)) == 5
    aside.rename(system.music)
    daemon.watches(2)
    system.is_right()
    assert shown(system.db)["new.mp3"] == "New"


@pytest.mark.parametrize("lost", [("-wal",), ("-shm",), ("-wal", "-shm")], ids="".join)
def test_workers_and_daemon_open_an_index_again_whose_log_was_deleted(
    system: System, lost: tuple[str, ...]
) -> None:
    """A worker that kept the old one would write what no other program sees, and spoil the rest."""
    system.configure(probe_interval=60)
    plant(system.music, {f"{n}.mp3": tagged(title=f"{n}") for n in range(3)})
    system.employ()
    daemon = system.watch()
    before = ids(system.db)
    for suffix in lost:
        system.db.with_name(system.db.name + suffix).unlink()
    assert run("status", "--json", db=system.db).code == 0
    daemon.await_line("log lost", "action=", times=1)
    daemon.watches(times=2)
    plant(system.music, {"late.mp3": tagged(title="Late")})
    eventually(lambda: "late.mp3" in shown(system.db))
    after = ids(system.db)
    assert {path: after[path] for path in before} == before
    system.is_right()
    assert rows(system.db, "PRAGMA integrity_check") == [("ok",)]
