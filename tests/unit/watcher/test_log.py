"""Decisions -> log lines, one each, with any content."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from watcher.log import DecisionHandler, EventLog, style_for


@pytest.fixture
def style() -> str:
    return "plain"


@pytest.fixture
def log(style: str) -> Iterator[EventLog]:
    """A log to the current stderr."""
    logger = logging.getLogger("watcher.test")
    handler = DecisionHandler(style)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield EventLog("watcher.test")
    logger.removeHandler(handler)


def test_a_decision_is_its_event_and_its_facts(
    log: EventLog, capfd: pytest.CaptureFixture[str]
) -> None:
    log.warning("overflow", root="music", action="rescan", seconds=1.23456, folders=3)
    assert capfd.readouterr().err == "overflow root=music action=rescan seconds=1.235 folders=3\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nroot=forged", r'"line\nroot=forged"'),
        ("\x1b[2J", r'"\x1b[2J"'),
        ("\u202eabc", r'"\u202eabc"'),
        ("\u2028", r'"\u2028"'),
        (os.fsdecode(b"\xff"), r'"\udcff"'),
        ("Björk", "Björk"),
    ],
)
def test_a_value_cannot_break_its_line(
    log: EventLog, capfd: pytest.CaptureFixture[str], value: str, shown: str
) -> None:
    log.info("added", path=value)
    assert capfd.readouterr().err == f"added path={shown}\n"


@pytest.mark.parametrize("style", ["json"])
def test_a_line_of_json_holds_all_of_it(log: EventLog, capfd: pytest.CaptureFixture[str]) -> None:
    log.warning("offline", path="a\n" + os.fsdecode(b"\xff"), seconds=0.123456)
    line = json.loads(capfd.readouterr().err)
    assert line.pop("at") > 1_600_000_000
    assert line == {
        "level": "warning", "event": "offline", "path": "a\n\\udcff", "seconds": 0.123,
    }  # fmt: skip


@pytest.mark.parametrize("style", ["systemd"])
def test_the_journal_learns_the_priority(log: EventLog, capfd: pytest.CaptureFixture[str]) -> None:
    log.info("watching", root="music")
    log.warning("overflow", root="music")
    assert capfd.readouterr().err == "<6>watching root=music\n<4>overflow root=music\n"


def test_a_traceback_is_on_one_line(log: EventLog, capfd: pytest.CaptureFixture[str]) -> None:
    del log
    logger = logging.getLogger("watcher.test")
    logger.error("failed", exc_info=ValueError("a\nb"))
    (line,) = capfd.readouterr().err.splitlines()
    assert line == r'failed traceback="ValueError: a\nb"'


def test_an_event_with_a_name_in_it_stays_on_one_line(
    log: EventLog, capfd: pytest.CaptureFixture[str]
) -> None:
    log.info("odd\nevent")
    assert capfd.readouterr().err == "odd\\nevent\n"


def test_only_what_leads_to_the_journal_is_written_for_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        status = os.fstat(file.fileno())
        journal = f"{status.st_dev}:{status.st_ino}"
        assert style_for(file.fileno(), journal, as_json=False) == "systemd"
        assert style_for(file.fileno(), journal, as_json=True) == "json"
        assert style_for(file.fileno(), "8:12345", as_json=False) == "plain"
        assert style_for(file.fileno(), None, as_json=False) == "plain"
