"""Real processes and libraries: the benchmark measures them, and leaves them as they were."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import mutagen
import psutil
import pytest

from tests.bench import database, ratios, scenario, strace
from tests.bench.__main__ import main
from tests.bench.catalogue import SHARES, Album, albums
from tests.bench.figures import (
    EXTRACT,
    REBUILD,
    UNCHANGED,
)
from tests.bench.make import MARKER, Made, make, write
from tests.bench.process import Failed, Watched, run
from tests.bench.reference import audio_files


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def paths(made: list[Album]) -> list[str]:
    return [f"{album.folder}/{track.name}" for album in made for track in album.tracks]


def test_no_two_files_of_a_library_have_one_path() -> None:
    every = paths(list(albums(40_000, seed=1)))
    assert len(set(every)) == len(every)


def test_the_files_of_an_album_hold_its_tags(tmp_path: Path) -> None:
    made = {album.suffix: album for album in albums(600, seed=1)}
    assert made.keys() == SHARES.keys()
    for album in made.values():
        write(tmp_path, album)
        for track in album.tracks:
            file = tmp_path / album.folder / track.name
            tags = mutagen.File(file, easy=True)
            assert tags["title"] == [track.tags["title"]]
            assert tags["album"] == [track.tags["album"]]
            assert file.stat().st_mtime == track.mtime_s


def test_a_library_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    assert make(folder, files=12)
    assert len(list(audio_files(str(folder)))) == 12
    assert not make(folder, files=12)


def test_a_library_of_other_parameters_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, files=12)
    with pytest.raises(FileExistsError):
        make(tmp_path, files=13)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        make(tmp_path, files=12)
    assert [path.name for path in tmp_path.iterdir()] == ["song.mp3"]


def test_a_library_that_was_left_half_made_is_finished(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_bytes(b'{"files": 12, "seed": 1}')
    assert Made(12, 1).whole is False
    assert make(tmp_path, files=12)
    assert len(list(audio_files(str(tmp_path)))) == 12


def test_the_memory_of_a_child_counts() -> None:
    child = "b = bytearray(60_000_000); import time; time.sleep(0.3)"
    cost = run(python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"))
    assert 60_000_000 < cost.peak_pss < 200_000_000


def test_the_time_of_a_child_counts() -> None:
    child = "import time\nwhile time.process_time() < 0.2: pass"
    cost = run(python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"))
    assert cost.cpu_s > 0.2
    assert cost.seconds > 0.2


def test_a_command_that_fails_is_not_measured() -> None:
    with pytest.raises(Failed, match="exit code 3: why"):
        run(python("import sys; print('why'); sys.exit(3)"))


def test_no_process_is_left_behind() -> None:
    with (
        pytest.raises(Failed, match="took 0"),
        Watched(python("import time; time.sleep(60)")) as watched,
    ):
        watched.await_true(lambda: False, limit_s=0.1)
    assert not psutil.pid_exists(watched.pid)


def test_a_command_keeps_to_its_cores() -> None:
    told = run(python("import os; print(len(os.sched_getaffinity(0)))"), cores=1).output
    assert int(told) == 1


def test_rows_that_are_new_changed_or_gone_are_counted(tmp_path: Path) -> None:
    now, before = tmp_path / "now.db", tmp_path / "before.db"
    with closing(sqlite3.connect(now)) as connection:
        connection.executescript(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, b); CREATE TABLE c (id INTEGER PRIMARY KEY);"
            "INSERT INTO a (b) VALUES (1), (2), (3); INSERT INTO c DEFAULT VALUES;"
        )
        database.copy(now, before)
        assert database.rows_written(before, now) == {}
        connection.executescript("UPDATE a SET b = 9 WHERE id = 1; INSERT INTO c DEFAULT VALUES")
        assert database.rows_written(before, now) == {"a": 1, "c": 1}
        connection.executescript("DELETE FROM a WHERE id > 1")
        assert database.rows_written(before, now) == {"a": 3, "c": 1}


def test_tiny_files_have_no_covers_and_the_same_tags(tmp_path: Path) -> None:
    tiny, mixed = list(albums(300, seed=1, tiny=True)), list(albums(300, seed=1))
    assert not any(album.picture or album.cover for album in tiny)
    assert paths(tiny) == paths(mixed)
    assert make(tmp_path, files=30, tiny=True)
    assert max(path.stat().st_size for path in tmp_path.rglob("*.*")) <= 4096
    with pytest.raises(FileExistsError):
        make(tmp_path, files=30)


def test_a_whole_round_measures_and_leaves_the_library_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strace, "installed", lambda: False)  # many times slower
    monkeypatch.setattr(scenario, "FEW", 20)
    monkeypatch.setattr(scenario, "AGAIN", 1)
    music = tmp_path / "music-30"
    make(music, files=30)
    before = {path: path.read_bytes() for path in music.rglob("*") if path.is_file()}
    result = tmp_path / "result.json"
    kept = tmp_path / "ratios.json"
    words = ["--files", "30", "--runs", "1", "--no-peers", "--keep", str(tmp_path), "--goals"]
    words += ["--json", str(result), "--kept", str(kept), "--keep-ratios"]
    assert main(words) == 0
    assert "not measured" in capsys.readouterr().out
    steps = {
        one["name"]: one
        for one in msgspec.json.decode(result.read_bytes())["libraries"][0]["steps"]
    }
    assert steps[REBUILD]["opened"] == 30
    assert steps[UNCHANGED]["opened"] == 0
    assert steps[UNCHANGED]["rows"] == {"scans": 1}
    assert {path: path.read_bytes() for path in music.rglob("*") if path.is_file()} == before
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["music-30", "ratios.json", "result.json"]
    assert ratios.load(kept).libraries[30][f"{UNCHANGED}: files opened / 1"] == 0
    assert steps[EXTRACT]["read_bytes"] > 0
