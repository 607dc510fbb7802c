"""A stage that raises on one file, in every process of both engines: the rest goes on (R9)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import QUICK, shown, watching
from tests.programs import count, eventually, rows, run
from tests.raising import injecting
from tests.redis_servers import RedisServer
from tests.rq_workers import crew, is_quiet, quick
from tests.trees import put

STAGES = {
    "walk": "UnicodeError",
    "scan": "KeyError",
    "extract": "ValueError",
    "batch": "AssertionError",
    "insert": "OverflowError",
}
GOOD = {f"{folder}/{n}.mp3": f"{folder} {n}" for folder in ("a", "b") for n in range(1, 4)}


def planted(music: Path, titles: Mapping[str, str]) -> None:
    plant(music, {path: tagged(title=title) for path, title in titles.items()})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "index").mkdir()
    planted(tmp_path / "music", {"a/first.mp3": "first"})
    run("rebuild", tmp_path / "music", db=tmp_path / "index" / "library.db")
    return tmp_path


def has_one_fault(db: Path, stage: str, error: str) -> None:
    ((path, kind, reason),) = rows(db, "SELECT path, kind, reason FROM problems")
    assert (path, kind) == (b"a/raise.mp3", "fault")
    assert f"({stage}: {error}: " in reason


@pytest.mark.parametrize(("stage", "error"), STAGES.items())
def test_a_scan_indexes_all_but_the_file_on_which_a_stage_raises(
    home: Path, stage: str, error: str
) -> None:
    db, music = home / "index" / "library.db", home / "music"
    planted(music, {**GOOD, "a/raise.mp3": "odd"})
    ran = run("scan", "--json", db=db, env=injecting(stage, error))
    assert (ran.object["added"], ran.object["problems"]) == (len(GOOD), 1)
    assert shown(db) == {**GOOD, "a/first.mp3": "first"}
    has_one_fault(db, stage, error)
    assert ran.err.count("Traceback (most recent call last)") == 1

    again = run("scan", "--json", db=db, env=injecting(stage, error))
    assert again.object["files_read"] == 0
    has_one_fault(db, stage, error)

    os.utime(music / "a" / "raise.mp3")
    run("scan", db=db)
    assert shown(db)["a/raise.mp3"] == "odd"
    assert count(db, "SELECT count(*) FROM problems") == 0


@pytest.mark.parametrize(("stage", "error"), STAGES.items())
def test_a_file_with_a_row_keeps_it_when_a_stage_raises_on_it(
    home: Path, stage: str, error: str
) -> None:
    db, music = home / "index" / "library.db", home / "music"
    planted(music, {"a/raise.mp3": "before"})
    run("scan", db=db)
    put(music, "a/raise.mp3", tagged(title="after, and longer"))
    planted(music, {"a/1.mp3": "new"})
    run("scan", db=db, env=injecting(stage, error))
    assert shown(db) == {"a/first.mp3": "first", "a/1.mp3": "new", "a/raise.mp3": "before"}
    has_one_fault(db, stage, error)
    run("rebuild", db=db)
    assert shown(db)["a/raise.mp3"] == "after, and longer"


@pytest.mark.parametrize(("stage", "error"), STAGES.items())
def test_a_first_scan_in_reader_processes_goes_on_as_well(
    tmp_path: Path, stage: str, error: str
) -> None:
    db, music = tmp_path / "index" / "library.db", tmp_path / "music"
    many = {f"{folder}/{n}.mp3": f"{folder} {n}" for folder in "abc" for n in range(40)}
    planted(music, {**many, "a/raise.mp3": "odd"})
    ran = run(
        "rebuild", "--json", music, db=db, env=injecting(stage, error), config="small_work = 4"
    )
    if stage == "scan":  # a first scan has no row to compare with
        many["a/raise.mp3"] = "odd"
    assert ran.object["added"] == len(many)
    assert shown(db) == many
    if stage != "scan":
        has_one_fault(db, stage, error)


@pytest.mark.parametrize(("stage", "error"), STAGES.items())
def test_the_daemon_lives_and_goes_on(home: Path, stage: str, error: str) -> None:
    db, music = home / "index" / "library.db", home / "music"
    with watching(music, db=db, env=injecting(stage, error), may_fail=True) as daemon:
        planted(music, {"a/raise.mp3": "odd"})
        eventually(lambda: count(db, "SELECT count(*) FROM problems") == 1)
        planted(music, GOOD)
        daemon.shows({**GOOD, "a/first.mp3": "first"})
        has_one_fault(db, stage, error)
        assert daemon.end() == 0
        assert daemon.log.count("Traceback (most recent call last)") == 1


@pytest.mark.parametrize(("stage", "error"), STAGES.items())
def test_workers_go_on(home: Path, server: RedisServer, stage: str, error: str) -> None:
    db, music = home / "index" / "library.db", home / "music"
    config = quick(server.address)
    env = injecting(stage, error)
    with (
        crew(db=db, config=config, client=server.client(), env=env) as running,
        watching(music, db=db, config=config, env=env, may_fail=True) as daemon,
    ):
        running.may_fail = True
        planted(music, {**GOOD, "a/raise.mp3": "odd"})
        daemon.shows({**GOOD, "a/first.mp3": "first"})
        eventually(lambda: count(db, "SELECT count(*) FROM problems") == 1)
        is_quiet(db)
        has_one_fault(db, stage, error)
        assert daemon.end() == 0


@pytest.mark.parametrize("stage", ["extract", "insert"])
def test_a_fault_in_file_after_file_stops_the_run_and_says_so(home: Path, stage: str) -> None:
    db, music = home / "index" / "library.db", home / "music"
    planted(music, {f"a/raise {n}.mp3": f"odd {n}" for n in range(12)})
    ran = run("scan", db=db, env=injecting(stage, "ValueError"), check=3)
    assert "12 different files in a row made this program fail" in ran.err
    assert "the program is at fault" in ran.err
    assert shown(db) == {"a/first.mp3": "first"}
    run("scan", db=db)
    assert len(shown(db)) == 13


def test_a_daemon_with_a_fault_in_file_after_file_says_so_and_lives(home: Path) -> None:
    db, music = home / "index" / "library.db", home / "music"
    env = injecting("insert", "ValueError")
    planted(home / "aside", {f"raise {n}.mp3": f"odd {n}" for n in range(12)})
    with watching(music, db=db, config=QUICK, env=env, may_fail=True) as daemon:
        (home / "aside").rename(music / "b")  # as one change: else some are read before others
        daemon.await_line("the program is at fault")
        assert daemon.status()["tracks"] == 1
        assert daemon.end() == 0
