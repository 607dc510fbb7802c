"""The library of a benchmark is generated from a seed; bars are judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import bars, table
from tests.bench.__main__ import main
from tests.bench.catalogue import MOST_TRACKS, SHARES, Album, albums, three
from tests.bench.figures import (
    KERNEL_TWO,
    REBUILD,
    UNCHANGED,
    Library,
    Result,
    Step,
)
from tests.bench.photograph import cover
from tests.bench.process import Cost
from tests.bench.quick_tags import QUICK, quickly
from tests.corpus import tagged
from tests.pictures import opened


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


def test_the_seed_decides_everything() -> None:
    assert list(albums(300, seed=7)) == list(albums(300, seed=7))
    assert list(albums(300, seed=7)) != list(albums(300, seed=8))


def test_files_that_are_made_quickly_have_the_bytes_of_mutagen() -> None:
    seen = set()
    for album in albums(3000, seed=1, tiny=True):
        for track in album.tracks[:3]:
            version, tags = album.id3_version, track.tags
            made = quickly(album.suffix, version, tags)
            assert made == tagged(album.suffix, picture=None, id3_version=version, **tags)
        seen.add((album.suffix, album.id3_version, *sorted(album.tracks[0].tags)))
    assert {suffix for suffix, *_ in seen} == SHARES.keys()
    assert sum(suffix in QUICK for suffix, *_ in seen) == 2 * 2 * 3  # versions, kinds of tags


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


def test_a_check_of_a_size_that_nothing_is_kept_of_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--files", "30", "--check", "--kept", str(tmp_path / "none.json")])
    assert refused.value.code == 2
    assert "--keep-ratios" in capsys.readouterr().err


@pytest.mark.parametrize("size", [30_000, 110_000, 200_000])
def test_covers_of_the_library_have_their_size_and_can_be_decoded(size: int) -> None:
    data = cover(size, 1)
    assert len(data) == size
    picture = opened(data)
    assert picture.width == picture.height >= 400
    assert cover(size, 2) != data
