"""`indexer scrub`: the real command, on disks whose bytes change under the file system."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.announced import mp3
from tests.corpus import plant, tagged
from tests.daemons import QUICK, watching
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.programs import ENVIRONMENT, PROGRAM, eventually, rows, run

KEYS = {
    "checked", "bytes_read", "skipped", "damaged", "offline", "interrupted", "seconds",
}  # fmt: skip


def scrubbed(db: Path, files: int) -> list[dict[str, Any]]:
    """The answers until all files were read: they must be so old that a write would show."""
    answers: list[dict[str, Any]] = []

    def is_done() -> bool:
        answers.append(run("scrub", "--rate", "0", "--json", db=db, check=None).object)
        return sum(int(one["checked"]) for one in answers) == files

    eventually(is_done, within_s=30)
    return answers


def flip_on_disk(image: Path, content: bytes) -> None:
    """Change one byte of a file's content in the image of a mounted disk."""
    at = image.read_bytes().index(content) + len(content) // 2
    descriptor = os.open(image, os.O_RDWR)
    try:
        (byte,) = os.pread(descriptor, 1, at)
        os.pwrite(descriptor, bytes([byte ^ 1]), at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def test_a_bit_that_flips_on_the_disk_is_found_with_the_day_on_which_it_was_good(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    image = make_disk("decays.img")
    disk = mount(music, "-o", "loop", image)
    unlike = os.urandom(40_000)
    plant(disk, {"a.mp3": mp3() + unlike, "b.mp3": tagged(title="B")})
    subprocess.run(["sync", "-f", disk], check=True)
    run("rebuild", music, db=db)
    first = scrubbed(db, 2)
    assert {frozenset(one) for one in first} == {frozenset(KEYS)}
    assert [one["damaged"] for one in first if one["damaged"]] == []
    before = os.stat(disk / "a.mp3")
    flip_on_disk(image, unlike)
    ran = run("scrub", "--rate", "0", "--days", "0", "--json", db=db, check=1)
    after = os.stat(disk / "a.mp3")
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    (damage,) = ran.object["damaged"]
    assert (damage["root"], damage["path"]) == ("music", "a.mp3")
    assert re.fullmatch(
        r"decayed: its bytes changed and its stamp did not; last good on \d{4}-\d\d-\d\d",
        damage["reason"],
    )
    (problem,) = run("problems", "--json", db=db).objects
    assert (problem["path"], problem["kind"]) == ("a.mp3", "damage")
    status = run("status", "--json", db=db).object
    assert (status["damaged"], status["scrubbed"]["files"]) == (1, 2)
    assert "scrubbed" in run("status", db=db).out
    assert run("verify", "--deep", "--json", db=db).object["ok"] is True


def test_it_stops_at_once_and_what_was_checked_stays_so(db: Path, music: Path) -> None:
    plant(music, {f"{number}.mp3": tagged(title=str(number)) for number in range(3)})
    run("rebuild", music, db=db)
    scrubbed(db, 3)
    newest = "SELECT max(checked_at) FROM scrubs"
    before = rows(db, newest)
    program = subprocess.Popen(
        [*PROGRAM, "--db", db, "scrub", "--days", "0", "--rate", "500"],
        env={**os.environ, **ENVIRONMENT},
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: rows(db, newest) != before, within_s=60)
    program.send_signal(signal.SIGTERM)
    _, err = program.communicate(timeout=30)
    assert (program.returncode, "stopped; run the same command again" in err) == (143, True), err


def test_a_root_that_is_away_is_told_and_the_others_are_read(
    db: Path, music: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    plant(music, {"a.mp3": tagged(title="a")})
    plant(other, {"b.mp3": tagged(title="b")})
    run("rebuild", music, other, db=db)
    other.rename(tmp_path / "elsewhere")
    told = scrubbed(db, 1)[-1]
    assert [one.partition(":")[0] for one in told["offline"]] == ["other"]
    assert run("scrub", "--rate", "0", db=db, check=3).err.startswith("indexer: other: ")


@pytest.mark.parametrize("word", ["fast", "-1", "20 apples"])
def test_a_rate_that_is_none_is_wrong_use(db: Path, music: Path, word: str) -> None:
    run("roots", "add", music, db=db)
    assert "is no rate" in run("scrub", f"--rate={word}", db=db, check=2).err


def test_a_daemon_that_is_told_to_reads_whole_files_and_says_what_decayed(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    image = make_disk("decays.img")
    disk = mount(music, "-o", "loop", image)
    unlike = os.urandom(40_000)
    plant(disk, {"a.mp3": mp3() + unlike, "b.mp3": tagged(title="B")})
    subprocess.run(["sync", "-f", disk], check=True)
    run("rebuild", music, db=db)
    scrubbed(db, 2)
    flip_on_disk(image, unlike)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE scrubs SET checked_at = 0")  # long ago
    with watching(music, db=db, config=f"{QUICK}scrub = true\n") as daemon:
        line = daemon.await_line("scrubbed")
        assert "damaged=1" in line
        assert "files=2" in line
        (problem,) = run("problems", "--json", db=db).objects
        assert (problem["path"], problem["kind"]) == ("a.mp3", "damage")
        unmount(disk)  # no process holds it
        mount(music, "-o", "loop", image)
        daemon.is_right()
