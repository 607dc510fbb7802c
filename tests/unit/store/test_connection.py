from __future__ import annotations

import sqlite3
import stat
import subprocess
from contextlib import closing
from itertools import product
from pathlib import Path

import apsw
import pytest

from indexer import errors
from indexer.library import Library
from indexer.settings import Settings
from indexer.stages import derive
from indexer.store import schema, scratch
from indexer.store.connection import (
    Connection,
    open_index,
    read_transaction,
    select,
    select_one,
    select_value,
    tune,
    write_transaction,
)
from indexer.store.sqlite_errors import explained
from tests.trees import Plant, song

DOCUMENTED = [
    "id", "root", "path", "size", "mtime_ns", "title", "artist", "albumartist", "album", "genre",
    "date", "year", "track", "track_total", "disc", "disc_total", "composer", "comment", "bpm",
    "isrc", "label", "compilation", "mb_trackid", "mb_albumid", "mb_artistid",
    "mb_albumartistid", "mb_releasegroupid", "replaygain_track_gain", "replaygain_track_peak",
    "replaygain_album_gain", "replaygain_album_peak", "duration", "bitrate", "sample_rate",
    "channels", "bit_depth", "codec", "has_picture", "guessed", "added_at", "indexed_at",
    "album_id", "file", "replaygain_track_gain_db", "replaygain_track_peak_linear",
    "replaygain_album_gain_db", "replaygain_album_peak_linear", "has_lyrics", "has_cover",
    "short", "essence",
]  # fmt: skip


def artists(connection: Connection) -> list[str]:
    return [name for (name,) in select(connection, "SELECT name FROM catalog_artists ORDER BY id")]


def add(connection: Connection, name: str) -> None:
    connection.execute("INSERT INTO catalog_artists (name) VALUES (?)", (name,))


def test_the_view_has_the_documented_columns_for_the_standard_librarys_sqlite(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"Björk/1.mp3": song("One", track="3"), b"\xff.mp3": song("Two")})
    library.scan()
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute("SELECT * FROM library ORDER BY title").fetchall()
    assert rows[0].keys() == DOCUMENTED
    assert [row["path"] for row in rows] == ["Björk/1.mp3", b"\xff.mp3"]
    one = rows[0]
    assert (one["root"], one["track"], one["compilation"], one["guessed"]) == ("music", 3, 0, 0)
    assert isinstance(one["duration"], float)
    assert one["added_at"][10] + one["added_at"][-1] == "TZ"
    assert one["added_at"] <= one["indexed_at"]


def test_the_schema_is_what_debians_sqlite_can_create() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for _, script in schema.MIGRATIONS:
            for statement in schema.statements(script):
                db.execute(statement)
        assert db.execute("SELECT * FROM library").fetchall() == []
    assert list(schema.LIBRARY_COLUMNS) == DOCUMENTED


def test_an_index_is_made_by_a_writer_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "library.db"
    with closing(open_index(path, write=True)) as connection:
        assert select_value(connection, "PRAGMA user_version") == schema.SCHEMA_VERSION
        assert select_value(connection, "PRAGMA journal_mode") == "wal"
        add(connection, "Björk")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(open_index(path, write=False)) as connection:
        assert artists(connection) == ["Björk"]
        with (
            pytest.raises(errors.DatabaseError, match="cannot be read or written"),
            explained(path),
        ):
            add(connection, "Jónsi")


@pytest.mark.parametrize("content", [None, b""])
def test_a_reader_makes_no_index(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "library.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.DatabaseMissing, match="nothing is indexed yet"):
        open_index(path, write=False)
    assert path.exists() is (content is not None)


@pytest.mark.parametrize("write", [False, True])
def test_an_index_from_the_future_is_refused_and_left_alone(
    settings: Settings, connection: Connection, write: bool
) -> None:
    connection.pragma("user_version", schema.SCHEMA_VERSION + 1)
    with pytest.raises(errors.DatabaseNewer, match="update this program"):
        open_index(settings.db, write=write)
    assert connection.pragma("user_version") == schema.SCHEMA_VERSION + 1


@pytest.mark.parametrize("write", [False, True])
def test_what_is_no_database_is_called_so(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "library.db"
    path.write_bytes(b"no database " * 500)
    with pytest.raises(errors.DatabaseDamaged, match="this is not a database"):
        open_index(path, write=write)


def test_what_is_raised_in_a_transaction_takes_all_of_it_back(connection: Connection) -> None:
    add(connection, "Björk")
    with pytest.raises(apsw.ConstraintError), write_transaction(connection):
        connection.executemany(
            "INSERT INTO catalog_artists (name) VALUES (?)", [("Jónsi",), ("Björk",)]
        )
    assert artists(connection) == ["Björk"]
    assert not connection.in_transaction
    with write_transaction(connection):
        add(connection, "múm")
    assert artists(connection) == ["Björk", "múm"]


def test_a_writer_waits_for_another_and_then_reports_that_it_is_busy(
    settings: Settings, connection: Connection
) -> None:
    with (
        closing(open_index(settings.db, write=True, busy_timeout_s=0.01)) as other,
        write_transaction(connection),
        pytest.raises(errors.DatabaseBusy, match="another program holds"),
        explained(settings.db),
        write_transaction(other),
    ):
        pass
    assert not connection.in_transaction


def test_a_snapshot_is_of_one_moment(settings: Settings, connection: Connection) -> None:
    with closing(open_index(settings.db, write=False)) as reader:
        with read_transaction(reader):
            assert artists(reader) == []
            add(connection, "Björk")
            assert artists(reader) == []
        assert artists(reader) == ["Björk"]


def test_a_full_disk_is_told_and_nothing_is_half_written(
    settings: Settings, connection: Connection
) -> None:
    pages = select_value(connection, "PRAGMA page_count")
    connection.pragma("max_page_count", pages)
    with (
        pytest.raises(errors.DatabaseFull, match="its disk is full"),
        explained(settings.db),
        write_transaction(connection),
    ):
        add(connection, "Jóga" * 10_000)
    assert artists(connection) == []


def test_an_answer_without_a_row_is_none(connection: Connection) -> None:
    assert select_one(connection, "SELECT 1 WHERE 0") is None
    assert select_value(connection, "SELECT 1 WHERE 0") is None
    assert select_one(connection, "SELECT 1, 2") == (1, 2)


def test_the_cache_and_the_log_grow_while_much_is_written_and_shrink_again(
    connection: Connection,
) -> None:
    before = select_value(connection, "PRAGMA cache_size")
    pages = select_value(connection, "PRAGMA wal_autocheckpoint")
    tune(connection, seeding=True)
    assert select_value(connection, "PRAGMA cache_size") < before < 0, "negative: KiB"
    assert select_value(connection, "PRAGMA wal_autocheckpoint") > pages
    tune(connection, seeding=False)
    assert select_value(connection, "PRAGMA cache_size") == before
    assert select_value(connection, "PRAGMA wal_autocheckpoint") == pages


def keeps_many_segments_apart(connection: Connection) -> bool:
    """By default each word is written twice."""
    kept = "SELECT v FROM track_search_config WHERE k IN ('automerge', 'crisismerge')"
    return list(select(connection, kept)) == [(32,), (32,)]


def test_the_full_text_of_a_new_index_keeps_many_segments_apart(connection: Connection) -> None:
    assert keeps_many_segments_apart(connection)


def test_a_full_text_that_is_made_again_joins_them_from_then_on(connection: Connection) -> None:
    """No first scan may follow, whose end would say so."""
    with write_transaction(connection):
        derive.full_text(connection)
    assert not keeps_many_segments_apart(connection)


def test_errors_of_ours_are_not_taken_for_sqlites(tmp_path: Path) -> None:
    with pytest.raises(apsw.SQLError), explained(tmp_path):
        raise apsw.SQLError("a statement of ours is wrong: a traceback is what we want")


def test_nothing_is_written_into_an_index_that_a_newer_version_has_migrated(tmp_path: Path) -> None:
    db = tmp_path / "library.db"
    with closing(open_index(db, write=True)) as connection:
        with write_transaction(connection):
            connection.execute("DELETE FROM roots")
        connection.pragma("user_version", schema.SCHEMA_VERSION + 1)
        with (
            pytest.raises(errors.DatabaseNewer, match="start this process again"),
            write_transaction(connection),
        ):
            raise AssertionError
        assert not connection.in_transaction


def test_an_index_with_a_second_name_is_refused_by_either(tmp_path: Path) -> None:
    """SQLite would keep a log beside each name."""
    one, other = tmp_path / "library.db", tmp_path / "other.db"
    open_index(one, write=True).close()
    other.hardlink_to(one)
    for name, write in product((one, other), (True, False)):
        with pytest.raises(errors.DatabaseError, match="has another name"):
            open_index(name, write=write)
    other.unlink()
    open_index(one, write=True).close()


def test_an_index_whose_maker_was_killed_as_it_named_it_is_opened(tmp_path: Path) -> None:
    db = tmp_path / "library.db"
    open_index(db, write=True).close()
    left = tmp_path / ".music-indexer-abc.part"
    left.mkdir()
    (left / "library.db").hardlink_to(db)
    open_index(db, write=True).close()
    assert not left.exists()


def test_an_index_is_opened_while_another_process_removes_what_its_maker_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "library.db"
    open_index(db, write=True).close()
    second = tmp_path / "second"
    second.hardlink_to(db)

    def comes_too_late(parent: Path) -> int:
        assert parent == tmp_path
        second.unlink()
        return 0

    monkeypatch.setattr(scratch, "remove_left", comes_too_late)
    open_index(db, write=False).close()
    assert not second.exists()


def test_the_advice_for_an_index_with_two_names_makes_two_files_of_it(tmp_path: Path) -> None:
    one, other = tmp_path / "my library.db", tmp_path / "other.db"
    open_index(one, write=True).close()
    other.hardlink_to(one)
    with pytest.raises(errors.DatabaseError) as refused:
        open_index(one, write=False)
    command = str(refused.value).partition("(`cp ")[2].partition("`)")[0]
    subprocess.run(["/bin/sh", "-c", f"cp {command}"], check=True)
    for name in (one, other):
        open_index(name, write=True).close()
    assert not one.samefile(other)
