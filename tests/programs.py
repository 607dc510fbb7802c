"""Words of a command line -> the output of the real program.

A child process gets a separate environment, so that this machine's user has no influence.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

Answer = TypeVar("Answer")
Word = str | bytes | Path

CHECKOUT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-P", "-m", "indexer")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": str(CHECKOUT),
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "TERM": "xterm",
}
AT_MOST_S = 60


class Ran(NamedTuple):
    """The result of one run of the program."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Its output as JSON, one object per line and nothing else."""
        assert self.out.endswith("\n") or not self.out
        return [json.loads(line) for line in self.out.split("\n")[:-1]]

    @property
    def object(self) -> dict[str, Any]:
        """Its output, which must be exactly one object."""
        (one,) = self.objects
        return one


def run(
    *words: Word,
    db: Path | None,
    check: int | None = 0,
    env: Mapping[str, str] | None = None,
    config: str | None = None,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
) -> Ran:
    """Run the program to its end. `check` is the expected exit code; None: any.

    `config` is the text of a settings file, `prefix` a command that starts ours, and `env` is
    added to the environment.
    """
    with started(*words, db=db, env=env, config=config, prefix=prefix, cwd=cwd) as running:
        ran = running.end()
    assert check is None or ran.code == check, f"exit code {ran.code}: {ran.err}{ran.out}"
    return ran


class Running:
    """The program while it runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def end(self) -> Ran:
        """Wait until it has ended by itself."""
        out, err = self.process.communicate(timeout=AT_MOST_S)
        return Ran(self.process.returncode, out.decode(), err.decode())

    def line(self, within_s: float = AT_MOST_S) -> str:
        """The next line of its output, as soon as it is written."""
        return _line(self.process.stdout, within_s)

    def error_line(self, within_s: float = AT_MOST_S) -> str:
        """The next line of its standard error."""
        return _line(self.process.stderr, within_s)

    def kill(self) -> None:
        """Kill it, as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait(AT_MOST_S)

    def interrupt(self) -> None:
        """Send the signal of Ctrl-C."""
        self.process.send_signal(signal.SIGINT)


def _line(pipe: IO[bytes] | None, within_s: float) -> str:
    assert pipe is not None
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], within_s)
        assert ready, f"no line within {within_s} s"
        letter = os.read(pipe.fileno(), 1)
        assert letter, "it has ended"
        line += letter
    return line.decode()


@contextmanager
def started(
    *words: Word,
    db: Path | None,
    env: Mapping[str, str] | None = None,
    config: str | None = None,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
) -> Iterator[Running]:
    """Run the program in the background; it is killed at the end of the `with`."""
    options: list[Word] = [] if db is None else ["--db", db]
    if config is not None:
        assert db is not None
        file = db.with_name("config.toml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(config)
        options += ["--config", file]
    process = subprocess.Popen(
        [*prefix, *PROGRAM, *options, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**ENVIRONMENT, **(env or {})},
        cwd=cwd,
    )
    with process:
        try:
            yield Running(process)
        finally:
            process.kill()


def eventually(ask: Callable[[], Answer | None], *, within_s: float = AT_MOST_S) -> Answer:
    """Call until the result is true, and return it; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.002)


def quickest_s(do: Callable[[], object], *, enough_s: float, tries: int = 10) -> float:
    """The shortest of several runs, or the first of at most `enough_s`.

    What a program waits for by itself it waits for each time; a busy machine delays only some.
    """
    shortest = float("inf")
    for _ in range(tries):
        began = time.monotonic()
        do()
        shortest = min(shortest, time.monotonic() - began)
        if shortest <= enough_s:
            break
    return shortest


def rows(db: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows that the standard library's SQLite reads from the index."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, values).fetchall()


def count(db: Path, statement: str) -> int:
    """The number that a query returns; 0 as long as there is no index."""
    try:
        ((number,),) = rows(db, statement)
    except sqlite3.OperationalError:
        return 0
    return int(number)


def can_be_root() -> bool:
    """Whether tests may mount, make devices, and give files away."""
    return os.geteuid() == 0


@contextmanager
def writing(db: Path) -> Iterator[sqlite3.Connection]:
    """Another program in the middle of a write."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("ROLLBACK")
