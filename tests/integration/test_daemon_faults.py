"""Lost events, too few watches, a database that takes nothing: all is found in the end."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import QUICK, shown, watching
from tests.integration.conftest import Mount, fill
from tests.programs import AT_MOST_S, eventually

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
LIMITS = Path("/proc/sys/user")
IMPATIENT = QUICK + "busy_timeout = 0.2\n"


@contextmanager
def locked(db: Path) -> Iterator[None]:
    """Another program in the middle of a write."""
    with closing(sqlite3.connect(db, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2][0]


def test_events_that_the_kernel_dropped_cost_a_look_at_everything(music: Path, db: Path) -> None:
    queue = int(QUEUE.read_text())
    if queue > 100_000:
        pytest.skip("this machine's queue of events is too long to fill")
    plant(music, {"a/a.mp3": tagged(title="A"), "b/gone.mp3": tagged(title="Gone")})
    with watching(music, db=db) as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        eventually(lambda: state_of(daemon.pid) == "T")
        one, other = music / "a/a.mp3", music / "b/gone.mp3"
        for _ in range(queue // 2 + 1):  # equal events in a row are but one
            os.utime(one)
            os.utime(other)
        other.unlink()
        plant(music, {"c/d/new.mp3": tagged(title="New"), "a/a.mp3": tagged(title="A again")})
        daemon.process.send_signal(signal.SIGCONT)
        daemon.await_line("overflow root=music")
        daemon.shows({"a/a.mp3": "A again", "c/d/new.mp3": "New"})
        daemon.watches(2)
        assert daemon.recoveries() == {"overflow": 1}
        assert daemon.state() == "watching"
        plant(music, {"c/d/later.mp3": tagged(title="Later")})
        daemon.shows({"a/a.mp3": "A again", "c/d/new.mp3": "New", "c/d/later.mp3": "Later"})
        daemon.is_right()


def lowered(name: str, limit: int) -> list[str]:
    """What starts a program with a lower limit of its own, whatever the machine's is."""
    tool, limited = shutil.which("unshare"), LIMITS / name
    if tool is None or not limited.exists():
        pytest.skip("this machine cannot lower the limit for one process")
    lower = f'echo {limit} > {limited} && exec "$@"'
    prefix = [tool, "--user", "--map-root-user", "sh", "-c", lower, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let user namespaces be made")
    return prefix


def test_a_root_for_which_there_is_no_inotify_left_is_polled(music: Path, db: Path) -> None:
    plant(music, {f"{n}/x.mp3": tagged(title=f"{n}") for n in range(3)})
    prefix = lowered("max_inotify_instances", 0)
    config = QUICK + "poll_interval = 0.1\n"
    with watching(music, db=db, config=config, prefix=prefix) as daemon:
        told = daemon.status()["daemon"]
        assert (told["watched_folders"], told["unwatched_folders"]) == (0, 1)
        assert daemon.lines("unwatched root=music", "sysctl fs.inotify.max_user_instances=")
        (music / "1/x.mp3").unlink()
        plant(music, {"2/x.mp3": tagged(title="2 again")})
        daemon.shows({"0/x.mp3": "0", "2/x.mp3": "2 again"})
        daemon.is_right()


def test_folders_beyond_the_limit_of_watches_are_counted_and_polled(music: Path, db: Path) -> None:
    limit = 8
    prefix = lowered("max_inotify_watches", limit)
    plant(music, {f"{n}/x.mp3": tagged(title=f"{n}") for n in range(12)})
    config = QUICK + "poll_interval = 0.1\n"
    with watching(music, db=db, config=config, prefix=prefix) as daemon:
        told = daemon.status()["daemon"]
        assert 1 <= told["watched_folders"] < limit
        assert told["watched_folders"] + told["unwatched_folders"] == 13
        (line,) = daemon.lines("unwatched root=music")
        assert f"folders={told['unwatched_folders']} " in line
        assert "sysctl fs.inotify.max_user_watches=" in line
        titles = {f"{n}/x.mp3": f"{n} again" for n in range(12)}
        for path, title in titles.items():
            (music / path).write_bytes(tagged(title=title))
        daemon.shows(titles)
        plant(music, {f"{n}/new/y.mp3": tagged(title=f"{n}") for n in range(12)})
        daemon.shows({**titles, **{f"{n}/new/y.mp3": f"{n}" for n in range(12)}})
        daemon.is_right()


def test_a_database_that_is_locked_for_long_costs_no_change(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    with watching(music, db=db, config=IMPATIENT) as daemon:
        with locked(db):
            (music / "a.mp3").write_bytes(tagged(title="A again"))
            daemon.await_line("database busy", "again in", times=2)
            (music / "b.mp3").unlink()
            plant(music, {"c/c.mp3": tagged(title="C")})
            assert daemon.recoveries() == {"database busy": 1}
            assert daemon.state() == "scanning"
        daemon.shows({"a.mp3": "A again", "c/c.mp3": "C"})
        daemon.await_line("trouble over")
        assert daemon.state() == "watching"
        daemon.is_right()
        assert "Traceback" not in daemon.log


def test_a_daemon_that_waits_for_the_database_ends_at_once(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon, locked(db):
        (music / "a.mp3").write_bytes(tagged(title="A again"))
        eventually(lambda: "nanosleep" in Path(f"/proc/{daemon.pid}/wchan").read_text())
        assert daemon.end(within_s=10) == 0
    with watching(db=db) as daemon:
        daemon.shows({"a.mp3": "A again"})
        daemon.is_right()


def test_a_database_whose_disk_is_full_is_filled_up_when_there_is_room(
    music: Path, tmp_path: Path, empty_index: Path, mount: Mount
) -> None:
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=2m", "tmpfs")
    db = disk / "library.db"
    shutil.copyfile(empty_index, db)
    plant(music, {"a.mp3": tagged(title="A")})
    log = tmp_path / "elsewhere"
    log.mkdir()
    with watching(music, db=db, config=IMPATIENT, log=log / "log") as daemon:
        ballast = fill(disk)
        expected = {f"{n}/x.mp3": f"{n}" for n in range(60)}
        plant(music, {path: tagged(title=title) for path, title in expected.items()})
        daemon.await_line("database", "again in")
        assert sum(daemon.recoveries().values()) == 1
        status = daemon.status()
        assert status["daemon"]["trouble"] == "the disk of the index is full"
        assert "the disk of the index is full" in status["health"][0]["text"]
        ballast.unlink()
        daemon.shows({"a.mp3": "A", **expected})
        daemon.is_right()
        assert daemon.status()["health"] == []
        assert "Traceback" not in daemon.log


def test_a_database_that_is_damaged_ends_it_with_a_word(music: Path, db: Path) -> None:
    plant(music, {f"{n}.mp3": tagged(title=f"{n}") for n in range(3)})
    with watching(music, db=db) as daemon:
        daemon.end()
    with db.open("r+b") as file:
        file.seek(4096)
        file.write(b"\0" * 8 * 4096)
    db.with_name("library.db-wal").unlink(missing_ok=True)
    with watching(db=db, until=None) as daemon:
        assert daemon.process.wait(AT_MOST_S) == 3
        assert "damaged" in daemon.log
        assert "Traceback" not in daemon.log


def test_a_burst_of_small_files_costs_no_memory_for_good(music: Path, db: Path) -> None:
    with watching(music, db=db) as daemon:
        before = pss_kb(daemon.pid)
        song = tagged(title="Small")
        for folder in range(30):
            plant(music, {f"{folder}/{n}.mp3": song for n in range(100)})
        eventually(lambda: len(shown(db)) == 3000)
        eventually(lambda: pss_kb(daemon.pid) < before + 8_000)
        daemon.is_right()


def pss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
