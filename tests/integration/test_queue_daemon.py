"""A daemon and workers over Redis: what happens to files is soon in the index."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import ids, shown
from tests.integration.test_queue_faults import SOON_S, System, songs, system
from tests.programs import count, eventually, rows, run
from tests.redis_servers import redis_server
from tests.rq_workers import (
    held,
    is_quiet,
)
from tests.trees import put, swap

# ---- live

__all__ = ("system",)  # fixtures


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, empty_index: Path) -> Iterator[System]:
    """A system in which nothing goes wrong; each test has a folder of its own in it."""
    folder = tmp_path_factory.mktemp("calm")
    music, db = folder / "music", folder / "index" / "library.db"
    for path in (music, db.parent):
        path.mkdir()
    shutil.copyfile(empty_index, db)
    with redis_server(folder / "redis") as server, ExitStack() as stack:
        system = System(stack, music, db, server)
        system.employ()
        system.watch()
        yield system
        system.is_right()


def soon(system: System, folder: str, expected: dict[str, str]) -> None:
    """Within a moment the view holds just these files in a folder, with these titles."""

    def there() -> dict[str, str | None]:
        return {
            path.removeprefix(f"{folder}/"): title
            for path, title in shown(system.db).items()
            if path.startswith(f"{folder}/")
        }

    try:
        eventually(lambda: there() == expected, within_s=SOON_S)
    except AssertionError:
        assert there() == expected, system.daemon.log
        raise


def test_what_happens_to_files_is_soon_seen(calm: System) -> None:
    folder = calm.music / "files"
    plant(folder, {"a/1.mp3": tagged(title="1"), "a/2.mp3": tagged(title="2")})
    soon(calm, "files", {"a/1.mp3": "1", "a/2.mp3": "2"})
    before = ids(calm.db)
    put(folder, "a/1.mp3", tagged(title="1 again"))
    soon(calm, "files", {"a/1.mp3": "1 again", "a/2.mp3": "2"})
    (folder / "a").rename(folder / "b")
    soon(calm, "files", {"b/1.mp3": "1 again", "b/2.mp3": "2"})
    swap(folder, "b/1.mp3", "b/2.mp3")
    soon(calm, "files", {"b/1.mp3": "2", "b/2.mp3": "1 again"})
    now = ids(calm.db)
    assert now["files/b/1.mp3"] == before["files/a/2.mp3"]
    assert now["files/b/2.mp3"] == before["files/a/1.mp3"]
    (folder / "b/1.mp3").unlink()
    soon(calm, "files", {"b/2.mp3": "1 again"})
    assert calm.daemon.state() == "watching"


def test_a_file_that_is_held_open_is_pending_and_indexed_when_it_is_closed(calm: System) -> None:
    is_quiet(calm.db)
    folder, content = calm.music / "open", tagged(title="Whole")
    folder.mkdir()
    with (folder / "a.mp3").open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        eventually(lambda: count(calm.db, "SELECT count(*) FROM pending") == 1)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:  # for two leases
            soon(calm, "open", {})
            assert calm.daemon.status()["pending"] >= 1
        file.write(content[len(content) // 2 :])
    soon(calm, "open", {"a.mp3": "Whole"})
    is_quiet(calm.db, within_s=SOON_S)


def test_a_file_that_was_open_during_a_rebuild_is_pending_until_it_is_closed(calm: System) -> None:
    folder = calm.music / "rebuilt"
    plant(folder, {"a.mp3": tagged(title="A")})
    soon(calm, "rebuilt", {"a.mp3": "A"})
    with (folder / "a.mp3").open("r+b"):
        report = run("rebuild", "--json", db=calm.db).object
        assert report["pending"] == 1
        assert count(calm.db, "SELECT count(*) FROM pending") >= 1
    is_quiet(calm.db, within_s=SOON_S)


def test_the_other_links_of_a_file_follow_it(calm: System) -> None:
    folder = calm.music / "links"
    plant(folder, {"a/x.mp3": tagged(title="One"), "b/": None})
    os.link(folder / "a/x.mp3", folder / "b/y.mp3")
    soon(calm, "links", {"a/x.mp3": "One", "b/y.mp3": "One"})
    put(folder, "b/y.mp3", tagged(title="Two"))
    soon(calm, "links", {"a/x.mp3": "Two", "b/y.mp3": "Two"})
    (folder / "a/x.mp3").unlink()
    soon(calm, "links", {"b/y.mp3": "Two"})
    is_quiet(calm.db, within_s=SOON_S)


def test_a_root_that_is_added_beside_the_daemon_is_looked_at_and_watched(
    calm: System, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    plant(other, {"o.mp3": tagged(title="O")})
    run("roots", "add", other, db=calm.db)
    calm.daemon.await_line("watching root=other")
    assert shown(calm.db)["o.mp3"] == "O"
    states = {root["name"]: root["state"] for root in calm.daemon.status()["roots"]}
    assert states == {"music": "watching", "other": "watching"}
    put(other, "o.mp3", tagged(title="O again"))
    eventually(lambda: shown(calm.db).get("o.mp3") == "O again", within_s=SOON_S)
    assert run("rebuild", "--json", db=calm.db).object["seen"] == len(shown(calm.db))


def test_a_file_that_is_held_open_at_the_start_is_indexed_when_it_is_closed(system: System) -> None:
    plant(system.music, {"b.mp3": tagged(title="B")})
    content = tagged(title="Whole")
    with (system.music / "a.mp3").open("wb") as file:
        file.write(content)
        file.flush()
        system.employ()
        system.watch()
        eventually(lambda: shown(system.db) == {"b.mp3": "B"})
        assert count(system.db, "SELECT count(*) FROM pending") >= 1
    eventually(lambda: shown(system.db).get("a.mp3") == "Whole", within_s=SOON_S)
    system.is_right()


def test_a_root_is_scanning_until_the_workers_are_done(system: System) -> None:
    plant(system.music, songs(5))
    daemon = system.watch(until=None)
    eventually(lambda: daemon.state() == "scanning" if house_has_root(system.db) else False)
    assert daemon.lines("watching root=") == []
    system.employ()
    daemon.watches()
    assert daemon.state() == "watching"
    assert len(shown(system.db)) == 5


def house_has_root(db: Path) -> bool:
    return count(db, "SELECT count(*) FROM roots") > 0


def test_what_waits_of_a_root_that_is_away_waits_and_keeps_nobody_busy(system: System) -> None:
    plant(system.music, songs(5))
    system.employ("--jobs", "1")
    daemon = system.watch()
    reader = system.crew.reader(system.client)
    reader.suspend()
    plant(system.music, {"new.mp3": tagged(title="New")})
    eventually(lambda: any("extract" in job for job in held(system.client)["extract"]))
    aside = system.music.with_name("aside")
    system.music.rename(aside)
    daemon.await_line("offline root=music")
    eventually(lambda: count(system.db, "SELECT count(*) FROM pending") == 1)
    daemon.sleeps()
    reader.resume()
    daemon.sleeps()
    assert len(shown(system.db)) == 5
    aside.rename(system.music)
    daemon.watches(2)
    system.is_right()
    assert shown(system.db)["new.mp3"] == "New"


@pytest.mark.parametrize("lost", [("-wal",), ("-shm",), ("-wal", "-shm")], ids="".join)
def test_workers_and_daemon_open_an_index_again_whose_log_was_deleted(
    system: System, lost: tuple[str, ...]
) -> None:
    """A worker that kept the old one would write what no other program sees, and spoil the rest."""
    system.configure(probe_interval=60)
    plant(system.music, {f"{n}.mp3": tagged(title=f"{n}") for n in range(3)})
    system.employ()
    daemon = system.watch()
    before = ids(system.db)
    for suffix in lost:
        system.db.with_name(system.db.name + suffix).unlink()
    assert run("status", "--json", db=system.db).code == 0
    daemon.await_line("log lost", "action=", times=1)
    daemon.watches(times=2)
    plant(system.music, {"late.mp3": tagged(title="Late")})
    eventually(lambda: "late.mp3" in shown(system.db))
    after = ids(system.db)
    assert {path: after[path] for path in before} == before
    system.is_right()
    assert rows(system.db, "PRAGMA integrity_check") == [("ok",)]
