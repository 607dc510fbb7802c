"""Files that mutagen cannot bear: none stops the daemon, a scan, or what else is indexed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.bombs import MB, inflating, large_tag, many_blocks, tiny_frames
from tests.corpus import noise, plant, tagged
from tests.daemons import QUICK, Daemon, ids, shown, watching
from tests.programs import AT_MOST_S, count, eventually, rows, run
from tests.trees import put_in_place_of, swap

FEW_MB = 100
"""More than a daemon takes that never sees such a file, and much less than one that reads it."""
SHORT = QUICK + "reader_timeout = 2.0\n"
NARROW = QUICK + "worker_memory = 64\n"


def peak_mb(pid: int) -> int:
    """The most memory that a process ever held."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) // 1024


def problems(db: Path) -> dict[str, str]:
    return dict(rows(db, "SELECT CAST(path AS TEXT), kind || ': ' || reason FROM problems"))


def readers(daemon: Daemon) -> list[psutil.Process]:
    return psutil.Process(daemon.pid).children()


def tries_of(db: Path, path: str) -> int:
    """How often a reader was given this file, by itself, and has not answered."""
    asked = "SELECT tries FROM trials WHERE CAST(path AS TEXT) = ?"
    return sum(tries for (tries,) in rows(db, asked, path))


def test_a_frame_that_inflates_is_dropped_and_the_daemon_stays_small(music: Path, db: Path) -> None:
    with watching(music, db=db, config=QUICK) as daemon:
        plant(music, {"bomb.mp3": inflating(300), "song.mp3": tagged(title="Song")})
        daemon.shows({"bomb.mp3": "bomb", "song.mp3": "Song"})
        assert rows(db, "SELECT artist FROM library WHERE path = 'bomb.mp3'") == [("Bomber",)]
        assert peak_mb(daemon.pid) < FEW_MB
        assert "mutagen" not in Path(f"/proc/{daemon.pid}/maps").read_text("ascii")


def test_a_tag_of_tiny_frames_is_read_while_others_are_indexed(music: Path, db: Path) -> None:
    with watching(music, db=db) as daemon:
        plant(music, {"tiny.mp3": tiny_frames(8 * MB), "song.mp3": tagged(title="Song")})
        eventually(lambda: shown(db).get("song.mp3") == "Song")
        daemon.shows({"tiny.mp3": "Tiny", "song.mp3": "Song"})


def test_a_file_that_outlives_its_reader_stops_nothing_else(music: Path, db: Path) -> None:
    with watching(music, db=db, config=SHORT) as daemon:
        plant(music, {"slow.flac": many_blocks(8 * MB)})
        eventually(lambda: tries_of(db, "slow.flac"))
        began = time.monotonic()
        plant(music, {"song.mp3": tagged(title="Song"), "song.wma": tagged(".wma", title="Other")})
        daemon.shows({"song.mp3": "Song", "song.wma": "Other"})
        assert daemon.status()["pending"] >= 0
        eventually(lambda: problems(db))
        assert time.monotonic() - began < 40
        reason = "content: the reader took longer than 2 s twice on this file"
        assert problems(db) == {"slow.flac": reason}
        daemon.is_right()
    assert rows(db, "SELECT count(*) FROM trials") == [(0,)]


def test_a_file_that_takes_too_much_memory_is_at_fault(music: Path, db: Path) -> None:
    with watching(music, db=db, config=NARROW) as daemon:
        plant(music, {"large.mp3": large_tag(100 * MB), "song.wma": tagged(".wma", title="S")})
        eventually(lambda: problems(db))
        daemon.shows({"song.wma": "S"})
        assert peak_mb(daemon.pid) < FEW_MB
        (reason,) = problems(db).values()
        assert reason.startswith("content: takes more memory to read than the setting")
        assert daemon.process.poll() is None


def test_a_scan_gives_a_bomb_to_a_reader_too(music: Path, db: Path) -> None:
    bombs: dict[str | bytes, bytes | None] = {
        "slow.flac": many_blocks(8 * MB),
        "bomb.mp3": inflating(300),
    }
    plant(music, {**bombs, "song.wma": tagged(".wma", title="Song")})
    ran = run("rebuild", "--json", music, db=db, config="reader_timeout = 4.0\n").object
    assert (ran["added"], ran["problems"], ran["files_read"]) == (2, 1, 3)
    assert list(problems(db)) == ["slow.flac"]
    assert rows(db, "SELECT count(*) FROM trials, pending") == [(0,)]


def test_a_file_that_ends_all_of_the_program_is_a_problem_in_the_end(music: Path, db: Path) -> None:
    """As a machine without memory does it: reader and daemon are killed at the same file."""
    plant(music, {"slow.flac": many_blocks(8 * MB), "song.mp3": tagged(title="Song")})
    for _ in range(8):
        before = tries_of(db, "slow.flac")
        with watching(music, db=db, until=None) as daemon:
            eventually(lambda: tries_of(db, "slow.flac") > before or problems(db))  # noqa: B023
            if problems(db):
                break
            victims = readers(daemon)
            daemon.process.kill()
            for reader in victims:
                reader.kill()
            daemon.process.wait(AT_MOST_S)
    else:
        pytest.fail("it goes round for ever")
    with watching(music, db=db) as daemon:
        daemon.shows({"song.mp3": "Song"})
        daemon.is_right()
        assert list(problems(db)) == ["slow.flac"]
        assert problems(db)["slow.flac"].startswith("content: it was given to a reader 3 times")


def test_what_is_told_to_end_holds_it_against_no_file(music: Path, db: Path) -> None:
    plant(music, {"slow.flac": many_blocks(8 * MB)})
    for _ in range(4):
        with watching(music, db=db) as daemon:
            eventually(lambda: tries_of(db, "slow.flac"))
            began = time.monotonic()
            assert daemon.end(signal.SIGTERM) == 0
            assert time.monotonic() - began < 10  # a reader may take 60 s
        assert rows(db, "SELECT count(*) FROM trials") == [(0,)]


def test_a_change_of_a_file_that_is_being_read_wins(music: Path, db: Path) -> None:
    with watching(music, db=db) as daemon:
        plant(music, {"song.flac": many_blocks(8 * MB)})
        eventually(lambda: tries_of(db, "song.flac"))
        plant(music, {"song.flac": tagged(".flac", title="Whole")})
        daemon.shows({"song.flac": "Whole"})
        daemon.is_right()
        assert shown(db) == {"song.flac": "Whole"}
        assert problems(db) == {}


@pytest.mark.parametrize("suffix", [".wma", ".wav", ".ape"])
def test_what_mutagen_reads_keeps_its_id_when_it_moves(music: Path, db: Path, suffix: str) -> None:
    names = [f"{name}{suffix}" for name in ("a", "b")]
    plant(music, {name: tagged(suffix, title=name) for name in names})
    with watching(music, db=db) as daemon:
        daemon.shows({name: name for name in names})
        before = ids(db)
        last = count(db, "SELECT max(seq) FROM changes")
        one, other = (music / name for name in names)
        daemon.process.send_signal(signal.SIGSTOP)  # else it may look between two of these
        one.rename(music / "aside")
        other.rename(one)
        (music / "aside").rename(other)
        daemon.process.send_signal(signal.SIGCONT)
        daemon.shows(dict(zip(names, reversed(names), strict=True)))
        daemon.is_right()
        assert ids(db) == dict(zip(names, [before[name] for name in reversed(names)], strict=True))
        one.rename(music / f"c{suffix}")
        plant(music, {one.name: tagged(suffix, title="new")})
        daemon.shows({f"c{suffix}": names[1], one.name: "new", other.name: names[0]})
        daemon.is_right()
        assert ids(db)[f"c{suffix}"] == before[names[1]]
        kinds = rows(db, f"SELECT kind FROM changes WHERE seq > {last} ORDER BY seq")
        assert [kind for (kind,) in kinds].count("missing") == 0


def test_what_mutagen_reads_is_there_soon_and_its_reader_stays_for_the_next(
    music: Path, db: Path
) -> None:
    with watching(music, db=db) as daemon:
        plant(music, {"0.wma": tagged(".wma", title="0")})
        daemon.shows({"0.wma": "0"})
        (reader,) = readers(daemon)
        plant(music, {"1.wma": tagged(".wma", title="1")})
        daemon.shows({"0.wma": "0", "1.wma": "1"})
        assert readers(daemon) == [reader]


def test_a_command_beside_the_daemon_waits_for_what_mutagen_reads(music: Path, db: Path) -> None:
    with watching(music, db=db, config=SHORT) as daemon:
        plant(music, {"slow.flac": many_blocks(8 * MB)})
        eventually(lambda: tries_of(db, "slow.flac"))  # the daemon has heard of it by itself
        ran = run("scan", "--json", music / "slow.flac", db=db).object
        told = {name: ran[name] for name in ("seen", "unchanged", "problems", "files_read")}
        assert told == {"seen": 1, "unchanged": 0, "problems": 1, "files_read": 1}
        assert list(problems(db)) == ["slow.flac"]
        assert daemon.status()["pending"] == 0


def test_two_files_for_mutagen_that_swap_names_are_each_read_once_more(
    music: Path, db: Path
) -> None:
    """Each holds the other's place, and the answer of one makes another look at both."""
    plant(music, {"a/one.mp3": noise(600), "b/two.wv": tagged(".wv", title="Two")})
    with watching(music, db=db) as daemon:
        eventually(lambda: shown(db) == {"b/two.wv": "Two"} and len(problems(db)) == 1)
        known = rows(db, "SELECT id, inode FROM tracks ORDER BY id")
        swap(music, "a/one.mp3", "b/two.wv")
        daemon.shows({"a/one.mp3": "Two"})
        daemon.is_right()
        assert list(problems(db)) == ["b/two.wv"]
        assert rows(db, "SELECT id, inode FROM tracks ORDER BY id") == known


def test_another_name_of_a_file_for_mutagen_is_looked_at_when_that_loses_one(
    music: Path, db: Path
) -> None:
    """A link that is replaced changes the ctime of the file behind it, of which no event tells."""
    plant(music, {"a/one.wv": tagged(".wv", title="One")})
    (music / "b").mkdir()
    with watching(music, db=db) as daemon:
        daemon.shows({"a/one.wv": "One"})
        os.link(music / "a" / "one.wv", music / "b" / "two.wv")
        daemon.shows({"a/one.wv": "One", "b/two.wv": "One"})
        daemon.is_right()
        put_in_place_of(music, "b/two.wv", tagged(".wv", title="Two"))
        daemon.shows({"a/one.wv": "One", "b/two.wv": "Two"})
        eventually(lambda: run("verify", "--json", db=db, check=None).object["ok"])


def test_what_is_overwritten_by_a_file_that_comes_back_is_told_to_be_gone(
    music: Path, db: Path, tmp_path: Path
) -> None:
    """It is read by mutagen, and when that answers, the look that asked is past."""
    plant(music, {name: tagged(".wv", title=name) for name in ("a/one.wv", "b/two.wv")})
    with watching(music, db=db) as daemon:
        daemon.shows({"a/one.wv": "a/one.wv", "b/two.wv": "b/two.wv"})
        before = ids(db)
        (music / "a/one.wv").rename(tmp_path / "one.wv")
        daemon.shows({"b/two.wv": "b/two.wv"})
        (tmp_path / "one.wv").rename(music / "b/two.wv")
        daemon.shows({"b/two.wv": "a/one.wv"})
        assert ids(db) == {"b/two.wv": before["a/one.wv"]}
        told = "SELECT kind FROM changes WHERE track_id = ? ORDER BY seq DESC LIMIT 1"
        eventually(lambda: rows(db, told, before["b/two.wv"]) == [("missing",)])
        daemon.is_right()
