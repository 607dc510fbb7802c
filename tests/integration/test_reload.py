"""SIGHUP and `indexer reload`: a daemon with other settings, in the same process."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest

from indexer.runs.lock import lock_info
from tests.corpus import plant, tagged
from tests.daemons import QUICK, watching
from tests.integration.test_queue_faults import System
from tests.programs import eventually, rows, run
from tests.redis_servers import redis_server


def write(config: Path, text: str) -> None:
    config.write_text(QUICK + text)


@pytest.fixture
def config(db: Path) -> Path:
    """The settings file of `watching`."""
    return db.with_name("watcher.toml")


def test_other_suffixes_and_ignored_names_are_taken_while_it_runs(
    music: Path, db: Path, config: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "Demos/b.mp3": tagged(title="B")})
    with watching(music, db=db) as daemon:
        daemon.shows({"a.mp3": "A", "Demos/b.mp3": "B"})
        write(config, 'ignored_names = ["Demos"]\n')
        told = run("--config", config, "reload", "--json", db=db).object
        assert told == {"changed": ["ignored_names"], "restart": []}
        daemon.shows({"a.mp3": "A"})
        plant(music, {"Demos/c.mp3": tagged(title="C"), "d.mp3": tagged(title="D")})
        daemon.shows({"a.mp3": "A", "d.mp3": "D"})
        write(config, "")
        run("--config", config, "reload", db=db)
        daemon.shows({"a.mp3": "A", "d.mp3": "D", "Demos/b.mp3": "B", "Demos/c.mp3": "C"})
        assert daemon.lines("reloaded", "changed=ignored_names")
        daemon.is_right()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a namespace")
def test_only_the_daemon_is_told_where_containers_count_their_own_processes(
    music: Path, db: Path, config: Path
) -> None:
    """Its id in its container is that of some other process here, which a SIGHUP may end."""
    container = ["unshare", "--pid", "--fork", "--mount-proc"]
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db, prefix=container) as daemon:
        (here,) = psutil.Process(daemon.process.pid).children()
        assert run("status", "--json", db=db).object["daemon"]["pid"] == here.pid
        run("--config", config, "reload", db=db)
        assert len(daemon.lines("reloaded")) == 1
        ran = run("reload", db=db, prefix=container, check=3)
        assert "runs in another container, as process 1 of it" in ran.err
        here.suspend()
        found = run("doctor", "--json", db=db, check=1).objects
        assert f"kill -CONT {here.pid}" in [one["remedy"] for one in found]
        here.resume()
        daemon.is_right()
        assert len(daemon.lines("reloaded")) == 1


def test_a_mistake_keeps_the_old_settings_and_says_its_line(
    music: Path, db: Path, config: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        write(config, 'quiet = "soon"\n')
        daemon.process.send_signal(signal.SIGHUP)
        line = daemon.await_line("reload refused")
        number = config.read_text().splitlines().index('quiet = "soon"') + 1
        assert f"{config}:{number}: quiet" in line
        ran = run("--config", config, "reload", db=db, check=2)
        assert f"{config}:{number}: quiet" in ran.err
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})


def test_what_needs_a_restart_is_named(music: Path, db: Path, config: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        write(config, 'group = "root"\nquiet = 0.01\n')
        told = run("--config", config, "reload", "--json", db=db).object
        assert told == {"changed": ["quiet"], "restart": ["group"]}
        daemon.await_line("restart needed", "settings=group")
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})


def test_settings_that_are_the_same_disturb_nothing(music: Path, db: Path, config: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        ran = run("--config", config, "reload", db=db)
        assert ran.out == "reloaded: nothing has changed\n"
        assert len(daemon.lines("watching root=")) == 1


def test_changes_during_a_reload_are_found_and_read_once(
    music: Path, db: Path, config: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        expected = {"a.mp3": "A"}
        for n in range(8):
            write(config, f"quiet = 0.00{n + 1}\n")
            daemon.process.send_signal(signal.SIGHUP)
            plant(music, {f"{n}.mp3": tagged(title=f"{n}")})
            expected[f"{n}.mp3"] = f"{n}"
        daemon.shows(expected)
        eventually(lambda: rows(db, "SELECT count(*) FROM pending") == [(0,)])
        daemon.is_right()
        assert daemon.end() == 0


def test_a_request_while_a_reload_is_under_way_is_obeyed_too(
    music: Path, db: Path, config: Path
) -> None:
    """Also in the moment in which one daemon is closed and the next one is not made yet."""
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        for n in range(150):
            write(config, f"quiet = 0.01{n:03}\n")
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep((n % 7) * 0.002)
        write(config, "quiet = 0.02\n")
        assert run("--config", config, "reload", db=db).out.startswith("reloaded: ")
        plant(music, {"b.mp3": tagged(title="B")})
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})
        assert daemon.end() == 0


def test_a_request_while_the_program_starts_is_obeyed_when_it_watches(
    music: Path, db: Path, config: Path
) -> None:
    """Here it waits for another program that writes; it could be a migration that takes long."""
    plant(music, {"a.mp3": tagged(title="A"), "b.flac": tagged(".flac", title="B")})
    run("rebuild", music, db=db)
    (second := music.with_name("second")).mkdir()
    with (
        closing(sqlite3.connect(db, isolation_level=None)) as other,
        watching(music, second, db=db, until=None) as daemon,
    ):
        other.execute("BEGIN IMMEDIATE")
        eventually(lambda: (holder := lock_info(db)) is not None and holder.pid == daemon.pid)
        write(config, 'suffixes = ["mp3"]\n')
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        other.execute("ROLLBACK")
        daemon.await_line("reloaded", "changed=suffixes")
        daemon.shows({"a.mp3": "A"})


def test_without_a_daemon_it_says_so(db: Path) -> None:
    assert "no daemon runs" in run("reload", db=db, check=3).err


def test_workers_take_the_settings_that_the_daemon_takes(
    tmp_path: Path, music: Path, db: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "Demos/b.mp3": tagged(title="B")})
    with redis_server(tmp_path / "redis") as server, ExitStack() as stack:
        system = System(stack, music, db, server)
        workers = system.employ()
        daemon = system.watch()
        daemon.shows({"a.mp3": "A", "Demos/b.mp3": "B"})

        def reload(text: str) -> None:
            for name in ("worker1.toml", "watcher.toml"):
                db.with_name(name).write_text(system.config + text)
            run("--config", db.with_name("watcher.toml"), "reload", db=db)

        reload('ignored_names = ["Demos"]\n')
        daemon.shows({"a.mp3": "A"})
        plant(music, {"Demos/c.mp3": tagged(title="C"), "d.mp3": tagged(title="D")})
        daemon.shows({"a.mp3": "A", "d.mp3": "D"})
        reload("")
        daemon.shows({"a.mp3": "A", "d.mp3": "D", "Demos/b.mp3": "B", "Demos/c.mp3": "C"})
        db.with_name("worker1.toml").write_text("nonsense")
        plant(music, {"e.mp3": tagged(title="E")})
        daemon.shows(
            {"a.mp3": "A", "d.mp3": "D", "Demos/b.mp3": "B", "Demos/c.mp3": "C", "e.mp3": "E"}
        )
        assert "settings refused" in workers.log
        assert "settings changed=ignored_names" in workers.log
        system.is_right()
