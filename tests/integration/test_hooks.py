"""`indexer hooks`: each change reaches its receiver, whatever is killed or down in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.corpus import plant, tagged
from tests.daemons import QUICK, watching
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.programs import Running, eventually, rows, run, started


class Receiver:
    """A web server that answers with `code`, and keeps what it was sent."""

    def __init__(self) -> None:
        self.code = 200
        self.messages: list[dict[str, Any]] = []
        self.ids: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                code = receiver.code
                if code == 200:
                    receiver.ids.append(self.headers["webhook-id"])
                    receiver.messages.append(body["data"])
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for message in self.messages for event in message["events"]]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] in kinds]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def hook(receiver: Receiver, **more: object) -> str:
    keys = {"name": "web", "url": receiver.url, "quiet": 0.05, **more}
    lines = (f"{key} = {json.dumps(value)}" for key, value in keys.items())
    return "\n".join(["[[hooks]]", *lines, ""])


@contextmanager
def telling(db: Path, config: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    with started("hooks", db=db, config=config, env=env) as running:
        while "tells of changes" not in running.error_line():
            pass
        eventually(lambda: rows(db, "SELECT count(*) FROM hooks") != [(0,)])
        yield running


def states(db: Path, config: str) -> list[tuple[int, int, str | None]]:
    """Changes behind, failed attempts and the error of each hook."""
    told = run("hooks", "--list", "--json", db=db, config=config).out.splitlines()
    return [(one["behind"], one["attempts"], one["error"]) for one in map(json.loads, told)]


def songs(*names: str) -> dict[str | bytes, bytes | None]:
    return {f"{name}.mp3": tagged(title=name) for name in names}


def test_changes_arrive_in_order_with_paths_as_the_receiver_knows_them(
    music: Path, db: Path, receiver: Receiver
) -> None:
    plant(music, songs("before"))
    run("rebuild", music, db=db)
    config = hook(receiver) + '[hooks.map]\nmusic = "/media/x"\n'
    with telling(db, config):
        plant(music, songs("a"))
        (music / "before.mp3").rename(music / "after.mp3")
        (music / "bad.mp3").write_text("no music")
        run("scan", db=db)
        eventually(lambda: receiver.of_kind("scan-done"))
        eventually(lambda: states(db, config) == [(0, 0, None)])
    assert {(one["kind"], one["file"], one.get("old_file")) for one in receiver.events[:3]} == {
        ("moved", "/media/x/after.mp3", "/media/x/before.mp3"),
        ("added", "/media/x/a.mp3", None),
        ("problem", "/media/x/bad.mp3", None),
    }
    numbers = [one["seq"] for one in receiver.of_kind("added", "moved")]
    assert numbers == sorted(numbers)


def test_nothing_is_lost_while_the_receiver_is_down_and_the_program_is_killed(
    music: Path, db: Path, receiver: Receiver
) -> None:
    run("rebuild", music, db=db, check=None)
    config = hook(receiver, kinds=["added", "missing"], batch=2)
    receiver.code = 503
    with telling(db, config) as running:
        plant(music, songs("a", "b", "c"))
        run("scan", db=db)
        eventually(lambda: rows(db, "SELECT attempts > 0 FROM hooks") == [(1,)])
        running.kill()
    plant(music, songs("d"))
    run("scan", db=db)
    receiver.code = 200
    with telling(db, config) as running:
        eventually(lambda: len(receiver.events) >= 4)
        running.kill()
    with telling(db, config):
        (music / "a.mp3").unlink()
        run("scan", db=db)
        eventually(lambda: receiver.of_kind("missing"))
    numbers = list(dict.fromkeys(event["seq"] for event in receiver.events))
    assert numbers == [seq for (seq,) in rows(db, "SELECT seq FROM changes ORDER BY seq")]
    assert max(len(message["events"]) for message in receiver.messages) == 2


def test_a_receiver_below_the_floor_of_the_feed_is_told_to_read_everything(
    music: Path, db: Path, receiver: Receiver
) -> None:
    plant(music, songs("a", "b"))
    run("rebuild", music, db=db)
    config = hook(receiver, kinds=["added"])
    with telling(db, config):
        pass
    plant(music, songs("c", "d", "e"))
    run("scan", db=db)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE identity SET changes_floor = 4")
    with telling(db, config):
        eventually(lambda: receiver.messages)
        assert receiver.messages[0]["fresh"]
        assert receiver.messages[0]["events"] == []
        plant(music, songs("f"))
        run("scan", db=db)
        eventually(lambda: receiver.events)
    assert [event["path"] for event in receiver.events] == ["f.mp3"]


def test_a_receiver_that_is_gone_is_told_nothing_until_it_is_enabled(
    music: Path, db: Path, receiver: Receiver
) -> None:
    run("rebuild", music, db=db, check=None)
    config = hook(receiver, kinds=["added"])
    receiver.code = 410
    with telling(db, config):
        plant(music, songs("a"))
        run("scan", db=db)
        eventually(lambda: rows(db, "SELECT disabled_at IS NOT NULL FROM hooks") == [(1,)])
        receiver.code = 200
        run("hooks", "--enable", "web", db=db, config=config)
        eventually(lambda: receiver.events)
    assert [event["path"] for event in receiver.events] == ["a.mp3"]


def test_without_hooks_the_list_says_where_they_are_described(music: Path, db: Path) -> None:
    run("rebuild", music, db=db)
    told = run("hooks", "--list", db=db)
    assert told.out == ""
    assert "[[hooks]]" in told.err


def test_another_index_in_its_place_is_read_and_the_receiver_told(
    music: Path, db: Path, receiver: Receiver
) -> None:
    run("rebuild", music, db=db)
    with telling(db, hook(receiver)) as running:
        plant(music, songs("first"))
        run("scan", db=db)
        eventually(lambda: receiver.of_kind("added"))
        for suffix in ("", "-wal", "-shm"):
            db.with_name(db.name + suffix).unlink(missing_ok=True)
        run("rebuild", music, db=db)
        eventually(lambda: any(message["fresh"] for message in receiver.messages))
        plant(music, songs("second"))
        run("scan", db=db)
        eventually(lambda: any("second" in one["path"] for one in receiver.of_kind("added")))
        assert not running.ended


@pytest.mark.parametrize("lost", ["-wal", "-shm"])
def test_an_index_whose_log_was_deleted_is_opened_again(
    lost: str, music: Path, db: Path, receiver: Receiver
) -> None:
    run("rebuild", music, db=db)
    two = hook(receiver, kinds=["added"]) + hook(receiver, name="other", kinds=["missing"])
    with watching(music, db=db) as daemon, telling(db, two) as running:
        db.with_name(db.name + lost).unlink()
        daemon.watches(times=2)
        plant(music, songs("late"))
        eventually(lambda: [one["path"] for one in receiver.of_kind("added")] == ["late.mp3"])
        assert not running.ended
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("way", ["made anew", "from a backup"])
def test_an_index_that_was_replaced_while_no_hook_ran_is_told_as_one_to_read_whole(
    way: str, music: Path, db: Path, tmp_path: Path, receiver: Receiver
) -> None:
    plant(music, songs("first"))
    run("rebuild", music, db=db)
    config = hook(receiver, kinds=["added"])
    with telling(db, config):
        run("backup", tmp_path / "copy.db", db=db)
    if way == "made anew":
        for suffix in ("", "-wal", "-shm"):
            db.with_name(db.name + suffix).unlink(missing_ok=True)
        run("rebuild", music, db=db)
    else:
        run("rebuild", "--from", tmp_path / "copy.db", db=db)
    with telling(db, config):
        eventually(lambda: [one["fresh"] for one in receiver.messages] == [True])
        plant(music, songs("second"))
        run("scan", db=db)
        eventually(lambda: [one["path"] for one in receiver.events] == ["second.mp3"])
    with telling(db, config):  # the same index
        plant(music, songs("third"))
        run("scan", db=db)
        eventually(lambda: receiver.events[-1]["path"] == "third.mp3")
    assert [one["fresh"] for one in receiver.messages].count(True) == 1


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ((), [("added", False)]),
        (("DELETE FROM hooks",), [(None, True)]),
        (("UPDATE hooks SET cursor = '{'",), [(None, True)]),
    ],
    ids=["kept", "lost", "unreadable"],
)
@pytest.mark.parametrize("repaired", [False, True], ids=["as it is", "repaired"])
def test_what_came_before_a_repair_is_told_or_all_is_read_again(
    repaired: bool,
    harm: tuple[str, ...],
    told: list[tuple[str | None, bool]],
    music: Path,
    db: Path,
    receiver: Receiver,
) -> None:
    plant(music, songs("a"))
    run("rebuild", music, db=db)
    config = hook(receiver, kinds=["added"])
    with telling(db, config):
        pass
    plant(music, songs("missed"))
    run("scan", db=db)
    with closing(sqlite3.connect(db)) as connection:
        for statement in (*harm, *(["DROP TABLE scans"] if repaired else [])):
            connection.execute(statement)
        connection.commit()
    if repaired:
        assert "a new file" in run("repair", db=db).out
    with telling(db, config):
        eventually(lambda: receiver.messages)
        eventually(lambda: states(db, config) == [(0, 0, None)])
    found = [
        (event, message["fresh"])
        for message in receiver.messages
        for event in ([one["kind"] for one in message["events"]] or [None])
    ]
    assert found == told


def test_a_root_whose_folder_is_not_utf8_stops_no_hook(
    db: Path, tmp_path: Path, receiver: Receiver
) -> None:
    music = os.fsencode(tmp_path) + b"/Music \xff"
    os.mkdir(music)
    run("rebuild", music, db=db)
    with telling(db, hook(receiver)):
        with open(music + b"/one.mp3", "wb") as file:
            file.write(tagged(".mp3", title="One"))
        run("scan", db=db)
        eventually(lambda: receiver.of_kind("added"))
    assert receiver.of_kind("added")[0]["file"] == f"{tmp_path}/Music \ufffd/one.mp3"


def test_a_disk_that_goes_and_comes_is_told(
    music: Path, db: Path, receiver: Receiver, mount: Mount, make_disk: MakeDisk
) -> None:
    disk = make_disk("disk.ext4")
    mount(music, "-o", "loop", disk)
    plant(music, songs("a"))
    with (
        watching(music, db=db) as daemon,
        telling(db, hook(receiver, kinds=["root-offline", "root-online"])),
    ):
        unmount(music)
        eventually(lambda: receiver.of_kind("root-offline"))
        mount(music, "-o", "loop", disk)
        daemon.watches(2)
        eventually(lambda: receiver.of_kind("root-online"))
    assert [event["kind"] for event in receiver.events] == ["root-offline", "root-online"]


def test_a_daemon_s_change_reaches_a_command(music: Path, db: Path, tmp_path: Path) -> None:
    plant(music, songs("a"))
    out = tmp_path / "out"
    config = f'[[hooks]]\nname = "log"\ncommand = ["sh", "-c", "cat >> {out}"]\nquiet = 0\n'
    with watching(music, db=db, config=QUICK), telling(db, config):
        plant(music, songs("b"))
        eventually(lambda: out.exists() and "b.mp3" in out.read_text())


def test_only_one_program_tells(music: Path, db: Path, receiver: Receiver) -> None:
    run("rebuild", music, db=db, check=None)
    with telling(db, hook(receiver)) as running:
        second = run("hooks", db=db, config=hook(receiver), check=None)
        assert "another `indexer hooks`" in second.err
        running.process.terminate()
        assert running.end().code == 0


def test_a_made_up_event_shows_whether_a_receiver_is_there(
    music: Path, db: Path, receiver: Receiver
) -> None:
    run("rebuild", music, db=db, check=None)
    config = hook(receiver)
    assert "web: received" in run("hooks", "--test", "web", db=db, config=config).out
    receiver.code = 500
    assert "hook web: 500" in run("hooks", "--test", "web", db=db, config=config, check=None).err
    wrong = run("hooks", "--test", "x", db=db, config=config, check=2)
    assert "there is no hook x; the settings have web" in wrong.err
    assert "no [[hooks]]" in run("hooks", db=db, config="", check=2).err


def test_the_ready_made_command_has_mpd_look_at_what_changed(
    music: Path, db: Path, tmp_path: Path
) -> None:
    if shutil.which("mpd") is None or shutil.which("mpc") is None:
        pytest.skip("mpd and mpc are not installed")
    plant(music, {"one/a.mp3": tagged(title="A")})
    run("rebuild", music, db=db)
    command = Path(__file__).parents[2] / "deploy/hooks/mpd"
    config = (
        f'[[hooks]]\nname = "mpd"\ncommand = ["{command}"]\nquiet = 0.05\nmap = {{ music = "" }}\n'
        'kinds = ["added", "modified", "moved", "missing"]\n'
    )
    with mpd(music, tmp_path / "mpd") as host, telling(db, config, env={"MPD_HOST": host}):

        def known() -> set[str]:
            told = subprocess.run(
                ["mpc", "listall"], env={**os.environ, "MPD_HOST": host},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            return set(told.stdout.split())

        plant(music, {"one/two/new/b.mp3": tagged(title="B")})
        run("scan", db=db)
        eventually(lambda: known() == {"one/two/new/b.mp3", "one/a.mp3"})
        (music / "one").rename(music / "other")
        run("scan", db=db)
        eventually(lambda: known() == {"other/two/new/b.mp3", "other/a.mp3"})


@contextmanager
def mpd(music: Path, folder: Path) -> Iterator[str]:
    """A real mpd over this music -> the address of its socket."""
    folder.mkdir()
    (folder / "conf").write_text(
        f'music_directory "{music}"\ndb_file "{folder}/db"\nbind_to_address "{folder}/socket"\n'
        'audio_output {\n type "null"\n name "null"\n}\n'
    )
    process = subprocess.Popen(["mpd", "--no-daemon", "--stderr", folder / "conf"])
    try:
        eventually((folder / "socket").exists)
        subprocess.run(["mpc", "--host", folder / "socket", "update", "--wait"], check=True)
        yield f"{folder}/socket"
    finally:
        process.terminate()
        process.wait(20)


def test_a_signal_while_a_reload_is_under_way_is_obeyed_too(
    music: Path, db: Path, receiver: Receiver
) -> None:
    plant(music, songs("a"))
    run("rebuild", music, db=db)
    with telling(db, hook(receiver)) as running:
        for n in range(60):
            running.process.send_signal(signal.SIGHUP)
            time.sleep((n % 7) * 0.002)
        assert running.process.poll() is None
        plant(music, songs("b"))
        run("scan", db=db)
        eventually(lambda: [one["file"] for one in receiver.of_kind("added")])
        running.process.send_signal(signal.SIGHUP)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
