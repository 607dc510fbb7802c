"""The public API: its examples, its types, and that it costs nothing before it is used."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import indexer
from indexer import api, errors
from indexer.library import Library
from indexer.results import records, report, status_report
from indexer.settings import Settings
from indexer.store import changes
from indexer.store.connection import open_index, write_transaction
from indexer.store.schema import LIBRARY_COLUMNS, views
from tests.pictures import picture
from tests.trees import Plant, song


def raised_in_thread(act: Callable[[], object]) -> BaseException | None:
    """What a call raises in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).exception(60)


@dataclass
class Place:
    """An index of two songs with a cover, and its file."""

    index: indexer.Index
    db: Path


@pytest.fixture
def place(library: Library, plant: Plant, settings: Settings) -> Place:
    plant({"Björk/Post/cover.png": picture("PNG", 1000, 1000)})
    for number, title in ((2, "Hyperballad"), (3, "Isobel")):
        path = f"Björk/Post/{number:02}.mp3"
        plant({path: song(title, artist="Björk", album="Post", track=str(number), date="1995")})
        library.scan()
    best = "#PLAYLIST:The best\n../Björk/Post/02.mp3\ngone.mp3\n"
    plant({"Lists/best.m3u8": best.encode()})
    library.scan()
    return Place(indexer.Index(library), settings.db)


def test_the_examples_of_the_api_are_what_it_answers(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    given = {
        "indexer": indexer, "index": place.index, "db": place.db, "datetime": datetime, "UTC": UTC,
    }  # fmt: skip
    tests = [one for one in doctest.DocTestFinder().find(api, extraglobs=given) if one.examples]
    runner = doctest.DocTestRunner()
    failed = [one.name for one in tests if runner.run(one).failed]
    assert failed == []
    public = {name for name in vars(indexer.Index) if not name.startswith("_")} - {"close"}
    assert {one.name.rpartition(".")[2] for one in tests} == {*public, "open"}


def test_the_status_has_what_the_command_tells_with_times_that_have_a_zone(place: Place) -> None:
    assert records.Status.__struct_fields__ == status_report.Status.__struct_fields__
    assert records.Run.__struct_fields__ == status_report.ScanRow.__struct_fields__
    status = place.index.status()
    (root,) = status.roots
    assert (status.tracks, root.tracks, root.reason, root.state) == (2, 2, None, "idle")
    assert isinstance(root.path, str)
    newest, *_ = status.scans
    assert newest.ended_at is not None
    assert timedelta(0) <= newest.ended_at - newest.started_at < timedelta(minutes=5)
    assert timedelta(0) <= datetime.now(UTC) - newest.started_at < timedelta(minutes=5)
    assert newest.counts.seen == 2


def test_a_status_has_paths_that_open_takes_and_runs_that_have_not_ended() -> None:
    root = status_report.RootStatus(
        name="m", path="/m\ufffd", path_b64="L23/", state="offline", reason="away"
    )
    run = status_report.ScanRow(
        id=1, kind="scan", state="running", roots=("m",), started_at="2026-11-01T10:00:00.500Z",
        ended_at=None, counts=report.ScanReport(),
    )  # fmt: skip
    line = api._health_line(
        status_report.HealthLine(level="fault", text="x", since="2026-11-01T10:00:00.500Z")
    )
    assert line.since == datetime(2026, 11, 1, 10, 0, 0, 500_000, tzinfo=UTC)
    told = api._root(root), api._run(run)
    assert (told[0].path, told[0].reason) == (b"/m\xff", "away")
    assert told[1].started_at == datetime(2026, 11, 1, 10, 0, 0, 500_000, tzinfo=UTC)
    assert told[1].ended_at is None


def test_the_records_have_the_columns_of_the_views() -> None:
    assert records.Track.__struct_fields__ == LIBRARY_COLUMNS
    assert records.Album.__struct_fields__ == views.OTHER_VIEWS["albums"]
    assert records.Artist.__struct_fields__ == views.OTHER_VIEWS["artists"]
    assert records.Artwork.__struct_fields__ == views.OTHER_VIEWS["artwork"]


def test_what_no_index_can_hold_is_not_found_or_an_error_of_its_own(place: Place) -> None:
    index = place.index
    for beyond in (2**63, 10**30):
        assert index.track(beyond) is None
        assert index.artwork(album_id=beyond) is None
        assert list(index.tracks(album_id=beyond)) == []
        assert list(index.playlist_items(beyond)) == []
        assert list(index.changes(beyond)) == []
        assert index.tags(-beyond) == {}
        assert len(list(index.as_of(beyond))) == len(list(index.search("", limit=beyond))) == 2
    assert list(index.search("codec:\ud800")) == []
    assert [track.title for track in index.search("Hyper\udce9")] == ["Hyperballad"]
    assert list(index.search("hyperballad", limit=0)) == []
    with pytest.raises(errors.UsageError, match="limit=-1"):
        next(index.search("hyperballad", limit=-1))
    with pytest.raises(errors.UsageError, match="NUL"):
        index.scan(["/a\0b"])
    with pytest.raises(errors.UsageError, match="is no path"):
        index.scan("/a\ud800b")
    with pytest.raises(errors.UsageError, match="no time in UTC"):
        list(index.tracks(added_since=datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))))
    assert len(list(index.tracks(added_since=datetime(2, 1, 1, tzinfo=UTC)))) == 2


def test_one_path_is_scanned_as_one(place: Place, music: Path) -> None:
    """A text is a sequence of texts, too: it was taken for the paths `/`, `t`, `m` ..."""
    assert place.index.scan(str(music)).unchanged == 2
    assert place.index.scan(bytes(music / "Lists")).unchanged == 0
    assert place.index.scan(music).unchanged == 2


def test_a_relative_path_in_a_deleted_folder_is_an_error_of_its_own(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    with pytest.raises(errors.UsageError, match="folder was deleted"):
        place.index.scan("a.mp3")


def test_a_path_that_is_not_utf8_is_bytes_everywhere(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({b"\xff.mp3": song("Odd")})
    library.scan()
    index = indexer.Index(library)
    (track,) = index.tracks()
    assert (track.path, track.file) == (b"\xff.mp3", bytes(music) + b"/\xff.mp3")
    assert list(index.search("odd")) == [track] == [index.track(track.id)]
    (change,) = index.changes()
    assert change.path == b"\xff.mp3"
    assert change.kind is indexer.ChangeKind.ADDED
    assert index.scan([track.file]).unchanged == 1


def test_times_have_a_zone_and_are_asked_for_with_one(place: Place) -> None:
    first, second = place.index.tracks()
    assert first.added_at.utcoffset() == timedelta(0)
    assert first.added_at < second.added_at <= datetime.now(UTC)
    assert list(place.index.tracks(added_since=second.added_at)) == [second]
    elsewhere = second.added_at.astimezone(timezone(timedelta(hours=-5)))
    assert list(place.index.tracks(added_since=elsewhere)) == [second]
    later = second.added_at + timedelta(milliseconds=1)
    assert list(place.index.tracks(added_since=later)) == []
    with pytest.raises(errors.UsageError, match="has no zone"):
        next(place.index.tracks(added_since=datetime(2026, 1, 1)))  # noqa: DTZ001 - the mistake


def test_changes_are_asked_for_by_a_time_with_a_zone_too(place: Place) -> None:
    index, long_ago = place.index, datetime(2020, 1, 1, tzinfo=UTC)
    first, second = index.changes()
    elsewhere = second.at.astimezone(timezone(timedelta(hours=-5)))
    assert list(index.changes(long_ago)) == [first, second]
    assert list(index.changes(elsewhere)) == [second]
    assert list(index.changes(second.at + timedelta(milliseconds=1))) == []
    assert next(index.follow(long_ago)) == first
    for asked in (index.changes, index.follow):
        with pytest.raises(errors.UsageError, match="has no zone"):
            next(asked(datetime(2026, 1, 1)))  # noqa: DTZ001 - the mistake


def test_changes_from_a_time_on_of_which_some_are_not_kept_are_an_error(place: Place) -> None:
    _, second = place.index.changes()
    with (
        closing(open_index(place.db, write=True)) as connection,
        write_transaction(connection),
    ):
        at = report.unix_ms(second.at)
        changes.prune(connection, at + 1, at + 1000)
    with pytest.raises(errors.HistoryPruned, match="start from a snapshot"):
        next(place.index.changes(datetime(2020, 1, 1, tzinfo=UTC)))


def test_following_gives_what_comes_after_it_began(
    place: Place, library: Library, plant: Plant
) -> None:
    seq = place.index.last_seq()
    changes = place.index.follow()
    plant({"new.mp3": song("New")})
    Library(library._settings).scan()
    assert next(changes).seq == place.index.last_seq() == seq + 1
    assert [change.path for change in place.index.changes(seq)] == ["new.mp3"]
    assert list(place.index.follow(stop=lambda: True)) == []


def test_an_index_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(indexer.IndexerError, match="nothing is indexed yet"):
        indexer.open(tmp_path / "none.db")


@pytest.mark.parametrize("place", ["", ".", "file/library.db", "x" * 256, "/dev/null"])
def test_what_cannot_be_an_index_is_an_error_when_it_is_opened(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    named = tmp_path / place if place else place
    with pytest.raises(indexer.IndexerError):
        indexer.open(named)


def test_an_index_is_opened_by_its_path_as_bytes_too(tmp_path: Path) -> None:
    db = tmp_path / "library.db"
    open_index(db, write=True).close()
    with indexer.open(os.fsencode(db)) as index:
        assert list(index.tracks()) == []


def test_importing_the_package_imports_nothing_of_it() -> None:
    program = "import sys, indexer; print(*sorted(m for m in sys.modules if 'indexer' in m))"
    program += "; print(sorted({'msgspec', 'apsw', 'datetime'} & set(sys.modules)))"
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == "indexer\n[]\n"


def test_the_package_has_its_public_names_and_no_other() -> None:
    assert set(indexer.__all__) == set(indexer._PLACES)
    assert all(getattr(indexer, name) for name in indexer.__all__)
    assert set(indexer.__all__) <= set(dir(indexer))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(indexer, "nothing")  # noqa: B009 - mypy knows that there is no such name


def test_artwork_is_asked_for_by_one_id(place: Place) -> None:
    for wrong in ({}, {"album_id": 1, "artist_id": 1}):
        with pytest.raises(errors.UsageError, match="one album"):
            place.index.artwork(**wrong)
    (artist,) = place.index.artists()
    assert place.index.artwork(artist_id=artist.id) is None
    (album,) = place.index.albums()
    cover = place.index.artwork(album_id=album.id)
    assert cover is not None
    assert cover.hash == album.artwork_hash
    assert place.index.artwork(album_id=1000) is None


def test_an_index_says_that_it_belongs_to_one_thread(place: Place) -> None:
    index = place.index
    walk = index.tracks()
    assert raised_in_thread(index.last_seq) is None  # that thread has ended since
    next(walk)
    for act in (index.last_seq, index.status, index.close, lambda: list(index.tracks())):
        refused = raised_in_thread(act)
        assert isinstance(refused, errors.UsageError)
        assert "belongs to one thread" in str(refused)
    assert len(list(walk)) == 1
    index.close()
    assert raised_in_thread(index.last_seq) is None
    assert index.last_seq() == 2
