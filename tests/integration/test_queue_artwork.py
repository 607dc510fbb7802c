"""Covers and artists' images with workers: jobs of the queue `deferred`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from indexer.queue import artwork as artwork_jobs
from indexer.queue.orders.queues import LostJobs, Queues
from indexer.readers.artwork import Step
from indexer.store.sidecars.artwork import OwnerKind
from tests.covers import hash_of, picture
from tests.daemons import watching
from tests.programs import eventually, rows, run
from tests.redis_servers import RedisServer
from tests.rq_workers import crew, quick
from tests.trees import Plant, put, song
from tests.unread import make_unread

if TYPE_CHECKING:
    from indexer.queue.workers.index_worker import IndexWorker

RED, BLUE = picture("red"), picture("blue")
COVERS = "SELECT title, artwork_hash FROM albums WHERE artwork_hash NOT NULL ORDER BY title"


def tree(albums: int) -> dict[Any, bytes | None]:
    planted: dict[Any, bytes | None] = {
        f"Muse/{number}/{name}": content
        for number in range(albums)
        for name, content in (
            ("1.mp3", song(artist="Muse", albumartist="Muse", album=f"Album {number}")),
            ("cover.jpg", picture("red", (40, 30 + number))),
        )
    }
    return {**planted, "Muse/artist.png": BLUE}


def test_other_hard_links_of_a_cover_are_followed(
    music: Path, plant: Plant, db: Path, server: RedisServer
) -> None:
    plant({"A/1.mp3": song(album="A"), "B/1.mp3": song(album="B"), "A/cover.jpg": RED})
    os.link(music / "A" / "cover.jpg", music / "B" / "cover.jpg")
    config = quick(server.address)
    with ExitStack() as stack:
        stack.enter_context(crew(db=db, config=config, client=server.client(), name="worker"))
        stack.enter_context(watching(music, db=db, config=config))
        eventually(lambda: rows(db, COVERS) == [("A", hash_of(RED)), ("B", hash_of(RED))])
        put(music, "A/cover.jpg", BLUE)
        eventually(lambda: rows(db, COVERS) == [("A", hash_of(BLUE)), ("B", hash_of(BLUE))])


def test_a_cover_that_the_machine_could_not_read_is_tried_again(
    plant: Plant, music: Path, db: Path, server: RedisServer
) -> None:
    plant({"A/1.mp3": song(album="A"), "A/cover.jpg": RED})
    config = quick(server.address)
    with ExitStack() as stack:
        stack.enter_context(crew(db=db, config=config, client=server.client(), name="worker"))
        stack.enter_context(watching(music, db=db, config=config))
        eventually(lambda: rows(db, COVERS) == [("A", hash_of(RED))])
        make_unread(db, "picture")
        eventually(lambda: rows(db, COVERS) == [("A", hash_of(RED))])
        eventually(lambda: rows(db, "SELECT path FROM problems") == [])


def test_workers_choose_artwork_and_follow_changes(
    music: Path, plant: Plant, db: Path, server: RedisServer
) -> None:
    plant(tree(3))
    config = quick(server.address)
    with ExitStack() as stack:
        client = server.client()
        stack.enter_context(crew(db=db, config=config, client=client, name="worker"))
        stack.enter_context(watching(music, db=db, config=config))
        wanted = [(f"Album {n}", hash_of(picture("red", (40, 30 + n)))) for n in range(3)]
        eventually(lambda: rows(db, COVERS) == wanted)
        images = "SELECT name, artwork_path FROM artists WHERE artwork_path NOT NULL"
        eventually(lambda: rows(db, images) == [("Muse", "Muse/artist.png")])
        put(music, "Muse/1/cover.jpg", BLUE)
        wanted[1] = ("Album 1", hash_of(BLUE))
        eventually(lambda: rows(db, COVERS) == wanted)
        (music / "Muse" / "artist.png").unlink()
        eventually(lambda: rows(db, images) == [])
        eventually(lambda: rows(db, "SELECT count(*) FROM artwork_due") == [(0,)])
        eventually(lambda: Queues(client).waiting() == set())
        assert run("verify", "--deep", "--json", db=db).object["ok"]


def test_a_lost_job_costs_a_pause(music: Path, plant: Plant, db: Path, server: RedisServer) -> None:
    plant(tree(12))
    config = quick(server.address)
    with ExitStack() as stack:
        client = server.client()
        words = ("--queues", "scan,extract,batch,insert")
        with crew(*words, db=db, config=config, client=client, name="worker1"):
            stack.enter_context(watching(music, db=db, config=config))
            eventually(lambda: "album_cover-0" in Queues(client).waiting())
        assert rows(db, COVERS) == []
        client.flushall()
        stack.enter_context(crew(db=db, config=config, client=client, name="worker2"))
        eventually(lambda: len(rows(db, COVERS)) == 12)
        eventually(lambda: rows(db, "SELECT count(*) FROM artwork_due") == [(0,)])


def test_a_command_without_a_daemon_ends_when_artwork_is_chosen_as_a_local_one_does(
    music: Path, plant: Plant, db: Path, server: RedisServer
) -> None:
    plant(tree(40))
    config = quick(server.address)
    with crew(db=db, config=config, client=server.client(), name="worker"):
        told = run("rebuild", music, "--queue", "--json", db=db, config=config).object
        assert len(rows(db, COVERS)) == 40
        here = run("rebuild", music, "--json", db=db.with_name("here.db")).object
        assert told["deferred_reads"] == here["deferred_reads"] > 40
        put(music, "Muse/1/cover.jpg", BLUE)
        told = run("scan", "--queue", "--json", db=db, config=config).object
        assert told["deferred_reads"] == 1
        assert ("Album 1", hash_of(BLUE)) in rows(db, COVERS)
        assert rows(db, "SELECT count(*) FROM artwork_due") == [(0,)]


def test_a_command_leaves_artwork_due_that_no_worker_chooses(
    music: Path, plant: Plant, db: Path, server: RedisServer
) -> None:
    plant(tree(2))
    config = quick(server.address)
    words = ("--queues", "scan,extract,batch,insert")
    with crew(*words, db=db, config=config, client=server.client(), name="worker"):
        run("rebuild", music, "--queue", db=db, config=config)
    assert rows(db, COVERS) == []
    assert rows(db, "SELECT count(*) FROM artwork_due WHERE kind = 'album'") == [(2,)]


def test_a_kind_that_is_at_work_has_one_job_that_waits_at_the_most(server: RedisServer) -> None:
    queues = Queues(server.client())
    for _ in range(3):
        queues.put_artwork("album_cover", {"index": "x"})
        queues.put_artwork("artist_image", {"index": "x"})
    assert queues.waiting() == {"album_cover-0", "artist_image-0"}


def test_a_job_is_known_to_wait_in_one_of_several_queues(server: RedisServer) -> None:
    queues = Queues(server.client())
    queues.put("batch", {}, job_id="one", description="one", timeout_s=1)
    assert queues.has_jobs(("insert", "batch"))
    assert not queues.has_jobs(("insert", "scan"))
    assert not queues.has_jobs(())


class Work:
    """Five steps of artwork, in the third of which a change comes."""

    settings = None

    def __init__(self, server: RedisServer) -> None:
        self.steps = 0
        self._queues = Queues(server.client())

    @property
    def is_over(self) -> bool:
        return self.steps == 5

    waits_for_evidence = False

    def __len__(self) -> int:
        return 0

    def close(self) -> None:
        """It has no readers."""

    def listen(self, _wait_s: float) -> None:
        """No reader answers."""

    def step(self, _trees: object) -> Step:
        self.steps += 1
        if self.steps == 3:
            self._queues.put("scan", {}, job_id="one", description="one", timeout_s=1)
        return Step(0, 0, 0)


@pytest.mark.parametrize(
    ("serves", "steps"), [(("insert", "batch", "scan"), 3), (("insert", "batch"), 5), ((), 5)]
)
def test_a_job_that_chooses_artwork_makes_way_for_one_that_its_process_takes_first(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, serves: tuple[str, ...], steps: int
) -> None:
    work = Work(server)
    roots = SimpleNamespace(trees={}, close=lambda: None)
    context = SimpleNamespace(
        check=lambda _token: None,
        connection=None,
        settings=None,
        mounted_roots=lambda: roots,
        queues=Queues(server.client()),
        token="x",
        rates=SimpleNamespace(count_all=lambda *_, **__: None),
    )
    worker = SimpleNamespace(
        context=context, artwork_of=lambda _kind: work, more_urgent=serves, chosen=0
    )
    put: list[object] = []
    monkeypatch.setattr(artwork_jobs, "_SLICE_S", 60.0)
    monkeypatch.setattr(artwork_jobs, "delete_unwanted", lambda *_: None)
    monkeypatch.setattr(artwork_jobs, "follow_names", lambda *_: None)
    monkeypatch.setattr(artwork_jobs, "kinds_wanted", lambda _: [OwnerKind.ALBUM])
    monkeypatch.setattr(artwork_jobs, "put_due_artwork", lambda *words: put.append(words[-1]))
    artwork_jobs.album_cover(cast("IndexWorker", worker), msgspec.Raw(b'{"index": "x"}'))
    assert work.steps == steps
    assert put == ([] if steps == 5 else [(OwnerKind.ALBUM,)])


def test_a_job_whose_worker_is_lost_is_given_out_again_after_a_lease(server: RedisServer) -> None:
    client = server.client()
    queues, lost = Queues(client), LostJobs(Queues(client), 15.0)
    for status in ("started", "queued"):
        queues.put_artwork("album_cover", {"index": "x"})
        client.delete(*client.keys("rq:queue:*"))  # it was taken
        client.hset("rq:job:album_cover-0", "status", status)
        lost.drop(0.0)
        client.hset("rq:job:album_cover-0", "last_heartbeat", f"later {status}")  # it lives
        lost.drop(16.0)
        lost.drop(30.0)
        assert client.exists("rq:job:album_cover-0")
        lost.drop(31.0)
        assert not client.exists("rq:job:album_cover-0")
        queues.put_artwork("album_cover", {"index": "x"})
        lost.drop(0.0)
        lost.drop(100.0)  # it waits for a worker
        assert queues.waiting() == {"album_cover-0"}
        client.flushall()
