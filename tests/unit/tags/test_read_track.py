from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest

from indexer import tags
from indexer.model import Track
from indexer.tags import reader
from tests import corpus


def read(content: bytes, suffix: str = ".mp3") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


ALL: dict[str, Any] = {
    "title": "Human Behaviour",
    "artist": ["Björk", "Nellee Hooper"],
    "albumartist": ["Björk"],
    "album": "Debut",
    "genre": ["Electronic", "Art Pop / House, Jazz"],
    "date": "1993-06-07",
    "track": 1,
    "track_total": 11,
    "disc": 1,
    "disc_total": 2,
    "composer": "Björk Guðmundsdóttir",
    "comment": "ripped twice",
    "bpm": "120",
    "isrc": "GBAYE9300001",
    "label": "One Little Indian",
    "compilation": 1,
    "mb_trackid": "f3b1d3d3-0000-4000-8000-000000000001",
    "mb_albumid": "f3b1d3d3-0000-4000-8000-000000000002",
    "mb_artistid": "f3b1d3d3-0000-4000-8000-000000000003",
    "mb_albumartistid": "f3b1d3d3-0000-4000-8000-000000000004",
    "mb_releasegroupid": "f3b1d3d3-0000-4000-8000-000000000005",
    "replaygain_track_gain": "-7.03 dB",
    "replaygain_track_peak": "0.988525",
    "replaygain_album_gain": "-6.50 dB",
    "replaygain_album_peak": "1.000000",
}
EXPECTED: dict[str, object] = {
    **ALL,
    "artists": ("Björk", "Nellee Hooper"),
    "albumartists": ("Björk",),
    "genres": ("Electronic", "Art Pop / House, Jazz"),
    "year": 1993,
    "compilation": True,
    "has_picture": True,
}
for _column in ("artist", "albumartist", "genre"):
    del EXPECTED[_column]

STREAMS = {
    ".mp3": ("mp3", 22050, None),
    ".mp2": ("mp2", 22050, None),
    ".mp1": ("mp1", 32000, None),
    ".aac": ("aac", 22050, None),
    ".ac3": ("ac3", 32000, None),
    ".eac3": ("eac3", 32000, None),
    ".tta": ("tta", 8000, 16),
    ".flac": ("flac", 22050, 16),
    ".ogg": ("vorbis", 22050, None),
    ".oga": ("flac", 22050, 16),
    ".opus": ("opus", 48000, None),
    ".spx": ("speex", 8000, None),
    ".m4a": ("aac", 22050, None),
    ".alac.m4a": ("alac", 22050, 16),
    ".mka": ("opus", 48000, None),
    ".wma": ("wma", 22050, None),
    ".wav": ("pcm", 8000, 16),
    ".aiff": ("pcm", 8000, 16),
    ".dsf": ("dsd", 2822400, 1),
    ".dff": ("dsd", 2822400, 1),
    ".ape": ("ape", 22050, 16),
    ".mpc": ("musepack", 44100, None),
    ".sv8.mpc": ("musepack", 44100, None),
    ".ofr": ("optimfrog", 22050, 16),
    ".tak": ("tak", 22050, 16),
    ".wv": ("wavpack", 8000, 16),
}


def test_every_template_is_expected_to_be_some_stream() -> None:
    assert set(STREAMS) == set(corpus.STREAMS)


@pytest.mark.parametrize("template", STREAMS)
def test_every_column_is_read_in_every_format(template: str) -> None:
    suffix = template[template.rindex(".") :]
    track = read(corpus.tagged(template, picture=300, **ALL), suffix)
    assert {column: getattr(track, column) for column in EXPECTED} == EXPECTED


@pytest.mark.parametrize("template", STREAMS)
def test_an_untagged_file_is_a_track_of_its_stream(template: str) -> None:
    track = read(corpus.template(template), template[template.rindex(".") :])
    codec, sample_rate, bit_depth = STREAMS[template]
    assert (track.codec, track.sample_rate, track.bit_depth) == (codec, sample_rate, bit_depth)
    assert track.duration == pytest.approx(0.2, abs=0.1)
    assert track.channels in {1, 2}
    bare = Track(
        codec=track.codec,
        duration=track.duration,
        bitrate=track.bitrate,
        sample_rate=track.sample_rate,
        channels=track.channels,
        bit_depth=track.bit_depth,
        essence=track.essence,
    )
    assert track == bare


@pytest.mark.parametrize("template", STREAMS)
def test_a_blank_value_is_absent(template: str) -> None:
    content = corpus.tagged(
        template, title="", artist=["", "Björk", " \t"], album="\n ", comment=""
    )
    track = read(content, template[template.rindex(".") :])
    assert (track.title, track.artists, track.album, track.comment) == (
        None,
        ("Björk",),
        None,
        None,
    )


@pytest.mark.parametrize("template", STREAMS)
def test_a_file_without_a_cover_has_no_picture(template: str) -> None:
    assert not read(
        corpus.tagged(template, title="x"), template[template.rindex(".") :]
    ).has_picture


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".wma", ".wav", ".wv"])
def test_a_cover_of_no_bytes_is_no_picture(suffix: str) -> None:
    assert not read(corpus.tagged(suffix, title="x", picture=0), suffix).has_picture
    assert read(corpus.tagged(suffix, title="x", picture=1), suffix).has_picture


@pytest.mark.parametrize("template", STREAMS)
def test_several_values_of_a_field_stay_apart(template: str) -> None:
    content = corpus.tagged(template, artist=["AC/DC", "a; b"], genre=["Rock", "x, y"])
    track = read(content, template[template.rindex(".") :])
    assert (track.artists, track.genres) == (("AC/DC", "a; b"), ("Rock", "x, y"))


@pytest.mark.parametrize("template", STREAMS)
def test_of_a_comment_of_a_megabyte_4_kb_are_kept(template: str) -> None:
    content = corpus.tagged(template, title="x", comment="ö" * 2**19)
    track = read(content, template[template.rindex(".") :])
    assert (track.title, track.comment) == ("x", "ö" * 2048)


def test_suffixes_are_lower_case_and_begin_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix[:1] == b"." for suffix in tags.SUFFIXES)


def test_only_ogv_has_a_reader_and_is_no_suffix() -> None:
    assert reader.FAMILIES.keys() - tags.SUFFIXES == {b".ogv"}  # what mutagen may find in others


@pytest.mark.parametrize("suffix", sorted(tags.SUFFIXES))
def test_every_suffix_has_a_reader(suffix: bytes) -> None:
    assert read(corpus.tagged(suffix.decode(), title="x"), suffix.decode()).title == "x"


@pytest.mark.parametrize(
    ("suffix", "absent"),
    [
        (".mp3", ["mutagen.mp4", "mutagen.flac", "mutagen.ogg"]),
        (".mp3", ["mutagen.apev2", "mutagen.asf", "mutagen.aac", "mutagen.wave"]),
        (".m4a", ["mutagen.mp3", "mutagen.flac", "mutagen.ogg"]),
    ],
)
def test_a_format_imports_no_other_formats_reader(suffix: str, absent: list[str]) -> None:
    program = f"""
import io, sys
from indexer import tags
assert not any(name.startswith("mutagen") for name in sys.modules)
tags.read_track(io.BytesIO(sys.stdin.buffer.read()), b"{suffix}")
print([name for name in {absent} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=corpus.tagged(suffix, title="x"),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "[]"
