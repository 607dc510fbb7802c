"""What our processes never do: listen, write below a root, or leave a file that others may read."""

from __future__ import annotations

import grp
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.corpus import Tree, noise, plant, tagged
from tests.daemons import QUICK, Daemon, watching
from tests.programs import can_be_root, rows, run
from tests.redis_servers import redis_server
from tests.rq_workers import crew, is_quiet, quick

TREE: Tree = {
    **{f"Album/{n}.mp3": tagged(title=f"Song {n}") for n in range(6)},
    "Album/cover.jpg": b"\xff\xd8\xff\xe0",
    "Other/a.flac": tagged(".flac", title="Flac"),
    "Other/bad.mp3": noise(),
    ".indexignore": b"ignored\n",
    "ignored/1.mp3": tagged(title="Ignored"),
}
SHOWN = {**{f"Album/{n}.mp3": f"Song {n}" for n in range(6)}, "Other/a.flac": "Flac"}
NEW: Tree = {"New/1.mp3": tagged(title="New"), "Album/0.mp3": tagged(title="Retagged")}
SHOWN_THEN = {**SHOWN, "New/1.mp3": "New", "Album/0.mp3": "Retagged"}


@pytest.fixture
def no_db(tmp_path: Path) -> Path:
    """Where an index will be; nothing is there yet."""
    return tmp_path / "index" / "library.db"


@pytest.fixture
def db(no_db: Path, empty_index: Path) -> Path:
    """An index in which nothing stands."""
    no_db.parent.mkdir(mode=0o700)
    shutil.copyfile(empty_index, no_db)
    no_db.chmod(0o600)
    return no_db


# --- the network


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def networked(processes: Iterable[psutil.Process]) -> list[str]:
    """Sockets of these processes that another machine could reach, or that reach another."""
    inodes: dict[str, str] = {}
    for process in processes:
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                target = link.readlink().name
            except FileNotFoundError:  # closed a moment ago
                continue
            if found := re.fullmatch(r"socket:\[(\d+)\]", target):
                inodes[found[1]] = " ".join(process.cmdline()[-3:])
    reached = []
    for protocol in ("tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6", "packet"):
        table = Path("/proc/net") / protocol
        for line in table.read_text("ascii").splitlines()[1:] if table.exists() else ():
            words = line.split()
            reached += [
                f"{protocol} {words[1]} of {inodes[one]}" for one in inodes.keys() & set(words)
            ]
    return reached


def test_a_socket_on_the_network_is_seen() -> None:
    here = [psutil.Process()]
    before = networked(here)
    with socket.socket() as listening, socket.socket(type=socket.SOCK_DGRAM) as bound:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        bound.bind(("127.0.0.1", 0))
        assert len(networked(here)) == len(before) + 2


def test_a_daemon_and_its_readers_hold_no_socket_of_a_network(music: Path, db: Path) -> None:
    plant(music, TREE)
    run("roots", "add", music, db=db)
    with watching(db=db, config="workers = 2\nsmall_work = 0\nstill = 0.05\n") as daemon:
        daemon.shows(SHOWN)
        plant(music, {f"more/{n}.mp3": tagged(title=str(n)) for n in range(300)})
        seen = set()
        while len(rows(db, "SELECT id FROM library")) < 300 + len(SHOWN):
            processes = family(daemon.pid)
            seen |= {process.pid for process in processes}
            assert networked_now(processes) == []
        assert len(seen) >= 2, "its readers were never there"
        daemon.is_right()
        assert networked(family(daemon.pid)) == []


def networked_now(processes: Iterable[psutil.Process]) -> list[str]:
    """The same, for processes of which some may just have ended."""
    try:
        return networked(processes)
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return []


def test_workers_with_redis_on_a_unix_socket_hold_no_socket_of_a_network(
    music: Path, db: Path
) -> None:
    plant(music, TREE)
    run("roots", "add", music, db=db)
    with redis_server(db.parent / "redis") as server:
        client = server.client()
        config = quick(server.address)
        with crew(db=db, config=config, client=client) as working:
            with watching(db=db, config=config) as daemon:
                daemon.shows(SHOWN)
                plant(music, NEW)
                daemon.shows(SHOWN_THEN)
                is_quiet(db)
                assert working.done(client) > 0
                processes = [*family(daemon.pid), *family(working.pid)]
                assert len(processes) >= 4
                assert networked(processes) == []
            assert modes_of(db.parent, "redis") == []


# --- below the root


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


@pytest.fixture
def read_only(music: Path) -> list[str]:
    """What starts a program in a mount namespace in which it cannot write to `music`."""
    tool = shutil.which("unshare")
    if tool is None or not can_be_root():
        pytest.skip("only root may mount")
    prefix = [tool, "--mount", "bash", "-c", READ_ONLY, "-", str(music)]
    probe = subprocess.run(
        [*prefix, "touch", music / "probe"], capture_output=True, text=True, check=False
    )
    if "Read-only file system" not in probe.stderr:
        pytest.skip(f"this machine does not let root mount: {probe.stderr.strip()}")
    return prefix


def test_a_library_that_cannot_be_written_to_is_indexed_and_followed(
    music: Path, db: Path, read_only: list[str]
) -> None:
    """The files are changed from outside of the namespace."""
    plant(music, TREE)
    report = run("rebuild", music, "--json", db=db, prefix=read_only).object
    assert (report["added"], report["problems"]) == (len(SHOWN), 1)
    with watching(db=db, prefix=read_only) as daemon:
        plant(music, NEW)
        (music / "Album" / "5.mp3").rename(music / "moved.mp3")
        plant(music, {"Other/.nomedia": b""})
        expected = {**SHOWN_THEN, "moved.mp3": "Song 5"}
        del expected["Album/5.mp3"], expected["Other/a.flac"]
        daemon.shows(expected)
        daemon.is_right()
        for words in (["status"], ["search", "song"], ["problems"], ["verify", "--deep"]):
            run(*words, db=db, prefix=read_only, check=None)
        assert run("scan", "--json", db=db, prefix=read_only).object["interrupted"] is False
        assert daemon.end() == 0
        assert "Read-only" not in daemon.log
        assert "EROFS" not in daemon.log
    assert run("verify", "--deep", "--json", db=db, prefix=read_only).object["ok"]


def test_workers_read_a_library_that_they_cannot_write_to(
    music: Path, db: Path, read_only: list[str]
) -> None:
    plant(music, TREE)
    run("roots", "add", music, db=db, prefix=read_only)
    with redis_server(db.parent / "redis") as server:
        client = server.client()
        config = quick(server.address)
        with (
            crew(db=db, config=config, client=client, prefix=read_only) as working,
            watching(db=db, config=config, prefix=read_only) as daemon,
        ):
            plant(music, NEW)
            daemon.shows(SHOWN_THEN)
            is_quiet(db)
            assert working.done(client) > 0
        assert run("verify", "--deep", "--json", db=db).object["ok"]


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """All that a write would change, and when each audio file was read last.

    Not so for folders and ignore files, which are read as everybody reads them.
    """
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        found[str(path)] = (
            *(status.st_mode, status.st_ino, status.st_nlink, status.st_uid, status.st_gid),
            *(status.st_size, status.st_mtime_ns, status.st_ctime_ns),
            status.st_atime_ns if path.suffix in {".mp3", ".flac"} else None,
            tuple(os.listxattr(path, follow_symlinks=False)),
        )
    return found


def test_a_library_that_could_be_written_to_is_left_as_it_was(music: Path, db: Path) -> None:
    """Not even the time of the last reading of a file changes, where a reading would change it."""
    plant(music, TREE)
    for path in (*music.rglob("*.mp3"), *music.rglob("*.flac")):
        os.utime(path, ns=(1_000_000_000, 2_000_000_000))
    probe = music / "Album" / "cover.jpg"
    os.utime(probe, ns=(1_000_000_000, 2_000_000_000))
    probe.read_bytes()
    assert probe.stat().st_atime_ns > 2_000_000_000, "this file system keeps no such times"
    before = snapshot(music)
    run("rebuild", music, db=db)
    run("scan", db=db)
    run("rebuild", db=db)
    run("verify", "--deep", db=db)
    for words in (["status"], ["search", "song"], ["show", music / "Album/0.mp3"], ["export"]):
        run(*words, db=db)
    with watching(db=db) as daemon:
        daemon.shows(SHOWN)
        run("rebuild", db=db)
        daemon.is_right()
        assert daemon.end() == 0
    with redis_server(db.parent / "redis") as server:
        client = server.client()
        config = quick(server.address)
        with crew(db=db, config=config, client=client) as working:
            run("rebuild", "--queue", db=db, config=config)
            assert working.done(client) > 0
    assert snapshot(music) == before


def test_nothing_is_opened_for_writing_but_what_belongs_to_the_index(
    music: Path, db: Path, tmp_path: Path
) -> None:
    """Whatever the processes of a daemon and of a rebuild create or open to write, by strace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "calls"
    calls = "open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,"
    calls += "symlinkat,truncate,mknod,mknodat,utimensat,chmod,fchmodat,chown,fchownat"
    trace = [strace, "-f", "-y", "-qq", "-e", f"trace={calls}", "-o", str(log)]
    probe = subprocess.run([*trace, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()}")
    plant(music, TREE)
    home = tmp_path / "home"
    home.mkdir()
    env = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    run("rebuild", music, db=db, prefix=trace, env=env)
    first = list(written(log))
    with watching(db=db, prefix=trace, env=env) as daemon:
        plant(music, NEW)
        daemon.shows(SHOWN_THEN)
    elsewhere = {
        line
        for line in [*first, *written(log)]
        if f"{db.parent}/" not in line and "/dev/null" not in line
    }
    assert first
    assert elsewhere == set()
    assert list(home.iterdir()) == []


def written(log: Path) -> Iterator[str]:
    """The calls that succeeded and that make, change or open something to change it."""
    for line in log.read_text("utf-8", "replace").splitlines():
        call = line.partition(" ")[2].strip()
        if "= -1 " in line or "resumed>" in call or "+++" in call or "---" in call:
            continue
        opens = call.startswith(("open(", "openat("))
        if not opens or re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)", call):
            yield call


# --- modes


def modes_of(folder: Path, *but: str) -> list[str]:
    """What others may do with what lies there, but for a test's own files."""
    return [
        f"{oct(mode)} {path.name}"
        for path in folder.iterdir()
        if path.name not in {"watcher.log", "watcher.toml", "worker.log", "worker.toml", *but}
        and (mode := stat.S_IMODE(path.lstat().st_mode)) & 0o077
    ]


WITHOUT_UMASK = ["bash", "-c", 'umask 0; exec "$@"', "-"]


def test_all_that_a_daemon_keeps_is_its_users_own_whatever_the_umask_says(
    music: Path, no_db: Path, tmp_path: Path
) -> None:
    plant(music, TREE)
    run("rebuild", music, db=no_db, prefix=WITHOUT_UMASK)
    assert stat.S_IMODE(no_db.parent.stat().st_mode) == 0o700
    with watching(db=no_db, prefix=WITHOUT_UMASK) as daemon:
        plant(music, NEW)
        daemon.shows(SHOWN_THEN)
        assert modes_of(no_db.parent) == []
        suffixes = {path.name.removeprefix(no_db.name) for path in no_db.parent.iterdir()}
        assert suffixes >= {"", "-wal", "-shm", ".lock"}
        assert any(stat.S_ISSOCK(path.lstat().st_mode) for path in no_db.parent.iterdir())
    run("backup", tmp_path / "copy.db", db=no_db, prefix=WITHOUT_UMASK)
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600


def test_all_that_workers_keep_is_their_users_own_whatever_the_umask_says(
    music: Path, db: Path
) -> None:
    plant(music, TREE)
    run("roots", "add", music, db=db)
    with redis_server(db.parent / "redis") as server:
        client = server.client()
        config = quick(server.address)
        with (
            crew(db=db, config=config, client=client, prefix=WITHOUT_UMASK),
            watching(db=db, config=config, prefix=WITHOUT_UMASK) as daemon,
        ):
            daemon.shows(SHOWN)
            assert modes_of(db.parent, "redis") == []


def test_a_group_is_given_all_of_it_and_nobody_else_any(music: Path, no_db: Path) -> None:
    if not can_be_root():
        pytest.skip("only root may give files to any group")
    gid = grp.getgrnam("audio").gr_gid
    plant(music, TREE)
    settings = QUICK + 'group = "audio"\n'
    config = music.parent / "group.toml"
    config.write_text(settings)
    for prefix in (["bash", "-c", 'umask 077; exec "$@"', "-"], WITHOUT_UMASK):
        shutil.rmtree(no_db.parent, ignore_errors=True)
        run("rebuild", music, db=no_db, prefix=prefix, env={"INDEXER_CONFIG": str(config)})
        with watching(db=no_db, config=settings, prefix=prefix) as daemon:
            daemon.shows(SHOWN)
            assert_given(no_db, gid)
            daemon.is_right()
    assert stat.S_IMODE(no_db.parent.stat().st_mode) == 0o3770


def assert_given(db: Path, gid: int) -> None:
    for path in db.parent.iterdir():
        if path.name.startswith(db.name):
            status = path.lstat()
            assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, gid), path.name


def test_a_daemon_sets_no_umask_of_its_own(music: Path, db: Path) -> None:
    """So what it starts (readers, a migration) inherits its user's, and needs none."""
    plant(music, TREE)
    run("roots", "add", music, db=db)
    for mask in ("0022", "0077", "0000"):
        prefix = ["bash", "-c", f'umask {mask}; exec "$@"', "-"]
        with watching(db=db, prefix=prefix) as daemon:
            assert umask_of(daemon) == int(mask, 8)


def umask_of(daemon: Daemon) -> int:
    lines = Path(f"/proc/{daemon.pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))
