"""A root that goes silent in the middle of a run: it is let go, and the run goes on without it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.checks.scrub import Scrubber
from indexer.disk.mounts import is_share
from indexer.library import Library
from indexer.model import Progress
from indexer.results.report import ScrubReport
from indexer.roots import open_roots
from indexer.settings import Settings
from indexer.shares.registry import shares
from indexer.stages.insert import Inserter
from indexer.store.connection import open_index
from tests.corpus import plant, tagged
from tests.programs import rows

SONGS = 100
"""In each root; a helper lists fewer folders in one go."""


class Nas:
    """A root that is looked at as a share is, and whose helper can be made to stand still."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def hang(self) -> None:
        helper = shares.helper_of(os.fsencode(self.path))
        os.kill(helper.process.pid, signal.SIGSTOP)

    def comes_back(self) -> None:
        shares.close()


@pytest.fixture
def nas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nas]:
    folder = tmp_path / "nas"
    plant(folder, {f"{n}/{n}.mp3": tagged(title=f"N {n}") for n in range(SONGS)})
    whole = is_share
    own = os.fsencode(folder)
    monkeypatch.setattr(
        open_roots, "is_share", lambda path, mounts: path == own or whole(path, mounts)
    )
    monkeypatch.setattr(open_roots, "has_waiting", lambda _mounts: True)
    monkeypatch.setattr(shares, "patience_s", 0.3)
    yield Nas(folder)
    shares.close()


@pytest.fixture
def both(library: Library, music: Path, nas: Nas) -> Library:
    """An index of a local root, whose songs come before and after, and of the other."""
    plant(music, {f"{n}.mp3": tagged(title=f"M {n}") for n in range(SONGS)})
    library.add_root(os.fsencode(nas.path))
    return library


def shown(settings: Settings, root: str) -> int:
    return len(rows(settings.db, "SELECT 1 FROM library WHERE root = ?", root))


def at(phase: str, act: Callable[[], None], root: str | None = None) -> Callable[[Progress], None]:
    """A listener that does something once, when a run comes so far."""
    done: list[bool] = []

    def listen(progress: Progress) -> None:
        if not done and progress.phase == phase and root in (None, progress.root):
            done.append(True)
            act()

    return listen


@pytest.mark.parametrize("small_work", [0, 1000], ids=["readers", "helper"])
@pytest.mark.parametrize("phase", ["listing", "reading", "finishing"])
def test_a_scan_does_all_of_the_others_and_leaves_the_silent_one_pending(
    phase: str,
    small_work: int,
    both: Library,
    settings: Settings,
    nas: Nas,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("indexer.stages.scan._REPORT_EVERY_FILES", 8)
    both._settings = settings = replace(settings, small_work=small_work, chunk_files=10)
    where = "nas" if phase == "listing" else None
    report = both.scan(listener=at(phase, nas.hang, where))
    told = [line for line in report.offline if line.startswith(f"nas: {nas.path} does not answer")]
    assert shown(settings, "music") == SONGS
    assert told or (phase != "listing" and shown(settings, "nas") == SONGS)
    nas.comes_back()
    report = both.scan()
    assert report.offline == ()
    assert shown(settings, "nas") == SONGS
    assert both.scan().unchanged == 2 * SONGS
    assert rows(settings.db, "SELECT * FROM pending") == []
    assert rows(settings.db, "SELECT * FROM problems") == []


def test_what_is_being_written_when_a_share_goes_silent_is_rolled_back(
    both: Library, settings: Settings, nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    both._settings = settings = replace(settings, chunk_files=10)
    whole = Inserter._put
    nas_id = max(row[0] for row in rows(settings.db, "SELECT id FROM roots"))
    stopped: list[bool] = []

    def put(self: Inserter, batch, findings, now_ms):  # type: ignore[no-untyped-def]
        if batch.root_id == nas_id and not stopped:
            stopped.append(True)
            nas.hang()
        return whole(self, batch, findings, now_ms)

    monkeypatch.setattr(Inserter, "_put", put)
    report = both.scan()
    assert stopped
    assert len(report.offline) == 1
    assert shown(settings, "music") == SONGS
    assert shown(settings, "nas") < SONGS
    assert rows(settings.db, "SELECT * FROM pending WHERE root_id = ?", nas_id) != []
    assert rows(settings.db, "SELECT * FROM problems") == []


def test_no_row_goes_missing_when_a_share_goes_silent_before_that_is_looked_at(
    both: Library, settings: Settings, nas: Nas
) -> None:
    both.scan()
    for n in range(5):
        (nas.path / f"{n}/{n}.mp3").unlink()
    report = both.scan(listener=at("finishing", nas.hang))
    assert len(report.offline) == 1
    assert shown(settings, "nas") == SONGS
    nas.comes_back()
    assert both.scan().missing == 5


@pytest.mark.parametrize("deep", [False, True])
def test_a_proof_leaves_a_root_out_that_goes_silent_and_says_so(
    deep: bool,
    both: Library,
    nas: Nas,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("indexer.checks.verify._REPORT_EVERY_FILES", 1)
    both.scan()
    report = both.verify(deep=deep, listener=at("listing", nas.hang, "nas"))
    assert report.differences == ()
    assert len(report.offline) == 1
    assert "does not answer" in report.offline[0]
    nas.comes_back()
    assert both.verify(deep=deep).ok


@pytest.mark.parametrize("releases_disks", [False, True], ids=["a command", "a daemon"])
def test_a_scrub_leaves_a_root_out_that_goes_silent_and_reads_the_others(
    releases_disks: bool, both: Library, settings: Settings, nas: Nas
) -> None:
    both.scan()
    report = scrub(settings, at("reading", nas.hang, "nas"), releases_disks=releases_disks)
    assert SONGS <= report.checked < 2 * SONGS
    assert report.damaged == ()
    (told,) = report.offline
    assert told.startswith(f"nas: {nas.path} does not answer")
    nas.comes_back()
    assert scrub(settings, None, releases_disks=releases_disks).checked == 2 * SONGS


def test_a_scrub_that_is_to_stop_waits_for_no_silent_root(
    both: Library, settings: Settings, nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.scan()
    monkeypatch.setattr(shares, "patience_s", 3600.0)  # else this test would not end
    asked: list[bool] = []

    def hang() -> None:
        nas.hang()
        asked.append(True)

    report = scrub(settings, at("reading", hang, "nas"), lambda: bool(asked))
    assert (report.interrupted, report.offline) == (True, ())


def scrub(
    settings: Settings,
    listener: Callable[[Progress], None] | None,
    stop: Callable[[], bool] = lambda: False,
    *,
    releases_disks: bool = False,
) -> ScrubReport:
    with closing(open_index(settings.db, write=True)) as connection:
        scrubber = Scrubber(
            connection, settings, rate=0, days=0, listener=listener, stop=stop, settled_s=0,
            releases_disks=releases_disks,
        )  # fmt: skip
        return scrubber.run([])
