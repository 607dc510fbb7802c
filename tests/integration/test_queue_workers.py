"""`indexer worker` with a real Redis: how it starts, waits, ends, and replaces what was killed."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
import redis

from indexer.queue.orders.queues import files_in
from tests.corpus import plant
from tests.integration.conftest import Mount
from tests.integration.test_queued_commands import client, config, is_right, server, songs, view
from tests.odd_readers import ODD_READERS
from tests.programs import AT_MOST_S, eventually, run, started
from tests.redis_servers import redis_server
from tests.rq_workers import (
    alive,
    await_ends,
    crew,
    failed,
    held,
    kill,
    opens_database,
    quick,
    serves,
    workers,
)

# ---- the worker

__all__ = ("client", "config", "server")  # fixtures


def test_a_worker_waits_for_redis_and_the_database_and_says_so(
    music: Path, no_db: Path, tmp_path: Path
) -> None:
    plant(music, songs(5))
    no_db.parent.mkdir()
    folder = tmp_path / "redis"
    config = quick(f"unix://{folder}/redis.sock")
    with crew(db=no_db, config=config) as waiting:
        waiting.await_line("waiting for=redis", times=2)
        with redis_server(folder) as server:
            waiting.await_line("waiting for=database", f"path={no_db}")
            report = run("rebuild", music, "--queue", "--json", db=no_db, config=config).object
            assert report["added"] == 5
            serves(waiting, server.client())
            is_right(no_db)
            assert waiting.end() == 0


def test_a_worker_that_is_told_to_stop_while_it_waits_ends_at_once(
    no_db: Path, tmp_path: Path
) -> None:
    no_db.parent.mkdir()
    config = quick(f"unix://{tmp_path}/nowhere.sock")
    with crew(db=no_db, config=config) as waiting:
        waiting.await_line("waiting for=redis", times=2)
        assert waiting.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_warm_and_its_children_with_it(
    db: Path, config: str, client: redis.Redis, number: signal.Signals
) -> None:
    with crew("--jobs", "2", db=db, config=config, client=client) as running:
        children = running.everybody
        assert len(children) == 2, "the second reader comes when there is work for it"
        assert running.end(number) == 0
        assert alive(children) == []
        assert workers(client) == [], "they said good-bye"


def test_a_worker_that_is_told_to_stop_as_it_starts_ends(
    db: Path, config: str, client: redis.Redis
) -> None:
    for others in range(3):  # the later, the more of the children are about to begin
        with crew("--jobs", "2", db=db, config=config) as running:
            eventually(lambda running=running: len(running.children) == 2)  # type: ignore[misc]
            eventually(lambda others=others: len(workers(client)) >= others)  # type: ignore[misc]
            assert running.end() == 0
        client.flushall()


def test_a_warm_end_lets_the_job_at_hand_be_done(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(10, name="slow "))
    words = ("rebuild", music, "--queue", "--json")
    with (
        crew(db=db, config=config, client=client, env=ODD_READERS) as running,
        started(*words, db=db, config=config) as command,
    ):
        eventually(lambda: any(is_reader(one, running.pid) for one in running.everybody))
        assert running.end() == 0
        assert failed(client) == []
        with crew(db=db, config=config, client=client, name="second"):
            report = command.end().object
            assert (report["added"], report["files_read"]) == (10, 10)


def is_reader(process: psutil.Process, parent: int) -> bool:
    """Whether it is the reader process of a worker."""
    return process.ppid() != parent


def test_kill_9_of_the_parent_ends_all_children_and_a_reader_at_work(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(100, name="slow "))
    words = ("rebuild", music, "--queue")
    with (
        crew(db=db, config=config, client=client, env=ODD_READERS) as running,
        started(*words, db=db, config=config),
    ):
        everybody = eventually(
            lambda: [
                one for one in [running.everybody] if any(is_reader(p, running.pid) for p in one)
            ]
        )[0]
        assert len(everybody) >= 3
        running.process.kill()
        running.process.wait()
        await_ends(everybody)


def test_more_readers_come_when_there_is_work_for_them(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(60, name="slow "))
    config += "chunk_files = 5\n"
    with crew("--jobs", "2", db=db, config=config, client=client, env=ODD_READERS) as running:
        assert len(running.children) == 2
        run("rebuild", music, "--queue", db=db, config=config)
        assert len(running.children) == 3
        readers = [one for one in running.members(client) if one.queue_names() == ["extract"]]
        assert [int(one.successful_job_count) > 0 for one in readers] == [True, True]


def test_a_child_that_is_killed_is_replaced(db: Path, config: str, client: redis.Redis) -> None:
    with crew(db=db, config=config, client=client) as running:
        for child in running.children:
            kill(child)
        running.await_line("worker lost", "how=signal 9", times=2)
        serves(running, client)
        assert running.end() == 0


def test_burst_ends_when_the_queues_are_empty(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(5))
    with crew("--burst", db=db, config=config) as running:
        assert running.process.wait(AT_MOST_S) == 0
    with (
        started("rebuild", music, "--queue", "--json", db=db, config=config) as command,
    ):
        eventually(lambda: held(client)["scan"])
        words = ("--burst", "--queues", "scan,batch,insert")
        with crew(*words, db=db, config=config) as owner:
            assert owner.process.wait(AT_MOST_S) == 0
        assert [files_in(one) for one in held(client)["extract"]] == [5]
        with crew("--burst", "--queues", "extract", db=db, config=config) as reader:
            assert reader.process.wait(AT_MOST_S) == 0
        with crew("--burst", db=db, config=config) as rest:
            assert rest.process.wait(AT_MOST_S) == 0
        assert command.end().object["added"] == 5


def test_burst_leaves_scans_to_a_worker_that_does_them_and_ends(
    db: Path, config: str, client: redis.Redis
) -> None:
    with (
        crew("--queues", "scan", db=db, config=config, client=client),
        crew("--burst", db=db, config=config, name="burst") as running,
    ):
        assert running.process.wait(AT_MOST_S) == 0
        assert "left out queue=scan" in running.log


def test_a_lent_worker_never_opens_the_database(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(30, name="slow "))
    words = ("--queues", "extract", "--jobs", "1")
    with (
        crew("--queues", "scan,batch,insert", db=db, config=config, client=client) as owner,
        crew(*words, db=db, config=config, name="lent", env=ODD_READERS) as lent,
        started("rebuild", music, "--queue", "--json", db=db, config=config) as command,
    ):
        eventually(lambda: any(is_reader(one, lent.pid) for one in lent.everybody))
        looked = {process.pid for process in (*lent.everybody, psutil.Process(lent.pid))}
        assert [pid for pid in looked if psutil.pid_exists(pid) and opens_database(pid, db)] == []
        assert opens_database(owner.owner(client).pid, db), "the test can tell"
        assert not opens_database(owner.pid, db), "the parent of an owner does not, either"
        assert command.end().object["added"] == 30


# ---- several machines


def test_two_workers_that_see_the_tree_at_different_paths_both_read_it(
    music: Path, db: Path, tmp_path: Path, config: str, client: redis.Redis, mount: Mount
) -> None:
    plant(music, songs(60, name="slow "))
    share = mount(tmp_path / "share", "--bind", music)
    local = tmp_path / "local" / "library.db"
    local.parent.mkdir()
    run("rebuild", music, db=local, config="still = 0.05\n")
    small = config + "chunk_files = 5\n"
    elsewhere = small + f'[roots.music]\npath = "{share}"\n'
    words = ("--queues", "extract")
    with (
        crew("--queues", "scan,batch,insert", db=db, config=small, client=client),
        crew(*words, db=db, config=small, client=client, name="one", env=ODD_READERS) as one,
        crew(*words, db=None, folder=tmp_path, config=elsewhere, client=client, name="other",
             env=ODD_READERS) as other,
    ):  # fmt: skip
        report = run("rebuild", music, "--queue", "--json", db=db, config=small).object
        assert (report["added"], report["files_read"]) == (60, 60)
        assert (one.done(client) > 0, other.done(client) > 0) == (True, True)
        (music / "0").rename(music / "zero")
        run("scan", "--queue", db=db, config=small)
    run("scan", db=local, config="still = 0.05\n")
    assert view(db) == view(local)
    is_right(db)
