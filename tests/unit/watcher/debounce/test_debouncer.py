from __future__ import annotations

import pytest

from indexer.evidence import FileLease
from indexer.model import Hint
from tests.fake_fs import World
from watcher.debounce.debouncer import Debouncer, DueHint
from watcher.debounce.folder_buffer import Delays, Observation
from watcher.events.fs_event import FsEvent, FsEventKind

SONG = b"Debut/01.mp3"
FLAC = b"Debut/01.flac"
QUIET = 0.002
QUIET_OF_NEW = QUIET / 4
WHOLE = Observation(FileLease.GRANTED, 1, 1)
BUSY = Observation(FileLease.REFUSED, 1, 1)


def see(
    kind: FsEventKind, name: bytes | None = b"01.mp3", folder: bytes = b"Debut", root_id: int = 1
) -> FsEvent:
    return FsEvent(root_id, folder, name, kind)


def whole(_root_id: int, _path: bytes, _now: float) -> Observation:
    return WHOLE


def busy(_root_id: int, _path: bytes, _now: float) -> Observation:
    return BUSY


def times_of(world: World, path: bytes) -> list[float]:
    return [read.at for read in world.reads[path]]


# Typical programs: when and how often a file is read, and the final result.


def test_a_copied_file_is_read_once_when_its_folder_has_gone_quiet() -> None:
    world = World()
    world.create(SONG)
    for _ in range(100):
        world.write(SONG, "sound")
        world.sleep(0.05)
    world.close(SONG)
    closed_at = world.now
    world.sleep(1)
    assert times_of(world, SONG) == [pytest.approx(closed_at + QUIET_OF_NEW)]
    assert world.dues == [
        (closed_at + QUIET_OF_NEW, DueHint(Hint(1, b"Debut", (b"01.mp3",)), frozenset([SONG])))
    ]
    assert world.is_in_step()


def test_a_file_moved_in_is_read_once_when_its_folder_has_gone_quiet() -> None:
    world = World()
    world.put(b".hidden", "sound")
    world.rename(b".hidden", SONG)
    moved_at = world.now
    world.sleep(1)
    assert times_of(world, SONG) == [pytest.approx(moved_at + QUIET)]


def test_what_comes_from_outside_waits_as_a_copy_does() -> None:
    debouncer = Debouncer(Delays(quiet_s=8))
    for kind in (FsEventKind.CREATED, FsEventKind.MOVED_IN):  # as the inbox has it
        debouncer.offer(see(kind), now=0)
    assert debouncer.next_due() == 2
    debouncer.offer(see(FsEventKind.MOVED_IN, b"02.mp3"), now=1)
    assert debouncer.next_due() == 9


def test_a_file_that_samba_creates_closes_and_opens_again_is_read_once() -> None:
    """Windows creates the file in one request, and copies into it in others."""
    world = World()
    world.create(SONG)
    world.close(SONG)
    world.sleep(0.3)
    world.open(SONG)
    for _ in range(30):
        world.write(SONG, "sound")
        world.sleep(0.1)
    world.set_times(SONG)
    world.sleep(0.01)
    world.close(SONG)
    closed_at = world.now
    world.sleep(20)
    assert times_of(world, SONG) == [pytest.approx(closed_at + QUIET_OF_NEW)]
    assert world.is_in_step()


def test_a_file_that_rsync_renames_into_place_is_read_once() -> None:
    world = World()
    world.create(b"Debut/.01.mp3.Xk2P9a")
    world.write(b"Debut/.01.mp3.Xk2P9a", "sound")
    world.sleep(3)
    world.close(b"Debut/.01.mp3.Xk2P9a")
    world.set_times(b"Debut/.01.mp3.Xk2P9a")
    world.rename(b"Debut/.01.mp3.Xk2P9a", SONG)
    world.sleep(1)
    assert len(times_of(world, SONG)) == 1
    assert world.index.keys() == {SONG}


def test_a_download_that_a_browser_renames_before_it_closes_it_is_read_after_the_close() -> None:
    world = World()
    world.create(b"Debut/01.mp3.part")
    world.write(b"Debut/01.mp3.part", "half")
    world.sleep(3)
    world.rename(b"Debut/01.mp3.part", SONG)
    world.sleep(0.5)
    assert times_of(world, SONG) == []
    world.write(SONG, "the other half")
    world.close(SONG)
    world.sleep(1)
    assert [read.content for read in world.reads[SONG]] == ["halfthe other half"]


def test_a_slow_download_is_not_read_before_it_ends() -> None:
    world = World()
    world.create(SONG)
    for _ in range(300):
        world.write(SONG, "sound")
        world.sleep(0.1)
    assert times_of(world, SONG) == []
    world.close(SONG)
    closed_at = world.now
    world.sleep(60)
    assert times_of(world, SONG) == [pytest.approx(closed_at + QUIET_OF_NEW)]


def test_a_tagger_that_writes_in_place_is_read_once_and_never_in_the_middle() -> None:
    world = World()
    world.put(SONG, "old")
    world.sleep(1)
    world.open(SONG)
    for text in ("n", "e", "w"):
        world.overwrite(SONG, text)
        world.sleep(0.2)
    world.overwrite(SONG, "new")
    world.close(SONG)
    world.sleep(1)
    assert [read.content for read in world.reads[SONG]] == ["old", "new"]


def test_an_atomic_replacer_is_read_once() -> None:
    world = World()
    world.put(SONG, "old")
    world.sleep(1)
    world.put(b"Debut/.tmp", "new")
    world.rename(b"Debut/.tmp", SONG)
    world.sleep(1)
    assert [read.content for read in world.reads[SONG]] == ["old", "new"]
    assert world.is_in_step()


@pytest.mark.parametrize("path", [SONG, FLAC])
def test_one_that_appends_and_closes_25_times_is_only_read_as_it_stood_at_a_close(
    path: bytes,
) -> None:
    world = World()
    world.create(path)
    for number in range(25):
        world.write(path, f"{number} ")
        world.sleep(0.1)
        if number == 24:
            world.write(path, ".")
        world.close(path)
        world.sleep(0.1)
        world.open(path)
    world.close(path)
    world.sleep(60)
    assert world.showed_only_finished(path)
    assert world.is_in_step()
    if path == FLAC:  # it is incomplete until the last close
        assert len(times_of(world, path)) == 1
    else:
        assert len(times_of(world, path)) == 25


def test_one_that_comes_back_sooner_than_quiet_is_read_once() -> None:
    world = World()
    world.create(SONG)
    for share in (0.9, *[1.9] * 24):
        world.write(SONG, "sound")
        world.close(SONG)
        world.sleep(QUIET_OF_NEW * share)
        world.open(SONG)
    world.close(SONG)
    world.sleep(1)
    assert len(times_of(world, SONG)) == 1
    assert world.is_in_step()


@pytest.mark.parametrize("leases", [True, False])
def test_a_fast_copy_of_which_no_close_is_seen_is_asked_for(leases: bool) -> None:
    """Files created in a folder before its watch was added."""
    world = World(leases=leases)
    world.deaf = True
    for number in range(500):
        world.put(b"Debut/%d.mp3" % number, "sound")
    world.deaf = False
    world.see_folder(b"Debut", FsEventKind.FOLDER_CAME)
    for path in world.disk:
        world.see(path, FsEventKind.CREATED)
    created_at = world.now
    world.sleep(20)
    assert world.is_in_step()
    last = max(read.at for reads in world.reads.values() for read in reads)
    assert last <= created_at + (0.02 if leases else 2.1)
    assert all(len(reads) == 1 for reads in world.reads.values())


def test_a_folder_that_came_is_looked_at_whole_though_nothing_in_it_was_seen() -> None:
    world = World()
    world.deaf = True
    world.put(b"Debut/CD 1/01.mp3", "sound")
    world.create(b"Debut/CD 1/02.mp3")
    world.deaf = False
    world.see_folder(b"Debut", FsEventKind.FOLDER_CAME)
    world.sleep(0.5)
    assert world.index.keys() == {b"Debut/CD 1/01.mp3"}
    world.write(b"Debut/CD 1/02.mp3", "sound")
    world.close(b"Debut/CD 1/02.mp3")
    world.sleep(QUIET)
    assert world.is_in_step()


# Batching: quiet and patience.


def test_an_album_is_one_look() -> None:
    debouncer = Debouncer(Delays(quiet_s=2, patience_s=30))
    for number in range(12):
        debouncer.offer(see(FsEventKind.CLOSED, b"%02d.mp3" % (11 - number)), now=number)
        assert debouncer.pop_due(number, whole) == []
    (due,) = debouncer.pop_due(13, whole)
    assert due.hint.names == tuple(b"%02d.mp3" % number for number in range(12))


ALBUM = [b"Debut/%02d.mp3" % number for number in range(12)]


def test_only_what_was_created_and_written_once_waits_a_quarter_as_long() -> None:
    world = World()
    for path in ALBUM:  # a copy begins the next file at once
        world.put(path, "sound")
        world.sleep(0.0002)
    copied_at = world.now - 0.0002
    world.sleep(1)
    assert [at for at, _ in world.dues] == [pytest.approx(copied_at + QUIET_OF_NEW)]
    for retagged in (True, False):
        looks = len(world.dues)
        world.put(b"Debut/new.mp3", "sound")
        if retagged:
            world.put(SONG, "other")
        else:
            world.set_times(ALBUM[3])
        changed_at = world.now
        world.sleep(1)
        assert [at for at, _ in world.dues[looks:]] == [pytest.approx(changed_at + QUIET)]
        world.delete(b"Debut/new.mp3")
        world.sleep(1)


def test_an_album_that_is_retagged_by_temporary_files_is_one_look() -> None:
    world = World()
    for path in ALBUM:
        world.put(path, "old")
    world.sleep(1)
    looks = len(world.dues)
    for path in ALBUM:
        world.sleep(0.0015)  # its tags are read
        world.create(b"Debut/.tmp")
        world.write(b"Debut/.tmp", "new")
        world.sleep(0.012)
        world.close(b"Debut/.tmp")
        world.rename(b"Debut/.tmp", path)
    renamed_at = world.now
    world.sleep(1)
    assert [at for at, _ in world.dues[looks:]] == [pytest.approx(renamed_at + QUIET)]
    assert all([read.content for read in world.reads[path]] == ["old", "new"] for path in ALBUM)


def test_an_album_that_is_retagged_in_place_is_one_look() -> None:
    world = World()
    for path in ALBUM:
        world.put(path, "old")
    world.sleep(1)
    looks = len(world.dues)
    for path in ALBUM:
        world.sleep(0.0015)
        world.open(path)
        world.overwrite(path, "new")
        world.sleep(0.012)
        world.close(path)
    closed_at = world.now
    world.sleep(1)
    assert [at for at, _ in world.dues[looks:]] == [pytest.approx(closed_at + QUIET)]
    assert all([read.content for read in world.reads[path]] == ["old", "new"] for path in ALBUM)


def test_an_album_whose_files_come_slower_than_quiet_is_two_looks() -> None:
    world = World()
    for path in ALBUM:
        world.put(path, "sound")
        world.sleep(0.005)
    closed_at = world.now - 0.005
    world.sleep(1)
    assert [len(due.whole) for _, due in world.dues] == [1, 11]
    assert world.dues[-1][0] < closed_at + 0.02


def test_a_file_after_a_pause_is_alone_again() -> None:
    world = World()
    for path in ALBUM:
        world.put(path, "sound")
        closed_at = world.now
        world.sleep(0.1)
        assert times_of(world, path) == [pytest.approx(closed_at + QUIET_OF_NEW)]


def test_a_file_waits_a_moment_for_a_writer_that_begins_and_goes_on() -> None:
    for other in (b"Debut/big.mp3", b"Debut/big.part"):
        world = World()
        world.put(SONG, "sound")
        world.sleep(0.0004)
        world.create(other)
        began_at = world.now
        for _ in range(1000):
            world.write(other, "sound")
            world.sleep(0.0009)
        assert times_of(world, SONG) == [pytest.approx(began_at + 0.02, abs=0.001)]


def test_nothing_is_held_back_for_its_batch_longer_than_patience() -> None:
    debouncer = Debouncer(Delays(quiet_s=2, patience_s=30))
    for second in range(30):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d.mp3" % second), now=second)
        assert debouncer.pop_due(second, whole) == []
    assert debouncer.next_due() == 30
    (due,) = debouncer.pop_due(30, whole)
    assert len(due.whole) == 30


def test_a_steady_writer_postpones_no_other_file() -> None:
    debouncer = Debouncer(Delays(quiet_s=2))
    debouncer.offer(see(FsEventKind.CLOSED, b"a.mp3"), now=0)
    for tenth in range(20):
        debouncer.offer(see(FsEventKind.WRITING, b"big.mp3"), now=tenth / 10)
    (due,) = debouncer.pop_due(2, lambda _, path, __: BUSY if path == b"Debut/big.mp3" else WHOLE)
    assert due.hint.names == (b"a.mp3",)


def test_one_that_closes_again_and_again_is_read_after_patience() -> None:
    debouncer = Debouncer(Delays(quiet_s=2, patience_s=30))
    for second in range(30):
        debouncer.offer(see(FsEventKind.WRITING), now=second)
        debouncer.offer(see(FsEventKind.CLOSED), now=second)
        assert debouncer.pop_due(second, whole) == []
    assert len(debouncer.pop_due(30, whole)) == 1


def test_a_folder_that_is_hinted_again_and_again_is_due_after_patience() -> None:
    debouncer = Debouncer(Delays(quiet_s=2, patience_s=30))
    for second in range(30):
        debouncer.offer_hint(Hint(1, b"Debut"), now=second)
        assert debouncer.pop_due(second, whole) == []
    assert len(debouncer.pop_due(30, whole)) == 1


def test_patience_begins_anew_after_a_flush() -> None:
    debouncer = Debouncer(Delays(quiet_s=2, patience_s=30))
    debouncer.offer(see(FsEventKind.WRITING, b"big.mp3"), now=0)
    debouncer.offer(see(FsEventKind.CLOSED), now=0)
    debouncer.pop_due(2, lambda _, path, __: WHOLE if path == SONG else BUSY)
    debouncer.offer(see(FsEventKind.CLOSED), now=40)
    assert debouncer.pop_due(41.9, lambda _, path, __: WHOLE if path == SONG else BUSY) == []


def test_a_closed_file_waits_for_its_batch_though_it_was_to_be_asked_for() -> None:
    debouncer = Debouncer(Delays(quiet_s=8))
    debouncer.offer(see(FsEventKind.CREATED), now=0)
    debouncer.offer(see(FsEventKind.CLOSED), now=0)
    assert debouncer.next_due() == 2
    assert debouncer.pop_due(1, whole) == []


def test_what_comes_while_a_flush_is_worked_on_is_gathered() -> None:
    debouncer = Debouncer()
    for number in range(20):
        debouncer.offer(see(FsEventKind.CLOSED, b"%02d.mp3" % number), now=number)
    (due,) = debouncer.pop_due(20, whole)
    assert len(due.whole) == 20
    assert debouncer.next_due() is None


def test_each_folder_is_batched_alone() -> None:
    debouncer = Debouncer(Delays(quiet_s=2))
    debouncer.offer(see(FsEventKind.CLOSED, folder=b"Debut"), now=0)
    debouncer.offer(see(FsEventKind.CLOSED, folder=b"Post"), now=1)
    debouncer.offer(see(FsEventKind.CLOSED, folder=b"Debut", root_id=2), now=1)
    assert [due.hint.folder for due in debouncer.pop_due(2, whole)] == [b"Debut"]
    assert [due.hint.root_id for due in debouncer.pop_due(3, whole)] == [1, 2]


def test_at_rest_nothing_wakes_it() -> None:
    debouncer = Debouncer()
    assert debouncer.next_due() is None
    debouncer.offer(see(FsEventKind.CREATED), now=0)
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer(see(FsEventKind.CLOSED), now=0)
    debouncer.pop_due(QUIET, whole)
    assert debouncer.next_due() is None
    assert debouncer.waiting_count == 0


def test_files_that_are_open_for_long_are_told() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=10)
    debouncer.offer(see(FsEventKind.WRITING, b"02.mp3"), now=11)
    debouncer.offer(see(FsEventKind.WRITING), now=19)
    assert list(debouncer.open_files(20, for_s=10)) == [(1, SONG)]


def test_what_waits_is_counted_once() -> None:
    debouncer = Debouncer()
    for kind in (FsEventKind.CREATED, FsEventKind.WRITING, FsEventKind.CLOSED):
        debouncer.offer(see(kind), now=0)
        assert debouncer.waiting_count == 1
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    assert debouncer.next_due() == 0.01
    assert debouncer.pop_due(0.01, busy) == []
    assert debouncer.waiting_count == 1
    debouncer.offer(see(FsEventKind.CREATED, b"02.mp3"), now=0)
    debouncer.offer(see(FsEventKind.ATTRIBUTES, b"02.mp3"), now=0)
    debouncer.offer(see(FsEventKind.FOLDER_CAME, None), now=0)
    debouncer.offer(see(FsEventKind.FOLDER_CAME, None), now=0)
    assert debouncer.waiting_count == 3
    debouncer.pop_due(QUIET, lambda _, path, __: BUSY if path == SONG else None)
    assert debouncer.waiting_count == 1


# Moves: a departure that is looked at without its arrival is taken for a loss


@pytest.mark.parametrize(
    ("went", "came"),
    [
        (see(FsEventKind.GONE), see(FsEventKind.MOVED_IN, folder=b"Post")),
        (see(FsEventKind.GONE, folder=b"Post"), see(FsEventKind.MOVED_IN)),
        (see(FsEventKind.GONE), see(FsEventKind.MOVED_IN, root_id=2)),
        (see(FsEventKind.FOLDER_WENT, None), see(FsEventKind.FOLDER_CAME, None, b"Post")),
    ],
)
def test_a_departure_takes_along_an_arrival_whose_folder_is_not_quiet(
    went: FsEvent, came: FsEvent
) -> None:
    debouncer = Debouncer()
    debouncer.offer(went, 0.0)
    debouncer.offer(came, 0.0)
    debouncer.offer(see(FsEventKind.CLOSED, b"02.mp3", came.folder, came.root_id), QUIET / 2)
    assert debouncer.pop_due(QUIET / 2, whole) == []
    due = debouncer.pop_due(QUIET, whole)
    assert sorted((one.hint.root_id, one.hint.folder) for one in due) == sorted(
        (one.root_id, one.folder) for one in (went, came)
    )


def test_an_arrival_waits_for_quiet_where_nothing_departs() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CLOSED), 0.0)
    debouncer.offer(see(FsEventKind.MOVED_IN, folder=b"Post"), QUIET / 2)
    assert [one.hint.folder for one in debouncer.pop_due(QUIET, whole)] == [b"Debut"]


def test_roots_of_which_too_much_waits_are_due_together() -> None:
    debouncer = Debouncer(most_waiting=2)
    for n in range(2):
        debouncer.offer(see(FsEventKind.GONE, folder=b"%d" % n), 0.0)
    debouncer.offer(see(FsEventKind.MOVED_IN, root_id=2), 0.0)
    debouncer.offer(see(FsEventKind.FOLDER_CAME, None, b"", root_id=2), QUIET / 2)
    assert debouncer.waiting_count == 2
    assert {one.hint.root_id for one in debouncer.pop_due(QUIET, whole)} == {1, 2}
