"""Pictures on a real disk -> covers and artists' images in the index, and what becomes of them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexer.artwork.model import PictureKey, Wanted
from indexer.ignore_files import path_filter_of
from indexer.library import Library
from indexer.model import Problem, ProblemKind
from indexer.settings import Settings
from indexer.stages.artwork import ArtworkChooser
from indexer.store.connection import open_index, write_transaction
from indexer.store.sidecars import artwork_tracks, pictures
from indexer.store.sidecars.artwork import Owner, OwnerKind
from tests.covers import hash_of, held_by, picture
from tests.daemons import Daemon, Watch, watching
from tests.programs import ENVIRONMENT, eventually, rows, run
from tests.trees import (
    Plant,
    ask,
    put,
    put_in_disguise,
    put_in_place_of,
    song,
)
from tests.unread import make_unread

RED, BLUE, GREEN = picture("red"), picture("blue"), picture("green")


def holding(data: bytes, **tags: Any) -> bytes:
    """A song with a picture in its tags."""
    return held_by(song(**tags), data)


def covers(library: Library) -> dict[Any, str]:
    """Album -> hash of its cover."""
    return dict(ask(library, "SELECT title, artwork_hash FROM albums WHERE artwork_hash NOT NULL"))


def images(library: Library) -> dict[Any, Any]:
    """Artist -> path of the image."""
    return dict(ask(library, "SELECT name, artwork_path FROM artists WHERE artwork_path NOT NULL"))


def test_a_scan_chooses_covers_and_images_and_a_second_one_opens_nothing(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({
        "Björk/Debut/1.mp3": song("One", album="Debut", albumartist="Björk"),
        "Björk/Debut/Cover.JPG": RED,
        "Björk/Post/1.mp3": holding(BLUE, title="Two", album="Post", albumartist="Björk"),
        "Björk/artist.jpg": GREEN,
    })  # fmt: skip
    first = library.scan()
    assert (first.files_read, first.deferred_reads) == (2, 3)
    assert covers(library) == {"Debut": hash_of(RED), "Post": hash_of(BLUE)}
    assert images(library) == {"Björk": "Björk/artist.jpg"}
    told = ask(library, "SELECT kind, source, path, width, height, bytes FROM artwork")
    assert told == [
        ("album", "file", "Björk/Debut/Cover.JPG", 40, 30, len(RED)),
        ("album", "track", "Björk/Post/1.mp3", 40, 30, len(BLUE)),
        ("artist", "file", "Björk/artist.jpg", 40, 30, len(GREEN)),
    ]
    assert ask(library, "SELECT has_cover FROM library") == [(1,), (1,)]
    assert len(list(settings.artwork_folder.rglob("*.jpg"))) == 3
    second = library.scan()
    assert (second.unchanged, second.files_read, second.deferred_reads) == (2, 0, 0)
    assert library.status().artwork_waiting == 0


@pytest.mark.parametrize("replace", [put, put_in_disguise, put_in_place_of])
def test_a_replaced_cover_is_never_stale(
    library: Library, plant: Plant, music: Path, replace: Callable[[Path, str, bytes], None]
) -> None:
    """Also with the same size and time, as `cp -p` of another cover may have."""
    blue = BLUE + bytes(len(RED) - len(BLUE)) if len(RED) > len(BLUE) else BLUE
    red = RED + bytes(len(blue) - len(RED))
    plant({"A/1.mp3": song(), "A/cover.jpg": red})
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(red)}
    replace(music, "A/cover.jpg", blue)
    assert library.scan().deferred_reads == 1
    assert covers(library) == {"Homogenic": hash_of(blue)}


def test_a_cover_that_is_gone_leaves_the_embedded_one(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": holding(GREEN), "A/cover.jpg": RED})
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(RED)}
    (music / "A" / "cover.jpg").unlink()
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(GREEN)}
    assert ask(library, "SELECT source, path FROM artwork") == [("track", "A/1.mp3")]


def test_a_new_embedded_picture_is_seen_although_no_tag_of_the_view_changed(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": holding(GREEN)})
    library.scan()
    put(music, "A/1.mp3", holding(BLUE))
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(BLUE)}


def test_a_moved_folder_takes_its_cover_along_and_nothing_is_opened(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED})
    library.scan()
    (music / "A").rename(music / "B")
    assert library.scan().deferred_reads == 0
    assert ask(library, "SELECT path, hash FROM artwork") == [("B/cover.jpg", hash_of(RED))]


def test_discs_share_the_cover_above_them_until_another_album_comes(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({
        "X/CD 1/1.mp3": song("One"), "X/CD 2/1.mp3": song("Two"), "X/front.png": RED,
    })  # fmt: skip
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(RED)}
    plant({"X/More/1.mp3": song("Three", album="Debut")})
    library.scan()
    assert covers(library) == {}
    shutil.rmtree(music / "X" / "More")
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(RED)}


def test_each_disc_with_a_cover_of_its_own_gives_that_of_the_first(
    library: Library, plant: Plant
) -> None:
    plant({
        "X/CD 1/1.mp3": song("One", disc="1"), "X/CD 2/1.mp3": song("Two", disc="2"),
        "X/CD 1/cover.jpg": BLUE, "X/CD 2/cover.jpg": GREEN, "X/cover.jpg": RED,
    })  # fmt: skip
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(BLUE)}


def test_two_albums_of_one_name_have_their_own_covers(library: Library, plant: Plant) -> None:
    plant({
        "A/1.mp3": song("One", artist="Muse", album="Live"), "A/cover.jpg": RED,
        "B/1.mp3": song("One", artist="Björk", album="Live"), "B/cover.jpg": BLUE,
    })  # fmt: skip
    library.scan()
    found = ask(library, "SELECT artwork_path, artwork_hash FROM albums ORDER BY artwork_path")
    assert found == [("A/cover.jpg", hash_of(RED)), ("B/cover.jpg", hash_of(BLUE))]


def test_a_track_of_another_artist_takes_the_image_of_a_folder_away(
    library: Library, plant: Plant, music: Path
) -> None:
    """The folder is not named after the artist, so all that is in it has to be the artist's."""
    plant({
        "Mine/Debut/1.mp3": song("One", album="Debut", albumartist="Björk"), "Mine/artist.jpg": RED,
    })  # fmt: skip
    library.scan()
    assert images(library) == {"Björk": "Mine/artist.jpg"}
    plant({"Mine/Deep/Er/1.mp3": song("Two", artist="Muse", albumartist="Muse", album="Live")})
    library.scan()
    assert images(library) == {}
    shutil.rmtree(music / "Mine" / "Deep")
    library.scan()
    assert images(library) == {"Björk": "Mine/artist.jpg"}


@pytest.mark.parametrize("many", [1, 1000])
def test_a_folder_gets_an_image_when_it_is_named_after_an_artist(
    library: Library, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Also where it has so many tracks that it costs less to ask all artists."""
    monkeypatch.setattr(artwork_tracks, "_MANY", many)
    plant({
        "x/Debut/1.mp3": song("One", album="Debut", albumartist="Björk"),
        "x/Live/1.mp3": song("One", artist="Muse", albumartist="Muse", album="Live"),
    })  # fmt: skip
    library.scan()
    (music / "x" / "fanart.png").write_bytes(RED)
    library.scan()
    assert images(library) == {}
    (music / "x").rename(music / "bjork")
    library.scan()
    assert images(library) == {"Björk": "bjork/fanart.png"}
    (music / "bjork" / "fanart.png").unlink()
    library.scan()
    assert images(library) == {}
    (music / "bjork" / "folder.png").write_bytes(BLUE)
    library.scan()
    assert images(library) == {"Björk": "bjork/folder.png"}


def test_a_broken_picture_is_a_problem_of_its_own_until_it_changes(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": holding(GREEN), "A/cover.jpg": b"no picture", "B/1.mp3": song(album="B")})
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(GREEN)}
    assert ask(library, "SELECT path, kind FROM problems") == [(b"A/cover.jpg", "picture")]
    status = library.status()
    assert (status.tracks, status.problems, status.picture_problems) == (2, 0, 1)
    assert library.verify(deep=True).ok
    assert library.scan().deferred_reads == 0
    put(music, "A/cover.jpg", RED)
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(RED)}
    assert ask(library, "SELECT path FROM problems") == []


def test_a_broken_embedded_picture_says_nothing_of_its_track(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": holding(b"no picture"), "A/2.mp3": holding(BLUE, title="Two")})
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(BLUE)}
    assert ask(library, "SELECT path, kind FROM problems") == [(b"A/1.mp3", "picture")]
    (music / "A").rename(music / "B")
    library.scan()
    assert ask(library, "SELECT path, kind FROM problems") == [(b"B/1.mp3", "picture")]
    put(music, "B/1.mp3", holding(RED))
    library.scan()
    assert covers(library) == {"Homogenic": hash_of(RED)}
    assert ask(library, "SELECT path FROM problems") == []


@pytest.mark.parametrize(
    ("kind", "tried"), [(ProblemKind.ENVIRONMENT, 1), (ProblemKind.PICTURE, 0)]
)
def test_a_picture_that_the_machine_could_not_read_is_tried_again_by_a_scan(
    library: Library, plant: Plant, settings: Settings, kind: ProblemKind, tried: int
) -> None:
    """Rights of the user, a disk that fails or full memory leave no trace in the stamp."""
    plant({"A/1.mp3": song(), "A/cover.jpg": RED})
    library.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        key = PictureKey(1, b"A/cover.jpg")
        known = pictures.get(connection, key.root_id, key.path)
        assert known is not None
        with write_transaction(connection):
            pictures.put(connection, key.root_id, key.path, known.stamp, None)
            chooser = ArtworkChooser(connection, {}, settings, path_filter_of(settings))
            chooser.refuse(Wanted(key, known.stamp), Problem(kind, "not now"), 1)
            assert chooser.choose_for(Owner(OwnerKind.ALBUM, 1)) is None
    assert covers(library) == {}
    assert library.scan().deferred_reads == tried
    assert len(covers(library)) == tried
    assert len(ask(library, "SELECT path FROM problems")) == 1 - tried


def test_without_artwork_nothing_of_it_is_kept(
    plant: Plant, settings: Settings, music: Path, tmp_path: Path
) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED})
    config = tmp_path / "config.toml"
    config.write_text("artwork = false\n")

    def scan(*more: str) -> dict[str, Any]:
        return dict(run(*more, "rebuild", music, "--json", db=settings.db).object)

    assert scan()["deferred_reads"] == 1
    assert rows(settings.db, "SELECT count(*) FROM artwork") == [(1,)]
    assert scan("--config", str(config))["deferred_reads"] == 0
    kept = "SELECT (SELECT count(*) FROM artwork), (SELECT count(*) FROM pictures)"
    assert rows(settings.db, kept) == [(0, 0)]
    assert scan()["deferred_reads"] == 1
    assert rows(settings.db, "SELECT hash FROM artwork") == [(hash_of(RED),)]


def test_other_names_in_the_settings_choose_again(plant: Plant, music: Path, db: Path) -> None:
    plant({
        "A/1.mp3": song("One", artist="A", album="Debut"),
        "A/cover.jpg": RED, "A/folder.jpg": BLUE, "A/back.jpg": GREEN,
    })  # fmt: skip

    def chosen(names: str) -> str | None:
        config = f"album_cover_files = {names}\n" if names else ""
        run("scan", db=db, config=config)
        run("verify", "--deep", db=db, config=config)
        ((path,),) = rows(db, "SELECT artwork_path FROM albums")
        return None if path is None else str(path)

    run("rebuild", music, db=db)
    assert [chosen(names) for names in ("", '["folder", "cover"]', '["none"]', "")] == [
        "A/cover.jpg", "A/folder.jpg", None, "A/cover.jpg",
    ]  # fmt: skip
    with watching(db=db, config='album_cover_files = ["folder"]\n'):
        eventually(lambda: rows(db, "SELECT artwork_path FROM albums") == [("A/folder.jpg",)])


def test_the_pictures_of_a_removed_root_go_with_it(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED})
    library.scan()
    library.remove_root("music")
    left = "SELECT (SELECT count(*) FROM pictures), (SELECT count(*) FROM artwork)"
    assert ask(library, left) == [(0, 0)]
    assert settings.artwork_folder.exists()


def test_a_kill_in_the_middle_loses_nothing(plant: Plant, music: Path, db: Path) -> None:
    plant({
        f"{number}/{name}": content
        for number in range(60)
        for name, content in (
            ("1.mp3", song(album=f"Album {number}")),
            ("cover.jpg", picture("red", (40, 30 + number))),
        )
    })  # fmt: skip
    command = (sys.executable, "-P", "-m", "indexer", "--db", str(db), "rebuild", str(music))
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    count = "SELECT count(*) FROM artwork"
    eventually(lambda: db.exists() and rows(db, count)[0][0] > 0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done, waiting = rows(db, f"SELECT ({count}), (SELECT count(*) FROM artwork_due)")[0]
    assert done + waiting >= 60
    run("scan", db=db)
    assert rows(db, count) == [(60,)]
    assert rows(db, "SELECT count(*) FROM artwork_due") == [(0,)]


def thumbnails(settings: Settings) -> set[str]:
    return {path.stem for path in settings.artwork_folder.rglob("*.jpg")}


def test_the_thumbnail_of_a_picture_that_is_nowhere_is_deleted_on_the_next_day(
    library: Library, plant: Plant, settings: Settings, music: Path
) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED, "B/1.mp3": song(album="B"), "B/cover.jpg": BLUE})
    library.scan()
    put(music, "A/cover.jpg", GREEN)
    library.scan()
    assert thumbnails(settings) == {hash_of(RED), hash_of(BLUE), hash_of(GREEN)}
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.execute("UPDATE roots SET last_day = last_day - 1")
        db.commit()
    library.scan()
    assert len(thumbnails(settings)) == 3, "it is too fresh"
    for path in settings.artwork_folder.rglob("*.jpg"):
        os.utime(path, (1, 1))
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.execute("UPDATE roots SET last_day = last_day - 1")
        db.commit()
    library.scan()
    assert thumbnails(settings) == {hash_of(BLUE), hash_of(GREEN)}


@pytest.mark.parametrize(
    ("damage", "opened"),
    [
        ("DELETE FROM catalog_albums", 0),
        ("DELETE FROM track_pictures", 1),
        ("DROP TABLE pictures", 1),
        ("UPDATE pictures SET hash = 'x'", 1),
    ],
)
def test_a_repaired_index_has_the_same_artwork_after_a_scan(
    library: Library, plant: Plant, settings: Settings, damage: str, opened: int
) -> None:
    plant({
        "A/1.mp3": song(), "A/cover.jpg": RED, "B/1.mp3": holding(BLUE, album="B"),
    })  # fmt: skip
    library.scan()
    before = covers(library)
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.execute(damage)
        db.commit()
    assert not library.verify().ok
    library.close()
    library.repair()
    assert library.verify(deep=True).ok
    assert library.scan().deferred_reads == opened
    assert covers(library) == before


def differences(library: Library, *, deep: bool = False) -> list[tuple[str, str]]:
    return [(one.kind, one.path) for one in library.verify(deep=deep).differences]


def test_verify_compares_pictures_with_the_disk(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED, "A/gone.png": RED, "A/same.gif": b"x"})
    library.scan()
    assert library.verify(deep=True).ok
    put(music, "A/cover.jpg", BLUE)
    (music / "A" / "gone.png").unlink()
    plant({"A/new.png": b"x", "B/new.png": b"x"})
    assert {path: kind for kind, path in differences(library)} == {
        "A/cover.jpg": "stale",
        "A/gone.png": "gone",
        "A/new.png": "unindexed",
        "B/new.png": "unindexed",
    }
    library.scan()
    assert library.verify(deep=True).ok


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE pictures SET hash = x'00' WHERE hash NOT NULL", [("picture", "A/cover.jpg")]),
        ("UPDATE track_pictures SET hash = x'00'", [("picture", "B/1.mp3")]),
        ("DELETE FROM artwork_choices WHERE source = 'track'", [("artwork", "")]),
        ("DELETE FROM track_pictures", [("catalog", "")]),
    ],
)
def test_a_deep_verify_finds_wrong_bytes_and_wrong_choices(
    library: Library, plant: Plant, settings: Settings, damage: str, found: list[tuple[str, str]]
) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED, "B/1.mp3": holding(BLUE, album="B")})
    library.scan()
    library.close()
    with closing(sqlite3.connect(settings.db)) as db:
        db.execute(damage)
        db.commit()
    assert differences(library, deep=True) == found


# Live


def shows(daemon: Daemon, expected: dict[str, bytes], within_s: float = 10.0) -> float:
    """Wait until just these albums have covers; how long that took."""
    began = time.monotonic()
    wanted = {title: hash_of(data) for title, data in expected.items()}

    def is_so() -> bool:
        told = rows(daemon.db, "SELECT title, artwork_hash FROM albums WHERE artwork_hash NOT NULL")
        return dict(told) == wanted

    eventually(is_so, within_s=within_s)
    return time.monotonic() - began


def test_a_cover_is_followed_live(music: Path, plant: Plant, watch: Watch) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED})
    daemon = watch()
    shows(daemon, {"Homogenic": RED})
    put(music, "A/cover.jpg", BLUE)
    assert shows(daemon, {"Homogenic": BLUE}) < 2.0
    aside = music / ".aside"
    aside.write_bytes(GREEN)
    aside.rename(music / "A" / "cover.jpg")
    assert shows(daemon, {"Homogenic": GREEN}) < 2.0
    (music / "A" / "cover.jpg").unlink()
    shows(daemon, {})
    plant({"A/x.png": RED, "B/1.mp3": holding(BLUE, album="Debut")})
    shows(daemon, {"Homogenic": RED, "Debut": BLUE})
    (music / "A").rename(music / "C")
    eventually(
        lambda: rows(daemon.db, "SELECT path FROM artwork WHERE source = 'file'") == [("C/x.png",)]
    )
    shutil.rmtree(music / "C")
    shows(daemon, {"Debut": BLUE})
    eventually(lambda: daemon.status()["artwork_waiting"] == 0)


def test_other_hard_links_of_a_cover_are_followed_live(
    music: Path, plant: Plant, watch: Watch
) -> None:
    """They have no events of their own; at the end index must equal disk."""
    plant({f"{name}/1.mp3": song(album=name) for name in "ABC"})
    plant({"A/cover.jpg": RED})
    for name in "BC":
        os.link(music / "A" / "cover.jpg", music / name / "cover.jpg")
    daemon = watch()
    shows(daemon, dict.fromkeys("ABC", RED))
    put(music, "A/cover.jpg", BLUE)
    shows(daemon, dict.fromkeys("ABC", BLUE))
    put_in_place_of(music, "B/cover.jpg", GREEN)
    shows(daemon, {"A": BLUE, "B": GREEN, "C": BLUE})
    eventually(lambda: run("verify", db=daemon.db, check=None).code == 0)
    (music / "C" / "cover.jpg").unlink()
    shows(daemon, {"A": BLUE, "B": GREEN})


def test_a_cover_that_the_machine_could_not_read_is_tried_again_live(
    plant: Plant, watch: Watch
) -> None:
    """A disk that fails for a moment costs no day without covers."""
    plant({"A/1.mp3": song(), "A/cover.jpg": RED})
    daemon = watch()
    shows(daemon, {"Homogenic": RED})
    make_unread(daemon.db, "picture")
    shows(daemon, {"Homogenic": RED}, within_s=30.0)
    eventually(lambda: rows(daemon.db, "SELECT path FROM problems") == [])


def test_a_cover_that_is_still_being_written_is_not_opened(
    music: Path, plant: Plant, watch: Watch
) -> None:
    plant({"A/1.mp3": song()})
    daemon = watch()
    data = picture("red", (400, 300))
    with open(music / "A" / "cover.jpg", "wb", buffering=0) as file:
        for start in range(0, len(data), 500):
            file.write(data[start : start + 500])
            time.sleep(0.1)
        assert rows(daemon.db, "SELECT count(*) FROM problems") == [(0,)]
        assert rows(daemon.db, "SELECT count(*) FROM artwork") == [(0,)]
    shows(daemon, {"Homogenic": data})
    assert rows(daemon.db, "SELECT count(*) FROM problems") == [(0,)]


def test_a_daemon_rests_when_all_artwork_is_chosen(plant: Plant, watch: Watch) -> None:
    plant({"A/1.mp3": song(), "A/cover.jpg": RED, "B/cover.jpg": b"broken", "B/1.mp3": song()})
    daemon = watch()
    eventually(lambda: daemon.status()["artwork_waiting"] == 0)
    daemon.sleeps()


def test_a_daemon_goes_on_where_a_killed_one_stopped(music: Path, plant: Plant, db: Path) -> None:
    plant({
        f"{number}/{name}": content
        for number in range(40)
        for name, content in (
            ("1.mp3", song(album=f"Album {number}")),
            ("cover.jpg", picture("blue", (40, 30 + number))),
        )
    })  # fmt: skip
    count = "SELECT count(*) FROM artwork"
    with watching(music, db=db) as daemon:
        eventually(lambda: rows(db, count)[0][0] > 0)
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.process.wait()
    with watching(music, db=db):
        eventually(lambda: rows(db, count) == [(40,)])
