"""The ready-made commands of deploy/hooks, against a server that keeps what it is asked."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

COMMANDS = Path(__file__).parents[2] / "deploy/hooks"
Event = Mapping[str, object]


class Server:
    """Answers each request with `answers[path]`, else with 204."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.answers: dict[str, object] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers["content-length"] or 0)
                server.asked.append((self.path, self.rfile.read(length), dict(self.headers)))
                answer = server.answers.get(urlsplit(self.path).path)
                body = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(200 if body else 204)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def told(
    name: str, *words: str, events: Sequence[Event], env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    return subprocess.run(
        [COMMANDS / name, *words], input=lines, text=True, capture_output=True, check=False,
        env={**os.environ, **env}, timeout=60,
    )  # fmt: skip


ADDED = {"kind": "added", "seq": 1, "file": "1:Pop/One/a.mp3"}
MOVED = {"kind": "moved", "seq": 2, "file": "1:Pop/One/CD 2/b.mp3", "old_file": "1:b.mp3"}
OTHER = {"kind": "missing", "seq": 3, "file": "2:x/c.mp3"}


def test_navidrome_scans_each_folder_once(server: Server) -> None:
    answer = {"status": "ok", "scanStatus": {"scanning": False}}
    server.answers = {
        "/rest/getScanStatus": {"subsonic-response": answer},
        "/rest/startScan": {"subsonic-response": answer},
    }
    env = {"NAVIDROME_PASSWORD": "word"}
    assert told("navidrome", server.url, "ann", events=[ADDED, OTHER], env=env).returncode == 0
    asked = parse_qs(urlsplit(server.asked[-1][0]).query)
    assert asked["target"] == ["1:Pop/One", "2:x"]
    assert (asked["u"], "word" in server.asked[-1][0]) == (["ann"], False)
    told("navidrome", server.url, "ann", events=[ADDED, MOVED, OTHER], env=env)
    assert parse_qs(urlsplit(server.asked[-1][0]).query)["target"] == ["1:", "2:x"]
    told("navidrome", server.url, "ann", events=[{"fresh": True}], env=env)
    assert "target" not in parse_qs(urlsplit(server.asked[-1][0]).query)


def test_navidrome_is_asked_again_while_a_scan_runs_or_where_it_refuses(server: Server) -> None:
    env = {"NAVIDROME_PASSWORD": "word"}
    busy = {"status": "ok", "scanStatus": {"scanning": True}}
    server.answers = {"/rest/getScanStatus": {"subsonic-response": busy}}
    ran = told("navidrome", server.url, "ann", events=[ADDED], env=env)
    assert (ran.returncode, ran.stderr) == (1, "a scan is running\n")
    refused = {"status": "failed", "error": {"code": 40, "message": "Wrong username or password"}}
    server.answers = {
        key: {"subsonic-response": refused} for key in ("/rest/getScanStatus", "/rest/startScan")
    }
    ran = told("navidrome", server.url, "ann", events=[ADDED], env=env)
    assert (ran.returncode, ran.stderr) == (1, "Wrong username or password\n")


def test_jellyfin_gets_the_files(server: Server) -> None:
    env = {"JELLYFIN_KEY": "key"}
    ran = told("jellyfin", server.url, events=[ADDED, MOVED, OTHER], env=env)
    assert (ran.returncode, ran.stderr) == (0, "")
    ((path, body, headers),) = server.asked
    assert path == "/Library/Media/Updated"
    assert headers["Authorization"] == 'MediaBrowser Token="key"'
    assert headers["X-Emby-Token"] == "key"
    assert [(one["UpdateType"], one["Path"]) for one in json.loads(body)["Updates"]] == [
        ("Created", "1:Pop/One/a.mp3"),
        ("Deleted", "1:b.mp3"),
        ("Created", "1:Pop/One/CD 2/b.mp3"),
        ("Deleted", "2:x/c.mp3"),
    ]
    told("jellyfin", server.url, events=[{"fresh": True}], env=env)
    assert server.asked[-1][0] == "/Library/Refresh"


def test_ntfy_gets_a_few_lines_for_a_person(server: Server) -> None:
    bad = {"kind": "problem", "root": "a", "path": "b.mp3", "reason": "not an MP3"}
    events: list[Event] = [{"kind": "root-offline", "root": "usb"}, *[bad] * 6, {"kind": "added"}]
    ran = told("ntfy", f"{server.url}/topic", events=events, env={"NTFY_TOKEN": "t"})
    assert (ran.returncode, ran.stderr) == (0, "")
    ((path, body, headers),) = server.asked
    assert (path, headers["Priority"], headers["Authorization"]) == ("/topic", "high", "Bearer t")
    lines = body.decode().splitlines()
    assert lines[:2] == [
        "usb is offline: is its disk there?", "cannot be read: a/b.mp3: not an MP3",
    ]  # fmt: skip
    assert lines[-2:] == ["and 2 more", "1 added"]
    assert told("ntfy", f"{server.url}/topic", events=[], env={}).returncode == 0
    assert len(server.asked) == 1
