"""A folder -> a real redis-server on a unix socket in it, to be killed and started again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.programs import AT_MOST_S, eventually

_ALONE = ("--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no")
"""No TCP, no persistence: a killed server loses everything."""


class RedisServer:
    """One server and its clients. `process` is the current or the last process."""

    def __init__(self, folder: Path, config: tuple[str, ...]) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed"
        self.socket = folder / "redis.sock"
        self.address = f"unix://{self.socket}"
        self.log = folder / "redis.log"
        self._clients: list[redis.Redis] = []
        self._command = [
            *(program, *_ALONE, "--dir", str(folder)),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "700", *config),
        ]
        self.process = self._started()

    def client(self) -> redis.Redis:
        """A new client without retries; closed with the server."""
        client = redis.Redis.from_url(self.address, retry=Retry(NoBackoff(), 0))
        self._clients.append(client)
        return client

    def kill(self) -> None:
        """Kill it, as the kernel does when memory is short: its data is lost."""
        self.process.kill()
        self.process.wait(AT_MOST_S)

    def restart(self) -> None:
        """Start it again, empty, at the same address; kill it first if it runs."""
        self.kill()
        self.process = self._started()

    def close(self) -> None:
        """Kill it, and close its clients."""
        for client in self._clients:
            client.close()
        self.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._await_answer(process)
        except BaseException:
            process.kill()
            process.wait(AT_MOST_S)
            raise
        return process

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        def answers() -> bool:
            assert process.poll() is None, self.log.read_text("utf-8", "replace")
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        client = self.client()
        eventually(answers)


@contextmanager
def redis_server(folder: Path, *config: str) -> Iterator[RedisServer]:
    """A running server. `config` are more arguments, such as `--maxmemory`, `64mb`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, config)
    try:
        yield server
    finally:
        server.close()


def certified(folder: Path) -> tuple[Path, Path]:
    """A key in this folder, and its certificate for `localhost`, signed by itself."""
    key, certificate = folder / "server.key", folder / "server.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate
