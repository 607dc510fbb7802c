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
QUIET_OF_NEW = 0.001
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
    assert times_of(world, SONG) == [pytest.approx(closed_at + QUIET)]
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
    assert times_of(world, SONG) == [pytest.approx(closed_at + QUIET)]


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


def test_only_what_was_created_and_written_once_waits_half_as_long() -> None:
    world = World()
    for path in ALBUM:  # a copy begins the next file at once
        world.put(path, "sound")
        world.sleep(0.0005)
    copied_at = world.now - 0.0005
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
        assert times_of(world, path) == [pytest.approx(closed_at + QUIET)]


def test_a_file_waits_a_moment_for_a_writer_that_begins_and_goes_on() -> None:
    for other in (b"Debut/big.mp3", b"Debut/big.part"):
        world = World()
        world.put(SONG, "sound")
        world.sleep(0.0009)
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
    debouncer = Debouncer(Delays(quiet_s=4))
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


# Evidence: leases, unchanged files, held files, truncated files.


def test_a_file_that_went_or_has_other_attributes_is_not_asked_for() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.GONE, b"a.mp3"), now=0)
    debouncer.offer(see(FsEventKind.ATTRIBUTES, b"b.mp3"), now=0)

    def nobody(_root_id: int, path: bytes, _now: float) -> Observation:
        raise AssertionError(path)

    (due,) = debouncer.pop_due(QUIET, nobody)
    assert due == DueHint(Hint(1, b"Debut", (b"a.mp3", b"b.mp3")))


def test_attributes_of_a_file_that_is_being_written_do_not_make_it_due() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer(see(FsEventKind.ATTRIBUTES), now=1)
    assert debouncer.pop_due(5, busy) == []
    assert debouncer.waiting_count == 1


def test_a_closed_file_that_was_opened_again_is_not_whole() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CLOSED), now=0)
    assert debouncer.pop_due(QUIET, busy) == []
    (due,) = debouncer.pop_due(1, whole)
    assert due.hint.names == (b"01.mp3",)
    assert due.whole == frozenset()


def test_a_file_that_is_never_closed_is_checked_with_growing_pauses() -> None:
    world = World()
    world.create(SONG)
    created_at = world.now
    world.sleep(55)
    after = [round(at - created_at, 2) for at in world.asked[SONG]]
    assert after == [
        *[0.01, 0.03, 0.07, 0.15, 0.31, 0.63, 1.27, 2.55, 5.11, 10.23, 20.23],
        *[30.23, 40.23, 50.23],
    ]


def test_a_close_makes_the_pauses_short_again() -> None:
    world = World()
    world.create(FLAC)
    world.sleep(30)
    world.write(FLAC, "cut short")
    world.close(FLAC)
    closed_at = world.now
    world.sleep(0.1)
    after = [round(at - closed_at, 3) for at in world.asked[FLAC] if at > closed_at]
    assert after == [0.001, 0.011, 0.031, 0.071]


def test_writing_does_not_make_the_pauses_short_again() -> None:
    world = World()
    world.create(SONG)
    for _ in range(1000):
        world.write(SONG, "sound")
        world.sleep(0.03)
    assert len(world.asked[SONG]) == 11
    assert times_of(world, SONG) == []


def test_a_file_that_is_held_open_is_read_when_it_stood_still_for_long() -> None:
    world = World()
    world.create(SONG)
    world.sleep(5)
    world.write(SONG, "sound")
    written_at = world.now
    world.sleep(200)
    (read_at,) = times_of(world, SONG)
    assert written_at + 60 <= read_at <= written_at + 60 + 10.23
    assert world.debouncer.next_due() is None
    world.close(SONG)
    world.sleep(1)
    assert len(world.dues) == 2


def test_without_leases_a_close_is_evidence() -> None:
    world = World(leases=False)
    world.put(SONG, "sound")
    closed_at = world.now
    world.sleep(10)
    assert times_of(world, SONG) == [pytest.approx(closed_at + QUIET)]


def test_without_leases_and_a_close_a_file_is_read_when_it_stood_still() -> None:
    world = World(leases=False)
    world.create(SONG)
    for _ in range(100):
        world.write(SONG, "sound")
        world.sleep(0.1)
    stopped_at = world.now - 0.1
    world.sleep(20)
    (read_at,) = times_of(world, SONG)
    assert stopped_at + 2 <= read_at <= stopped_at + 2 + 10.23
    assert world.is_in_step()


def test_a_change_that_only_the_stamp_tells_of_counts_as_one() -> None:
    world = World(leases=False)
    world.create(SONG)
    for _ in range(100):
        world.disk[SONG].content += "mapped"
        world.disk[SONG].changed_at = world.now
        world.sleep(0.1)
    assert times_of(world, SONG) == []
    world.sleep(20)
    assert world.is_in_step()


@pytest.mark.parametrize(
    ("kind", "seen", "still_s"),
    [
        (FsEventKind.WRITING, Observation(FileLease.UNAVAILABLE, 1, 1), 2),
        (FsEventKind.CLOSED, Observation(FileLease.GRANTED, 0, 1), 10),
    ],
)
def test_a_change_that_the_stamp_is_too_coarse_to_tell_of_counts_as_one(
    kind: FsEventKind, seen: Observation, still_s: float
) -> None:
    debouncer = Debouncer()
    debouncer.offer(see(kind), now=0)
    assert debouncer.pop_due(1, lambda *_: seen) == []
    debouncer.offer(see(kind), now=1.5)
    assert debouncer.pop_due(1.4 + still_s, lambda *_: seen) == []
    assert len(debouncer.pop_due(1.5 + still_s, lambda *_: seen)) == 1


@pytest.mark.parametrize(("path", "content"), [(SONG, ""), (FLAC, "cut short")])
def test_a_file_that_is_empty_or_cut_short_is_tried_for_10_s_and_then_read(
    path: bytes, content: str
) -> None:
    world = World()
    world.put(path, content)
    closed_at = world.now
    world.sleep(60)
    assert times_of(world, path) == [pytest.approx(closed_at + 10 + QUIET)]
    assert len(world.asked[path]) <= 12
    assert world.dues[0][1].whole == {path}


def test_a_file_that_was_cut_short_is_read_soon_after_it_is_complete() -> None:
    world = World()
    world.put(FLAC, "cut ")
    world.sleep(1)
    world.open(FLAC)
    world.write(FLAC, "short.")
    world.close(FLAC)
    closed_at = world.now
    world.sleep(60)
    assert times_of(world, FLAC) == [pytest.approx(closed_at + QUIET)]


def test_a_file_that_waits_does_not_hold_back_its_folder() -> None:
    world = World()
    world.put(FLAC, "cut short")
    world.put(SONG, "sound")
    world.sleep(QUIET)
    assert world.index.keys() == {SONG}


def test_a_coarse_clock_is_waited_for() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CLOSED), now=0)

    def until_2(_root_id: int, _path: bytes, now: float) -> Observation:
        return Observation(FileLease.GRANTED, 1, 1, tick_left_s=max(0, 2 - now))

    times: list[float] = []
    while not times or not debouncer.pop_due(times[-1], until_2):
        times.append(debouncer.next_due() or 0)
    assert times[-1] == 2
    assert len(times) < 12


def test_a_file_that_is_gone_when_it_is_asked_for_is_the_scans_to_judge() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CREATED), now=0)
    debouncer.offer(see(FsEventKind.CLOSED, b"02.mp3"), now=0.01)
    (due,) = debouncer.pop_due(1, lambda *_: None)
    assert due == DueHint(Hint(1, b"Debut", (b"01.mp3", b"02.mp3")))


# Merging: names, folders, trees, and remaining names.


def test_more_names_than_the_most_are_their_folder() -> None:
    debouncer = Debouncer(most_names=3)
    for number in range(3):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"few"), now=0)
    for number in range(4):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"many"), now=0)
    few, many = debouncer.pop_due(1, whole)
    assert few.hint == Hint(1, b"few", (b"0", b"1", b"2"))
    assert many.hint == Hint(1, b"many")
    assert many.whole == {b"many/0", b"many/1", b"many/2", b"many/3"}


def test_names_asked_for_that_are_their_folder_take_along_what_is_ready() -> None:
    debouncer = Debouncer(Delays(quiet_s=2), most_names=3)
    for number in range(4):
        debouncer.offer(see(FsEventKind.CREATED, b"%d" % number), now=0)
    debouncer.offer(see(FsEventKind.CLOSED), now=1)
    (due,) = debouncer.pop_due(1, whole)
    assert due == DueHint(Hint(1, b"Debut"), frozenset([SONG]))
    assert debouncer.waiting_count == 0


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_hints_for_a_folder_the_recursive_one_counts(order: int) -> None:
    debouncer = Debouncer()
    for is_recursive in (False, True)[::order]:
        debouncer.offer_hint(Hint(1, b"a", recursive=is_recursive), now=0)
    assert [due.hint for due in debouncer.pop_due(1, whole)] == [Hint(1, b"a", recursive=True)]


def test_a_file_that_is_being_written_stays_behind_its_folder_and_comes_later() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer_hint(Hint(1, b"Debut"), now=0)
    assert debouncer.pop_due(QUIET, busy) == [
        DueHint(Hint(1, b"Debut"), unfinished=frozenset([SONG]))
    ]
    debouncer.offer(see(FsEventKind.CLOSED), now=1)
    (due,) = debouncer.pop_due(1 + QUIET, whole)
    assert due.whole == {SONG}


def test_a_recursive_hint_takes_along_what_is_ready_below_it_and_leaves_the_rest() -> None:
    debouncer = Debouncer(Delays(quiet_s=2))
    debouncer.offer_hint(Hint(1, b"a", recursive=True), now=0)
    debouncer.offer_hint(Hint(1, b"a/b", recursive=True), now=1)
    debouncer.offer(see(FsEventKind.CLOSED, b"x", b"a/c"), now=2)
    debouncer.offer(see(FsEventKind.WRITING, b"y", b"a/c"), now=2)
    debouncer.offer(see(FsEventKind.CLOSED, b"z", b"a-c"), now=2)
    debouncer.offer(see(FsEventKind.CLOSED, b"z", b"a/c", root_id=2), now=2)
    (due,) = debouncer.pop_due(2, lambda _, path, __: BUSY if path == b"a/c/y" else WHOLE)
    assert due.hint == Hint(1, b"a", recursive=True)
    assert due.whole == {b"a/c/x"}
    assert due.unfinished == {b"a/c/y"}
    later = debouncer.pop_due(4, whole)
    assert [due.hint.folder for due in later] == [b"a-c", b"a/c", b"a/c"]


def test_a_folder_beside_a_tree_does_not_part_it() -> None:
    """`a-c` is between `a` and `a/c` in byte order."""
    debouncer = Debouncer()
    for folder in (b"a", b"a-c", b"a/c"):
        debouncer.offer_hint(Hint(1, folder, recursive=True), now=0)
    assert {due.hint.folder for due in debouncer.pop_due(1, whole)} == {b"a", b"a-c"}


def test_the_root_itself_takes_along_everything() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.CLOSED, b"x", b""), now=0)
    debouncer.offer(see(FsEventKind.CLOSED, b"x", b"a/b"), now=0)
    debouncer.offer_hint(Hint(1, recursive=True), now=0)
    (due,) = debouncer.pop_due(1, whole)
    assert due.whole == {b"x", b"a/b/x"}


@pytest.mark.parametrize("name", [b"b", None])
@pytest.mark.parametrize("kind", [FsEventKind.FOLDER_CAME, FsEventKind.FOLDER_WENT])
def test_a_folder_that_came_or_went_is_looked_at_with_all_below_it(
    kind: FsEventKind, name: bytes | None
) -> None:
    debouncer = Debouncer()
    debouncer.offer(see(kind, name, b"a" if name else b"a/b"), now=0)
    assert debouncer.pop_due(1, whole) == [DueHint(Hint(1, b"a/b", recursive=True))]


def test_what_was_written_in_a_folder_that_went_is_not_waited_for() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING, b"x", b"a/b"), now=0)
    debouncer.offer(see(FsEventKind.WRITING, b"x", b"a/bc"), now=0)
    debouncer.offer(see(FsEventKind.FOLDER_WENT, b"b", b"a"), now=0)
    (due,) = debouncer.pop_due(QUIET, lambda _, path, __: None if path == b"a/b/x" else BUSY)
    assert due == DueHint(Hint(1, b"a/b", recursive=True))
    assert debouncer.waiting_count == 1


def test_a_name_may_stand_deeper_than_its_hint() -> None:
    debouncer = Debouncer()
    debouncer.offer_hint(Hint(1, b"a", (b"b/x", b"y")), now=0)
    assert [due.hint for due in debouncer.pop_due(1, whole)] == [
        Hint(1, b"a", (b"y",)),
        Hint(1, b"a/b", (b"x",)),
    ]


def test_a_hint_does_not_make_a_file_due_that_is_being_written() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer_hint(Hint(1, b"Debut", (b"01.mp3",)), now=0)
    assert debouncer.pop_due(1, busy) == []


def test_what_is_to_be_read_again_merges_with_nothing() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.WRITING), now=0)
    debouncer.offer(see(FsEventKind.ATTRIBUTES, b"02.mp3"), now=0)
    rebuild = Hint(1, b"", recursive=True, reread=7)
    one = Hint(1, b"", (SONG, b"x"), reread=8)
    for hint in (rebuild, rebuild, one):
        debouncer.offer_hint(hint, now=0)
    assert debouncer.next_due() == 0
    assert debouncer.waiting_count == 4
    assert debouncer.pop_due(QUIET, busy) == [
        DueHint(Hint(1, b"Debut", (b"02.mp3",))),
        DueHint(rebuild, unfinished=frozenset([SONG])),
        DueHint(one, unfinished=frozenset([SONG])),
    ]
    assert debouncer.pop_due(1, busy) == []


def test_a_name_created_after_it_went_waits_to_be_whole() -> None:
    debouncer = Debouncer()
    debouncer.offer(see(FsEventKind.GONE), now=0)
    debouncer.offer(see(FsEventKind.CREATED), now=0.001)
    assert debouncer.pop_due(1, busy) == []


# Costs and reports.


def test_past_the_most_the_names_that_are_ready_become_their_folders() -> None:
    debouncer = Debouncer(most_waiting=10)
    for number in range(11):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"ab"[number % 2 :][:1]), now=0)
    debouncer.offer(see(FsEventKind.WRITING, b"x", b"a"), now=0)
    assert debouncer.waiting_count == 3
    assert debouncer.pop_due(1, busy) == [
        DueHint(Hint(1, b"a"), unfinished=frozenset([b"a/x"])),
        DueHint(Hint(1, b"b")),
    ]


def test_past_the_most_a_recursive_hint_stays_recursive() -> None:
    debouncer = Debouncer(most_waiting=4)
    debouncer.offer_hint(Hint(1, b"a", recursive=True), now=0)
    for number in range(4):
        debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"a"), now=0)
    assert debouncer.pop_due(1, whole) == [DueHint(Hint(1, b"a", recursive=True))]


def test_past_the_most_again_everything_is_one_look_at_each_root() -> None:
    debouncer = Debouncer(most_waiting=10)
    for number in range(30):
        debouncer.offer(see(FsEventKind.WRITING, b"%d" % number, root_id=number % 2), now=0)
        assert debouncer.waiting_count <= 10
    dues = debouncer.pop_due(1, whole)
    assert {due.hint for due in dues if due.hint.recursive} == {
        Hint(0, recursive=True),
        Hint(1, recursive=True),
    }


def test_giving_up_detail_again_and_again_does_not_outlast_patience() -> None:
    debouncer = Debouncer(Delays(quiet_s=2, patience_s=30), most_waiting=10)
    for second in range(30):
        for number in range(20):
            debouncer.offer(see(FsEventKind.CLOSED, b"%d" % number, b"%d" % number), now=second)
        assert debouncer.pop_due(second, whole) == []
    assert [due.hint for due in debouncer.pop_due(30, whole)] == [Hint(1, recursive=True)]


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
