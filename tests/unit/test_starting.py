from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from indexer.starting import Starting
from tests.programs import ENVIRONMENT

INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise SystemExit(7)\n"
"""A module that Ctrl-C meets while it is imported."""


@pytest.fixture
def fresh_handler() -> Iterator[None]:
    """Python's own handler of Ctrl-C: workers that other tests ran here have set theirs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("program", ["indexer", "watcher"])
def test_ctrl_c_while_modules_are_imported_prints_no_traceback(
    tmp_path: Path, program: str
) -> None:
    (tmp_path / "click.py").write_text(INTERRUPTED)
    ran = _started(program, tmp_path)
    assert (ran.returncode, ran.stderr) == (-signal.SIGINT, b"")


def test_an_ignored_ctrl_c_stays_ignored_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(INTERRUPTED)
    ran = _started("indexer", tmp_path, "sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    assert ran.returncode == 7


@pytest.mark.usefixtures("fresh_handler")
def test_after_the_imports_ctrl_c_is_an_exception_again() -> None:
    with Starting():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("fresh_handler")
def test_a_thread_may_import_a_program() -> None:
    seen = []

    def enter() -> None:
        with Starting():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def _started(program: str, modules: Path, *prefix: str) -> subprocess.CompletedProcess[bytes]:
    """Run it with modules that are found before its own."""
    path = f"{modules}:{ENVIRONMENT['PYTHONPATH']}"
    return subprocess.run(
        [*prefix, sys.executable, "-P", "-m", program, "--version"],
        env=ENVIRONMENT | {"PYTHONPATH": path},
        capture_output=True,
        check=False,
        timeout=60,
    )
