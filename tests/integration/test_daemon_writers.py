"""Programs that write files, each in its own manner -> no row ever tells of half a file.

Whatever row of a file was visible at any moment is what mutagen read of it at some close.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import mutagen
import pytest

from tests.corpus import plant, tagged, template
from tests.daemons import QUICK, Daemon, watching
from tests.programs import AT_MOST_S, count, eventually, run

Row = tuple[str | None, float | None]
"""Title and duration in seconds, to the millisecond."""

_VISIBLE = "SELECT title, duration FROM library WHERE path = ?"
_LOOK_PAUSE_S = 0.0005


class Witness(threading.Thread):
    """Notes every row of one file that any reader could have seen."""

    def __init__(self, db: Path, path: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[Row] = []
        self._db = db
        self._path = path
        self._ended = threading.Event()

    def run(self) -> None:
        version = None
        with closing(sqlite3.connect(f"file:{self._db}?mode=ro", uri=True)) as connection:
            while not self._ended.wait(_LOOK_PAUSE_S):
                (now,) = connection.execute("PRAGMA data_version").fetchone()
                if now == version:
                    continue
                version = now
                self._look(connection)
            self._look(connection)

    def _look(self, connection: sqlite3.Connection) -> None:
        found = connection.execute(_VISIBLE, (self._path,)).fetchone()
        if found is None:
            return
        title, duration = found
        row = title, round(duration, 3)
        if self.seen[-1:] != [row]:
            self.seen.append(row)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self.join()


def row_of(path: Path) -> Row:
    """What mutagen reads of a file as it stands now."""
    file = mutagen.File(path)
    assert file is not None
    title = file.get("TIT2") or file.get("title") or file.get("©nam")
    return (None if title is None else str(title[0])), round(file.info.length, 3)


@pytest.fixture
def daemon(music: Path, db: Path) -> Iterator[Daemon]:
    """One that watches `music`; at the end index must equal disk."""
    with watching(music, db=db) as running:
        yield running
        running.is_right()


MORE = template(".mp2")
"""Frames without a header that tells how many follow: the length is reckoned from the size."""


def long_song(title: str, copies: int = 40) -> bytes:
    """A file whose length tells how much of it was there."""
    return tagged(".mp2", title=title) + MORE * copies


WHOLE = long_song("Whole")


def copies(music: Path, source: Path) -> None:
    subprocess.run(["cp", source, music / "x.mp3"], check=True)


def copies_as_samba(music: Path, source: Path) -> None:
    """It creates and closes, opens, writes, sets the times, closes."""
    target = music / "x.mp3"
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    with target.open("r+b", buffering=0) as file:
        for start in range(0, len(WHOLE), 4096):
            file.write(WHOLE[start : start + 4096])
        os.utime(target, (1, 1))
    shutil.copystat(source, target)


def copies_as_rsync(music: Path, source: Path) -> None:
    aside = music / ".x.mp3.Xy12zA"
    shutil.copyfile(source, aside)
    os.utime(aside, (1, 1))
    aside.rename(music / "x.mp3")


def downloads_as_a_browser(music: Path, source: Path) -> None:
    part = music / "x.mp3.part"
    (music / "x.mp3").touch()
    shutil.copyfile(source, part)
    part.rename(music / "x.mp3")


def links(music: Path, source: Path) -> None:
    os.link(source, music / "x.mp3")


@pytest.mark.parametrize(
    "write", [copies, copies_as_samba, copies_as_rsync, downloads_as_a_browser, links]
)
def test_a_file_that_comes_is_seen_whole_and_read_once(
    daemon: Daemon, music: Path, tmp_path: Path, write: Callable[[Path, Path], None]
) -> None:
    source = tmp_path / "source.mp3"
    source.write_bytes(WHOLE)
    with Witness(daemon.db, "x.mp3") as witness:
        write(music, source)
        daemon.shows({"x.mp3": "Whole"})
        daemon.is_right()
    assert witness.seen == [row_of(source)]
    daemon.has_read(1)


def test_a_slow_copy_is_pending_while_it_goes_on_and_seen_whole(
    daemon: Daemon, music: Path
) -> None:
    steps = 32
    with Witness(daemon.db, "x.mp3") as witness:
        with (music / "x.mp3").open("wb", buffering=0) as file:
            for step in range(steps):
                file.write(WHOLE[step * len(WHOLE) // steps : (step + 1) * len(WHOLE) // steps])
                threading.Event().wait(0.1)
                if step == steps // 2:
                    status = daemon.status()
                    assert status["pending"] == 1
                    verified = run("verify", "--json", db=daemon.db).object
                    assert (verified["ok"], verified["pending"]) == (True, 1)
        daemon.shows({"x.mp3": "Whole"})
    assert witness.seen == [row_of(music / "x.mp3")]
    daemon.has_read(1)
    assert count(daemon.db, "SELECT count(*) FROM pending") == 0


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".ogg", ".opus", ".wav"])
def test_a_tagger_that_writes_in_place_is_seen_before_and_after(
    daemon: Daemon, music: Path, suffix: str
) -> None:
    name = f"x{suffix}"
    plant(music, {name: tagged(suffix, title="Before")})
    daemon.shows({name: "Before"})
    with Witness(daemon.db, name) as witness:
        file = mutagen.File(music / name, easy=True)
        before = row_of(music / name)
        title = "After, and so much longer that the file has to grow" * 40
        if suffix == ".wav":
            file.tags["TIT2"] = mutagen.id3.TIT2(encoding=3, text=title)
        else:
            file["title"] = title
        file.save()
        daemon.shows({name: title})
    assert witness.seen[-1] == row_of(music / name)
    assert set(witness.seen[:-1]) <= {before}
    daemon.has_read(2)


def test_an_atomic_replacement_is_seen_before_and_after(daemon: Daemon, music: Path) -> None:
    """As beets, kid3 and many editors save: beside it, then renamed over it."""
    plant(music, {"x.mp3": long_song("Before", 10)})
    daemon.shows({"x.mp3": "Before"})
    allowed = [row_of(music / "x.mp3")]
    with Witness(daemon.db, "x.mp3") as witness:
        for number in range(5):
            (music / "x.tmp").write_bytes(long_song(f"After {number}", 11 + number))
            (music / "x.tmp").rename(music / "x.mp3")
            allowed.append(row_of(music / "x.mp3"))
        daemon.shows({"x.mp3": "After 4"})
    assert set(witness.seen) <= set(allowed)
    assert witness.seen[-1] == allowed[-1]


def test_a_writer_that_comes_back_again_and_again_is_seen_at_its_closes_only(
    daemon: Daemon, music: Path
) -> None:
    allowed = []
    with Witness(daemon.db, "x.mp3") as witness:
        plant(music, {"x.mp3": long_song("Grows", 1)})
        allowed.append(row_of(music / "x.mp3"))
        for _ in range(25):
            with (music / "x.mp3").open("ab", buffering=0) as file:
                for _ in range(4):
                    file.write(MORE)
                    threading.Event().wait(0.02)
            allowed.append(row_of(music / "x.mp3"))
            threading.Event().wait(0.05)
        eventually(lambda: witness.seen[-1:] == allowed[-1:])
    assert set(witness.seen) <= set(allowed)
    assert witness.seen == sorted(witness.seen, key=lambda row: row[1] or 0)
    assert daemon.files_read <= 27


def test_an_mp4_that_a_muxer_closes_without_its_index_is_read_when_the_index_is_there(
    music: Path, db: Path
) -> None:
    whole = tagged(".m4a", title="Whole")
    at = whole.index(b"moov") - 4
    moov = whole[at : at + int.from_bytes(whole[at : at + 4])]
    moov_less = whole[:at] + whole[at + len(moov) :]
    with watching(music, db=db) as daemon, Witness(db, "x.m4a") as witness:
        (music / "x.m4a").write_bytes(moov_less)
        eventually(lambda: daemon.status()["pending"] == 1)
        assert count(db, "SELECT count(*) FROM problems") == 0
        (music / "x.m4a").write_bytes(moov_less + moov)
        daemon.shows({"x.m4a": "Whole"})
        daemon.is_right()
    assert [title for title, _ in witness.seen] == ["Whole"]
    daemon.has_read(1)


def test_a_file_of_a_disk_without_leases_is_read_when_it_is_closed(music: Path, db: Path) -> None:
    config = QUICK.replace("still = 0.05", f"still = {AT_MOST_S}") + "leases = false\n"
    with watching(music, db=db, config=config) as daemon, Witness(db, "x.mp3") as witness:
        with (music / "x.mp3").open("wb", buffering=0) as file:
            for start in range(0, len(WHOLE), 4096):
                file.write(WHOLE[start : start + 4096])
                threading.Event().wait(0.1)
        daemon.shows({"x.mp3": "Whole"}, within_s=AT_MOST_S / 2)  # a close is evidence enough
        daemon.is_right()
    assert witness.seen == [row_of(music / "x.mp3")]
    daemon.has_read(1)
