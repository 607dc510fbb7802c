"""Changes on a real disk -> what the observers say of them.

Nothing here waits for a while: `fence` says that all has been told that there was to tell.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from tests.descriptors import all_descriptors
from tests.integration.conftest import Mount
from tests.programs import eventually, quickest_s
from watcher.events.fs_event import FsEvent, FsEventKind
from watcher.events.inbox import Drained
from watcher.events.observer import PARTNER_S, Observer
from watcher.events.watch_manager import Observers

Seen = dict[tuple[bytes, bytes | None], FsEventKind]
ROOT = 1


class Watched:
    """A folder that is watched, and a way to hold the thread that reads what happens there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.woken = threading.Event()
        self.observers = Observers(self.woken.set)
        self.held, self.go = threading.Event(), threading.Event()
        self.listing, self.listed = threading.Event(), threading.Event()
        self.armed = self.observers.watch(
            ROOT, os.fsencode(root), wants_folder=self.wants_folder, wants_name=self._wants_name
        )

    def wants_folder(self, folder: bytes) -> bool:
        if folder.rpartition(b"/")[2] == b"slow":
            self.listing.set()
            assert self.listed.wait(10)
        return b"ignored" not in folder

    def _wants_name(self, _folder: bytes, name: bytes) -> bool:
        if name == b"hold":
            self.held.set()
            assert self.go.wait(10)
        return name.endswith(b".mp3")

    def hold(self) -> None:
        """Have the reading thread wait until `go` is set; what happens now, queues up."""
        (self.root / "hold").touch()
        assert self.held.wait(10)

    def drained(self) -> tuple[FsEvent, ...]:
        assert self.observers.fence(10)
        drained = self.observers.drain()
        assert drained.faults == ()
        return drained.events

    def seen(self) -> Seen:
        """What was seen up to now; nothing may be in doubt."""
        return {(one.folder, one.name): one.kind for one in self.drained()}

    def folders(self) -> set[bytes]:
        """Those that are watched."""
        return self.observers.watched_folders(ROOT)


@pytest.fixture
def watch(music: Path) -> Iterator[Callable[[], Watched]]:
    """`watch()` begins to watch the folder `music`."""
    begun: list[Watched] = []

    def begin() -> Watched:
        begun.append(Watched(music))
        return begun[-1]

    yield begin
    for watched in begun:
        watched.go.set()
        watched.listed.set()
        watched.observers.close()


@pytest.fixture
def watched(watch: Callable[[], Watched]) -> Watched:
    """The folder `music`, watched from when it was empty."""
    return watch()


def test_of_a_file_of_no_interest_only_its_beginning_is_told(watched: Watched) -> None:
    (watched.root / "a.tmp").write_bytes(b"x")
    assert watched.observers.fence(10)
    assert not watched.woken.is_set()
    assert watched.observers.drain() == Drained((), (), ((ROOT, b""),))
    (watched.root / "b.tmp").write_bytes(b"x")
    (watched.root / "b.tmp").rename(watched.root / "b.mp3")
    assert watched.observers.fence(10)
    assert watched.observers.drain().begun == ()


def folders_below(root: Path) -> set[bytes]:
    below = os.walk(os.fsencode(root))
    return {os.path.relpath(path, os.fsencode(root)) for path, _, _ in below} - {b"."} | {b""}


def swap(one: Path, other: Path) -> None:
    """Exchange two names in one step (renameat2(2))."""
    at_cwd, exchange = -100, 2
    if ctypes.CDLL(None).renameat2(at_cwd, bytes(one), at_cwd, bytes(other), exchange) != 0:
        pytest.skip("this file system cannot exchange names")


# Files


def test_a_file_that_was_closed_after_writing_is_told_of(watched: Watched) -> None:
    (watched.root / "x.mp3").write_bytes(b"x")
    assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.CLOSED}


def test_a_file_that_is_open_still_is_being_written(watched: Watched) -> None:
    with (watched.root / "x.mp3").open("wb", buffering=0) as file:
        assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.CREATED}
        file.write(b"x")
        assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.WRITING}
        for _ in range(100):
            file.write(b"x")
        assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.WRITING}
    assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.CLOSED}


def test_a_file_that_is_written_again_after_it_was_closed_is_not_whole(watched: Watched) -> None:
    (watched.root / "x.mp3").write_bytes(b"x")
    with (watched.root / "x.mp3").open("ab", buffering=0) as file:
        file.write(b"y")
        assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.WRITING}


def test_times_set_after_the_close_leave_a_file_whole(watched: Watched) -> None:
    """As Samba does, and `cp -p`."""
    (watched.root / "x.mp3").write_bytes(b"x")
    os.utime(watched.root / "x.mp3", (1, 1))
    assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.CLOSED}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda file: os.truncate(file, 0), FsEventKind.WRITING),
        (lambda file: os.utime(file, (1, 1)), FsEventKind.ATTRIBUTES),
        (lambda file: file.chmod(0o600), FsEventKind.ATTRIBUTES),
        (Path.unlink, FsEventKind.GONE),
        (lambda file: file.rename(file.parent.parent / "x.mp3"), FsEventKind.GONE),
        (lambda file: file.rename(file.with_suffix(".bak")), FsEventKind.GONE),
    ],
    ids=["truncate", "touch", "chmod", "delete", "move out", "rename to what nobody wants"],
)
def test_a_change_of_a_file_is_told_of(
    watch: Callable[[], Watched], music: Path, change: Callable[[Path], None], kind: FsEventKind
) -> None:
    (music / "x.mp3").write_bytes(b"x")
    watched = watch()
    change(music / "x.mp3")
    assert watched.seen() == {(b"", b"x.mp3"): kind}


def test_a_file_that_is_written_to_after_it_was_deleted_stays_gone(watched: Watched) -> None:
    with (watched.root / "x.mp3").open("wb") as file:
        (watched.root / "x.mp3").unlink()
        file.write(b"x")
    assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.GONE}


def test_a_rename_is_told_of_at_both_ends(watched: Watched) -> None:
    (watched.root / "old.part").write_bytes(b"x")
    (watched.root / "old.part").rename(watched.root / "x.mp3")
    assert watched.seen() == {(b"", b"x.mp3"): FsEventKind.MOVED_IN}
    (watched.root / "x.mp3").rename(watched.root / "y.mp3")
    assert watched.seen() == {
        (b"", b"x.mp3"): FsEventKind.GONE,
        (b"", b"y.mp3"): FsEventKind.MOVED_IN,
    }


def test_a_rename_from_outside_is_told_from_one_within(watched: Watched, tmp_path: Path) -> None:
    came, within = (FsEventKind.CREATED, FsEventKind.MOVED_IN), (FsEventKind.MOVED_IN,)
    old, new = tmp_path / "old.mp3", watched.root / "x.mp3"
    for place, kinds in (
        (old, came),
        (watched.root / "old.part", within),
        (watched.root / "old.mp3", within),
    ):
        place.write_bytes(b"x")
        watched.drained()
        place.rename(new)
        events = [event for event in watched.drained() if event.name == b"x.mp3"]
        assert tuple(event.kind for event in events) == kinds


def test_a_hard_link_is_a_name_that_came(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "x.mp3").write_bytes(b"x")
    os.link(tmp_path / "x.mp3", watched.root / "y.mp3")
    assert watched.seen() == {(b"", b"y.mp3"): FsEventKind.CREATED}


def test_nothing_is_told_of_reading(
    watch: Callable[[], Watched], music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With watchdog's own mask (IN_OPEN, IN_CLOSE_NOWRITE) each listing raises events."""
    (music / "a").mkdir()
    (music / "a/x.mp3").write_bytes(b"x")
    masks: list[int] = []
    handle_event = Observer.handle_event

    def spy(self: Observer, event: InotifyEvent) -> None:
        masks.append(event.mask)
        handle_event(self, event)

    monkeypatch.setattr(Observer, "handle_event", spy)
    watched = watch()
    (music / "a/x.mp3").read_bytes()
    assert folders_below(music) == watched.folders()
    assert watched.seen() == {}
    assert masks == [InotifyConstants.IN_ATTRIB], "more than the fence"


def test_names_that_are_not_utf8_come_as_they_are(watched: Watched) -> None:
    folder, name = b"Bj\xf6rk", b"J\xf3ga \xff.mp3"
    root = os.fsencode(watched.root)
    os.mkdir(os.path.join(root, folder))
    assert watched.seen() == {(folder, None): FsEventKind.FOLDER_CAME}
    os.mknod(os.path.join(root, folder, name))
    assert watched.seen() == {(folder, name): FsEventKind.CREATED}


def test_what_nobody_wants_is_neither_watched_nor_told_of(
    watch: Callable[[], Watched], music: Path
) -> None:
    (music / "ignored/deep").mkdir(parents=True)
    watched = watch()
    (music / "ignored/deep/x.mp3").write_bytes(b"x")
    (music / "ignored/new").mkdir()
    (music / "ignored 2/new").mkdir(parents=True)
    (music / "cover.jpg").write_bytes(b"x")
    assert watched.seen() == {}
    assert watched.folders() == {b""}


# Folders


def test_folders_made_as_fast_as_can_be_are_all_watched_and_no_file_is_missed(
    watched: Watched,
) -> None:
    """Fails if a folder is told of before it is watched, or listed before it is.

    The watch comes after its folder, so most of the files come too early for it; with the table
    of watchdog's `InotifyFD` each such race also warns with the repr of all the watches.
    """
    script = """
        import os, sys
        for artist in range(15):
            for album in range(4):
                folder = f"{sys.argv[1]}/{artist}/{album}/CD 1/extra"
                os.makedirs(folder)
                for track in range(20):
                    os.close(os.open(f"{folder}/{track}.mp3", os.O_CREAT | os.O_WRONLY))
                    os.close(os.open(f"{folder}/../{track}.mp3", os.O_CREAT | os.O_WRONLY))
    """
    writer = subprocess.Popen([sys.executable, "-c", dedent(script), watched.root])
    found = set[bytes]()

    def look() -> None:
        for one in watched.drained():
            path = os.path.join(os.fsencode(watched.root), one.folder)
            if one.kind is FsEventKind.FOLDER_CAME:
                for above, _, names in os.walk(path):
                    found.update(os.path.join(above, name) for name in names)
            elif one.name is not None:
                found.add(os.path.join(path, one.name))

    while writer.poll() is None:
        look()
    look()
    assert writer.returncode == 0
    assert len(found) == 15 * 4 * 20 * 2
    assert watched.folders() == folders_below(watched.root)
    assert watched.observers.armed(ROOT).unwatched == {}


def test_a_folder_moved_in_is_one_sighting_and_watched_with_all_below_it(
    watched: Watched, tmp_path: Path
) -> None:
    """Watchdog makes up an event for each file in it, and opens every folder again for that."""
    (tmp_path / "album/CD 1").mkdir(parents=True)
    (tmp_path / "album/CD 1/x.mp3").write_bytes(b"x")
    (tmp_path / "album").rename(watched.root / "album")
    assert watched.seen() == {(b"album", None): FsEventKind.FOLDER_CAME}
    assert watched.folders() == {b"", b"album", b"album/CD 1"}
    (watched.root / "album/CD 1/x.mp3").unlink()
    assert watched.seen() == {(b"album/CD 1", b"x.mp3"): FsEventKind.GONE}


def test_a_folder_moved_out_is_heard_of_no_more_even_when_its_path_is_taken_again(
    watch: Callable[[], Watched], music: Path, tmp_path: Path
) -> None:
    """Watchdog keeps its watches, tells of it under its old path, and mixes it up with a new one.

    With its own root taken away then, the emitter's thread ends of a KeyError.
    """
    (music / "album/CD 1").mkdir(parents=True)
    watched = watch()
    (music / "album").rename(tmp_path / "outside")
    assert watched.seen() == {(b"album", None): FsEventKind.FOLDER_WENT}
    assert watched.folders() == {b""}
    (tmp_path / "outside/CD 1/x.mp3").write_bytes(b"x")
    (tmp_path / "outside/x.mp3").write_bytes(b"x")
    assert watched.seen() == {}
    (music / "album").mkdir()
    (tmp_path / "outside/CD 1/x.mp3").unlink()
    assert watched.seen() == {(b"album", None): FsEventKind.FOLDER_CAME}
    assert watched.folders() == {b"", b"album"}
    shutil.rmtree(tmp_path / "outside")
    (music / "album/x.mp3").write_bytes(b"x")
    assert watched.seen() == {(b"album", b"x.mp3"): FsEventKind.CLOSED}


def test_what_a_folder_told_before_it_left_is_not_told_of_its_successor(
    watch: Callable[[], Watched], music: Path, tmp_path: Path
) -> None:
    """The events of a dropped watch that are queued already belong to nobody."""
    (music / "album").mkdir()
    watched = watch()
    watched.hold()
    (music / "album").rename(tmp_path / "outside")
    (tmp_path / "outside/stale.mp3").write_bytes(b"x")
    (music / "album").mkdir()
    watched.go.set()
    assert watched.seen() == {(b"album", None): FsEventKind.FOLDER_CAME}


def test_a_folder_renamed_is_one_sighting_at_each_end(
    watch: Callable[[], Watched], music: Path
) -> None:
    (music / "old/CD 1").mkdir(parents=True)
    watched = watch()
    (music / "old").rename(music / "new")
    assert watched.seen() == {
        (b"old", None): FsEventKind.FOLDER_WENT,
        (b"new", None): FsEventKind.FOLDER_CAME,
    }
    assert watched.folders() == {b"", b"new", b"new/CD 1"}
    (music / "new/CD 1/x.mp3").write_bytes(b"x")
    assert watched.seen() == {(b"new/CD 1", b"x.mp3"): FsEventKind.CLOSED}


def test_two_folders_that_were_swapped_are_both_watched_at_their_new_paths(
    watch: Callable[[], Watched], music: Path
) -> None:
    """Fails if an event that a folder went is believed: the other one has come there already."""
    for folder in ("one/of one", "two/of two"):
        (music / folder).mkdir(parents=True)
    watched = watch()
    swap(music / "one", music / "two")
    came = FsEventKind.FOLDER_CAME
    assert watched.seen() == {(b"one", None): came, (b"two", None): came}
    assert watched.folders() == {b"", b"one", b"one/of two", b"two", b"two/of one"}
    for one in watched.folders():
        (music / os.fsdecode(one) / "x.mp3").write_bytes(b"x")
    assert set(watched.seen()) == {(one, b"x.mp3") for one in watched.folders()}


def test_a_moved_folder_that_is_met_before_its_move_is_told_of_is_watched_where_it_is(
    watch: Callable[[], Watched], music: Path
) -> None:
    """The kernel knows one watch a folder: met at its new path, it still bears the old one."""
    (music / "old/CD 1").mkdir(parents=True)
    (music / "artist").mkdir()
    watched = watch()
    watched.hold()
    (music / "old").rename(music / "artist/new")
    watched.observers.arm(ROOT)
    assert watched.folders() == {b"", b"artist", b"artist/new", b"artist/new/CD 1"}
    watched.go.set()
    watched.seen()
    assert watched.folders() == {b"", b"artist", b"artist/new", b"artist/new/CD 1"}
    (music / "artist/new/CD 1/x.mp3").write_bytes(b"x")
    assert watched.seen() == {(b"artist/new/CD 1", b"x.mp3"): FsEventKind.CLOSED}


def test_a_folder_renamed_over_an_empty_one_is_watched_in_its_place(
    watch: Callable[[], Watched], music: Path
) -> None:
    for name in ("old", "new"):
        (music / name).mkdir()
    watched = watch()
    (music / "old").rename(music / "new")
    watched.seen()
    assert watched.folders() == {b"", b"new"}
    (music / "new/x.mp3").write_bytes(b"x")
    assert watched.seen() == {(b"new", b"x.mp3"): FsEventKind.CLOSED}


def test_a_deleted_folder_is_told_of_and_its_watches_are_forgotten(
    watch: Callable[[], Watched], music: Path
) -> None:
    (music / "a/b/c").mkdir(parents=True)
    watched = watch()
    shutil.rmtree(music / "a")
    went = FsEventKind.FOLDER_WENT
    assert watched.seen() == {(b"a", None): went, (b"a/b", None): went, (b"a/b/c", None): went}
    assert watched.folders() == {b""}


def test_a_folder_deleted_while_somebody_is_in_it_makes_room_for_the_next(
    watch: Callable[[], Watched], music: Path
) -> None:
    """The kernel takes its watch away only when it is left, long after the next has come."""
    (music / "a").mkdir()
    watched = watch()
    inside = os.open(music / "a", os.O_RDONLY)
    (music / "a").rmdir()
    (music / "a").mkdir()
    watched.seen()
    os.close(inside)
    assert watched.seen() == {}
    (music / "a/x.mp3").write_bytes(b"x")
    assert watched.seen() == {(b"a", b"x.mp3"): FsEventKind.CLOSED}


def test_a_changed_mode_of_a_folder_is_told_of_it_alone(
    watch: Callable[[], Watched], music: Path
) -> None:
    (music / "a/b").mkdir(parents=True)
    watched = watch()
    (music / "a").chmod(0o700)
    assert watched.seen() == {(b"a", None): FsEventKind.ATTRIBUTES}


def test_a_link_to_a_folder_is_not_entered(watched: Watched, tmp_path: Path) -> None:
    (watched.root / "link").symlink_to(tmp_path)
    assert watched.seen() == {}
    assert watched.folders() == {b""}


@pytest.mark.parametrize("taker", ["a file", "a link"])
def test_what_took_the_place_of_a_folder_is_not_watched(
    watched: Watched, tmp_path: Path, taker: str
) -> None:
    watched.hold()
    (watched.root / "a").mkdir()
    (watched.root / "a").rmdir()
    if taker == "a file":
        (watched.root / "a").touch()
    else:
        (watched.root / "a").symlink_to(tmp_path)
    watched.go.set()
    assert watched.seen() == {(b"a", None): FsEventKind.FOLDER_WENT}
    assert watched.folders() == {b""}
    assert watched.observers.armed(ROOT).unwatched == {}


def test_a_folder_at_two_paths_is_watched_at_one_and_missed_at_the_other(
    watch: Callable[[], Watched], music: Path, mount: Mount
) -> None:
    """The kernel gives one watch for both, so one of the paths would be silent without a word."""
    (music / "a/deep").mkdir(parents=True)
    mount(music / "b", "--bind", music / "a")
    watched = watch()
    (missed,) = watched.armed.unwatched.items()
    assert missed in {(b"a", errno.EEXIST), (b"b", errno.EEXIST)}
    assert len(watched.folders()) == 3


# Speed


def test_a_move_out_holds_nothing_back(watch: Callable[[], Watched], music: Path) -> None:
    """Watchdog waits 0.5 s for the other end of it, and everything behind it waits as well."""
    watched = watch()

    def move_out() -> None:
        (music / "x.mp3").rename(music.parent / "x.mp3")
        (music / "y.mp3").write_bytes(b"y")
        assert set(watched.seen()) == {(b"", b"x.mp3"), (b"", b"y.mp3")}
        (music / "x.mp3").write_bytes(b"x")
        watched.seen()

    (music / "x.mp3").write_bytes(b"x")
    watched.seen()
    assert quickest_s(move_out, enough_s=0.25) < 0.25


def test_what_came_before_a_large_folder_does_not_wait_for_it(
    watched: Watched, tmp_path: Path
) -> None:
    (tmp_path / "large/slow").mkdir(parents=True)
    watched.hold()  # so that the next two come in one read
    (watched.root / "x.mp3").touch()
    (tmp_path / "large").rename(watched.root / "large")
    watched.go.set()
    assert watched.listing.wait(10)
    assert watched.woken.is_set()
    assert [(one.name, one.kind) for one in watched.observers.drain().events] == [
        (b"x.mp3", FsEventKind.CREATED),
        (b"x.mp3", FsEventKind.CLOSED),
    ]
    watched.listed.set()
    assert watched.seen() == {(b"large", None): FsEventKind.FOLDER_CAME}


def test_a_large_folder_that_is_renamed_has_not_departed_before_it_has_arrived(
    watch: Callable[[], Watched], music: Path
) -> None:
    """Else a look at its old path alone finds all of its files gone."""
    (music / "large/below").mkdir(parents=True)
    watched = watch()
    (music / "large").rename(music / "slow")
    assert watched.listing.wait(10)
    assert watched.observers.drain().events == ()
    watched.listed.set()
    assert watched.seen() == {
        (b"large", None): FsEventKind.FOLDER_WENT,
        (b"slow", None): FsEventKind.FOLDER_CAME,
    }


def test_a_folder_that_moves_to_another_root_has_not_departed_before_it_has_arrived(
    watch: Callable[[], Watched], music: Path, tmp_path: Path
) -> None:
    (music / "large/below").mkdir(parents=True)
    (tmp_path / "other/x").mkdir(parents=True)
    watched = watch()
    watched.observers.watch(
        2, bytes(tmp_path / "other"), wants_folder=watched.wants_folder, wants_name=lambda *_: True
    )
    (music / "large").rename(tmp_path / "other/x/slow")
    assert watched.listing.wait(10)
    time.sleep(2 * PARTNER_S)
    assert watched.observers.drain().events == ()
    watched.listed.set()
    assert {(one.root_id, one.folder, one.kind) for one in watched.drained()} == {
        (1, b"large", FsEventKind.FOLDER_WENT),
        (2, b"x/slow", FsEventKind.FOLDER_CAME),
    }


def test_a_burst_wakes_the_loop_once_until_it_drains(music: Path) -> None:
    woken = threading.Semaphore(0)
    observers = Observers(woken.release)
    observers.watch(
        ROOT, os.fsencode(music), wants_folder=lambda _: True, wants_name=lambda *_: True
    )
    for number in range(200):
        (music / str(number)).touch()
    assert observers.fence(10)
    assert woken.acquire(timeout=10)
    assert not woken.acquire(blocking=False)
    events = observers.drain().events
    assert len({event.name for event in events}) == 200
    assert len(events) == 400, "that it was created, and closed"
    (music / "one more").touch()
    assert woken.acquire(timeout=10)
    observers.close()


def test_everything_is_given_back_at_the_end(music: Path) -> None:
    before = all_descriptors()
    observers = Observers(lambda: None)
    for number in (1, 2, 2):
        folder = music / str(number)
        folder.mkdir(exist_ok=True)
        observers.watch(
            number, bytes(folder), wants_folder=lambda _: True, wants_name=lambda *_: True
        )
    assert len(all_descriptors()) > len(before)
    assert not any(os.get_inheritable(int(fd)) for fd in inotify_descriptors())
    observers.close()
    assert eventually(lambda: all_descriptors() == before, within_s=20)
    assert not [one for one in threading.enumerate() if one.name.startswith("observer-")]


def inotify_descriptors() -> list[str]:
    """Those of this process."""
    kinds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in fds_that_are()}
    return [fd for fd, kind in kinds.items() if kind == "anon_inode:inotify"]


def fds_that_are() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
