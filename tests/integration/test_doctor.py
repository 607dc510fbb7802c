"""`indexer doctor` on real folders, disks, users and servers."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexer.disk.access import access_to
from indexer.disk.mounts import Mount as Mounted
from indexer.doctor import Doctor
from indexer.runs.lock import DispatchLock, LockInfo, ReloadInfo
from indexer.settings import Settings
from tests.corpus import plant, tagged
from tests.programs import Word, run
from tests.redis_servers import redis_server
from tests.screens import screen

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")

Findings = list[tuple[str, str, str, str | None]]


def findings(*words: Word, db: Path, code: int = 0, config: str | None = None) -> Findings:
    """(check, state, detail, remedy) of each finding."""
    ran = run("doctor", *words, "--json", db=db, check=code, config=config)
    return [(one["check"], one["state"], one["detail"], one["remedy"]) for one in ran.objects]


def of(check: str, found: Findings) -> list[tuple[str, str, str | None]]:
    return [one[1:] for one in found if one[0] == check]


def test_its_lines_fit_a_narrow_terminal_but_for_long_words_and_commands(
    db: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "m"
    empty.mkdir()
    run("rebuild", empty, db=db)
    shown = screen("doctor", db=db, columns=45).splitlines()
    too_wide = [line for line in shown if len(line) > 45]
    assert all("/" in line and len(line.split()) <= 4 for line in too_wide), too_wide
    assert "no music in" in " ".join(shown)


@pytest.fixture
def open_music(music: Path) -> Iterator[Path]:
    """A folder of music that every user may enter, with one file."""
    plant(music, {"Debut/a.mp3": tagged(title="A")})
    shut = [one for one in music.parents if os.stat(one).st_mode & 0o005 != 0o005]
    modes = {one: os.stat(one).st_mode for one in shut}
    for one in shut:
        one.chmod(modes[one] | 0o005)
    yield music
    for one in shut:
        one.chmod(modes[one])


def test_a_sound_installation_has_no_fault(music: Path, db: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    run("rebuild", music, db=db)
    found = findings(db=db)
    assert {check for check, state, _, _ in found if state == "fault"} == set()
    assert of("root", found) == [
        ("ok", f"music: {pwd.getpwuid(os.geteuid()).pw_name} can read 1 file in 1 folder", None)
    ]
    assert of("index", found) == [("ok", f"{db}: 1 track", None)]
    assert of("daemon", found)[0][0] == "warning"


@contextmanager
def a_daemon_that_says(db: Path, said: LockInfo) -> Iterator[None]:
    lock = DispatchLock.acquire(db, "daemon")
    assert lock is not None
    lock.publish(said)
    yield
    lock.close()


def test_a_daemon_that_was_started_with_other_settings_is_to_be_restarted(
    db: Path, tmp_path: Path
) -> None:
    restart = "systemctl restart music-watcher, or stop watcher run and start it again"
    queued = f'redis = "unix://{tmp_path / "none.sock"}"\n'
    local, rq = LockInfo(7, "daemon"), LockInfo(7, "daemon", engine="rq")
    waits = LockInfo(7, "daemon", reload=ReloadInfo(1, restart=("db", "group")))
    without = "was started without Redis, which is set now: workers get nothing to do from it"
    for said, config, detail in (
        (local, queued, without),
        (rq, None, "was started with Redis, which is not set now: commands and it differ"),
        (waits, None, "has other values than the settings now: db, group"),
    ):
        with a_daemon_that_says(db, said):
            found = findings(db=db, config=config, code=0 if config is None else 1)
        assert of("daemon", found) == [("warning", f"process 7 {detail}", restart)]
    for said, config in ((local, None), (rq, queued)):
        with a_daemon_that_says(db, said):
            found = findings(db=db, config=config, code=0 if config is None else 1)
        assert of("daemon", found) == [("ok", "process 7 watches 0 folders", None)]


def test_each_line_ends_with_what_to_do(no_db: Path, music: Path) -> None:
    lines = run("doctor", music, db=no_db).out.splitlines()
    at = lines.index(f"warning  root     {music}: no audio file in it")
    assert lines[at + 1].strip() == "is its disk mounted? findmnt"
    assert lines[-1] == "0 faults, 2 warnings"


def test_settings_that_cannot_be_used_are_a_fault_with_their_line(db: Path) -> None:
    (one,) = findings(db=db, code=1, config='\nquiet = "soon"\n')
    assert one[:2] == ("config", "fault")
    assert ":2: quiet" in one[2]


def test_a_folder_that_is_not_there_is_a_fault(db: Path, tmp_path: Path) -> None:
    found = findings(tmp_path / "gone", db=db, code=1)
    assert (
        "fault",
        f"{tmp_path}/gone: there is no such folder",
        "is its disk mounted? findmnt",
    ) in (of("root", found))


@needs_root
def test_a_folder_above_that_may_not_be_entered_is_named(open_music: Path, no_db: Path) -> None:
    open_music.chmod(0o700)
    inner = open_music / "Debut"
    found = findings(inner, "--user", "nobody", db=no_db, code=1)
    ((state, detail, remedy),) = of("root", found)
    assert (state, detail) == ("fault", f"{inner}: {open_music} may not be entered by nobody")
    assert remedy is not None
    run_remedy(remedy)
    assert of("root", findings(inner, "--user", "nobody", db=no_db))[0][0] == "ok"


@needs_root
def test_what_cannot_be_read_is_named_and_its_remedy_mends_it(
    open_music: Path, no_db: Path
) -> None:
    plant(open_music, {b"it's \xff.mp3": tagged(title="B"), "Post/b.mp3": tagged(title="C")})
    os.chmod(os.fsencode(open_music) + b"/it's \xff.mp3", 0o600)
    (open_music / "Post").chmod(0o700)
    found = of("root", findings(open_music, "--user", "nobody", db=no_db, code=1))
    assert [state for state, _, _ in found] == ["fault", "fault"]
    for _, _, remedy in found:
        assert remedy is not None
        run_remedy(remedy)
    ((state, detail, _),) = of("root", findings(open_music, "--user", "nobody", db=no_db))
    assert state == "ok"
    assert detail.endswith("nobody can read 3 files in 3 folders")


@needs_root
def test_a_user_without_a_name_is_its_number(open_music: Path, db: Path) -> None:
    run("rebuild", open_music, db=db)
    os.chown(db, 54321, 54321)
    assert of("root", findings(db=db)) == [
        ("ok", f"{open_music.name}: 54321 can read 1 file in 2 folders", None)
    ]
    (open_music / "Debut").chmod(0o700)
    ((state, _, remedy),) = of("root", findings(db=db, code=1))
    assert state == "fault"
    assert remedy is not None
    run_remedy(remedy)
    assert of("root", findings(db=db))[0][0] == "ok"


def test_an_index_that_cannot_be_created_is_a_fault(
    open_music: Path, nobody: tuple[int, int], powerless: list[str]
) -> None:
    os.chown(open_music, *nobody)
    db = open_music / "new" / "library.db"
    ran = run("doctor", "--json", db=db, check=1, prefix=powerless)
    (found,) = [one for one in ran.objects if one["check"] == "index"]
    assert found["state"] == "fault"
    assert f"this user may not write to {open_music}" in found["detail"]
    assert "--db FILE" in found["remedy"]


def test_a_link_that_is_not_followed_is_no_file(music: Path, no_db: Path, tmp_path: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A")})
    (music / "nowhere.mp3").symlink_to("/nowhere")
    (music / "b.mp3").symlink_to("a.mp3")
    os.mkfifo(music / "c.mp3")
    plant(tmp_path / "beside", {"d.mp3": tagged(title="D")})
    (music / "outside.mp3").symlink_to(tmp_path / "beside" / "d.mp3")
    me = pwd.getpwuid(os.geteuid()).pw_name
    for config, files in ((None, "1 file"), ("follow_links = true\n", "2 files")):
        found = of("root", findings(music, db=no_db, config=config))
        assert found == [("ok", f"{music}: {me} can read {files} in 1 folder", None)]


@needs_root
def test_a_followed_link_to_what_may_not_be_read_is_named(open_music: Path, no_db: Path) -> None:
    plant(open_music, {".store/b.mp3": tagged(title="B")})
    (open_music / "b.mp3").symlink_to(".store/b.mp3")
    (open_music / ".store" / "b.mp3").chmod(0o600)
    found = of("root", findings(
        open_music, "--user", "nobody", db=no_db, code=1, config="follow_links = true\n"
    ))  # fmt: skip
    ((state, detail, remedy),) = found
    assert (state, detail) == (
        "fault", f"{open_music}: {open_music}/b.mp3 may not be read by nobody"
    )  # fmt: skip
    assert remedy is not None
    run_remedy(remedy)
    found = of("root", findings(open_music, "--user", "nobody", db=no_db))
    assert [state for state, _, _ in found] == ["ok"]


def run_remedy(remedy: str) -> None:
    """Type it into a shell."""
    subprocess.run(["bash", "-c", remedy], check=True)


@needs_root
def test_many_files_that_cannot_be_read_are_counted(open_music: Path, no_db: Path) -> None:
    for n in range(9):
        plant(open_music, {f"{n}.mp3": tagged(title=f"{n}")})
        (open_music / f"{n}.mp3").chmod(0o600)
    found = of("root", findings(open_music, "--user", "nobody", db=no_db, code=1))
    assert len(found) == 6
    assert found[-1][1] == f"{open_music}: and 4 more"


@needs_root
def test_a_disk_without_rights_of_its_own_asks_for_other_mount_options(
    open_music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_music.chmod(0o700)
    stick = Mounted(
        id=2, parent=1, device="8:1", fs_root=b"/", point=bytes(open_music), fs_type="vfat",
        source="/dev/sda1",
    )  # fmt: skip
    monkeypatch.setattr("indexer.disk.access.read_mounts", lambda: [stick])
    found = access_to(bytes(open_music), "nobody", lambda _: True, lambda _: True)
    assert [one.remedy for one in found.blocked] == [
        f"add umask=022 to the options of {open_music} in /etc/fstab; mount -o remount {open_music}"
    ]


def test_a_user_that_does_not_exist_is_a_wrong_use(no_db: Path) -> None:
    ran = run("doctor", "--user", "no-such-user", db=no_db, check=2)
    assert ran.err == "indexer: --user no-such-user: there is no such user\n"


def test_a_redis_that_does_not_answer_is_a_fault(db: Path, tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/none.sock"
    found = findings(db=db, code=1, config=f'redis = "{address}"\n')
    ((state, detail, remedy),) = of("redis", found)
    assert state == "fault"
    assert address in detail
    assert remedy == "systemctl start music-redis"


def test_a_redis_that_refuses_is_a_fault_that_no_start_mends(db: Path, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        server.client().config_set("requirepass", "secret")
        address = server.address.replace("unix://", "unix://:guessed@")
        found = findings(db=db, code=1, config=f'redis = "{address}"\n')
    ((state, detail, remedy),) = of("redis", found)
    assert (state, remedy) == ("fault", "see above")
    assert "check the user and password in `redis`" in detail


def test_workers_that_are_suspended_are_warned_of(db: Path, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        server.client().set("rq:suspended", 1)
        found = findings(db=db, config=f'redis = "{server.address}"\n')
    ((state, detail, _),) = of("redis", found)
    assert state == "warning"
    assert "`redis-cli del rq:suspended`" in detail


def test_a_redis_that_answers_is_well(db: Path, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        found = findings(db=db, config=f'redis = "{server.address}"\n')
    assert [state for state, _, _ in of("redis", found)] == ["ok"]


def test_an_index_on_a_share_is_a_fault(no_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = Mounted(
        id=1, parent=1, device="0:1", fs_root=b"/", point=b"/", fs_type="nfs4", source="nas:/x"
    )
    monkeypatch.setattr("indexer.doctor.read_mounts", lambda: [share])
    found = list(Doctor(Settings(db=no_db)).findings())
    faults = [one.detail for one in found if one.check == "index" and one.state == "fault"]
    assert faults == [f"{no_db} lies on nfs4, where SQLite's log is not safe"]
