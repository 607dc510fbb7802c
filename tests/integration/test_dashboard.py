"""`indexer dashboard` as its users see it: the real program and Redis, in a real Chromium."""

from __future__ import annotations

import os
import pickle
import re
import signal
import socket
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
import redis
from playwright.sync_api import Browser, Page, expect
from rq.job import Job
from rq.worker import SimpleWorker

from indexer.queue.orders.jobs import JobsJson, our_queue
from tests.http_client import ask, login
from tests.programs import CHECKOUT, Ran, Running, eventually, run, started
from tests.redis_servers import RedisServer, redis_server

QUEUED = "/0/view/jobs/extract/queued/8/asc/1"
FAILED = "/0/view/jobs/extract/failed/8/asc/1"
NASTY = """<img src=x onerror="document.title='owned'"><b>bold</b> & 'more' <%= 1 %>"""
"""A name that a folder may have."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> redis.Redis:
    client = server.client()
    client.flushall()
    return client


class Served(NamedTuple):
    """A dashboard that runs."""

    url: str
    line: str
    running: Running


@contextmanager
def dashboard(
    address: str, *words: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """The real program on a free port, once it says where."""
    with started(
        "dashboard", "--port", "0", *words, db=None, env={"INDEXER_REDIS": address, **(env or {})}
    ) as running:
        line = running.line()
        found = re.match(r"dashboard at (http://\S+:\d+) \(Redis (.+)\)$", line)
        assert found is not None, line
        yield Served(found[1], line, running)


@pytest.fixture(scope="module")
def served(server: RedisServer) -> Iterator[Served]:
    with dashboard(server.address) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which no script may fail."""
    errors: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


def put(client: redis.Redis, job_id: str, *, queue: str = "extract", about: str = "") -> Job:
    return our_queue(queue, client).enqueue(
        f"{__name__}.read",
        {"files": 87},
        job_id=job_id,
        description=about or "extract 87 files in Björk/Debut",
        failure_ttl=60,
    )


def read(_order: object) -> None:
    """What the jobs here do."""
    raise ValueError(f"{NASTY}: an ID3 tag that ends in the middle")


def fail(client: redis.Redis, job_id: str, about: str = "") -> None:
    put(client, job_id, about=about)
    worker = SimpleWorker([our_queue("extract", client)], connection=client, serializer=JobsJson)
    worker.job_class = worker.queues[0].job_class = Job  # ours would refuse `read`
    worker.work(burst=True, logging_level="CRITICAL")


def queued(client: redis.Redis) -> list[str]:
    return our_queue("extract", client).get_job_ids()


# ---- in the browser


def test_the_queues_are_shown_with_their_counts(
    served: Served, client: redis.Redis, page: Page
) -> None:
    fail(client, "a")
    for number in range(3):
        put(client, f"b{number}")
    put(client, "c", queue="insert")
    page.goto(served.url)
    rows = page.locator("#queues tbody tr[data-role=queue]")
    expect(rows).to_have_count(2)
    heads = [head.split()[0] for head in page.locator("#queues thead th").all_inner_texts()]
    told = {
        cells[0]: dict(zip(heads, cells, strict=True))
        for cells in (row.locator("td").all_inner_texts() for row in rows.all())
    }
    assert (told["extract"]["Queued"], told["extract"]["Failed"]) == ("3", "1")
    assert (told["insert"]["Queued"], told["insert"]["Failed"]) == ("1", "0")


def test_a_failed_job_shows_what_it_was_about_and_its_traceback(
    served: Served, client: redis.Redis, page: Page
) -> None:
    fail(client, "a")
    page.goto(served.url + FAILED)
    row = page.locator("tr[data-job-id=a]")
    expect(row.locator(".description")).to_have_text("extract 87 files in Björk/Debut")
    expect(row.locator("pre.exc_info")).to_contain_text("Traceback (most recent call last):")
    expect(row.locator("pre.exc_info")).to_contain_text("an ID3 tag that ends in the middle")
    row.locator(".job_id a").click()
    expect(page.locator("pre.exc_info")).to_contain_text("an ID3 tag that ends in the middle")
    expect(page.locator("#job-data")).to_contain_text("failed")


def test_a_click_puts_a_failed_job_back_into_its_queue(
    served: Served, client: redis.Redis, page: Page
) -> None:
    fail(client, "a")
    fail(client, "b")
    page.goto(served.url + FAILED)
    page.locator("tr[data-job-id=a] [data-role=requeue-job-btn]").click()
    eventually(lambda: queued(client) == ["a"])
    assert our_queue("extract", client).failed_job_registry.get_job_ids() == ["b"]
    expect(page.locator("tr[data-job-id=a]")).to_have_count(0)
    page.goto(served.url + QUEUED)
    expect(page.locator("tr[data-job-id=a] .description")).to_be_visible()


def test_names_and_tracebacks_stay_text(served: Served, client: redis.Redis, page: Page) -> None:
    fail(client, "a", about=NASTY)
    page.goto(served.url + FAILED)
    row = page.locator("tr[data-job-id=a]")
    expect(row.locator(".description")).to_have_text(NASTY)
    expect(row.locator("pre.exc_info")).to_contain_text(NASTY)
    page.goto(served.url + "/0/view/job/a")
    expect(page.locator(".description-scroll")).to_have_text(NASTY)
    expect(page.locator("pre.exc_info")).to_contain_text(NASTY)
    assert page.locator("img, b").count() == 0
    assert page.title() == "RQ dashboard"


def test_an_address_runs_no_script(served: Served, client: redis.Redis, page: Page) -> None:
    put(client, "a")
    name = quote("';document.title=String.fromCharCode(111);'", safe="")
    page.goto(f"{served.url}/0/view/jobs/{name}/queued/8/asc/1")
    expect(page.locator("#jobs tbody")).to_contain_text("No jobs")
    page.locator("#select-queue").click()
    page.locator("#select-queue").dispatch_event("mouseleave")
    assert page.title() == "RQ dashboard"


class Bomb(NamedTuple):
    """Makes a folder when it is unpickled."""

    folder: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.fspath(self.folder),)


def test_pickles_are_shown_and_requeued_but_never_opened(
    served: Served, client: redis.Redis, page: Page, tmp_path: Path
) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "unpickled"))
    fail(client, "a", about="another program's")
    job = Job("a", connection=client)
    client.hset(job.key, mapping={"data": bomb, "meta": bomb, "result": bomb})
    page.goto(served.url + FAILED)
    expect(page.locator("tr[data-job-id=a]")).to_contain_text("another program's")
    page.goto(served.url + "/0/view/job/a")
    expect(page.locator("#job-data")).to_contain_text("not JSON")
    page.locator("#requeue-job-btn").click()
    eventually(lambda: queued(client) == ["a"])
    assert client.hget(job.key, "meta") == bomb
    client.xadd("rq:results:a", {"type": "1", "return_value": b64encode(bomb)})
    assert ask(served.url, "/0/data/job/a.json").status == 200
    assert not (tmp_path / "unpickled").exists()
    pickle.loads(bomb)  # it would have shown
    assert (tmp_path / "unpickled").exists()


def test_a_worker_is_shown_with_what_it_does(
    served: Served, client: redis.Redis, page: Page, tmp_path: Path
) -> None:
    worker = SimpleWorker([our_queue("extract", client)], connection=client, serializer=JobsJson)
    worker.register_birth()  # type: ignore[no-untyped-call]
    job = put(client, "a")
    client.hset(job.key, "data", pickle.dumps(Bomb(tmp_path / "unpickled")))
    worker.prepare_execution(job)
    page.goto(f"{served.url}/0/view/workers")
    expect(page.locator("#workers tbody")).to_contain_text("extract")
    expect(page.locator("#workers tbody")).to_contain_text("(not JSON)")
    assert not (tmp_path / "unpickled").exists()


# ---- what other pages may do with it


def test_buttons_of_other_pages_do_nothing(served: Served, client: redis.Redis) -> None:
    put(client, "a")
    path = "/queue/extract/queued/empty"
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
    ):
        assert ask(served.url, path, "POST", headers).status == 403
    assert ask(served.url, "/requeue/extract").status == 405
    assert queued(client) == ["a"]
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": served.url}, {}):
        assert ask(served.url, path, "POST", headers).status == 200
    assert queued(client) == []


def test_another_name_for_this_machine_is_refused(served: Served) -> None:
    """A page may point its own name at 127.0.0.1, and would then read everything."""
    port = urlsplit(served.url).port
    assert ask(served.url, headers={"Host": f"example.org:{port}"}).status == 403
    assert ask(served.url, headers={"Host": f"localhost:{port}"}).status == 200


def test_no_page_may_frame_it(served: Served) -> None:
    policy = ask(served.url).headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy


def test_looking_often_opens_no_connections(served: Served, server: RedisServer) -> None:
    client = server.client()

    def look(times: int) -> int:
        for _ in range(times):
            assert ask(served.url, "/0/data/queues.json").status == 200
        return len(client.client_list())

    before = look(3)
    assert look(30) <= before


# ---- who may look


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_may_not_look_without_a_password(host: str, server: RedisServer) -> None:
    ran = refused(server, "--host", host)
    assert f"--host {host}: " in ran.err
    assert "--password-file" in ran.err


def refused(
    server: RedisServer, *words: str | Path, env: Mapping[str, str] | None = None, code: int = 2
) -> Ran:
    ran = run(
        *("dashboard", "--port", "0", *words),
        db=None,
        check=code,
        env={"INDEXER_REDIS": server.address, **(env or {})},
    )
    assert (ran.out, ran.err.count("\n")) == ("", 1)
    return ran


def test_user_and_password_come_together(server: RedisServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\nsecret\n")
    full = tmp_path / "full"
    full.write_text("secret\n")
    assert "no password" in refused(server, "--user", "ida").err
    assert "no password" in refused(server, "--user", "ida", "--password-file", empty).err
    assert "no user" in refused(server, "--password-file", full).err
    assert "no user" in refused(server, env={"INDEXER_DASHBOARD_PASSWORD": "secret"}).err
    assert "is empty" in refused(server, "--password-file", empty).err
    missing = refused(server, "--user", "ida", "--password-file", tmp_path / "none", code=3)
    assert "none: No such file" in missing.err


@pytest.mark.parametrize("by", ["options", "environment"])
def test_with_a_password_nothing_is_shown_without_it(
    by: str, server: RedisServer, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("Múm & more\n", "utf-8")
    words: list[str | Path] = ["--host", "0.0.0.0"]
    env = {"INDEXER_DASHBOARD_USER": "ida", "INDEXER_DASHBOARD_PASSWORD": "Múm & more"}
    if by == "options":
        words += ["--user", "ida", "--password-file", file]
    with dashboard(server.address, *words, env=env if by == "environment" else None) as served:
        port = urlsplit(served.url).port
        for url in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
            for path in ("/", "/0/data/queues.json", "/static/css/main.css", "/nowhere"):
                without = ask(url, path)
                assert without.status == 401
                assert without.headers["WWW-Authenticate"].startswith("Basic realm=")
            for wrong in (login("ida", ""), login("eve", "Múm & more"), login("ida", "Mum & more")):
                assert ask(url, headers=wrong).status == 401
            assert ask(url, headers=login("ida", "Múm & more")).status == 200
        assert "Múm" not in Path(f"/proc/{served.running.pid}/cmdline").read_text("utf-8")


# ---- how it starts and ends


def test_a_line_says_where_it_is(served: Served, server: RedisServer) -> None:
    port = urlsplit(served.url).port
    assert served.line == f"dashboard at http://127.0.0.1:{port} (Redis {server.address})\n"


def test_json_says_where_it_is(server: RedisServer) -> None:
    words = ("dashboard", "--port", "0", "--json")
    with started(*words, db=None, env={"INDEXER_REDIS": server.address}) as running:
        assert re.match(r'\{"url":"http://127.0.0.1:\d+","redis":"unix:///.*"\}$', running.line())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0(number: signal.Signals, server: RedisServer) -> None:
    with dashboard(server.address) as served:
        assert ask(served.url).status == 200
        held_open = socket.create_connection(("127.0.0.1", urlsplit(served.url).port or 0))
        served.running.process.send_signal(number)
        assert served.running.end() == (0, "", "")
        held_open.close()


def test_a_port_that_is_taken_is_exit_code_3(served: Served, server: RedisServer) -> None:
    port = str(urlsplit(served.url).port)
    ran = refused(server, "--port", port, code=3)
    assert f"port {port}: Address already in use; name another with --port" in ran.err


def test_a_password_of_redis_is_shown_nowhere(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        server.client().config_set("requirepass", "secret")
        with dashboard(f"unix://:secret@{server.socket}?db=3") as served:
            assert served.line.endswith(f"(Redis unix://{server.socket}?db=3)\n")
            assert ask(served.url, "/0/data/queues.json").status == 200
            page = ask(served.url).text
            assert str(server.socket) in page
            assert "secret" not in page
            assert "secret" not in Path(f"/proc/{served.running.pid}/cmdline").read_text("utf-8")


def test_it_waits_for_a_redis_that_is_away(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/redis.sock"
    with dashboard(address) as served:
        assert "no Redis answers" in served.running.error_line()
        assert ask(served.url, "/0/data/queues.json").status == 503
        assert "Connection Error" in ask(served.url).text
        with redis_server(tmp_path) as server:
            assert server.address == address
            assert ask(served.url, "/0/data/queues.json").status == 200
        assert ask(served.url, "/0/view/workers").status == 503
        served.running.process.send_signal(signal.SIGTERM)
        assert served.running.end() == (0, "", "")


def test_a_redis_that_throws_queues_away_is_told(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as server,
        dashboard(server.address) as served,
    ):
        assert "maxmemory-policy noeviction" in served.running.error_line()


def test_without_an_address_it_says_what_to_set() -> None:
    ran = run("dashboard", db=None, check=2)
    assert "INDEXER_REDIS" in ran.err


@pytest.mark.parametrize("missing", ["rq_dashboard", "six"])
def test_without_the_extra_it_says_how_to_get_it(
    missing: str, server: RedisServer, tmp_path: Path
) -> None:
    stand_in = tmp_path / f"{missing}.py"
    stand_in.write_text(f"raise ModuleNotFoundError('not installed', name={missing!r})\n")
    ran = refused(server, env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"}, code=3)
    pip = f"{sys.executable} -m pip install 'music-indexer[dashboard]'"
    assert ran.err.endswith(f"({missing} is missing): {pip}\n")


def test_a_job_that_is_gone_is_no_fault(served: Served, client: redis.Redis) -> None:
    assert client.dbsize() == 0
    assert ask(served.url, "/0/view/job/nothing").status == 404
    assert served.running.process.poll() is None
