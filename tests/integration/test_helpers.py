"""A helper that stands still, as one does whose share hangs, is left behind, and tried again.

It is stopped by SIGSTOP: the kernel gives it no processor then, as it does not while it waits.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from indexer import errors, process
from indexer.shares.hanging import real_path
from indexer.shares.helper_client import Helper, Silent
from indexer.shares.messages import Call, Done
from indexer.shares.registry import Shares
from tests.clock import Clock
from tests.programs import eventually, quickest_s

PATIENCE_S = 0.4
ROOT = b"/tmp"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shares(clock: Clock) -> Iterator[Shares]:
    made = Shares(patience_s=PATIENCE_S, first_pause_s=2.0, clock=clock)
    yield made
    made.close()


@pytest.fixture
def helper() -> Iterator[Helper]:
    made = Helper()
    yield made
    made.end()


def stop(helper: Helper) -> None:
    os.kill(helper.process.pid, signal.SIGSTOP)


def go_on(helper: Helper) -> None:
    os.kill(helper.process.pid, signal.SIGCONT)


def slow(seconds: float) -> str:
    """Work that takes time, and gets on."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        os.stat(ROOT)
        time.sleep(0.01)
    return "done"


def tries_again(seconds: float) -> None:
    """What NFS does, every 5 s, in a thread that waits for its server."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(PATIENCE_S)


def fails(number: int) -> None:
    raise OSError(number, os.strerror(number), "there")


def offline() -> None:
    raise errors.OtherDisk("another one", may_adopt=True)


# ---- a helper


def test_a_helper_answers_what_a_function_returns(helper: Helper) -> None:
    assert helper.ask(Call(os.path.join, (b"a", b"b"))) == Done(b"a/b")
    assert not helper.is_busy


def test_a_helper_raises_what_a_function_raises(helper: Helper) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        helper.ask(Call(os.stat, (b"/nothing there",)))
    assert raised.value.errno == errno.ENOENT
    with pytest.raises(OSError, match="there") as failed:
        helper.ask(Call(fails, (errno.EIO,)))
    assert failed.value.errno == errno.EIO
    with pytest.raises(errors.OtherDisk, match="another one") as other:
        helper.ask(Call(offline, ()))
    assert other.value.may_adopt
    assert helper.ask(Call(len, (b"abc",))) == Done(3)


def test_what_a_helper_reports_of_a_file_is_what_the_kernel_says(
    helper: Helper, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    told = helper.ask(Call(os.stat, (os.fsencode(tmp_path / "a"),))).value
    seen = (tmp_path / "a").stat()
    assert (told.st_ino, told.st_mtime_ns, told.st_ctime_ns, told.st_size) == (
        seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, 5,
    )  # fmt: skip


def test_a_helper_has_nothing_of_ours_open(helper: Helper, tmp_path: Path) -> None:
    with (tmp_path / "ours").open("wb"):
        helper.ask(Call(len, (b"",)))
        links = Path(f"/proc/{helper.process.pid}/fd").iterdir()
        opened = sorted(os.readlink(link).partition(":")[0] for link in links)
    assert opened == ["/dev/null"] * 3 + ["socket"]  # else what reads our stderr would wait for it


def test_a_helper_that_stands_still_is_silent_after_so_long(helper: Helper) -> None:
    helper.ask(Call(len, (b"",)))
    stop(helper)
    began = time.monotonic()
    with pytest.raises(Silent, match="does not answer"):
        helper.ask(Call(len, (b"",)), patience_s=PATIENCE_S)
    assert time.monotonic() - began >= PATIENCE_S
    assert helper.end()


def test_a_helper_that_gets_on_is_waited_for_however_long_it_takes(helper: Helper) -> None:
    assert helper.ask(Call(slow, (4 * PATIENCE_S,)), patience_s=PATIENCE_S) == Done("done")


def test_a_helper_that_the_kernel_only_has_try_again_now_and_then_is_silent(
    helper: Helper,
) -> None:
    helper.ask(Call(len, (b"",)))
    with pytest.raises(Silent):  # before it has an answer
        helper.ask(Call(tries_again, (60.0,)), patience_s=PATIENCE_S)


def test_a_request_that_no_pipe_holds_is_sent_in_parts(helper: Helper) -> None:
    assert helper.ask(Call(len, (b"x" * 5_000_000,))) == Done(5_000_000)
    assert len(helper.ask(Call(bytes, (5_000_000,))).value) == 5_000_000


def test_a_helper_that_died_is_silent_at_once(helper: Helper) -> None:
    helper.ask(Call(len, (b"",)))
    helper.process.kill()
    with pytest.raises(Silent, match="has ended"):
        helper.ask(Call(len, (b"",)))


def test_one_that_was_interrupted_while_it_was_asked_is_asked_nothing_more(
    shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shares.helper_of(ROOT)
    shares.ask(ROOT, len, b"")
    with monkeypatch.context() as patched:
        patched.setattr(before, "_frame", partial(_interrupt))
        with pytest.raises(KeyboardInterrupt):
            shares.ask(ROOT, len, b"abc")
    assert shares.ask(ROOT, len, b"abcd") == 4
    assert shares.helper_of(ROOT) is not before


def _interrupt(_wait_s: float) -> None:
    raise KeyboardInterrupt


# ---- the helpers of one process


def test_a_root_that_was_silent_is_said_to_be_so_at_once(shares: Shares) -> None:
    shares.ask(ROOT, len, b"")
    stop(shares.helper_of(ROOT))
    with pytest.raises(errors.RootSilent, match="does not answer; see whether its server"):
        shares.ask(ROOT, len, b"")

    def ask() -> None:
        with pytest.raises(errors.RootSilent, match="does not answer"):
            shares.ask(ROOT, len, b"")

    assert quickest_s(ask, enough_s=0.1) < 0.1 < PATIENCE_S
    assert shares.ask(b"/", len, b"abc") == 3  # another root goes on


def test_a_root_that_answers_again_is_back_by_itself(shares: Shares, clock: Clock) -> None:
    shares.ask(ROOT, len, b"")
    stop(shares.helper_of(ROOT))
    with pytest.raises(errors.RootSilent):
        shares.ask(ROOT, len, b"")
    clock.now += 2.1

    def is_back() -> bool:
        try:
            return shares.ask(ROOT, len, b"abc") == 3
        except errors.RootSilent:
            return False

    assert not is_back()  # it is only asked now
    eventually(is_back)


def test_a_root_that_stays_silent_has_one_helper_at_a_time_and_ever_longer_pauses(
    shares: Shares, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[float] = []
    whole = Helper

    def begin() -> Helper:
        started.append(clock.now)
        helper = whole()
        stop(helper)
        return helper

    shares.ask(ROOT, len, b"")
    stop(shares.helper_of(ROOT))
    monkeypatch.setattr("indexer.shares.registry.Helper", begin)
    began = clock.now
    for _ in range(400):
        with pytest.raises(errors.RootSilent):
            shares.helper_of(ROOT) if started or clock.now > began else shares.ask(ROOT, len, b"")
        clock.now += 1
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert 4 <= len(started) <= 10
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 60
    eventually(lambda: process.reap_processes() == 0)


def test_a_process_that_was_told_to_end_is_reaped_and_not_waited_for(helper: Helper) -> None:
    helper.ask(Call(len, (b"",)))
    assert process.end_process(helper.process) == -signal.SIGKILL


def test_the_helper_of_a_root_that_is_no_share_any_more_ends(shares: Shares) -> None:
    shares.ask(ROOT, len, b"")
    shares.ask(b"/", len, b"")
    gone, kept = shares.helper_of(ROOT), shares.helper_of(b"/")
    shares.keep([b"/"])
    assert gone.process.poll() is not None
    assert kept.process.poll() is None


# ---- paths


def test_a_real_path_is_that_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "one").symlink_to("a/b")
    (tmp_path / "a/up").symlink_to("../one")
    (tmp_path / "absolute").symlink_to(tmp_path / "a")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dead").symlink_to("nowhere/else")
    for name in ("one", "a/up", "absolute/up/../b", "dead", "none/x", ".", "a/./b//", "a/b/.."):
        path = os.fsencode(tmp_path / name) if name != "." else os.fsencode(tmp_path) + b"/."
        assert real_path(path) == os.path.realpath(path), name
    assert real_path(os.fsencode(tmp_path / "circle")) == os.fsencode(tmp_path / "circle")
