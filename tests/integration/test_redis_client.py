from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
import redis
from rq.job import JobStatus
from rq.suspension import resume, suspend

from indexer.errors import QueueError, RedisAway, SettingsError, UsageError
from indexer.queue.redis_client import WholePacker, answering, connect, shown, state_of
from indexer.settings import Settings
from tests.redis_servers import RedisServer, certified, redis_server


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
        ("redis://nas/0?password=se@cret", "redis://nas/0"),
        ("unix:///r.sock?password=se/@cret&db=1", "unix:///r.sock?db=1"),
        ("redis://nas/0?pass%77ord=secret", "redis://nas/0"),
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


def test_workers_that_are_suspended_are_told_with_the_line_that_resumes_them(
    server: RedisServer,
) -> None:
    client = server.client()
    suspend(client)
    try:
        state = state_of(client)
        assert state.warning is not None
        assert "`redis-cli del rq:suspended`" in state.warning
        assert state.warned_as == "workers suspended"
    finally:
        resume(client)
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


@pytest.mark.parametrize(
    "address",
    [
        "redis://localhost:port/0",
        "redis://localhost/0?db=first",
        "redis://localhost/first",
        "unix://run/redis.sock",
        "redis://localhost/0?protocol=9",
        "redis://localhost/0?unknown=1",
        "redis://localhost/0?decode_responses=true",
        "redis://localhost/0?command_packer=none",
        "redis://localhost/0?ssl_ca_certs=/ca.crt",
        "rediss://localhost/0?ssl_cert_reqs=unknown",
        "rediss://localhost/0?ssl_ca_certs=/nonexistent/ca.crt",
        "rediss://localhost/0?ssl_certfile=/nonexistent/own.crt&ssl_keyfile=/nonexistent/own.key",
    ],
)
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match=r"redis: .*; such as redis://localhost:6379/0"):
        connect(settings(address))


@pytest.mark.parametrize("sign", "/?#")
@pytest.mark.parametrize("name", ["", "me"])
@pytest.mark.parametrize("more", ["", "@"])
def test_a_sign_in_a_password_is_explained_and_no_part_of_the_password_is_shown(
    sign: str, name: str, more: str
) -> None:
    address = f"redis://{name}:hush{more}{sign}hidden@localhost:6379/0"
    with pytest.raises(SettingsError, match="in a password, write / as %2F") as error:
        connect(settings(address))
    assert "hush" not in str(error.value)
    assert "hidden" not in str(error.value)
    assert "hush" not in shown(settings("rediss://nas/0?ssl_password=hush"))


def test_no_part_of_a_password_is_shown_as_the_name_of_an_option() -> None:
    with pytest.raises(SettingsError, match=r"in a password, write .* \? as %3F") as error:
        connect(settings("redis://:1?hush=hidden@localhost:6379/0"))
    assert "hush" not in str(error.value)


def test_any_sign_may_be_in_a_password(tmp_path: Path) -> None:
    password = "/?#@%&:+ ö"
    with redis_server(tmp_path / "redis") as server:
        server.client().config_set("requirepass", password)
        address = server.address.replace("unix://", f"unix://:{quote(password, safe='')}@")
        assert asked(address)


def test_a_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    """Else it would be said that no server answers, and a worker would wait for one."""
    empty = tmp_path / "ca.crt"
    empty.touch()
    with pytest.raises(SettingsError, match=f"ssl_ca_certs={empty}: .*PEM"):
        connect(settings(f"rediss://localhost/0?ssl_ca_certs={empty}"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_socket_that_lets_this_user_not_in_is_told_as_such(
    tmp_path: Path, nobody: tuple[int, int]
) -> None:
    with redis_server(tmp_path / "redis") as server:
        try:
            os.seteuid(nobody[0])
            with pytest.raises(RedisAway, match="let this user in: with `unixsocketperm 770`"):
                asked(server.address)
        finally:
            os.seteuid(0)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What comes behind `localhost` or `127.0.0.1` in the address of a server that wants both."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = certified(folder)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with redis_server(
        folder / "redis", "--tls-port", str(port), "--tls-cert-file", str(certificate),
        "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate),
    ):  # fmt: skip
        yield f"{port}/0?ssl_ca_certs={certificate}"


def test_a_server_that_wants_a_certificate_gets_ours_or_says_so(tls: str) -> None:
    certificate = tls.partition("=")[2]
    ours = f"&ssl_certfile={certificate}&ssl_keyfile={certificate.removesuffix('crt')}key"
    assert asked(f"rediss://localhost:{tls}{ours}")
    with pytest.raises(RedisAway, match="ssl_certfile=FILE&ssl_keyfile=FILE"):
        asked(f"rediss://localhost:{tls}")


def test_a_certificate_for_another_name_is_not_one_of_an_unknown_authority(tls: str) -> None:
    with pytest.raises(QueueError, match="a name of the server that is in its cert") as error:
        asked(f"rediss://127.0.0.1:{tls}")
    assert "add ?ssl_ca_certs" not in str(error.value)


def test_no_protocol_is_tried_where_none_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try may take a second, or as long again as the name servers."""

    def tried(*_: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr("indexer.queue.redis_client.socket.create_connection", tried)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    for place in (f"127.0.0.1:{port}", "no-such-host.invalid"):
        with pytest.raises(RedisAway, match="no Redis answers"):
            asked(f"redis://{place}/0")
    with (
        answering_with(b"-LOADING Redis is loading the dataset in memory\r\n") as loading,
        pytest.raises(RedisAway, match="loading"),
    ):
        asked(f"redis://127.0.0.1:{loading}/0")


def test_a_server_with_tls_and_an_address_without_it_are_told_apart(
    tls: str, tmp_path: Path
) -> None:
    with pytest.raises(QueueError, match="by TLS alone: write rediss:// in place of redis://"):
        asked(f"redis://127.0.0.1:{tls.partition('/')[0]}/0")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        plain = free.getsockname()[1]
    without_tls = "without TLS: write redis:// in place of rediss://"
    with (
        redis_server(tmp_path / "plain", "--port", str(plain)),
        pytest.raises(QueueError, match=without_tls),
    ):
        asked(f"rediss://127.0.0.1:{plain}/0")
    with (
        answering_with(b"-NOAUTH Authentication required.\r\n") as port,
        pytest.raises(QueueError, match=without_tls),
    ):
        asked(f"rediss://127.0.0.1:{port}/0")
    with answering_with(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        for scheme in ("redis", "rediss"):
            with pytest.raises(RedisAway, match="no Redis answers"):
                asked(f"{scheme}://127.0.0.1:{port}/0")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"* OK IMAP4\r\n", b"+OK POP3\r\n",
     b"220 mail ESMTP\r\n", b":1\r\n", b"*0\r\n", b"_\r\n", b"\0\r\n", b""],
    ids=repr,
)  # fmt: skip
def test_what_is_no_redis_is_a_redis_that_is_away(answer: bytes) -> None:
    """Another program may have its port while it is down."""
    with answering_with(answer) as port, pytest.raises(RedisAway, match="no Redis answers"):
        asked(f"redis://127.0.0.1:{port}/0")


@contextmanager
def answering_with(answer: bytes) -> Iterator[int]:
    """A server that says only this; its port."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                with closing(listening.accept()[0]) as one, suppress(OSError):
                    one.recv(1000)
                    one.sendall(answer)

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("rules", "command", "advice"),
    [
        ("-set", "SET key 1", "ACL SETUSER NAME"),
        ("+@all", "LPUSH text 1", "give other programs a Redis, or a database number"),
        ("+@all", "SELECT 4096", "name a database that it has"),
    ],
)
def test_a_refusal_says_what_to_do_about_it(
    server: RedisServer, rules: str, command: str, advice: str
) -> None:
    client: Any = server.client()
    client.set("text", "none of ours")
    client.execute_command("ACL", "SETUSER", "default", rules)
    try:
        with (
            pytest.raises(QueueError, match=advice) as error,
            answering(settings(server.address)),
        ):
            client.execute_command(*command.split())
        assert not isinstance(error.value, RedisAway)
        assert "check the user and password" not in str(error.value)
    finally:
        client.execute_command("ACL", "SETUSER", "default", "+@all")
        client.delete("text")


def test_a_replica_says_to_name_its_master(server: RedisServer) -> None:
    client = server.client()
    client.replicaof("127.0.0.1", 1)
    try:
        with (
            pytest.raises(QueueError, match="set `redis` to the address of its master"),
            answering(settings(server.address)),
        ):
            client.set("key", "value")
    finally:
        client.replicaof("NO", "ONE")


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
