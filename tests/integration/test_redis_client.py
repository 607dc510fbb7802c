from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.job import JobStatus

from indexer.errors import QueueError, RedisAway, SettingsError, UsageError
from indexer.queue.redis_client import WholePacker, answering, connect, shown, state_of
from indexer.settings import Settings
from tests.redis_servers import RedisServer, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def settings(address: str | None) -> Settings:
    return Settings(db=Path("/library.db"), redis=address)


def asked(address: str) -> str:
    """The run id of the Redis at an address, as the programs ask for it."""
    chosen = settings(address)
    with answering(chosen):
        client = connect(chosen, timeout_s=5)
        try:
            return state_of(client).run_id
        finally:
            client.close()


@pytest.mark.parametrize(
    ("address", "people_see"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@nas:6379/1", "redis://nas:6379/1"),
        ("rediss://me:se%40cret@nas:6380/0", "rediss://nas:6380/0"),
        ("redis://me:se@cret@nas", "redis://nas"),
        ("unix://me:secret@/run/redis.sock", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("redis://nas:6379/0?password=secret", "redis://nas:6379/0"),
        ("unix:///r.sock?db=1&password=secret", "unix:///r.sock?db=1"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, people_see: str) -> None:
    assert shown(settings(address)) == people_see


def test_a_redis_says_what_it_is(server: RedisServer) -> None:
    state = state_of(server.client())
    assert len(state.run_id) == 40
    assert state.version[0].isdigit()
    assert 0 < state.memory <= state.peak
    assert (state.eviction, state.warning) == ("noeviction", None)


def test_a_redis_that_began_anew_has_another_name(server: RedisServer) -> None:
    before = asked(server.address)
    assert asked(server.address) == before
    server.restart()
    assert asked(server.address) != before


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "allkeys-lfu"])
def test_a_redis_that_throws_queues_away_is_told_with_the_line_to_write(
    server: RedisServer, policy: str
) -> None:
    client = server.client()
    client.config_set("maxmemory-policy", policy)
    try:
        warning = state_of(client).warning
        assert warning is not None
        assert policy in warning
        assert "`maxmemory-policy noeviction`" in warning
        assert "`redis-cli config set maxmemory-policy noeviction`" in warning
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert state_of(client).warning is None


def test_a_redis_that_drops_only_what_has_an_end_is_not_complained_of(server: RedisServer) -> None:
    client = server.client()
    client.config_set("maxmemory-policy", "volatile-lru")
    assert state_of(client).warning is None
    client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("address", ["unix:///nonexistent/redis.sock", "redis://127.0.0.1:1/0"])
def test_no_redis_is_away_and_the_error_says_what_to_do(address: str) -> None:
    with pytest.raises(RedisAway, match=r"no Redis answers .*start it, or set `redis`") as error:
        asked(address)
    assert address in str(error.value)
    assert "Nothing is lost" in str(error.value)


def test_a_connection_that_breaks_is_a_redis_that_is_away(server: RedisServer) -> None:
    chosen = settings(server.address)
    client = connect(chosen)
    assert client.ping()
    server.kill()
    try:
        with pytest.raises(RedisAway), answering(chosen):
            client.ping()
    finally:
        client.close()
        server.restart()


@pytest.mark.parametrize("login", ["", ":wrong@", "nobody:wrong@"])
def test_a_refused_password_is_not_a_redis_that_is_away(tmp_path: Path, login: str) -> None:
    """Waiting would not help."""
    with redis_server(tmp_path / "redis") as server:
        server.client().config_set("requirepass", "right")
        address = server.address.replace("unix://", f"unix://{login}")
        with pytest.raises(QueueError, match="check the user and password in `redis`") as error:
            asked(address)
        assert not isinstance(error.value, RedisAway)
        assert "wrong" not in str(error.value)
        assert asked(server.address.replace("unix://", "unix://:right@"))


def test_a_redis_that_is_full_refuses_and_says_to_see_to_its_memory(server: RedisServer) -> None:
    client = server.client()
    client.config_set("maxmemory", "1")
    try:
        with (
            pytest.raises(QueueError, match="the memory and disk of the server") as error,
            answering(settings(server.address)),
        ):
            client.set("key", "value")
        assert not isinstance(error.value, RedisAway)
    finally:
        client.config_set("maxmemory", "0")


def test_what_is_no_trouble_of_redis_comes_out_as_it_is(server: RedisServer) -> None:
    with pytest.raises(ZeroDivisionError), answering(settings(server.address)):
        raise ZeroDivisionError


def test_no_address_is_wrong_use_and_says_where_to_write_one() -> None:
    with pytest.raises(UsageError, match=r"`redis = \"unix:///run.*INDEXER_REDIS"):
        connect(settings(None))


@pytest.mark.parametrize("address", ["redis://localhost:port/0", "redis://localhost/0?db=first"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match=r"redis: .*; such as redis://localhost:6379/0"):
        connect(settings(address))


def test_nothing_is_sent_before_it_is_needed() -> None:
    client = connect(settings("unix:///nonexistent/redis.sock"))
    with pytest.raises(redis.ConnectionError):
        client.ping()
    client.close()


def packed_by_redis(*command: Any, connection: Any = None) -> list[bytes]:
    own: Any = redis.Connection
    packed: list[bytes] = (connection or own()).pack_command(*command)
    return packed


@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("CONFIG GET", "maxmemory"),
        (b"HSET", "key", b"\xff\r\n", "Bj\xf6rk", 5, 0.25, -1, JobStatus.QUEUED),
        ("HSET", "key", *range(3000), b"a" * 20_000),
        ("HSET", bytearray(b"key"), memoryview(b"\x00a"), socket.AF_INET, float("inf")),
        ("SUBSCRIBE", ""),
    ],
)
def test_a_command_is_packed_as_by_redis_into_one_piece(command: tuple[Any, ...]) -> None:
    (whole,) = WholePacker().pack(*command)
    assert whole == b"".join(packed_by_redis(*command))


@pytest.mark.parametrize("odd", [True, None, ["a"]])
def test_what_redis_does_not_take_is_refused_as_by_redis(odd: Any) -> None:
    with pytest.raises(redis.DataError):
        packed_by_redis("SET", "key", odd)
    with pytest.raises(redis.DataError):
        WholePacker().pack("SET", "key", odd)


def test_a_client_packs_so(server: RedisServer) -> None:
    client = connect(settings(server.address))
    with client.pipeline() as pipeline:
        pipeline.hset("packed", mapping={str(number): b"a" * 300 for number in range(800)})
        pipeline.hlen("packed")
        assert pipeline.execute() == [800, 800]
    connection = client.connection_pool.get_connection()
    packed = packed_by_redis("HSET", "packed", *range(9999), "a", connection=connection)
    assert len(packed) == 1
    client.close()
