"""An index that is damaged: what is told of it, and what `repair` makes again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from indexer.store.connection import open_index, select_value
from indexer.store.recovery import health
from indexer.store.recovery.values import TIMES, columns_of, count_of_wrong
from indexer.store.schema.views import LATE_INDEXES
from tests.faults import damage
from tests.faults.damage import PAGE, Bench, derived, say
from tests.programs import rows, run

SEED = 20
PLACES = 12
EMPTY_FULL_TEXT = "INSERT INTO track_search (track_search) VALUES ('delete-all')"
BROKEN = {
    "full text emptied": (EMPTY_FULL_TEXT, "full text"),
    "full text torn": ("DELETE FROM track_search_data WHERE id > 10", "full text"),
    "full text without its settings": ("DELETE FROM track_search_config", "full text"),
    "one track not in it": ("DELETE FROM track_search_docsize WHERE id = 3", "full text"),
    "no full text": ("DROP TABLE track_search", "full text"),
    "no view": ("DROP VIEW library", "view"),
    "artists gone": ("DELETE FROM catalog_artists WHERE id > 1", "catalog"),
    "albums gone": ("DELETE FROM catalog_albums", "catalog"),
    "genres gone": ("DELETE FROM genres WHERE id = 1", "catalog"),
    "links gone": ("DELETE FROM catalog_track_artists WHERE track_id = 2", "catalog"),
    "an album of another name": ("UPDATE catalog_albums SET title = 'x' WHERE id = 1", "catalog"),
    "no table of artists": ("DROP TABLE catalog_artists", "catalog"),
    "words of tags gone": ("DELETE FROM tag_words WHERE name = 'mood'", "catalog"),
    "no table of the words of tags": ("DROP TABLE tag_words", "catalog"),
    "no view of tags": ("DROP VIEW track_tags", "view"),
    "an index gone": ("DROP INDEX tracks_inode", "index"),
}


WRONG = {
    "INTEGER": "x'ff'", "TEXT": "x'ff'", "REAL": "x'ff'", "BLOB": "'text'",
    "TIME": "-100000000000000",
}  # fmt: skip
"""Declared type -> a value of another class; and a time that is in no year."""
A_SCRUB = """
INSERT INTO scrubs (track_id, size, mtime_ns, ctime_ns, inode, hash, good_at, checked_at)
SELECT id, size, mtime_ns, ctime_ns, inode, x'00', 1, 1 FROM tracks LIMIT 1
"""
STRANGE = (
    "UPDATE changes SET at = -100000000000000 WHERE seq = 3",
    "UPDATE changes SET seq = -3 WHERE seq = 3",
    "UPDATE changes SET old_path = 7 WHERE seq = 3",
    """UPDATE changes SET before = '{"title":' WHERE seq = 3""",
    """UPDATE changes SET before = '{"added_at":"x"}' WHERE seq = 3""",
    "UPDATE scans SET ended_at = 1 << 62 WHERE id = 1",
    "UPDATE tracks SET added_at = 1 << 62 WHERE id = 2",
    "UPDATE tracks SET bitrate = 'many' WHERE id = 2",
    "UPDATE tracks SET short = x'ff' WHERE id = 2",
    "UPDATE disks SET fs_type = CAST(fs_type AS BLOB)",
    "UPDATE roots SET name = CAST(name AS BLOB)",
    "UPDATE identity SET history_floor = 1 << 62",
    "UPDATE identity SET changes_floor = -1",
    "UPDATE pictures SET name = CAST('cover.jqg' AS BLOB) WHERE name = CAST('cover.jpg' AS BLOB)",
    "UPDATE pictures SET hash = x'00' WHERE hash IS NULL",
    "UPDATE playlist_files SET name = x'ff'",
    "UPDATE lyrics_files SET folder = x'ffff'",
    "UPDATE problems SET since = 1 << 62",
)
"""What showed as an error of this program, and a verification did not tell."""
ASKED = (
    ("status",), ("search", "song"), ("changes",), ("duplicates", "--by", "recording"),
    ("problems",), ("changes", "--since", "1h", "--tags"), ("artwork",), ("metrics",), ("scan",),
)  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A sound index, of which each test has a copy to damage."""
    return Bench(tmp_path_factory.mktemp("damage"), files=40)


@pytest.fixture
def copy(bench: Bench) -> Path:
    bench.renew()
    return bench.db


def tell(db: Path, statement: str) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.execute(statement)
        connection.commit()


def overwrite(db: Path, table: str, change: Callable[[bytes], bytes]) -> None:
    """Damage the root page of a table or index."""
    ((page,),) = rows(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", table)
    with db.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        content = file.read(PAGE)
        file.seek((page - 1) * PAGE)
        file.write(change(content))


@pytest.mark.parametrize(("statement", "kind"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_made_of_tracks_is_told_when_it_is_broken_and_made_again_with_its_ids(
    copy: Path, statement: str, kind: str
) -> None:
    before = derived(copy)
    kept = rows(copy, "SELECT id, added_at, indexed_at, path FROM tracks ORDER BY id")
    feed = rows(copy, "SELECT * FROM changes ORDER BY seq")
    tell(copy, statement)
    for more in ((), ("--deep",)):
        verified = run("verify", "--json", *more, db=copy, check=1).object
        assert not verified["ok"]
        assert kind in {one["kind"] for one in verified["differences"]}
    told = run("verify", db=copy, check=1)
    assert "indexer repair" in told.out
    done = run("repair", "--json", db=copy).object
    assert kind in done["made_again"]
    assert done["lost"] == []
    assert run("verify", "--deep", "--json", db=copy).object["ok"]
    assert derived(copy) == before
    assert rows(copy, "SELECT id, added_at, indexed_at, path FROM tracks ORDER BY id") == kept
    assert rows(copy, "SELECT * FROM changes ORDER BY seq") == feed
    assert "nothing to repair" in run("repair", db=copy).out


@pytest.mark.parametrize(
    "table",
    ["catalog_artists", "sqlite_autoindex_catalog_artists_1", "catalog_track_artists",
     "catalog_albums", "track_search_data",
     "tracks_place", "tracks_album", "sqlite_sequence", "roots", "tag_words", "tag_sets_checksum",
     "tracks_tag_set"],
)  # fmt: skip
def test_a_page_that_nothing_depends_on_is_told_and_nothing_is_lost(copy: Path, table: str) -> None:
    before = derived(copy)
    overwrite(copy, table, lambda page: bytes(len(page)))
    assert say(copy, "verify", "--json").code in (1, 3)
    done = run("repair", "--json", db=copy).object
    assert done["made_again"][0] == "file"
    assert Path(done["kept"]).stat().st_size > 0
    assert derived(copy) == before
    assert run("verify", "--deep", "--json", db=copy).object["ok"]
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    names = {name for (name,) in rows(copy, "SELECT name FROM sqlite_schema")}
    assert names.issuperset(LATE_INDEXES)  # a daemon that goes on makes them but once


@pytest.mark.parametrize("table", ["tag_values", "tag_sets"])
def test_tags_that_are_lost_are_read_again_by_a_scan(copy: Path, table: str) -> None:
    told = "SELECT * FROM track_tags ORDER BY track_id, name, position"
    before = rows(copy, told)
    assert before
    overwrite(copy, table, lambda page: bytes(len(page)))
    done = run("repair", "--json", db=copy).object
    assert any("further tags of " in one for one in done["lost"])
    assert done["to_scan"]
    assert rows(copy, told) == []
    run("scan", db=copy)
    assert rows(copy, told) == before
    assert run("verify", "--deep", "--json", db=copy).object["ok"]


def test_tracks_whose_rows_are_lost_keep_their_ids_and_come_back_with_a_scan(copy: Path) -> None:
    before = dict(rows(copy, "SELECT path, id FROM library"))
    overwrite(copy, "tracks", lambda page: bytes(len(page)))
    told = run("search", "song", db=copy, check=3)
    assert "indexer repair" in told.err
    done = run("repair", db=copy).out
    assert "not saved: the tags of" in done
    assert "indexer scan" in done
    assert run("status", "--json", db=copy).object["pending"] == 1
    report = run("scan", "--json", db=copy).object
    assert report["returned"] == len(before)
    assert dict(rows(copy, "SELECT path, id FROM library")) == before
    assert run("verify", "--deep", "--json", db=copy).object["ok"]
    replayed: dict[int, str] = {}
    for change in run("changes", "--json", db=copy).objects:
        if change["kind"] == "missing":
            replayed.pop(change["track_id"], None)
        else:
            replayed[change["track_id"]] = change["path"]
    assert replayed == {track_id: path for path, track_id in before.items()}


def test_a_file_without_its_first_page_is_saved(copy: Path) -> None:
    before = derived(copy)
    with copy.open("r+b") as file:
        file.write(bytes(PAGE))
    assert "indexer repair" in run("scan", db=copy, check=3).err
    assert run("repair", "--json", db=copy).object["lost"] == []
    assert derived(copy) == before


def test_a_row_that_no_version_writes_is_told_and_its_file_is_read_again(copy: Path) -> None:
    before = derived(copy)
    tell(copy, "UPDATE tracks SET title = CAST(x'ff41' AS TEXT), several = 'nonsense' WHERE id = 2")
    for words in (("search", "song"), ("scan",), ("rebuild",), ("export",)):
        said = say(copy, *words)
        assert said.code in (0, 3)
        assert said.code == 0 or "indexer repair" in said.err
    kinds = {one["kind"] for one in run("verify", "--json", db=copy, check=1).object["differences"]}
    assert "damage" in kinds
    assert run("repair", "--json", db=copy).object["to_scan"]
    run("scan", db=copy)
    assert derived(copy) == before


def test_a_value_of_another_class_is_told_in_every_column(copy: Path) -> None:
    """SQLite takes nearly any value in any column; a flipped byte changes its class."""
    with closing(open_index(copy, write=True)) as connection:
        connection.execute(A_SCRUB)
        connection.pragma("foreign_keys", 0)
        assert health.check(connection, deep=True) == []
        tried, untold = set(), []
        for made in health.objects_made().values():
            question = count_of_wrong(connection, made.name)
            for column in columns_of(connection, made.name) if made.kind == "table" else ():
                wrong = WRONG.get("TIME" if column.name in TIMES else column.declared)
                if wrong is None or question is None:
                    continue
                connection.execute("BEGIN")
                with suppress(apsw.MismatchError, apsw.ConstraintError):
                    connection.execute(f"UPDATE OR IGNORE {made.name} SET {column.name} = {wrong}")
                    if connection.changes():
                        tried.add(made.name)
                        if not select_value(connection, question):
                            untold.append((made.name, column.name))
                connection.execute("ROLLBACK")
    assert untold == []
    assert tried >= {
        "tracks",
        "changes",
        "scans",
        "disks",
        "roots",
        "pictures",
        "problems",
        "scrubs",
    }


@pytest.mark.parametrize("statement", STRANGE)
def test_a_value_that_no_version_writes_is_told_and_repaired(copy: Path, statement: str) -> None:
    tell(copy, statement)
    for words in ASKED:
        said = say(copy, *words)
        assert said.code in (0, 1, 3), (words, said)
        assert "Traceback" not in said.err
    assert not run("verify", "--deep", "--json", db=copy, check=None).object["ok"]
    if "roots accept" in run("repair", db=copy).out:
        run("roots", "accept", "music", db=copy)
    run("scan", db=copy)
    assert run("verify", "--deep", "--json", db=copy).object["ok"]


def test_a_repair_keeps_up_to_which_number_changes_were_pruned(copy: Path) -> None:
    """The newest ones told of tracks that are missing, so that no change has that number."""
    ((newest,),) = rows(copy, "SELECT max(seq) FROM changes")
    tell(copy, f"UPDATE identity SET changes_floor = {newest}, history_floor = {newest}")
    tell(copy, f"DELETE FROM changes WHERE seq > {newest - 3}")
    assert run("verify", "--deep", "--json", db=copy).object["ok"]
    tell(copy, "UPDATE problems SET since = 1 << 62")
    run("repair", db=copy)
    assert rows(copy, "SELECT changes_floor >= ? FROM identity", newest) == [(1,)]


def test_no_number_of_a_pruned_change_is_given_to_one_that_a_repair_tells(copy: Path) -> None:
    ((newest, track_id),) = rows(
        copy, "SELECT max(seq), min(track_id) FROM changes WHERE kind = 'added'"
    )
    tell(copy, f"UPDATE identity SET changes_floor = {newest}, history_floor = {newest}")
    tell(copy, f"DELETE FROM changes WHERE seq > {newest - 3}")
    tell(copy, f"UPDATE tracks SET place = 1, gone = id, missing_at = 1 WHERE id = {track_id}")
    tell(copy, "UPDATE problems SET since = 1 << 62")
    run("repair", db=copy)
    told = rows(copy, "SELECT min(seq) FROM changes WHERE kind = 'missing'")
    assert told[0][0] > newest


def test_what_is_not_ours_is_not_repaired(copy: Path) -> None:
    copy.write_bytes(b"no database " * 5000)
    said = run("repair", db=copy, check=3)
    assert "move it away and run `indexer rebuild FOLDER`" in said.err
    assert copy.read_bytes() == b"no database " * 5000
    assert [file.name for file in copy.parent.iterdir() if ".damaged" in file.name] == []


def test_wherever_the_file_is_damaged_every_command_answers_and_repair_makes_it_sound(
    tmp_path: Path,
) -> None:
    assert sum(damage.run(PLACES, SEED, tmp_path).values()) == PLACES
