"""Playlists on a real disk -> the views of them, by a scan, live, and by workers."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from indexer.library import Library
from indexer.settings import Settings
from indexer.store.connection import open_index
from tests.covers import hash_of, picture
from tests.daemons import Watch, watching
from tests.programs import eventually, rows, run
from tests.redis_servers import redis_server
from tests.rq_workers import crew, quick
from tests.trees import Plant, ask, ids, put, put_in_disguise, put_in_place_of, song
from tests.unread import make_unread

ITEMS = """
SELECT playlists.path, position, playlist_items.path, library.path
FROM playlist_items JOIN playlists ON playlists.id = playlist_id
    LEFT JOIN library ON library.id = track_id ORDER BY 1, 2
"""
LEADS = """
SELECT library.path FROM playlist_items LEFT JOIN library ON library.id = track_id
ORDER BY playlist_id, position
"""
SONGS: dict[Any, bytes | None] = {
    "Björk/Debut/01 One.mp3": song("One"),
    "Björk/Debut/02 Two.mp3": song("Two"),
    "ABBA/Gold/03 Three.mp3": song("Three"),
}


def leads(library: Library) -> list[Any]:
    """To which paths all items lead, in the order of the playlists' ids."""
    return [path for (path,) in ask(library, LEADS)]


def names(library: Library) -> list[tuple[Any, ...]]:
    return ask(library, "SELECT id, path, name FROM playlists ORDER BY id")


def kinds(library: Library) -> list[tuple[Any, ...]]:
    return ask(library, "SELECT path, kind FROM problems ORDER BY path")


def test_items_lead_to_tracks_as_people_write_their_paths(
    library: Library, plant: Plant, music: Path
) -> None:
    absolute = os.fsencode(music)
    text = b"\n".join([
        b"#EXTM3U", b"#PLAYLIST:The best", b"#EXTINF:1,One",
        "../Björk/Debut/01 One.mp3".encode(),
        "..\\bjo\u0308rk\\DEBUT\\02 two.MP3".encode(),
        absolute + b"/ABBA/Gold/03 Three.mp3",
        b"file://" + absolute + b"/ABBA/Gold/03%20Three.mp3",
        b"C:\\Users\\me\\Music\\ABBA\\Gold\\03 Three.mp3",
        b"http://radio.example/stream", b"nowhere.mp3", b"../../../../../etc/passwd",
    ])  # fmt: skip
    plant({**SONGS, "Lists/best.m3u8": text})
    first = library.scan()
    assert (first.files_read, first.deferred_reads) == (3, 1)
    assert names(library) == [(1, "Lists/best.m3u8", "The best")]
    one, two, three = "Björk/Debut/01 One.mp3", "Björk/Debut/02 Two.mp3", "ABBA/Gold/03 Three.mp3"
    assert leads(library) == [one, two, three, three, three, None, None, None]
    (row,) = library.playlists()
    assert (row.items, row.tracks, row.streams, row.broken) == (8, 5, 1, 2)
    assert [item.position for item in library.broken_items()] == [7, 8]
    again = library.scan()
    assert (again.unchanged, again.files_read, again.deferred_reads) == (3, 0, 0)
    assert library.verify(deep=True).ok


def test_an_old_encoding_is_understood_and_the_name_is_that_of_the_file(
    library: Library, plant: Plant
) -> None:
    text = "Björk\\Debut\\01 One.mp3\r\nBj\xf6rk/Debut/02 Two.mp3\r\n".encode("cp1252")
    plant({**SONGS, "mine.M3U": text, b"raw \xff.mp3": song("R"), "raw.m3u": b"raw \xff.mp3\n"})
    library.scan()
    assert names(library) == [(1, "mine.M3U", "mine"), (2, "raw.m3u", "raw")]
    assert leads(library) == ["Björk/Debut/01 One.mp3", "Björk/Debut/02 Two.mp3", b"raw \xff.mp3"]
    shown = ask(library, "SELECT path FROM playlist_items ORDER BY playlist_id, position")
    assert shown == [("Björk\\Debut\\01 One.mp3",), ("Björk/Debut/02 Two.mp3",), ("raw ÿ.mp3",)]


def test_a_path_in_other_case_leads_nowhere_where_two_tracks_have_it(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a/X.mp3": song("One"), "A/x.mp3": song("Two"), "1.m3u": b"A/X.mp3\na/X.mp3\n"})
    library.scan()
    assert leads(library) == [None, "a/X.mp3"]
    (music / "A/x.mp3").unlink()
    library.scan()
    assert leads(library) == ["a/X.mp3", "a/X.mp3"]


def test_an_item_stays_with_its_track_where_that_moves(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({**SONGS, "best.m3u": "Björk/Debut/01 One.mp3\nABBA/Gold/03 Three.mp3\n".encode()})
    library.scan()
    before = ids(library)
    (music / "Björk/Debut/01 One.mp3").rename(music / "ABBA/new.mp3")
    assert library.scan().deferred_reads == 0
    assert leads(library) == ["ABBA/new.mp3", "ABBA/Gold/03 Three.mp3"]
    assert ids(library)["ABBA/new.mp3"] == before["Björk/Debut/01 One.mp3"]
    put(music, "best.m3u", "#new\nABBA/Gold/03 Three.mp3\nBjörk/Debut/01 One.mp3\n".encode())
    assert library.scan().deferred_reads == 1
    assert leads(library) == ["ABBA/Gold/03 Three.mp3", "ABBA/new.mp3"]
    plant({"Björk/Debut/01 One.mp3": song("Another")})
    library.scan()
    assert leads(library) == ["ABBA/Gold/03 Three.mp3", "Björk/Debut/01 One.mp3"]
    assert library.verify(deep=True).ok


def test_an_item_whose_track_is_gone_is_broken_until_it_returns(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({**SONGS, "best.m3u": b"ABBA/Gold/03 Three.mp3\n"})
    library.scan()
    (music / "ABBA/Gold").rename(music.parent / "aside")
    library.scan()
    assert leads(library) == [None]
    assert [one.item for one in library.broken_items()] == ["ABBA/Gold/03 Three.mp3"]
    (music.parent / "aside").rename(music / "ABBA/Gold")
    library.scan()
    assert leads(library) == ["ABBA/Gold/03 Three.mp3"]


def test_an_item_leads_to_a_track_that_comes_later(library: Library, plant: Plant) -> None:
    plant({"lists/best.m3u": b"..\\abba\\gold\\03 three.mp3\nC:\\x\\ABBA\\Gold\\03 Three.mp3\n"})
    library.scan()
    assert leads(library) == [None, None]
    plant(SONGS)
    assert library.scan().deferred_reads == 0
    assert leads(library) == ["ABBA/Gold/03 Three.mp3"] * 2
    assert library.verify(deep=True).ok


@pytest.mark.parametrize("change", [put, put_in_disguise, put_in_place_of])
def test_a_changed_playlist_is_read_again(
    library: Library, plant: Plant, music: Path, change: Callable[[Path, str, bytes], None]
) -> None:
    plant({"a.mp3": song("One"), "b.mp3": song("Two"), "best.m3u": b"a.mp3\n"})
    library.scan()
    change(music, "best.m3u", b"b.mp3\n")
    assert library.scan().deferred_reads == 1
    assert leads(library) == ["b.mp3"]
    assert names(library) == [(1, "best.m3u", "best")]


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A playlist of more than two items is a long one, of which two are placed at once."""
    monkeypatch.setattr("indexer.stages.playlists.AT_ONCE", 2)


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("before", ["", "1", "12", "122x", "12x12", "21"])
@pytest.mark.parametrize("after", ["1", "12x", "12x1", "12x12", "2112x21"])
def test_a_long_playlist_is_placed_in_parts_whatever_it_was_before(
    before: str, after: str, library: Library, plant: Plant
) -> None:
    plant({f"{name}.mp3": song(name) for name in "12"})
    for names_now in (before, after):
        plant({"a.m3u": "".join(f"{name}.mp3\n" for name in names_now).encode()})
        library.scan()
        found = ["12".find(name) + 1 for name in names_now]
        assert leads(library) == [f"{one}.mp3" if one else None for one in found]
        assert ask(library, "SELECT is_placed, is_read FROM playlist_files") == [(1, 1)]
        assert ask(library, "SELECT kind FROM artwork_due") == []
    assert library.verify(deep=True).ok


@pytest.mark.usefixtures("long")
def test_while_a_long_playlist_is_placed_tracks_come_and_go(
    library: Library, settings: Settings, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two"), "a.m3u": b"0.mp3\n1.mp3\n2.mp3\n3.mp3\n"})
    library.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute("UPDATE playlist_files SET is_placed = -2")  # half of it
        connection.execute("INSERT INTO artwork_due (kind, owner_id) VALUES ('playlist', 1)")
    os.rename(music / "1.mp3", music / "one.mp3")
    plant({"0.mp3": song("Zero"), "3.mp3": song("Three")})
    library.scan()
    assert leads(library) == ["0.mp3", "one.mp3", "2.mp3", "3.mp3"]
    assert library.verify(deep=True).ok


def test_a_playlist_moves_with_its_folder_unread_and_its_items_with_it(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({
        "A/a.mp3": song("One"), "A/best.m3u": b"a.mp3\n../A/a.mp3\n", "B/list.m3u": b"../b.mp3\n",
        "b.mp3": song("Two"), "C/D/b.mp3": song("Three"),
    })  # fmt: skip
    library.scan()
    (music / "A").rename(music / "E")
    (music / "B").rename(music / "C/D/B")
    assert library.scan().deferred_reads == 0
    assert names(library) == [(1, "E/best.m3u", "best"), (2, "C/D/B/list.m3u", "list")]
    assert leads(library) == ["E/a.mp3", "E/a.mp3", "C/D/b.mp3"]
    (music / "E/best.m3u").rename(music / "E/other.m3u8")  # another ctime: it is read again
    assert library.scan().deferred_reads == 1
    assert names(library)[0] == (1, "E/other.m3u8", "other")
    assert library.verify(deep=True).ok


def test_a_playlist_that_is_gone_is_gone_with_its_items(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("One"), "best.m3u": b"a.mp3\n", "A/b.m3u": b"x\n"})
    library.scan()
    (music / "best.m3u").unlink()
    shutil.rmtree(music / "A")
    library.scan()
    for table in ("playlist_files", "playlist_entries", "artwork_due"):
        assert ask(library, f"SELECT * FROM {table} WHERE ? = ?", 1, 1) == []


def test_a_hostile_playlist_stops_nothing(library: Library, plant: Plant, music: Path) -> None:
    plant({
        "a.mp3": song("One"), "good.m3u": b"a.mp3\n", "junk.m3u": bytes(range(256)) * 9,
        "folder.m3u/x.txt": b"", "empty.m3u8": b"", "many.m3u": b"x\n" * 100_001,
        "big.m3u": b"# " + b"x" * 8_000_000, "link.m3u": None,
        "odd.m3u": b"\xff\xff\n/\n..\n%\nfile://\nC:\\\n\\\\\n" + b"../" * 3000 + b"x\n",
    })  # fmt: skip
    os.mkfifo(music / "pipe.m3u")
    shutil.rmtree(music / "link.m3u", ignore_errors=True)
    os.symlink("good.m3u", music / "link2.m3u")
    library.scan()
    assert kinds(library) == [
        (b"big.m3u", "playlist"), (b"junk.m3u", "playlist"), (b"many.m3u", "playlist"),
    ]  # fmt: skip
    status = library.status()
    assert (status.problems, status.playlist_problems, status.picture_problems) == (0, 3, 0)
    assert library.verify(deep=True).ok
    told = {row.path: (row.items, row.broken, row.problem is None) for row in library.playlists()}
    assert told["good.m3u"] == (1, 0, True)
    assert told["odd.m3u"] == (8, 8, True)
    assert told["empty.m3u8"] == (0, 0, True)
    assert told["junk.m3u"] == (0, 0, False)
    assert library.scan().deferred_reads == 0
    put(music, "junk.m3u", b"a.mp3\n")
    library.scan()
    assert (b"junk.m3u", "playlist") not in kinds(library)


def test_a_bad_playlist_that_moves_takes_its_problem_along(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("One"), "A/junk.m3u": b"\0"})
    library.scan()
    (music / "A").rename(music / "B")
    library.scan()
    assert kinds(library) == [(b"B/junk.m3u", "playlist")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_playlist_without_rights_is_a_problem_until_they_are_there(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("One"), "best.m3u": b"a.mp3\n"})
    (music / "best.m3u").chmod(0)
    library.scan()
    assert kinds(library) == [(b"best.m3u", "playlist")]
    (music / "best.m3u").chmod(0o644)
    library.scan()
    assert (kinds(library), leads(library)) == ([], ["a.mp3"])


def test_pictures_and_playlists_are_read_together(library: Library, plant: Plant) -> None:
    """What is wrong with one of them is a problem of its own, of its kind."""
    plant({
        "A/1.mp3": song("One"), "A/cover.jpg": b"no picture", "A/front.png": picture(kind="PNG"),
        "A/1.m3u": b"1.mp3\n", "A/2.m3u": b"\0", "A/3.m3u": b"1.mp3\n",
    })  # fmt: skip
    assert library.scan().deferred_reads == 5
    assert leads(library) == ["A/1.mp3", "A/1.mp3"]
    assert kinds(library) == [(b"A/2.m3u", "playlist"), (b"A/cover.jpg", "picture")]
    told = ask(library, "SELECT artwork_hash FROM albums")
    assert told == [(hash_of(picture(kind="PNG")),)]
    assert library.scan().deferred_reads == 0
    assert library.verify(deep=True).ok


def test_playlists_are_ignored_with_all_else(library: Library, plant: Plant, music: Path) -> None:
    plant({"a.mp3": song("One"), "A/b.m3u": b"../a.mp3\n", "A/.indexignore": b"*.m3u\n"})
    library.scan()
    assert names(library) == []
    (music / "A/.indexignore").unlink()
    library.scan()
    assert leads(library) == ["a.mp3"]


def test_the_setting_turns_playlists_off_and_on(
    settings: Settings, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("One"), "best.m3u": b"a.mp3\n", "junk.m3u": b"\0"})
    with Library(settings) as library:
        library.rebuild([os.fsencode(music)])
        assert len(names(library)) == 2
    with Library(replace(settings, playlists=False)) as library:
        library.scan()
        assert (names(library), kinds(library)) == ([], [])
        assert library.status().artwork_waiting == 0
    with Library(replace(settings, artwork=False)) as library:
        library.scan()
        assert (leads(library), kinds(library)) == (["a.mp3"], [(b"junk.m3u", "playlist")])


def test_paths_into_other_roots_are_found_as_roots_come_and_go(
    library: Library, plant: Plant, music: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "B").mkdir(parents=True)
    (other / "B/b.mp3").write_bytes(song("Two"))
    text = os.fsencode(other) + b"/B/b.mp3\n../../other/B/b.mp3\n"
    plant({"a.mp3": song("One"), "A/best.m3u": text})
    library.scan()
    assert leads(library) == [None, None]
    library.rebuild([os.fsencode(other)])
    assert leads(library) == ["B/b.mp3", "B/b.mp3"]
    library.remove_root("other")
    library.scan()
    assert leads(library) == [None, None]
    library.remove_root(music.name)
    assert ask(library, "SELECT count(*) FROM playlist_entries") == [(0,)]


def test_an_offline_root_keeps_its_playlists(library: Library, plant: Plant, music: Path) -> None:
    plant({"a.mp3": song("One"), "best.m3u": b"a.mp3\n"})
    library.scan()
    music.rename(music.parent / "aside")
    assert library.scan().offline
    assert leads(library) == ["a.mp3"]
    (music.parent / "aside").rename(music)
    assert library.scan().deferred_reads == 0
    assert leads(library) == ["a.mp3"]


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM playlist_files", "UPDATE playlist_entries SET path = x'ff'",
     "UPDATE playlist_files SET folder = 'text'", "UPDATE lyrics_files SET name = 'text'"],
)  # fmt: skip
def test_a_repaired_index_has_the_same_playlists_after_a_scan(
    library: Library, plant: Plant, settings: Settings, damage: str
) -> None:
    plant({"a.mp3": song("One"), "best.m3u": b"a.mp3\nx.mp3\n", "a.lrc": b""})
    library.scan()
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.execute(damage)
        db.commit()
    assert not library.verify().ok
    library.close()
    library.repair()
    library.scan()
    assert library.verify(deep=True).ok
    assert leads(library) == ["a.mp3", None]
    assert ask(library, "SELECT has_lyrics FROM library") == [(1,)]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [("UPDATE playlist_entries SET track_id = NULL", "playlist"),
     ("DELETE FROM track_lyrics", "lyrics"), ("INSERT INTO track_lyrics VALUES (99)", "lyrics")],
)  # fmt: skip
def test_verify_compares_what_follows_from_the_rows(
    library: Library, plant: Plant, settings: Settings, damage: str, kind: str
) -> None:
    plant({"a.mp3": song("One"), "best.m3u": b"a.mp3\n", "a.lrc": b""})
    library.scan()
    assert library.verify(deep=True).ok
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.execute(damage)
        db.commit()
    told = library.verify(deep=True)
    assert [one.kind for one in told.differences] == [kind]


def test_verify_reads_playlists_again_if_it_is_asked_to(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"a.mp3": song("One"), "best.m3u": b"a.mp3\n", "junk.m3u": b"\0"})
    library.scan()
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.execute("UPDATE playlist_entries SET path = 'A.mp3'")
        db.commit()
    assert library.verify().ok
    (told,) = library.verify(deep=True).differences
    assert (told.path, told.kind) == ("best.m3u", "playlist")


def test_verify_compares_playlists_with_the_disk(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"a.mp3": song("One"), "gone.m3u": b"a.mp3\n", "stale.m3u": b"x\n", "gone.lrc": b""})
    library.scan()
    (music / "gone.m3u").unlink()
    (music / "gone.lrc").unlink()
    put(music, "stale.m3u", b"y.mp3\n")
    plant({"new.m3u8": b"", "new.lrc": b""})
    told = {(one.path, one.kind) for one in library.verify().differences}
    assert told == {
        ("gone.m3u", "gone"), ("gone.lrc", "gone"), ("stale.m3u", "stale"),
        ("new.m3u8", "unindexed"), ("new.lrc", "unindexed"),
    }  # fmt: skip


def test_the_command_lists_playlists_and_what_is_broken(
    music: Path, plant: Plant, db: Path
) -> None:
    plant({
        "a.mp3": song("One"), "Lists/best.m3u8": "#PLAYLIST:Möwe\n../a.mp3\nhttp://x/y\n".encode(),
        "junk.m3u": b"\0", b"\xff.m3u": b"a.mp3\nnowhere\x1b.mp3\n",
    })  # fmt: skip
    run("rebuild", music, db=db)
    told = run("playlists", db=db).out.splitlines()
    assert "music/Lists/best.m3u8  Möwe  2 items, 1 stream" in told
    assert "music/junk.m3u  cannot be read, see indexer problems" in told
    assert any(line.endswith("2 items, 1 broken") for line in told)
    (line,) = run("playlists", "--broken", db=db).out.splitlines()
    assert line.endswith(":2  nowhere\\x1b.mp3")
    listed = [json.loads(one) for one in run("playlists", "--json", db=db).out.splitlines()]
    assert [
        (one["items"], one["tracks"], one["broken"]) for one in listed if "path_b64" in one
    ] == [(2, 1, 1)]
    (item,) = map(json.loads, run("playlists", "--broken", "--json", db=db).out.splitlines())
    assert (item["position"], item["item"]) == (2, "nowhere\x1b.mp3")


def test_without_playlists_the_command_says_so(music: Path, plant: Plant, db: Path) -> None:
    plant({"a.mp3": song("One")})
    run("rebuild", music, db=db)
    assert run("playlists", db=db).out == "no playlists\n"
    assert run("playlists", "--broken", db=db).out == "nothing is broken\n"
    assert run("playlists", "--json", db=db).out == ""


def test_a_daemon_follows_playlists_and_their_tracks(
    plant: Plant, music: Path, watch: Watch
) -> None:
    plant(SONGS)
    daemon = watch()

    def shows(*expected: str | None) -> None:
        eventually(lambda: [path for (path,) in rows(daemon.db, LEADS)] == list(expected))

    one, three = "Björk/Debut/01 One.mp3", "ABBA/Gold/03 Three.mp3"
    plant({"Lists/best.m3u": f"../{one}\n../{three}\n../x.mp3\n".encode()})
    shows(one, three, None)
    plant({"x.mp3": song("X")})
    shows(one, three, "x.mp3")
    (music / one).rename(music / "y.mp3")
    shows("y.mp3", three, "x.mp3")
    (music / "Lists").rename(music / "ABBA/Lists")
    eventually(lambda: rows(daemon.db, "SELECT path FROM playlists") == [("ABBA/Lists/best.m3u",)])
    put(music, "ABBA/Lists/best.m3u", b"../Gold/03 Three.mp3\n")
    shows(three)
    (music / three).unlink()
    shows(None)
    (music / "ABBA/Lists/best.m3u").unlink()
    eventually(lambda: rows(daemon.db, "SELECT * FROM playlists") == [])
    eventually(lambda: daemon.status()["artwork_waiting"] == 0)
    daemon.sleeps()


@pytest.mark.parametrize("config", ["", "artwork = false"])
def test_a_playlist_that_the_machine_could_not_read_is_tried_again_live(
    plant: Plant, music: Path, db: Path, config: str
) -> None:
    plant({**SONGS, "Lists/best.m3u": b"../ABBA/Gold/03 Three.mp3\n"})
    with watching(music, db=db, config=f"probe_interval = 0.2\n{config}") as daemon:
        expected = [("ABBA/Gold/03 Three.mp3",)]
        eventually(lambda: rows(db, LEADS) == expected)
        make_unread(db, "playlist")
        eventually(lambda: rows(db, LEADS) == expected)
        eventually(lambda: rows(db, "SELECT path FROM problems") == [])
        daemon.is_right()


def test_a_playlist_that_is_still_being_written_is_not_read(
    plant: Plant, music: Path, watch: Watch
) -> None:
    plant({"a.mp3": song("One")})
    daemon = watch()
    with open(music / "best.m3u", "wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"a.mp3\n")
            time.sleep(0.1)
        assert rows(daemon.db, ITEMS) == []
    eventually(lambda: len(rows(daemon.db, ITEMS)) == 20)


def test_workers_read_playlists_and_follow_their_tracks(
    music: Path, plant: Plant, db: Path, tmp_path: Path
) -> None:
    plant({**SONGS, "Lists/best.m3u": b"../ABBA/Gold/03 Three.mp3\nx.mp3\n", "j.m3u": b"\0"})
    with redis_server(tmp_path / "redis") as server, ExitStack() as stack:
        config = quick(server.address)
        stack.enter_context(crew(db=db, config=config, client=server.client(), name="worker"))
        stack.enter_context(watching(music, db=db, config=config))
        eventually(lambda: rows(db, LEADS) == [("ABBA/Gold/03 Three.mp3",), (None,)])
        eventually(lambda: rows(db, "SELECT kind FROM problems") == [("playlist",)])
        (music / "ABBA/Gold/03 Three.mp3").rename(music / "Lists/y.mp3")
        plant({"Lists/x.mp3": song("X")})
        eventually(lambda: rows(db, LEADS) == [("Lists/y.mp3",), ("Lists/x.mp3",)])
        put(music, "Lists/best.m3u", b"y.mp3\n")
        eventually(lambda: rows(db, LEADS) == [("Lists/y.mp3",)])
        eventually(lambda: rows(db, "SELECT count(*) FROM artwork_due") == [(0,)])
        eventually(lambda: rows(db, "SELECT count(*) FROM artwork_due_folders") == [(0,)])
        assert run("verify", "--deep", "--json", db=db).object["ok"]


@pytest.mark.parametrize("artwork", ["true", "false"])
def test_a_command_without_a_daemon_ends_when_workers_have_read_playlists_and_lyrics(
    music: Path, plant: Plant, db: Path, tmp_path: Path, artwork: str
) -> None:
    plant({**SONGS, "Lists/best.m3u": b"../ABBA/Gold/03 Three.mp3\n", "x.lrc": b"la"})
    with redis_server(tmp_path / "redis") as server:
        config = f"artwork = {artwork}\n{quick(server.address)}"
        with crew(db=db, config=config, client=server.client(), name="worker"):
            run("rebuild", music, "--queue", db=db, config=config)
            assert rows(db, LEADS) == [("ABBA/Gold/03 Three.mp3",)]
            plant({"Lists/x.m3u": b"../x.mp3\n", "x.mp3": song("X")})
            run("scan", "--queue", db=db, config=config)
            assert rows(db, LEADS) == [("ABBA/Gold/03 Three.mp3",), ("x.mp3",)]
            assert rows(db, "SELECT path FROM library WHERE has_lyrics") == [("x.mp3",)]
            assert rows(db, "SELECT count(*) FROM artwork_due_folders") == [(0,)]
