"""Files that somebody still writes: read when they are whole, and not before (rule R2)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from indexer.library import Library
from indexer.settings import Settings
from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.integration.conftest import MakeDisk, Mount
from tests.programs import count, eventually, rows, run, started

BRIEF = "still = 0.2\n"
"""A one-shot scan waits so long for a writer."""
WHOLE = tagged(".flac", title="Whole", picture=20_000)


def status(db: Path) -> dict[str, Any]:
    return run("status", "--json", db=db).object


def titles(db: Path) -> list[str]:
    return [title for (title,) in rows(db, "SELECT title FROM library ORDER BY title")]


def test_a_file_that_is_being_written_stays_pending_until_it_is_closed(
    music: Path, db: Path
) -> None:
    """Here it is a reader that asks for the lease; below it is the program itself."""
    config = f"{BRIEF}small_work = 0\nworkers = 1\n"
    plant(music, {"done.mp3": tagged(title="Done")})
    with (music / "growing.flac").open("wb") as writer:
        writer.write(WHOLE[: len(WHOLE) // 2])
        writer.flush()
        report = run("rebuild", music, "--json", db=db, config=config).object
        assert (report["added"], report["pending"], report["problems"]) == (1, 1, 0)
        assert titles(db) == ["Done"]
        assert "1 file stays pending (still being written" in run("scan", db=db, config=config).out

        assert status(db)["pending"] == 1
        assert status(db)["oldest_pending_seconds"] >= 0
        assert "pending   1 (the oldest for" in run("status", db=db).out
        verified = run("verify", "--json", db=db).object
        assert (verified["ok"], verified["pending"]) == (True, 1)
        assert "1 file pending, left out" in run("verify", db=db).out
        writer.write(WHOLE[len(WHOLE) // 2 :])
    report = run("scan", "--json", db=db, config=config).object
    assert (report["added"], report["files_read"], report["pending"]) == (1, 1, 0)
    assert titles(db) == ["Done", "Whole"]
    assert status(db)["pending"] == 0
    assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_a_file_that_is_closed_while_the_scan_waits_is_read_by_it(music: Path, db: Path) -> None:
    plant(music, {"done.mp3": tagged(title="Done")})
    with started("rebuild", music, "--json", db=db, config="still = 30.0\n") as running:
        with (music / "growing.flac").open("wb") as writer:
            writer.write(WHOLE)
            writer.flush()
            eventually(lambda: running.ended or count(db, "SELECT count(*) FROM library"))
        report = running.end().object
    assert (report["added"], report["pending"]) == (2, 0)
    assert titles(db) == ["Done", "Whole"]


def test_an_indexed_file_that_is_being_rewritten_keeps_its_row(music: Path, db: Path) -> None:
    plant(music, {"a.flac": tagged(".flac", title="Before")})
    run("rebuild", music, db=db)
    with (music / "a.flac").open("wb") as writer:
        report = run("scan", "--json", db=db, config=BRIEF).object
        assert (report["pending"], report["missing"], report["problems"]) == (1, 0, 0)
        assert titles(db) == ["Before"]
        writer.write(WHOLE)
    assert run("scan", "--json", db=db).object["modified"] == 1
    assert titles(db) == ["Whole"]
    assert rows(db, "SELECT kind FROM changes") == [("added",), ("modified",)]


def test_a_file_that_goes_away_while_it_is_pending_is_forgotten(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    with (music / "b.mp3").open("wb"):
        run("rebuild", music, db=db, config=BRIEF)
    assert status(db)["pending"] == 1
    (music / "b.mp3").unlink()
    report = run("scan", "--json", db=db).object
    assert (report["pending"], report["seen"], report["problems"]) == (0, 1, 0)
    assert status(db)["pending"] == 0


def test_a_file_that_is_held_open_but_stands_still_is_read_and_looked_at_again(
    music: Path, db: Path
) -> None:
    """A player that keeps a file open for writing must not keep it out of the index for ever."""
    config = f"{BRIEF}held = 0.05\n"
    with (music / "held.flac").open("wb") as writer:
        writer.write(WHOLE)
        writer.flush()
        report = run("rebuild", music, "--json", db=db, config=config).object
        assert report["added"] == 1
        assert titles(db) == ["Whole"]
        assert report["pending"] == 1
        assert status(db)["pending"] == 1
        writer.seek(0)
        writer.write(tagged(".flac", title="Later", picture=20_000))
    assert run("scan", "--json", db=db).object["modified"] == 1
    assert titles(db) == ["Later"]
    assert status(db)["pending"] == 0


@pytest.mark.parametrize("why", ["leases are off", "the file is another user's"])
def test_without_a_lease_a_fresh_file_is_waited_for_and_read(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str], why: str
) -> None:
    plant(music, {"a.mp3": tagged(title="Fresh")})
    config = "still = 0.3\n"
    if why == "leases are off":
        prefix, config = [], f"{config}leases = false\n"
    else:
        prefix = powerless
    run("roots", "add", music, db=db)
    fresh = music / "a.mp3"
    os.chown(fresh, *(nobody if prefix else (-1, -1)))
    os.utime(fresh)
    report = run("scan", "--json", db=db, config=config, prefix=prefix).object
    assert (report["added"], report["pending"]) == (1, 0)
    born_ms = fresh.stat().st_ctime_ns // 1_000_000
    ((read_ms,),) = rows(db, "SELECT indexed_at FROM tracks")
    assert read_ms - born_ms >= 300
    assert run("scan", "--json", db=db, config=config, prefix=prefix).object["files_read"] == 0


def test_without_a_lease_a_growing_file_is_pending(music: Path, db: Path) -> None:
    """It is written to faster than it may be believed, as long as the scan looks."""
    plant(music, {"a.mp3": tagged(title="Grows")})
    config = "still = 0.3\nleases = false\n"
    with started("rebuild", music, "--json", db=db, config=config) as running:
        grow = music / "a.mp3"

        def grown() -> bool:
            os.utime(grow)
            return running.ended

        eventually(grown)
        report = running.end().object
    assert (report["added"], report["pending"], report["files_read"]) == (0, 1, 0)
    assert run("scan", "--json", db=db, config=config).object["added"] == 1


def test_a_coarse_clock_is_waited_out(music: Path, db: Path) -> None:
    """A write within one tick of such a clock could carry the stamp that was read already."""
    plant(music, {"a.mp3": tagged(title="Fresh")})
    born_ns = (music / "a.mp3").stat().st_ctime_ns
    config = "clock_granularity = 1.0\nstill = 2.0\n"
    report = run("rebuild", music, "--json", db=db, config=config).object
    assert (report["added"], report["pending"]) == (1, 0)
    ((read_ms,),) = rows(db, "SELECT indexed_at FROM tracks")
    assert read_ms // 1000 > born_ns // 1_000_000_000


@pytest.fixture
def old_disk(tmp_path: Path, mount: Mount, make_disk: MakeDisk) -> Path:
    """A disk that was ext3 once: its inodes of 128 bytes have times of whole seconds."""
    disk = make_disk("old.ext4", "-I", "128")
    return mount(tmp_path / "old", "-o", "loop", disk)


def written_twice_in_a_second(file: Path) -> bool:
    """Write a file, and change a text in it; whether both have the same time."""
    eventually(lambda: time.time() % 1 < 0.2)
    plant(file.parent, {file.name: tagged(title="AAAA")})
    born_ns = file.stat().st_ctime_ns
    eventually(lambda: time.time() % 1 > 0.5)
    with file.open("r+b") as opened:
        opened.seek(file.read_bytes().index(b"AAAA"))
        opened.write(b"BBBB")
    return file.stat().st_ctime_ns == born_ns


def test_a_second_write_in_one_second_of_an_old_disk_is_seen(old_disk: Path, db: Path) -> None:
    with watching(old_disk, db=db) as daemon:
        eventually(lambda: written_twice_in_a_second(old_disk / "a.mp3"))
        daemon.shows({"a.mp3": "BBBB"})
        daemon.is_right()


def test_a_scan_of_an_old_disk_reads_nothing_that_could_change_under_its_stamp(
    old_disk: Path, settings: Settings
) -> None:
    with Library(settings) as library:
        library.add_root(os.fsencode(old_disk))
        eventually(lambda: time.time() % 1 < 0.2)
        plant(old_disk, {"a.mp3": tagged(title="A")})
        eventually(lambda: library.scan().added == 1)
    born_ns = (old_disk / "a.mp3").stat().st_ctime_ns
    assert born_ns % 1_000_000_000 == 0
    ((read_ms,),) = rows(settings.db, "SELECT indexed_at FROM tracks")
    assert read_ms // 1000 > born_ns // 1_000_000_000


def test_a_file_from_the_future_is_read_at_once(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="Future")})
    os.utime(music / "a.mp3", (4_000_000_000, 4_000_000_000))
    report = run("rebuild", music, "--json", db=db).object
    assert (report["added"], report["pending"]) == (1, 0)
    assert run("scan", "--json", db=db).object["files_read"] == 0
