"""The views that other programs read: what they show, and how SQLite finds what they ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from indexer.library import Library
from indexer.model import Track
from indexer.settings import Settings
from indexer.store import damaged, schema, tracks
from indexer.store.connection import open_index
from indexer.store.schema import views
from indexer.store.search import lengths
from indexer.store.search.query import parse
from tests.rows import MadeUp
from tests.trees import Plant, ask, song

QUESTIONS = {
    "path = 'a/b.mp3'": "tracks_place (root_id=? AND <expr>=?)",
    "root = 'm' AND path = 'a/b.mp3'": "tracks_place (root_id=? AND <expr>=?)",
    "path >= 'A/' AND path < 'A0'": "tracks_place (root_id=? AND <expr>>? AND <expr><?)",
    "path >= 'A/' AND path < 'A0' ORDER BY path LIMIT 9":
        "tracks_place (root_id=? AND <expr>>? AND <expr><?)",
    "root = 'm' AND path >= 'A/' AND path < 'A0' ORDER BY path":
        "tracks_place (root_id=? AND <expr>>? AND <expr><?)",
    "path = x'ff'": "tracks_place (root_id=? AND <expr>=?)",
    "album_id = 3": "tracks_album (album_id=?",
    "album_id = 3 ORDER BY disc, track": "tracks_album (album_id=?",
    "added_at > '2026-11-28'": "tracks_added (<expr>>?)",
    "added_at > '2026-11-28' ORDER BY added_at DESC LIMIT 9": "tracks_added (<expr>>?)",
    "mb_trackid = 'x'": "tracks_mb_trackid (mb_trackid=?)",
    "year = 1997": "tracks_year (year=?)",
    "year BETWEEN 1990 AND 1999": "tracks_year (year>? AND year<?)",
    "id = 7": "INTEGER PRIMARY KEY (rowid=?)",
    "id IN (SELECT rowid FROM track_search WHERE track_search MATCH 'artist:bjork')":
        "INTEGER PRIMARY KEY (rowid=?)",
    "artist = 'Björk' AND id IN (SELECT rowid FROM track_search WHERE track_search MATCH 'bjork')":
        "INTEGER PRIMARY KEY (rowid=?)",
}  # fmt: skip
"""A condition on the view `library`, and the search of `tracks` that answers it."""


def statements() -> Iterator[str]:
    for _, script in schema.MIGRATIONS:
        yield from schema.statements(script)
    yield from views.LATE_INDEXES.values()
    yield "INSERT INTO roots (name, path, added_at) VALUES ('m', x'2f6d', 1), ('n', x'2f6e', 1)"
    yield "INSERT INTO disks (uuid, fsid, fs_type, source) VALUES ('', '', '', '')"
    yield """
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)
    INSERT INTO tracks (root_id, path, gone, place, path_is_text, disk_id, size, mtime_ns, ctime_ns,
        inode, scan_id, reader_version, added_at, album_id, mb_trackid)
    SELECT 1 + n % 2, CAST('A' || n AS BLOB), 0, 0, 1, 1, 1, 1, 1, n, 0, 1, n, n / 10, 'm' || n
    FROM numbers
    """


def plans(library: str, question: str, *, analyzed: bool) -> list[str]:
    """How a copy of SQLite answers a question: Python's own (3.40 in Debian 12), or apsw's."""
    ending = ["ANALYZE"] if analyzed else []
    explain = f"EXPLAIN QUERY PLAN {question}"
    if library == "sqlite3":
        with closing(sqlite3.connect(":memory:")) as db:
            for statement in (*statements(), *ending):
                db.execute(statement)
            return [row[3] for row in db.execute(explain)]
    with closing(apsw.Connection(":memory:")) as index:
        for statement in (*statements(), *ending):
            index.execute(statement)
        return [row[3] for row in index.execute(explain)]


@pytest.mark.parametrize("analyzed", [False, True], ids=["as made", "analyzed"])
@pytest.mark.parametrize("library", ["sqlite3", "apsw"])
@pytest.mark.parametrize("condition", QUESTIONS)
def test_a_question_of_a_program_is_answered_through_an_index(
    condition: str, library: str, analyzed: bool
) -> None:
    told = plans(library, f"SELECT * FROM library WHERE {condition}", analyzed=analyzed)
    assert not [line for line in told if line.startswith("SCAN tracks")], told
    assert [line for line in told if QUESTIONS[condition] in line], told


SPANS = {
    ("duration:>40m",): ["SEARCH tracks USING COVERING INDEX tracks_lengths (<expr>>?)"],
    ("duration:2:00",): ["SEARCH tracks USING COVERING INDEX tracks_lengths (<expr>=?)"],
    ("duration:1m-2m", "bitrate:<192k"):
        ["SEARCH tracks USING COVERING INDEX tracks_lengths (<expr>>? AND <expr><?)"],
    ("bitrate:<192k",): [
        "SCAN tracks USING COVERING INDEX tracks_lengths",
        "SEARCH tracks USING COVERING INDEX tracks_lengths (ANY(<expr>) AND <expr><?)",
    ],
}  # fmt: skip
"""Terms of a search, and the ways in which the tracks may be found that may be meant."""


@pytest.mark.parametrize("analyzed", [False, True], ids=["as made", "analyzed"])
@pytest.mark.parametrize("typed", SPANS)
def test_durations_and_bitrates_are_looked_up_in_an_index_of_both(
    typed: tuple[str, ...], analyzed: bool
) -> None:
    """By this program only, so with its own copy of SQLite."""
    spans = parse(" ".join(typed)).spans
    assert len(spans) == len(typed)
    question = lengths.MATCHING.format(asked=" AND ".join(span.sql for span in spans))
    told = plans("apsw", question.replace("?", "7"), analyzed=analyzed)
    (step,) = told
    assert step in SPANS[typed]


@pytest.mark.parametrize("analyzed", [False, True], ids=["as made", "analyzed"])
@pytest.mark.parametrize("library", ["sqlite3", "apsw"])
@pytest.mark.parametrize(
    "condition", ["duration > 60", "duration = 60", "bitrate < 192000", "has_picture = 1"]
)
def test_programs_that_ask_for_many_do_not_read_them_in_the_order_of_durations(
    condition: str, library: str, analyzed: bool
) -> None:
    """Each would be at another place of the file."""
    told = plans(library, f"SELECT * FROM library WHERE {condition}", analyzed=analyzed)
    assert not [line for line in told if "tracks_lengths" in line], told


LINKS = {
    "artist_id = 3": "catalog_track_artists_artist (artist_id=?)",
    "artist_id = 3 AND role = 'artist'": "catalog_track_artists_artist (artist_id=?)",
    "track_id = 7": "PRIMARY KEY (track_id=?)",
    "track_id = 7 AND role = 'albumartist'": "PRIMARY KEY (track_id=?)",
    "track_id = 7 AND role = 'artist' ORDER BY position": "PRIMARY KEY (track_id=?)",
    "track_id IN (7, 8, 9)": "PRIMARY KEY (track_id=?)",
}
"""A condition on the view `track_artists`, and the search of the links that answers it."""


@pytest.mark.parametrize("analyzed", [False, True], ids=["as made", "analyzed"])
@pytest.mark.parametrize("library", ["sqlite3", "apsw"])
@pytest.mark.parametrize("condition", LINKS)
def test_links_to_artists_are_found_through_an_index(
    condition: str, library: str, analyzed: bool
) -> None:
    told = plans(library, f"SELECT * FROM track_artists WHERE {condition}", analyzed=analyzed)
    assert not [line for line in told if line.startswith("SCAN")], told
    assert [line for line in told if LINKS[condition] in line], told


@pytest.mark.parametrize("library", ["sqlite3", "apsw"])
def test_what_is_recent_is_read_in_its_order_and_one_album_by_its_tracks(library: str) -> None:
    told = plans(library, "SELECT * FROM recent LIMIT 10", analyzed=False)
    assert told[0] == "SCAN tracks USING INDEX tracks_added"
    assert not [line for line in told if "TEMP B-TREE" in line], told
    for view in ("albums", "artists"):
        told = plans(library, f"SELECT * FROM {view} WHERE id = 3", analyzed=False)
        assert not [line for line in told if line.startswith("SCAN") and "catalog" in line], told
        assert not [line for line in told if line.startswith("SCAN track")], told
    told = plans(library, "SELECT * FROM missing", analyzed=False)
    assert [line for line in told if "tracks_missing" in line], told


@pytest.mark.parametrize("analyzed", [False, True], ids=["as made", "analyzed"])
@pytest.mark.parametrize("library", ["sqlite3", "apsw"])
def test_rows_that_left_and_were_not_told_are_found_among_the_missing(
    library: str, analyzed: bool
) -> None:
    (step,) = plans(library, tracks.UNANNOUNCED, analyzed=analyzed)
    assert step == "SEARCH tracks USING INDEX tracks_missing (missing_at=?)"


def test_tracks_have_their_album_their_file_and_numbers(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({
        "Björk/1.mp3": song("One", album="Debut", replaygain_track_gain="-7.32 dB",
            replaygain_track_peak="0.988547", replaygain_album_gain="+1,5 dB"),
        b"\xff.mp3": song("Two", replaygain_track_gain="loud"),
    })  # fmt: skip
    library.scan()
    rows = ask(
        library,
        "SELECT title, file, replaygain_track_gain_db, replaygain_track_peak_linear,"
        " replaygain_album_gain_db, replaygain_album_peak_linear,"
        " (SELECT title FROM albums WHERE albums.id = library.album_id) "
        "FROM library ORDER BY title",
    )
    assert rows == [
        ("One", f"{music}/Björk/1.mp3", -7.32, 0.988547, 1.5, None, "Debut"),
        ("Two", bytes(music) + b"/\xff.mp3", None, None, None, None, "Homogenic"),
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [("-7.32 dB", -7.32), ("+3 dB", 3.0), (".5", 0.5), ("-.5 dB", -0.5), ("7", 7.0), ("dB", None),
     ("+-7 dB", None), ("", None), ("1e999", None), ("-2000 dB", None), ("nan", None)],
)  # fmt: skip
def test_a_gain_is_the_number_at_the_start_of_its_text(
    tmp_path: Path, text: str, number: float | None
) -> None:
    with closing(open_index(tmp_path / "a.db", write=True)) as connection:
        track = Track(codec="mp3", replaygain_album_gain=text)
        MadeUp(connection).add((b"a.mp3", track))
        (row,) = connection.execute("SELECT replaygain_album_gain_db FROM library")
        assert row == (number,)


def test_albums_artists_and_what_is_missing_are_views(
    library: Library, plant: Plant, settings: Settings, music: Path
) -> None:
    plant({
        "Debut/1.mp3": song("Crying", artist="Björk", album="Debut", date="1993", disc="1"),
        "Debut/2.mp3": song("Violently", artist="Björk", album="Debut", date="1994", disc="2"),
        "Post/1.mp3": song("Isobel", artist="Björk", album="Post"),
    })  # fmt: skip
    library.scan()
    (music / "Post" / "1.mp3").unlink()
    library.scan()
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.row_factory = sqlite3.Row
        (album,) = [dict(row) for row in db.execute("SELECT * FROM albums")]
        (artist,) = [tuple(row) for row in db.execute("SELECT name, tracks, albums FROM artists")]
        (gone,) = [dict(row) for row in db.execute("SELECT * FROM missing")]
        recent = [row["title"] for row in db.execute("SELECT * FROM recent")]
    assert tuple(album) == views.OTHER_VIEWS["albums"]
    told = (album["title"], album["albumartist"], album["tracks"], album["discs"], album["year"])
    assert told == ("Debut", "Björk", 2, 2, 1993)
    assert album["added_at"][10] + album["added_at"][-1] == "TZ"
    assert artist == ("Björk", 2, 1)
    assert tuple(gone) == views.OTHER_VIEWS["missing"]
    assert (gone["path"], gone["title"], gone["artist"]) == ("Post/1.mp3", "Isobel", "Björk")
    assert recent == ["Violently", "Crying"]


@pytest.mark.parametrize("analyzed", [False, True], ids=["as made", "analyzed"])
def test_what_is_damaged_is_found_without_looking_at_all_tracks(*, analyzed: bool) -> None:
    for statement in (damaged.LISTED, damaged.COUNT):
        steps = plans("apsw", statement, analyzed=analyzed)
        assert any("tracks_short" in step for step in steps)
        assert "SCAN tracks" not in steps
