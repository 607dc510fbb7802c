"""The programs do their work under the restrictions of their units, and can do no more."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests import confined
from tests.corpus import plant, tagged
from tests.daemons import Daemon
from tests.programs import AT_MOST_S, ENVIRONMENT, can_be_root, eventually
from tests.redis_servers import redis_server

UNITS = Path(__file__).parents[2] / "deploy"
USER = 65534
DATABASE = f"{confined.STATE}/library.db"
PROBE = """
import ctypes, errno, mmap, os, socket, sys
def refused(name, attempt):
    try:
        attempt()
    except OSError as error:
        print(name, errno.errorcode[error.errno])
    else:
        print(name, "done")
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    if libc.syscall(number, *words) < 0:
        raise OSError(ctypes.get_errno(), "")
refused("state", lambda: open("/var/lib/music-indexer/probe", "w").close())
refused("music", lambda: open("/srv/music/probe", "w"))
refused("etc", lambda: open("/etc/probe", "w"))
refused("tmp", lambda: open("/tmp/probe", "w").close())
refused("sysctl", lambda: open("/proc/sys/kernel/hostname", "w"))
refused("packet", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
refused("inet", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close())
refused("code", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC))
refused("namespace", lambda: call(272 if os.uname().machine == "x86_64" else 97, 0x10000000))
refused("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
refused("batch", lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)))
refused("setuid", lambda: os.chmod("/var/lib/music-indexer/probe", 0o4700))
refused("mount", lambda: call(165 if os.uname().machine == "x86_64" else 40, 0, 0, 0, 0, 0))
refused("other", lambda: os.listdir("/proc/1"))
print("held", *[line.split()[1] for line in open("/proc/self/status") if line[:6] in
    ("CapEff", "CapBnd", "NoNewP")], len(os.listdir("/srv/music")))
"""


@pytest.fixture(autouse=True)
def tools() -> None:
    """Skip where this cannot be tried."""
    if not can_be_root():
        pytest.skip("only root may give up rights as systemd does")
    for name in ("unshare", "setpriv", "systemd-analyze"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    nobody = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    enters = [*nobody, sys.executable, "-P", "-c", "import tests"]
    if subprocess.run(enters, env=ENVIRONMENT, capture_output=True, check=False).returncode:
        pytest.skip("the checkout is in a folder that a user without rights may not enter")
    if ctypes.util.find_library("seccomp") is None:
        pytest.skip("libseccomp is not installed")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    return folder


def started(unit: str, music: Path, state: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        confined.command(UNITS / unit, music, state, USER, *words),
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(unit: str, music: Path, state: Path, *words: str) -> str:
    """What a program printed that ended well."""
    with started(unit, music, state, *words) as process:
        out, err = process.communicate(timeout=AT_MOST_S)
    assert process.returncode == 0, out + err
    return out


@contextmanager
def watching(music: Path, state: Path) -> Iterator[Daemon]:
    """The daemon, under the restrictions of its unit, with files that another user owns.

    None of them would be read now without the right to ask for a read lease.
    """
    config = state / "config.toml"
    config.write_text("still = 600\nworkers = 1\nprobe_interval = 0.2\n")
    config.chmod(0o644)
    log = state.parent / "watcher.log"
    words = ["-P", "-m", "watcher", "--db", DATABASE, "--config", f"{confined.STATE}/config.toml",
             "run", "--verbose", confined.MUSIC]  # fmt: skip
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            confined.command(
                UNITS / "music-watcher.service", music, state, USER, sys.executable, *words
            ),
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stderr=errors,
        ) as process,
    ):
        daemon = Daemon(process, state / "library.db", log)
        try:
            daemon.watches()
            yield daemon
        finally:
            process.kill()


def test_the_daemon_lives_under_the_restrictions_of_its_unit(music: Path, state: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b/odd.flac": tagged(".flac", title="B")})
    with watching(music, state) as daemon:
        daemon.shows({"a.mp3": "A", "b/odd.flac": "B"})
        plant(music, {"c/c.ogg": tagged(".ogg", title="C")})
        (music / "a.mp3").rename(music / "b/a.mp3")
        daemon.shows({"b/a.mp3": "A", "b/odd.flac": "B", "c/c.ogg": "C"})
        # mutagen reads this one, in a process with limits of its own
        plant(music, {"d.ape": tagged(".ape", title="D"), "bad.mp3": b"no music" * 99})
        daemon.shows({"b/a.mp3": "A", "b/odd.flac": "B", "c/c.ogg": "C", "d.ape": "D"})
        assert daemon.end(signal.SIGTERM) == 0
    assert "Traceback" not in daemon.log


def test_the_copy_and_the_comparison_work_under_theirs(music: Path, state: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, state) as daemon:
        daemon.shows({"a.mp3": "A"})
        words = (sys.executable, "-P", "-m", "indexer", "--db", DATABASE)
        said("music-backup.service", music, state, *words, "backup", "--keep", "7",
             f"{confined.STATE}/backups")  # fmt: skip
        assert len(list((state / "backups").iterdir())) == 1
        out = said("music-verify.service", music, state, *words, "verify")
        assert "index equals disk" in out
    eventually(lambda: daemon.process.poll() is not None)


def test_the_metrics_know_the_daemon_though_it_has_a_right_more(music: Path, state: Path) -> None:
    with watching(music, state):
        words = (sys.executable, "-P", "-m", "indexer", "--db", DATABASE, "metrics")
        out = said("music-metrics.service", music, state, *words)
    assert "\nmusic_indexer_up 1.0\n" in out
    assert 'music_indexer_process_resident_memory_bytes{host="' in out
    assert 'role="daemon"' in out


def test_a_relay_watches_and_reaches_redis_under_the_restrictions_of_its_unit(
    music: Path, state: Path, tmp_path: Path
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    words = (sys.executable, "-P", "-m", "watcher", "relay", f"music={confined.MUSIC}")
    with (
        redis_server(tmp_path / "redis", "--port", str(port)),
        subprocess.Popen(
            confined.command(UNITS / "music-relay.service", music, state, USER, *words),
            env={**ENVIRONMENT, "INDEXER_REDIS": f"redis://127.0.0.1:{port}/0"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as relay,
    ):
        assert relay.stderr is not None
        lines: list[str] = []
        for line in relay.stderr:
            lines.append(line)
            if "start `indexer worker` where the index is" in line:
                break
        relay.terminate()
        assert relay.wait(AT_MOST_S) == 0, lines
        assert any("watching root=music" in line for line in lines), lines


@pytest.mark.parametrize(
    ("unit", "capabilities", "inet"),
    [
        ("music-watcher.service", "0000000010000000", "done"),
        ("music-worker@.service", "0000000010000000", "done"),
        ("music-verify.service", "0000000000000000", "EAFNOSUPPORT"),
        ("music-backup.service", "0000000000000000", "EAFNOSUPPORT"),
    ],
)
def test_what_a_unit_forbids_is_refused(
    unit: str, capabilities: str, inet: str, music: Path, state: Path
) -> None:
    """That the restrictions are there, which the tests above are about."""
    out = said(unit, music, state, sys.executable, "-I", "-c", PROBE)
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert told == {
        "state": "done", "music": "EROFS", "etc": "EROFS", "tmp": "done", "sysctl": "EROFS",
        "packet": "EAFNOSUPPORT", "inet": inet, "code": "EPERM", "namespace": "EPERM",
        "realtime": "EPERM", "batch": "done", "setuid": "EPERM", "mount": "EPERM",
        "other": "ENOENT", "held": f"{capabilities} {capabilities} 1 0",
    }  # fmt: skip
