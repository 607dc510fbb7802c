"""A folder with all that goes wrong with files: each is a row or a problem, none is an end."""

from __future__ import annotations

import base64
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.corpus import (
    DAMAGED,
    flac_picture_claims_4_gb,
    id3_claims_256_mb,
    noise,
    plant,
    tagged,
)
from tests.programs import CHECKOUT, ENVIRONMENT, can_be_root, rows, run

GOOD: dict[str | bytes, bytes | None] = {
    b"good.mp3": tagged(title="Good"),
    b"not utf-8 \xff\xfe.mp3": tagged(title="Not UTF-8"),
    b"not utf-8 \xe9/\xe9.flac": tagged(".flac", title="Not UTF-8 either"),
    b"two\nlines.mp3": tagged(title="Two lines"),
    b"tab\tand \x1b[2J.ogg": tagged(".ogg", title="Control"),
    b" .mp3": tagged(title="A space"),
    b"-n.mp3": tagged(title="An option"),
    "\N{BLACK HEART SUIT} \u202eevil.opus".encode(): tagged(".opus", title="Turned around"),
    b"x" * 251 + b".mp3": tagged(title="255 bytes"),
    b"folder.mp3/inside.m4a": tagged(".m4a", title="In a folder that is named like a file"),
    "nfc \u00e9.mp3".encode(): tagged(title="NFC"),
    "nfc e\u0301.mp3".encode(): tagged(title="NFD"),
}
SPECIAL = {b"fifo.mp3": "a FIFO", b"socket.flac": "a socket", b"device.ogg": "a character device"}
NO_MUSIC: dict[str | bytes, bytes | None] = {
    b"empty folder.mp3/": None,
    b".hidden.mp3": noise(),
    b".hidden/inside.mp3": tagged(),
    b"._good.mp3": noise(),
    b"notes.txt": noise(),
    b"good.mp3.part": noise(),
    b"mp3": noise(),
}
IMPATIENT = "still = 0.05\n"
"""Where no lease is to be had, a file must have stood still for so long."""
ENOUGH_MEMORY = 160 << 20
"""Peak RSS of any process, in bytes: far below what one of the claims would take."""


DEEP = b"/".join([b"d" * 200] * 20)
"""A folder's path of 4 019 bytes: the kernel takes 4 095 at once."""


def plant_deep(root: Path, folder: bytes, name: bytes, content: bytes) -> None:
    """Write a file however long its path is, a folder at a time."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in folder.split(b"/"):
        with suppress(FileExistsError):
            os.mkdir(part, dir_fd=here)
        deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    file = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, content)
    os.close(file)
    os.close(here)


@pytest.fixture
def zoo(music: Path) -> Path:
    """The folder with everything in it; `/dev/null`'s twin only where we may make one."""
    plant(music, GOOD)
    plant(music, {name.encode(): make() for name, make in DAMAGED.items()})
    plant(music, NO_MUSIC)
    os.mkfifo(music / "fifo.mp3")
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(music, os.O_PATH)
        bound.bind(f"/proc/self/fd/{here}/socket.flac")
        os.close(here)
    if can_be_root():
        os.mknod(music / "device.ogg", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (music / "link.mp3").symlink_to("good.mp3")
    (music / "dangling.mp3").symlink_to("nowhere.mp3")
    (music / "loop.mp3").symlink_to("loop.mp3")
    return music


def problems_of(db: Path) -> dict[bytes, tuple[str, str]]:
    """Path -> (kind, reason)."""
    return {
        base64.b64decode(one["path_b64"]) if "path_b64" in one else one["path"].encode(): (
            one["kind"],
            one["reason"],
        )
        for one in run("problems", "--json", db=db).objects
    }


def tracks_of(db: Path) -> dict[bytes, str]:
    """Path -> title."""
    found = rows(db, "SELECT CAST(path AS BLOB), title FROM library")
    return {bytes(path): title for path, title in found}


def test_every_file_is_a_row_or_a_problem(zoo: Path, db: Path) -> None:
    special = {name for name in SPECIAL if os.path.lexists(os.path.join(os.fsencode(zoo), name))}
    report = run("rebuild", zoo, "--json", db=db).object
    tracks, problems = tracks_of(db), problems_of(db)
    damaged = {name.encode() for name in DAMAGED}
    assert set(tracks) | set(problems) == set(GOOD) | damaged | special
    assert not set(tracks) & set(problems)
    assert set(GOOD) <= set(tracks)
    assert special <= set(problems)
    assert {b"empty.mp3", b"noise.mp3", b"noise.flac", b"header only.flac"} <= set(problems)
    assert {kind for kind, _ in problems.values()} == {"content"}
    assert {name: problems[name][1].split(",")[0] for name in special} == {
        name: f"this is {SPECIAL[name]}" for name in special
    }
    assert (report["added"], report["problems"]) == (len(tracks), len(problems))
    assert report["files_read"] == len(tracks) + len(problems) - len(special)
    assert run("verify", "--json", db=db).object["ok"]
    assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_a_second_scan_opens_none_of_them_and_writes_nothing(zoo: Path, db: Path) -> None:
    first = run("rebuild", zoo, "--json", db=db).object
    before = rows(db, "SELECT * FROM problems"), rows(db, "SELECT * FROM tracks")
    again = run("scan", "--json", db=db).object
    assert (again["files_read"], again["bytes_read"]) == (0, 0)
    assert again["unchanged"] == again["seen"] == first["seen"]
    assert (rows(db, "SELECT * FROM problems"), rows(db, "SELECT * FROM tracks")) == before
    assert rows(db, "SELECT * FROM pending") == []


def test_special_files_are_never_opened(zoo: Path, db: Path, tmp_path: Path) -> None:
    """A FIFO would swallow another program's writer, a device may do anything when opened."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "opened"
    trace = [strace, "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", str(log)]
    probe = subprocess.run([*trace, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()}")
    for command in (["rebuild", str(zoo)], ["scan"], ["verify", "--deep"]):
        run(*command, db=db, prefix=trace)
        opened = log.read_text(errors="replace")
        assert command[0] == "scan" or '"good.mp3"' in opened
        for name in (*SPECIAL, b"link.mp3", b".hidden.mp3", b"notes.txt"):
            assert f'"{name.decode()}"' not in opened


def test_a_fifo_is_never_opened(music: Path, db: Path) -> None:
    """Whoever opens a FIFO to write waits until somebody opens it to read: nobody does."""
    os.mkfifo(music / "fifo.mp3")
    with subprocess.Popen(["sh", "-c", 'exec 3>"$0"', music / "fifo.mp3"]) as writer:
        for command in (["rebuild", str(music)], ["scan"], ["verify", "--deep"], ["rebuild"]):
            run(*command, db=db)
        assert writer.poll() is None
        assert set(problems_of(db)) == {b"fifo.mp3"}
        writer.kill()


def test_a_bad_file_that_is_mended_comes_into_the_view(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": b"", "b.flac": noise()})
    assert run("rebuild", music, "--json", db=db).object["problems"] == 2
    plant(music, {"a.mp3": tagged(title="Whole")})
    report = run("scan", "--json", db=db).object
    assert (report["added"], report["files_read"], report["unchanged"]) == (1, 1, 1)
    assert set(problems_of(db)) == {b"b.flac"}
    (music / "b.flac").unlink()
    run("scan", db=db)
    assert problems_of(db) == {}
    assert run("verify", db=db).code == 0


def test_a_track_whose_bytes_are_spoilt_leaves_the_view_and_keeps_its_id(
    music: Path, db: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="Whole")})
    run("rebuild", music, db=db)
    plant(music, {"a.mp3": noise()})
    report = run("scan", "--json", db=db).object
    assert (report["problems"], report["missing"], report["files_read"]) == (1, 0, 1)
    assert (tracks_of(db), set(problems_of(db))) == ({}, {b"a.mp3"})
    plant(music, {"a.mp3": tagged(title="Whole")})
    assert run("scan", "--json", db=db).object["returned"] == 1
    told = rows(db, "SELECT kind, track_id FROM changes ORDER BY seq")
    assert told == [("added", 1), ("missing", 1), ("returned", 1)]


def test_paths_of_4096_bytes_and_more_are_rows_like_others(music: Path, db: Path) -> None:
    longest = b"l" * (4095 - len(DEEP) - 1 - 4) + b".mp3"
    plant_deep(music, DEEP, longest, tagged(title="4 095 bytes"))
    plant_deep(music, DEEP + b"/" + b"e" * 200 + b"/\xff", b"far.flac", tagged(".flac"))
    plant_deep(music, DEEP + b"/" + b"e" * 200, b"broken.mp3", noise())
    report = run("rebuild", music, "--json", db=db).object
    assert (report["added"], report["problems"]) == (2, 1)
    assert {len(path) for path in tracks_of(db)} == {4095, len(DEEP) + 212}
    assert run("scan", "--json", db=db).object["files_read"] == 0
    assert run("verify", "--deep", "--json", db=db).object["ok"]
    (path,) = problems_of(db)
    whole = os.path.join(os.fsencode(music), path)
    assert "problem" in run("show", whole, "--json", db=db).object
    plant_deep(music, os.path.dirname(path), b"broken.mp3", tagged())
    assert run("scan", "--json", db=db).object["added"] == 1
    shutil.rmtree(music / ("d" * 200))
    assert run("scan", "--json", db=db).object["missing"] == 3
    assert run("verify", "--json", db=db).object["ok"]


def test_a_scan_of_one_file_keeps_its_problem_however_long_its_path_is(
    music: Path, db: Path
) -> None:
    plant_deep(music, DEEP, b"l" * 200 + b".mp3", noise())
    run("rebuild", music, db=db)
    (path,) = problems_of(db)
    report = run("scan", os.path.join(os.fsencode(music), path), "--json", db=db).object
    assert report["files_read"] == 0
    assert set(problems_of(db)) == {path}


@pytest.mark.parametrize("workers", ["in the process", "in readers"])
def test_a_claim_of_gigabytes_takes_no_memory(music: Path, db: Path, workers: str) -> None:
    plant(music, {"id3.mp3": id3_claims_256_mb(), "picture.flac": flac_picture_claims_4_gb()})
    plant(music, {"tag claims 4 GB.flac": flac_comment_claims_4_gb(), "atom.m4a": atom_of_4_gb()})
    small_work = 64 if workers == "in the process" else 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    command = ["/usr/bin/env", "bash", "-c", f'ulimit -v {(1 << 30) >> 10}; exec "$@"', "-"]
    config = f"small_work = {small_work}\nworkers = 1\n"
    report = run("rebuild", music, "--json", db=db, prefix=command, config=config).object
    assert report["files_read"] == 4
    assert report["added"] + report["problems"] == 4
    assert {kind for kind, _ in problems_of(db).values()} <= {"content"}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    assert peak < max(ENOUGH_MEMORY, (before << 10) + 1)


def flac_comment_claims_4_gb() -> bytes:
    whole = tagged(".flac", title="Human Behaviour")
    at = whole.index(b"TITLE=") - 4
    return whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]


def atom_of_4_gb() -> bytes:
    whole = tagged(".m4a", title="Human Behaviour")
    at = whole.index(b"\xa9nam") - 4
    return whole[:at] + b"\xff\xff\xff\xf0" + whole[at + 4 :]


def test_what_may_not_be_read_keeps_its_row_and_is_tried_again(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b/c.mp3": tagged(title="C"), "d.mp3": tagged()})
    run("rebuild", music, db=db)
    (music / "a.mp3").chmod(0)
    (music / "b").chmod(0)
    os.chown(music / "a.mp3", *nobody)
    os.chown(music / "b", *nobody)
    before = tracks_of(db)
    report = run("scan", "--json", db=db, config=IMPATIENT, prefix=powerless).object
    assert (report["problems"], report["missing"]) == (2, 0)
    assert tracks_of(db) == before
    problems = problems_of(db)
    assert {path: kind for path, (kind, _) in problems.items()} == {
        b"a.mp3": "environment", b"b": "environment",
    }  # fmt: skip
    assert "permission denied" in problems[b"a.mp3"][1].lower()
    again = run("scan", "--json", db=db, config=IMPATIENT, prefix=powerless).object
    assert again["files_read"] == 0
    verified = run("verify", "--json", db=db, config=IMPATIENT, prefix=powerless, check=3).object
    assert (verified["ok"], verified["unseen"], verified["differences"]) == (False, 1, [])

    (music / "a.mp3").chmod(0o644)
    (music / "b").chmod(0o755)
    run("scan", db=db, config=IMPATIENT, prefix=powerless)
    assert problems_of(db) == {}
    assert tracks_of(db) == before
    assert rows(db, "SELECT kind FROM changes") == [("added",)] * 3


def test_a_new_file_that_may_not_be_read_is_a_problem_and_no_row(
    music: Path, db: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    plant(music, {"a.mp3": tagged()})
    (music / "a.mp3").chmod(0)
    os.chown(music / "a.mp3", *nobody)
    report = run("rebuild", music, "--json", db=db, config=IMPATIENT, prefix=powerless).object
    assert (report["problems"], report["added"], report["files_read"]) == (1, 0, 0)
    assert run("verify", "--json", db=db, config=IMPATIENT, prefix=powerless).object["ok"]
    (music / "a.mp3").chmod(0o644)
    assert run("scan", "--json", db=db, config=IMPATIENT, prefix=powerless).object["added"] == 1
    assert problems_of(db) == {}


def test_what_vanishes_between_listing_and_reading_is_no_problem(music: Path, db: Path) -> None:
    """The reader takes the files away itself: no other moment is so surely the wrong one."""
    plant(music, {f"{n:02}.mp3": tagged(title=str(n)) for n in range(40)})
    vanish = (
        "import os, sys\n"
        "from indexer.stages import extract\n"
        "from indexer.cli import main\n"
        "open_file = extract._open_file\n"
        "def open_late(folders, path):\n"
        "    if path.startswith(b'1'):\n"
        "        os.unlink(path)\n"
        "    if path.startswith(b'2'):\n"
        "        os.rename(path, b'moved ' + path)\n"
        "    return open_file(folders, path)\n"
        "extract._open_file = open_late\n"
        f"os.chdir({str(music)!r})\n"
        f"sys.exit(main(['--db', {str(db)!r}, 'rebuild', {str(music)!r}, '--json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", vanish], env=ENVIRONMENT, cwd=CHECKOUT, capture_output=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(tracks_of(db)) == 20
    assert problems_of(db) == {}
    assert rows(db, "SELECT * FROM pending") == []
    assert run("scan", "--json", db=db).object["added"] == 10
    assert len(tracks_of(db)) == 30
    assert run("verify", "--deep", "--json", db=db).object["ok"]
