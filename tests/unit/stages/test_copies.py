"""A track keeps its id where no inode shows that it moved: by its sound, or size, mtime and tags.

Each scenario says which ids are kept. On a file system with inodes and on one without.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.disk import tree
from indexer.library import Library
from indexer.model import Hint, StampFields
from indexer.runs import run_counts
from indexer.settings import Settings
from indexer.stages.copies import MOST
from indexer.stages.finish import Succession
from indexer.store import roots, scrubs, tracks
from indexer.store.connection import open_index, write_transaction
from indexer.store.scrubs import Scrub
from indexer.store.work import scans
from indexer.tags import READER_VERSION
from tests.recordings import recording
from tests.trees import ask, dump, newest_change, put, replayed
from tests.unit.tags.test_ogg_chain import chain
from tests.unit.tags.test_ogg_pages import opus

Ids = dict[tuple[str, str], int]
DAY_MS = 86_400_000


class Disks:
    """Two roots, `music` and `other`, and the index of both."""

    def __init__(self, library: Library, music: Path, other: Path) -> None:
        self.library = library
        self.music = music
        self.other = other

    def ids(self) -> Ids:
        """(root, path) -> id."""
        rows = ask(self.library, "SELECT root, path, id FROM library")
        return {(root, path): track_id for root, path, track_id in rows}

    def scan(self) -> Ids:
        self.library.scan()
        replayed(self.library.changes(0))
        return self.ids()

    def write(self, path: Path, content: bytes, *, at_s: int = 1_000_000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (at_s, at_s))
        return path

    def copy(self, source: Path, target: Path) -> Path:
        """As `cp -p` and `rsync -t` do: with its mtime."""
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        return target


@pytest.fixture(params=["inodes", "none"])
def disks(
    request: pytest.FixtureRequest,
    library: Library,
    music: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Disks:
    """Both roots on a file system with stable inodes, or (as on FAT) without."""
    if request.param == "none":
        monkeypatch.setattr(tree, "stamp_fields", lambda _type: StampFields.SIZE_MTIME)
    other = tmp_path / "other"
    other.mkdir()
    library.add_root(os.fsencode(other))
    return Disks(library, music, other)


def test_a_move_to_another_disk_keeps_the_id(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.other / "x" / "b.mp3")
    source.unlink()
    since = newest_change(disks.library)
    assert disks.scan() == {("other", "x/b.mp3"): track}
    (change,) = disks.library.changes(since)
    assert (change.kind, change.track_id) == ("moved", track)
    assert (change.old_root, change.old_path) == ("music", "a.mp3")


def test_a_move_that_is_seen_as_a_copy_first_keeps_the_id(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.other / "b.mp3")
    copied = disks.scan()
    newcomer = copied["other", "b.mp3"]
    assert copied == {("music", "a.mp3"): track, ("other", "b.mp3"): newcomer}
    assert newcomer != track
    source.unlink()
    since = newest_change(disks.library)
    assert disks.scan() == {("other", "b.mp3"): track}
    told = [(one.kind, one.track_id, one.path) for one in disks.library.changes(since)]
    assert told == [("missing", newcomer, "b.mp3"), ("moved", track, "b.mp3")]
    assert ask(disks.library, "SELECT count(*) FROM missing") == [(0,)]
    assert disks.library.verify().ok


def test_what_a_copy_was_is_kept_when_its_id_ends(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    disks.scan()
    disks.copy(source, disks.other / "b.mp3").write_bytes(recording(1, "Another title"))
    copied = disks.scan()
    shown = [(row["id"], row["path"], row["title"]) for row in disks.library.as_of(moment(disks))]
    then = moment(disks)
    source.unlink()
    assert len(disks.scan()) == 1
    before = [(row["id"], row["path"], row["title"]) for row in disks.library.as_of(then)]
    assert before == shown
    assert {one for one, _, _ in before} == set(copied.values())


def test_a_file_whose_row_an_older_one_takes_counts_once(disks: Disks) -> None:
    for number in range(3):
        disks.write(disks.music / f"{number}.mp3", recording(number))
        disks.scan()
        disks.copy(disks.music / f"{number}.mp3", disks.other / f"{number}.mp3")
    disks.scan()
    (disks.music / "0.mp3").unlink()
    report = disks.library.scan()
    assert (report.seen, report.moved, report.unchanged, report.missing) == (5, 1, 4, 0)
    disks.write(disks.other / "1.mp3", recording(1, "Another title"))
    (disks.music / "1.mp3").unlink()
    report = disks.library.scan()
    assert (report.seen, report.moved, report.unchanged, report.modified) == (4, 1, 3, 0)
    (disks.music / "2.mp3").unlink()
    report = disks.library.scan([os.fsencode(disks.music)])
    assert (report.seen, report.moved, report.unchanged, report.missing) == (0, 1, 0, 0)
    told = [(run.counts.moved, run.counts.modified) for run in disks.library.status().scans]
    assert told[:3] == [(1, 0), (1, 0), (1, 0)]


@pytest.mark.parametrize(("counts", "left"), [
    ({"seen": 2, "unchanged": 2}, {"seen": 2, "unchanged": 1, "moved": 1}),
    ({"seen": 2, "added": 1, "unchanged": 1}, {"seen": 2, "unchanged": 1, "moved": 1}),
    ({}, {"moved": 1}),
])  # fmt: skip
def test_a_copy_that_another_look_added_since_the_run_began_counts_for_no_addition_less(
    disks: Disks, settings: Settings, counts: dict[str, int], left: dict[str, int]
) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    disks.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        (root, _) = roots.watched(connection)
        known = tracks.in_place(connection, root.id, b"a.mp3")
        assert known is not None
        with write_transaction(connection):
            run = scans.start(connection, "scan", ["music", "other"], 0, alone=False)
            scans.add(connection, run, counts)
        disks.copy(source, disks.music / "b.mp3")
        disks.library.scan()
        copy = tracks.in_place(connection, root.id, b"b.mp3")
        assert copy is not None
        with write_transaction(connection):
            hint = Hint(root.id, recursive=True)
            run_counts.count_moved(connection, [Succession(known, copy)], run, [hint])
        found = scans.counts_of(connection, run)
        assert {name: number for name, number in found.items() if number} == left


def test_a_copy_that_was_seen_before_it_was_whole_keeps_the_id(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.write(disks.other / "b.mp3", bytes(5000))
    assert disks.scan() == {("music", "a.mp3"): track}
    assert disks.library.status().problems == 1
    whole = source.read_bytes()
    source.unlink()
    disks.scan()
    disks.write(disks.other / "b.mp3", whole)
    assert disks.scan() == {("other", "b.mp3"): track}
    assert disks.library.status().problems == 0
    assert ask(disks.library, "SELECT count(*) FROM missing") == [(0,)]
    assert disks.library.verify(deep=True).ok


def test_what_was_found_in_a_whole_copy_stays_with_the_file(
    disks: Disks, settings: Settings
) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.other / "b.mp3")
    newcomer = disks.scan()["other", "b.mp3"]
    with closing(open_index(settings.db, write=True)) as connection:
        for track_id, flaw in ((track, "decayed"), (newcomer, None)):
            known = tracks.by_id(connection, track_id)
            assert known is not None
            scrubs.put(connection, track_id, Scrub(known.stamp, b"", 1, 1, flaw))
    assert disks.library.status().damaged == 1
    source.unlink()
    disks.scan()
    assert disks.library.status().damaged == 0
    with closing(open_index(settings.db, write=False)) as connection:
        assert scrubs.counts(connection)[0] == 1
        found = scrubs.get(connection, track)
        assert found is not None
        assert found.flaw is None


def moment(disks: Disks) -> int:
    return newest_change(disks.library)


def test_a_move_that_is_seen_as_a_loss_first_keeps_the_id(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    aside = disks.copy(source, disks.music.parent / "aside.mp3")
    source.unlink()
    assert disks.scan() == {}
    disks.copy(aside, disks.other / "b.mp3")
    assert disks.scan() == {("other", "b.mp3"): track}


def test_rsync_that_keeps_its_source_makes_a_second_track(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.other / "a.mp3")
    found = disks.scan()
    assert found["music", "a.mp3"] == track
    assert found["other", "a.mp3"] != track
    assert disks.scan() == found


def test_a_whole_album_moved_file_by_file_keeps_its_ids(disks: Disks) -> None:
    sources = [disks.write(disks.music / f"{n}.mp3", recording(n)) for n in range(12)]
    before = disks.scan()
    for number, source in enumerate(sources):
        disks.copy(source, disks.other / "Debut" / source.name)
        source.unlink()
        if number % 5 == 0:
            disks.scan()
    after = disks.scan()
    assert {path.rpartition("/")[2]: one for (_, path), one in after.items()} == {
        path: one for (_, path), one in before.items()
    }


def test_a_restore_from_a_backup_keeps_the_id_also_elsewhere(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    backup = disks.copy(source, disks.music.parent / "backup.mp3")
    source.unlink()
    assert disks.scan() == {}
    disks.write(source, backup.read_bytes(), at_s=2_000_000)
    assert disks.scan() == {("music", "a.mp3"): track}
    source.unlink()
    assert disks.scan() == {}
    disks.write(disks.music / "restored" / "a.mp3", backup.read_bytes(), at_s=3_000_000)
    assert disks.scan() == {("music", "restored/a.mp3"): track}


def test_retagging_while_moving_keeps_the_id(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    source.unlink()
    disks.write(disks.other / "b.mp3", recording(1, "Other " * 40), at_s=2_000_000)
    since = newest_change(disks.library)
    assert disks.scan() == {("other", "b.mp3"): track}
    assert [one.kind for one in disks.library.changes(since)] == ["moved", "modified"]


def test_retagging_between_copying_and_deleting_keeps_the_id_and_the_new_tags(
    disks: Disks,
) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.other / "b.mp3")
    disks.scan()
    put(disks.other, "b.mp3", recording(1, "Renamed"))
    disks.scan()
    source.unlink()
    assert disks.scan() == {("other", "b.mp3"): track}
    assert ask(disks.library, "SELECT title FROM library") == [("Renamed",)]
    assert [one["path"] for one in disks.library.search(["renamed"])] == ["b.mp3"]


def test_a_rename_in_one_root_keeps_the_id_also_with_other_tags(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    source.rename(disks.music / "b.mp3")
    assert disks.scan() == {("music", "b.mp3"): track}
    (disks.music / "b.mp3").rename(disks.music / "c.mp3")
    put(disks.music, "c.mp3", recording(1, "Renamed"))
    assert disks.scan() == {("music", "c.mp3"): track}


def test_a_better_encoding_is_a_new_track(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    source.unlink()
    disks.write(disks.music / "a better one.mp3", recording(101, "Track 1"))
    (found,) = disks.scan().values()
    assert found != track


def test_of_a_duplicate_and_its_original_the_older_id_stays_within_the_window(
    disks: Disks,
) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.music / "copy.mp3")
    disks.scan()
    source.unlink()
    assert disks.scan() == {("music", "copy.mp3"): track}


@pytest.mark.parametrize("names", [("a.mp3", "b.mp3"), ("b.mp3", "a.mp3")])
def test_a_copy_that_is_ignored_together_with_its_original_leaves_with_it(
    disks: Disks, names: tuple[str, str]
) -> None:
    folder = disks.music / "x"
    source = disks.write(folder / names[0], recording(1))
    disks.scan()
    disks.copy(source, folder / names[1])
    disks.scan()
    (folder / ".nomedia").touch()
    assert disks.scan() == {}
    assert disks.library.verify().ok


def test_a_track_whose_folder_is_ignored_goes_on_in_the_copy_that_is_not(disks: Disks) -> None:
    source = disks.write(disks.music / "x" / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.music / "y" / "a.mp3")
    disks.scan()
    (disks.music / "x" / ".nomedia").touch()
    assert disks.scan() == {("music", "y/a.mp3"): track}
    assert disks.library.verify().ok


def test_a_duplicate_that_is_deleted_takes_nothing_from_its_original(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    duplicate = disks.copy(source, disks.music / "copy.mp3")
    newcomer = disks.scan()["music", "copy.mp3"]
    duplicate.unlink()
    since = newest_change(disks.library)
    assert disks.scan() == {("music", "a.mp3"): track}
    told = [(one.kind, one.track_id) for one in disks.library.changes(since)]
    assert told == [("missing", newcomer)]


def test_a_copy_of_long_ago_is_a_track_of_its_own(disks: Disks, settings: Settings) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    disks.scan()
    disks.copy(source, disks.other / "b.mp3")
    copied = disks.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute("UPDATE tracks SET added_at = added_at - ?", (2 * DAY_MS,))
    source.unlink()
    assert disks.scan() == {("other", "b.mp3"): copied["other", "b.mp3"]}


def test_without_a_window_a_copy_is_a_track_of_its_own(disks: Disks, settings: Settings) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    with Library(replace(settings, copy_window=0)) as library:
        library.scan()
        disks.copy(source, disks.other / "b.mp3")
        library.scan()
        newcomer = disks.ids()["other", "b.mp3"]
        source.unlink()
        library.scan()
    assert disks.ids() == {("other", "b.mp3"): newcomer}


def test_two_equal_files_that_are_swapped_stay_where_their_ids_are(disks: Disks) -> None:
    one = disks.write(disks.music / "a.mp3", recording(1))
    two = disks.write(disks.music / "b.mp3", recording(1))
    before = disks.scan()
    aside = disks.music / ".aside"
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    after = disks.scan()
    assert set(after.values()) == set(before.values())


@pytest.mark.parametrize("order", ["before", "after", "beside"])
def test_a_temporary_file_that_was_seen_takes_no_id_where_it_replaces_a_duplicate(
    disks: Disks, order: str
) -> None:
    """As an editor saves that writes `x.tmp.mp3` and renames it."""
    steps = {"before": ["yz", "x"], "after": ["x", "yz"], "beside": ["xyz"]}
    for names in steps[order]:
        for name in names:
            disks.write(disks.music / f"{name}.mp3", recording(1))
        before = disks.scan()
    for title in ("Retagged", "Again"):
        new = disks.write(disks.music / "x.tmp.mp3", recording(1, title), at_s=2_000_000)
        assert len(disks.scan()) == 4
        new.rename(disks.music / "x.mp3")
        assert disks.scan() == before
        assert ask(disks.library, f"SELECT id FROM library WHERE title = '{title}'") == [
            (before["music", "x.mp3"],)
        ]
    assert disks.library.verify().ok


def test_titles_that_are_joined_to_one_file_leave_their_ids_to_none(disks: Disks) -> None:
    """As `cat` joins Ogg files: the end of theirs is the end of the last title."""
    titles = [opus(0, pages) for pages in (10, 20)]
    for number, title in enumerate(titles):
        disks.write(disks.music / f"{number}.opus", title)
    before = disks.scan()
    disks.write(disks.music / "all.opus", chain(*titles))
    joined = disks.scan()["music", "all.opus"]
    for number in range(len(titles)):
        (disks.music / f"{number}.opus").unlink()
    assert disks.scan() == {("music", "all.opus"): joined}
    assert joined not in before.values()


def test_two_copies_that_appear_at_once_are_two_new_tracks(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    content = source.read_bytes()
    source.unlink()
    assert disks.scan() == {}
    disks.write(disks.other / "b.mp3", content)
    disks.write(disks.other / "c.mp3", content)
    found = disks.scan()
    assert len(found) == 2
    assert track not in found.values()


def test_of_two_equal_files_that_are_gone_neither_is_known_again_by_its_sound(
    disks: Disks,
) -> None:
    one = disks.write(disks.music / "a.mp3", recording(1))
    two = disks.write(disks.music / "b.mp3", recording(1), at_s=2_000_000)
    content = one.read_bytes()
    before = disks.scan()
    one.unlink()
    two.unlink()
    assert disks.scan() == {}
    disks.write(disks.other / "c.mp3", content, at_s=3_000_000)
    (found,) = disks.scan().values()
    assert found not in before.values()


def test_the_mtime_tells_two_equal_files_apart(disks: Disks) -> None:
    one = disks.write(disks.music / "a.mp3", recording(1))
    two = disks.write(disks.music / "b.mp3", recording(1), at_s=2_000_000)
    content = one.read_bytes()
    before = disks.scan()
    one.unlink()
    two.unlink()
    assert disks.scan() == {}
    disks.write(disks.other / "c.mp3", content, at_s=2_000_000)
    assert disks.scan() == {("other", "c.mp3"): before["music", "b.mp3"]}


def test_one_copy_of_two_equal_files_that_vanish_together_is_a_track_of_its_own(
    disks: Disks,
) -> None:
    one = disks.write(disks.music / "a.mp3", recording(1))
    two = disks.write(disks.music / "b.mp3", recording(1), at_s=2_000_000)
    disks.scan()
    disks.write(disks.other / "c.mp3", one.read_bytes(), at_s=3_000_000)
    newcomer = disks.scan()["other", "c.mp3"]
    one.unlink()
    two.unlink()
    assert disks.scan() == {("other", "c.mp3"): newcomer}


def test_another_file_of_that_sound_that_vanishes_too_does_not_hide_an_unchanged_copy(
    disks: Disks,
) -> None:
    one = disks.write(disks.music / "a.mp3", recording(1))
    two = disks.write(disks.music / "b.mp3", recording(1, "Other"), at_s=2_000_000)
    before = disks.scan()
    disks.copy(one, disks.other / "c.mp3")
    disks.scan()
    one.unlink()
    two.unlink()
    assert disks.scan() == {("other", "c.mp3"): before["music", "a.mp3"]}


def test_tags_alone_prove_nothing(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1, "Same"))
    (track,) = disks.scan().values()
    source.unlink()
    assert disks.scan() == {}
    disks.write(disks.other / "b.mp3", recording(2, "Same"))  # as long, with its mtime and tags
    (found,) = disks.scan().values()
    assert found != track


def test_a_short_sound_proves_nothing_by_itself(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1, seconds=0.5))
    (track,) = disks.scan().values()
    content = source.read_bytes()
    source.unlink()
    disks.scan()
    target = disks.write(disks.other / "b.mp3", content, at_s=3_000_000)
    (found,) = disks.scan().values()
    assert found != track
    target.unlink()
    disks.scan()
    disks.write(disks.other / "c.mp3", content)
    assert disks.scan() == {("other", "c.mp3"): track}  # size, mtime and tags are of that one


def test_a_sound_that_many_files_have_proves_nothing(disks: Disks) -> None:
    for number in range(MOST + 1):
        disks.write(disks.music / f"{number}.mp3", recording(1, f"N {number:03}"))
    before = disks.scan()
    (disks.music / "7.mp3").unlink()
    disks.scan()
    disks.write(disks.other / "b.mp3", recording(1, "N 007"), at_s=3_000_000)
    assert disks.scan()["other", "b.mp3"] not in before.values()


def test_what_left_a_path_is_known_there_unless_another_sound_came_back(disks: Disks) -> None:
    one = disks.write(disks.music / "a.mp3", recording(1))
    two = disks.write(disks.music / "b.mp3", recording(2), at_s=2_000_000)
    before = disks.scan()
    one.unlink()
    two.unlink()
    disks.scan()
    disks.write(one, recording(2, "Moved here"), at_s=3_000_000)
    assert disks.scan() == {("music", "a.mp3"): before["music", "b.mp3"]}


def test_rows_without_an_essence_are_known_by_size_mtime_and_tags(
    disks: Disks, settings: Settings
) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute("UPDATE tracks SET essence = NULL")
    disks.copy(source, disks.other / "b.mp3")
    disks.scan()
    source.unlink()
    assert disks.scan() == {("other", "b.mp3"): track}
    moved = disks.copy(disks.other / "b.mp3", disks.music / "c.mp3")
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute("UPDATE tracks SET essence = NULL")
    (disks.other / "b.mp3").unlink()
    assert disks.scan() == {("music", moved.name): track}


@pytest.mark.parametrize(("version", "is_known"), [(1, True), (0, False), (READER_VERSION, False)])
def test_what_another_version_of_the_reader_told_of_a_sound_makes_no_other_file_of_it(
    disks: Disks, settings: Settings, version: int, *, is_known: bool
) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    disks.write(disks.music / "other.mp3", recording(2))
    track = disks.scan()["music", "a.mp3"]
    kept = disks.copy(source, disks.music.parent / "kept.mp3")
    source.unlink()
    disks.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute(
            "UPDATE tracks SET essence = zeroblob(16), reader_version = ?", (version,)
        )
    disks.copy(kept, disks.other / "b.mp3")
    assert (disks.scan()["other", "b.mp3"] == track) is is_known


def test_a_root_that_is_away_loses_no_id_to_a_copy(disks: Disks) -> None:
    source = disks.write(disks.other / "a.mp3", recording(1))
    (track,) = disks.scan().values()
    disks.copy(source, disks.music / "b.mp3")
    disks.other.rename(disks.other.with_name("unplugged"))
    disks.library.scan()
    found = disks.ids()
    assert found["other", "a.mp3"] == track
    assert found["music", "b.mp3"] != track


def test_no_recording_of_fifty_with_silent_beginnings_takes_the_id_of_another(
    disks: Disks,
) -> None:
    """Half are moved, a third of these retagged; the others are replaced by new recordings."""
    for number in range(50):
        disks.write(disks.music / f"{number:02}.mp3", recording(number, "Intro"))
    before = disks.scan()
    assert len(before) == 50
    for number in range(0, 50, 2):
        source = disks.music / f"{number:02}.mp3"
        target = disks.other / f"moved {number:02}.mp3"
        if number % 3:
            disks.copy(source, target)
        else:
            disks.write(target, recording(number, f"Retagged {number}"), at_s=2_000_000)
        source.unlink()
    for number in range(1, 50, 2):
        (disks.music / f"{number:02}.mp3").unlink()
        disks.write(disks.other / f"new {number:02}.mp3", recording(1000 + number, "Intro"))
    after = disks.scan()
    assert len(after) == 50
    for number in range(50):
        old = before["music", f"{number:02}.mp3"]
        if number % 2:
            assert after["other", f"new {number:02}.mp3"] not in before.values()
        else:
            assert after["other", f"moved {number:02}.mp3"] == old
    assert disks.library.verify().ok


def test_a_second_scan_after_a_copy_took_over_changes_nothing(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    disks.scan()
    disks.copy(source, disks.other / "b.mp3")
    disks.scan()
    source.unlink()
    disks.scan()
    before = dump(disks.library)
    assert disks.library.scan().files_read == 0
    assert dump(disks.library) == before


def test_a_takeover_is_counted_as_a_move(disks: Disks) -> None:
    source = disks.write(disks.music / "a.mp3", recording(1))
    disks.scan()
    disks.copy(source, disks.other / "b.mp3")
    disks.scan()
    source.unlink()
    report = disks.library.scan()
    assert (report.moved, report.missing, report.files_read) == (1, 0, 0)
