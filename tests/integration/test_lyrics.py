"""Files of lyrics beside the music -> `has_lyrics`, by a scan, live, and by workers."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from indexer.library import Library
from indexer.settings import Settings
from tests.daemons import Watch, watching
from tests.further_tags import with_tags
from tests.programs import eventually, rows
from tests.redis_servers import redis_server
from tests.rq_workers import crew, quick
from tests.stage_harness import ByHand
from tests.trees import Plant, ask, ids, song

WITH = "SELECT path FROM library WHERE has_lyrics ORDER BY path"
TEXT = b"[00:01.00]la la"


def paths_with(library: Library) -> list[str]:
    return [path for (path,) in ask(library, WITH)]


def test_a_file_of_the_tracks_name_counts_in_any_case_and_spelling(
    library: Library, plant: Plant
) -> None:
    plant({
        "A/1.mp3": song("One"), "A/1.lrc": TEXT,
        "A/Été.MP3": song("Two"), "A/e\u0301te\u0301.LRC": TEXT,
        "A/3.mp3": song("Three"), "B/3.lrc": TEXT, "A/3.lrc.txt": TEXT, "A/3": TEXT,
        "4.flac": song("Four"), "4.Lrc": b"", "5.mp3": song("Five"), ".5.lrc": TEXT,
        b"A/\xff.mp3": song("Six"), b"A/\xff.lrc": TEXT,
    })  # fmt: skip
    library.scan()
    assert ask(library, WITH) == [("4.flac",), ("A/1.mp3",), ("A/Été.MP3",), (b"A/\xff.mp3",)]
    assert library.verify(deep=True).ok


def test_a_search_asks_for_lyrics_in_files_and_in_tags(library: Library, plant: Plant) -> None:
    plant({
        "1.mp3": song("One"), "1.lrc": TEXT, "3.mp3": song("Three"),
        "2.flac": with_tags(".flac", {"title": ["Two"], "lyrics": ["la"]}),
    })  # fmt: skip
    library.scan()

    def found(word: str) -> set[object]:
        return {row["title"] for row in library.search([word])}

    assert found("has:lyrics") == found("has_lyrics:yes") == {"One", "Two"}
    assert found("missing:lyrics") == found("has_lyrics:no") == {"Three"}


def test_a_scan_follows_lyrics_that_come_go_and_are_renamed(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "A/1.lrc": TEXT})
    library.scan()
    assert paths_with(library) == ["A/1.mp3"]
    (music / "A/1.lrc").rename(music / "A/2.LRC")
    done = library.scan()
    assert (done.files_read, done.deferred_reads) == (0, 0)
    assert paths_with(library) == ["A/2.mp3"]
    (music / "A/2.mp3").rename(music / "A/3.mp3")
    library.scan()
    assert paths_with(library) == []
    plant({"A/3.lrc": TEXT})
    library.scan([os.fsencode(music / "A/3.lrc")])
    assert paths_with(library) == ["A/3.mp3"]
    (music / "A").rename(music / "B")
    library.scan()
    assert paths_with(library) == ["B/3.mp3"]
    (music / "B/3.lrc").unlink()
    (music / "B/2.LRC").unlink()
    library.scan()
    assert paths_with(library) == []
    assert ask(library, "SELECT * FROM lyrics_files") == []
    assert library.verify(deep=True).ok


def test_a_track_that_returns_has_its_lyrics_again(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/1.lrc": TEXT})
    library.scan()
    before = ids(library)
    os.rename(music / "A/1.mp3", music.parent / "aside.mp3")
    library.scan()
    assert ask(library, "SELECT * FROM track_lyrics") == []
    os.rename(music.parent / "aside.mp3", music / "A/1.mp3")
    library.scan()
    assert (ids(library), paths_with(library)) == (before, ["A/1.mp3"])


def test_lyrics_are_ignored_with_all_else_and_are_no_folder_and_no_pipe(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({
        "A/1.mp3": song("One"), "A/1.lrc": TEXT, "A/.indexignore": b"*.lrc\n",
        "B/2.mp3": song("Two"), "B/2.lrc/x.txt": b"", "C/3.mp3": song("Three"),
    })  # fmt: skip
    os.mkfifo(music / "C/3.lrc")
    os.symlink("1.lrc", music / "A/4.lrc")
    library.scan()
    assert paths_with(library) == []
    (music / "A/.indexignore").unlink()
    library.scan()
    assert paths_with(library) == ["A/1.mp3"]


def test_without_artwork_and_playlists_lyrics_are_followed_still(
    settings: Settings, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/1.lrc": TEXT})
    with Library(replace(settings, artwork=False, playlists=False)) as library:
        library.rebuild([os.fsencode(music)])
        assert paths_with(library) == ["A/1.mp3"]
        assert library.status().artwork_waiting == 0


def test_lyrics_of_a_removed_root_are_forgotten(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/1.lrc": TEXT})
    library.scan()
    library.remove_root(music.name)
    assert ask(library, "SELECT count(*) FROM lyrics_files") == [(0,)]
    assert ask(library, "SELECT count(*) FROM track_lyrics") == [(0,)]
    library.rebuild([os.fsencode(music)])
    assert paths_with(library) == ["A/1.mp3"]


def test_a_listing_has_lyrics_without_their_status(plant: Plant, by_hand: ByHand) -> None:
    plant({"A/1.mp3": song("One"), "A/1.lrc": TEXT})
    scan = by_hand.scan()
    for _ in scan.plans():
        pass
    (change,) = scan.sidecars.take()
    assert change.path == b"A/1.lrc"
    assert change.stamp is not None
    assert change.stamp.inode == 0


def test_a_daemon_follows_lyrics(plant: Plant, music: Path, watch: Watch) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two")})
    daemon = watch()
    plant({"A/1.lrc": TEXT})
    eventually(lambda: rows(daemon.db, WITH) == [("A/1.mp3",)])
    (music / "A/1.lrc").rename(music / "A/2.lrc")
    eventually(lambda: rows(daemon.db, WITH) == [("A/2.mp3",)])
    plant({"B/2.lrc": TEXT})
    (music / "A/2.mp3").rename(music / "B/2.mp3")
    eventually(lambda: rows(daemon.db, WITH) == [("B/2.mp3",)])
    (music / "B/2.lrc").unlink()
    eventually(lambda: rows(daemon.db, WITH) == [])
    eventually(lambda: daemon.status()["artwork_waiting"] == 0)
    daemon.sleeps()


def test_workers_follow_lyrics(music: Path, plant: Plant, db: Path, tmp_path: Path) -> None:
    plant({"A/1.mp3": song("One"), "A/1.lrc": TEXT, "A/2.mp3": song("Two")})
    with redis_server(tmp_path / "redis") as server, ExitStack() as stack:
        config = quick(server.address)
        stack.enter_context(crew(db=db, config=config, client=server.client(), name="worker"))
        stack.enter_context(watching(music, db=db, config=config))
        eventually(lambda: rows(db, WITH) == [("A/1.mp3",)])
        (music / "A/1.lrc").rename(music / "A/2.lrc")
        eventually(lambda: rows(db, WITH) == [("A/2.mp3",)])
