"""What the daemon says, and how quiet it is when nothing happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import context_switches, cpu_ticks, io_of, watching

REST_S = 4
EVENT = re.compile(r'[a-z][a-z ]*( [a-z_]+=("([^"\\]|\\.)*"|[^ "\\=]+))*')


def test_each_line_is_an_event_and_its_facts_whatever_a_file_is_called(
    music: Path, db: Path
) -> None:
    hostile = (
        "a\nadded path=forged.mp3",
        'quoted " and = and \\',
        "\x1b[2J",
        "\u202eabc",
        "\u2028",
    )
    with watching(music, db=db) as daemon:
        plant(music, {f"{name}.mp3": tagged(title="A") for name in hostile})
        plant(music, {b"\xff\xfe.mp3": tagged(title="A")})
        daemon.await_line("added", times=6)
        assert daemon.end() == 0
    assert len(daemon.lines("added path=")) == 6
    assert daemon.log.isprintable() is False  # it has ends of lines, and nothing else that is odd
    for line in daemon.log.splitlines():
        assert line.isprintable(), line
        assert EVENT.fullmatch(line), line


def test_lines_in_json_hold_the_same(music: Path, db: Path) -> None:
    with watching(
        music, "--log-json", db=db, until=lambda one: one.await_line('"event":"watching"')
    ) as daemon:
        plant(music, {"a\n.mp3": tagged(title="A"), b"\xff.mp3": tagged(title="B")})
        daemon.await_line('"event":"added"', times=2)
        os.rename(music, os.path.join(os.fsencode(music.parent), b"\xff"))
        daemon.await_line('"event":"offline"')
        daemon.end()
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    added = [line["path"] for line in lines if line["event"] == "added"]
    assert sorted(added) == ["music/\\xff.mp3", "music/a\n.mp3"]
    assert {line["level"] for line in lines} == {"debug", "info", "warning"}


def test_the_journal_gets_priorities(music: Path, db: Path, tmp_path: Path) -> None:
    log = tmp_path / "journal"
    log.touch()
    status = log.stat()
    journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    with watching(music, db=db, log=log, env=journal) as daemon:
        music.rename(tmp_path / "away")
        daemon.await_line("<4>offline root=music")
    assert daemon.log.startswith("<7>looked ")
    assert daemon.lines("<6>watching root=music")


def test_output_that_does_not_go_to_the_journal_has_none(music: Path, db: Path) -> None:
    with watching(music, db=db, env={"JOURNAL_STREAM": "8:12345"}) as daemon:
        assert not daemon.log.startswith("<")


def test_at_rest_it_writes_nothing_and_sleeps(music: Path, db: Path) -> None:
    plant(music, {f"{n}/x.mp3": tagged(title=f"{n}") for n in range(200)})
    with watching(music, db=db, config="") as daemon:
        daemon.sleeps()
        before = io_of(daemon.pid), context_switches(daemon.pid), cpu_ticks(daemon.pid)
        with pytest.raises(subprocess.TimeoutExpired):
            daemon.process.wait(REST_S)
        after = io_of(daemon.pid), context_switches(daemon.pid), cpu_ticks(daemon.pid)
        assert after[0]["write_bytes"] == before[0]["write_bytes"]
        assert after[0]["wchar"] - before[0]["wchar"] < 100
        assert after[1] - before[1] < REST_S * 2
        assert after[2] - before[2] <= 2


def test_a_log_that_nobody_takes_is_no_reason_to_stop(music: Path, db: Path) -> None:
    with watching(music, db=db, stderr=Path("/dev/full"), until=None) as daemon:
        plant(music, {"a.mp3": tagged(title="A")})
        daemon.shows({"a.mp3": "A"})
        assert daemon.end() == 0
