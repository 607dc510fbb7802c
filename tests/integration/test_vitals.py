"""`indexer status` tells what waits in the queues, who works, how fast, and what it takes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from indexer.cli.status_lines import status_lines
from indexer.cli.watch import plain_line
from indexer.queue.orders.queues import Queues
from indexer.results.status_report import (
    DaemonStatus,
    QueueStatus,
    Rates,
    RedisStatus,
    Status,
    WorkerStatus,
)
from indexer.runs.throughput import BUCKET_S
from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.programs import run
from tests.redis_servers import redis_server


def status(db: Path, redis: str | None = None) -> dict[str, Any]:
    env = {} if redis is None else {"INDEXER_REDIS": redis}
    found: dict[str, Any] = run("status", "--json", db=db, env=env).object
    return found


def test_without_a_redis_there_are_no_queues_and_no_complaint(db: Path, music: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    told = status(db)
    assert (told["redis"], told["queues"], told["workers"]) == (None, {}, [])
    assert told["last_scan_rates"]["extraction"] > 0


def test_the_queues_are_told_with_what_waits_in_them(db: Path, music: Path, tmp_path: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    with redis_server(tmp_path) as server:
        queues = Queues(server.client())
        for number in range(3):
            queues.put("extract", {}, job_id=f"e-{number}", description="x", timeout_s=5)
        told = status(db, server.address)
    assert told["redis"]["answers"]
    assert set(told["queues"]) == {"scan", "extract", "batch", "insert", "deferred"}
    extract = told["queues"]["extract"]
    assert (extract["queued"], extract["started"], extract["failed"]) == (3, 0, 0)
    assert extract["oldest_seconds"] >= 0
    assert told["queues"]["scan"]["oldest_seconds"] is None


def test_a_redis_that_is_away_is_told_and_the_rest_of_the_status_too(
    db: Path, music: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    told = status(db, f"unix://{tmp_path}/nobody.sock")
    assert told["tracks"] == 1
    assert not told["redis"]["answers"]
    assert "no Redis answers" in told["redis"]["detail"]


def test_a_daemon_tells_how_fast_it_goes_and_what_it_takes(db: Path, music: Path) -> None:
    plant(music, {f"{number}.mp3": tagged() for number in range(12)})
    with watching(music, db=db):
        told = status(db)
        (process,) = told["processes"]
        assert (process["role"], process["pid"]) == ("daemon", told["daemon"]["pid"])
        assert process["memory"] > 10_000_000
        assert process["cpu_seconds"] > 0
        burst = (12 / BUCKET_S, 12 / (2 * BUCKET_S))  # it may lie across the end of a bucket
        assert told["rates"]["discovery"] in burst
        assert told["rates"]["insertion"] in burst
        assert told["daemon"]["engine"] == "local"


def some_status(**more: Any) -> Status:
    return Status(
        database="/x.db",
        size=1,
        wal_size=0,
        tracks=3,
        albums=1,
        artists=1,
        missing=0,
        problems=0,
        pending=2,
        oldest_pending_seconds=None,
        daemon=DaemonStatus(),
        roots=(),
        scans=(),
        **more,
    )


QUEUE = QueueStatus(name="extract", queued=4, started=1, failed=2, oldest_seconds=3.0, workers=0)
WORKER = WorkerStatus(
    name="w",
    host=socket.gethostname(),
    pid=os.getpid(),
    queues=("extract",),
    state="busy",
    memory=34_000_000,
    cpu_seconds=1.0,
    cpu_percent=12.5,
    jobs_done=7,
    jobs_failed=0,
    silent_seconds=0.1,
)


def test_people_see_the_queues_and_workers_as_tables() -> None:
    redis = RedisStatus(address="unix:///r.sock", answers=True, version="7.0", memory=2_000_000)
    told = some_status(
        redis=redis,
        queues={"extract": QUEUE},
        workers=(WORKER,),
        rates=Rates(discovery=12.0, extraction=3.0, insertion=2.0),
        error_rate=0.25,
    )
    text = "\n".join(status_lines(told))
    assert "unix:///r.sock, version 7.0, 2.0 MB" in text
    assert "extract       4        1       2   3.0 s        0" in text
    assert "12 files/s seen, 3 read, 2 written, 25.0% with a problem" in text
    assert "34 MB" in text


def test_where_nothing_can_be_drawn_a_moment_is_one_line() -> None:
    line = plain_line(some_status(queues={"extract": QUEUE}))
    assert "3 tracks, 2 pending" in line
    assert "5 jobs in the queues, 2 failed" in line
    assert "\n" not in line
