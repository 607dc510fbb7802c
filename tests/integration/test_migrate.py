from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexer import errors
from indexer.library import Library
from indexer.model import Hint, Stamp
from indexer.repair import repair
from indexer.settings import Settings
from indexer.spelling import album_key
from indexer.store import catalog, outdated, problems, schema, tracks
from indexer.store.connection import BUSY_TIMEOUT_S, open_index, select, select_value, token_of
from indexer.store.recovery import health
from indexer.store.schema import musicbrainz_ids
from indexer.store.schema.roles import Role
from indexer.store.search.index_rows import versions
from indexer.store.sidecars import artwork
from indexer.store.sidecars.artwork import Owner
from indexer.store.work import pending
from tests.trees import Plant, song, titles

MADE = """
import sys
from sqlite_utils import Database
from indexer.store import migrate
db = Database(sys.argv[1])
db.execute("PRAGMA journal_mode = WAL")
migrate.migrations.apply(db, stop_before=sys.argv[2])
db.conn.executescript(sys.argv[3])
db.close()
"""
"""In a process of its own: the standard library's SQLite and apsw may not meet in one file."""
ASKED = "import sys, sqlite3; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"

OLD_ROWS = """
INSERT INTO roots (name, path, added_at) VALUES ('music', x'2f6d', 1);
INSERT INTO pending (generation, root_id, folder, names, recursive, reread, attempts, at)
VALUES (1, 1, x'41', NULL, 1, 7, 2, 5);
"""


def python(text: str, *words: object) -> str:
    command = [sys.executable, "-c", text, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def literal(value: object) -> str:
    """A value as SQL has it."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def row(table: str, **columns: object) -> str:
    """The statement that inserts a row."""
    values = ", ".join(map(literal, columns.values()))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});"


ROOT = row("roots", id=1, name="m", path=b"/m", added_at=1)
DISK = row("disks", id=1, uuid="u", fsid="f", fs_type="ext4", source="s")


def track(number: int, path: bytes, place: int = 0, **columns: object) -> str:
    return row(
        "tracks", id=number, root_id=1, path=path, gone=0, place=place, path_is_text=1, disk_id=1,
        size=1, mtime_ns=1, ctime_ns=1, inode=number, scan_id=0,
        **{"reader_version": 1, **columns},
    )  # fmt: skip


def older(path: Path, step: str, *statements: str) -> Path:
    """An index as it was before a step of the migration, with these rows."""
    python(MADE, path, step, "".join(statements))
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as the first version of the program left it, with one hint that waits."""
    path = older(tmp_path / "old.db", "queued_work", OLD_ROWS)
    assert python(ASKED, path, "PRAGMA user_version") == "1\n"
    return path


def test_what_waited_in_an_older_index_waits_still(old: Path) -> None:
    with closing(open_index(old, write=True)) as connection:
        assert select_value(connection, "PRAGMA user_version") == schema.SCHEMA_VERSION
        (row,) = pending.all_rows(connection)
        assert row.hint == Hint(1, b"A", None, recursive=True, reread=7)
        assert (row.id, row.generation, row.attempts, row.at) == (1, 1, 2, 5)
        assert (row.is_chunk, row.passes, row.scan_id) == (False, 0, 0)
        assert pending.enqueue(connection, Hint(1), 1).id == 2


def test_names_that_look_alike_are_joined_in_an_older_index_with_the_oldest_id(
    tmp_path: Path,
) -> None:
    """`CD1 - One`, `CD2 - Two` and `Disc Three` are discs of one album."""
    nfd = unicodedata.normalize("NFD", "Début")
    albums = {3: "Début", 5: nfd, 7: "Début ", 9: "Post"}
    spelled_as = {2: "Muse ", 4: "Muse", 6: "muse", 8: "Beck\u00a0"}
    paths = {"A/CD1 - One/1": (3, 2), "A/CD2 - Two/2": (5, 4), "B/3": (7, 6), "B/4": (9, 8)}
    paths["A/Disc Three/5"] = (5, 4)
    path = older(
        tmp_path / "old.db", "look_alikes", ROOT, DISK,
        *(row("albums", id=one, key=b"old%d" % one, title=albums[one]) for one in albums),
        *(
            row(of, id=one, name=name)
            for of in ("artists", "genres")
            for one, name in spelled_as.items()
        ),
        *(
            track(one, name.encode(), album_id=album, album=albums[album], guessed=0)
            + f"INSERT INTO track_artists VALUES ({one}, 'artist', 0, {artist});"
            f"INSERT INTO track_genres VALUES ({one}, 0, {artist});"
            for one, (name, (album, artist)) in enumerate(paths.items(), 1)
        ),
    )  # fmt: skip
    with closing(open_index(path, write=True)) as connection:

        def told(statement: str) -> list[Any]:
            return list(select(connection, statement))

        assert told("SELECT id, title FROM catalog_albums") == [
            (3, nfd),
            (7, "Début "),
            (9, "Post"),
        ]
        assert told("SELECT album_id FROM tracks ORDER BY id") == [(3,), (3,), (7,), (9,), (3,)]
        named = [(2, "Muse", None), (6, "muse", None), (8, "Beck\u00a0", "Beck")]
        for names, links in (("catalog_artists", "track_artists"), ("genres", "track_genres")):
            assert told(f"SELECT id, name, key FROM {names} ORDER BY id") == named
            one = "artist_id" if names == "catalog_artists" else "genre_id"
            spelled = told(f"SELECT {one}, spelling FROM {links} ORDER BY track_id")
            assert spelled == [(2, "Muse "), (2, None), (6, None), (8, "Beck\u00a0"), (2, None)]
        keys = [key for (key,) in told("SELECT key FROM catalog_albums ORDER BY id")]
        assert keys[0] == album_key(None, None, None, "début", 1, b"A/CD 1/1")


def test_an_older_index_gets_a_name_of_its_own_and_keeps_it(old: Path) -> None:
    with closing(open_index(old, write=True)) as connection:
        token = token_of(connection)
        assert len(list(select(connection, "SELECT token FROM identity"))) == 1
    assert len(token) == 16
    with closing(open_index(old, write=True)) as connection:
        assert token_of(connection) == token


def test_an_older_index_has_the_same_tables_as_a_new_one(old: Path, empty_index: Path) -> None:
    statement = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name"
    told = []
    for path in (old, empty_index):
        with closing(open_index(path, write=True)) as connection:
            told.append(list(select(connection, statement)))
    assert told[0] == told[1]


def test_sqlite_utils_finds_nothing_to_do_in_a_new_index(empty_index: Path) -> None:
    applied = "import sys\nfrom sqlite_utils import Database\nfrom indexer.store import migrate\n"
    applied += "db = Database(sys.argv[1])\nprint(migrate.migrations.pending(db))\n"
    applied += "print([one.name for one in migrate.migrations.applied(db)])\n"
    names = [name for name, _ in schema.MIGRATIONS]
    assert names[-1] == "artwork_names"
    assert python(applied, empty_index) == f"[]\n{names}\n"
    assert len(schema.MIGRATIONS) == schema.SCHEMA_VERSION


def test_steps_are_noted_as_sqlite_utils_notes_them(old: Path, empty_index: Path) -> None:
    shapes = []
    for path in (old, empty_index):
        with closing(open_index(path, write=True)) as connection:
            rows = list(select(connection, "SELECT * FROM _sqlite_migrations ORDER BY id"))
        shapes.append([(*row[:3], re.sub("[0-9]", "0", row[3])) for row in rows])
    assert shapes[0] == shapes[1]


OPENED = """
import sys
from pathlib import Path
from indexer.store import connection, schema
print("ready", flush=True)
sys.stdin.read()
index = connection.open_index(Path(sys.argv[1]), write=sys.argv[2] == "write")
print(connection.token_of(index), index.pragma("journal_mode"), index.pragma("user_version"))
"""


def opened_at_once(path: Path, *kinds: str) -> set[str]:
    """What programs say of an index that all of them open at one moment."""
    command = [sys.executable, "-c", OPENED, str(path)]
    reading, writing = os.pipe()
    programs = [
        subprocess.Popen([*command, kind], stdin=reading, stdout=subprocess.PIPE, text=True)
        for kind in kinds
    ]
    os.close(reading)
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    os.close(writing)  # the end of their input
    told = {program.communicate()[0] for program in programs}
    assert [program.returncode for program in programs] == [0] * len(kinds)
    return told


@pytest.mark.parametrize("turn", range(5))
def test_programs_that_make_one_index_at_once_make_it_once(tmp_path: Path, turn: int) -> None:
    (told,) = opened_at_once(tmp_path / f"{turn}" / "deep" / "new.db", *["write"] * 5)
    assert told.endswith(f" wal {schema.SCHEMA_VERSION}\n")


@pytest.mark.parametrize("kinds", [["write"] * 4, ["write", "read", "read", "write"]])
def test_programs_that_open_an_older_index_at_once_migrate_it_once(
    old: Path, kinds: list[str]
) -> None:
    (told,) = opened_at_once(old, *kinds)
    assert told.endswith(f" wal {schema.SCHEMA_VERSION}\n")
    with closing(open_index(old, write=True)) as connection:
        assert len(pending.all_rows(connection)) == 1


def test_a_migration_waits_for_other_programs_as_long_as_anything_else(old: Path) -> None:
    """Python's own sqlite3 waits for 5 s."""
    told = "import sys\nfrom indexer.store import migrate\ndb = migrate.opened(sys.argv[1])\n"
    told += "print(db.execute('PRAGMA busy_timeout').fetchone()[0])\n"
    assert python(told, old) == f"{BUSY_TIMEOUT_S * 1000:.0f}\n"


def test_a_copy_that_is_used_as_the_index_has_a_log_as_the_index_has(
    library: Library, plant: Plant, tmp_path: Path
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    copy = tmp_path / "copy.db"
    library.backup(copy)
    with closing(open_index(copy, write=False)) as connection:
        assert select_value(connection, "PRAGMA journal_mode") == "delete"
    with closing(open_index(copy, write=True)) as connection:
        assert select_value(connection, "PRAGMA journal_mode") == "wal"
    assert (tmp_path / "copy.db").read_bytes()[18:20] == b"\x02\x02"  # sqlite.org/fileformat2


def test_an_empty_file_is_made_an_index(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with closing(open_index(path, write=True)) as connection:
        assert select_value(connection, "PRAGMA user_version") == schema.SCHEMA_VERSION


def test_two_indexes_have_different_names(tmp_path: Path) -> None:
    tokens = set()
    for name in ("one.db", "two.db", "three.db"):
        with closing(open_index(tmp_path / name, write=True)) as connection:
            tokens.add(token_of(connection))
    assert len(tokens) == 3


def test_the_work_of_an_older_index_is_done_by_the_next_scan(
    library: Library, plant: Plant, settings: Settings
) -> None:
    """A chunk of the first version looks like a hint; whoever scans it finds the same files."""
    plant({"A/1.mp3": song("One")})
    with closing(open_index(settings.db, write=True)) as connection:
        pending.enqueue(connection, Hint(1, b"A", (b"1.mp3",)), 1)
    assert library.scan().pending == 0
    assert titles(library) == {"A/1.mp3": "One"}
    assert library.status().pending == 0


def searched(path: Path, step: str) -> Path:
    """An index with a present and a missing track, and their full text as it was then."""
    rows = [
        track(one, b"Tapes/%d" % one, place, title=title, guessed=0, label="Ärger")
        + row("track_search", rowid=one, title="don t stop")
        for one, title, place in ((1, "Don't Stop", 0), (2, "Gone's", 1))
    ]
    return older(path, step, ROOT, DISK, *rows)


def test_tracks_of_an_older_index_are_found_by_all_their_spellings_and_texts(
    tmp_path: Path,
) -> None:
    """By a command that only reads: the migration fills the full text."""
    path = searched(tmp_path / "old.db", "search_words")
    with closing(open_index(path, write=False)) as connection:
        asked = "SELECT rowid FROM track_search WHERE track_search MATCH ?"
        for word in ("dont", "tapes", "aerger", '"don t stop"'):
            assert list(select(connection, asked, (word,))) == [(1,)], word
        assert list(select(connection, asked, ("gones",))) == []
        assert select_value(connection, "SELECT search_folding FROM identity") == versions()


def test_programs_find_words_with_accents_in_an_older_index(tmp_path: Path) -> None:
    path = older(
        tmp_path / "old.db", "search_tokens", ROOT, DISK, track(1, b"a", title="Björk", guessed=0),
        row("track_search", rowid=1, title="bjork"),
    )  # fmt: skip
    asked = "SELECT count(*) FROM track_search WHERE track_search MATCH 'björk'"
    assert python(ASKED, path, asked) == "0\n"
    with closing(open_index(path, write=False)) as connection:
        for word in ("Björk", "bjork"):
            asked = "SELECT rowid FROM track_search WHERE track_search MATCH ?"
            assert list(select(connection, asked, (word,))) == [(1,)], word
        assert select_value(connection, "SELECT search_folding FROM identity") == versions()


def test_tracks_of_an_older_index_have_no_further_tags_until_they_are_read_again(
    tmp_path: Path,
) -> None:
    """And a reading that finds none changes nothing."""
    path = searched(tmp_path / "old.db", "further_tags")
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, "SELECT * FROM track_tags")) == []
        assert list(select(connection, "SELECT id, has_lyrics FROM library")) == [(1, 0)]
        assert list(select(connection, "SELECT id FROM recent")) == [(1,)]
        assert tracks.columns_of(connection, 1)[-3:] == (0, None, None)


def test_an_older_index_has_all_artwork_to_choose_and_keeps_its_problems(tmp_path: Path) -> None:
    path = older(
        tmp_path / "old.db", "artwork", ROOT,
        row("catalog_albums", id=3, key=b"1"), row("catalog_artists", id=5, name="Muse"),
        row("problems", root_id=1, path=b"a", kind="fault", reason="why", size=1, mtime_ns=2,
            ctime_ns=3, inode=4, since=5, reader_version=6),
    )  # fmt: skip
    with closing(open_index(path, write=True)) as connection:
        assert artwork.next_due(connection, None, 9) == [Owner("album", 3), Owner("artist", 5)]
        known = problems.get(connection, 1, b"a")
        assert known is not None
        assert (known.problem.reason, known.stamp) == ("why", Stamp(1, 2, 3, 4))
        assert known.reader_version == 6
        assert problems.of_picture(connection, 1, b"a") is None


def read_by_6(path: Path, step: str) -> Path:
    """An index with one track, all of it read by the sixth version of the readers."""
    root = row("roots", id=1, name="m", path=b"/m", added_at=1, reader_version=6)
    return older(path, step, root, DISK, track(1, b"a", reader_version=6, added_at=1))


def test_rows_of_an_older_index_lack_an_essence_until_the_daemon_has_time(tmp_path: Path) -> None:
    path = read_by_6(tmp_path / "old.db", "essence")
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, "SELECT path, essence FROM library")) == [("a", None)]
        known = tracks.by_id(connection, 1)
        assert known is not None
        assert known.essence is None
        assert not outdated.is_current(connection, 1)
        assert outdated.outdated_after(connection, 1, 0, 9).names == (b"a",)


DAMAGED = """
import sys, sqlite3
db = sqlite3.connect(sys.argv[1])
(page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (sys.argv[2],)).fetchone()
(size,) = db.execute("PRAGMA page_size").fetchone()
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.execute(f"PRAGMA journal_mode = {sys.argv[3]}")
db.close()
with open(sys.argv[1], "r+b") as file:
    file.seek((page - 1) * size)
    file.write(bytes(range(100, 140)))
"""
"""The first bytes of a table's or an index' first page are others."""


@pytest.mark.parametrize("part", ["changes", "identity", "roots"])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_an_older_index_that_is_damaged_is_repaired(
    tmp_path: Path, part: str, journal: str
) -> None:
    """Steps of its migration fail on what `indexer repair` passes over; DELETE: it is a copy."""
    path = read_by_6(tmp_path / "old.db", "history")
    python(DAMAGED, path, part, journal)
    with pytest.raises(errors.DatabaseDamaged, match="indexer repair"):
        open_index(path, write=True)
    assert repair(path).tracks == 1
    with closing(open_index(path, write=True)) as connection:
        assert select_value(connection, "PRAGMA user_version") == schema.SCHEMA_VERSION
        assert list(select(connection, "SELECT id, path FROM tracks")) == [(1, b"a")]
        assert health.check(connection, deep=True) == []


FAILURES = """
import sqlite3
from indexer.store.migrate import is_damage
for preparation, statement in (
    ("PRAGMA max_page_count = 1", "CREATE TABLE a (b)"),
    ("PRAGMA query_only = 1", "CREATE TABLE a (b)"),
    ("SELECT 1", "SELECT CAST(x'ff' AS TEXT)"),
    ("SELECT 1", "SELECT lost FROM sqlite_schema"),
):
    db = sqlite3.connect(":memory:")
    db.execute(preparation)
    try:
        db.execute(statement).fetchall()
    except sqlite3.Error as error:
        print(is_damage(error))
"""


def test_a_full_disk_or_missing_rights_are_not_called_damage() -> None:
    assert python(FAILURES).split() == ["False", "False", "True", "True"]


def test_an_older_index_gets_the_views_of_playlists(tmp_path: Path) -> None:
    path = searched(tmp_path / "old.db", "playlists")
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, "SELECT * FROM playlists")) == []
        assert list(select(connection, "SELECT * FROM playlist_items")) == []
        assert list(select(connection, "SELECT id, has_lyrics, has_cover FROM library")) == [
            (1, 0, 0)
        ]
        connection.execute("INSERT INTO track_lyrics VALUES (1)")
        assert list(select(connection, "SELECT has_lyrics FROM recent")) == [(1,)]


def test_files_whose_artist_was_the_name_of_the_root_are_read_again(tmp_path: Path) -> None:
    rows = [
        track(one, b"Post/%d" % one, title="x", artist=artist, guessed=guessed, reader_version=7)
        for one, artist, guessed in ((1, "m", 4), (2, "m", 0), (3, "Ida", 4))
    ]
    path = older(tmp_path / "old.db", "guessed_artists", ROOT, DISK, *rows)
    with closing(open_index(path, write=True)) as connection:
        found = list(select(connection, "SELECT id, reader_version FROM tracks"))
        assert found == [(1, 0), (2, 7), (3, 7)]


UUID = "01234567-89ab-4cde-8f01-23456789abcd"
OLD_IDS = (UUID, UUID.upper(), f"{UUID}; {UUID}", "", "sixteen letters!")
ALL_IDS = f"SELECT id, {', '.join(musicbrainz_ids.COLUMNS)} FROM {{}} ORDER BY id"


def with_ids(path: Path, step: str) -> Path:
    """An older index with a track for each of `OLD_IDS`, and one without any."""
    ids: list[dict[str, Any]]
    ids = [dict.fromkeys(musicbrainz_ids.COLUMNS, text) for text in OLD_IDS]
    rows = [
        track(number, b"%d" % number, guessed=0, added_at=1, codec="mp3", **columns)
        for number, columns in enumerate([*ids, {}], 1)
    ]
    return older(path, step, ROOT, DISK, *rows)


def shown_ids() -> list[tuple[object, ...]]:
    texts = [*OLD_IDS, None]
    return [
        (number, *[text] * len(musicbrainz_ids.COLUMNS)) for number, text in enumerate(texts, 1)
    ]


def stored_ids() -> list[tuple[object, ...]]:
    values = [musicbrainz_ids.stored(text) for text in OLD_IDS]
    assert isinstance(values[0], bytes)
    return [
        (number, *[value] * len(musicbrainz_ids.COLUMNS))
        for number, value in enumerate([*values, None], 1)
    ]


def test_ids_of_an_older_index_are_stored_as_in_a_new_one(tmp_path: Path) -> None:
    path = with_ids(tmp_path / "old.db", "musicbrainz_ids")
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, ALL_IDS.format("tracks"))) == stored_ids()
        assert list(select(connection, ALL_IDS.format("library"))) == shown_ids()


KILLED = """
import os, sys
from itertools import count
from indexer.store import migrate
from indexer.store.schema import musicbrainz_ids
from indexer.store.schema.roles import Role
calls, stored = count(1), musicbrainz_ids.stored
musicbrainz_ids.stored = lambda text: os._exit(9) if next(calls) > 7 else stored(text)
migrate.migrate(sys.argv[1])
"""


def test_a_migration_of_ids_that_is_killed_has_changed_nothing(tmp_path: Path) -> None:
    path = with_ids(tmp_path / "old.db", "musicbrainz_ids")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == 9
    assert python(ASKED, path, "PRAGMA user_version") == "19\n"
    assert python(ASKED, path, "SELECT count(*) FROM tracks WHERE mb_artistid = ''") == "1\n"
    assert python(ASKED, path, "SELECT count(*) FROM tracks WHERE typeof(mb_albumid) = 'blob'") == (
        "0\n"
    )
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, ALL_IDS.format("tracks"))) == stored_ids()


def test_ids_of_an_older_index_that_is_damaged_are_stored_as_in_a_new_one(tmp_path: Path) -> None:
    path = with_ids(tmp_path / "old.db", "history")
    python(DAMAGED, path, "changes", "WAL")
    with pytest.raises(errors.DatabaseDamaged):
        open_index(path, write=True)
    assert repair(path).tracks == len(OLD_IDS) + 1
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, ALL_IDS.format("tracks"))) == stored_ids()
        assert list(select(connection, ALL_IDS.format("library"))) == shown_ids()
        assert health.check(connection, deep=True) == []


LINKS = (
    (1, "albumartist", 0, 2, None), (1, "artist", 0, 2, None), (1, "artist", 1, 1, "Ida\u00a0"),
    (2, "artist", 0, 1, None), (3, "albumartist", 0, 1, "Ida\u00a0"),
)  # fmt: skip
"""Columns of `track_artists`."""
OF_LINKS = ("track_id", "role", "position", "artist_id", "spelling")
READ_LINKS = """
import sys, sqlite3
cursor = sqlite3.connect(sys.argv[1]).execute("SELECT * FROM track_artists" + sys.argv[2])
print([column for column, *_ in cursor.description], cursor.fetchall())
"""
LINKED: tuple[dict[str, Any], ...] = (
    {
        "artist": "Muse; Ida\u00a0",
        "albumartist": "Muse",
        "several": '{"artist":["Muse","Ida\u00a0"]}',
    },
    {"artist": "Ida"},
    {"albumartist": "Ida\u00a0"},
)
"""The names of three tracks, which agree with `LINKS`."""


def with_links(path: Path, *more: str) -> Path:
    """An index before the step `roles`, with three tracks and `LINKS`."""
    rows = [
        track(number, b"A/%d" % number, guessed=0, added_at=1, codec="mp3", album_id=1, **columns)
        for number, columns in enumerate(LINKED, 1)
    ]
    links = [
        row("track_artists", **{of: value for of, value in zip(OF_LINKS, link, strict=True)
            if value is not None})
        for link in LINKS
    ]  # fmt: skip
    names = (
        row("catalog_artists", id=1, name="Ida\u00a0", key="Ida"),
        row("catalog_artists", id=2, name="Muse"),
        row("catalog_albums", id=1, key=b"k"),
    )
    mount = row("mounts", root_id=1, folder=b"", disk_id=1, inode=1)
    return older(path, "roles", ROOT, DISK, mount, *names, *rows, *links, *more)


def migrated(path: Path) -> Path:
    with closing(open_index(path, write=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.mark.parametrize(
    "asked",
    ["", " ORDER BY role, track_id, position", " WHERE role = 'artist'", " WHERE track_id = 1",
     " WHERE track_id = 1 AND role = 'artist' AND position > 0", " WHERE role > 'art'",
     " WHERE artist_id = 1 AND role <> 'artist'", " WHERE role IN ('albumartist', 'composer')",
     " NATURAL JOIN (SELECT 'artist' AS role) ORDER BY track_id, position",
     " WHERE length(role) = 6"],
)  # fmt: skip
def test_programs_read_the_same_links_to_artists_as_in_an_older_index(
    tmp_path: Path, asked: str
) -> None:
    path = with_links(tmp_path / "old.db")
    before = python(READ_LINKS, path, asked)
    assert python(READ_LINKS, migrated(path), asked) == before
    if not asked:
        assert before == f"{list(OF_LINKS)} {list(LINKS)}\n"


def test_links_of_an_older_index_are_stored_as_in_a_new_one(tmp_path: Path) -> None:
    path = with_links(tmp_path / "old.db")
    with closing(open_index(path, write=True)) as connection:
        numbered = [(one, Role[role.upper()], *rest) for one, role, *rest in LINKS]
        assert list(select(connection, "SELECT * FROM catalog_track_artists")) == numbered
        assert catalog.count_wrong_links(connection) == 0
        told = [
            tuple(catalog.names_of(connection, 1, role)) for role in (Role.ARTIST, Role.ALBUMARTIST)
        ]
        assert told == [("Muse", "Ida\u00a0"), ("Muse",)]
        asked = "SELECT id, name, tracks FROM artists ORDER BY id"
        assert list(select(connection, asked)) == [(1, "Ida\u00a0", 3), (2, "Muse", 1)]


KILLED_AT_ROLES = """
import os, sys
from indexer.store import migrate, schema
cut = schema.statements
def statements(script):
    for statement in cut(script):
        if statement.startswith("CREATE VIEW track_artists"):
            os._exit(9)
        yield statement
schema.statements = statements
migrate.migrate(sys.argv[1])
"""


def test_a_migration_of_links_that_is_killed_has_changed_nothing(tmp_path: Path) -> None:
    path = with_links(tmp_path / "old.db")
    before = python(READ_LINKS, path, "")
    killed = subprocess.run([sys.executable, "-c", KILLED_AT_ROLES, str(path)], check=False)
    assert killed.returncode == 9
    assert python(ASKED, path, "PRAGMA user_version") == "20\n"
    assert python(READ_LINKS, path, "") == before
    asked = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'catalog_track%'"
    assert python(ASKED, path, asked) == "0\n"
    assert python(READ_LINKS, migrated(path), "") == before


def test_a_role_that_no_version_writes_is_damage_and_is_repaired(tmp_path: Path) -> None:
    """The links are made again from the rows of the tracks, with the same ids."""
    path = with_links(
        tmp_path / "old.db",
        "UPDATE track_artists SET role = 'composer' WHERE track_id = 2;",
        "UPDATE catalog_artists SET name = x'ff', key = NULL WHERE id = 2;",  # told by links only
    )
    with pytest.raises(errors.DatabaseDamaged):
        open_index(path, write=True)
    repair(path)
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, "SELECT * FROM track_artists")) == list(LINKS)
        assert health.check(connection, deep=True) == []


OLD_DISKS = """
INSERT INTO disks (id, uuid, fsid, fs_type, source) VALUES
    (1, 'u1', 'f1', 'btrfs', '/dev/sda'), (2, 'u2', 'f2', 'btrfs', '/dev/sdb'),
    (3, 'u3', 'f3', 'ext4', '/dev/sdc');
INSERT INTO mounts (root_id, folder, disk_id, inode) VALUES
    (1, x'', 1, 256), (1, x'41', 1, 256), (1, x'42', 2, 256), (1, x'43', 3, 2), (1, x'44', 3, 2);
"""


def fsids_after(old: Path, statements: str) -> list[str]:
    with closing(open_index(older(old, "queued_work", statements), write=True)) as connection:
        return [fsid for (fsid,) in select(connection, "SELECT fsid FROM disks ORDER BY id")]


def test_what_stood_for_several_subvolumes_is_known_by_its_uuid_only(old: Path) -> None:
    assert fsids_after(old, OLD_DISKS) == ["", "f2", "f3"]


def test_what_may_have_been_a_removed_roots_subvolume_is_known_by_its_uuid_only(old: Path) -> None:
    removed = """
    INSERT INTO roots (name, path, added_at, removed_at) VALUES ('was', x'2f77', 1, 2);
    """
    assert fsids_after(old, OLD_DISKS + removed) == ["", "", "f3"]


def test_of_the_tracks_of_an_older_index_it_is_not_known_whether_they_are_whole(
    tmp_path: Path,
) -> None:
    path = searched(tmp_path / "old.db", "damage")
    with closing(open_index(path, write=True)) as connection:
        assert list(select(connection, "SELECT id, short FROM library")) == [(1, None)]
        assert list(select(connection, "SELECT id, short FROM recent")) == [(1, None)]
        assert list(select(connection, "SELECT * FROM scrubs")) == []
