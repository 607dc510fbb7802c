"""Pages that stay open: events, how many get them, and what silent connections cost."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tests.corpus import plant, tagged
from tests.http_client import ask
from tests.integration.test_web import Served, events, index, music, read_until, served, web
from tests.programs import eventually, run

__all__ = ("index", "music", "served")  # fixtures


def test_a_change_reaches_an_open_page_with_its_number(db: Path, tmp_path: Path) -> None:
    plant(tmp_path / "Music", {"1.mp3": tagged(".mp3", title="First")})
    run("rebuild", tmp_path / "Music", db=db)
    with web(db) as running, events(running.url, 1) as stream:
        read_until(stream, b"event: line")
        plant(tmp_path / "Music", {"2.mp3": tagged(".mp3", title="Second")})
        run("scan", db=db)
        told = read_until(stream, b"Second")
        assert b"id: 2\nevent: change\n" in told
        with events(running.url, 99, "Last-Event-ID: 0\r\n") as again:
            told = read_until(again, b"Second")
            assert b"id: 1\nevent: change\n" in told


def test_sixteen_pages_get_events_and_the_next_one_asks(served: Served) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(events(served.url, 0)) for _ in range(16)]
        for stream in streams:
            assert b" 200 " in read_until(stream, b"\r\n")
        assert ask(served.url, "/events").status == 503
        told = json.loads(ask(served.url, "/live.json?after=0").body)
        assert told["newest"] == len(told["changes"])
    eventually(lambda: ask(served.url, "/events", "HEAD").status == 200)


def test_nothing_is_polled_while_nobody_looks(index: Path) -> None:
    with web(index) as running:

        def threads() -> set[str]:
            tasks = Path(f"/proc/{running.running.pid}/task").iterdir()
            return {task.name for task in tasks}

        ask(running.url)
        before = len(eventually(threads))
        with events(running.url, 0) as stream:
            read_until(stream, b"event: line")
            assert len(threads()) > before
        eventually(lambda: len(threads()) <= before)


# ---- how it starts and ends


def test_connections_that_say_nothing_keep_no_one_out_for_long(index: Path) -> None:
    with web(index) as running:
        where = ("127.0.0.1", urlsplit(running.url).port or 0)
        with ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection(where)) for _ in range(120)]
            eventually(lambda: sum(map(is_closed, silent)) == 20)
        eventually(lambda: answers(running.url))


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def answers(url: str) -> bool:
    try:
        return ask(url).status == 200
    except (ConnectionError, HTTPException):
        return False
