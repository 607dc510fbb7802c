"""What waits in the queues takes little memory of Redis, however much is to be read."""

from __future__ import annotations

from pathlib import Path

from indexer.queue.orders.queues import Queues
from tests.programs import eventually, run
from tests.programs import started as started_program
from tests.redis_servers import redis_server
from tests.rq_workers import crew, quick
from tests.trees import song

FILES = 12_000
"""More than the queues and two readers hold, by far."""
MOST_BYTES = 8_000_000


def test_redis_stays_small_while_nothing_is_inserted_and_when_all_is(
    tmp_path: Path, music: Path, db: Path
) -> None:
    texts = {
        "genre": "Alternative rock",
        "composer": "Someone Somewhere",
        "comment": "made up " * 4,
    }
    for number in range(FILES):
        folder = (
            music / f"Various Artists {number // 1000}" / f"1997 Collected works {number // 12}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        if number % 100 == 0:
            data = song(
                f"A song of usual length {number}", "Some Artist", "Collected works", **texts
            )
        (folder / f"{number:05} A song of usual length.mp3").write_bytes(data)
    with redis_server(tmp_path / "redis") as server:
        client, config = server.client(), quick(server.address, lease=5)
        run("roots", "add", music, db=db, config=config)
        command = ("rebuild", music, "--queue", "--json")
        with started_program(*command, db=db, config=config) as rebuild:
            with crew(
                "--queues", "scan,extract", "--jobs", "2", db=db, config=config, client=client
            ):
                eventually(
                    lambda: Queues(client).parked() and not client.exists("rq:queue:extract")
                )
                stuck = client.info("memory")
            with crew("--jobs", "2", db=db, config=config, client=client, name="whole"):
                report = rebuild.end().object
        peak = client.info("memory")["used_memory_peak"]
    assert stuck["used_memory"] > MOST_BYTES / 2, "the queues were full"
    assert stuck["used_memory_peak"] <= MOST_BYTES
    assert peak <= MOST_BYTES
    assert (report["added"], report["files_read"], report["pending"]) == (FILES, FILES, 0)
