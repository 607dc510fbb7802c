"""Commands beside a running daemon: it does what they ask for, and they come back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import QUICK, Daemon, ids, shown, watching
from tests.programs import count, eventually, rows, run, started

MANY = 1200


@pytest.fixture
def daemon(music: Path, db: Path) -> Iterator[Daemon]:
    """One that watches two files; at the end index must equal disk."""
    plant(music, {"a.mp3": tagged(title="A"), "b/b.mp3": tagged(title="B")})
    with watching(music, db=db) as running:
        yield running
        running.is_right()


def test_a_scan_comes_back_when_the_place_was_looked_at(daemon: Daemon, music: Path) -> None:
    report = run("scan", music / "b", "--json", db=daemon.db).object
    assert (report["seen"], report["unchanged"], report["interrupted"]) == (1, 1, False)
    assert run("scan", "--json", db=daemon.db).object["seen"] == 2
    assert run("scan", music / "a.mp3", "--json", db=daemon.db).object["seen"] == 1
    daemon.has_read(2)
    assert daemon.status()["daemon"]["pid"] == daemon.pid


def test_roots_that_are_added_or_accepted_show_what_the_daemon_does(
    daemon: Daemon, music: Path
) -> None:
    assert run("roots", "add", music, "--json", db=daemon.db).object["state"] == "watching"
    assert run("roots", "accept", "music", "--json", db=daemon.db).object["state"] == "watching"
    other = music.parent / "other"
    plant(other, {"c.mp3": tagged(title="C")})
    added = run("roots", "add", other, "--json", db=daemon.db).object
    assert added["state"] in {"scanning", "watching"}


def test_many_scans_at_once_all_come_back(daemon: Daemon, music: Path) -> None:
    with (
        started("scan", music, db=daemon.db) as one,
        started("scan", music, db=daemon.db) as other,
        started("scan", music / "b", db=daemon.db) as third,
    ):
        assert [running.end().code for running in (one, other, third)] == [0, 0, 0]


def test_a_scan_says_that_the_daemon_is_stopped_and_goes_on_with_it(
    daemon: Daemon, music: Path
) -> None:
    daemon.process.send_signal(signal.SIGSTOP)
    with started("scan", music, "--json", db=daemon.db) as scan:
        assert scan.error_line() == (
            f"indexer: waiting: process {daemon.pid} (`watcher run`) is stopped;"
            f" `kill -CONT {daemon.pid}` has it go on\n"
        )
        (told,) = [row for row in run("doctor", "--json", db=daemon.db, check=1).objects
                   if row["check"] == "daemon"]  # fmt: skip
        assert told["remedy"] == f"kill -CONT {daemon.pid}"
        daemon.process.send_signal(signal.SIGCONT)
        assert scan.end().code == 0


def test_a_scan_does_not_wait_for_a_file_that_is_being_written(daemon: Daemon, music: Path) -> None:
    with (music / "x.mp3").open("wb", buffering=0) as file:
        file.write(tagged(title="X"))
        report = run("scan", music, "--json", db=daemon.db).object
        assert (report["seen"], report["added"], report["pending"]) == (3, 0, 1)
        assert "x.mp3" not in shown(daemon.db)
    daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "x.mp3": "X"})


def test_a_rebuild_has_every_file_read_again(daemon: Daemon) -> None:
    report = run("rebuild", "--json", db=daemon.db).object
    assert (report["seen"], report["unchanged"]) == (2, 2)
    daemon.has_read(4)
    assert daemon.lines("asked root=music reread=True")
    (scan,) = [one for one in daemon.status()["scans"] if one["kind"] == "rebuild"]
    assert scan["state"] == "done"


def test_a_file_that_was_open_during_a_rebuild_is_read_again_when_it_is_closed(
    daemon: Daemon, music: Path
) -> None:
    with (music / "a.mp3").open("r+b"):
        run("rebuild", "--json", db=daemon.db)
        daemon.has_read(3)
        assert count(daemon.db, "SELECT count(*) FROM pending") == 1
    daemon.has_read(4)
    eventually(lambda: count(daemon.db, "SELECT 1 + count(*) FROM pending") == 1)


def test_a_rebuild_that_a_killed_daemon_left_is_done_by_the_next(
    daemon: Daemon, music: Path
) -> None:
    db = daemon.db
    daemon.process.kill()
    daemon.process.wait()
    plant(music, {f"many/{n}.mp3": tagged(title=f"{n}") for n in range(MANY)})
    small_bites = QUICK + "chunk_files = 10\n"
    with watching(db=db, config=small_bites, log=db.with_name("second.log")) as second:
        with started("rebuild", "--json", db=db) as rebuild:
            read = second.files_read
            eventually(lambda: rows(db, "SELECT 1 FROM tracks WHERE scan_id > 0 LIMIT 1"))
            second.process.kill()
            second.process.wait()
            assert read == MANY
            report = rebuild.end().object
        assert report["interrupted"] is False
    assert count(db, "SELECT count(*) FROM tracks WHERE scan_id = 0") == 0


def test_a_root_that_is_added_is_watched_and_one_that_is_removed_is_let_go(
    daemon: Daemon, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    plant(other, {"o.mp3": tagged(title="O")})
    run("roots", "add", other, db=daemon.db)
    daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "o.mp3": "O"})
    daemon.await_line("watching root=other")
    plant(other, {"p.mp3": tagged(title="P")})
    daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "o.mp3": "O", "p.mp3": "P"})
    before = ids(daemon.db)
    run("roots", "remove", "other", db=daemon.db)
    for n in range(20):
        plant(other, {f"{n}.mp3": tagged(title="nobody's")})
    eventually(lambda: daemon.status()["daemon"]["watched_folders"] == 2)
    daemon.shows({"a.mp3": "A", "b/b.mp3": "B"})
    run("roots", "add", other, db=daemon.db)
    eventually(lambda: len(shown(daemon.db)) == 24)
    assert ids(daemon.db).items() >= before.items()


def test_a_root_that_is_removed_while_it_is_read_for_the_first_time_leaves_nothing(
    daemon: Daemon, tmp_path: Path
) -> None:
    db, other = daemon.db, tmp_path / "other"
    daemon.end()
    plant(other, {f"{n // 50}/{n}.mp3": tagged(title=f"{n % 9}") for n in range(MANY)})
    small_bites = QUICK + "chunk_files = 10\n"
    with watching(db=db, config=small_bites, log=db.with_name("second.log")) as second:
        run("roots", "add", other, db=db)
        eventually(lambda: count(db, "SELECT count(*) FROM library WHERE root = 'other'") > 50)
        run("roots", "remove", "other", db=db)
        assert len(shown(db)) < MANY, "it was not in the middle"
        eventually(lambda: second.status()["daemon"]["watched_folders"] == 2)
        assert shown(db) == {"a.mp3": "A", "b/b.mp3": "B"}
        second.is_right()


def test_a_rebuild_of_a_new_folder_is_done_by_the_daemon(daemon: Daemon, tmp_path: Path) -> None:
    other = tmp_path / "other"
    plant(other, {"o.mp3": tagged(title="O")})
    assert run("rebuild", other, "--json", db=daemon.db).object["seen"] == 1
    assert shown(daemon.db) == {"a.mp3": "A", "b/b.mp3": "B", "o.mp3": "O"}
    daemon.await_line("watching root=other")


def test_a_rebuild_of_new_folders_reports_what_it_does_alone_and_reads_each_file_once(
    daemon: Daemon, tmp_path: Path
) -> None:
    others = [tmp_path / name for name in ("one", "two")]
    for folder in others:
        plant(folder, {f"{n}.mp3": tagged(title=f"{n}") for n in range(5)})
        plant(folder, {"bad.mp3": b"no sound"})
    report = run("rebuild", *others, tmp_path / "music", "--json", db=daemon.db).object
    counted = {key: report[key] for key in ("seen", "added", "unchanged", "problems", "files_read")}
    assert counted == {"seen": 14, "added": 10, "unchanged": 2, "problems": 2, "files_read": 14}
    for name in ("one", "two"):
        daemon.await_line(f"watching root={name}")
    daemon.has_read(2 + 14)
    (told,) = [one for one in daemon.status()["scans"] if one["roots"] == ["music", "one", "two"]]
    assert (told["kind"], told["state"]) == ("rebuild", "done")
    assert not [one for one in daemon.status()["scans"] if one["roots"] in (["one"], ["two"])]


def test_a_polled_root_is_looked_at_now_and_then(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    config = QUICK + 'polled = ["music"]\npoll_interval = 0.3\n'
    polls = Daemon.await_line
    with watching(music, db=db, config=config, until=lambda one: polls(one, "polling")) as daemon:
        assert daemon.state() == "polling"
        assert daemon.status()["daemon"]["watched_folders"] == 0
        inotify = [
            os.readlink(link)
            for link in Path(f"/proc/{daemon.pid}/fd").iterdir()
            if "inotify" in os.readlink(link)
        ]
        assert inotify == []
        plant(music, {"b/c/d.mp3": tagged(title="D"), "a.mp3": tagged(title="A again")})
        daemon.shows({"a.mp3": "A again", "b/c/d.mp3": "D"})
        (music / "a.mp3").unlink()
        daemon.shows({"b/c/d.mp3": "D"})
        read = daemon.files_read
        looks = len(daemon.lines("looked"))
        eventually(lambda: len(daemon.lines("looked")) > looks + 2)
        assert daemon.files_read == read
        daemon.is_right()


def test_a_scan_of_a_root_that_is_away_does_not_wait_for_it(
    daemon: Daemon, music: Path, db: Path, tmp_path: Path
) -> None:
    music.rename(tmp_path / "away")
    daemon.await_line("offline root=music")
    ran = run("scan", "--json", db=db, check=3)
    assert "music" in ran.err
    assert ran.object["seen"] == 0
    (tmp_path / "away").rename(music)
    daemon.await_line("online root=music")
