"""What a command that follows a run in the queues waits for."""

from __future__ import annotations

import os
import resource
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from indexer.queue.dispatch.run import woken
from indexer.runs.wakeup import WakeupSocket, wake


@pytest.fixture
def db(tmp_path: Path) -> Path:
    file = tmp_path / "library.db"
    file.touch()
    return file


def test_a_worker_that_ends_a_run_wakes_the_command_that_follows_it(db: Path) -> None:
    with woken(db) as pause:
        waker = threading.Timer(0, wake, (db,))
        waker.start()
        waker.join()
        began = time.monotonic()
        pause()
        first_s = time.monotonic() - began
        pause()  # the wake-up was taken: it waits
        second_s = time.monotonic() - began - first_s
    assert first_s < second_s
    assert not wake(db)  # none listens any more


def test_a_program_with_many_open_files_can_follow_a_run(db: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 1200:
        pytest.skip("this user may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(1030):
            stack.enter_context(open(os.devnull, "rb"))
        with woken(db) as pause:
            assert wake(db)
            pause()


def test_a_command_follows_a_run_without_wake_ups_where_no_socket_can_be_made(
    db: Path,
) -> None:
    db.with_name(f"{db.name}.bell").write_text("of others")
    with woken(db) as pause:
        pause()
    assert db.with_name(f"{db.name}.bell").read_text() == "of others"


def test_the_next_daemon_takes_away_the_socket_of_a_command_that_was_killed(db: Path) -> None:
    killed = woken(db)
    killed.__enter__()
    WakeupSocket(db).close()
    assert not db.with_name(f"{db.name}.bell").exists()
    killed.__exit__(None, None, None)
