"""What can go wrong with watching on a real kernel -> a fault, or a name that is not watched."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from watchdog.observers.inotify_c import WatchDescriptor, inotify_rm_watch

from tests.descriptors import all_descriptors
from tests.integration.conftest import Mount, unmount
from tests.programs import ENVIRONMENT
from watcher.events.fs_event import FsEvent, FsEventKind, WatchCounts, WatchFaultKind
from watcher.events.inbox import Drained
from watcher.events.watch_manager import Observers

ROOT, OTHER = 1, 2

dying = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Roots:
    """Roots that are watched, and a way to hold or to end the thread of one."""

    def __init__(self) -> None:
        self.observers = Observers(lambda: None)
        self.held, self.go = threading.Event(), threading.Event()

    def watch(self, root_id: int, root: Path) -> WatchCounts:
        return self.observers.watch(
            root_id, os.fsencode(root), wants_folder=lambda _: True, wants_name=self._wants
        )

    def _wants(self, _folder: bytes, name: bytes) -> bool:
        if name == b"hold":
            self.held.set()
            assert self.go.wait(10)
        if name == b"die":
            raise LookupError("a fault of ours")
        return True

    def hold(self, root: Path) -> None:
        """Have the thread that reads this root wait until `go` is set."""
        (root / "hold").touch()
        assert self.held.wait(10)

    def await_fault(self, kind: WatchFaultKind) -> Drained:
        """What is drained when the fault comes; where the observer is gone there is no fence."""
        deadline = time.monotonic() + 10
        while True:
            drained = self.observers.drain()
            if drained.faults:
                assert {(one.root_id, one.kind) for one in drained.faults} == {(ROOT, kind)}
                return drained
            assert time.monotonic() < deadline
            os.sched_yield()


@pytest.fixture
def roots() -> Iterator[Roots]:
    """No root is watched as yet."""
    begun = Roots()
    yield begun
    begun.go.set()
    begun.observers.close()


def is_seen(observers: Observers, root: Path) -> bool:
    """Whether a new file is told of, and nothing is in fault."""
    (root / "probe").touch()
    assert observers.fence(10)
    drained = observers.drain()
    told = FsEvent(ROOT, b"", b"probe", FsEventKind.CLOSED)
    return told in drained.events and not drained.faults


def queue_length() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))


# Overflow


def test_an_overflow_is_a_watch_fault_of_that_root_alone_and_a_renewed_root_is_whole(
    roots: Roots, tmp_path: Path
) -> None:
    """Watchdog logs a line, and its handler hears nothing.

    Not renewed, the folder that came unheard stays unwatched.
    """
    music, other = tmp_path / "music", tmp_path / "other"
    for root_id, root in ((ROOT, music), (OTHER, other)):
        root.mkdir()
        roots.watch(root_id, root)
    roots.hold(music)
    one, two = music / "one", music / "two"
    for path in (one, two):
        path.touch()
    for _ in range(queue_length() // 2 + 1):  # by turns, or the kernel merges them
        os.utime(one)
        os.utime(two)
    (music / "unheard").mkdir()
    (other / "heard").mkdir()
    roots.go.set()
    roots.await_fault(WatchFaultKind.OVERFLOW)
    assert b"unheard" not in roots.observers.watched_folders(ROOT)
    roots.observers.renew(ROOT)
    assert roots.observers.watched_folders(ROOT) == {b"", b"unheard"}
    assert roots.observers.watched_folders(OTHER) == {b"", b"heard"}
    assert is_seen(roots.observers, music)


# Watches that are not to be had


def answer_of(script: str, *arguments: str | Path, prefix: list[str]) -> Any:
    """What a program prints as JSON."""
    prelude = """
        import json, os, sys
        from watcher.events.watch_manager import Observers
        observers = Observers(lambda: None)
        root = os.fsencode(sys.argv[1])
        def watch():
            return observers.watch(
                1, root, wants_folder=lambda folder: True, wants_name=lambda folder, name: True
            )
        def state():
            assert observers.fence(10)
            unwatched = observers.armed(1).unwatched
            return {
                "watched": sorted(map(os.fsdecode, observers.watched_folders(1))),
                "unwatched": {os.fsdecode(folder): error for folder, error in unwatched.items()},
                "seen": [
                    [os.fsdecode(one.folder), one.kind.name] for one in observers.drain().events
                ],
            }
    """
    done = subprocess.run(
        [*prefix, sys.executable, "-c", dedent(prelude) + dedent(script), *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def own_limits() -> list[str]:
    """What starts a program whose limits are its own, and may be lowered."""
    tool = shutil.which("unshare")
    command = [tool or "", "--user", "--map-root-user"]
    if tool is None or subprocess.run([*command, "true"], check=False).returncode != 0:
        pytest.skip("this machine does not let us have a user namespace")
    return command


def test_where_watches_run_out_the_rest_is_named_and_can_be_watched_later(
    music: Path, own_limits: list[str]
) -> None:
    """Watchdog drops what it cannot watch without a word, and starts as if all were well.

    One watch is the fence's own, taken first: without it a full table would look like silence.
    """
    for number in range(10):
        (music / f"{number}/deep").mkdir(parents=True)
    states = answer_of(
        """
        from pathlib import Path
        limit = Path("/proc/sys/user/max_inotify_watches")
        limit.write_text("12")
        watch()
        states = [state()]
        os.mkdir(root + b"/new")
        states.append(state())
        limit.write_text("100")
        observers.arm(1)
        states.append(state())
        print(json.dumps(states))
        """,
        music,
        prefix=own_limits,
    )
    start, more, mended = states
    assert len(start["watched"]) == 11
    assert len(start["unwatched"]) == 10
    assert set(start["unwatched"].values()) == {errno.ENOSPC}
    assert more["unwatched"].keys() == start["unwatched"].keys() | {"new"}
    assert more["seen"] == [["new", "FOLDER_CAME"]]
    assert len(mended["watched"]) == 22
    assert mended["unwatched"] == {}


def test_a_root_for_which_there_is_no_descriptor_is_named(
    music: Path, own_limits: list[str]
) -> None:
    script = """
        from pathlib import Path
        Path("/proc/sys/user/max_inotify_{}").write_text("0")
        before = len(os.listdir("/proc/self/fd"))
        watch()
        assert len(os.listdir("/proc/self/fd")) == before
        print(json.dumps(state()))
    """
    for limit, error in (("instances", errno.EMFILE), ("watches", errno.ENOSPC)):
        state = answer_of(script.replace("{}", limit), music, prefix=own_limits)
        assert state == {"watched": [], "unwatched": {"": error}, "seen": []}


def test_a_root_for_which_there_is_no_thread_is_named(music: Path) -> None:
    script = """
        import threading
        def refuse(*_):
            raise RuntimeError("can't start new thread")
        before, start = len(os.listdir("/proc/self/fd")), threading.Thread.start
        threading.Thread.start = refuse
        watch()
        states = [state()]
        assert len(os.listdir("/proc/self/fd")) == before
        threading.Thread.start = start
        watch()
        states.append(state())
        print(json.dumps(states))
    """
    assert answer_of(script, music, prefix=[]) == [
        {"watched": [], "unwatched": {"": errno.EAGAIN}, "seen": []},
        {"watched": [""], "unwatched": {}, "seen": []},
    ]


def test_a_folder_that_may_not_be_read_is_named_and_watched_as_soon_as_it_may(
    music: Path, powerless: list[str]
) -> None:
    """Watchdog takes the refused watch, number -1, for one."""
    (music / "locked/deep").mkdir(parents=True)
    (music / "locked").chmod(0)
    states = answer_of(
        """
        watch()
        states = [state()]
        os.chmod(root + b"/locked", 0o700)
        states.append(state())
        print(json.dumps(states))
        """,
        music,
        prefix=powerless,
    )
    assert states == [
        {"watched": [""], "unwatched": {"locked": errno.EACCES}, "seen": []},
        {
            "watched": ["", "locked", "locked/deep"],
            "unwatched": {},
            "seen": [["locked", "FOLDER_CAME"]],
        },
    ]


@pytest.mark.parametrize(("locked", "came"), [("a", "a/new"), ("a", "a/deep/new"), (".", "new")])
def test_a_folder_that_came_in_a_locked_one_is_watched_as_soon_as_that_is_opened(
    music: Path, powerless: list[str], locked: str, came: str
) -> None:
    """Its coming is told, for the folder above it keeps its watch; its opening is told of that."""
    (music / "a/deep").mkdir(parents=True)
    states = answer_of(
        """
        import threading
        from pathlib import Path
        locked, came = Path(sys.argv[1], sys.argv[2]), Path(sys.argv[1], sys.argv[3])
        goes = threading.Event()
        goes.set()
        observers.watch(
            1,
            root,
            wants_folder=lambda folder: goes.wait(10),
            wants_name=lambda folder, name: True,
        )
        goes.clear()
        (came / "below").mkdir(parents=True)
        locked.chmod(0)
        goes.set()
        states = [state()]
        locked.chmod(0o700)
        states.append(state())
        print(json.dumps(states))
        """,
        *(music, locked, came),
        prefix=powerless,
    )
    shut, opened = states
    assert shut["unwatched"] == {came: errno.EACCES}
    assert opened["unwatched"] == {}
    assert {came, f"{came}/below"} <= set(opened["watched"])
    assert [came, "FOLDER_CAME"] in opened["seen"]


def test_a_folder_that_was_watched_and_could_not_be_listed_is_entered_as_soon_as_it_can(
    music: Path,
) -> None:
    """Its rights went between the two. It has a watch, but what is below it has none."""
    (music / "a/deep").mkdir(parents=True)
    states = answer_of(
        """
        listing, tried = os.scandir, []
        def failing(folder):
            tried.append(folder)
            if len(tried) == 2:
                raise PermissionError(13, "no right")
            return listing(folder)
        os.scandir = failing
        watch()
        states = [state()]
        os.chmod(root + b"/a", 0o700)
        states.append(state())
        print(json.dumps(states))
        """,
        music,
        prefix=[],
    )
    assert states == [
        {"watched": ["", "a"], "unwatched": {"a": errno.EACCES}, "seen": []},
        {"watched": ["", "a", "a/deep"], "unwatched": {}, "seen": [["a", "FOLDER_CAME"]]},
    ]


def test_a_root_that_is_not_there_is_named_and_watched_when_it_is_renewed(
    roots: Roots, music: Path
) -> None:
    music.rmdir()
    assert roots.watch(ROOT, music) == WatchCounts(0, {b"": errno.ENOENT})
    music.mkdir()
    assert roots.observers.renew(ROOT) == WatchCounts(1, {})
    assert is_seen(roots.observers, music)


# The root leaves


@pytest.mark.parametrize(
    "leave",
    [shutil.rmtree, lambda root: root.rename(root.parent / "elsewhere")],
    ids=["deleted", "renamed"],
)
def test_a_root_that_leaves_is_a_watch_fault_and_nothing_is_told_of_it_any_more(
    roots: Roots, music: Path, leave: Callable[[Path], None]
) -> None:
    """Watchdog ends its emitter, or goes on under the old name; `is_alive()` says True."""
    (music / "a").mkdir()
    roots.watch(ROOT, music)
    leave(music)
    roots.await_fault(WatchFaultKind.ROOT_LEFT)
    assert roots.observers.watched_folders(ROOT) == set()
    elsewhere = music.parent / "elsewhere"
    if elsewhere.exists():
        (elsewhere / "a/x.mp3").touch()
        assert roots.observers.fence(10)
        assert roots.observers.drain() == Drained((), ())
    music.mkdir()
    assert roots.observers.renew(ROOT).watched == 1
    assert is_seen(roots.observers, music)


@pytest.mark.parametrize("below", ["", "a/disk"], ids=["the root", "a folder of it"])
def test_an_unmount_is_not_refused_and_is_a_watch_fault(
    roots: Roots, music: Path, mount: Mount, below: str
) -> None:
    disk = mount(music / below, "-t", "tmpfs", "none")
    (disk / "deep").mkdir()
    roots.watch(ROOT, music)
    assert is_seen(roots.observers, music)
    unmount(disk)
    drained = roots.await_fault(WatchFaultKind.UNMOUNTED)
    assert drained.faults[0].detail.startswith(str(disk))
    assert roots.observers.fence(10)
    above = {b"", b"a"} if below else set[bytes]()
    assert roots.observers.watched_folders(ROOT) == above


def test_a_watch_that_the_kernel_dropped_is_a_watch_fault(roots: Roots, music: Path) -> None:
    """As file systems do that forget folders; here it is taken away behind our back."""
    (music / "a").mkdir()
    roots.watch(ROOT, music)
    observer = roots.observers._observers[ROOT]
    (watch,) = (number for number in range(10) if observer.watches.folder_of(number) == b"a")
    assert inotify_rm_watch(observer._inotify_fd, WatchDescriptor(watch)) == 0
    drained = roots.await_fault(WatchFaultKind.DROPPED)
    assert drained.faults[0].detail == str(music / "a")
    assert roots.observers.watched_folders(ROOT) == {b""}


# The thread


@dying
def test_a_thread_that_ends_of_an_error_is_a_watch_fault_and_is_replaced(
    roots: Roots, music: Path
) -> None:
    """An exception in a handler ends watchdog's thread, and only a traceback tells of it."""
    roots.watch(ROOT, music)
    assert roots.observers.alive()
    (music / "die").touch()
    drained = roots.await_fault(WatchFaultKind.DEAD)
    assert "a fault of ours" in drained.faults[0].detail
    roots.observers._observers[ROOT].join(10)
    assert not roots.observers.alive()
    assert not roots.observers.fence(10)
    (music / "die").unlink()
    roots.observers.renew(ROOT)
    assert roots.observers.alive()
    assert is_seen(roots.observers, music)


@dying
def test_a_descriptor_that_was_closed_ends_the_thread_where_watchdog_would_spin(
    roots: Roots, music: Path
) -> None:
    """`InotifyFD` takes EBADF for 'no events', and asks again at once, for ever."""
    before = all_descriptors()
    roots.watch(ROOT, music)
    observer = roots.observers._observers[ROOT]
    roots.hold(music)
    with open(os.devnull, "wb") as unreadable:
        os.dup2(unreadable.fileno(), observer._inotify_fd)
    roots.go.set()
    roots.await_fault(WatchFaultKind.DEAD)
    roots.observers.unwatch(ROOT)
    assert all_descriptors() == before


def test_a_thread_that_does_not_answer_is_a_watch_fault_and_its_late_answer_proves_nothing_more(
    roots: Roots, tmp_path: Path
) -> None:
    """It hangs as on a disk that does not answer; the other root goes on."""
    music, other = tmp_path / "music", tmp_path / "other"
    for root_id, root in ((ROOT, music), (OTHER, other)):
        root.mkdir()
        roots.watch(root_id, root)
    assert roots.observers.fence(10)
    roots.hold(music)
    assert not roots.observers.fence(0.05)
    roots.await_fault(WatchFaultKind.SILENT)
    observer = roots.observers._observers[ROOT]
    assert not observer.ask(), "the answer to the first question would do for the second"
    roots.go.set()
    assert observer.answered(10)
    roots.observers.renew(ROOT)
    assert is_seen(roots.observers, music)


def test_a_stuck_loop_costs_no_memory(music: Path) -> None:
    observers = Observers(lambda: None, most=20)
    observers.watch(ROOT, bytes(music), wants_folder=lambda _: True, wants_name=lambda *_: True)
    for number in range(100):
        (music / str(number)).touch()
    assert observers.fence(10)
    assert len(observers._inbox._found[ROOT]) == 1
    assert observers.drain().events == (FsEvent(ROOT, b"", None, FsEventKind.FOLDER_CAME),)
    observers.close()
