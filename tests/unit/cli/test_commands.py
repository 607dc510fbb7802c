from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, Self, cast

import click
import pytest

from indexer.cli import main
from indexer.cli.commands import cli
from indexer.errors import DatabaseMissing, HistoryPruned, Interrupted
from indexer.results.report import (
    ChangeRow,
    Difference,
    ProblemRow,
    RootRemoved,
    ScanReport,
    SearchNote,
    VerifyReport,
)
from indexer.results.status_report import DaemonStatus, RootStatus, Status
from indexer.store.changes import EVERYTHING, Choice

MUSIC = RootStatus(name="music", path="/srv/music", state="idle")
TRACK: dict[str, object] = {"id": 1, "root": "music", "path": "a\n.mp3", "title": "Song"}
STATUS = Status(
    database="library.db",
    size=1,
    wal_size=0,
    tracks=1,
    albums=1,
    artists=1,
    missing=0,
    problems=1,
    pending=0,
    oldest_pending_seconds=None,
    daemon=DaemonStatus(),
    roots=(MUSIC,),
    scans=(),
)
AT = "2025-07-01T12:00:00Z"


class FakeLibrary:
    """Returns the answers set by the test, and records the calls."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.report = ScanReport(seen=2, added=2)
        self.verdict = VerifyReport(ok=True, checked=2, pending=0)
        self.track: dict[str, object] | None = TRACK
        self.found = [TRACK, TRACK]
        self.during: Callable[[], object] = lambda: None
        self.settings: Any = None
        self.contradicted: list[str] = []

    def open(self, settings: object, *, create: bool = False) -> Self:
        self.settings = settings
        self.asked.append(("open", create))
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.asked.append(("close",))

    def scan(
        self, paths: Sequence[bytes], *, listener: object, stop: object, queued: bool
    ) -> ScanReport:
        self.asked.append(("queued scan" if queued else "scan", paths, listener, stop))
        self.during()
        return self.report

    def rebuild(
        self,
        roots: Sequence[bytes],
        *,
        listener: object,
        stop: object,
        queued: bool,
        restored: bool = False,
    ) -> ScanReport:
        assert not restored
        self.asked.append(("queued rebuild" if queued else "rebuild", roots, listener, stop))
        self.during()
        return self.report

    def status(self) -> Status:
        self.during()
        return STATUS

    def show(self, path: bytes) -> dict[str, object] | None:
        self.asked.append(("show", path))
        return self.track

    def gone(self, path: bytes) -> dict[str, object] | None:
        self.asked.append(("gone", path))
        return None

    def why_unknown(self, path: bytes) -> str:
        self.asked.append(("why_unknown", path))
        return "not in the index"

    def contradictions(self) -> list[str]:
        return self.contradicted

    def choice(self, kinds: Sequence[str], under: bytes | None) -> Choice:
        self.asked.append(("choice", list(kinds), under))
        return EVERYTHING

    def search(
        self,
        words: Sequence[str],
        *,
        of: str,
        sort: str,
        limit: int,
        note: Callable[[SearchNote], None],
    ) -> Iterator[dict[str, object]]:
        assert (of, note is not None) == ("tracks", True)
        self.asked.append(("search", words, sort, limit))
        yield from self.found

    def problems(self) -> Iterator[ProblemRow]:
        for path in ("a.mp3", "b.mp3"):
            yield ProblemRow(root="music", path=path, kind="content", reason="empty", since=AT)

    def changes(
        self, since: int, choice: Choice = EVERYTHING, *, limit: int | None = None
    ) -> Iterator[ChangeRow]:
        assert (choice, limit) == (EVERYTHING, None)
        self.during()
        for seq in range(since + 1, 4):
            yield ChangeRow(seq=seq, at=AT, kind="added", track_id=1, root="music", path="a.mp3")

    def follow(
        self, since: int | None, stop: Callable[[], bool], choice: Choice, *, last: int
    ) -> Iterator[ChangeRow]:
        assert (choice, last) == (EVERYTHING, 10)
        since = since or 0
        while not stop():
            yield from self.changes(since)
            since = 3
            self.during()

    def verify(self, *, deep: bool, listener: object, stop: object) -> VerifyReport:
        self.asked.append(("verify", deep, listener, stop))
        self.during()
        return self.verdict

    def roots(self) -> Iterator[RootStatus]:
        yield from (MUSIC, MUSIC)

    def add_root(self, path: bytes, name: str | None) -> RootStatus:
        self.asked.append(("add", path, name))
        return MUSIC

    def remove_root(self, name: str) -> RootRemoved:
        self.asked.append(("remove", name))
        return RootRemoved(removed=name, path="/srv/my music", tracks=2)

    def accept_root(self, name: str) -> RootStatus:
        self.asked.append(("accept", name))
        return MUSIC


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeLibrary:
    fake = FakeLibrary()
    module = SimpleNamespace(Library=fake)
    monkeypatch.setitem(sys.modules, "indexer.library", cast("ModuleType", module))
    lookup = SimpleNamespace(Lookup=fake)
    monkeypatch.setitem(sys.modules, "indexer.lookup", cast("ModuleType", lookup))
    for name in ("INDEXER_DB", "INDEXER_CONFIG", "INDEXER_REDIS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return fake


Run = Callable[..., Answer]


@pytest.fixture
def indexer(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Answer:
        code = main(arguments)
        return Answer(code, *capfd.readouterr())

    return run


def raises(error: BaseException, *, on_call: int = 1) -> Callable[[], object]:
    calls = count(1)

    def fail() -> None:
        if next(calls) == on_call:
            raise error

    return fail


def receives(*numbers: int) -> Callable[[], object]:
    def kill() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return kill


# ---- calls of the library


def test_paths_are_the_bytes_that_were_typed(indexer: Run, library: FakeLibrary) -> None:
    indexer("scan", "Bj\udcf6rk", "b")
    assert library.asked[1][:2] == ("scan", (b"Bj\xf6rk", b"b"))


def test_words_are_utf8_whatever_the_locale_made_of_them(
    indexer: Run, library: FakeLibrary
) -> None:
    indexer("search", "Bj\udcc3\udcb6rk", "debut", "--limit", "5")
    assert library.asked[1] == ("search", ("Björk", "debut"), "relevance", 5)


def test_options_become_settings(indexer: Run, library: FakeLibrary, tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text("still = 1\n")
    indexer("--db", "/x/y.db", "--config", str(config), "rebuild", "--workers", "3")
    assert str(library.settings.db) == "/x/y.db"
    assert (library.settings.still, library.settings.workers) == (1.0, 3)


@pytest.mark.parametrize(
    ("arguments", "create"),
    [
        (("rebuild", "/srv/music"), True),
        (("roots", "add", "/srv/music"), True),
        (("scan",), False),
        (("status",), False),
        (("roots",), False),
    ],
    ids=str,
)
def test_only_what_adds_roots_makes_a_database(
    arguments: tuple[str, ...], create: bool, indexer: Run, library: FakeLibrary
) -> None:
    assert indexer(*arguments).code == 0
    assert library.asked[0] == ("open", create)


def test_the_library_is_closed_after_an_error(indexer: Run, library: FakeLibrary) -> None:
    library.during = raises(DatabaseMissing("gone"))
    indexer("status")
    assert library.asked[-1] == ("close",)


def test_roots_are_added_removed_and_accepted(indexer: Run, library: FakeLibrary) -> None:
    indexer("roots", "add", "/mnt/usb", "--name", "usb")
    indexer("roots", "remove", "usb")
    indexer("roots", "accept", "usb")
    asked = [question for question in library.asked if question[0] not in {"open", "close"}]
    assert asked == [("add", b"/mnt/usb", "usb"), ("remove", "usb"), ("accept", "usb")]


def test_without_a_terminal_no_progress_is_shown(indexer: Run, library: FakeLibrary) -> None:
    indexer("scan")
    assert library.asked[1][2] is None


# ---- answers


@pytest.mark.parametrize(
    "arguments",
    ["rebuild", "scan", "status", "verify", "show x", "roots add x", "roots remove x",
     "roots accept x"],
)  # fmt: skip
def test_one_answer_is_one_object(arguments: str, indexer: Run) -> None:
    code, out, err = indexer(*arguments.split(), "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [("search x", 2), ("problems", 2), ("changes", 3), ("changes --since 2", 1), ("roots", 2),
     ("roots list", 2)],
)  # fmt: skip
def test_many_answers_are_an_object_a_line(arguments: str, rows: int, indexer: Run) -> None:
    code, out, err = indexer(*arguments.split(), "--json")
    assert (code, err) == (0, "")
    objects = [json.loads(line) for line in out.splitlines()]
    assert len(objects) == rows
    assert all({"root", "path"} <= row.keys() or {"name", "path"} <= row.keys() for row in objects)


def test_json_before_a_subcommand_of_roots_counts_too(indexer: Run) -> None:
    assert json.loads(indexer("roots", "--json", "list").out.splitlines()[0])["name"] == "music"


def test_a_scan_report_has_the_keys_of_the_contract(indexer: Run) -> None:
    keys = (
        "seen added modified moved returned missing unchanged problems files_read bytes_read "
        "seconds files_per_second interrupted"
    )
    assert set(keys.split()) <= json.loads(indexer("scan", "--json").out).keys()


@pytest.mark.parametrize("command", ["scan", "rebuild"])
def test_the_queues_are_used_only_where_they_are_asked_for(
    command: str, indexer: Run, library: FakeLibrary
) -> None:
    indexer(command)
    indexer(command, "--queue")
    asked = [one[0] for one in library.asked if command in str(one[0])]
    assert asked == [command, f"queued {command}"]


def test_a_scan_that_workers_go_on_with_says_how_to_follow_it(
    indexer: Run, library: FakeLibrary
) -> None:
    library.report = ScanReport(interrupted=True, goes_on=True)
    code, _, err = indexer("rebuild", "--queue")
    assert code == 130
    assert "indexer status --watch" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("scan", "2 files: 2 added; 0 read (0 B) in 0.0 s"),
        ("status", "tracks    1 on 1 album by 1 artist"),
        ("search x", r"Song  music/a\n.mp3"),
        ("show x", r"path   music/a\n.mp3"),
        ("problems", "2  empty"),
        ("problems -v", "music/a.mp3  content  empty"),
        ("verify", "ok: 2 files checked, index equals disk"),
        ("roots remove x", "removed x: 2 tracks leave the index; no file was touched"),
    ],
)
def test_people_get_lines(arguments: str, line: str, indexer: Run) -> None:
    code, out, err = indexer(*arguments.split())
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == line


def test_a_folder_without_music_is_no_error(indexer: Run, library: FakeLibrary) -> None:
    library.report = ScanReport()
    code, out, _ = indexer("rebuild", "/srv/photos")
    assert code == 0
    assert out.startswith("no audio file found; looked for .")
    assert {".mp3", ".flac", ".m4a", ".opus"} <= set(out.split())


def test_following_goes_on_until_stopped(indexer: Run, library: FakeLibrary) -> None:
    library.during = raises(KeyboardInterrupt(), on_call=3)
    code, out, err = indexer("changes", "--follow", "--json", "--since", "1")
    assert (code, err) == (130, "")
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [2, 3]


# ---- exit codes


def test_finding_nothing_is_1(indexer: Run, library: FakeLibrary) -> None:
    library.found, library.track = [], None
    assert indexer("search", "x", "--json") == Answer(1, "", "")
    code, out, err = indexer("show", "a\n\udcff")
    assert (code, out) == (1, "")
    assert err.startswith(r"indexer: a\n\xff: not in the index")


def test_a_difference_is_1(indexer: Run, library: FakeLibrary) -> None:
    stale = Difference(root="music", path="a.mp3", kind="stale", detail="size")
    library.verdict = VerifyReport(ok=False, checked=2, pending=0, differences=(stale,))
    assert indexer("verify").code == 1
    assert json.loads(indexer("verify", "--json").out)["ok"] is False


@pytest.mark.parametrize("command", ["scan", "rebuild", "verify"])
def test_an_offline_root_is_3_and_told_on_stderr(
    command: str, indexer: Run, library: FakeLibrary
) -> None:
    library.report = ScanReport(seen=1, unchanged=1, offline=("usb: not mounted", "nas: gone"))
    library.verdict = VerifyReport(
        ok=False, checked=2, pending=0, offline=("usb: not mounted", "nas: gone")
    )
    code, out, err = indexer(command, "--json")
    assert (code, err) == (3, "indexer: usb: not mounted\nindexer: nas: gone\n")
    assert json.loads(out)["offline"] == ["usb: not mounted", "nas: gone"]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DatabaseMissing("/x: no index"), 3, "/x: no index"),
        (HistoryPruned("start from\na snapshot"), 3, r"start from\na snapshot"),
        (OSError(errno.ENOSPC, "No space left", b"/x\xff"), 3, r"/x\xff: No space left"),
        (OSError(errno.EIO, "Input/output error"), 3, "Input/output error"),
        (OSError(errno.EISDIR, "Is a directory", 15), 3, "Is a directory"),
        (Interrupted("stopped"), 130, "stopped"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_what_a_person_can_act_on_is_one_line(
    error: Exception,
    code: int,
    line: str,
    flags: tuple[str, ...],
    indexer: Run,
    library: FakeLibrary,
) -> None:
    library.during = raises(error)
    assert indexer("status", *flags) == Answer(code, "", f"indexer: {line}\n")


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), OSError(errno.EBADF, "bug")])
def test_a_fault_of_ours_keeps_its_traceback(error: Exception, library: FakeLibrary) -> None:
    library.during = raises(error)
    with pytest.raises(type(error), match="bug"):
        main(["status"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_scan_says_what_was_committed(
    number: int, code: int, indexer: Run, library: FakeLibrary
) -> None:
    library.report = ScanReport(seen=7, added=5, interrupted=True)
    library.during = receives(number)
    got, out, err = indexer("scan")
    assert got == code
    assert out.startswith("7 files: 5 added")
    polite, told = err.splitlines()
    assert polite == "indexer: stopping after the current batch; once more to stop at once"
    assert told.endswith("5 files committed; run the same command again to go on from there")


def test_a_stopped_scan_still_answers_in_json(indexer: Run, library: FakeLibrary) -> None:
    library.report = ScanReport(interrupted=True)
    library.during = receives(signal.SIGINT)
    assert json.loads(indexer("scan", "--json").out)["interrupted"] is True


def test_a_scan_that_was_done_before_it_could_stop_is_done(
    indexer: Run, library: FakeLibrary
) -> None:
    library.during = receives(signal.SIGINT)
    assert indexer("scan").code == 0


def test_the_second_signal_ends_a_scan_at_once(indexer: Run, library: FakeLibrary) -> None:
    library.during = receives(signal.SIGTERM, signal.SIGTERM)
    code, out, err = indexer("scan", "--json")
    assert (code, out) == (143, "")
    assert "stopped at once: what was committed stays" in err
    assert library.asked[-1] == ("close",)


def test_a_stopped_verify_gives_no_verdict(indexer: Run, library: FakeLibrary) -> None:
    library.during = receives(signal.SIGINT)
    code, out, err = indexer("verify", "--json")
    assert (code, out) == (130, "")
    assert "stopped after 2 files" in err


def test_a_stopped_reading_command_is_quiet(indexer: Run, library: FakeLibrary) -> None:
    library.during = raises(KeyboardInterrupt())
    assert indexer("status") == Answer(130, "", "")


# ---- logs


def test_a_warning_is_one_line_on_stderr_and_an_info_is_none(
    indexer: Run, library: FakeLibrary
) -> None:
    logger = logging.getLogger("indexer.stages.walk")

    def log() -> None:
        logger.info("listed")
        logger.warning("unreadable path=%s", "a\nb")

    library.during = log
    code, out, err = indexer("scan", "--json")
    assert code == 0
    assert out.count("\n") == 1
    assert err == "indexer: unreadable path=a\\nb\n"


def leaves(command: click.Command, name: str = "indexer") -> Iterator[tuple[str, click.Command]]:
    """All commands that are no groups, by their whole names."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        child = command.get_command(context, word)
        assert child is not None
        yield from leaves(child, f"{name} {word}")


def test_every_command_answers_in_json() -> None:
    without = [
        name
        for name, command in leaves(cli)
        if not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert without == []
