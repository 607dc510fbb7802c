from __future__ import annotations

from pathlib import Path

from indexer.queue.dispatch.foreign_keys import set_aside_foreign
from indexer.queue.orders.queues import Queues
from indexer.queue.relays import Announcement, announce, relay_statuses
from tests.redis_servers import redis_server


def test_what_others_have_in_a_place_of_ours_is_kept_and_what_is_ours_or_theirs_stays(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path / "redis") as server:
        client = server.client()
        client.rpush("music-indexer:index", "theirs")
        client.rpush("music-indexer:relay:Music", "theirs")
        client.hset("rq:queue:scan", "their", "field")
        client.rpush("rq:queue:emails", "their job")  # another program of RQ in this database
        client.sadd("rq:queues", "rq:queue:emails")
        Queues(client).note_scan(1, 2, 3)
        kept = "music-indexer:foreign:"
        assert sorted(set_aside_foreign(client, ["Music"])) == [
            ("music-indexer:index", f"{kept}music-indexer:index"),
            ("music-indexer:relay:Music", f"{kept}music-indexer:relay:Music"),
            ("rq:queue:scan", f"{kept}rq:queue:scan"),
        ]
        assert client.lrange(f"{kept}music-indexer:index", 0, -1) == [b"theirs"]
        assert client.hgetall(f"{kept}rq:queue:scan") == {b"their": b"field"}
        assert client.lrange("rq:queue:emails", 0, -1) == [b"their job"]
        assert client.smembers("rq:queues") == {b"rq:queue:emails"}
        assert Queues(client).scan_noted(1) == (2, 3)
        announce(client, Announcement("token", ("Music",)))
        assert relay_statuses(client, ["Music"]) == {}
        assert set_aside_foreign(client, ["Music"]) == []
