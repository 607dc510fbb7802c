"""The page and its charts are what the kept figures give; figures are merged by library."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import page, peers, report
from tests.bench.cores import Sample, busy
from tests.bench.figures import FIND, REBUILD, SEARCH, SEED, UNCHANGED, Library, Step, Watcher
from tests.bench.measure import OURS
from tests.bench.peers import first_scan, unchanged_scan
from tests.bench.process import Cost

EMPTY = "words\n\n<!-- figures: {} -->\n<!-- end -->\n\nmore words\n"


def step(name: str, seconds: float, cpu_s: float = 1.0, **more: object) -> Step:
    measured = Step(name, [Cost(seconds, cpu_s, 50_000_000, 3_000_000, 0, sampled=False)])
    for field, value in more.items():
        setattr(measured, field, value)
    return measured


def section(name: str, *libraries: Library) -> str:
    return page.fill(EMPTY.format(name), libraries)


def row(text: str, name: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_page_is_what_the_kept_figures_give() -> None:
    libraries = report.load(report.HERE / report.FIGURES)
    assert libraries
    written = (report.HERE / report.PAGE).read_text("utf-8")
    assert page.fill(written, libraries) == written
    assert all(f"<!-- figures: {name} -->" in written for name in page.SECTIONS)


@pytest.mark.parametrize("name", report.CHARTS)
def test_a_chart_is_what_the_kept_figures_give(name: str) -> None:
    libraries = report.load(report.HERE / report.FIGURES)
    drawn = (report.HERE / name).read_text("utf-8")
    assert report.CHARTS[name](libraries) == drawn
    assert f"({name})" in (report.HERE / report.PAGE).read_text("utf-8")


def test_the_words_around_tables_stay_as_they_are() -> None:
    text = section("machines", Library(1000, [step(REBUILD, 1)], machine={"cores": 2}))
    assert text.startswith("words\n\n<!-- figures: machines -->\n")
    assert text.endswith("<!-- end -->\n\nmore words\n")
    assert "| 1 000 files |" in text


@pytest.mark.parametrize(("load", "said"), [(0.9, False), (1.1, True)])
def test_the_figures_of_a_busy_machine_are_said_to_be_provisional(load: float, said: bool) -> None:
    text = section("machines", Library(10, []), Library(20, [], machine={"load before": load}))
    assert (page.BUSY in text) is said


def test_what_is_filled_in_again_is_the_same() -> None:
    library = Library(10_000, [step(REBUILD, 1), step(UNCHANGED, 1)])
    for name in page.SECTIONS:
        text = section(name, library)
        assert page.fill(text, [library]) == text


def test_a_section_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        section("nonsense")


def test_it_says_in_what_another_program_is_better() -> None:
    ours = Watcher(OURS, [5.0, 9.0], rest_pss=30_000_000, rest_cpu_s=0.1, rest_s=10)
    its = Watcher("mpd", [4.0, 5000.0], rest_pss=60_000_000, rest_cpu_s=0.0, rest_s=10)
    steps = [step(REBUILD, 1, 1), step(UNCHANGED, 0.5), step(first_scan("mpd"), 3, 2)]
    text = section("programs", Library(10_000, steps, watchers=[ours, its]))
    assert row(text, "first scan, s") == ["1", "3", "-", "-", "-"]
    assert row(text, "at rest, ms of a processor a minute")[:2] == ["600", "0"]
    (better,) = (line for line in text.splitlines() if line.startswith("- mpd is better"))
    assert better == (
        "- mpd is better in: at rest, ms of a processor a minute (0, this program 600)"
    )


def test_a_program_that_was_not_run_has_its_reason() -> None:
    absent = Step(first_scan("beets"), absent=peers.NOT_INSTALLED)
    text = section("programs", Library(10_000, [step(REBUILD, 1), absent]))
    assert "- beets: not installed" in text
    assert "- supysonic: not measured" in text


def test_a_small_library_says_nothing_of_programs() -> None:
    assert "first scan" not in section("programs", Library(1000, [step(REBUILD, 1)]))


def test_what_was_asked_for_as_a_ratio_is_said_as_one() -> None:
    steps = [
        step(REBUILD, 2, database_bytes=2_000_000),
        step(SEED, 2, busy=0.914),
        step(UNCHANGED, 1, 1.5),
        step(FIND, 1, 1.0),
        step(first_scan("mpd"), 21),
        step(unchanged_scan("mpd"), 1),
    ]
    text = section("steps", Library(10_000, steps))
    assert "busy over the middle 80 % of a rebuild without artwork: 91%" in text
    assert "of the final file of 2 MB: 1.50 times" in text
    assert "against mpd's: 10.5 times" in text
    assert "against `find -printf`: 1.50 times" in text
    assert "| mpd" not in text


def test_tiny_files_are_compared_with_the_fewest_of_them() -> None:
    libraries = [
        Library(
            files,
            [step(REBUILD, files / 1000, files / 500), step(UNCHANGED, 1), step(SEARCH, 0.1)],
            tiny=True,
            watchers=[Watcher(OURS, [files / 100], rest_pss=files * 1000, rest_s=10)],
            searches_ms={"two words": files / 1000},
        )
        for files in (1000, 10_000)
    ]
    text = section("growth", *libraries, Library(5, [step(REBUILD, 1)]))
    lines = [line for line in text.splitlines() if line.startswith("| 10 000 |")]
    costs, live = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert costs[1:4] == ["10", "1000", "1.00"]
    assert live[1:] == ["100", "100", "10", "0.1", "10.0"]
    assert "| 5 |" not in text


def test_it_says_that_no_tiny_files_were_measured() -> None:
    text = section("growth", Library(10_000, [step(REBUILD, 1), step(UNCHANGED, 1)]))
    assert "No library of tiny files was measured." in text


def test_a_library_that_is_measured_again_replaces_its_figures_and_no_others() -> None:
    kept = [Library(1000, [step(REBUILD, 1)]), Library(1000, [step(REBUILD, 2)], tiny=True)]
    merged = report.merged(kept, [Library(1000, [step(REBUILD, 3)]), Library(10, [])])
    assert [(one.tiny, one.files) for one in merged] == [(False, 10), (False, 1000), (True, 1000)]
    assert [one.steps[0].seconds for one in merged[1:]] == [3, 2]


def test_kept_figures_can_be_read_again(tmp_path: Path) -> None:
    kept = [Library(10, [step(REBUILD, 1, busy=0.5)], watchers=[Watcher(OURS, [1.5])])]
    report._keep(tmp_path / "figures.json", kept)
    assert report.load(tmp_path / "figures.json") == kept
    assert report.load(tmp_path / "none.json") == []


def test_rendering_measures_nothing(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(EMPTY.format("machines"))
    report._keep(tmp_path / "figures.json", [Library(20, [], machine={"cores": 3})])
    assert report.main(["--render", "--into", str(tmp_path)]) == 0
    assert "| 20 files | 3 of" in (tmp_path / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["sizes.svg", "stages.svg"]


def test_another_program_than_those_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report.main(["--peers", "mpd,winamp", "--render"])
    assert "winamp: not one of mpd, minidlna" in capsys.readouterr().err


def test_cores_are_busy_by_the_middle_of_a_run_alone() -> None:
    # One core of two from 1 to 9 s of 10, and none before and after.
    samples = [Sample(0, 0), Sample(1, 0), Sample(9, 8), Sample(10, 8)]
    assert busy(samples, cores=2) == pytest.approx(0.5)


def test_a_moment_between_two_samples_is_on_the_line_between_them() -> None:
    assert busy([Sample(0, 0), Sample(10, 20)], cores=2) == pytest.approx(1.0)
    # Both cores until 5 s, then one.
    samples = [Sample(0, 0), Sample(5, 10), Sample(10, 15)]
    assert busy(samples, cores=2) == pytest.approx(0.75)


def bench(tmp_path: Path, library: Library, *earlier: Library, names: str) -> peers.Bench:
    asked = peers.Asked([names], tmp_path / "no programs", budget_s=100)
    return peers.Bench(tmp_path, tmp_path, library, 1, 1, asked, earlier)


def test_a_program_that_is_not_installed_is_a_step_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    library = Library(10, [])
    bench(tmp_path, library, names="beets").measure()
    assert [(one.name, one.absent) for one in library.steps] == [
        ("beets: first scan", "not installed")
    ]


def test_a_program_that_would_take_longer_than_its_budget_is_left_out(tmp_path: Path) -> None:
    program = tmp_path / "no programs" / "beet"
    program.parent.mkdir()
    program.touch(0o755)
    earlier = [
        Library(100, [step(first_scan("beets"), 50)]),
        Library(1000, [step(first_scan("beets"), 15)]),
    ]
    library = Library(10_000, [])
    bench(tmp_path, library, *earlier, names="beets").measure()
    (left_out,) = library.steps
    assert left_out.absent == "not run: about 150 s at its rate with 1000 files"
