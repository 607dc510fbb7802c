from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from indexer.settings import Settings
from indexer.store.connection import open_index
from tests.corpus import Tree, plant, tagged
from tests.daemons import watching
from tests.faults.power import (
    Cut,
    Deed,
    Loss,
    Story,
    converges,
    cuts,
    disk_after,
    told,
    try_cut,
)
from tests.programs import Running, count, eventually, run, started
from tests.trees import Name

SEED = 6
CUTS = int(os.environ.get("POWER_CUTS", "48"))


class Told:
    """A story, told once."""

    def __init__(self, home: Path) -> None:
        (home / "music").mkdir()
        (home / "index").mkdir()
        self.settings = Settings(
            db=home / "index" / "library.db",
            workers=1,
            still=0.05,
            retry_first=0.001,
            chunk_files=5,
        )
        open_index(self.settings.db, write=True).close()
        self.story, self.expected = told(self.settings, home / "music")

    def wrong(self, cut: Cut, folder: Path, story: Story | None = None) -> list[str]:
        return try_cut(story or self.story, cut, SEED, self.settings, self.expected, folder)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("power"))


def ids(cut: Cut) -> str:
    return f"{cut.loss.name}-{cut.moment}"


@pytest.mark.timeout(3600)
def test_whatever_of_the_unsynced_writes_is_lost_the_index_opens_and_one_scan_heals_it(
    once: Told, tmp_path: Path
) -> None:
    tried = cuts(once.story, Random(SEED), CUTS)
    wrong = {ids(cut): faults for cut in tried if (faults := once.wrong(cut, tmp_path / "cut"))}
    assert wrong == {}
    assert {cut.loss for cut in tried} == set(Loss)


def test_the_story_has_commits_checkpoints_and_logs_that_begin_anew(once: Told) -> None:
    events = once.story.events
    assert sum(event.ends_transaction for event in events) > 40
    synced = [event for event in events if not event.suffix and event.deed is Deed.SYNC]
    assert len(synced) > 5
    begun = [event for event in events if event.suffix and len(event.data) == 32]
    assert len(begun) > 5


def test_most_cuts_lose_something_and_none_loses_what_was_synced(once: Told) -> None:
    """The fault happens: what arrives without a loss is another disk than what arrives with one."""
    tried = [cut for cut in cuts(once.story, Random(SEED), 48) if cut.loss is not Loss.NOTHING]
    lost = 0
    for cut in tried:
        whole = disk_after(once.story, cut._replace(loss=Loss.NOTHING), Random(1))
        lost += disk_after(once.story, cut, Random(1)) != whole
    assert lost > len(tried) // 2
    events = once.story.events
    synced = next(n for n, event in enumerate(events) if event.deed is Deed.SYNC)
    for loss in Loss:
        after = disk_after(once.story, Cut(synced + 1, loss), Random(1))
        assert after == disk_after(once.story, Cut(synced + 1, Loss.NOTHING), Random(1))


def test_where_syncing_does_nothing_some_cuts_do_not_heal(once: Told, tmp_path: Path) -> None:
    """So the tests above would see it if we, or SQLite, left a sync out."""
    lying = Story(
        once.story.start, [event for event in once.story.events if event.deed is not Deed.SYNC]
    )
    tried = [cut for cut in cuts(lying, Random(SEED), 48) if cut.loss in {Loss.HOLES, Loss.ZEROS}]
    assert any(once.wrong(cut, tmp_path / "cut", lying) for cut in tried)


HEADER, FRAME_HEADER = 32, 24
"""Bytes at the beginning of a WAL, and before each of its pages (fileformat2.html, 4)."""
SMALL_BITES = "chunk_files = 1\nworkers = 1\nsmall_work = 1000\n"


@contextmanager
def stopped(running: Running) -> Iterator[None]:
    """Hold a process wherever it is, in the middle of a write too."""
    running.process.send_signal(signal.SIGSTOP)
    stat = Path(f"/proc/{running.pid}/stat")
    eventually(lambda: stat.read_text("ascii").rpartition(")")[2].split()[0] == "T")
    try:
        yield
    finally:
        running.process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`music`, and in `before` and `wal` the files of an index that a scan was writing to.

    The database is as at its last checkpoint, which was the end of the program before.
    """
    home = tmp_path_factory.mktemp("stopped")
    music, db = home / "music", home / "index" / "library.db"
    first: Tree = {f"{n // 10}/{n:03}.mp3": tagged(title=f"Song {n}") for n in range(40)}
    plant(music, first)
    run("rebuild", music, db=db)
    before = db.read_bytes()
    plant(music, {f"{n // 10}/{n:03}.mp3": tagged(title=f"Song {n}") for n in range(40, 400)})
    (music / "0").rename(music / "zero")
    wal = db.with_name(db.name + "-wal")
    with started("scan", db=db, config=SMALL_BITES) as running:
        eventually(lambda: running.ended or count(db, "SELECT count(*) FROM library") >= 200)
        with stopped(running):
            assert not running.ended
            (home / "wal").write_bytes(wal.read_bytes())
            assert db.read_bytes() == before
        running.kill()
    (home / "before").write_bytes(before)
    return home


def frames(wal: bytes) -> list[int]:
    """Where each frame begins."""
    page = int.from_bytes(wal[8:12])
    return list(range(HEADER, len(wal) - FRAME_HEADER - page + 1, FRAME_HEADER + page))


def commits(wal: bytes) -> list[int]:
    """Where a transaction ends: behind a frame that says how large the database is then."""
    page = int.from_bytes(wal[8:12])
    return [at + FRAME_HEADER + page for at in frames(wal) if any(wal[at + 4 : at + 8])]


def cut_at_a_commit(wal: bytes) -> bytes:
    ends = commits(wal)
    return wal[: ends[-5]]


def cut_between_two_commits(wal: bytes) -> bytes:
    ends = commits(wal)
    middle = [at for at in frames(wal) if ends[-9] < at < ends[-1] and at not in ends]
    return wal[: middle[len(middle) // 2]]


def half_a_page(wal: bytes) -> bytes:
    return wal[: commits(wal)[-1] - 2048]


def rubbish_in_the_middle(wal: bytes) -> bytes:
    at = commits(wal)[-6] + 100
    return wal[:at] + Random(1).randbytes(3000) + wal[at + 3000 :]


def zeros_at_the_tail(wal: bytes) -> bytes:
    at = commits(wal)[-3] + 1000
    return wal[:at] + bytes(len(wal) - at)


def no_header(wal: bytes) -> bytes:
    return bytes(HEADER) + wal[HEADER:]


def no_log(_wal: bytes) -> None:
    return None


@pytest.mark.parametrize(
    "lose",
    [
        cut_at_a_commit,
        cut_between_two_commits,
        half_a_page,
        rubbish_in_the_middle,
        zeros_at_the_tail,
        no_header,
        no_log,
    ],
)
def test_the_daemon_heals_what_a_real_scan_left_when_the_power_failed(
    home: Path, tmp_path: Path, lose: object
) -> None:
    assert callable(lose)
    music, db = home / "music", tmp_path / "index" / "library.db"
    (tmp_path / "index").mkdir()
    shutil.copyfile(home / "before", db)
    whole = (home / "wal").read_bytes()
    left = lose(whole)
    assert left != whole
    if left is not None:
        db.with_name(db.name + "-wal").write_bytes(left)
    kept = count(db, "SELECT count(*) FROM library")
    assert 40 <= kept < 400, "the fault did not happen"
    assert (kept > 40) == (lose not in {no_header, no_log})
    shown: dict[Name, str] = {
        os.path.relpath(path, music): f"Song {int(path.stem)}" for path in music.rglob("*.mp3")
    }
    assert len(shown) == 400
    with watching(db=db) as daemon:
        daemon.shows(shown)
        daemon.is_right()
        assert daemon.end() == 0
    assert converges(Settings(db=db, still=0.05), shown) == []
