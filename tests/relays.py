"""A folder and a Redis -> a real `watcher relay`, observed from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.programs import AT_MOST_S, ENVIRONMENT, Word, eventually

PROGRAM = (sys.executable, "-P", "-m", "watcher")


class RelayProcess:
    """One run of `watcher relay`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """Its log so far."""
        return self._log.read_text("utf-8")

    def await_line(self, *words: str, times: int = 1, within_s: float = AT_MOST_S) -> str:
        """Wait until its log has `times` lines with these words; the last of them."""

        def said() -> list[str]:
            lines = [line for line in self.log.splitlines() if all(word in line for word in words)]
            assert self.process.poll() is None or len(lines) >= times, self.log
            return lines if len(lines) >= times else []

        return eventually(said, within_s=within_s)[-1]

    def end(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = AT_MOST_S) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(within_s)


@contextmanager
def relaying(
    *words: Word,
    folder: Path,
    config: str,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    until: str | None = "relaying",
) -> Iterator[RelayProcess]:
    """Start `watcher relay` with its files in `folder`; it is killed at the end of the `with`."""
    folder.mkdir(exist_ok=True)
    log, file = folder / "relay.log", folder / "relay.toml"
    file.write_text(config)
    command = [*prefix, *PROGRAM, "--config", file, "relay", "--verbose", *words]
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**ENVIRONMENT, **(env or {})},
        ) as process,
    ):
        relay = RelayProcess(process, log)
        try:
            if until is not None:
                relay.await_line(until)
            yield relay
            assert "Traceback" not in relay.log, relay.log
        finally:
            process.kill()
