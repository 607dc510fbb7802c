"""The memory of a process, whatever the size of a page is."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer.process import limit_memory, mapped_bytes, spent_by

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def asleep() -> Iterator[int]:
    """A process that takes no more memory and gives none back."""
    with subprocess.Popen(
        [sys.executable, "-c", "import os, sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.send_signal(signal.SIGKILL)


def spent_bytes(pid: int) -> int:
    spent = spent_by(pid)
    assert spent is not None
    return spent[0]


@pytest.mark.parametrize(("asked", "line"), [(spent_bytes, "VmRSS"), (mapped_bytes, "VmSize")])
def test_memory_is_what_the_kernel_itself_says_in_kilobytes(
    asleep: int, asked: Callable[[int], int], line: str
) -> None:
    status = Path(f"/proc/{asleep}/status").read_text("ascii")
    (said,) = re.findall(rf"^{line}:\s+(\d+) kB$", status, re.MULTILINE)
    assert asked(asleep) == pytest.approx(int(said) * 1024, rel=0.05)


@pytest.mark.parametrize("asked", [spent_bytes, mapped_bytes])
def test_memory_is_counted_in_the_pages_of_this_machine(
    asleep: int, asked: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = asked(asleep) // os.sysconf("SC_PAGE_SIZE")
    say = os.sysconf
    for page in (4096, 16_384, 65_536):
        monkeypatch.setattr(os, "sysconf", lambda name, p=page: p if "PAGE" in name else say(name))
        assert asked(asleep) == here * page


def test_the_limit_of_a_reader_counts_from_what_it_has_in_such_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    monkeypatch.setattr(os, "sysconf", lambda _: 16_384)
    limit_memory(64)
    ((soft, hard),) = limits
    assert soft == hard == pytest.approx(mapped_bytes() + (64 << 20), rel=0.1)


def test_a_process_that_is_gone_holds_nothing() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    assert (mapped_bytes(ended.pid), spent_by(ended.pid)) == (0, None)


def test_pages_are_asked_for_in_one_place() -> None:
    asks = re.compile(r"\bstatm\b|getpagesize|SC_PAGE_?SIZE")
    own = {CHECKOUT / "indexer/process.py", Path(__file__)}
    files = {
        file
        for room in ("indexer", "watcher", "tests")
        for file in CHECKOUT.glob(f"{room}/**/*.py")
    }
    assert own <= files
    assert [file for file in files - own if asks.search(file.read_text("utf-8"))] == []
