"""`watcher relay` beside a disk: what changes there is a row of an index that has it by a share.

The share is one of FUSE, of which the kernel hears nothing that is done to the folder behind it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from indexer.queue.orders.messages import FolderHint, PathText, RelayOrder
from indexer.queue.relays import SILENT_S, RelayLink, relay_statuses
from indexer.settings import Settings
from tests.corpus import plant, tagged
from tests.daemons import Daemon, watching
from tests.programs import can_be_root, eventually, rows, run
from tests.redis_servers import RedisServer, certified, redis_server
from tests.relays import relaying
from tests.rq_workers import crew, failed, is_quiet, quick
from tests.running import RunningProgram
from tests.shares import NoShare, share_of

NEVER_POLLED: dict[str, Any] = {"poll_interval": 3600}
"""Only a relay can tell in time."""


class Site:
    """A folder on a server, the share of it, and the index of the share."""

    def __init__(self, base: Path) -> None:
        self.disk = base / "disk"
        self.share = base / "nas"
        self.db = base / "index" / "library.db"
        self.db.parent.mkdir()
        self.there = base / "server"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """With two songs on the disk."""
    found = Site(tmp_path)
    plant(found.disk, {"a.mp3": tagged(title="A"), "b/b.mp3": tagged(title="B")})
    for file in found.disk.rglob("*.mp3"):
        os.utime(file, (1e9, 1e9))
    try:
        with share_of(found.disk, found.share):
            yield found
    except NoShare as error:
        pytest.skip(str(error))


def has_all(site: Site) -> bool:
    """Scan; whether nothing was left over since it had only just changed."""
    scanned = run("scan", db=site.db, config="still = 0.05\n", check=None)
    return scanned.code == 0 and not rows(site.db, "SELECT id FROM pending")


@contextmanager
def indexing(site: Site, address: str, **more: object) -> Iterator[Daemon]:
    """A daemon and workers that have what is there, and would look again in an hour."""
    run("roots", "add", site.share, db=site.db)
    eventually(lambda: has_all(site))
    config = quick(address, **{**NEVER_POLLED, **more})
    with (
        watching(site.share, db=site.db, config=config, until=None) as running,
        crew(db=site.db, config=config),
    ):
        running.await_line("polling root=nas")
        yield running


@pytest.fixture
def daemon(site: Site, server: RedisServer) -> Iterator[Daemon]:
    with indexing(site, server.address) as running:
        yield running


def relay_of(db: Path, server: RedisServer) -> dict[str, Any] | None:
    status = run("status", "--json", db=db, env={"INDEXER_REDIS": server.address}).object
    (root,) = status["roots"]
    found: dict[str, Any] | None = root.get("relay")
    return found


def up_of(db: Path, server: RedisServer) -> list[str]:
    """What the metrics say of relays."""
    text = run("metrics", db=db, env={"INDEXER_REDIS": server.address}).out
    labels = rf'host="{re.escape(socket.gethostname())}",root="nas"'
    return re.findall(rf"^music_indexer_relay_up\{{{labels}\}} (\S+)$", text, re.MULTILINE)


def is_alive(db: Path, server: RedisServer) -> bool:
    return bool((relay_of(db, server) or {}).get("alive"))


def ready(site: Site, relay: RunningProgram, server: RedisServer) -> None:
    """Wait until its first look at everything is over, which finds whatever is there."""
    relay.await_line("given hints=")
    client = server.client()
    eventually(lambda: not list(client.scan_iter("rq:job:relayed-*")))
    is_quiet(site.db)


def test_what_changes_on_the_server_is_a_row_here_without_polling(
    site: Site, server: RedisServer, daemon: Daemon
) -> None:
    with relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay:
        ready(site, relay, server)
        plant(site.disk, {"new/c.mp3": tagged(title="C")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "new/c.mp3": "C"})
        (site.disk / "new").rename(site.disk / "old")
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "old/c.mp3": "C"})
        (site.disk / "a.mp3").unlink()
        daemon.shows({"b/b.mp3": "B", "old/c.mp3": "C"})
        (site.disk / "b/b.mp3").write_bytes(tagged(title="other"))
        daemon.shows({"b/b.mp3": "other", "old/c.mp3": "C"})
        assert failed(server.client()) == []


def test_status_tells_of_the_relay_while_it_lives_and_when_it_has_ended(
    site: Site, server: RedisServer, daemon: Daemon
) -> None:
    here = {"INDEXER_REDIS": server.address}
    assert relay_of(daemon.db, server) is None
    with relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay:
        eventually(lambda: is_alive(daemon.db, server))
        text = run("status", db=daemon.db, env=here).out
        assert re.search(r"^relay of nas: \S+, last heard [\d.]+ s ago$", text, re.MULTILINE)
        assert relay.end() == 0
    assert not is_alive(daemon.db, server)
    text = run("status", db=daemon.db, env=here).out
    assert "s ago: away, so changes are found by polling" in text
    assert f"root nas: its relay on {socket.gethostname()} is away" in text


def test_one_of_two_relays_of_a_root_ends_and_the_root_has_one_all_the_same(
    server: RedisServer,
) -> None:
    now = [100.0]
    settings = Settings(db=Path("x.db"), redis=server.address)
    one, other = (RelayLink(settings, host, lambda: now[0]) for host in ("one", "other"))

    def lives() -> bool:
        return relay_statuses(server.client(), ["music"])["music"].alive

    for link in (one, other, one):
        link.exchange(["music"])
    one.end(["music"])
    assert lives(), "the last sign of life was of the one that ended"
    other.exchange(["music"])
    one.exchange(["music"])
    other.exchange(["music"])
    one.end(["music"])
    assert lives()
    now[0] += SILENT_S + 1
    other.exchange(["music"])
    other.end(["music"])
    assert not lives(), "none is left"
    one.exchange(["music"])
    assert lives()
    one.end(["music"])
    assert not lives(), "one that had ended does not live beside it"
    one.close()
    other.close()


def test_a_killed_relay_is_told_as_away_and_polling_finds_what_it_had_not_told(
    site: Site, server: RedisServer
) -> None:
    with indexing(site, server.address, poll_interval=1) as daemon:
        config = quick(server.address)
        with relaying(f"nas={site.disk}", folder=site.there, config=config) as relay:
            eventually(lambda: is_alive(daemon.db, server))
            relay.end(signal.SIGKILL)
        plant(site.disk, {"c.mp3": tagged(title="C")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
        key = "music-indexer:relay:nas"
        left_s = server.client().ttl(key)
        server.client().expire(key, left_s - 40)  # as if it had been silent for 40 s
        told = relay_of(daemon.db, server)
        assert told is not None
        assert not told["alive"]
        assert told["silent_seconds"] >= 40
        daemon.await_line("relay lost root=nas")
        here = {"INDEXER_REDIS": server.address}
        ran = run("doctor", "--json", db=daemon.db, env=here, check=None)
        (found,) = (one for one in ran.objects if one["check"] == "relay")
        assert found["state"] == "warning"
        assert found["remedy"] == f"systemctl start music-relay on {socket.gethostname()}"
        assert up_of(daemon.db, server) == ["0.0"]
        with relaying(f"nas={site.disk}", folder=site.there, config=config):
            daemon.await_line("relay back root=nas")
            assert up_of(daemon.db, server) == ["1.0"]


def test_what_happens_while_redis_is_away_is_told_when_it_is_back(
    site: Site, server: RedisServer, daemon: Daemon
) -> None:
    with relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay:
        ready(site, relay, server)
        server.kill()
        plant(site.disk, {"c.mp3": tagged(title="C")})
        relay.await_line("redis away")
        server.restart()
        relay.await_line("redis restarted")
        relay.await_line("relaying roots=nas", times=2)
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
        assert is_alive(daemon.db, server)


@pytest.mark.usefixtures("daemon")
def test_a_relay_ends_at_once_at_sigterm_also_while_redis_is_away(
    site: Site, server: RedisServer
) -> None:
    with relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay:
        ready(site, relay, server)
        server.kill()
        plant(site.disk, {"c.mp3": tagged(title="C")})
        relay.await_line("redis away")
        assert relay.end(within_s=10) == 0


def test_a_file_that_was_closed_there_need_not_stand_still_here(
    site: Site, server: RedisServer
) -> None:
    with (
        indexing(site, server.address, still=3600) as daemon,
        relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay,
    ):
        ready(site, relay, server)
        plant(site.disk, {"c.mp3": tagged(title="C")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
        plant(site.disk, {"new/d.mp3": tagged(title="D")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C", "new/d.mp3": "D"})


def test_lost_events_have_everything_looked_at(
    site: Site, server: RedisServer, daemon: Daemon
) -> None:
    """The folder is another one, of which no event can tell."""
    with relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay:
        ready(site, relay, server)
        aside = site.disk.with_name("aside")
        site.disk.rename(aside)
        relay.await_line("root left", "action=rescan")
        plant(aside, {"c.mp3": tagged(title="C")})
        aside.rename(site.disk)
        relay.await_line("watching root=nas", times=2)
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})


def test_a_file_that_is_being_written_is_told_when_it_is_whole(
    site: Site, server: RedisServer, daemon: Daemon
) -> None:
    song = tagged(title="C")
    with relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay:
        ready(site, relay, server)
        given = relay.log.count("given hints=")
        with (site.disk / "c.mp3").open("wb") as file:
            file.write(song[: len(song) // 2])
            file.flush()
            plant(site.disk, {"d.mp3": tagged(title="D")})
            daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "d.mp3": "D"})
            assert relay.log.count("given hints=") > given
            file.write(song[len(song) // 2 :])
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C", "d.mp3": "D"})
    problems = run("problems", "--json", db=daemon.db, check=None).objects
    assert problems == []


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["music={disk}"], "the index has no root named music; it has nas"),
        (["{disk}"], "the index has no root named disk; it has nas"),
        (["nas={share}"], "is a share here, too"),
        (["nas={disk}/none"], "/none does not exist: name a folder that does"),
        (["nas="], "nas=: expected NAME=FOLDER"),
        (["nas={disk}", "other={disk}/b"], "other and nas share folders"),
        (["nas={disk}", "nas={disk}/b"], "two folders are named nas"),
        ([], "no root is named: `watcher relay NAME=FOLDER`"),
    ],
)
def test_a_wrong_folder_or_name_is_wrong_use(
    words: list[str], told: str, site: Site, server: RedisServer
) -> None:
    given = [word.format(disk=site.disk, share=site.share) for word in words]
    with relaying(*given, folder=site.there, config=quick(server.address), until=None) as relay:
        assert relay.process.wait(30) == 2
    assert told in relay.log


def test_the_settings_may_name_the_folders(site: Site, server: RedisServer, daemon: Daemon) -> None:
    config = quick(server.address) + f'[roots.nas]\npath = "{site.disk}"\n'
    with relaying(folder=site.there, config=config) as relay:
        ready(site, relay, server)
        plant(site.disk, {"c.mp3": tagged(title="C")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})


def test_a_relay_waits_for_a_worker_and_says_so(site: Site, server: RedisServer) -> None:
    with relaying(
        f"nas={site.disk}", folder=site.there, config=quick(server.address), until=None
    ) as relay:
        relay.await_line("waiting", "start `indexer worker` where the index is")
        assert relay.end() == 0


# Between two machines


class Cable:
    """A network of two, and a name of the namespace at the other end."""

    here = "10.213.97.1"

    def __init__(self) -> None:
        self._name = f"mi{os.getpid()}"
        self.at_server = ("ip", "netns", "exec", self._name)

    def plug(self) -> None:
        """Connect the two."""
        near, far = f"{self._name}a", f"{self._name}b"
        ip("netns", "add", self._name)
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self._name)
        ip("address", "add", f"{self.here}/30", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", self._name, "address", "add", "10.213.97.2/30", "dev", far)
        ip("-n", self._name, "link", "set", far, "up")

    def cut(self) -> None:
        """Have nothing come through; no end is told."""
        ip("-n", self._name, "route", "add", "blackhole", f"{self.here}/32")

    def mend(self) -> None:
        """Have all come through again."""
        ip("-n", self._name, "route", "del", "blackhole", f"{self.here}/32")

    def unplug(self) -> None:
        """Remove both ends."""
        subprocess.run(["ip", "netns", "del", self._name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"{self._name}a"], check=False, capture_output=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    if not can_be_root():
        pytest.skip("only root may make a network")
    made = Cable()
    try:
        try:
            made.plug()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this machine does not let root make a network: {error}")
        yield made
    finally:
        made.unplug()


def test_what_happens_while_the_network_is_away_is_told_when_it_is_back(
    site: Site, cable: Cable, tmp_path: Path
) -> None:
    with closing(socket.create_server((cable.here, 0))) as free:
        port = free.getsockname()[1]
    with (
        redis_server(
            tmp_path / "redis", "--bind", cable.here, "--port", str(port), "--protected-mode", "no"
        ) as server,
        indexing(site, server.address) as daemon,
        relaying(
            f"nas={site.disk}",
            folder=site.there,
            config=quick(f"redis://{cable.here}:{port}/0"),
            prefix=cable.at_server,
        ) as relay,
    ):
        ready(site, relay, server)
        plant(site.disk, {"c.mp3": tagged(title="C")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
        cable.cut()
        (site.disk / "c.mp3").unlink()
        plant(site.disk, {"new/d.mp3": tagged(title="D")})
        relay.await_line("redis away")
        cable.mend()
        relay.await_line("redis back")
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "new/d.mp3": "D"})
        assert "redis restarted" not in relay.log
        assert is_alive(daemon.db, server)


@pytest.mark.usefixtures("daemon")
def test_a_name_of_the_index_that_cannot_be_read_is_asked_for(
    site: Site, server: RedisServer
) -> None:
    """Of another version, or of another program."""
    server.client().set("music-indexer:index", b"{}\xff")
    with relaying(f"nas={site.disk}", folder=site.there, config=quick(server.address)) as relay:
        ready(site, relay, server)
        server.client().set("music-indexer:index", b"[]")
        relay.await_line("relaying roots=nas", times=2)
        assert relay.end() == 0
    server.client().set("music-indexer:relay:nas", b"[]")
    status = run("status", "--json", db=site.db, env={"INDEXER_REDIS": server.address}).object
    assert status["redis"]["answers"]
    assert "relay" not in status["roots"][0]


def test_sighup_has_the_settings_read_again_and_changes_are_told_on(
    site: Site, server: RedisServer, daemon: Daemon
) -> None:
    config = quick(server.address)
    with relaying(f"nas={site.disk}", folder=site.there, config=config) as relay:
        ready(site, relay, server)
        relay.process.send_signal(signal.SIGHUP)
        relay.await_line("reloaded changed=nothing")
        (site.there / "relay.toml").write_text("no settings\n")
        relay.process.send_signal(signal.SIGHUP)
        relay.await_line("reload refused", "the old settings stay")
        (site.there / "relay.toml").write_text(config + "quiet = 0.01\n")
        relay.process.send_signal(signal.SIGHUP)
        relay.await_line("reloaded changed=quiet")
        relay.await_line("relaying roots=nas", times=2)
        plant(site.disk, {"c.mp3": tagged(title="C")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
        assert is_alive(daemon.db, server)
        assert relay.end() == 0
        assert not is_alive(daemon.db, server)


# Who may


class Secured:
    """A Redis with TLS and a password, and what a client of it needs."""

    def __init__(self, folder: Path, server: RedisServer, port: int) -> None:
        self.server = server
        self.certificate = folder / "server.crt"
        self._port = port

    def address(self, password: str = "open sesame") -> str:
        return (
            f"rediss://:{quote(password)}@localhost:{self._port}/0?ssl_ca_certs={self.certificate}"
        )


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    folder = tmp_path / "secured"
    folder.mkdir()
    key, certificate = certified(folder)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with redis_server(
        tmp_path / "redis", "--tls-port", str(port), "--tls-cert-file", str(certificate),
        "--tls-key-file", str(key), "--tls-auth-clients", "no",
    ) as server:  # fmt: skip
        server.client().config_set("requirepass", "open sesame")
        yield Secured(folder, server, port)


def test_a_relay_uses_tls_and_a_password_and_shows_neither(site: Site, secured: Secured) -> None:
    with (
        indexing(site, secured.address()) as daemon,
        relaying(
            f"nas={site.disk}",
            folder=site.there,
            config=quick(secured.address()).replace("redis = ", "#redis = "),
            env={"INDEXER_REDIS": secured.address()},
        ) as relay,
    ):
        plant(site.disk, {"c.mp3": tagged(title="C")})
        daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
        words = Path(f"/proc/{relay.process.pid}/cmdline").read_bytes()
        for shown in (words.decode(), relay.log, daemon.log):
            assert "sesame" not in shown


def test_a_wrong_password_is_told_at_once(site: Site, secured: Secured) -> None:
    config = quick(secured.address("guessed"))
    with relaying(f"nas={site.disk}", folder=site.there, config=config, until=None) as relay:
        assert relay.process.wait(30) == 3
    assert "Redis refuses" in relay.log
    assert "check the user and password in `redis`" in relay.log
    assert "guessed" not in relay.log


def test_a_certificate_that_is_not_trusted_is_told_at_once(site: Site, secured: Secured) -> None:
    config = quick(secured.address().partition("?")[0])
    with relaying(f"nas={site.disk}", folder=site.there, config=config, until=None) as relay:
        assert relay.process.wait(30) == 3
    assert "its certificate is not trusted" in relay.log
    assert "ssl_ca_certs=" in relay.log
    assert "sesame" not in relay.log


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("order", "told"),
    [
        (RelayOrder(index="another", hints=(FolderHint(root="nas"),)), "for another index"),
        (RelayOrder(index="{own}", hints=(FolderHint(root="x"),)), "changes of a root 'x'"),
        (
            RelayOrder(index="{own}", hints=(FolderHint(root="nas", folder=PathText("../etc")),)),
            "leads out of its root",
        ),
        (
            RelayOrder(index="{own}", hints=(FolderHint(root="nas", names=(PathText("/etc"),)),)),
            "leads out of its root",
        ),
        (
            RelayOrder(
                index="{own}",
                hints=(FolderHint(root="nas"),),
                closed=(("nas", PathText("../x")),),
            ),
            "leads out of its root",
        ),
    ],
)
def test_a_hint_that_is_not_for_this_index_is_refused(
    order: RelayOrder, told: str, site: Site, server: RedisServer
) -> None:
    own = str(rows(site.db, "SELECT token FROM identity")[0][0])
    order = replace(order, index=order.index.replace("{own}", own))
    link = RelayLink(Settings(db=site.db, redis=server.address), "nas")
    link.give(order, 0.0)
    link.close()
    eventually(lambda: failed(server.client()))
    (line,) = run(
        "queues", "failed", "--json", db=site.db, env={"INDEXER_REDIS": server.address}
    ).objects
    assert told in json.dumps(line)
    assert rows(site.db, "SELECT count(*) FROM pending") == [(0,)]


def test_hints_of_a_root_that_the_index_has_are_not_lost_with_those_of_another(
    site: Site, server: RedisServer, daemon: Daemon
) -> None:
    own = str(rows(site.db, "SELECT token FROM identity")[0][0])
    hints = (FolderHint(root="renamed", recursive=True), FolderHint(root="nas", recursive=True))
    link = RelayLink(Settings(db=site.db, redis=server.address), "nas")
    plant(site.disk, {"c.mp3": tagged(title="C")})
    link.give(RelayOrder(index=own, hints=hints), 0.0)
    link.close()
    daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
    eventually(lambda: failed(server.client()))


def test_an_index_that_was_put_back_from_a_copy_is_told_too(
    site: Site, server: RedisServer
) -> None:
    """The worker goes on meanwhile; the first hint is for the index that was there before."""
    config = quick(server.address, **NEVER_POLLED)
    copy = site.db.with_name("copy.db")
    run("rebuild", site.share, db=site.db, config="still = 0.05\n")
    run("backup", copy, db=site.db)
    with (
        crew(db=site.db, config=config),
        relaying(
            f"nas={site.disk}", folder=site.there, config=quick(server.address), until=None
        ) as relay,
    ):
        with watching(site.share, db=site.db, config=config, until=None) as daemon:
            daemon.await_line("polling root=nas")
            relay.await_line("relaying")
            ready(site, relay, server)
            assert daemon.end() == 0
        run("rebuild", "--from", copy, db=site.db, config="still = 0.05\n")
        with watching(site.share, db=site.db, config=config, until=None) as daemon:
            daemon.await_line("polling root=nas")
            plant(site.disk, {"c.mp3": tagged(title="C")})
            relay.await_line("relaying", times=2)
            daemon.shows({"a.mp3": "A", "b/b.mp3": "B", "c.mp3": "C"})
