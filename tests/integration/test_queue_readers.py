"""Files that kill, hang or bloat their reader, through Redis: each is found, others are read."""

from __future__ import annotations

import time

from tests.bombs import MB, large_tag
from tests.corpus import plant, tagged
from tests.daemons import shown
from tests.integration.test_queue_faults import SOON_S, System, reader_of, songs, system
from tests.programs import eventually, rows, run
from tests.rq_workers import (
    alive,
    failed,
    is_quiet,
    opens_database,
)

# ---- files that kill their readers

__all__ = ("system",)  # fixtures


def test_a_file_that_kills_its_reader_is_found_and_the_rest_of_its_chunk_is_indexed(
    system: System,
) -> None:
    system.configure(odd=True)
    plant(system.music, {**songs(7), "0/poison.mp3": tagged(title="Poison")})
    system.employ()
    system.watch()
    assert len(shown(system.db)) == 7
    ((path, kind, reason),) = rows(system.db, "SELECT path, kind, reason FROM problems")
    assert (path, kind) == (b"0/poison.mp3", "content")
    assert reason == "the reader died (signal 9) twice on this file"
    assert failed(system.client) == [], "its worker has found it, within one job"
    assert rows(system.db, "SELECT count(*) FROM pending") == [(0,)]


def test_a_file_on_which_its_reader_hangs_is_found_too(system: System) -> None:
    system.configure(odd=True, reader_timeout=0.3)
    plant(system.music, {**songs(3), "0/hang.mp3": tagged(title="Hang")})
    system.employ()
    system.watch()
    assert len(shown(system.db)) == 3
    ((path, kind, reason),) = rows(system.db, "SELECT path, kind, reason FROM problems")
    assert (path, kind) == (b"0/hang.mp3", "content")
    assert reason == "the reader took longer than 0.3 s twice on this file"
    assert failed(system.client) == []


def test_a_file_that_takes_too_much_memory_is_at_fault_and_its_worker_stays_small(
    system: System,
) -> None:
    system.configure(worker_memory=64)
    plant(system.music, {"large.mp3": large_tag(100 * MB), "song.wma": tagged(".wma", title="S")})
    worker = system.employ("--jobs", "1").reader(system.client)
    system.watch()
    assert shown(system.db) == {"song.wma": "S"}
    ((kind, reason),) = rows(system.db, "SELECT kind, reason FROM problems")
    assert kind == "content"
    assert reason.startswith("takes more memory to read than the setting")
    assert worker.is_running()
    assert worker.memory_info().rss < 64 * MB


def test_a_file_that_takes_its_worker_along_is_found_file_by_file(system: System) -> None:
    system.configure(odd=True)
    plant(system.music, {**songs(7), "0/plague.mp3": tagged(title="Plague")})
    system.employ("--jobs", "1")
    system.watch(until=None)
    eventually(lambda: rows(system.db, "SELECT path FROM problems"))
    is_quiet(system.db)
    system.daemon.watches()
    assert len(shown(system.db)) == 7
    ((path, kind, reason),) = rows(system.db, "SELECT path, kind, reason FROM problems")
    assert (path, kind) == (b"0/plague.mp3", "content")
    assert reason == "the whole worker that read it was lost 3 times in a row"
    assert system.daemon.lines("condemned", "music/0/plague.mp3")


def test_a_poisonous_file_is_tried_again_when_it_changes(system: System) -> None:
    system.configure(odd=True)
    plant(system.music, {"poison.mp3": tagged(title="Poison")})
    system.employ()
    system.watch()
    assert rows(system.db, "SELECT count(*) FROM problems") == [(1,)]
    (system.music / "poison.mp3").rename(system.music / "cured.mp3")
    eventually(lambda: shown(system.db) == {"cured.mp3": "Poison"}, within_s=SOON_S)
    is_quiet(system.db)
    assert rows(system.db, "SELECT count(*) FROM problems") == [(0,)]


def test_a_reader_is_kept_between_jobs_and_loads_neither_redis_nor_the_database(
    system: System,
) -> None:
    worker = system.employ("--jobs", "1").reader(system.client)
    system.watch()
    assert reader_of(worker) is None, "nothing was to be read yet"
    plant(system.music, {"a.mp3": tagged(title="A")})
    eventually(lambda: shown(system.db) == {"a.mp3": "A"})
    assert reader_of(worker) is None, "a few usual files are read by the worker itself"
    plant(system.music, {"b.wma": tagged(".wma", title="B")})
    eventually(lambda: shown(system.db) == {"a.mp3": "A", "b.wma": "B"})
    reader = reader_of(worker)
    assert reader is not None
    plant(system.music, {"c.wma": tagged(".wma", title="C")})
    eventually(lambda: shown(system.db) == {"a.mp3": "A", "b.wma": "B", "c.wma": "C"})
    assert reader_of(worker) == reader
    assert not opens_database(reader.pid, system.db)
    assert reader.net_connections("all") == []
    status = run("status", "--json", db=system.db, config=system.config).object
    (told,) = [one for one in status["workers"] if one["queues"] == ["extract"]]
    assert told["readers"] == [reader.pid]
    assert told["memory"] > worker.memory_info().rss
    assert [one["pid"] for one in status["processes"] if one["role"] == "reader"] == [reader.pid]


def test_a_redis_that_goes_while_a_file_is_read_does_not_end_the_reader(system: System) -> None:
    system.configure(odd=True)
    plant(system.music, {"slow.mp3": tagged(title="Slow")})
    system._env = {**system._env, "SLOW_S": "7"}  # longer than the time between two heartbeats
    worker = system.employ("--jobs", "1").reader(system.client)
    system.crew.may_fail = True
    system.watch(until=None)
    reader = eventually(lambda: reader_of(worker))
    system.server.kill()
    system.crew.await_line("redis away")
    time.sleep(0.2)
    assert alive([worker, reader]) == [worker, reader]
    system.server.restart()
    system.daemon.watches()
    assert shown(system.db) == {"slow.mp3": "Slow"}
