"""deploy/redis.conf -> a real redis-server of Debian's that keeps what the file promises."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.programs import AT_MOST_S, CHECKOUT, eventually

DEPLOY = CHECKOUT / "deploy"
CONF = DEPLOY / "redis.conf"
MB = 1024 * 1024


class Server:
    """One server that runs; its log, and clients of it."""

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed: deploy/test does it"
        self.folder = folder
        self.socket = folder / "redis.sock"
        self._log = folder / "redis.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [program, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def client(self, address: str | None = None) -> redis.Redis:
        """A client, once the server answers."""
        found = redis.Redis.from_url(
            address or f"unix://{self.socket}", retry=Retry(NoBackoff(), 0), decode_responses=True
        )

        def answers() -> bool:
            assert self.process.poll() is None, self._log.read_text()
            try:
                return bool(found.ping())
            except redis.ConnectionError:
                return False

        eventually(answers)
        return found


@contextmanager
def started(folder: Path, *words: str) -> Iterator[Server]:
    server = Server(folder, words)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait(AT_MOST_S)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """As the unit starts it, but that its socket lies in a folder of the test."""
    with started(tmp_path, str(CONF), "--unixsocket", str(tmp_path / "redis.sock")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as opened:
        yield opened


def setting(client: redis.Redis, name: str) -> str:
    answer: Any = client.config_get(name)
    return str(answer[name])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "0"),
        ("unixsocketperm", "700"),
        ("maxmemory", str(96 * MB)),
        ("maxmemory-policy", "noeviction"),
        ("save", ""),
        ("appendonly", "no"),
        ("daemonize", "no"),
    ],
)
def test_the_server_has_the_setting(client: redis.Redis, name: str, value: str) -> None:
    assert setting(client, name) == value


def test_only_its_owner_may_use_the_socket(server: Server, client: redis.Redis) -> None:
    assert client.ping()
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700


def test_it_listens_on_no_port(server: Server, client: redis.Redis) -> None:
    assert client.ping()
    inodes = {
        target.removeprefix("socket:[").rstrip("]")
        for file in Path(f"/proc/{server.process.pid}/fd").iterdir()
        if (target := str(file.readlink())).startswith("socket:")
    }
    assert inodes, "it has no socket at all"
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{server.process.pid}/net/{table}").read_text().splitlines()[1:]
    ]
    assert [words for words in lines if words[9] in inodes] == []


def test_a_full_memory_is_an_error_and_throws_nothing_away(client: redis.Redis) -> None:
    client.set("first", "kept")
    with pytest.raises(redis.exceptions.OutOfMemoryError):  # noqa: PT012 - it fills up at some time
        for n in range(200):
            client.set(f"{n}", "x" * MB)
    assert client.get("first") == "kept"
    info: Any = client.info("stats")
    assert info["evicted_keys"] == 0


def test_nothing_is_written_to_the_disk(server: Server, client: redis.Redis) -> None:
    for n in range(20_000):  # more than Redis's own default saves after: 10 000 in a minute
        client.set(str(n), n)
    client.shutdown()
    assert server.process.wait(AT_MOST_S) == 0
    assert {file.name for file in server.folder.iterdir()} <= {"redis.log", "redis.sock"}


def test_the_units_and_the_example_name_the_socket_of_the_file() -> None:
    address = "unixsocket /run/music-indexer/redis.sock"
    assert address in CONF.read_text().splitlines()
    assert 'redis = "unix:///run/music-indexer/redis.sock"' in (
        (DEPLOY / "config.example.toml").read_text()
    )
    assert "RuntimeDirectory=music-indexer\n" in (DEPLOY / "music-redis.service").read_text()


def test_the_command_of_compose_makes_it_listen_on_tcp_alone(
    tmp_path: Path, unused_port: int
) -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["redis"]
    (target,) = [mount["target"] for mount in service["volumes"]]
    program, *words = service["command"]
    assert program == "redis-server"
    assert words.count(target) == words.count("6379") == 1
    replaced = {target: str(CONF), "6379": str(unused_port)}
    here = [replaced.get(word, word) for word in words]
    with (
        started(tmp_path, *here, "--bind", "127.0.0.1") as server,
        server.client(f"redis://127.0.0.1:{unused_port}/0") as client,
    ):
        assert setting(client, "unixsocket") == ""
        assert setting(client, "protected-mode") == "no", "other containers would be refused"
        assert setting(client, "maxmemory") == str(96 * MB)
        assert setting(client, "maxmemory-policy") == "noeviction"


@pytest.fixture
def unused_port() -> int:
    """A port of this machine that nobody listened on a moment ago."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
