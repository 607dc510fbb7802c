"""Real processes and libraries: the benchmark measures them, and leaves them as they were."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import mutagen
import psutil
import pytest

from tests.bench import (
    cores,
    database,
    measure,
    page,
    peers,
    ratios,
    report,
    scenario,
    strace,
    watchers,
)
from tests.bench.__main__ import main
from tests.bench.catalogue import SHARES, Album, albums
from tests.bench.figures import (
    EXTRACT,
    REBUILD,
    SEED,
    UNCHANGED,
)
from tests.bench.make import MARKER, Made, make, write
from tests.bench.peers.peer import Peer, Setup
from tests.bench.process import Failed, Watched, run
from tests.bench.reference import audio_files
from tests.programs import eventually


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


def test_no_child_of_a_process_is_left_behind() -> None:
    child = "import time; time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with Watched(python(parent)) as watched:
        watched.await_true(watched.has_children, limit_s=60)
        (left,) = psutil.Process(watched.pid).children()
        assert watched.kill().exit_code == -signal.SIGKILL
    eventually(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("sample_s", [None, 0.02])
def test_a_command_that_takes_too_long_is_ended(sample_s: float | None) -> None:
    with pytest.raises(Failed, match=r"not done after 0\.1 s"):
        run(python("import time; time.sleep(60)"), sample_s=sample_s, limit_s=0.1)


def test_the_cores_that_a_command_and_its_children_use_are_sampled() -> None:
    child = "import time\nwhile time.process_time() < 0.5: pass"
    command = python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    cost, samples = cores.sampled(command, cores=1, environment=os.environ, folder=Path.cwd())
    used = [sample.cpu_s for sample in samples]
    assert used == sorted(used)
    assert used[-1] == cost.cpu_s > 0.5
    assert any(0.1 < one < 0.5 for one in used)


@pytest.mark.parametrize("peer", peers.ALL.values(), ids=lambda peer: peer.name)
def test_another_program_scans_twice(tmp_path: Path, peer: Peer) -> None:
    program = peers.Asked(()).find(peer)
    if program is None:
        pytest.skip(f"{peer.program} is not installed")
    music, place = tmp_path / "music", tmp_path / "place"
    make(music, files=12)
    place.mkdir()
    first, unchanged = peer.scans(Setup(program, music, place, 12, 1, 60.0))
    assert 0 < first.seconds < 60
    assert 0 < unchanged.seconds < 60
    assert first.peak_pss > 0
    assert peer.version(program)[0].isdigit()


def test_a_report_keeps_figures_and_writes_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strace, "installed", lambda: False)
    monkeypatch.setattr(scenario, "FEW", 20)
    monkeypatch.setattr(scenario, "AGAIN", 1)
    monkeypatch.setattr(measure, "TRIALS", 2)
    for name, value in (("REST_S", 0.2), ("SETTLED_S", 0.2)):
        monkeypatch.setattr(watchers, name, value)
    sections = "".join(f"<!-- figures: {name} -->\n<!-- end -->\n" for name in page.SECTIONS)
    (tmp_path / "README.md").write_text(sections)
    words = ["--files", "", "--tiny", "20", "--runs", "1", "--peers", ""]
    assert report.main([*words, "--into", str(tmp_path), "--keep", str(tmp_path)]) == 0
    (tiny,) = report.load(tmp_path / "figures.json")
    assert (tiny.files, tiny.tiny) == (20, True)
    watcher, seed = tiny.watcher(measure.OURS), tiny.step(SEED)
    assert watcher is not None
    assert (len(watcher.latencies_ms), watcher.unseen) == (2, 0)
    assert watcher.rest_pss > 10_000_000
    assert seed is not None
    assert seed.busy is not None
    assert 0 < seed.busy < 1.1
    assert tiny.searches_ms.keys() == set(scenario.SEARCHES)
    assert "| 20 tiny files |" in (tmp_path / "README.md").read_text()
    assert not (tmp_path / "tiny-20" / watchers.OURS).exists()


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
