"""What `scan` and `rebuild` report is the same whichever processes do the work."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.corpus import noise, plant, tagged
from tests.daemons import QUICK, Daemon, watching
from tests.programs import Running, count, eventually, run, started
from tests.redis_servers import RedisServer, redis_server
from tests.rq_workers import crew, quick
from tests.trees import put

CONTRACT: Final = (
    *("seen", "added", "modified", "moved", "returned", "missing", "unchanged", "problems"),
    *("files_read", "bytes_read", "interrupted", "pending"),
)
WAYS: Final = ("alone", "daemon", "workers", "queue")
BLIND: Final = "quiet = 60.0\npatience = 60.0\n"
"""A daemon does not look at what it sees before it is asked."""
ASKED: Final = "SELECT count(*) FROM scans WHERE state = 'running' AND kind <> 'reconcile'"
READ: Final = "SELECT count(*) FROM tracks WHERE scan_id = (SELECT max(id) FROM scans)"
"""How many files the newest rebuild has read."""
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


class Place:
    """A library and its index, and how commands have their work done there."""

    def __init__(self, folder: Path, server: RedisServer, way: str) -> None:
        self.music, self.db = folder / "music", folder / "index" / "library.db"
        self.way = way
        self.daemon: Daemon | None = None
        self._is_queued = way in ("workers", "queue")
        self._client = server.client()
        self._client.flushall()
        self._config = quick(server.address) if self._is_queued else QUICK

    @contextmanager
    def served(self, more: str = "") -> Iterator[None]:
        """With the daemon and the workers that this way needs."""
        config = self._config + more
        with ExitStack() as stack:
            if self._is_queued:
                stack.enter_context(crew(db=self.db, config=config, client=self._client))
            if self.way in ("daemon", "workers"):
                self.daemon = stack.enter_context(watching(db=self.db, config=config))
            yield
            self.daemon = None

    def started(self, *words: str | Path, more: str = "") -> AbstractContextManager[Running]:
        """A command, in this way."""
        queue = ["--queue"] if self.way == "queue" else []
        return started(*words, *queue, "--json", db=self.db, config=self._config + more)

    def report(self, *words: str | Path, meanwhile: Change | None = None) -> dict[str, Any]:
        """What a command reports; the same stands in `scans`.

        `meanwhile` happens while a daemon cannot see it, so that the command has it found.
        """
        with ExitStack() as stack:
            if self.daemon is not None and meanwhile is not None:
                self.daemon.process.send_signal(signal.SIGSTOP)
            if meanwhile is not None:
                meanwhile(self.music)
            running = stack.enter_context(self.started(*words))
            if self.daemon is not None and meanwhile is not None:
                eventually(lambda: count(self.db, ASKED) or running.ended)
                self.daemon.process.send_signal(signal.SIGCONT)
            ran = running.end()
        assert ran.code == 0, ran.err
        scan = kept(self.db)
        assert (scan["state"], scan["kind"]) == ("done", words[0])
        return same(ran.object, scan["counts"])


def kept(db: Path) -> dict[str, Any]:
    """The newest run of a command in `scans`."""
    scans = run("status", "--json", db=db).object["scans"]
    return next(scan for scan in scans if scan["kind"] != "reconcile")


def same(told: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """The counts of a report, which must stand in `scans`, too."""
    counts = {key: told[key] for key in CONTRACT}
    assert {key: kept[key] for key in CONTRACT} == counts
    return counts


def base(folder: Path) -> None:
    """A library with ten songs and a refused file, of which one song is not there now."""
    music, db = folder / "music", folder / "index" / "library.db"
    plant(music, {"old/bad.flac": noise(600, 1)})
    for n in range(10):
        plant(music, {f"{n // 3}/{n}.mp3": tagged(title=f"Song {n}", album=f"{n // 3}")})
    run("rebuild", music, db=db)
    (music / "2/7.mp3").rename(folder / "aside.mp3")
    assert run("scan", "--json", db=db).object["missing"] == 1


def change(music: Path) -> None:
    """One of each; of the new ones, mutagen reads one and our own readers the other."""
    plant(music, {"new/corrupt.flac": noise(700), "new/a.mp3": tagged(title="A")})
    plant(music, {"new/b.wma": tagged(".wma", title="B")})
    (music / "0/0.mp3").rename(music / "new/moved.mp3")
    (music / "0/1.mp3").unlink()
    put(music, "1/3.mp3", tagged(title="Retagged", album="1"))
    (music.parent / "aside.mp3").rename(music / "2/7.mp3")


SCANNED: Final = {
    "seen": 13, "added": 2, "modified": 1, "moved": 1, "returned": 1, "missing": 1,
    "unchanged": 7, "problems": 1, "files_read": 6, "interrupted": False, "pending": 0,
}  # fmt: skip
"""Seen: nine songs that are there and the refused one, the two new ones and the corrupt one."""


@pytest.fixture(params=WAYS)
def place(request: pytest.FixtureRequest, tmp_path: Path, server: RedisServer) -> Place:
    base(tmp_path)
    return Place(tmp_path, server, request.param)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, server: RedisServer) -> dict[str, Any]:
    """What commands report without a daemon, by command."""
    folder = tmp_path_factory.mktemp("alone")
    base(folder)
    place = Place(folder, server, "alone")
    told = {"scan": place.report("scan", meanwhile=change), "again": place.report("scan")}
    return {**told, "rebuild": place.report("rebuild")}


def without_bytes(counts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in counts.items() if key != "bytes_read"}


def test_alone_each_file_counts_once(alone: dict[str, Any]) -> None:
    assert without_bytes(alone["scan"]) == SCANNED
    assert without_bytes(alone["again"]) == {
        **dict.fromkeys(SCANNED, 0), "seen": 13, "unchanged": 13, "interrupted": False,
    }  # fmt: skip
    assert without_bytes(alone["rebuild"]) == {
        **dict.fromkeys(SCANNED, 0), "seen": 13, "unchanged": 11, "problems": 2,
        "files_read": 13, "interrupted": False,
    }  # fmt: skip
    assert 0 < alone["scan"]["bytes_read"] < alone["rebuild"]["bytes_read"]
    assert alone["again"]["bytes_read"] == 0


def test_the_report_is_the_same_whoever_does_the_work(place: Place, alone: dict[str, Any]) -> None:
    with place.served(BLIND):
        assert place.report("scan", meanwhile=change) == alone["scan"]
        assert place.report("scan") == alone["again"]
        assert place.report("rebuild") == alone["rebuild"]
    run("verify", "--deep", db=place.db)


def adds_up(counts: dict[str, Any]) -> bool:
    """Whether each file that was seen is counted once."""
    kinds = ("added", "modified", "moved", "returned", "unchanged", "problems", "pending")
    return bool(counts["seen"] == sum(counts[kind] for kind in kinds))


@pytest.mark.parametrize(
    ("place", "command"),
    [("daemon", "scan"), ("daemon", "rebuild"), ("workers", "scan"), ("workers", "rebuild")],
    indirect=["place"],
)
def test_each_file_counts_once_while_a_daemon_looks_at_the_same_changes_by_itself(
    place: Place, command: str
) -> None:
    """It wakes with the command's hint and its own events, and does both at once.

    What its own look wrote before the command's has come to it is unchanged for that one.
    """
    with place.served():
        counts = place.report(command, meanwhile=change)
        assert adds_up(counts), sorted(counts.items())
        assert counts["seen"] == 13
        assert counts["files_read"] == (6 if command == "scan" else 13)
        assert (place.report("scan")["unchanged"], place.report("scan")["files_read"]) == (13, 0)
    run("verify", "--deep", db=place.db)


def test_the_report_of_a_part_is_about_that_part(place: Place) -> None:
    with place.served(BLIND):
        part = place.report("scan", place.music / "new", meanwhile=change)
        assert without_bytes(part) == {
            **dict.fromkeys(SCANNED, 0), "seen": 4, "added": 2, "moved": 1, "problems": 1,
            "files_read": 4, "interrupted": False,
        }  # fmt: skip
        file = place.report("scan", place.music / "1/3.mp3")
        assert (file["seen"], file["modified"], file["files_read"]) == (1, 1, 1)
        rest = place.report("scan")
        assert (rest["returned"], rest["missing"], rest["unchanged"]) == (1, 1, 12)


def test_a_file_that_is_being_written_is_pending_and_no_more(place: Place) -> None:
    with place.served(), (place.music / "0/2.mp3").open("r+b", buffering=0) as file:
        file.write(tagged(title="Being written", album="0"))
        counts = place.report("scan")
        assert (counts["seen"], counts["unchanged"], counts["pending"]) == (10, 9, 1)
        assert counts["modified"] == 0
    if place.way == "alone":
        assert place.report("scan")["modified"] == 1


@pytest.mark.parametrize("place", ["daemon", "workers"], indirect=True)
def test_commands_that_ask_at_once_each_have_a_report_of_their_own(place: Place) -> None:
    with place.served(BLIND), ExitStack() as stack:
        assert place.daemon is not None
        place.daemon.process.send_signal(signal.SIGSTOP)
        change(place.music)
        running = [
            stack.enter_context(place.started(*words))
            for words in (["scan"], ["scan", place.music / "new"], ["rebuild"], ["scan"])
        ]
        eventually(lambda: count(place.db, ASKED) == len(running))
        place.daemon.process.send_signal(signal.SIGCONT)
        told = [one.end().object for one in running]
        assert [report["seen"] for report in told] == [13, 4, 13, 13]
        assert all(map(adds_up, told)), told
        assert sum(report["added"] for report in told) >= 1
        assert told[2]["files_read"] == 13
        assert not any(report["interrupted"] for report in told)
        states = {scan["state"] for scan in run("status", "--json", db=place.db).object["scans"]}
        assert states == {"done"}


@pytest.mark.parametrize("place", ["daemon", "workers"], indirect=True)
def test_what_a_command_asked_for_goes_on_and_is_counted_when_it_is_interrupted(
    place: Place, alone: dict[str, Any]
) -> None:
    with place.served(BLIND):
        assert place.daemon is not None
        place.daemon.process.send_signal(signal.SIGSTOP)
        change(place.music)
        with place.started("scan") as running:
            eventually(lambda: count(place.db, ASKED) == 1)
            running.interrupt()
            ran = running.end()
        assert (ran.code, ran.object["interrupted"], ran.object["goes_on"]) == (130, True, True)
        assert kept(place.db)["state"] == "running"
        place.daemon.process.send_signal(signal.SIGCONT)
        eventually(lambda: count(place.db, ASKED) == 0)
        scan = kept(place.db)
        assert scan["state"] == "done"
        counts = scan["counts"]
        assert {key: counts[key] for key in CONTRACT} == alone["scan"]


@pytest.mark.parametrize("place", ["daemon", "workers"], indirect=True)
def test_a_daemon_that_is_killed_in_the_middle_leaves_the_rest_to_the_command(
    place: Place,
) -> None:
    """What it had counted stands in the row of the run, and the command goes on there."""
    many = 600
    plant(place.music, {f"many/{n}.mp3": tagged(title=f"{n}") for n in range(many)})
    run("scan", db=place.db)
    with place.served("chunk_files = 10\n"):
        assert place.daemon is not None
        with place.started("rebuild", more="chunk_files = 10\n") as running:
            eventually(lambda: count(place.db, READ) > 20 or running.ended)
            place.daemon.process.kill()
            place.daemon.process.wait()
            assert count(place.db, READ) < many, "it was not in the middle"
            ran = running.end()
        assert ran.code == 0, ran.err
        report = ran.object
        scan = kept(place.db)
        assert scan["state"] == "done"
        assert same(report, scan["counts"])["seen"] == many + 10
        assert report["files_read"] >= many // 2
        assert adds_up(report), sorted(report.items())
        if place.way == "daemon":
            assert report["files_read"] == many + 10
    run("verify", "--deep", db=place.db)
