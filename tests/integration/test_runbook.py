"""What deploy/README.md says that one sees is what the programs say."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.integration.conftest import Mount, unmount
from tests.programs import run
from watcher.events.fs_event import remedy

PAPER = (Path(__file__).parents[2] / "deploy/README.md").read_text()
RUNBOOK = PAPER.partition("\n## When something is wrong\n")[2]
SEEN = [
    row.split("|")[1].strip().removeprefix("`").replace("\\`", "`")
    for row in RUNBOOK.splitlines()
    if row.startswith("| `")
]


def seen(start: str) -> re.Pattern[str]:
    """The one line of the table that starts so, with anything for its dots."""
    (line,) = [one for one in SEEN if one.startswith(start)]
    shown = line.rpartition("`")[0] if not line.startswith("this") else line.rstrip("`") + "`"
    return re.compile(r".*".join(re.escape(part.strip()) for part in shown.split("...")))


def test_there_are_the_five_things_that_go_wrong() -> None:
    assert len(SEEN) == 5


def test_a_disk_that_is_away(music: Path, db: Path, mount: Mount) -> None:
    mount(music, "-t", "tmpfs", "tmpfs")
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db) as daemon:
        unmount(music)
        daemon.await_line("offline root=music")
        assert seen("offline").search(daemon.log)


def test_folders_that_the_kernel_does_not_watch() -> None:
    assert remedy(errno.ENOSPC, 1).startswith("sysctl fs.inotify.max_user_watches=")
    assert "unmount it" in remedy(errno.EEXIST, 1)
    assert "indexer doctor" in remedy(errno.EIO, 1)
    assert 'mend="sysctl fs.inotify.max_user_watches=' in next(
        one for one in SEEN if one.startswith("unwatched")
    )


def test_rights(music: Path, no_db: Path, powerless: list[str], nobody: tuple[int, int]) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    (music / "a.mp3").chmod(0o600)
    os.chown(music / "a.mp3", *nobody)
    run("rebuild", music, db=no_db, prefix=powerless)
    assert seen("you may").search(run("problems", db=no_db).out)


@pytest.mark.parametrize("command", [["scan", "--queue"]])
def test_redis_that_is_away(music: Path, db: Path, tmp_path: Path, command: list[str]) -> None:
    config = f'redis = "unix://{tmp_path}/none.sock"\n'
    told = run(*command, db=db, config=config, check=3).err
    assert seen("redis away").pattern.partition("detail=")[2]
    assert re.search("no Redis answers .* Nothing is lost", told)
    with watching(music, db=db, config=config, until=None) as daemon:
        daemon.await_line("redis away")
        assert seen("redis away").search(daemon.log)


def test_a_damaged_index(db: Path, music: Path) -> None:
    run("rebuild", music, db=db)
    with db.open("r+b") as file:
        file.seek(4096)
        file.write(b"\0" * 4096 * 8)
    assert seen("this is").search(run("status", db=db, check=3).err)


def test_the_figures_of_the_units_are_those_of_the_test() -> None:
    assert "says 1.7 (0 is best), and 0.6" in PAPER.replace("\n", " ")
