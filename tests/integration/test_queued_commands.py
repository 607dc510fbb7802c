"""`rebuild --queue`, `scan --queue` and `indexer worker`, with a real Redis and real processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from indexer.queue.orders.messages import ExtractOrder, FileText, Origin, PathText
from indexer.queue.orders.queues import Queues, chunk_job, files_in
from indexer.settings import Settings
from tests.corpus import noise, plant, tagged
from tests.further_tags import with_tags
from tests.odd_readers import ODD_READERS
from tests.programs import count, eventually, rows, run, started
from tests.redis_servers import RedisServer, redis_server
from tests.rq_workers import (
    alive,
    crew,
    failed,
    held,
    is_quiet,
    quick,
)
from tests.trees import put, put_in_place_of, swap

COUNTED: Final = (
    *("seen", "added", "modified", "moved", "returned", "missing", "unchanged", "problems"),
    *("files_read", "bytes_read", "pending", "interrupted", "offline"),
)
TAGS: Final = """
SELECT path, name, position, value, has_lyrics FROM track_tags
JOIN library ON library.id = track_id ORDER BY path, name, position
"""
VIEW: Final = "SELECT * FROM library ORDER BY path"
OWN: Final = {"id", "added_at", "indexed_at", "album_id"}
"""Columns of the view in which two indexes of one tree differ."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> redis.Redis:
    client = server.client()
    client.flushall()
    return client


@pytest.fixture
def config(server: RedisServer, client: redis.Redis) -> str:
    assert client.ping()
    return quick(server.address)


def songs(files: int, in_folder: int = 10, *, name: str = "") -> dict[str | bytes, bytes | None]:
    """A small library: `0/0.mp3` and so on."""
    return {
        f"{n // in_folder}/{name}{n}.mp3": tagged(title=f"Song {n}", album=f"{n // in_folder}")
        for n in range(files)
    }


def view(db: Path) -> list[dict[str, Any]]:
    """What programs see, ids and times of ours aside."""
    columns = [str(name) for (name,) in rows(db, "SELECT name FROM pragma_table_info('library')")]
    return [
        {key: value for key, value in zip(columns, row, strict=True) if key not in OWN}
        for row in rows(db, VIEW)
    ]


def ids(db: Path) -> dict[object, int]:
    return dict(rows(db, "SELECT path, id FROM library"))


def counts(report: dict[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in COUNTED}


def is_right(db: Path) -> None:
    verified = run("verify", "--deep", "--json", db=db, check=None).object
    assert verified["ok"], verified
    assert verified["pending"] == 0


# ---- the same as the local engine


Change = Callable[[Path], object]


def retag(music: Path) -> None:
    put(music, "0/1.mp3", tagged(title="Retagged", album="0"))
    put_in_place_of(music, "1/12.mp3", tagged(title="Replaced", album="Another"))
    put(music, "1/13.mp3", noise(700))


def rename_folders(music: Path) -> None:
    (music / "2").rename(music / "two")
    (music / "two/20.mp3").rename(music / "two/twenty.mp3")
    (music / "Bj\N{LATIN SMALL LETTER O WITH DIAERESIS}rk").rename(music / "B")


def delete_and_add(music: Path) -> None:
    shutil.rmtree(music / "0")
    (music / "1/11.mp3").unlink()
    plant(music, {"new/a.mp3": tagged(title="A"), "new/bad.flac": noise(500, 2)})
    plant(music, {"1/14.mp3": tagged(title="Again")})


def swap_and_shift(music: Path) -> None:
    swap(music, "1/15.mp3", "1/16.mp3")
    (music / "1/17.mp3").rename(music / "1/11.mp3")
    (music / "1/18.mp3").rename(music / "1/17.mp3")


def link(music: Path) -> None:
    os.link(music / "1/19.mp3", music / "new/link.mp3")
    os.link(music / "new/a.mp3", music / "1/other link.mp3")


def change_through_a_link(music: Path) -> None:
    put(music, "1/19.mp3", tagged(title="Changed through a link"))
    (music / "new/a.mp3").unlink()
    plant(music, {"1/13.mp3": tagged(title="Whole again")})
    (music / "new/bad.flac").unlink()


def come_back(music: Path) -> None:
    plant(music, {"0/0.mp3": tagged(title="Back", album="0"), "new/a.mp3": tagged(title="A")})


def test_the_queues_do_and_count_what_the_local_engine_does(
    music: Path, db: Path, tmp_path: Path, config: str, client: redis.Redis
) -> None:
    local = tmp_path / "local" / "library.db"
    local.parent.mkdir()
    plant(music, {**songs(30), b"Bj\xc3\xb6rk/Deb\xfct.mp3": tagged(title="not UTF-8")})
    series: list[Change] = [retag, rename_folders, delete_and_add, swap_and_shift, link]
    series += [change_through_a_link, come_back]
    still = "still = 0.05\nworkers = 1\n"
    with crew(db=db, config=config, client=client):
        here = run("rebuild", music, "--json", db=local, config=still).object
        there = run("rebuild", music, "--queue", "--json", db=db, config=config).object
        assert counts(there) == counts(here)
        assert (there["added"], there["files_read"]) == (31, 31)
        before = ids(db), ids(local)
        for change in series:
            change(music)
            here = run("scan", "--json", db=local, config=still).object
            there = run("scan", "--queue", "--json", db=db, config=config).object
            assert counts(there) == counts(here), change
            assert view(db) == view(local), change
            now = ids(db), ids(local)
            kept = [
                {before[side][old]: new for new, track in now[side].items()
                 for old in before[side] if before[side][old] == track}
                for side in (0, 1)
            ]  # fmt: skip
            assert sorted(map(str, kept[0].values())) == sorted(map(str, kept[1].values())), change
            before = now
        again = run("scan", "--queue", "--json", db=db, config=config).object
        assert (again["files_read"], again["bytes_read"]) == (0, 0)
        assert again["unchanged"] == again["seen"] == there["seen"]
        here = run("rebuild", "--json", db=local, config=still).object
        there = run("rebuild", "--queue", "--json", db=db, config=config).object
        assert counts(there) == counts(here)
        assert counts(there)["files_read"] == there["seen"]
    is_right(db)
    assert failed(client) == []
    problem = "SELECT path, kind, reason FROM problems ORDER BY path"
    assert rows(db, problem) == rows(local, problem)
    assert rows(db, "SELECT count(*) FROM pending") == [(0,)]
    states = {state for (state,) in rows(db, "SELECT state FROM scans")}
    assert states == {"done"}


def test_the_queues_keep_the_further_tags_that_the_local_engine_keeps(
    music: Path, db: Path, tmp_path: Path, config: str, client: redis.Redis
) -> None:
    """As the machine with the index says: its workers get the names with their jobs."""
    local = tmp_path / "local" / "library.db"
    local.parent.mkdir()
    tags = {"artistsort": ["B", "A"], "barcode": ["042"], "asin": ["B0"], "lyrics": ["la la"]}
    suffixes = (".mp3", ".flac", ".m4a", ".ogg", ".wv")
    plant(music, {f"1{suffix}": with_tags(suffix, tags, title="One") for suffix in suffixes})
    keep = 'keep_tags = ["barcode"]\n'
    with crew(db=db, config=config + keep, client=client):
        run("rebuild", music, "--json", db=local, config=f"still = 0.05\nworkers = 1\n{keep}")
        run("rebuild", music, "--queue", "--json", db=db, config=config + keep)
    assert rows(db, TAGS) == rows(local, TAGS)
    of_one = [("artistsort", 0, "B", 1), ("artistsort", 1, "A", 1), ("barcode", 0, "042", 1)]
    assert [row[1:] for row in rows(db, TAGS)] == of_one * len(suffixes)


def test_ids_are_kept_over_moves_and_swaps(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(20))
    with crew(db=db, config=config, client=client):
        run("rebuild", music, "--queue", db=db, config=config)
        before = ids(db)
        (music / "0").rename(music / "zero")
        swap(music, "1/10.mp3", "1/11.mp3")
        report = run("scan", "--queue", "--json", db=db, config=config).object
        assert (report["moved"], report["added"], report["missing"]) == (12, 0, 0)
        expected = {str(path).replace("0/", "zero/", 1) if str(path).startswith("0/") else path: one
                    for path, one in before.items()}  # fmt: skip
        one, other = before["1/10.mp3"], before["1/11.mp3"]
        now = {**expected, "1/10.mp3": other, "1/11.mp3": one}
        assert ids(db) == now
        put(music, "1/12.mp3", tagged(title="Of another size than it had before"))
        (music / "1/12.mp3").rename(music / "zero/z.mp3")
        report = run("scan", "--queue", "--json", db=db, config=config).object
        assert (report["moved"], report["added"], report["missing"]) == (1, 0, 0)
        now["zero/z.mp3"] = now.pop("1/12.mp3")
        assert ids(db) == now


def test_a_scan_of_one_file_sees_to_its_other_links_too(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, {"a/x.mp3": tagged(title="One"), "b/": None})
    os.link(music / "a/x.mp3", music / "b/y.mp3")
    with crew(db=db, config=config, client=client):
        run("rebuild", music, "--queue", db=db, config=config)
        put(music, "a/x.mp3", tagged(title="Two"))
        run("scan", music / "a", "--queue", "--json", db=db, config=config)
        titles = dict(rows(db, "SELECT path, title FROM library"))
        assert titles == {"a/x.mp3": "Two", "b/y.mp3": "Two"}
        is_quiet(db)


# ---- what goes wrong before it begins


def test_queue_without_a_redis_in_the_settings_is_wrong_use(music: Path, db: Path) -> None:
    ran = run("rebuild", music, "--queue", db=db, check=2)
    assert "no Redis is named" in ran.err
    assert "INDEXER_REDIS" in ran.err


def test_queue_with_the_redis_away_says_so_and_changes_nothing(
    music: Path, db: Path, tmp_path: Path
) -> None:
    plant(music, songs(3))
    away = quick(f"unix://{tmp_path}/nowhere.sock")
    ran = run("rebuild", music, "--queue", "--json", db=db, config=away, check=3)
    assert "nowhere.sock: no Redis answers" in ran.err
    assert ran.out == ""
    assert rows(db, "SELECT count(*) FROM tracks") == [(0,)]
    assert rows(db, "SELECT count(*) FROM pending") == [(0,)]


def test_without_a_worker_the_command_says_which_queue_nobody_serves_and_waits(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(10))
    with started("rebuild", music, "--queue", "--json", db=db, config=config) as running:
        line = running.error_line()
        assert "waiting for=worker queues=scan,extract,batch,insert" in line
        assert not running.ended
        with crew(db=db, config=config, client=client):
            report = running.end()
            assert report.object["added"] == 10
    is_right(db)


# ---- Ctrl-C


def test_ctrl_c_leaves_the_work_running_and_says_how_to_follow_it(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(60, name="slow "))
    config += "chunk_files = 10\n"
    with (
        crew(db=db, config=config, client=client, env=ODD_READERS),
        started("rebuild", music, "--queue", "--json", db=db, config=config) as running,
    ):
        eventually(lambda: count(db, "SELECT count(*) FROM tracks") > 0)
        running.interrupt()
        ran = running.end()
        done = count(db, "SELECT count(*) FROM tracks")
        assert done < 60, "it was over before"
        assert ran.code == 130
        assert "the workers go on with it" in ran.err
        assert "indexer status --watch" in ran.err
        assert ran.object["interrupted"] is True
        eventually(lambda: count(db, "SELECT count(*) FROM library") == 60)
        is_quiet(db)
        eventually(lambda: rows(db, "SELECT state FROM scans") == [("done",)])
    is_right(db)


def test_a_rebuild_that_is_taken_up_again_counts_what_it_has_done_itself(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(60, name="slow "))
    config += "chunk_files = 10\n"
    words = ("rebuild", music, "--queue", "--json")
    with crew("--jobs", "1", db=db, config=config, client=client, env=ODD_READERS) as workers:
        reader = workers.reader(client)
        with started(*words, db=db, config=config) as running:
            eventually(lambda: count(db, "SELECT count(*) FROM tracks") > 0)
            reader.suspend()
            running.interrupt()
            first = running.end().object
        reader.resume()
        second = run(*words, db=db, config=config).object
    assert 0 < first["added"] < 60
    assert second["seen"] == 60
    assert second["added"] <= 60 - first["added"]
    assert second["files_read"] <= 60 - first["files_read"], "what was read is not read again"
    assert len(rows(db, "SELECT id FROM scans")) == 1
    is_right(db)


def test_a_worker_without_the_share_hands_the_job_back_and_another_does_it(
    music: Path, db: Path, tmp_path: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(10))
    share = tmp_path / "share"
    share.mkdir()
    elsewhere = config + f'[roots.music]\npath = "{share}"\n'
    words = ("--queues", "extract")
    with (
        crew("--queues", "scan,batch,insert", db=db, config=config, client=client),
        crew(
            *words, db=None, folder=tmp_path, config=elsewhere, client=client, name="lost"
        ) as lost,
        started("rebuild", music, "--queue", "--json", db=db, config=config) as command,
    ):
        line = lost.await_line("handed back root=music")
        assert f"{share}: is empty; mount the share there" in line
        eventually(lambda: [files_in(job) for job in held(client)["extract"]] == [10])
        assert rows(db, "SELECT count(*) FROM problems") == [(0,)]
        with crew(*words, db=db, config=config, client=client, name="good"):
            report = command.end().object
            assert (report["added"], report["missing"], report["problems"]) == (10, 0, 0)
            assert failed(client) == []
    is_right(db)
    assert rows(db, "SELECT kind, count(*) FROM changes GROUP BY kind") == [("added", 10)]


# ---- back-pressure


def test_a_scan_pauses_while_the_queues_are_full_and_goes_on(
    music: Path, db: Path, config: str, client: redis.Redis
) -> None:
    plant(music, songs(300))
    config += "queue_files = 50\nchunk_files = 20\n"
    with (
        crew("--jobs", "1", db=db, config=config, client=client) as running,
        started("rebuild", music, "--queue", "--json", db=db, config=config) as command,
    ):
        reader = running.reader(client)
        reader.suspend()
        try:
            eventually(lambda: client.exists("music-indexer:parked"))
            most = Queues(client).files_held()
            assert 50 <= most <= 50 + 20
            assert count(db, "SELECT count(*) FROM tracks") < 300
        finally:
            reader.resume()

        def ended() -> bool:
            nonlocal most
            most = max(most, Queues(client).files_held())
            return command.ended

        eventually(ended)
        in_hand = 2 * 20  # a job taken by extract or batch counts again once it has gone on
        assert most <= 50 + 20 + in_hand
        report = command.end().object
        assert (report["added"], report["files_read"], report["pending"]) == (300, 300, 0)
        assert client.exists("music-indexer:parked") == 0
        assert alive(running.children)
    is_right(db)


def test_a_million_paths_never_stand_in_redis_at_once(client: redis.Redis) -> None:
    million = 1_000_000
    settings = Settings(db=Path("/nowhere"))
    limit, chunk = settings.queue_files, settings.chunk_files
    queues = Queues(client)
    before = int(client.info("memory")["used_memory"])
    planned = 0
    while planned < million and queues.files_held() < limit:
        order = ExtractOrder(
            origin=Origin(index="made-up", row=planned, generation=1, root="music", root_id=1),
            root_path=PathText("/srv/music"),
            files=tuple(synthetic(n) for n in range(planned, planned + chunk)),
        )
        queues.put(
            "extract",
            order,
            job_id=chunk_job("extract", planned, chunk, 0),
            description=f"extract {chunk} files in somewhere",
            timeout_s=600,
        )
        planned += chunk
    assert limit <= planned < limit + chunk
    assert int(client.info("memory")["used_memory"]) - before < 64 << 20


def synthetic(number: int) -> FileText:
    """A file that is nowhere, under a name of the usual length."""
    artist, album = number // 120, number // 12
    path = f"Some Artist {artist:05}/Their Longest Album {album:06}/{number % 12:02} A Song.flac"
    return FileText(
        path,
        size=30_000_000 + number,
        mtime_ns=1_700_000_000_000_000_000 + number,
        ctime_ns=1_700_000_000_000_000_000 + number,
        inode=10_000_000 + number,
        disk=1,
    )
