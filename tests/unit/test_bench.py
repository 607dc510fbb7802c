"""The benchmark measures what it says, of the library it says, and leaves that as it was."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import mutagen
import psutil
import pytest

from tests.bench import bars, database, ratios, scenario, strace, table
from tests.bench.__main__ import main
from tests.bench.catalogue import MOST_TRACKS, SHARES, Album, albums, three
from tests.bench.figures import (
    EXTRACT,
    KERNEL_TWO,
    REBUILD,
    UNCHANGED,
    Library,
    Result,
    Step,
)
from tests.bench.make import MARKER, Made, make, write
from tests.bench.process import Cost, Failed, Watched, run
from tests.bench.reference import audio_files


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def paths(made: list[Album]) -> list[str]:
    return [f"{album.folder}/{track.name}" for album in made for track in album.tracks]


def step(name: str, seconds: float, *, pss_mb: int = 50, **more: object) -> Step:
    measured = Step(name, [Cost(seconds, seconds, pss_mb * table.MB, 0, 0)])
    for field, value in more.items():
        setattr(measured, field, value)
    return measured


def check(*libraries: Library) -> dict[str, bool | None]:
    return {bar.asked: bar.ok for bar in bars.judge(Result({}, list(libraries)))}


@pytest.mark.parametrize("files", [1, 100, 1000, 5000])
def test_a_library_has_as_many_files_as_asked_for_in_the_right_mix(files: int) -> None:
    made = list(albums(files, seed=1))
    assert len(paths(made)) == files
    for suffix, share in SHARES.items():
        of_it = sum(len(album.tracks) for album in made if album.suffix == suffix)
        assert abs(of_it - files * share / 100) <= MOST_TRACKS


def test_no_two_files_of_a_library_have_one_path() -> None:
    every = paths(list(albums(40_000, seed=1)))
    assert len(set(every)) == len(every)


def test_the_seed_decides_everything() -> None:
    assert list(albums(300, seed=7)) == list(albums(300, seed=7))
    assert list(albums(300, seed=7)) != list(albums(300, seed=8))


def test_one_album_is_taken_from_each_end_and_one_from_the_middle() -> None:
    made = list(albums(2000, seed=1))
    first, middle, last = three(2000, seed=1)
    assert (first, last) == (made[0], made[-1])
    before = made[: made.index(middle)]
    assert 950 < len(paths(before)) <= 1000
    assert three(1, seed=1)[0] == three(1, seed=1)[2]


def test_about_half_of_the_albums_have_a_cover_in_their_files_and_half_one_beside_them() -> None:
    made = list(albums(10_000, seed=1))
    for covered in (
        sum(album.picture is not None for album in made),
        sum(album.cover is not None for album in made),
    ):
        assert 0.4 < covered / len(made) < 0.6


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


def test_a_rebuild_that_is_fast_and_small_enough_passes() -> None:
    small = Library(10_000, [step(REBUILD, 10_000 / 3000 - 0.01)])
    large = Library(100_000, [step(REBUILD, 30, pss_mb=90)])
    assert list(check(small, large).values())[:3] == [True, True, True]


def test_a_rebuild_that_is_too_slow_or_grows_too_much_does_not_pass() -> None:
    small = Library(10_000, [step(REBUILD, 10_000 / 3000 + 0.01, pss_mb=201)])
    large = Library(100_000, [step(REBUILD, 30, pss_mb=242)])
    assert list(check(small, large).values())[:3] == [False, False, False]


def test_an_unchanged_scan_may_write_one_row_only() -> None:
    good = step(UNCHANGED, 0.4, opened=0, rows={"scans": 1})
    assert list(check(Library(10_000, [good])).values())[3:] == [True, True, True]
    bad = step(UNCHANGED, 0.6, opened=1, rows={"scans": 1, "tracks": 1})
    assert list(check(Library(10_000, [bad])).values())[3:] == [False, False, False]


def test_what_was_not_measured_is_no_failure() -> None:
    assert set(check(Library(1000, [step(REBUILD, 1)])).values()) == {None}


def test_figures_are_medians_and_memory_is_the_highest_peak() -> None:
    measured = Step(REBUILD, [Cost(s, s, pss, 0, 0) for s, pss in ((1, 5), (9, 7), (2, 6))])
    assert measured.seconds == 2
    assert measured.cpu_s == 2
    assert measured.peak_pss == 7


def test_a_program_that_is_not_there_is_a_line_of_the_table() -> None:
    steps = [step(REBUILD, 2), Step("mpd: first scan", absent="not installed")]
    lines = list(table.lines(Result({}, [Library(1000, steps)])))
    assert lines[-1].split("  ")[0] == "mpd: first scan"
    assert lines[-1].endswith("not installed")
    assert " 500 " in lines[-2]


def test_the_table_has_the_limit_of_the_same_run_and_how_many_times_it_we_take() -> None:
    steps = [step(KERNEL_TWO, 0.5), step(REBUILD, 2)]
    *_, last = table.lines(Result({}, [Library(1000, steps)]))
    assert last.split()[1:4] == ["2.000", "0.500", "4.0"]


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


def test_a_check_of_a_size_that_nothing_is_kept_of_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--files", "30", "--check", "--kept", str(tmp_path / "none.json")])
    assert refused.value.code == 2
    assert "--keep-ratios" in capsys.readouterr().err
