"""The date of a tag: of each version and form, and which of several counts."""

from __future__ import annotations

import io

import pytest
from mutagen import id3
from mutagen.mp3 import MP3

from tests.unit.tags.id3.test_id3_tag import SOUND, raw, read, read_by, v1_tag, ways


@pytest.mark.parametrize(
    ("frames", "date"),
    [
        ({"TYER": "1993"}, "1993"),
        ({"TYER": "1993", "TDAT": "0706"}, "1993-06-07"),
        ({"TYER": "1993", "TDAT": "0706", "TIME": "2315"}, "1993-06-07 23:15:00"),
        ({"TYER": "1993-06-07"}, "1993-06-07"),
        ({"TYER": "1993", "TIME": "2315"}, "1993"),
        ({"TDAT": "0706"}, None),
        ({"TYER": "1994", "TDRC": "1993"}, "1993"),
    ],
)
def test_the_date_of_an_older_tag(frames: dict[str, str], date: str | None) -> None:
    content = raw(*((name.encode(), b"\0" + text.encode()) for name, text in frames.items()))
    assert read(content).date == date
    assert date == (str(MP3(io.BytesIO(content)).tags.get("TDRC", "")) or None)


FORMS = [
    ("2004 ", "2004"),
    (" 2004", "2004"),
    ("20040506", "20040506"),
    ("2004-05", "2004-05"),
    ("06.05.2004", "06.05.2004"),
    ("06/05/2004", "06/05/2004"),
    ("2004;2010", "2004;2010"),
    ("1998, 2004", "1998, 2004"),
    ("May 2004", "May 2004"),
    ("c. 2004", "c. 2004"),
    ("2004?", "2004?"),
    ("[2004]", "[2004]"),
    ("(2004)", "(2004)"),
    ("Oct 3, 1995", "Oct 3, 1995"),
    ("2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z"),
    ("2004-05-06 (remaster)", "2004-05-06 (remaster)"),
    ("93", "93"),
    ("soon", "soon"),
]
"""A date as people and programs write it -> what the index shows of it in every frame."""


def year_in(date: str) -> int | None:
    return next((year for year in (1995, 1998, 2004, 2020) if str(year) in date), None)


@ways
@pytest.mark.parametrize("encoding", [0, 1, 3])
@pytest.mark.parametrize("name", ["TYER", "TDRC", "TDRL", "TDOR", "TORY"])
@pytest.mark.parametrize(("text", "date"), FORMS)
def test_a_date_of_any_form_is_kept_and_its_year_found(
    text: str, date: str, name: str, encoding: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = {0: "latin-1", 1: "utf-16", 3: "utf-8"}[encoding]
    content = raw((name.encode(), bytes([encoding]) + text.encode(codec)), version=4)
    track = read_by(way, content, monkeypatch)
    assert (track.date, track.year) == (date, year_in(date))


@ways
@pytest.mark.parametrize(
    ("name", "text", "date"),
    [
        ("TDRC", "2004-5-6", "2004-05-06"),
        ("TDRC", "2004/05/06", "2004-05-06"),
        ("TDRC", "2004-05-06T10:20", "2004-05-06 10:20"),
        ("TYER", "2004/05/06", "2004/05/06"),
    ],
)
def test_only_a_time_stamp_is_shown_in_the_format_of_the_standard(
    name: str, text: str, date: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = read_by(way, raw((name.encode(), b"\0" + text.encode()), version=4), monkeypatch)
    assert (track.date, track.year) == (date, 2004)


@ways
@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    ("frames", "v1", "date"),
    [
        ({"TYER": "2004 ", "TDAT": "0605"}, "", "2004-05-06"),
        ({"TDRC": "soon", "TYER": "2004"}, "", "2004"),
        ({"TDRC": "\0", "TYER": "2004"}, "", "2004"),
        ({"TDRC": " ", "TDOR": "2004"}, "", "2004"),
        ({"TDRC": "soon", "TORY": "2004"}, "", "2004"),
        ({"TDRC": "2004", "TORY": "1979", "TDOR": "1978", "TDRL": "2005"}, "", "2004"),
        ({"TYER": "2004", "TORY": "1979", "TDOR": "1978", "TDRL": "2005"}, "", "2004"),
        ({"TORY": "1979", "TDOR": "1978", "TDRL": "2004"}, "", "2004"),
        ({"TORY": "1979", "TDOR": "2004"}, "", "2004"),
        ({"TORY": "1979"}, "2004", "2004"),
        ({"TYER": "xx"}, "2004", "2004"),
        ({"TDRC": "xx"}, "2004", "2004"),
        ({"TYER": "0000"}, "2004", "2004"),
        ({"TYER": "93", "TDRC": "soon"}, "2004", "2004"),
        ({"TDRC": "\0"}, "2004", "2004"),
        ({"TDRC": "May 2004"}, "1979", "May 2004"),
        ({"TDRC": "soon"}, "xx", "soon"),
        ({"TDRC": "soon", "TORY": "later"}, "", "soon"),
    ],
)
def test_a_date_without_a_year_hides_none_that_has_it(
    frames: dict[str, str],
    v1: str,
    date: str,
    version: int,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = [(name.encode(), b"\3" + text.encode()) for name, text in frames.items()]
    content = raw(*named, version=version) + (v1_tag(b"x", v1.encode()) if v1 else b"")
    track = read_by(way, content, monkeypatch)
    assert (track.date, track.year) == (date, year_in(date))


@pytest.mark.parametrize("other", ["2004-05-06", "2004/05/06", "2004-5-6 "])
def test_two_frames_of_the_same_time_are_one_date(other: str) -> None:
    content = raw((b"TDRC", b"\x002004-05-06"), (b"TDRC", b"\0" + other.encode()), version=4)
    assert read(content).date == str(MP3(io.BytesIO(content)).tags["TDRC"]) == "2004-05-06"


@pytest.mark.parametrize("name", [b"TYE", b"TOR"])
@pytest.mark.parametrize(("text", "date"), [(b"May 2004", "May 2004"), (b"soon", "1995")])
def test_a_date_of_version_2_2_has_any_form_and_hides_no_year(
    name: bytes, text: bytes, date: str
) -> None:
    body = name + (len(text) + 1).to_bytes(3) + b"\0" + text
    content = b"ID3\x02\0\0" + id3.BitPaddedInt.to_str(len(body), width=4) + body + SOUND
    older = v1_tag(year=b"1995") if text == b"soon" else b""
    track = read(content + older)
    assert (track.date, track.year) == (date, year_in(date))
