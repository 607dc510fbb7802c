"""Single steps of the loop, with a fake clock: what is done, when and in which order."""

from __future__ import annotations

import errno
import logging
import math
import os
import selectors
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from indexer import errors
from indexer.ignore_files import path_filter_of
from indexer.reports.status import health_lines, trouble_of
from indexer.roots import open_roots
from indexer.roots.automounts import Touches
from indexer.roots.registry import root_at
from indexer.runs.lock import DispatchLock, LockInfo, lock_info
from indexer.runs.result import Result
from indexer.settings import Settings
from indexer.stages.insert import Inserter
from indexer.store import roots, tracks
from indexer.store.connection import (
    IndexConnection,
    open_index,
    select,
    select_value,
    write_transaction,
)
from indexer.store.problems import InIndex
from indexer.store.roots import RootRow
from indexer.store.work import pending
from tests.corpus import plant, tagged
from tests.programs import quickest_s
from watcher import status_publisher
from watcher.daemon import Daemon
from watcher.events.fs_event import WatchFault, WatchFaultKind
from watcher.log import EventLog
from watcher.loop import Watchdog
from watcher.roots.root import Root
from watcher.work.idle_work import IdleWork
from watcher.work.local_work import LocalWork, Looked

ARTWORK_DUE = "SELECT count(*) FROM artwork_due"
SETTINGS = {"quiet": 1.0, "probe_interval": 10.0, "poll_interval": 60.0, "retry_longest": 4.0}


class Stepped:
    """A daemon whose clock is advanced by the test."""

    def __init__(self, connection: IndexConnection, lock: DispatchLock, settings: Settings) -> None:
        self.now = 1000.0
        self.settings = settings
        self.connection = connection
        self.daemon = Daemon(
            connection, lock, settings, path_filter_of(settings), clock=lambda: self.now
        )

    def step(self, seconds: float = 0.0) -> None:
        """Advance the clock, wait for the events so far, and run one step."""
        self.now += seconds
        self.daemon._observers.fence(5)
        self.daemon.step(self.now)

    @property
    def shown(self) -> int:
        """The number of tracks in the view."""
        return tracks.counts(self.connection)[0]

    @property
    def titles(self) -> set[str]:
        """Those of the tracks in the view."""
        return {title for (title,) in select(self.connection, "SELECT title FROM library")}

    @property
    def told(self) -> LockInfo:
        """The published state, as read by `indexer status`."""
        told = lock_info(self.settings.db)
        assert told is not None
        return told

    @property
    def state(self) -> str:
        return self.told.states["music"]


@pytest.fixture
def changed() -> dict[str, Any]:
    """Changed settings; a test may parametrize them."""
    return {}


@pytest.fixture
def stepped(
    music: Path, settings: Settings, connection: IndexConnection, changed: dict[str, Any]
) -> Iterator[Stepped]:
    """A daemon for the folder `music` before its first step."""
    settings = msgspec.structs.replace(settings, **{**SETTINGS, **changed})
    lock = DispatchLock.acquire(settings.db, "daemon")
    assert lock is not None
    root_at(connection, settings, os.fsencode(music))
    stepped = Stepped(connection, lock, settings)
    with closing(stepped.daemon), closing(lock):
        yield stepped


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """`logged()` are the events in the log so far."""
    caplog.set_level(logging.INFO, "watcher")
    return lambda: [record.getMessage() for record in caplog.records]


def fails(error: Exception) -> Callable[..., Result]:
    """A scan that raises this error."""

    def look(*_: object, **__: object) -> Result:
        raise error

    return look


# Order and times


def test_the_first_turn_looks_at_everything(stepped: Stepped, music: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step()
    assert (stepped.shown, stepped.state) == (1, "watching")
    assert stepped.told.watched_folders == 1


def test_a_start_tells_of_many_roots_in_a_few_passes_and_of_each_when_it_is_current(
    stepped: Stepped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        folder = tmp_path / "more" / str(number)
        plant(folder, {"a.mp3": tagged(title=f"{number}")})
        root_at(stepped.connection, stepped.settings, os.fsencode(folder))
    noted, told = [0], []
    note, info = status_publisher._OfRoots.note, EventLog.info

    def counted(of_roots: status_publisher._OfRoots, root: Root) -> None:
        noted[0] += 1
        note(of_roots, root)

    def asked(log: EventLog, event: str, **fields: object) -> None:
        if event == "watching":
            told.append(stepped.told.states[str(fields["root"])])
        info(log, event, **fields)

    monkeypatch.setattr(status_publisher._OfRoots, "note", counted)
    monkeypatch.setattr(EventLog, "info", asked)
    stepped.step()
    assert told == ["watching"] * 21
    assert noted[0] <= 4 * 21
    assert set(stepped.told.states.values()) == {"watching"}
    assert stepped.told.watched_folders == 21


def test_a_change_is_looked_at_when_its_folder_has_been_quiet(
    stepped: Stepped, music: Path
) -> None:
    stepped.step()
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step(0.125)
    assert stepped.shown == 0
    assert stepped.daemon.next_turn() == stepped.now + 0.25
    stepped.step(1.0)
    assert stepped.shown == 1


@pytest.mark.parametrize("changed", [{"quiet": 0.002}])
def test_a_change_waits_a_moment_for_a_temporary_file_that_comes_beside_it(
    stepped: Stepped, music: Path
) -> None:
    stepped.step()
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step()
    (music / ".b.mp3").touch()
    stepped.step(0.003)
    assert stepped.shown == 0
    assert stepped.daemon.next_turn() == pytest.approx(stepped.now + 0.02)
    stepped.step(0.02)
    assert stepped.shown == 1


def test_what_a_few_looks_took_is_given_back_once_when_none_follows(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[float] = []
    stepped.step()
    monkeypatch.setattr(stepped.daemon._database, "free_memory", lambda: freed.append(stepped.now))
    for title in "ab":
        plant(music, {f"{title}.mp3": tagged(title=title)})
        stepped.step(0.5)
        stepped.step(1.5)
    looked_at = stepped.now
    assert stepped.shown == 2
    stepped.step(19.0)
    assert freed == []
    assert stepped.daemon.next_turn() <= looked_at + 20.0
    stepped.step(1.0)
    assert freed == [looked_at + 20.0]
    for _ in range(3):
        stepped.step(30.0)
    assert freed == [looked_at + 20.0]


def test_at_rest_the_next_turn_is_the_next_look_at_the_disks(stepped: Stepped) -> None:
    stepped.step()
    assert stepped.daemon.next_turn() == stepped.now + 10.0


@pytest.mark.parametrize(("most", "rests"), [(3, 1), (4, 0)])
def test_memory_is_given_back_when_artwork_is_chosen_for_many(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch, most: int, rests: int
) -> None:
    monkeypatch.setattr("watcher.work.idle_work.MUCH_CHOSEN", most)
    plant(music, {f"{name}.mp3": tagged(title="A", artist=name, album=name) for name in "ab"})
    stepped.step()
    due_at_rest: list[object] = []
    work = stepped.daemon._work
    choose, seen = work.choose_artwork, [0]

    def counted(*, begins: bool) -> int:
        done = choose(begins=begins)
        seen[0] += done
        return done

    monkeypatch.setattr(work, "choose_artwork", counted)
    monkeypatch.setattr(
        stepped.daemon._database,
        "rest",
        lambda: due_at_rest.append(select_value(stepped.connection, ARTWORK_DUE)),
    )
    for _ in range(20):
        stepped.step(0.01)
    assert due_at_rest == [0] * rests
    assert seen[0] == 4, "of two albums and two artists"


def test_a_manager_is_told_that_the_loop_goes_on_while_it_looks_at_much(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("watcher.loop.notify", lambda state, _environ: told.append(state))
    plant(music, {f"{number}/a.mp3": tagged(title="A") for number in range(20)})
    stepped.daemon._watchdog = Watchdog({"WATCHDOG_USEC": "1"})
    stepped.step()
    assert stepped.shown == 20
    assert len(told) > 20, "for each folder that is watched, and while it is listed and read"


def test_a_manager_is_told_in_a_turn_of_its_own_where_none_comes_sooner(stepped: Stepped) -> None:
    stepped.step()
    stepped.daemon._watchdog = Watchdog({"WATCHDOG_USEC": "8000000"}, lambda: stepped.now)
    assert stepped.daemon.next_turn() == stepped.now + 4.0
    stepped.daemon._watchdog = Watchdog({"WATCHDOG_USEC": "80000000"}, lambda: stepped.now)
    assert stepped.daemon.next_turn() == stepped.now + 10.0


@pytest.mark.parametrize("changed", [{"reconcile_interval": 2}])
def test_what_no_watch_has_told_is_found_by_the_reconcile(
    stepped: Stepped, music: Path, logged: Callable[[], list[str]]
) -> None:
    stepped.step()
    for root in stepped.daemon._roots:
        stepped.daemon._observers._observers[root.row.id].watches.drop(b"")
    plant(music, {"a/a.mp3": tagged(title="A")})
    stepped.step(7199)
    assert "reconcile" not in logged()
    stepped.step(1)
    stepped.step(1)
    assert (stepped.shown, logged().count("reconcile")) == (1, 1)
    assert stepped.told.watched_folders == 2, "and the watches are restored"


@pytest.mark.parametrize("changed", [{"reconcile_interval": 2}])
def test_for_the_reconcile_an_expired_automount_is_mounted_and_watched_again(
    stepped: Stepped,
    music: Path,
    logged: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[bool] = []

    def touches(root: RootRow, _behind: object, touches: Touches) -> set[bytes]:
        opened.append(touches(root.id, b"nas", True))
        return set()

    monkeypatch.setattr(open_roots, "automounts_of", lambda *_: {b"nas": None})
    monkeypatch.setattr(open_roots, "resting_places", touches)
    stepped.step()
    assert opened == [True, True]
    stepped.step(10)
    assert opened[2:] == [False]
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step(2 * 3600)
    assert opened[3] is False
    assert stepped.daemon.next_turn() == -math.inf
    stepped.step()
    assert opened[-2:] == [True, True]
    assert logged().count("reconcile") == 1
    assert stepped.state == "watching"
    assert stepped.shown == 1
    assert stepped.told.recoveries == {}


@pytest.mark.parametrize("changed", [{"reconcile_interval": 0}])
def test_a_reconcile_can_be_turned_off(stepped: Stepped, logged: Callable[[], list[str]]) -> None:
    stepped.step()
    stepped.step(86_400 * 30)
    assert "reconcile" not in logged()


def test_nothing_is_written_by_turns_in_which_nothing_happened(stepped: Stepped) -> None:
    stepped.step()
    written = stepped.connection.total_changes()
    for _ in range(30):
        stepped.step(10)
    assert stepped.connection.total_changes() == written


# Files being written


def test_a_file_that_is_written_for_long_is_pending_once_and_until_it_is_read(
    stepped: Stepped, music: Path
) -> None:
    stepped.step()
    with (music / "a.mp3").open("wb", buffering=0) as file:
        file.write(tagged(title="A"))
        stepped.step(0.1)
        assert pending.count(stepped.connection)[0] == 0
        for _ in range(8):
            stepped.step(0.5)
        assert pending.count(stepped.connection)[0] == 1
        assert stepped.shown == 0
    stepped.step()
    stepped.step(1.0)
    assert (stepped.shown, pending.count(stepped.connection)[0]) == (1, 0)


def test_a_file_that_is_written_again_is_pending_again(stepped: Stepped, music: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step()
    for _ in range(2):
        with (music / "a.mp3").open("r+b", buffering=0) as file:
            file.write(tagged(title="A"))
            for _ in range(4):
                stepped.step(0.5)
            assert pending.count(stepped.connection)[0] == 1
        stepped.step()
        stepped.step(1.0)
        assert pending.count(stepped.connection)[0] == 0


# Watch faults


def test_losing_events_during_the_scan_beats_finishing_it(
    stepped: Stepped, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    look = LocalWork.look
    inbox = stepped.daemon._observers._inbox

    def overflows(work: LocalWork, *args: Any, **kwargs: Any) -> Looked:
        result = look(work, *args, **kwargs)
        inbox.report_fault(WatchFault(1, WatchFaultKind.OVERFLOW, "in a test"))
        return result

    monkeypatch.setattr(LocalWork, "look", overflows)
    stepped.step()
    assert stepped.state == "scanning"
    assert "watching" not in logged()
    assert stepped.daemon.next_turn() == -math.inf
    monkeypatch.setattr(LocalWork, "look", look)
    stepped.step()
    assert (stepped.state, stepped.told.recoveries) == ("watching", {"overflow": 1})


@pytest.mark.parametrize("changed", [{"polled": ("music",)}])
def test_a_root_that_leaves_just_before_it_is_looked_at_is_not_watched(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    look = LocalWork.look

    def looks_too_late(work: LocalWork, *args: Any, **kwargs: Any) -> Looked:
        music.rename(music.with_name("away"))
        return look(work, *args, **kwargs)

    monkeypatch.setattr(LocalWork, "look", looks_too_late)
    stepped.step()
    assert "polling" not in logged()
    stepped.step()
    assert stepped.state == "offline"


def test_a_root_that_comes_back_is_told_of_once(
    stepped: Stepped, music: Path, logged: Callable[[], list[str]]
) -> None:
    stepped.step()
    assert stepped.told.away_since_ms == {}
    music.rename(music.with_name("away"))
    stepped.step(10.0)
    (since_ms,) = stepped.told.away_since_ms.values()
    stepped.step(10.0)
    assert stepped.told.away_since_ms == {"music": since_ms}
    music.with_name("away").rename(music)
    for _ in range(3):
        stepped.step(10.0)
    assert [one for one in logged() if one in {"offline", "online"}] == ["offline", "online"]
    assert stepped.told.away_since_ms == {}


def test_what_gets_worse_or_well_is_told_once(
    stepped: Stepped, music: Path, logged: Callable[[], list[str]]
) -> None:
    plant(music, {"bad.mp3": b"no music" * 99})
    for _ in range(3):
        stepped.step(20.0)
    (music / "bad.mp3").unlink()
    for _ in range(4):
        stepped.step(10.0)
    assert [one for one in logged() if "problems" in one] == ["problems rose", "problems over"]


def test_an_offline_root_is_told_of_once(
    stepped: Stepped, music: Path, logged: Callable[[], list[str]]
) -> None:
    stepped.step()
    music.rename(music.with_name("away"))
    for _ in range(3):
        stepped.step(10)
    assert logged().count("offline") == 1
    music.with_name("away").rename(music)
    stepped.step(10)
    assert stepped.state == "watching"
    music.rename(music.with_name("away"))
    stepped.step(10)
    assert logged().count("offline") == 2


# Errors


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.DatabaseBusy("locked"), "database busy"),
        (errors.DatabaseFull("full"), "database full"),
        (errors.DatabaseError("input/output error"), "database trouble"),
        (errors.CannotDo("cannot start a reader process"), "readers lost"),
    ],
)
def test_what_cannot_be_written_is_looked_at_again_after_pauses_that_grow(
    stepped: Stepped,
    music: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: errors.CannotDo,
    reason: str,
) -> None:
    stepped.step()
    look = LocalWork.look
    monkeypatch.setattr(LocalWork, "look", fails(error))
    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step()
    stepped.step(1.0)
    assert (stepped.state, stepped.told.recoveries) == ("scanning", {reason: 1})
    pauses = []
    for _ in range(5):
        pauses.append(stepped.daemon.next_turn() - stepped.now)
        stepped.step(pauses[-1])
    assert pauses == [0.5, 1.0, 2.0, 4.0, 4.0]
    monkeypatch.setattr(LocalWork, "look", look)
    stepped.step(3.9)
    assert stepped.shown == 0
    stepped.step(0.1)
    assert (stepped.shown, stepped.state) == (1, "watching")
    assert stepped.told.recoveries == {reason: 1}
    for _ in range(3):  # artwork: its folder, its album and artist, and that there is no more
        stepped.step()
    assert stepped.daemon.next_turn() > stepped.now


def test_trouble_is_told_in_the_status_until_it_is_over(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped.step()
    plant(music, {"a.mp3": tagged(title="A")})
    with monkeypatch.context() as patch:
        patch.setattr(LocalWork, "look", fails(errors.DatabaseFull("full")))
        stepped.step()
        stepped.step(1.0)
        told = stepped.told
        since_ms = told.trouble_since_ms
        assert (told.trouble, since_ms > 0) == ("the disk of the index is full", True)
        stepped.step(1.0)
        assert stepped.told.trouble_since_ms == since_ms
        found = trouble_of(stepped.settings.db, stepped.told)
        assert found == (told.trouble, since_ms)
        (line, *_) = health_lines(InIndex(), (), stepped.told, trouble=found)
        assert line.text == "the disk of the index is full: changes wait (see indexer doctor)"
    stepped.step(4.0)
    assert (stepped.told.trouble, stepped.told.trouble_since_ms) == ("", 0)
    assert trouble_of(stepped.settings.db, stepped.told) is None


def test_trouble_that_lasts_is_logged_after_pauses_that_grow(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    stepped.step()
    plant(music, {"a.mp3": tagged(title="A")})

    def troubles() -> int:
        return logged().count("database full") - 1  # one is about the root

    with monkeypatch.context() as patch:
        patch.setattr(LocalWork, "look", fails(errors.DatabaseFull("full")))
        stepped.step()
        counts = []
        for seconds in (59, 60, 120, 240, 480):
            for _ in range(seconds):
                stepped.step(1.0)
            counts.append(troubles())
        assert counts == [1, 2, 3, 4, 5]
        patch.setattr(LocalWork, "look", fails(errors.DatabaseBusy("locked")))
        for _ in range(9):
            stepped.step(4.0)
        assert (troubles(), logged().count("database busy")) == (5, 1)
    stepped.step(4.0)
    assert logged().count("trouble over") == 1


def test_trouble_of_idle_work_alone_is_not_over_after_each_look_that_succeeds(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    looked = [0]
    step, look = IdleWork.step, LocalWork.look

    def refused(work: IdleWork, clock: Callable[[], float], *, is_calm: bool) -> None:
        if is_calm:
            raise errors.DatabaseFull("full")
        step(work, clock, is_calm=is_calm)

    def counted(*arguments: Any, **named: Any) -> Looked:
        looked[0] += 1
        return look(*arguments, **named)

    plant(music, {"a.mp3": tagged(title="A")})
    stepped.step()
    with monkeypatch.context() as patch:
        patch.setattr(IdleWork, "step", refused)
        patch.setattr(LocalWork, "look", counted)
        told = []
        for _ in range(200):
            stepped.step(1.0)
            told.append(stepped.told.trouble)
        assert all(told[10:])
        assert logged().count("database full") <= 8
        assert logged().count("trouble over") == 1
        assert looked[0] < 70
    for _ in range(40):
        stepped.step(1.0)
    assert stepped.told.trouble == ""
    assert logged().count("trouble over") == 2


def test_a_status_that_could_not_be_written_is_written_later(
    stepped: Stepped, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DispatchLock, "publish", fails(OSError(errno.ENOSPC, "no room")))
        stepped.step()
        stepped.step()
    assert not stepped.told.states
    said = logged().count("status untold")
    stepped.step()
    assert stepped.state == "watching"
    assert logged().count("status untold") == said


def test_a_disk_that_refuses_some_writes_does_not_gather_work(
    stepped: Stepped, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped.step()
    with monkeypatch.context() as patch:
        patch.setattr(Inserter, "write_all", fails(errors.DatabaseFull("full")))
        counts = []
        for number in range(9):
            plant(music, {f"{number}/a.mp3": tagged(title=f"{number}")})
            stepped.step(4.0)
            stepped.step(4.0)
            counts.append(len(pending.all_rows(stepped.connection)))
        assert counts[-1] <= 4, counts
    for _ in range(3):
        stepped.step(4.0)
    assert stepped.shown == 9
    assert pending.all_rows(stepped.connection) == []


@pytest.mark.parametrize(
    "error", [errors.DatabaseDamaged("broken"), errors.DatabaseNewer("newer"), KeyError("ours")]
)
def test_what_no_pause_mends_ends_the_loop(
    stepped: Stepped, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(LocalWork, "look", fails(error))
    with pytest.raises(type(error)):
        stepped.daemon.run()


def test_a_daemon_that_is_told_to_stop_stops_before_its_next_turn(stepped: Stepped) -> None:
    stepped.daemon.stop()
    stepped.daemon.run()
    assert stepped.told.states == {}


@pytest.mark.parametrize("pause_s", [0.0017, 0.0004, -1.0, 0.5])
def test_a_short_pause_is_not_rounded_up_to_milliseconds(
    stepped: Stepped, monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    slept: list[float] = []
    turn_at = stepped.now + pause_s
    monkeypatch.setattr(stepped.daemon, "next_turn", lambda: turn_at)
    with selectors.EpollSelector() as selector:
        monkeypatch.setattr("watcher.loop.select.select", lambda *asked: slept.append(asked[3]))
        monkeypatch.setattr(selector, "select", slept.append)
        stepped.daemon._await_turn(selector)
    assert slept == pytest.approx([pause_s] if pause_s > 0 else [])


def test_an_event_ends_a_short_pause(stepped: Stepped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepped.daemon, "next_turn", lambda: stepped.now + 0.019)
    with selectors.EpollSelector() as selector:
        selector.register(stepped.daemon._wake_fd, selectors.EVENT_READ)
        stepped.daemon.wake()
        waited_s = quickest_s(lambda: stepped.daemon._await_turn(selector), enough_s=0.015)
    assert waited_s < 0.019


# Roots


def test_a_file_that_is_being_written_in_a_root_that_was_removed_waits_no_more(
    stepped: Stepped,
) -> None:
    stepped.step()
    assert len(stepped.daemon._work.note_open({(1, b"a.mp3")})) == 1
    with write_transaction(stepped.connection):
        pending.delete_of_root(stepped.connection, 1)
        roots.remove(stepped.connection, 1, 1)
    assert stepped.daemon._work.note_open({(1, b"a.mp3")}) == []
    assert pending.all_rows(stepped.connection) == []


def test_a_root_that_a_command_removes_while_the_disks_are_looked_at_is_passed_over(
    stepped: Stepped, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped.step()
    whole = open_roots.open_roots

    def removing(*arguments: Any, **named: Any) -> open_roots.OpenRoots:
        open_trees = whole(*arguments, **named)
        with closing(open_index(stepped.settings.db, write=True)) as other:
            for root in roots.watched(other):
                with write_transaction(other):
                    roots.remove(other, root.id, 1)
        return open_trees

    monkeypatch.setattr(open_roots, "open_roots", removing)
    stepped.step(20)
    assert stepped.told.states == {}
