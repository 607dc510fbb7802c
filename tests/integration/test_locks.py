"""Who may write: one command at a time, or the daemon; who only reads asks nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.programs import (
    AT_MOST_S,
    ENVIRONMENT,
    Running,
    count,
    eventually,
    rows,
    run,
    started,
    writing,
)


@contextmanager
def daemon(db: Path, manner: str) -> Iterator[subprocess.Popen[bytes]]:
    """The stand-in, once it holds the lock and listens."""
    program = [sys.executable, "-m", "tests.integration.daemon_stand_in", str(db), manner]
    with subprocess.Popen(program, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def holds_the_lock(db: Path, running: Running) -> bool:
    lock = db.with_name(db.name + ".lock")
    return f'"pid":{running.pid},' in lock.read_text()


@pytest.fixture
def indexed(music: Path, db: Path) -> Path:
    """A folder with two indexed files."""
    plant(music, {"a.mp3": tagged(title="a"), "b/b.mp3": tagged(title="b")})
    run("rebuild", music, db=db)
    return music


def test_a_second_scan_waits_and_finds_nothing_left_to_read(indexed: Path, db: Path) -> None:
    plant(indexed, {"c.mp3": tagged(title="c")})
    with ExitStack() as stack:
        with writing(db):
            first = stack.enter_context(started("scan", "--json", db=db))
            eventually(partial(holds_the_lock, db, first))
            second = stack.enter_context(started("scan", "--json", db=db))
            said = second.error_line()
            assert said == f"indexer: waiting pid={first.pid} command=scan\n"
            assert not first.ended
        ended = first.end(), second.end()
    assert [ran.code for ran in ended] == [0, 0]
    assert [ran.object["files_read"] for ran in ended] == [1, 0]
    assert [ran.object["added"] for ran in ended] == [1, 0]


def test_who_waits_for_another_command_can_be_interrupted(indexed: Path, db: Path) -> None:
    with writing(db), started("scan", db=db) as first:
        eventually(partial(holds_the_lock, db, first))
        with started("scan", db=db) as second:
            assert second.error_line().startswith("indexer: waiting")
            second.interrupt()
            ran = second.end()
    assert (ran.code, "Traceback" in ran.err) == (130, False)
    assert indexed.exists()


def test_a_lock_of_a_killed_command_is_nobodys(indexed: Path, db: Path) -> None:
    with writing(db), started("scan", db=db) as first:
        eventually(partial(holds_the_lock, db, first))
        first.kill()
    status = run("status", "--json", db=db).object
    assert status["roots"][0]["state"] == "idle"
    assert run("scan", "--json", db=db).object["unchanged"] == 2
    assert indexed.exists()


def test_reading_asks_nobody(indexed: Path, db: Path) -> None:
    commands = ("status", "search a", "problems", "changes", "roots", "verify --deep", "show a.mp3")
    with writing(db) as writer, started("scan", db=db) as scan:
        writer.execute("DELETE FROM problems")
        eventually(partial(holds_the_lock, db, scan))
        for command in commands:
            run(*command.split(), "--json", db=db, cwd=indexed)
        assert not scan.ended


def test_status_says_scanning_while_a_command_is_at_work(indexed: Path, db: Path) -> None:
    for command in ("rebuild", "scan"):
        with writing(db), started(command, db=db) as running:
            eventually(partial(holds_the_lock, db, running))
            status = run("status", "--json", db=db).object
            assert [root["state"] for root in status["roots"]] == ["scanning"]
            assert status["daemon"]["running"] is False
            running.kill()
    assert indexed.exists()


def test_status_knows_a_daemon_by_its_lock(indexed: Path, db: Path) -> None:
    with daemon(db, "sleeps") as process:
        status = run("status", "--json", db=db).object
        assert status["daemon"]["running"] is True
        assert status["daemon"]["pid"] == process.pid
    assert run("status", "--json", db=db).object["daemon"]["running"] is False
    assert indexed.exists()


def test_a_link_to_an_index_has_no_lock_of_its_own(indexed: Path, db: Path) -> None:
    link = db.with_name("link.db")
    link.symlink_to(db)
    with daemon(db, "works") as process:
        assert run("status", "--json", db=link).object["daemon"]["pid"] == process.pid
        plant(indexed, {"c.mp3": tagged(title="c")})
        assert run("scan", "--json", db=link).object["added"] == 1
        assert process.stdout is not None
        assert process.stdout.readline() == b"worked\n"
    assert not link.with_name("link.db.lock").exists()


def test_a_daemon_does_what_scan_asks_for(indexed: Path, db: Path) -> None:
    with daemon(db, "works"):
        plant(indexed, {"c.mp3": tagged(title="c"), "b/d.mp3": tagged(title="d")})
        (indexed / "a.mp3").unlink()
        report = run("scan", "--json", db=db).object
        assert (report["added"], report["missing"], report["interrupted"]) == (2, 1, False)
        assert (report["seen"], report["unchanged"]) == (3, 1)
        assert run("scan", indexed / "b", "--json", db=db).object["added"] == 0
        assert "no audio file found" not in run("scan", db=db).out
    assert rows(db, "SELECT * FROM pending") == []
    assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_a_daemon_does_what_rebuild_asks_for(indexed: Path, db: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    plant(other, {"o.mp3": tagged(title="o")})
    with daemon(db, "works"):
        read_before = rows(db, "SELECT path, scan_id FROM tracks")
        assert run("rebuild", other, "--json", db=db).object["added"] == 1
        assert run("rebuild", "--json", db=db).object["interrupted"] is False
        read_now = rows(db, "SELECT path, scan_id FROM tracks")
        assert all(now > then for (_, then), (_, now) in zip(read_before, read_now, strict=False))
    states = run("status", "--json", db=db).object["scans"]
    assert {scan["state"] for scan in states} == {"done"}
    assert run("rebuild", "--json", db=db).object["files_read"] == 3
    assert indexed.exists()


def test_a_daemon_indexes_a_root_as_soon_as_it_is_added(
    indexed: Path, db: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    plant(other, {"o.mp3": tagged(title="o")})
    with daemon(db, "works"):
        run("roots", "add", other, db=db)
        eventually(lambda: count(db, "SELECT count(*) FROM library WHERE root = 'other'"))
        run("roots", "remove", "other", db=db)
        assert count(db, "SELECT count(*) FROM library WHERE root = 'other'") == 0
    assert indexed.exists()


@pytest.mark.parametrize("command", ["scan", "rebuild"])
def test_what_a_daemon_leaves_when_it_dies_the_command_does_itself(
    indexed: Path, db: Path, command: str
) -> None:
    plant(indexed, {"c.mp3": tagged(title="c")})
    with daemon(db, "dies") as process:
        report = run(command, "--json", db=db).object
        assert process.wait(AT_MOST_S) == -signal.SIGKILL
    assert (report["added"], report["seen"]) == (1, 3)
    assert report["files_read"] == (1 if command == "scan" else 3)
    assert rows(db, "SELECT * FROM pending") == []
    states = run("status", "--json", db=db).object["scans"]
    assert {scan["state"] for scan in states} == {"done"}


def test_who_follows_a_daemon_can_be_interrupted_and_the_hint_stays(
    indexed: Path, db: Path
) -> None:
    with daemon(db, "sleeps"), started("scan", "--json", db=db) as running:
        eventually(lambda: rows(db, "SELECT * FROM pending"))
        running.interrupt()
        ran = running.end()
        assert (ran.code, ran.object["interrupted"]) == (130, True)
        assert "Traceback" not in ran.err
        assert count(db, "SELECT count(*) FROM pending") == 1
        assert run("status", "--json", db=db).object["pending"] == 1
    run("scan", db=db)
    assert rows(db, "SELECT * FROM pending") == []
    assert indexed.exists()


def test_a_bell_that_a_killed_daemon_left_is_in_nobodys_way(indexed: Path, db: Path) -> None:
    with daemon(db, "works") as process:
        process.kill()
        process.wait(AT_MOST_S)
    assert os.path.exists(f"{db}.bell")
    assert run("scan", "--json", db=db).object["unchanged"] == 2
    with daemon(db, "works"):
        plant(indexed, {"c.mp3": tagged(title="c")})
        assert run("scan", "--json", db=db).object["added"] == 1


def test_the_bell_of_a_database_far_down_can_be_rung(tmp_path: Path, music: Path) -> None:
    """A socket's path holds 107 bytes (unix(7)); a database's may be longer."""
    db = tmp_path / ("deep" * 30) / "library.db"
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    with daemon(db, "works"):
        plant(music, {"c.mp3": tagged(title="c")})
        assert run("scan", "--json", db=db).object["added"] == 1
