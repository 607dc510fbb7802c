"""A share that hangs stops nothing: other roots, commands and signals go on without it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from indexer import process
from indexer.shares.helper_client import Helper, Silent
from indexer.shares.messages import Call
from tests.corpus import plant, tagged
from tests.daemons import QUICK, Daemon, watching
from tests.integration.conftest import MakeDisk, Mount, tool
from tests.programs import Ran, eventually, quickest_s, rows, run, started
from tests.redis_servers import RedisServer
from tests.rq_workers import crew, quick
from tests.shares import NoShare, Share, share_of

SOON_S = 4.0
"""Within which everybody is answered whom the share does not concern: less than a look waits."""
OLD_S = 2.5
"""A share may count in steps of two seconds: a file that is younger waits, and a scan ends."""
LOOK_S = 5.0
"""For so long a look at a share waits for it."""

MakeShare = Callable[..., Share]


@pytest.fixture
def share(tmp_path: Path) -> Iterator[MakeShare]:
    """`share(name="nas")`: a share with two songs, which is a folder beside `music`."""
    with ExitStack() as stack:

        def make(name: str = "nas", point: Path | None = None) -> Share:
            source = tmp_path / f"served as {name}"
            plant(source, {"a.mp3": tagged(title="A"), "b/b.mp3": tagged(title="B")})
            try:
                return stack.enter_context(share_of(source, point or tmp_path / name))
            except NoShare as error:
                pytest.skip(str(error))

        yield make


@pytest.fixture
def local(music: Path) -> Path:
    """A root on a disk of this machine."""
    plant(music, {"local.mp3": tagged(title="Local")})
    return music


def source(of: Share) -> Path:
    """What the share shows, which can be changed while it hangs."""
    return of.point.parent / f"served as {of.point.name}"


def timed(*words: str | Path, db: Path, check: int | None = 0, within_s: float = SOON_S) -> Ran:
    """Run a command, which has to end in time: what is asked of a hanging share can be repeated."""
    ran: list[Ran] = []
    took_s = quickest_s(lambda: ran.append(run(*words, db=db, check=check)), enough_s=within_s)
    assert took_s < within_s, f"{words} took {took_s:.1f} s"
    return ran[0]


def shown(db: Path, root: str) -> set[str]:
    return {path for (path,) in rows(db, "SELECT path FROM library WHERE root = ?", root)}


def root_of(status: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = (root for root in status["roots"] if root["name"] == name)
    return dict(one)


def keeps_up(*, local: int = 1, shares: int = 1) -> Callable[[Daemon], None]:
    def wait(daemon: Daemon) -> None:
        if local:
            daemon.await_line("watching root=", times=local)
        if shares:
            daemon.await_line("polling root=", times=shares)

    return wait


def no_helper_is_left(of: int) -> None:
    def none() -> bool:
        found = psutil.process_iter(["cmdline", "ppid"])
        lines = [one.info["cmdline"] or [] for one in found if one.info["ppid"] == of]
        return not any("indexer.shares.helper_process" in line for line in lines)

    eventually(none)


# ---- commands alone


def test_a_share_is_indexed_as_any_disk(share: MakeShare, local: Path, db: Path) -> None:
    nas = share()
    plant(source(nas), {".indexignore": b"secret/\n", "secret/c.mp3": tagged(title="C")})
    report = run("rebuild", local, nas.point, "--json", db=db).object
    assert (report["added"], report["offline"]) == (3, [])
    assert shown(db, "nas") == {"a.mp3", "b/b.mp3"}
    assert run("verify", "--deep", "--json", db=db).object["ok"]
    plant(nas.point, {"b/b.mp3": tagged(title="B again"), "n.mp3": tagged(title="N")})
    (nas.point / "a.mp3").unlink()
    report = run("scan", "--json", db=db).object
    assert (report["added"], report["modified"], report["missing"]) == (1, 1, 1)
    assert run("scan", nas.point / "b", "--json", db=db).object["seen"] == 1
    assert run("scan", nas.point / "n.mp3", "--json", db=db).object["seen"] == 1


def test_a_share_with_many_files_is_read_by_readers_and_listed_in_parts(
    share: MakeShare, db: Path
) -> None:
    nas = share()
    song = tagged(title="One of many")
    plant(source(nas), {f"{n % 90}/{n}.mp3": song for n in range(400)})
    report = run("rebuild", nas.point, "--json", db=db).object
    assert (report["added"], report["problems"]) == (402, 0)
    assert run("scan", "--json", db=db).object["unchanged"] == 402


def test_a_scan_of_another_root_does_not_even_ask_a_share_that_hangs(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    run("rebuild", local, nas.point, db=db)
    nas.hang()
    plant(local, {"new.mp3": tagged(title="New")})
    assert timed("scan", local, "--json", db=db).object["added"] == 1
    assert timed("scan", local / "new.mp3", "--json", db=db).object["unchanged"] == 1


def test_a_scan_of_all_does_the_others_and_reports_the_share(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    run("rebuild", local, nas.point, db=db)
    nas.hang()
    plant(local, {"new.mp3": tagged(title="New")})
    ran = timed("scan", "--json", db=db, check=3, within_s=LOOK_S + 4)
    assert ran.object["added"] == 1
    (told,) = ran.object["offline"]
    assert told.startswith(f"nas: {nas.point} does not answer; see whether its server runs")
    assert shown(db, "nas") == {"a.mp3", "b/b.mp3"}
    told = timed("verify", "--json", db=db, check=3, within_s=LOOK_S + 4).object["offline"]
    assert "does not answer" in told[0]
    nas.go_on()
    assert run("scan", "--json", db=db).object["unchanged"] == 4


def test_status_and_roots_wait_a_second_for_a_share_that_hangs(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas, other = share(), share("other")
    run("rebuild", local, nas.point, other.point, db=db)
    usual_s = quickest_s(lambda: run("status", "--json", db=db), enough_s=0.0, tries=3)
    within_s = usual_s + 1.9  # one second, and not one for each of both
    nas.hang()
    other.hang()
    status = timed("status", "--json", db=db, within_s=within_s).object
    assert root_of(status, "music")["state"] == "idle"
    for name in ("nas", "other"):
        assert root_of(status, name)["state"] == "offline"
        assert "does not answer" in root_of(status, name)["reason"]
    listed = timed("roots", "--json", db=db, within_s=within_s).objects
    assert [one["state"] for one in listed] == ["idle", "offline", "offline"]
    assert len(timed("search", "local", db=db).out.splitlines()) == 1


def test_a_share_that_hangs_is_no_new_root(share: MakeShare, local: Path, db: Path) -> None:
    nas = share()
    run("rebuild", local, db=db)
    nas.hang()
    for words in (("roots", "add"), ("rebuild",)):
        ran = timed(*words, nas.point, db=db, check=3, within_s=LOOK_S + 4)
        assert "does not answer" in ran.err
    assert len(run("roots", "--json", db=db).objects) == 1


def test_a_share_whose_server_died_is_offline_as_any_disk(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    run("rebuild", local, nas.point, db=db)
    nas.die()
    (told,) = run("scan", "--json", db=db, check=3).object["offline"]
    assert "cannot be opened (Transport endpoint is not connected)" in told
    assert shown(db, "nas") == {"a.mp3", "b/b.mp3"}


def test_a_share_below_a_local_root_that_hangs_takes_just_that_root_with_it(
    share: MakeShare, local: Path, tmp_path: Path, db: Path
) -> None:
    other = tmp_path / "other music"
    plant(other, {"other.mp3": tagged(title="Other")})
    nas = share(point=local / "nas")
    assert run("rebuild", local, other, "--json", db=db).object["added"] == 4
    nas.hang()
    plant(other, {"new.mp3": tagged(title="New")})
    report = timed("scan", "--json", db=db, check=3, within_s=LOOK_S + 4).object
    assert report["added"] == 1
    assert report["offline"][0].startswith("music: ")
    assert len(rows(db, "SELECT * FROM library")) == 5


# ---- beside a daemon


def test_a_daemon_goes_on_while_a_share_hangs_and_takes_it_back_by_itself(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    with watching(local, nas.point, db=db, until=keeps_up()) as daemon:
        before = shown(db, "nas")
        nas.hang()
        line = daemon.await_line("offline root=nas")
        assert "does not answer" in line
        for number in range(3):
            plant(local, {f"new {number}.mp3": tagged(title="New")})
            eventually(lambda name=f"new {number}.mp3": name in shown(db, "music"), within_s=SOON_S)  # type: ignore[misc]
        status = timed("status", "--json", db=db).object
        assert root_of(status, "nas")["state"] == "offline"
        assert "does not answer" in root_of(status, "nas")["reason"]
        assert root_of(status, "music")["state"] == "watching"
        assert timed("roots", "--json", db=db).objects[1]["state"] == "offline"
        assert timed("scan", local, "--json", db=db).object["unchanged"] == 4
        (told,) = timed("scan", "--json", db=db, check=3).object["offline"]
        assert "does not answer" in told
        assert shown(db, "nas") == before
        plant(source(nas), {"came meanwhile.mp3": tagged(title="Came")})
        nas.go_on()
        eventually(lambda: "came meanwhile.mp3" in shown(db, "nas"))
        daemon.await_line("polling root=nas", times=2)
        daemon.is_right()
        assert daemon.end() == 0


def test_sigterm_ends_a_daemon_while_it_waits_for_a_share(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    config = QUICK + "reconcile_interval = 0\n"
    with watching(local, nas.point, db=db, config=config, until=keeps_up()) as daemon:
        nas.hang()
        time.sleep(0.5)  # it waits for an answer now
        assert "offline" not in daemon.log
        began = time.monotonic()
        assert daemon.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < SOON_S
        no_helper_is_left(daemon.pid)


def test_sigterm_ends_a_daemon_that_has_given_a_share_up(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    with watching(local, nas.point, db=db, until=keeps_up()) as daemon:
        nas.hang()
        daemon.await_line("offline root=nas")
        began = time.monotonic()
        assert daemon.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < SOON_S


def test_a_scrub_reads_the_others_and_tells_of_a_share_that_hangs(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    run("rebuild", local, nas.point, db=db)
    run("scrub", "--rate", "0", "--days", "0", db=db)
    nas.hang()
    ran = run("scrub", "--rate", "0", "--days", "0", db=db, check=3)
    assert "1 file checked" in ran.out or "1 left out" in ran.out, ran.out
    assert f"nas: {nas.point} does not answer" in ran.err


def test_sigterm_ends_a_scrub_while_it_waits_for_a_share(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    run("rebuild", local, nas.point, db=db)
    nas.hang()
    with started("scrub", "--days", "0", db=db) as scrub:
        eventually(lambda: psutil.Process(scrub.pid).children(), within_s=60)
        time.sleep(0.5)  # its helper waits for an answer now
        assert not scrub.ended
        began = time.monotonic()
        scrub.process.send_signal(signal.SIGTERM)
        ran = scrub.end()
        assert time.monotonic() - began < SOON_S
    assert ran.code == 143
    assert "stopped; run the same command again" in ran.err


def test_a_daemon_starts_while_a_share_hangs(share: MakeShare, local: Path, db: Path) -> None:
    nas = share()
    run("rebuild", local, nas.point, db=db)
    nas.hang()
    with watching(local, nas.point, db=db) as daemon:
        daemon.await_line("offline root=nas")
        plant(local, {"new.mp3": tagged(title="New")})
        eventually(lambda: "new.mp3" in shown(db, "music"), within_s=SOON_S)
        nas.go_on()
        daemon.await_line("polling root=nas")
        daemon.is_right()


def test_a_share_that_hangs_in_the_middle_of_a_look_loses_nothing(
    share: MakeShare, local: Path, db: Path
) -> None:
    nas = share()
    song = tagged(title="One of many")
    config = QUICK + "chunk_files = 10\n"
    with watching(local, nas.point, db=db, config=config, until=keeps_up()) as daemon:
        plant(source(nas), {f"{n % 300}/{n}.mp3": song for n in range(1500)})
        (source(nas) / "a.mp3").unlink()
        time.sleep(OLD_S)
        ran: list[Ran] = []
        with ExitStack() as stack:
            asked = stack.enter_context(started("scan", "--json", db=db))
            daemon.await_line("asked root=nas")
            eventually(lambda: len(shown(db, "nas")) > 50)
            nas.hang()
            ran.append(asked.end())
        assert ran[0].code == 3, ran
        assert "does not answer" in ran[0].object["offline"][0]
        plant(local, {"new.mp3": tagged(title="New")})
        eventually(lambda: "new.mp3" in shown(db, "music"), within_s=SOON_S)
        nas.go_on()
        eventually(lambda: len(shown(db, "nas")) == 1501)
        daemon.is_right()


def test_a_hanging_share_does_not_gather_processes(share: MakeShare, local: Path, db: Path) -> None:
    nas = share()
    with watching(local, nas.point, db=db, until=keeps_up()) as daemon:
        nas.hang()
        daemon.await_line("offline root=nas")
        most = 0
        until = time.monotonic() + 12
        while time.monotonic() < until:
            most = max(most, len(psutil.Process(daemon.pid).children()))
            time.sleep(0.1)
        assert most <= 2


# ---- processes that nothing ends


def test_a_process_that_waits_in_the_kernel_is_left_behind_and_reaped_later(
    mount: Mount, make_disk: MakeDisk, tmp_path: Path
) -> None:
    disk = mount(tmp_path / "frozen", "-o", "loop", make_disk("frozen.img"))
    freeze = tool("fsfreeze", of="util-linux")
    subprocess.run([freeze, "-f", disk], check=True)  # a writer waits, and no signal ends it
    before = process.reap_processes()
    try:
        helper = Helper()
        began = time.monotonic()
        with pytest.raises(Silent):
            helper.ask(Call(os.mkdir, (os.fsencode(disk / "new"),)), patience_s=0.3)
        assert not helper.end()
        assert time.monotonic() - began < 30  # not for ever
        assert process.reap_processes() == before + 1
    finally:
        subprocess.run([freeze, "-u", disk], check=True)
    eventually(lambda: process.reap_processes() == before)


# ---- workers


def test_workers_go_on_while_a_share_hangs_and_take_it_back(
    share: MakeShare, local: Path, db: Path, server: RedisServer
) -> None:
    nas = share()
    config = quick(server.address)
    with (
        crew(db=db, config=config, client=server.client()),
        watching(local, nas.point, db=db, config=config, until=keeps_up()) as daemon,
    ):
        before = shown(db, "nas")
        nas.hang()
        daemon.await_line("offline root=nas")
        plant(local, {"new.mp3": tagged(title="New")})
        eventually(lambda: "new.mp3" in shown(db, "music"))
        assert root_of(timed("status", "--json", db=db).object, "nas")["state"] == "offline"
        assert shown(db, "nas") == before
        plant(source(nas), {"came meanwhile.mp3": tagged(title="Came")})
        nas.go_on()
        eventually(lambda: "came meanwhile.mp3" in shown(db, "nas"))
        daemon.is_right()


@pytest.mark.parametrize("stage", ["scan", "extract"])
def test_workers_that_have_work_on_a_share_when_it_hangs_do_that_of_other_roots(
    stage: str, share: MakeShare, local: Path, db: Path, server: RedisServer
) -> None:
    nas = share()
    config = quick(server.address, chunk_files=20, queue_live_files=20)
    song = tagged(title="One of many")
    with (
        crew(db=db, config=config, client=server.client()) as workers,
        watching(local, nas.point, db=db, config=config, until=keeps_up()) as daemon,
    ):
        plant(source(nas), {f"{n % 300}/{n}.mp3": song for n in range(1500)})
        time.sleep(OLD_S)
        with started("scan", nas.point, "--json", db=db) as asked:
            if stage == "extract":
                eventually(lambda: len(shown(db, "nas")) > 40)
            nas.hang()
            daemon.await_line("offline root=nas")
            plant(local, {"new.mp3": tagged(title="New")})
            eventually(lambda: "new.mp3" in shown(db, "music"))
            told = asked.end()
        assert told.code == 3, told
        nas.go_on()
        eventually(lambda: len(shown(db, "nas")) == 1502)
        assert rows(db, "SELECT * FROM problems") == []
        daemon.is_right()
        assert "lost" not in workers.log


# ---- the times of folders


def test_a_new_album_on_a_share_is_found_by_its_folder_before_all_is_looked_at(
    share: MakeShare, db: Path
) -> None:
    nas = share()
    config = QUICK + "poll_interval = 3\n"
    with watching(nas.point, db=db, config=config, until=keeps_up(local=0)) as daemon:
        plant(source(nas), {"new/n.mp3": tagged(title="N"), "b/c.mp3": tagged(title="C")})
        (source(nas) / "a.mp3").unlink()
        eventually(lambda: shown(db, "nas") == {"b/b.mp3", "b/c.mp3", "new/n.mp3"})
        daemon.await_line("folders changed root=nas places=3")
        assert len(daemon.lines("polling root=nas")) == 1, "nothing was in doubt"
        daemon.is_right()


def test_workers_look_first_at_the_folders_of_a_share_that_have_changed(
    share: MakeShare, db: Path, server: RedisServer
) -> None:
    nas = share()
    config = quick(server.address, poll_interval=3)
    with (
        crew(db=db, config=config, client=server.client()),
        watching(nas.point, db=db, config=config, until=keeps_up(local=0)) as daemon,
    ):
        plant(source(nas), {"new/n.mp3": tagged(title="N")})
        eventually(lambda: shown(db, "nas") == {"a.mp3", "b/b.mp3", "new/n.mp3"})
        daemon.await_line("folders changed root=nas")
        daemon.is_right()
