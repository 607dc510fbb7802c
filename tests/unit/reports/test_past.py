"""What was there before is kept with each change, and gives the library as it was."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

import indexer
from indexer import errors
from indexer.cli.export import retag_table
from indexer.library import Library
from indexer.model import ChangeKind
from indexer.reports import past
from indexer.settings import Settings
from indexer.store import changes, former, schema, tracks
from indexer.store.connection import Connection, open_index, write_transaction
from indexer.store.recovery.rescue import Rescue
from indexer.store.recovery.salvage import Salvage
from indexer.store.upkeep import purge_missing
from tests.corpus import tagged
from tests.further_tags import with_tags
from tests.trees import BAD, Plant, newest_change, put, song

KEEP_NO_DAY = 0


def befores(library: Library, since: int = 0) -> list[tuple[str, dict[str, Any] | None]]:
    return [(change.kind, change.before) for change in library.changes(since)]


def titles_at(library: Library, when: int, *words: str) -> list[tuple[Any, Any]]:
    return [(row["path"], row["title"]) for row in library.as_of(when, words)]


def purge(settings: Settings) -> None:
    """Delete the rows of all missing tracks of the first root, as after 30 days."""
    connection = open_index(settings.db, write=True)
    with write_transaction(connection):
        purge_missing(connection, 1, KEEP_NO_DAY)
    connection.close()


def test_a_change_keeps_only_the_columns_that_differ(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One", genre=["Pop", "Noise"])})
    library.scan()
    put(music, "1.mp3", song("One", genre="Pop", comment="new"))
    library.scan()
    (music / "1.mp3").rename(music / "2.mp3")
    library.scan()
    put(music, "2.mp3", song("Two", genre="Pop", comment="new"))
    (music / "2.mp3").rename(music / "3.mp3")
    library.scan()
    (music / "3.mp3").unlink()
    library.scan()
    assert befores(library) == [
        ("added", None),
        ("modified", {"genre": "Pop; Noise", "comment": None,
                      "several": {"genre": ["Pop", "Noise"]}}),
        ("moved", None),
        ("moved", None),
        ("modified", {"title": "One"}),
        ("missing", None),
    ]  # fmt: skip


def test_of_further_tags_only_the_names_that_differ_are_kept(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": with_tags(".mp3", {"mood": ["Dark"], "media": ["CD"]})})
    library.scan()
    put(music, "1.mp3", with_tags(".mp3", {"mood": ["Light"], "media": ["CD"], "key": ["C"]}))
    library.scan()
    assert befores(library, 1) == [("modified", {"tags": {"key": None, "mood": ["Dark"]}})]
    (row,) = library.as_of(1)
    assert row["tags"] == {"media": ["CD"], "mood": ["Dark"]}


def test_a_purged_track_is_still_known_as_it_was_at_any_time(
    library: Library, plant: Plant, music: Path, settings: Settings
) -> None:
    plant({b"\xff.mp3": with_tags(".mp3", {"mood": ["Dark"]}), "2.mp3": song("Two", artist="Muse")})
    library.scan()
    (added,) = (row["added_at"] for row in library.as_of(2, ["two"]))
    put(music, "2.mp3", song("New", artist="Muse"))
    library.scan()
    for file in list(music.iterdir()):
        file.unlink()
    library.scan()
    purge(settings)
    connection = open_index(settings.db, write=False)
    assert tracks.count(connection) == 0
    connection.close()
    two, one = library.as_of(2)
    assert (one["path_b64"], one["tags"]) == ("/y5tcDM=", {"mood": ["Dark"]})
    assert (two["title"], two["artist"], two["added_at"]) == ("Two", "Muse", added)
    assert titles_at(library, 3, "muse") == [("2.mp3", "New")]
    assert list(library.as_of(newest_change(library))) == []


def test_what_never_was_in_the_view_changes_no_line_when_it_is_purged(
    library: Library, plant: Plant, music: Path, settings: Settings
) -> None:
    plant({"1.mp3": song("One"), "bad.mp3": BAD})
    library.scan()
    (music / "bad.mp3").unlink()
    library.scan()
    purge(settings)
    assert befores(library) == [("added", None)]


def test_a_file_that_moved_and_cannot_be_read_was_where_it_left_the_view(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    put(music, "1.mp3", BAD)
    (music / "1.mp3").rename(music / "2.mp3")
    library.scan()
    (change,) = library.changes(1)
    assert (change.kind, change.path, change.old_path) == ("missing", "2.mp3", "1.mp3")
    assert titles_at(library, 1) == [("1.mp3", "One")]


def test_a_track_whose_place_was_taken_is_there_until_a_change_tells_that_it_left(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    library.scan()
    (track_id,) = (row["id"] for row in library.as_of(2, ["one"]))
    connection = open_index(settings.db, write=True)
    with write_transaction(connection):
        tracks.mark_missing(connection, track_id, None)  # as when a move takes its place
    connection.close()
    assert titles_at(library, 2) == [("1.mp3", "One"), ("2.mp3", "Two")]
    assert titles_at(library, 2, "one") == [("1.mp3", "One")]


def test_the_past_is_searched_in_any_spelling_by_whole_words_and_the_beginning_of_the_last(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("Hyperballad", artist="Björk"), "2.mp3": song("Thunder", artist="AC/DC")})
    library.scan()
    put(music, "1.mp3", song("Other", artist="Кино"))
    library.scan()
    for words in (["hyper"], ["bjork", "hyp"], ["BJÖRK"]):
        assert titles_at(library, 2, *words) == [("1.mp3", "Hyperballad")]
    assert titles_at(library, 2, "acdc") == [("2.mp3", "Thunder")]
    assert titles_at(library, 3, "kino") == [("1.mp3", "Other")]
    for words in (["ballad"], ["bjrok"], ["hyp", "bjork"]):
        assert titles_at(library, 2, *words) == []


def test_a_root_that_was_renamed_had_its_old_name_and_guesses(
    library: Library, plant: Plant
) -> None:
    plant({"One.mp3": with_tags(".mp3", {"mood": ["Dark"]})})
    library.scan()
    library.rename_root("music", "tapes")
    (now,) = library.search([""], sort="path")
    (was,) = library.as_of(1)
    assert (now["root"], was["root"]) == ("tapes", "music")
    assert (now["album"], was["album"]) == ("tapes", "music")


def test_history_that_is_pruned_is_refused_with_the_time_from_which_it_is_known(
    library: Library, plant: Plant, music: Path, settings: Settings
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    put(music, "1.mp3", song("Two"))
    library.scan()
    put(music, "1.mp3", song("Ten"))
    library.scan()
    at = [change.at for change in library.changes()]
    connection = open_index(settings.db, write=True)
    with write_transaction(connection):
        connection.execute("UPDATE changes SET at = seq")
        assert changes.prune(connection, 3, now_ms=10) == 2
    connection.close()
    with pytest.raises(errors.HistoryPruned, match=r"back to .* \(change 2\).*keep_changes"):
        list(library.as_of(1))
    assert titles_at(library, 2) == [("1.mp3", "Two")]
    assert len(at) == 3


def test_an_older_index_knows_what_was_there_only_from_its_migration_on(
    connection: Connection,
) -> None:
    changes.append(connection, 1, ChangeKind.ADDED, 1, ("music", b"a.mp3"))
    connection.execute("ALTER TABLE changes DROP COLUMN before")
    connection.execute("ALTER TABLE identity DROP COLUMN history_floor")
    for statement in schema.statements(schema.HISTORY):
        connection.execute(statement)
    assert changes.history_floor(connection) == 1
    with pytest.raises(errors.HistoryPruned, match="as it is now"):
        past.number_of(connection, 0)


def test_after_a_rescue_history_begins_anew(connection: Connection, tmp_path: Path) -> None:
    changes.append(connection, 1, ChangeKind.ADDED, 1, ("music", b"a.mp3"))
    target = open_index(tmp_path / "new.db", write=True)
    with write_transaction(target):
        Rescue(Salvage(connection), target).copy(now_ms=5)
    newest = changes.newest(target)
    assert newest > 1, "the track whose row is lost is told as missing"
    assert changes.history_floor(target) == newest
    target.close()


def test_a_search_for_what_is_not_kept_is_refused(library: Library, plant: Plant) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    for word in (
        "size:>1m", "indexed:7d", "missing:cover", "has:lyrics", "-has_lyrics:yes", "-has:cover",
    ):  # fmt: skip
        with pytest.raises(errors.UsageError, match="is not kept"):
            list(library.as_of(1, [word]))


def test_every_column_of_the_view_is_kept_or_known_not_to_be() -> None:
    not_kept = {"size", "mtime_ns", "indexed_at", "album_id", "file", "has_cover", "essence"}
    not_kept.add("has_lyrics")
    assert set(schema.LIBRARY_COLUMNS) - set(past.COLUMNS) == not_kept


def test_all_columns_survive_going_back() -> None:
    old = tuple(
        {"several": '{"artist":["a","b"]}', "tags": '{"key":["C"]}'}.get(name, f"{name} ü\0")
        for name in tracks.COLUMNS
    )
    before = former.difference(old, tracks.NOTHING_READ)
    assert former.columns_then(tracks.NOTHING_READ, former.decoded(before)) == old
    assert former.columns_then(None, former.decoded(former.whole(old, 1))) == old
    back = former.difference(tracks.NOTHING_READ, old)
    assert former.columns_then(old, former.decoded(back)) == tracks.NOTHING_READ


def test_the_tags_that_a_mass_retag_replaced_are_told_once_for_each_track(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One", artist=["Björk", "Muse"]), "2.mp3": song("Two"), "3.mp3": BAD})
    library.scan()
    begin = newest_change(library)
    put(music, "1.mp3", song("One", artist="x"))
    put(music, "2.mp3", song("Tmp"))
    library.scan()
    middle = newest_change(library)
    put(music, "1.mp3", song("One", artist="y", date="2001"))
    put(music, "2.mp3", song("Two"))
    put(music, "3.mp3", song("Three"))
    library.scan()
    (music / "1.mp3").rename(music / "4.mp3")
    library.scan()
    told = [(row.path, row.tag, row.before, row.after) for row in library.retags(begin)]
    assert told == [
        ("4.mp3", "artist", ("Björk", "Muse"), ("y",)),
        ("4.mp3", "date", (), ("2001",)),
    ]
    told = [(row.path, row.tag, row.before, row.after) for row in library.retags(begin, middle)]
    assert told == [
        ("1.mp3", "artist", ("Björk", "Muse"), ("x",)),
        ("2.mp3", "title", ("Two",), ("Tmp",)),
    ]
    text = b"".join(retag_table(library.retags(begin))).decode()
    first, _ = csv.DictReader(io.StringIO(text))
    assert (first["file"], first["before"]) == (str(music / "4.mp3"), "Björk; Muse")


def test_each_tag_has_the_date_on_which_it_was_changed_itself(
    library: Library, plant: Plant, music: Path, connection: Connection
) -> None:
    plant({"1.mp3": song("One", artist="A", album="X")})
    library.scan()
    for change in (
        song("Two", artist="A", album="X"),
        song("Two", artist=["B", "C"], album="Y"),
        song("Two", artist=["B", "C"], album="Z"),
    ):
        put(music, "1.mp3", change)
        library.scan()
    (music / "1.mp3").rename(music / "2.mp3")
    library.scan()
    with write_transaction(connection):
        connection.execute("UPDATE changes SET at = seq * 1000")

    def dates(*between: int) -> dict[str, str]:
        return {row.tag: row.at.removeprefix("1970-01-01T") for row in library.retags(*between)}

    second, third, fourth = (f"00:00:0{number}.000Z" for number in (2, 3, 4))
    assert dates(1) == {"title": second, "artist": third, "album": fourth}
    assert dates(1, 3) == {"title": second, "artist": third, "album": third}


def test_what_was_guessed_from_a_path_was_no_tag(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"Guessed.mp3": tagged()})
    library.scan()
    put(music, "Guessed.mp3", tagged(title="Guessed"))
    library.scan()
    (change,) = library.changes(1)
    assert change.before == {"guessed": 1}
    told = [(row.tag, row.before, row.after) for row in library.retags(1)]
    assert told == [("title", (), ("Guessed",))]


def test_a_summary_counts_kinds_columns_and_folders(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "3.mp3": song("Six")})
    library.scan()
    for name in ("A/1.mp3", "A/2.mp3"):
        put(music, name, song("New", genre="Pop"))
    (music / "3.mp3").unlink()
    library.scan()
    summary = library.summary(3)
    assert {kind: many for kind, many in summary.kinds.items() if many} == {
        "modified": 2, "missing": 1,
    }  # fmt: skip
    assert summary.columns == {"title": 2, "genre": 2}
    assert [(one.folder, one.changes) for one in summary.folders] == [("A", 2), ("", 1)]
    assert library.summary(0, 3).kinds["added"] == 3


def test_the_api_tells_what_was_before_and_gives_typed_tracks_of_a_time(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({b"\xff.mp3": song("One")})
    library.scan()
    put(music, b"\xff.mp3", song("Two"))
    library.scan()
    index = indexer.Index(library)
    assert [change.before for change in index.changes()] == [None, {"title": "One"}]
    (track,) = index.as_of(1, "one")
    assert (track.path, track.columns["title"]) == (b"\xff.mp3", "One")
    assert list(index.as_of(2, "one")) == []
