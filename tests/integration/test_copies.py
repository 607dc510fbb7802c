"""Tracks that move from one disk to another under a running daemon, with and without workers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import QUICK, watching
from tests.programs import eventually, rows, run
from tests.recordings import recording
from tests.redis_servers import redis_server
from tests.rq_workers import crew, quick
from tests.shares import NoShare, share_of

SHOWN = "SELECT root, path, id FROM library ORDER BY root, path"
SOON_S = 30.0


@pytest.fixture
def abroad(music: Path) -> Iterator[Path]:
    """A folder on another disk: tmpfs, whose inodes are others."""
    if not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == music.stat().st_dev:
        pytest.skip("no other file system that can be written to")
    folder = Path(tempfile.mkdtemp(prefix="abroad-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["local", "rq"])
def config(request: pytest.FixtureRequest, tmp_path: Path, db: Path, music: Path) -> Iterator[str]:
    """The settings of a daemon, with workers running where it needs some."""
    (music / "unmoved.mp3").write_bytes(recording(99))
    if request.param == "local":
        yield QUICK
        return
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(tmp_path / "redis"))
        told = quick(server.address)
        stack.enter_context(crew(db=db, config=told, client=server.client(), name="worker"))
        yield told


def shown(db: Path) -> dict[tuple[Any, Any], int]:
    return {(root, path): one for root, path, one in rows(db, SHOWN)}


def test_a_move_across_disks_keeps_the_id_whichever_half_is_seen_first(
    config: str, music: Path, abroad: Path, db: Path
) -> None:
    for number in range(3):
        (music / f"{number}.mp3").write_bytes(recording(number))
    (abroad / "there.mp3").write_bytes(recording(98))
    with watching(music, abroad, db=db, config=config):
        eventually(lambda: len(shown(db)) == 5, within_s=SOON_S)
        before = shown(db)
        there, here = abroad.name, music.name
        # At once, as mv does.
        shutil.move(music / "0.mp3", abroad / "moved.mp3")
        # Copied, seen, and deleted later, as a synchronizing program does.
        shutil.copyfile(music / "1.mp3", abroad / "copied.mp3")
        eventually(lambda: (there, "copied.mp3") in shown(db), within_s=SOON_S)
        (music / "1.mp3").unlink()
        # Gone first, and back elsewhere with other tags.
        (music / "2.mp3").unlink()
        eventually(lambda: (here, "2.mp3") not in shown(db), within_s=SOON_S)
        (abroad / "restored.mp3").write_bytes(recording(2, "Retagged"))
        wanted = {
            (here, "unmoved.mp3"): before[here, "unmoved.mp3"],
            (there, "there.mp3"): before[there, "there.mp3"],
            (there, "moved.mp3"): before[here, "0.mp3"],
            (there, "copied.mp3"): before[here, "1.mp3"],
            (there, "restored.mp3"): before[here, "2.mp3"],
        }
        eventually(lambda: shown(db) == wanted, within_s=SOON_S)
    assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_a_scan_counts_a_file_once_whose_row_an_older_one_takes(
    request: pytest.FixtureRequest, config: str, music: Path, abroad: Path, db: Path
) -> None:
    by = ["--queue"] if "rq" in request.node.callspec.id else []
    (music / "1.mp3").write_bytes(recording(1))
    run("rebuild", music, abroad, *by, db=db, config=config)
    run("roots", "accept", abroad.name, db=db, config=config)
    shutil.copyfile(music / "1.mp3", abroad / "copied.mp3")
    assert run("scan", *by, "--json", db=db, config=config).object["added"] == 1
    (music / "1.mp3").unlink()
    report = run("scan", *by, "--json", db=db, config=config).object
    counts = {name: report[name] for name in ("seen", "moved", "unchanged", "missing")}
    assert counts == {"seen": 2, "moved": 1, "unchanged": 1, "missing": 0}


@pytest.fixture
def without_inodes(tmp_path: Path) -> Iterator[Path]:
    """A folder by FUSE, of which no inode is believed, as of FAT."""
    served = tmp_path / "served"
    served.mkdir()
    try:
        with share_of(served, tmp_path / "stick") as share:
            yield share.point
    except NoShare as error:
        pytest.skip(str(error))


def test_tracks_keep_their_ids_on_and_to_a_disk_without_inodes(
    without_inodes: Path, music: Path, db: Path
) -> None:
    stick = without_inodes
    for number, name in enumerate(("renamed", "retagged", "doubled", "encoded", "stays")):
        (stick / f"{name}.mp3").write_bytes(recording(number))
    for number in (10, 11, 12):
        (music / f"{number}.mp3").write_bytes(recording(number))
    run("rebuild", music, stick, db=db)
    before = shown(db)
    here, there = music.name, stick.name
    shutil.move(music / "10.mp3", stick / "moved.mp3")
    shutil.copyfile(music / "11.mp3", stick / "copied.mp3")
    shutil.copyfile(stick / "doubled.mp3", stick / "double.mp3")
    shutil.copy2(music / "12.mp3", stick / "12.mp3")  # as rsync without --remove-source-files
    (stick / "renamed.mp3").rename(stick / "after.mp3")
    (stick / "retagged.mp3").unlink()
    (stick / "with other tags.mp3").write_bytes(recording(1, "Other tags"))
    (stick / "encoded.mp3").unlink()
    (stick / "a better one.mp3").write_bytes(recording(103, "Track 3"))
    run("scan", db=db)
    new = {name: shown(db)[there, name] for name in ("12.mp3", "a better one.mp3")}
    assert not set(new.values()) & set(before.values())
    (music / "11.mp3").unlink()
    (stick / "doubled.mp3").unlink()
    run("scan", db=db)
    assert shown(db) == {
        (here, "12.mp3"): before[here, "12.mp3"],
        (there, "moved.mp3"): before[here, "10.mp3"],
        (there, "copied.mp3"): before[here, "11.mp3"],
        (there, "double.mp3"): before[there, "doubled.mp3"],
        (there, "after.mp3"): before[there, "renamed.mp3"],
        (there, "with other tags.mp3"): before[there, "retagged.mp3"],
        (there, "stays.mp3"): before[there, "stays.mp3"],
        **{(there, name): one for name, one in new.items()},
    }
    report = run("scan", "--json", db=db).object
    assert (report["files_read"], report["moved"], report["missing"]) == (0, 0, 0)
    assert run("verify", "--deep", "--json", db=db).object["ok"]
