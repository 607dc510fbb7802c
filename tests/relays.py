"""A folder and a Redis -> a real `watcher relay`, observed from outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.programs import ENVIRONMENT, Word
from tests.running import RunningProgram

PROGRAM = (sys.executable, "-P", "-m", "watcher")


@contextmanager
def relaying(
    *words: Word,
    folder: Path,
    config: str,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    until: str | None = "relaying",
) -> Iterator[RunningProgram]:
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
        relay = RunningProgram(process, log)
        try:
            if until is not None:
                relay.await_line(until)
            yield relay
            assert "Traceback" not in relay.log, relay.log
        finally:
            process.kill()
