"""A terminal that takes nothing: after Ctrl-S, or in an ssh session whose other end sleeps."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.integration.test_queued_commands import client, config, server
from tests.programs import AT_MOST_S, ENVIRONMENT, PROGRAM, Word, eventually, rows, run

__all__ = ("client", "config", "server")  # fixtures


@pytest.fixture
def terminal() -> Iterator[Path]:
    """A terminal that is full, and that nothing reads."""
    end, full = os.openpty()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while True:
            os.write(full, b"x" * 100)
    os.set_blocking(full, True)
    yield Path(os.ttyname(full))
    os.close(end)
    os.close(full)


@contextmanager
def on_terminal(terminal: Path, *words: Word) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program in the background with its stderr on a terminal."""
    with (
        terminal.open("wb", buffering=0) as stderr,
        subprocess.Popen(
            [*PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=ENVIRONMENT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def test_it_delays_no_change(terminal: Path, music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db, stderr=terminal, until=None) as daemon:
        daemon.shows({"a.mp3": "A"})
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})
        assert daemon.end() == 0


def test_it_delays_no_job_of_a_worker_nor_its_end(
    terminal: Path, music: Path, db: Path, config: str
) -> None:
    plant(music, {f"{number}.mp3": tagged(title="A") for number in range(3)})
    settings = db.with_name("worker.toml")
    settings.write_text(config)
    with on_terminal(terminal, "--db", db, "--config", settings, "worker") as worker:
        report = run("rebuild", music, "--queue", "--json", db=db, config=config).object
        assert report["added"] == 3
        first, *_ = children_of(worker.pid)
        os.kill(first, signal.SIGKILL)  # the parent has to log that, and to start another one
        eventually(lambda: first not in children_of(worker.pid) and children_of(worker.pid))
        plant(music, {"new.mp3": tagged(title="B")})
        assert run("scan", "--queue", "--json", db=db, config=config).object["added"] == 1
        worker.terminate()
        assert worker.wait(AT_MOST_S) == 0


def test_it_delays_no_message_of_hooks(
    terminal: Path, music: Path, db: Path, tmp_path: Path
) -> None:
    run("rebuild", music, db=db)
    told, settings = tmp_path / "told", tmp_path / "hooks.toml"
    settings.write_text(
        f'[[hooks]]\nname = "a"\ncommand = ["sh", "-c", "cat >> {told}"]\nquiet = 0.05\n'
    )
    with on_terminal(terminal, "--db", db, "--config", settings, "hooks") as hooks:
        eventually(lambda: rows(db, "SELECT count(*) FROM hooks") != [(0,)])
        plant(music, {"a.mp3": tagged(title="A")})
        run("scan", db=db)
        eventually(lambda: told.exists() and "a.mp3" in told.read_text())
        hooks.terminate()
        assert hooks.wait(AT_MOST_S) == 0


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
