"""The chart is complete for any measurements."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.bench import chart
from tests.bench.figures import EXTRACT, FIND, REBUILD, WALK, Library, Step
from tests.bench.peers import MPD_SCAN
from tests.bench.process import Cost


def step(name: str, seconds: float) -> Step:
    return Step(name, [Cost(seconds, seconds, 0, 0, 0)])


def drawn(*libraries: Library) -> ET.Element:
    return ET.fromstring(chart.sizes(libraries))


def staged(*libraries: Library) -> ET.Element:
    return ET.fromstring(chart.stages(libraries))


def words(picture: ET.Element) -> list[str]:
    return [one.text or "" for one in picture.iter("{http://www.w3.org/2000/svg}text")]


def heights(picture: ET.Element, name: str) -> list[float]:
    """The heights of the points of the line with this label."""
    marks = [one for one in picture if one.tag.endswith(("polyline", "text"))]
    colour = next(one.get("fill") for one in marks if one.text == name)
    points = next(one.get("points", "") for one in marks if one.get("stroke") == colour)
    return [float(point.partition(",")[2]) for point in points.split()]


def test_a_stage_stands_with_its_limit() -> None:
    told = words(staged(Library(1000, [step(FIND, 0.002), step(WALK, 0.004), step(EXTRACT, 0.05)])))
    assert "4.0 \N{MICRO SIGN}s" in told
    assert "2.0 \N{MICRO SIGN}s  find -printf" in told


def test_the_faster_program_is_the_lower_line() -> None:
    sizes = (100, 1000)
    picture = drawn(*(Library(n, [step(REBUILD, n / 900), step(MPD_SCAN, n / 300)]) for n in sizes))
    ours, its = heights(picture, "this program"), heights(picture, "mpd")
    assert all(our > other for our, other in zip(ours, its, strict=True))  # from above


def test_names_of_lines_that_end_together_do_not_cover_each_other() -> None:
    picture = drawn(Library(100, [step(REBUILD, 1), step(MPD_SCAN, 1)]))
    at = [
        float(one.get("y", ""))
        for one in picture.iter("{http://www.w3.org/2000/svg}text")
        if one.text in ("this program", "mpd")
    ]
    assert abs(at[0] - at[1]) >= 15


@pytest.mark.parametrize(
    "libraries",
    [
        [],
        [Library(10, [])],
        [Library(10, [step(REBUILD, 1)])],
        [Library(10, [step(REBUILD, 1)], tiny=True)],
        [Library(10, [Step(MPD_SCAN, absent="not installed"), step(REBUILD, 1)])],
    ],
)
def test_what_was_not_measured_is_left_out(libraries: list[Library]) -> None:
    for picture in (drawn(*libraries), staged(*libraries)):
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        assert "mpd" not in words(picture)


def test_words_stay_on_the_card() -> None:
    libraries = [Library(n, [step(REBUILD, 1), step(EXTRACT, 1)]) for n in (10, 1_000_000)]
    for picture in (drawn(*libraries), staged(*libraries)):
        for one in picture.iter("{http://www.w3.org/2000/svg}text"):
            assert 0 < float(one.get("x", "")) < chart.WIDTH
            assert 0 < float(one.get("y", "")) < chart.HEIGHT
