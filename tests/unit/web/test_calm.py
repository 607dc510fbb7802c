"""The one line of the first page: the worst that is true."""

from __future__ import annotations

from msgspec.structs import replace

from indexer.results import status_report
from indexer.runs.lock import LockInfo
from indexer.web.calm import Facts, line_of

MUSIC = status_report.RootStatus(name="music", path="/srv/music", state="watching", tracks=2032)
DAEMON = LockInfo(1, "daemon", states={"music": "watching"})
CALM = Facts(roots=[MUSIC], daemon=DAEMON, tracks=2032, changed_ms=1000, now_ms=4000)


def test_a_watched_root_without_work_is_equal_to_the_disk() -> None:
    line = line_of(CALM)
    assert (line.colour, line.text, line.step) == ("green", "equal to the disk", "")
    assert line.details == ("2\u202f032 tracks",)
    assert line.changed_ms == 1000


def test_work_that_waits_says_how_much_and_for_how_long() -> None:
    line = line_of(replace(CALM, pending=3, pending_since_ms=1000))
    assert line.colour == "amber"
    assert line.text == "3 places still to be looked at for 3\u202fs"


def test_work_without_a_daemon_says_what_starts_it() -> None:
    line = line_of(replace(CALM, daemon=None, pending=1))
    assert (line.colour, line.step) == ("amber", "nothing works on it: start watcher run")


def test_an_offline_root_beats_work_and_tells_why() -> None:
    away = status_report.RootStatus(name="usb", path="/mnt/usb", state="offline", reason="mount it")
    line = line_of(replace(CALM, roots=[MUSIC, away], pending=3))
    assert (line.colour, line.step) == ("red", "mount it")
    assert line.text == "usb is offline; not one of its tracks was dropped"


def test_nothing_is_called_equal_that_nothing_follows() -> None:
    for daemon in (None, LockInfo(1, "roots")):
        line = line_of(replace(CALM, daemon=daemon))
        assert (line.colour, line.text) == ("amber", "nothing follows the disk")


def test_a_root_that_is_looked_at_is_not_called_equal_yet() -> None:
    daemon = LockInfo(1, "daemon", states={"music": "scanning"})
    line = line_of(replace(CALM, daemon=daemon))
    assert (line.colour, line.text) == ("amber", "looking at all of music")


def test_queues_that_do_not_work_are_told() -> None:
    daemon = LockInfo(1, "daemon", states={"music": "watching"}, queue_trouble="no Redis answers")
    line = line_of(replace(CALM, daemon=daemon))
    assert (line.colour, line.step) == ("amber", "no Redis answers")


def test_a_daemon_that_cannot_write_is_not_called_equal() -> None:
    line = line_of(replace(CALM, trouble="the disk of the index is read-only"))
    assert (line.colour, line.step) == ("red", "indexer doctor")
    assert line.text == "the disk of the index is read-only: changes wait"


def test_folders_without_a_watch_are_told() -> None:
    daemon = LockInfo(1, "daemon", unwatched_folders=2, states={"music": "watching"})
    line = line_of(replace(CALM, daemon=daemon))
    assert line.colour == "green"
    assert line.details[1] == "2 folders without a watch: looked at every few minutes"
    assert line.step == "indexer doctor"


def test_without_a_root_it_says_how_to_begin() -> None:
    line = line_of(Facts())
    assert (line.colour, line.text) == ("amber", "no folder is indexed yet")
    assert "indexer rebuild FOLDER" in line.step
