"""What programs rely on: the keys of every answer, the exit codes, and where the index is."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.corpus import noise, plant, tagged
from tests.integration.odd_names import LATIN_1, LIBRARY, TRACKS, Place
from tests.programs import (
    CHECKOUT,
    Word,
    rows,
    run,
)

SCAN_KEYS = {
    "seen", "added", "modified", "moved", "returned", "missing", "unchanged", "problems",
    "files_read", "bytes_read", "seconds", "files_per_second", "interrupted", "pending", "offline",
    "deferred_reads", "deferred_seconds", "damaged",
}  # fmt: skip
STATUS_KEYS = {
    "database", "size", "wal_size", "tracks", "albums", "artists", "missing", "problems",
    "pending", "oldest_pending_seconds", "daemon", "roots", "scans", "rates", "last_scan_rates",
    "picture_problems", "artwork_waiting", "health", "damaged", "scrubbed",
    "playlist_problems",
    "error_rate", "processes", "redis", "queues", "workers",
}  # fmt: skip
DAEMON_KEYS = {"running", "pid", "watched_folders", "unwatched_folders"}
ROOT_KEYS = {
    "name", "path", "state", "tracks", "file_system", "disk", "stamp_fields", "moves",
}  # fmt: skip
SCAN_ROW_KEYS = {"id", "kind", "state", "roots", "started_at", "ended_at", "counts"}
VERIFY_KEYS = {"unseen", "ok", "checked", "pending", "differences", "offline"}
DIFFERENCE_KEYS = {"root", "path", "kind", "detail"}
PROBLEM_KEYS = {"root", "path", "kind", "reason", "since"}
DUPLICATES_KEYS = {"by", "files", "size", "freed", "albums"}
DUPLICATE_FILE_KEYS = {
    "id", "root", "path", "title", "artist", "album", "album_id", "codec", "bitrate",
    "sample_rate", "bit_depth", "channels", "duration", "size", "essence", "mb_trackid",
}  # fmt: skip
CHANGE_KEYS = {"seq", "at", "kind", "track_id", "root", "path", "old_root", "old_path", "before"}
LIBRARY_KEYS = {
    "id", "root", "path", "size", "mtime_ns", "title", "artist", "albumartist", "album", "genre",
    "date", "year", "track", "track_total", "disc", "disc_total", "composer", "comment", "bpm",
    "isrc", "label", "compilation", "mb_trackid", "mb_albumid", "mb_artistid",
    "mb_albumartistid", "mb_releasegroupid", "replaygain_track_gain", "replaygain_track_peak",
    "replaygain_album_gain", "replaygain_album_peak", "duration", "bitrate", "sample_rate",
    "channels", "bit_depth", "codec", "has_picture", "guessed", "added_at", "indexed_at",
    "album_id", "file", "replaygain_track_gain_db", "replaygain_track_peak_linear",
    "replaygain_album_gain_db", "replaygain_album_peak_linear", "has_lyrics", "has_cover",
    "short",
    "essence",
}  # fmt: skip
SHOW_KEYS = LIBRARY_KEYS | {"artists", "albumartists", "genres"}


def keys(objects: list[dict[str, Any]]) -> set[frozenset[str]]:
    """The kinds of objects there are, `path_b64` aside: it depends on the name."""
    return {frozenset(one) - {"path_b64", "old_path_b64", "file_b64"} for one in objects}


@pytest.mark.smoke
@pytest.mark.parametrize("command", ["scan", "rebuild"])
def test_a_scan_answers_with_one_object(tmp_path: Path, music: Path, command: str) -> None:
    plant(music, LIBRARY)
    db = tmp_path / "library.db"
    first = run("rebuild", music, "--json", db=db)
    again = run(command, "--json", db=db)
    assert keys(first.objects) == keys(again.objects) == {frozenset(SCAN_KEYS)}
    assert (first.err, again.err) == ("", "")
    report = first.object
    assert (report["seen"], report["added"], report["problems"]) == (TRACKS + 1, TRACKS, 1)
    assert report["files_read"] == TRACKS + 1
    assert report["bytes_read"] > 0 < report["files_per_second"]
    assert report["interrupted"] is False
    assert again.object["unchanged"] == (TRACKS + 1 if command == "scan" else TRACKS)
    assert again.object["files_read"] == (0 if command == "scan" else TRACKS + 1)


def test_each_file_counts_once_among_the_outcomes(db: Path, music: Path) -> None:
    names = ["modified", "moved", "moved and modified", "missing", "unchanged", "returned"]
    plant(music, {f"{name}.mp3": tagged(title=name) for name in names})
    run("rebuild", music, db=db)
    (music / "returned.mp3").rename(music / "returned.away")
    run("scan", db=db)

    (music / "returned.away").rename(music / "returned.mp3")
    (music / "missing.mp3").unlink()
    (music / "moved.mp3").rename(music / "moved.2.mp3")
    plant(music, {"modified.mp3": tagged(title="other"), "added.mp3": tagged(), "p.mp3": noise()})
    report = run("scan", "--json", db=db).object
    outcomes = {key: report[key] for key in ("added", "modified", "moved", "returned", "missing")}
    assert outcomes == {"added": 1, "modified": 1, "moved": 1, "returned": 1, "missing": 1}
    assert (report["unchanged"], report["problems"], report["seen"]) == (2, 1, 7)


def test_a_scan_of_one_file_has_seen_one_file(db: Path, music: Path) -> None:
    plant(music, {"a.mp3": tagged(), "b.mp3": tagged()})
    run("roots", "add", music, db=db)
    report = run("scan", music / "a.mp3", "--json", db=db).object
    assert (report["seen"], report["added"], report["files_read"]) == (1, 1, 1)
    report = run("scan", music / "a.mp3", "--json", db=db).object
    assert (report["seen"], report["unchanged"], report["files_read"]) == (1, 1, 0)
    assert [row for (row,) in rows(db, "SELECT path FROM library")] == ["a.mp3"]


def test_a_scan_of_a_folder_looks_nowhere_else(db: Path, music: Path) -> None:
    plant(music, {"a/1.mp3": tagged(), "a/b/2.mp3": tagged(), "c/3.mp3": tagged()})
    run("roots", "add", music, db=db)
    assert run("scan", "a", "--json", db=db, cwd=music).object["added"] == 2
    assert run("scan", "a", "c/3.mp3", "--json", db=db, cwd=music).object["added"] == 1


@pytest.mark.smoke
def test_status_answers_with_one_object(place: Place) -> None:
    status = run("status", "--json", db=place.db).object
    assert set(status) == STATUS_KEYS
    assert set(status["daemon"]) >= DAEMON_KEYS
    assert (status["daemon"]["running"], status["daemon"]["pid"]) == (False, None)
    assert keys(status["roots"]) == {frozenset(ROOT_KEYS)}
    assert keys(status["scans"]) == {frozenset(SCAN_ROW_KEYS)}
    assert keys(status["health"]) == {frozenset({"level", "text", "since"})}
    assert (status["tracks"], status["problems"], status["pending"]) == (TRACKS, 1, 0)
    assert status["roots"][0]["state"] == "idle"
    assert status["scans"][0]["state"] == "done"
    assert status["scans"][0]["started_at"].endswith("Z")
    assert (status["database"], status["size"]) == (str(place.db), place.db.stat().st_size)


@pytest.mark.smoke
def test_verify_answers_with_one_object_and_1_where_they_differ(db: Path, music: Path) -> None:
    plant(music, {"a.mp3": tagged(title="a"), "b.mp3": tagged(title="b"), "c.mp3": tagged()})
    run("rebuild", music, db=db)
    agreed = run("verify", "--json", db=db).object
    proved = {"ok": True, "checked": 3, "pending": 0, "unseen": 0}
    assert agreed == {**proved, "differences": [], "offline": []}
    (music / "a.mp3").unlink()
    plant(music, {"b.mp3": tagged(title="bb"), b"d\xe4.mp3": tagged()})
    differing = run("verify", "--json", db=db, check=1).object
    assert set(differing) == VERIFY_KEYS
    assert keys(differing["differences"]) == {frozenset(DIFFERENCE_KEYS)}
    told = {(one["path"], one["kind"]) for one in differing["differences"]}
    assert told == {("a.mp3", "gone"), ("b.mp3", "stale"), ("d\ufffd.mp3", "unindexed")}
    assert differing["ok"] is False
    assert "3 differences" in run("verify", db=db, check=1).out
    run("scan", db=db)
    assert run("verify", "--deep", db=db).out == "ok: 3 files checked, index equals disk\n"


def test_deep_verify_finds_tags_that_no_stamp_tells_of(place: Place, tmp_path: Path) -> None:
    db = tmp_path / "copy.db"
    subprocess.run(["sqlite3", place.db, f".backup {db}"], check=True)
    subprocess.run(
        ["sqlite3", db, "UPDATE tracks SET title = 'Nothing' WHERE title = 'Song 3'"], check=True
    )
    run("verify", db=db)
    (difference,) = run("verify", "--deep", "--json", db=db, check=1).object["differences"]
    assert (difference["path"], difference["kind"]) == ("Many/03.mp3", "tags")
    assert "Nothing" in difference["detail"]
    assert "Song 3" in difference["detail"]


def test_show_answers_with_one_object(place: Place) -> None:
    track = run("show", place.file(LATIN_1), "--json", db=place.db).object
    assert set(track) == SHOW_KEYS | {"path_b64", "file_b64"}
    assert (track["title"], track["artists"]) == ("Jóga", ["Björk"])
    assert (track["compilation"], track["has_picture"], track["guessed"]) == (0, 0, 0)
    assert track["added_at"].endswith("Z")
    broken = run("show", place.file(b"broken \xff\n.mp3"), "--json", db=place.db).object
    assert set(broken) == {"root", "path", "path_b64", "problem"}
    assert set(broken["problem"]) == {"kind", "reason"}


def test_lists_answer_with_an_object_a_line(place: Place) -> None:
    found = run("search", "song", "--json", db=place.db).objects
    assert keys(found) == {frozenset(LIBRARY_KEYS)}
    assert len(found) == 6
    assert keys(run("problems", "--json", db=place.db).objects) == {frozenset(PROBLEM_KEYS)}
    groups = run("duplicates", "--json", db=place.db, check=None).objects
    assert keys(groups) == {frozenset(DUPLICATES_KEYS)}
    assert keys(groups[0]["files"]) == {frozenset(DUPLICATE_FILE_KEYS)}
    changes = run("changes", "--json", db=place.db).objects
    assert keys(changes) == {frozenset(CHANGE_KEYS)}
    assert [change["seq"] for change in changes] == list(range(1, TRACKS + 1))
    assert keys(run("roots", "list", "--json", db=place.db).objects) == {frozenset(ROOT_KEYS)}
    assert keys(run("roots", "--json", db=place.db).objects) == {frozenset(ROOT_KEYS)}


@pytest.mark.smoke
def test_a_move_tells_where_from(db: Path, music: Path) -> None:
    plant(music, {b"old \xe4.mp3": tagged(title="Song")})
    run("rebuild", music, db=db)
    os.rename(os.path.join(os.fsencode(music), b"old \xe4.mp3"), music / "new.mp3")
    run("scan", db=db)
    (change,) = run("changes", "--since", "1", "--json", db=db).objects
    assert (change["kind"], change["path"], change["old_path"]) == (
        "moved", "new.mp3", "old \ufffd.mp3",
    )  # fmt: skip
    assert base64.b64decode(change["old_path_b64"]) == b"old \xe4.mp3"
    assert (change["root"], change["old_root"]) == ("music", "music")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("scam",), "No such command 'scam'"),
        (("show",), "Missing argument"),
        (("search", "x", "--limit", "-1"), "--limit"),
        (("scan", "/usr"), "lies in no root"),
        (("show", "/usr/x.mp3"), "lies in no root"),
        (("roots", "add", "/nowhere/at/all"), "does not exist"),
        (("roots", "remove", "nothing"), "no root is named nothing; known: music"),
        (("roots", "accept", "nothing"), "no root is named nothing"),
        (("rebuild", "/nowhere/at/all"), "does not exist"),
        (("rebuild", "/etc/passwd"), "is not a folder"),
        (("rebuild", ""), "the path is empty"),
        (("scan", "--workers", "0"), "--workers"),
        (("status", "--db", "x"), "No such option"),
    ],
)
def test_wrong_use_is_2_and_says_what_is_wrong(
    place: Place, words: tuple[str, ...], said: str
) -> None:
    ran = run(*words, db=place.db, check=2)
    assert ran.out == ""
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_nothing_found_is_1(place: Place) -> None:
    assert run("search", "zzz", db=place.db, check=1).out == ""
    assert run("search", "zzz", "--json", db=place.db, check=1).out == ""
    ran = run("show", place.file("Many/99.mp3"), "--json", db=place.db, check=1)
    assert (ran.out, "not in the index" in ran.err) == ("", True)


@pytest.mark.parametrize(
    "words",
    [
        ("scan",), ("status",), ("verify",), ("search", "x"), ("show", "x"), ("problems",),
        ("changes",), ("roots",), ("roots", "remove", "x"), ("roots", "accept", "x"),
    ],
)  # fmt: skip
def test_without_an_index_it_is_3_and_none_is_made(no_db: Path, words: tuple[str, ...]) -> None:
    ran = run(*words, "--json", db=no_db, check=3)
    assert ran.out == ""
    assert "nothing is indexed yet; run `indexer rebuild FOLDER` first" in ran.err
    assert not no_db.parent.exists()


def test_the_database_is_named_before_the_command_or_in_the_environment(
    place: Place, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'db = "{place.db}"\n')
    none = str(tmp_path / "none.db")
    choices: list[tuple[list[Word], dict[str, str]]] = [
        ([], {"INDEXER_DB": str(place.db)}),
        ([], {"INDEXER_CONFIG": str(config)}),
        (["--config", config], {}),
        (["--config", config], {"INDEXER_CONFIG": "/nowhere"}),
        (["--db", place.db], {"INDEXER_DB": none, "INDEXER_CONFIG": str(config)}),
        ([], {"INDEXER_DB": str(place.db), "INDEXER_CONFIG": str(config)}),
    ]
    for options, env in choices:
        assert run(*options, "status", "--json", db=None, env=env).object["database"] == str(
            place.db
        )
    assert none in run("status", db=None, env={"INDEXER_DB": none}, check=3).err


def test_without_a_word_the_database_is_in_the_users_data_folder(tmp_path: Path) -> None:
    said = run("status", db=None, env={"XDG_DATA_HOME": str(tmp_path)}, check=3).err
    assert f"{tmp_path}/music-indexer/library.db: " in said
    said = run("status", db=None, env={"HOME": str(tmp_path)}, check=3).err
    assert f"{tmp_path}/.local/share/music-indexer/library.db: " in said


def test_without_home_the_users_own_folder_is_found(place: Place) -> None:
    without = ["env", "--unset=HOME"]
    assert run("status", "--json", db=place.db, prefix=without).object["tracks"] == TRACKS
    said = run("status", db=None, prefix=["env", "--unset=HOME"], check=None).err
    home = os.path.expanduser(f"~{os.environ.get('LOGNAME', 'root')}")
    assert "Traceback" not in said
    assert not said or home in said or "nothing is indexed" in said


def test_the_music_need_not_be_audio(db: Path, music: Path) -> None:
    plant(music, {"cover.jpg": noise(), "notes.txt": b""})
    ran = run("rebuild", music, db=db)
    assert {".flac", ".mp3", ".opus"} <= set(ran.out.split())
    assert ran.out.startswith("no audio file found; looked for ")
    assert run("rebuild", "--json", db=db).object["seen"] == 0


def test_version_names_all_that_takes_part() -> None:
    said = run("--version", db=None).out
    assert said.startswith("music-indexer ")
    assert "\nPython 3." in said
    assert str(CHECKOUT) not in said
