"""Programs that are started together, on an index that none of them has made yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.corpus import plant, tagged
from tests.daemons import Daemon, watching
from tests.programs import count, eventually, run, started
from tests.redis_servers import RedisServer, redis_server
from tests.rq_workers import Crew, crew, failed, held, is_quiet, quick

FILES = 2_400
"""Enough that the queues have the database tidied (more than 2 000), while the daemon rests."""
BUSY = ("holds the database", "database busy", "locked", "Traceback", "job failed", "worker lost")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis_server(folder) as running:
        yield running


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    music = tmp_path_factory.mktemp("many") / "music"
    song = tagged(title="Song")
    plant(music, {f"{n // 300}/{n}.mp3": song for n in range(FILES)})
    return music


def working(client: redis.Redis, workers: Crew) -> bool:
    """Whether anything is in a queue, or at one of these workers."""
    return any(held(client).values()) or any(
        one.get_current_job_id() for one in workers.members(client)
    )


@pytest.mark.parametrize("turn", range(4))
def test_a_daemon_and_workers_that_are_started_at_once_are_in_nobodys_way(
    many: Path, no_db: Path, server: RedisServer, turn: int
) -> None:
    assert turn < 4
    config = quick(server.address, lease=5)
    no_db.parent.mkdir()
    with ExitStack() as stack:
        workers = [
            stack.enter_context(crew(db=no_db, config=config, name=name))
            for name in ("first", "second")
        ]
        daemon = stack.enter_context(watching(many, db=no_db, config=config, until=None))
        daemon.watches()
        is_quiet(no_db)
        client = server.client()
        eventually(lambda: not any(map(working, [client] * 2, workers)))
        run("verify", db=no_db)
        assert failed(client) == []
        told = [*(one.log for one in workers), daemon.log]
        lines = [line for text in told for line in text.splitlines()]
        assert not [line for line in lines if any(words in line for words in BUSY)]
        assert daemon.recoveries() == {}, daemon.log
    assert count(no_db, "SELECT count(*) FROM library") == FILES


def test_commands_that_are_started_at_once_on_a_fresh_index_all_do_their_work(
    tmp_path: Path, no_db: Path
) -> None:
    roots = [tmp_path / f"music-{n}" for n in range(4)]
    for root in roots:
        plant(root, {"a.mp3": tagged(title=root.name)})
    with ExitStack() as stack:
        running = [
            stack.enter_context(started("rebuild", root, "--json", db=no_db)) for root in roots
        ]
        ended = [one.end() for one in running]
    assert [(ran.code, ran.object["added"]) for ran in ended] == [(0, 1)] * 4, ended
    assert count(no_db, "SELECT count(*) FROM library") == 4


def test_a_daemon_and_a_command_that_are_started_at_once_do_the_work_once(
    tmp_path: Path, no_db: Path
) -> None:
    music = tmp_path / "music"
    plant(music, {f"{n}.mp3": tagged(title=f"{n}") for n in range(50)})
    with (
        watching(music, db=no_db, until=None, log=tmp_path / "watcher.log") as daemon,
        started("rebuild", music, "--json", db=no_db) as command,
    ):
        ran = command.end()
        assert ran.code == 0, ran.err
        Daemon.watches(daemon)
        assert not daemon.lines("busy")
    assert count(no_db, "SELECT count(*) FROM library") == 50
